//! The pool of connections, and transactions that are repeated.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use neo4j::bookmarks::{BookmarkManager, bookmark_managers};
use neo4j::driver::auth::AuthToken;
use neo4j::driver::{ConnectionConfig, Driver, DriverConfig, KeepAliveConfig, RoutingControl};
use neo4j::session::SessionConfig;
use neo4j::transaction::TransactionTimeout;
use rand::Rng;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::failure::{Again, Failure, unavailable};
use super::pages::Pages;
use super::progress::{AbandonOnDrop, Progress};
use super::transaction::Context;
use super::{Neo4jSettings, Params, Row, ServerVersion, Transaction, tls, version};
use crate::{Error, Result};

/// Connections at most; each has a thread while it works.
const CONNECTIONS: usize = 16;
/// Connections for what a writer does beside its transaction: with those of [`CONNECTIONS`] alone, writers that wait for a lock could keep its holder from them.
const CONNECTIONS_BESIDE: usize = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A connection that rested for longer is asked whether it still lives before it is used: a server that was started again has cut it.
const RESTED: Duration = Duration::from_millis(500);

/// How long the server is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Until a connection stands: TCP, TLS, handshake, credentials.
    pub connect: Duration,
    /// Until one question (a query, a page of rows, a commit) is answered; after that the server counts as hung.
    pub answer: Duration,
    /// For how long a transaction is repeated that the server says may succeed later (deadlock, change of leader).
    pub repeat: Duration,
    /// For how long one is repeated whose connection is lost: enough for connections that a restart has cut, short where nobody is there,
    /// since callers wait and jobs sleep better than they wait.
    pub reconnect: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(30),
            repeat: Duration::from_secs(15),
            reconnect: Duration::from_secs(3),
        }
    }
}

/// A Neo4j server (or cluster) and the database in it; cheap to clone.
#[derive(Clone)]
pub struct Neo4jConnection {
    driver: Arc<Driver>,
    settings: Arc<Neo4jSettings>,
    /// In a cluster, what makes each transaction see the ones before it. One server needs none, and would refuse those of a later state when
    /// an older backup is restored.
    bookmarks: Option<Arc<dyn BookmarkManager>>,
    permits: Arc<Semaphore>,
    beside: Arc<Semaphore>,
    timeouts: Timeouts,
}

impl Neo4jConnection {
    /// Connects and looks who answers: the version, the credentials, the database.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::UnsupportedServer`], [`Error::WrongPassword`], [`Error::WrongDatabase`].
    pub async fn connect(settings: Neo4jSettings) -> Result<Self> {
        let connection = Self::new(settings, Timeouts::default())?;
        connection.check().await?;
        Ok(connection)
    }

    /// Without a word to the server yet.
    ///
    /// # Errors
    /// [`Error::Unusable`]: TLS cannot be set up.
    pub fn new(settings: Neo4jSettings, timeouts: Timeouts) -> Result<Self> {
        let auth = match (&settings.user, &settings.password) {
            (Some(user), Some(password)) => AuthToken::new_basic_auth(user, password),
            _ => AuthToken::new_none_auth(),
        };
        let address = (settings.host.clone(), settings.port).into();
        let mut target = ConnectionConfig::new(address).with_routing(settings.routing);
        if let Some(tls) = tls::config(settings.encryption)? {
            target = target.with_encryption_custom_tls_config(tls);
        }
        let config = DriverConfig::new()
            .with_user_agent(concat!("graphmill/", env!("CARGO_PKG_VERSION")).to_owned())
            .with_auth(Arc::new(auth))
            .with_max_connection_pool_size(CONNECTIONS + CONNECTIONS_BESIDE)
            .with_connection_timeout(timeouts.connect)
            .with_connection_acquisition_timeout(timeouts.connect)
            .with_idle_time_before_connection_test(RESTED)
            .with_keep_alive(KeepAliveConfig::CustomTime(Duration::from_secs(30)))
            .with_telemetry(false);
        let driver = Arc::new(Driver::new(target, config));
        let bookmarks = settings.routing.then(|| Arc::new(bookmark_managers::simple(None)) as Arc<dyn BookmarkManager>);
        let permits = Arc::new(Semaphore::new(CONNECTIONS));
        let beside = Arc::new(Semaphore::new(CONNECTIONS_BESIDE));
        Ok(Self { driver, settings: Arc::new(settings), bookmarks, permits, beside, timeouts })
    }

    /// The same pool with another patience for one answer: waiting for an index takes longer than a query.
    #[must_use]
    pub fn with_answer_timeout(&self, answer: Duration) -> Self {
        Self { timeouts: Timeouts { answer, ..self.timeouts }, ..self.clone() }
    }

    /// The same pool for short work of somebody who holds a connection already; never for what waits for a collection's lock.
    pub(super) fn beside(&self) -> Self {
        Self { permits: self.beside.clone(), ..self.clone() }
    }

    /// What it was made from.
    pub fn settings(&self) -> &Neo4jSettings {
        &self.settings
    }

    /// Asks the server for its version and the database for an answer.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn check(&self) -> Result<ServerVersion> {
        let asked = self.repeat_attempts(true, || {
            let driver = self.driver.clone();
            self.attempt(move |context| {
                let info = context.progress.ask(|| driver.get_server_info()).map_err(given_up)?;
                let info = info.map_err(|error| context.failure(error))?;
                version::accepted(&info.server_agent).map_err(given_up)
            })
        });
        let version = asked.await?;
        self.read("RETURN 1 AS one", Params::new()).await?;
        Ok(version)
    }

    /// Runs a query that only reads; all its rows. Repeated when it fails in passing.
    ///
    /// # Errors
    /// What the server says; no answer.
    pub async fn read(&self, query: &'static str, params: Params) -> Result<Vec<Row>> {
        self.read_many(move |tx| tx.rows(query, params.clone())).await
    }

    /// Several reads in one transaction (each sees what is committed at its own time). Repeated when it fails in passing.
    ///
    /// # Errors
    /// What the server or the closure says; no answer.
    pub async fn read_many<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Transaction<'_, '_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.repeat(RoutingControl::Read, true, work).await
    }

    /// Writes in one transaction. The closure is called again when the server says that the same may succeed later (deadlock, change of
    /// leader), when the connection is lost, **and when the answer of its commit is lost**: running it a second time must change nothing.
    ///
    /// # Errors
    /// What the server or the closure says; no answer.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Transaction<'_, '_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.repeat(RoutingControl::Write, true, work).await
    }

    /// As [`Self::write`] for work that must not be done twice: a lost answer of the commit is an error.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub async fn write_once<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Transaction<'_, '_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.repeat(RoutingControl::Write, false, work).await
    }

    /// One statement in a transaction of its own: the schema (`CREATE … IF NOT EXISTS`, `CALL db.awaitIndex`) and `CALL … IN TRANSACTIONS`.
    /// Repeated like [`Self::write`].
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn statement(&self, query: impl Into<String>, params: Params) -> Result<Vec<Row>> {
        let query: Arc<str> = query.into().into();
        let connection = self.clone();
        self.repeat_attempts(true, move || {
            let (query, params, connection) = (query.clone(), params.clone(), connection.clone());
            async move {
                let inner = connection.clone();
                connection.attempt(move |context| inner.auto_commit(&query, params, context)).await
            }
        })
        .await
    }

    /// Rows in pages of so many; the server sends the next page when it is asked for. One read transaction, not repeated: a reader that must
    /// survive a restart of the server pages by key.
    pub fn pages(&self, query: impl Into<String>, params: Params, size: usize) -> Pages {
        Pages::new(self.clone(), query.into(), params, size)
    }

    async fn repeat<T: Send + 'static>(
        &self,
        mode: RoutingControl,
        idempotent: bool,
        work: impl FnMut(&mut Transaction<'_, '_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let work = Arc::new(parking_lot::Mutex::new(work));
        let connection = self.clone();
        self.repeat_attempts(idempotent, move || {
            let (work, connection) = (work.clone(), connection.clone());
            async move {
                let inner = connection.clone();
                connection.attempt(move |context| inner.transaction(mode, context, &mut *work.lock())).await
            }
        })
        .await
    }

    async fn repeat_attempts<T, F: Future<Output = Result<T, Failure>>>(
        &self,
        idempotent: bool,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T> {
        let begun = Instant::now();
        let mut pause = FIRST_PAUSE;
        let mut tries = 1_u32;
        loop {
            let failure = match attempt().await {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            let patience = match failure.again {
                Again::Later => self.timeouts.repeat,
                Again::Reconnected => self.timeouts.reconnect,
                Again::ReconnectedIfIdempotent if idempotent => self.timeouts.reconnect,
                Again::ReconnectedIfIdempotent | Again::No => Duration::ZERO,
            };
            let jittered = pause.mul_f64(rand::rng().random_range(0.5..1.0));
            if begun.elapsed() + jittered > patience {
                return Err(match failure.error {
                    Error::Unavailable { message, retry_after } if tries > 1 => {
                        Error::Unavailable { message: format!("{message} (tried {tries} times)"), retry_after }
                    }
                    error => error,
                });
            }
            tracing::debug!(tries, error = %failure.error, "the graph transaction is repeated");
            tokio::time::sleep(jittered).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            tries += 1;
        }
    }

    /// One attempt on a thread of its own, given up when the server hangs or nobody waits any more.
    async fn attempt<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Context) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let permit = self.permit().await?;
        let progress = Arc::new(Progress::default());
        let _guard = AbandonOnDrop(progress.clone());
        let context = self.context(progress.clone());
        let (sender, result) = oneshot::channel();
        on_a_thread(move || {
            // Freed when the thread ends, so that hung ones cannot pile up.
            let _permit = permit;
            // Nobody may be left to be told.
            let _ = sender.send(work(&context));
        })?;
        tokio::select! {
            biased;
            ended = result => match ended {
                Ok(result) => result,
                Err(_) => Err(given_up(Error::Backend("the work with the graph server panicked".to_owned()))),
            },
            () = progress.hangs(self.timeouts.answer) => Err(given_up(self.hung())),
        }
    }

    pub(super) fn context(&self, progress: Arc<Progress>) -> Context {
        let Neo4jSettings { port, routing, .. } = *self.settings;
        Context { address: self.settings.address(), port, routing, progress }
    }

    pub(super) fn hung(&self) -> Error {
        unavailable(format!(
            "the graph server at {} gave no answer for {:?}",
            self.settings.address(),
            self.timeouts.answer
        ))
    }

    pub(super) fn answer_timeout(&self) -> Duration {
        self.timeouts.answer
    }

    pub(super) async fn permit(&self) -> Result<OwnedSemaphorePermit, Failure> {
        let permit = tokio::time::timeout(self.timeouts.answer, self.permits.clone().acquire_owned()).await;
        match permit {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(given_up(unavailable(format!(
                "all {CONNECTIONS} connections to the graph server at {} are busy",
                self.settings.address()
            )))),
        }
    }

    fn session(&self, fetch_size: Option<usize>) -> SessionConfig {
        let mut config = SessionConfig::new();
        if let Some(bookmarks) = &self.bookmarks {
            config = config.with_bookmark_manager(bookmarks.clone());
        }
        if let Some(database) = &self.settings.database {
            config = config.with_database(Arc::new(database.clone()));
        }
        if let Some(size) = fetch_size.and_then(|size| u64::try_from(size).ok()) {
            config = config.with_fetch_size(size).expect("a page is far below 2^63 rows");
        }
        config
    }

    fn transaction<T>(
        &self,
        mode: RoutingControl,
        context: &Context,
        work: &mut dyn FnMut(&mut Transaction<'_, '_>) -> Result<T>,
    ) -> Result<T, Failure> {
        self.run_transaction(mode, TransactionTimeout::default(), None, context, work)
    }

    /// A transaction from begin to commit.
    pub(super) fn run_transaction<T>(
        &self,
        mode: RoutingControl,
        limit: TransactionTimeout,
        fetch_size: Option<usize>,
        context: &Context,
        work: &mut dyn FnMut(&mut Transaction<'_, '_>) -> Result<T>,
    ) -> Result<T, Failure> {
        let mut session = self.driver.session(self.session(fetch_size));
        let transaction = session.transaction().with_routing_control(mode).with_transaction_timeout(limit);
        // The driver opens a connection and begins before it calls us.
        context.progress.begin().map_err(given_up)?;
        let result = transaction.run(|driver| {
            context.progress.answered();
            let (result, again) = {
                let mut tx = Transaction::new(&driver, context);
                let result = work(&mut tx);
                (result, tx.again())
            };
            let failure = match result {
                Ok(value) => match context.progress.ask(|| driver.commit()) {
                    Ok(committed) => return committed.map(|()| Ok(value)),
                    Err(error) => given_up(error),
                },
                Err(error) => Failure { error, again },
            };
            // The driver rolls back after this, which may hang too; work that was abandoned has nobody who waits.
            let _ = context.progress.begin();
            Ok(Err(failure))
        });
        context.progress.answered();
        result.unwrap_or_else(|error| Err(context.failure(error)))
    }

    fn auto_commit(&self, query: &str, params: Params, context: &Context) -> Result<Vec<Row>, Failure> {
        let params = params.checked().map_err(given_up)?;
        let mut session = self.driver.session(self.session(None));
        let asked = context.progress.ask(|| session.auto_commit(query).with_parameters(&params).run());
        let answer = asked.map_err(given_up)?.map_err(|error| context.failure(error))?;
        Ok(answer.records.into_iter().map(Row::new).collect())
    }
}

impl fmt::Debug for Neo4jConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Neo4jConnection")
            .field("settings", &self.settings)
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}

/// Runs work that blocks. Not on the runtime's own threads: the end of the runtime waits for those, and the work may hang for minutes.
pub(super) fn on_a_thread(work: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let thread = std::thread::Builder::new().name("graphmill-neo4j".to_owned()).spawn(work);
    thread.map(drop).map_err(|error| given_up(unavailable(format!("no thread for the graph server: {error}"))))
}

/// An error after which the same work is not tried again here.
pub(super) fn given_up(error: Error) -> Failure {
    Failure { error, again: Again::No }
}
