//! graphmill: the job server, its workers, the graph and the command line in one binary.

mod assembly;
mod backup;
mod cli;
mod client;
mod commands;
mod config;
mod output;
mod query;
mod telemetry;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use cli::{Cli, Command, JobsCommand, KeyCommand};
use commands::config::ConfigCommand;
use commands::graph::GraphCommand;
use config::{Config, Layers};

/// What a command answers to the shell (2 is clap's).
const EXIT_CODES: &str = "Exit codes:
  0    all went well
  1    it could not be done
  2    wrong usage
  3    some of several things failed, a followed job did not complete or it is not known how it ended (the server went away),
       nothing was found, or check or doctor found something
  130  stopped by Ctrl-C
  141  what was to be read was closed (as in graphmill export | head -1)
";

fn main() -> ExitCode {
    graphmill_core::fault::setup();
    if std::env::args_os().nth(1).is_some_and(|first| first == assembly::PARSE_CHILD) {
        // Before anything else is opened: a parser child has nothing but its pipes. No command of people, so no part of the command line.
        return ExitCode::from(u8::try_from(graphmill_documents::child::main()).unwrap_or(1));
    }
    let command = Cli::command().after_long_help(format!("{EXIT_CODES}\n{}", config::help()));
    let matches = command.try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match matches {
        Ok(cli) => cli,
        Err(error) => return misused(&error),
    };
    output::choose(if cli.settings.json { output::Format::Json } else { output::Format::People });
    match run(cli) {
        Ok(code) => code,
        Err(error) if error.is::<output::Closed>() => ExitCode::from(output::CLOSED_PIPE),
        Err(error) => {
            output::tell!("graphmill: {}", output::in_words(&format!("{error:#}")));
            ExitCode::from(1)
        }
    }
}

/// Help, the version, or what is wrong with the arguments; these may hold anything.
fn misused(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    if text.lines().any(|line| *output::visible(line) != *line) {
        text.lines().for_each(|line| output::tell!("{line}"));
    } else {
        let _ = error.print();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    if matches!(cli.command, Command::Version) {
        output::answer(&assembly::version(), |_| output::say!("graphmill {}", env!("CARGO_PKG_VERSION")));
        return Ok(ExitCode::SUCCESS);
    }
    if let Command::Completions { shell } = cli.command {
        return Ok(commands::completions::run(shell));
    }
    let mut flags = cli.settings.values();
    if let Command::Serve(serve) = &cli.command {
        let given = [("listen", &serve.listen), ("tls_cert", &serve.tls_cert), ("tls_key", &serve.tls_key)];
        flags.extend(given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
        if let Some(quiet) = &serve.auto_reindex {
            flags.insert("auto_reindex", quiet.clone());
        }
        if !serve.allowed_origin.is_empty() {
            flags.insert("allowed_origin", serve.allowed_origin.join(","));
        }
    }
    if let Some(file) = &cli.settings.token_file {
        flags.insert("token", config::read_secret(file, "--token-file")?);
    }
    let layers = Layers::read(flags, cli.settings.config.as_deref(), std::env::vars())?;
    let config = Config::from_layers(&layers)?;
    if let Command::Config(ConfigCommand::Show) = &cli.command {
        return Ok(commands::config::show(&layers));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let traces = telemetry::start(matches!(cli.command, Command::Serve(_)), runtime.handle())?;
    let code = runtime.block_on(dispatch(cli.command, config));
    traces.end();
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
        Command::Jobs(JobsCommand::Cancel { jobs }) => commands::jobs::cancel(config, &jobs).await,
        Command::Jobs(JobsCommand::Retry { jobs }) => commands::jobs::retry(config, &jobs).await,
        Command::Jobs(JobsCommand::Delete { jobs }) => commands::jobs::delete(config, &jobs).await,
        Command::Jobs(JobsCommand::Cleanup(args)) => commands::jobs::cleanup(config, args).await,
        Command::Jobs(JobsCommand::Pause { job_type }) => commands::jobs::pause(config, &job_type, true).await,
        Command::Jobs(JobsCommand::Resume { job_type }) => commands::jobs::pause(config, &job_type, false).await,
        Command::Documents(command) => commands::documents::run(config, command).await,
        Command::Entities(command) => commands::entities::run(config, command).await,
        Command::Communities(command) => commands::communities::run(config, command).await,
        Command::Search(args) => commands::search::run(config, args).await,
        Command::Reindex(args) => commands::layers::reindex(config, args).await,
        Command::Cluster(args) => commands::layers::cluster(config, args).await,
        Command::Check(args) => commands::check::run(config, args).await,
        Command::Graph(GraphCommand::Copy(args)) => commands::graph::copy(config, args).await,
        Command::Doctor => commands::doctor::run(config).await,
        Command::Backup(args) => commands::backup::run(config, args).await,
        Command::Restore(args) => commands::restore::run(config, args).await,
        Command::Collections(command) => commands::collections::run(config, command).await,
        Command::Export(args) => commands::export::run(config, args).await,
        Command::Stats(args) => commands::stats::run(config, args).await,
        Command::Key(KeyCommand::Create(args)) => commands::key::create(config, args).await,
        Command::Key(KeyCommand::List) => commands::key::list(config).await,
        Command::Key(KeyCommand::Revoke { name }) => commands::key::revoke(config, &name).await,
        // Answered in `run` and `main`.
        Command::Version | Command::Config(_) | Command::Completions { .. } => Ok(ExitCode::SUCCESS),
    }
}
