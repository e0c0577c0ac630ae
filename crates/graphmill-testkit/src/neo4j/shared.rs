//! One Java process for a whole test binary, with as many servers in it as tests run at once: the Community edition has one database a
//! server, and tests that run side by side must not see each other.

use anyhow::Context;
use parking_lot::Mutex;

use super::process::JavaProcess;
use super::{Neo4jSettings, driver, run, wait_for_answer};

static SHARED: Mutex<Shared> = Mutex::new(Shared { process: None, idle: Vec::new() });

struct Shared {
    process: Option<JavaProcess>,
    idle: Vec<u16>,
}

/// An empty server for one test; goes back to the others when this is dropped.
pub struct SharedNeo4j {
    port: u16,
}

impl SharedNeo4j {
    /// `bolt://127.0.0.1:PORT`; it takes everybody.
    pub fn url(&self) -> String {
        format!("bolt://127.0.0.1:{}", self.port)
    }
}

impl Drop for SharedNeo4j {
    fn drop(&mut self) {
        SHARED.lock().idle.push(self.port);
    }
}

/// An empty server: no nodes, no indexes, no constraints. Blocks until it answers: the first of a process takes some 4 s, a further one at
/// the same time under a second, one that an ended test gave back some milliseconds.
pub fn database() -> anyhow::Result<SharedNeo4j> {
    let idle = SHARED.lock().idle.pop();
    let database = match idle {
        Some(port) => SharedNeo4j { port },
        None => SharedNeo4j { port: open()? },
    };
    wipe(database.port).with_context(|| format!("the server at port {} cannot be emptied", database.port))?;
    Ok(database)
}

fn open() -> anyhow::Result<u16> {
    let mut shared = SHARED.lock();
    if shared.process.is_none() {
        shared.process = Some(JavaProcess::spawn(None)?);
    }
    let process = shared.process.as_mut().context("it was started just now")?;
    // A static is never dropped: the process ends, and its folders go, when its standard input closes.
    let port = process.open(0, &Neo4jSettings::default(), None)?;
    wait_for_answer(port, None, process)?;
    Ok(port)
}

fn wipe(port: u16) -> anyhow::Result<()> {
    let driver = driver(port, None);
    run(&driver, "MATCH (n) CALL { WITH n DETACH DELETE n } IN TRANSACTIONS OF 1000 ROWS")?;
    for name in run(&driver, "SHOW CONSTRAINTS YIELD name RETURN name")? {
        run(&driver, &format!("DROP CONSTRAINT `{name}`"))?;
    }
    // The two look-up indexes are the server's own.
    for name in run(&driver, "SHOW INDEXES YIELD name, type WHERE type <> 'LOOKUP' RETURN name")? {
        run(&driver, &format!("DROP INDEX `{name}`"))?;
    }
    Ok(())
}
