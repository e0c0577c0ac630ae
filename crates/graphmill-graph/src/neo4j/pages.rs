//! Rows in pages, read as fast as they are taken.

use std::sync::Arc;

use neo4j::driver::RoutingControl;
use neo4j::transaction::TransactionTimeout;
use tokio::sync::mpsc;

use super::connection::on_a_thread;
use super::failure::Failure;
use super::progress::{AbandonOnDrop, Progress};
use super::{Neo4jConnection, Params, Row};
use crate::Result;

/// The pages of one query; see [`Neo4jConnection::pages`]. Dropping it ends the query.
pub struct Pages {
    connection: Neo4jConnection,
    state: State,
}

enum State {
    Fresh { query: String, params: Params, size: usize },
    Open { pages: mpsc::Receiver<Result<Vec<Row>, Failure>>, progress: Arc<Progress>, _guard: AbandonOnDrop },
    Ended,
}

impl Pages {
    pub(super) fn new(connection: Neo4jConnection, query: String, params: Params, size: usize) -> Self {
        Self { connection, state: State::Fresh { query, params, size: size.max(1) } }
    }

    /// The next page, never an empty one; `None` at the end.
    ///
    /// # Errors
    /// What the server says; no answer. There is nothing more after one.
    pub async fn next(&mut self) -> Result<Option<Vec<Row>>> {
        if let State::Fresh { .. } = self.state {
            self.open().await?;
        }
        let State::Open { pages, progress, .. } = &mut self.state else { return Ok(None) };
        let page = tokio::select! {
            biased;
            page = pages.recv() => page.transpose().map_err(|failure| failure.error),
            () = progress.hangs(self.connection.answer_timeout()) => Err(self.connection.hung()),
        };
        if !matches!(page, Ok(Some(_))) {
            self.state = State::Ended;
        }
        page
    }

    async fn open(&mut self) -> Result<()> {
        let State::Fresh { query, params, size } = std::mem::replace(&mut self.state, State::Ended) else {
            return Ok(());
        };
        let permit = self.connection.permit().await.map_err(|failure| failure.error)?;
        let progress = Arc::new(Progress::default());
        let context = self.connection.context(progress.clone());
        let connection = self.connection.clone();
        // One page lies ready while the next is read: memory holds three at most.
        let (sender, pages) = mpsc::channel(1);
        let _guard = AbandonOnDrop(progress.clone());
        let started = on_a_thread(move || {
            let _permit = permit;
            let mut work = |tx: &mut super::Transaction<'_, '_>| {
                let mut stream = tx.open(&query, params.clone())?;
                let mut page = Vec::with_capacity(size);
                while let Some(row) = tx.next(&mut stream)? {
                    page.push(row);
                    if page.len() == size && sender.blocking_send(Ok(std::mem::take(&mut page))).is_err() {
                        return Ok(());
                    }
                }
                if !page.is_empty() {
                    // Nobody is left to be told that nobody listens.
                    let _ = sender.blocking_send(Ok(page));
                }
                Ok(())
            };
            // A slow reader must not be cut off by the server's time limit.
            let limit = TransactionTimeout::none();
            let read = connection.run_transaction(RoutingControl::Read, limit, Some(size), &context, &mut work);
            if let Err(failure) = read {
                let _ = sender.blocking_send(Err(failure));
            }
        });
        started.map_err(|failure| failure.error)?;
        self.state = State::Open { pages, progress, _guard };
        Ok(())
    }
}
