//! One transaction, as its closure sees it.

use neo4j::driver::Record;
use neo4j::transaction::{Transaction as DriverTransaction, TransactionRecordStream};

use super::failure::{Again, Failure};
use super::params::are_larger_than;
use super::progress::Progress;
use super::{Params, Row, nodelay};
use crate::{Error, Result};

/// A transaction of [`Neo4jConnection::write`](super::Neo4jConnection::write) or `read_many`. It is committed when its closure answers `Ok`
/// and rolled back otherwise. After an error of one query every other fails too: give the error back.
pub struct Transaction<'d, 'a> {
    driver: &'a DriverTransaction<'d, 'a>,
    context: &'a Context,
    again: Again,
    looked_for_socket: bool,
}

/// What all transactions of a connection know.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) address: String,
    pub(super) port: u16,
    pub(super) routing: bool,
    pub(super) progress: std::sync::Arc<Progress>,
}

impl Context {
    pub(super) fn failure(&self, error: neo4j::Neo4jError) -> Failure {
        Failure::of(error, &self.address, self.routing)
    }
}

impl<'d, 'a> Transaction<'d, 'a> {
    pub(super) fn new(driver: &'a DriverTransaction<'d, 'a>, context: &'a Context) -> Self {
        Self { driver, context, again: Again::No, looked_for_socket: false }
    }

    /// Runs a query; all its rows.
    ///
    /// # Errors
    /// What the server says; the connection; a parameter that cannot be sent.
    pub fn rows(&mut self, query: &str, params: Params) -> Result<Vec<Row>> {
        let mut all = Vec::new();
        self.each_row(query, params, |row| {
            all.push(row);
            Ok(())
        })?;
        Ok(all)
    }

    /// Runs a query and hands over its rows one by one; those that were not asked for stay with the server.
    ///
    /// # Errors
    /// As [`Self::rows`], and what the closure says.
    pub fn each_row(&mut self, query: &str, params: Params, mut take: impl FnMut(Row) -> Result<()>) -> Result<()> {
        let mut stream = self.ask(query, params)?;
        while let Some(row) = self.next(&mut stream)? {
            take(row)?;
        }
        self.ended(stream)
    }

    /// Runs a query that answers exactly one row.
    ///
    /// # Errors
    /// As [`Self::rows`]; there is none, or another.
    pub fn one(&mut self, query: &str, params: Params) -> Result<Row> {
        let mut rows = self.rows(query, params)?;
        match (rows.pop(), rows.len()) {
            (Some(row), 0) => Ok(row),
            (_, others) => Err(Error::Backend(format!("one row was expected, {} came: {query}", others + 1))),
        }
    }

    /// Runs a query that answers one row or none.
    ///
    /// # Errors
    /// As [`Self::rows`]; there is more than one.
    pub fn first(&mut self, query: &str, params: Params) -> Result<Option<Row>> {
        let mut rows = self.rows(query, params)?;
        if rows.len() > 1 {
            return Err(Error::Backend(format!("at most one row was expected, {} came: {query}", rows.len())));
        }
        Ok(rows.pop())
    }

    /// Runs a query for its effect.
    ///
    /// # Errors
    /// As [`Self::rows`].
    pub fn run(&mut self, query: &str, params: Params) -> Result<()> {
        let stream = self.ask(query, params)?;
        self.ended(stream)
    }

    /// Whether the last error allows another attempt of the whole transaction.
    pub(super) fn again(&self) -> Again {
        self.again
    }

    fn ask(&mut self, query: &str, params: Params) -> Result<TransactionRecordStream<'d, 'a>> {
        let params = params.checked()?;
        if !self.looked_for_socket && are_larger_than(&params, nodelay::SMALL) {
            nodelay::set_towards(self.context.port);
            self.looked_for_socket = true;
        }
        let asked = self.context.progress.ask(|| self.driver.query(query).with_parameters(&params).run())?;
        asked.map_err(|error| self.failed(error))
    }

    pub(super) fn open(&mut self, query: &str, params: Params) -> Result<TransactionRecordStream<'d, 'a>> {
        self.ask(query, params)
    }

    pub(super) fn next(&mut self, stream: &mut TransactionRecordStream<'d, 'a>) -> Result<Option<Row>> {
        let next: Option<neo4j::Result<Record>> = self.context.progress.ask(|| stream.next())?;
        next.transpose().map(|record| record.map(Row::new)).map_err(|error| self.failed(error))
    }

    fn ended(&mut self, stream: TransactionRecordStream<'d, 'a>) -> Result<()> {
        let ended = self.context.progress.ask(|| stream.consume())?;
        ended.map(drop).map_err(|error| self.failed(error))
    }

    fn failed(&mut self, error: neo4j::Neo4jError) -> Error {
        let failure = self.context.failure(error);
        self.again = failure.again;
        failure.error
    }
}
