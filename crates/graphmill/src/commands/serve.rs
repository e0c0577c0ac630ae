//! `graphmill serve`: runs until a signal says stop.

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use crate::assembly::{Assembly, Work};
use crate::config::Config;

/// Runs the server.
pub(crate) async fn run(config: Config) -> anyhow::Result<ExitCode> {
    // Before the start, so that a signal during it is not lost.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let server = tokio::select! {
        started = Assembly::start(&config, Work::Jobs) => started?,
        _ = terminate.recv() => return Ok(ExitCode::SUCCESS),
        _ = interrupt.recv() => return Ok(ExitCode::SUCCESS),
    };
    println!("graphmill {} is ready at {}", env!("CARGO_PKG_VERSION"), server.url());
    println!("data folder: {}", config.data_dir.display());
    println!("try it: curl -F file=@some.pdf {}/api/upload", server.url());
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = server.failed() => {
            server.shutdown().await;
            anyhow::bail!("the HTTP server stopped by itself; see the log above");
        }
    }
    tracing::info!("stopping: running jobs are given back and go on at the next start");
    let mut again = signal(SignalKind::interrupt())?;
    tokio::select! {
        () = server.shutdown() => Ok(ExitCode::SUCCESS),
        _ = again.recv() => Ok(ExitCode::from(1)),
    }
}
