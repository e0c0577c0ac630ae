//! Log lines of the process: for people on a terminal, JSON otherwise. `GRAPHMILL_LOG` filters (`debug`, `graphmill_runtime=debug`, …).

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging to standard error. A server says `info` and above, a command `warn` and above, unless `GRAPHMILL_LOG` says otherwise.
pub(crate) fn start(server: bool) {
    let default = if server { "info" } else { "warn" };
    let filter = EnvFilter::try_from_env("GRAPHMILL_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second call (tests) keeps the first.
    let _ = if std::io::stderr().is_terminal() {
        builder.with_target(false).compact().try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
}
