//! Awaiting a call of a model.

use std::time::Duration;

use graphmill_models::CallContext;
use graphmill_runtime::JobContext;

/// Awaits a call of a model; while the call waits on purpose (rate limit, pause between tries) the job is not stalled.
pub(crate) async fn model_call<T>(
    context: &JobContext,
    calls: &CallContext,
    what: &str,
    call: impl Future<Output = T>,
) -> T {
    let mut call = std::pin::pin!(call);
    loop {
        match tokio::time::timeout(Duration::from_secs(1), &mut call).await {
            Ok(answer) => return answer,
            Err(_) if calls.usage.paused() > 0 => context.alive(format!("{what}, waiting for the model server")),
            Err(_) => {}
        }
    }
}
