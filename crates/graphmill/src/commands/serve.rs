//! `graphmill serve`: runs until a signal says stop.

use std::io::Write;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use crate::assembly::{Assembly, Work};
use crate::config::Config;
use crate::output::visible;

/// Runs the server.
pub(crate) async fn run(config: Config) -> anyhow::Result<ExitCode> {
    raise_open_files();
    // Before the start, so that a signal during it is not lost.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Of whoever renews a certificate; a terminal that goes away does not end a server.
    let mut hangup = signal(SignalKind::hangup())?;
    let server = tokio::select! {
        started = Assembly::start(&config, Work::Jobs) => started?,
        _ = terminate.recv() => return Ok(ExitCode::SUCCESS),
        _ = interrupt.recv() => return Ok(ExitCode::SUCCESS),
    };
    // That nobody reads it is no reason for a server to end.
    let mut out = std::io::stdout();
    let _ = writeln!(out, "graphmill {} is ready at {}", env!("CARGO_PKG_VERSION"), server.url());
    let _ = writeln!(out, "data folder: {}", visible(&config.data_dir.display().to_string()));
    let _ = writeln!(out, "try it: curl -F file=@some.pdf {}/api/upload", server.url());
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => server.reload_certificate(),
            () = server.failed() => {
                server.shutdown().await;
                anyhow::bail!("the HTTP server stopped by itself; see the log above");
            }
        }
    }
    tracing::info!("stopping: running jobs are given back and go on at the next start");
    let mut again = signal(SignalKind::interrupt())?;
    tokio::select! {
        () = server.shutdown() => Ok(ExitCode::SUCCESS),
        _ = again.recv() => Ok(ExitCode::from(1)),
    }
}

/// A thousand followers of a job are a thousand open sockets: the soft limit, often 1,024, goes up to what the system allows.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}
