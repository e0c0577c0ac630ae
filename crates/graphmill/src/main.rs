//! graphmill: the job server, its workers, the graph and the command line in one binary.

mod assembly;
mod backup;
mod cli;
mod client;
mod commands;
mod config;
mod output;
mod telemetry;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use cli::{Cli, Command, JobsCommand, KeyCommand};
use config::Config;

/// What a command answers to the shell: 0 all went well; 1 it could not be done; 2 wrong usage (clap); 3 some of several things failed.
fn main() -> ExitCode {
    graphmill_core::fault::setup();
    let command = Cli::command().after_long_help(config::help());
    let cli = Cli::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit());
    if matches!(cli.command, Command::ParseChild) {
        // Before anything else is opened: a parser child has nothing but its pipes.
        return ExitCode::from(u8::try_from(graphmill_documents::child::main()).unwrap_or(1));
    }
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("graphmill: {error:#}");
            ExitCode::from(1)
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    if matches!(cli.command, Command::Version) {
        output::say!("graphmill {}", env!("CARGO_PKG_VERSION"));
        return Ok(ExitCode::SUCCESS);
    }
    let mut flags = cli.settings.values();
    if let Command::Serve(serve) = &cli.command {
        let given = [("listen", &serve.listen), ("tls_cert", &serve.tls_cert), ("tls_key", &serve.tls_key)];
        flags.extend(given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
        if !serve.allowed_origin.is_empty() {
            flags.insert("allowed_origin", serve.allowed_origin.join(","));
        }
    }
    if let Some(file) = &cli.settings.token_file {
        flags.insert("token", config::read_secret(file, "--token-file")?);
    }
    let config = Config::load(flags, cli.settings.config.as_deref())?;
    telemetry::start(matches!(cli.command, Command::Serve(_)));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let code = runtime.block_on(dispatch(cli.command, config));
    // Blocking work of an abandoned job must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    code
}

async fn dispatch(command: Command, config: Config) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(_) => commands::serve::run(config).await,
        Command::Ingest(args) => commands::ingest::run(config, args).await,
        Command::Jobs(JobsCommand::List(args)) => commands::jobs::list(config, args).await,
        Command::Jobs(JobsCommand::Show { job }) => commands::jobs::show(config, &job).await,
        Command::Jobs(JobsCommand::Watch { job }) => commands::jobs::watch(config, &job).await,
        Command::Jobs(JobsCommand::Logs { job, level, limit }) => {
            commands::jobs::logs(config, &job, level, limit).await
        }
        Command::Jobs(JobsCommand::Cancel { job }) => commands::jobs::cancel(config, &job).await,
        Command::Jobs(JobsCommand::Retry { job }) => commands::jobs::retry(config, &job).await,
        Command::Backup(args) => commands::backup::run(config, args).await,
        Command::Restore(args) => commands::restore::run(config, args).await,
        Command::Collections(command) => commands::collections::run(config, command).await,
        Command::Export(args) => commands::export::run(config, args).await,
        Command::Stats(args) => commands::stats::run(config, args).await,
        Command::Key(KeyCommand::Create(args)) => commands::key::create(config, args).await,
        Command::Key(KeyCommand::List) => commands::key::list(config).await,
        Command::Key(KeyCommand::Revoke { name }) => commands::key::revoke(config, &name).await,
        Command::Version | Command::ParseChild => Ok(ExitCode::SUCCESS), // answered in `run` and `main`
    }
}
