//! A real Neo4j in tests: in a process of its own that can be killed, paused and started again over the same data ([`Neo4jServer`]), or one
//! of many in a process that all tests of a binary share ([`shared`]). Made by `scripts/neo4j`; a test fails where it cannot start.

mod process;
pub mod shared;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use neo4j::driver::auth::AuthToken;
use neo4j::driver::{ConnectionConfig, Driver, DriverConfig};

use process::JavaProcess;

/// How a server is started.
#[derive(Debug, Clone, Default)]
pub struct Neo4jSettings {
    /// The password of the user `neo4j`; without one everybody may come in.
    pub password: Option<String>,
    /// The data can be read and not changed (`server.databases.default_to_read_only`).
    pub read_only: bool,
}

/// A Neo4j of one test: own process, own folder, own port. Killed when this is dropped, and by itself when the test process ends.
pub struct Neo4jServer {
    process: Option<JavaProcess>,
    settings: Neo4jSettings,
    port: u16,
    /// From the spawn of the process to its answer to a query.
    pub start_time: Duration,
    folder: tempfile::TempDir,
}

impl Neo4jServer {
    /// Starts a server without authentication; blocks until it answers a query, some 4 s.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(Neo4jSettings::default())
    }

    /// Starts a server with settings.
    pub fn start_with(settings: Neo4jSettings) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut server = Self { process: None, settings, port: 0, start_time: Duration::ZERO, folder };
        server.spawn()?;
        Ok(server)
    }

    fn spawn(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        let mut process = JavaProcess::spawn(self.settings.password.as_deref())?;
        self.port = process.open(self.port, &self.settings, Some(self.folder.path()))?;
        wait_for_answer(self.port, self.settings.password.as_deref(), &process)?;
        self.process = Some(process);
        self.start_time = started.elapsed();
        Ok(())
    }

    /// `bolt://127.0.0.1:PORT`, the same after a restart.
    pub fn url(&self) -> String {
        format!("bolt://127.0.0.1:{}", self.port)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of its data.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(JavaProcess::pid)
    }

    /// What it wrote to standard error since it was last started.
    pub fn log(&self) -> String {
        self.process.as_ref().map(JavaProcess::log).unwrap_or_default()
    }

    /// SIGKILL, and waits until the process is gone.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Ends it in order.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        self.process.take().context("the server is not running")?.stop()
    }

    /// Starts it again over the same data at the same port; one that still runs is killed first.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.kill();
        self.spawn()
    }

    /// The same with other settings.
    pub fn restart_with(&mut self, settings: Neo4jSettings) -> anyhow::Result<()> {
        self.settings = settings;
        self.restart()
    }

    /// SIGSTOP: it hangs until [`Self::resume`].
    pub fn pause(&self) -> anyhow::Result<()> {
        self.process.as_ref().context("the server is not running")?.signal("STOP")
    }

    /// SIGCONT.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.process.as_ref().context("the server is not running")?.signal("CONT")
    }
}

/// Waits until a query is answered; the port alone opens a little earlier.
fn wait_for_answer(port: u16, password: Option<&str>, process: &JavaProcess) -> anyhow::Result<()> {
    let deadline = Instant::now() + crate::app::PATIENCE;
    loop {
        match run(&driver(port, password), "RETURN 1 AS one") {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > deadline => {
                bail!("Neo4j at port {port} answers no query: {error}; its log: {}", process.log())
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn driver(port: u16, password: Option<&str>) -> Driver {
    let auth = match password {
        Some(password) => AuthToken::new_basic_auth("neo4j", password),
        None => AuthToken::new_none_auth(),
    };
    let address = ("127.0.0.1".to_owned(), port).into();
    let config = DriverConfig::new()
        .with_auth(std::sync::Arc::new(auth))
        .with_connection_acquisition_timeout(crate::app::PATIENCE);
    Driver::new(ConnectionConfig::new(address).with_routing(false), config)
}

/// Runs one query in a transaction of its own; the strings of its first column.
fn run(driver: &Driver, query: &str) -> neo4j::Result<Vec<String>> {
    let database = std::sync::Arc::new("neo4j".to_owned());
    let session = neo4j::session::SessionConfig::new().with_database(database);
    let rows = driver.session(session).auto_commit(query).run()?.records;
    let firsts = rows.into_iter().filter_map(|row| row.into_values().next());
    Ok(firsts.filter_map(|value| value.try_into_string().ok()).collect())
}

/// Where `scripts/neo4j` put the server: `$GRAPHMILL_TEST_NEO4J`, else `$HOME/.cache/graphmill/neo4j`.
fn installation() -> anyhow::Result<PathBuf> {
    let folder = match std::env::var_os("GRAPHMILL_TEST_NEO4J") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(std::env::var_os("HOME").context("HOME is not set")?).join(".cache/graphmill/neo4j"),
    };
    if folder.join("installed").exists() {
        return Ok(folder);
    }
    bail!(
        "there is no Neo4j in {}, which this test needs: run `make neo4j` (Maven and a JDK 17 fetch it)",
        folder.display()
    )
}
