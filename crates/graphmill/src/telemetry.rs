//! Log lines of the process: for people on a terminal, JSON otherwise. `GRAPHMILL_LOG` filters (`debug`, `graphmill_runtime=debug`, …). Traces of a
//! server go to a collector when there is one (`traces.rs`).

mod traces;

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

pub(crate) use traces::Traces;

/// Starts logging to standard error, and traces if they are wanted. A server says `info` and above, a command `warn` and above, unless `GRAPHMILL_LOG` says
/// otherwise.
pub(crate) fn start(server: bool, runtime: &tokio::runtime::Handle) -> anyhow::Result<Traces> {
    let default = if server { "info" } else { "warn" };
    let filter = EnvFilter::try_from_env("GRAPHMILL_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    // Spans are for collectors: in log lines they would say again what the lines say.
    let filter = filter.add_directive(traces::not_in_the_log());
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = if std::io::stderr().is_terminal() {
        lines.with_target(false).compact().with_filter(filter).boxed()
    } else {
        lines.json().flatten_event(true).with_filter(filter).boxed()
    };
    let (layer, traces) = traces::start(server, runtime)?;
    // A second call (tests) keeps the first.
    let _ = tracing_subscriber::registry().with(lines).with(layer).try_init();
    Ok(traces)
}
