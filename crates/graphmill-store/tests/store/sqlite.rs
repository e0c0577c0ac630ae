//! Conformance of the SQLite backend.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use graphmill_core::{ManualClock, Timestamp};
use graphmill_store::conformance::Fixture;
use graphmill_store::{JobStore, KeyStore, SqliteJobStore, SqliteOptions};

struct Sqlite {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
    store: Option<Arc<SqliteJobStore>>,
}

impl Sqlite {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_705_336_200_000)));
        let mut fixture = Self { dir, clock, store: None };
        fixture.open();
        fixture
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("jobs.db")
    }

    fn open(&mut self) {
        let store = SqliteJobStore::open(SqliteOptions::new(self.path(), self.clock.clone()));
        self.store = Some(Arc::new(store.expect("the store opens")));
    }
}

#[async_trait]
impl Fixture for Sqlite {
    fn store(&self) -> Arc<dyn JobStore> {
        self.store.clone().expect("the store is open")
    }

    fn keys(&self) -> Arc<dyn KeyStore> {
        self.store.clone().expect("the store is open")
    }

    fn clock(&self) -> Arc<ManualClock> {
        self.clock.clone()
    }

    async fn reopen(&mut self) {
        let store = self.store.take();
        assert_eq!(store.as_ref().map(Arc::strong_count), Some(1), "somebody still holds the store");
        drop(store);
        self.open();
    }
}

graphmill_store::job_store_conformance!(Sqlite::new());
