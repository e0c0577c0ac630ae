//! What holds while the server of a command is started again: its address, its certificate and the secret of its lock file may be others then, and
//! what was asked goes on with the new one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::bail;
use futures::StreamExt;
use serde_json::Value;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message};

use super::connection::Connection;
use super::{Client, Lost, Place, Refused, socket};

/// Between two tries.
const TRY_EVERY: Duration = Duration::from_millis(250);

/// What a look at the lock file found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// Another server, or another secret of it.
    Other,
    /// The one that there was.
    Same,
    /// One that does not say yet where it listens.
    Starting,
    /// None.
    Nobody,
}

impl Client {
    /// Asks, and asks again while the server is away; what is asked must do no harm twice.
    pub(super) async fn patiently<T>(&self, ask: impl AsyncFn(&Connection) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let (mut outage, mut sent) = (Outage::new(), false);
        loop {
            let connection = self.connection();
            match ask(&connection).await {
                Ok(answer) => {
                    self.has_answered();
                    return Ok(answer);
                }
                Err(mut error) => {
                    if let Some(lost) = error.downcast_mut::<Lost>() {
                        sent |= lost.sent;
                        lost.sent = sent;
                    }
                    outage.wait(self, &connection, error).await?;
                }
            }
        }
    }

    /// Follows a job to its last message; `each` sees every message. A connection that breaks is made again where it broke.
    pub(crate) async fn follow(&self, job: &str, mut each: impl FnMut(&Value)) -> anyhow::Result<Value> {
        let mut since = 0;
        let mut outage = Outage::new();
        loop {
            let connection = self.connection();
            let path = format!("/api/jobs/{}/stream?since={since}", crate::query::step(job));
            match socket::connect(&connection.base, &path, connection.token.as_deref(), connection.tls.as_ref()).await {
                Ok(mut stream) => {
                    self.has_answered();
                    outage = Outage::new();
                    while let Some(Ok(message)) = stream.next().await {
                        let text = match message {
                            Message::Text(text) => text,
                            // The server does not want to go on with us; connecting again would not help.
                            Message::Close(Some(frame)) if frame.code == CloseCode::Policy => bail!("{}", frame.reason),
                            _ => continue,
                        };
                        let event: Value = serde_json::from_str(&text)?;
                        since = event["seq"].as_u64().unwrap_or(since);
                        each(&event);
                        if is_last(&event) {
                            return Ok(event);
                        }
                    }
                    tokio::time::sleep(TRY_EVERY).await;
                }
                Err(error) => outage.wait(self, &connection, not_opened(&connection, error)).await?,
            }
        }
    }

    fn has_answered(&self) {
        self.seen.store(true, Ordering::Relaxed);
        self.gone.store(false, Ordering::Relaxed);
    }

    /// Reads the lock file again and takes the connection that it names. `last`: the one that did not do.
    async fn look_again(&self, last: &Arc<Connection>) -> anyhow::Result<Found> {
        if !Arc::ptr_eq(&self.connection(), last) {
            return Ok(Found::Other); // someone else of this process has looked
        }
        let Place::Folder { dir, given } = &self.place else { return Ok(Found::Same) };
        let folder = dir.clone();
        let running = tokio::task::spawn_blocking(move || graphmill_store::find_running(folder)).await??;
        let Some(running) = running else { return Ok(Found::Nobody) };
        let Some(new) = Connection::to_running(running, given.as_deref())? else { return Ok(Found::Starting) };
        if new.is_like(last) {
            return Ok(Found::Same);
        }
        *self.connection.write() = Arc::new(new);
        Ok(Found::Other)
    }

    /// Whether a refusal or a broken connection may be that of a server that was there before, and another one is there now.
    pub(super) async fn has_moved(&self, last: &Arc<Connection>, error: &anyhow::Error) -> bool {
        let stale = error.downcast_ref::<Refused>().is_some_and(|refused| refused.status == 401);
        let unsent = error.downcast_ref::<Lost>().is_some_and(|lost| !lost.sent);
        (stale || unsent) && matches!(self.look_again(last).await, Ok(Found::Other))
    }
}

/// A time in which the server does not answer.
struct Outage {
    since: Option<Instant>,
}

impl Outage {
    fn new() -> Self {
        Self { since: None }
    }

    /// Returns when it is time to ask again; the error when that would not help, or the server has been away for too long.
    async fn wait(&mut self, client: &Client, last: &Arc<Connection>, error: anyhow::Error) -> anyhow::Result<()> {
        let refused = error.downcast_ref::<Refused>();
        let stale = refused.is_some_and(|refused| refused.status == 401);
        let passing = refused.is_some_and(Refused::is_passing) || error.is::<Lost>();
        if (!stale && !passing) || !client.seen.load(Ordering::Relaxed) {
            return Err(error);
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        match client.look_again(last).await {
            Ok(Found::Other) => return Ok(()),
            Ok(Found::Starting) => self.since = Some(Instant::now()),
            Ok(Found::Same) if stale => return Err(error),
            // Where one of many has waited in vain the others need not.
            _ if since.elapsed() >= client.patience || client.gone.load(Ordering::Relaxed) => {
                client.gone.store(true, Ordering::Relaxed);
                return Err(error);
            }
            _ => {}
        }
        tokio::time::sleep(TRY_EVERY).await;
        Ok(())
    }
}

/// Why a stream was not opened.
fn not_opened(connection: &Connection, error: anyhow::Error) -> anyhow::Error {
    if let Some(tungstenite::Error::Http(answer)) = error.downcast_ref() {
        let body = serde_json::from_slice(answer.body().as_deref().unwrap_or_default()).unwrap_or_default();
        return Refused::new(answer.status().as_u16(), &body).into();
    }
    connection.unanswered(error.as_ref(), true)
}

fn is_last(event: &Value) -> bool {
    match event["type"].as_str() {
        Some("completed" | "cancelled" | "deleted") => true,
        Some("error") => event["will_retry"] != true,
        _ => false,
    }
}
