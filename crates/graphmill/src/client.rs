//! The command line's way to a server: the running one that the lock file names, else one of its own in this process.

mod collection;
mod connection;
mod patience;
mod reason;
mod socket;
mod tls;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::bail;
use parking_lot::RwLock;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use self::connection::Connection;
pub(crate) use self::reason::why;
use self::tls::Trust;
use crate::assembly::{Assembly, Work};
use crate::config::Config;

/// A connection to a server; to the next one when that was started again.
pub(crate) struct Client {
    place: Place,
    connection: RwLock<Arc<Connection>>,
    /// How long a server that does not answer is waited for.
    patience: Duration,
    /// It has answered before.
    seen: AtomicBool,
    /// It was waited for in vain.
    gone: AtomicBool,
}

/// Where the server is found.
enum Place {
    /// At an address that was given.
    Named,
    /// In the lock file of a data folder; `given`: the key that is shown instead of the secret there.
    Folder { dir: PathBuf, given: Option<String> },
    /// In this process.
    Own(Assembly),
}

/// An answer other than success.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refused {
    /// HTTP status.
    pub(crate) status: u16,
    /// The API's word for it.
    pub(crate) code: String,
    /// The sentence, with its hint.
    pub(crate) message: String,
}

impl Refused {
    fn new(status: u16, body: &Value) -> Self {
        let message = match (body["error"].as_str(), body["hint"].as_str()) {
            (Some(error), Some(hint)) => format!("{error} ({hint})"),
            (Some(error), None) => error.to_owned(),
            _ => format!("the server answered HTTP {status}"),
        };
        Self { status, code: body["code"].as_str().unwrap_or_default().to_owned(), message }
    }

    /// Whether the same request may be taken in a moment: the server stops, or is still at the first one.
    fn is_passing(&self) -> bool {
        matches!(self.code.as_str(), "unavailable" | "idempotency_in_flight") || matches!(self.status, 502 | 504)
    }
}

/// No answer.
#[derive(Debug, thiserror::Error)]
#[error("the server at {server} does not answer: {why}")]
pub(crate) struct Lost {
    server: String,
    why: String,
    /// Whether the server may have got the request.
    pub(crate) sent: bool,
}

/// Whose authority a command has on the server of the data folder.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Authority {
    /// That of the key that was given; without one, the data folder's.
    Given,
    /// The data folder's, whatever key was given.
    Folder,
}

impl Client {
    /// Finds the server: the one that the settings name, else the running one of the data folder, else one of its own in this process that listens on
    /// a free port of 127.0.0.1. `work`: whether that one runs jobs.
    pub(crate) async fn connect(config: &Config, work: Work) -> anyhow::Result<Self> {
        Self::find(config, work, Authority::Given).await
    }

    /// The same to manage keys: with the data folder's authority, unless another server is named. One of its own runs no jobs; `Work::Jobs` means that
    /// the data folder may be made.
    pub(crate) async fn connect_to_manage(config: &Config, work: Work) -> anyhow::Result<Self> {
        Self::find(config, work, Authority::Folder).await
    }

    async fn find(config: &Config, work: Work, authority: Authority) -> anyhow::Result<Self> {
        let settings = &config.client;
        let new = |place, connection| Self {
            place,
            connection: RwLock::new(Arc::new(connection)),
            patience: settings.wait,
            // Who holds the lock of a folder was there a moment ago; an address that was given may be mistyped.
            seen: AtomicBool::new(settings.server.is_none()),
            gone: AtomicBool::new(false),
        };
        if let Some(server) = &settings.server {
            let trust = Trust::Authorities(settings.ca_cert.as_deref());
            let connection = Connection::to(server.clone(), settings.token.clone(), &trust)?;
            return Ok(new(Place::Named, connection));
        }
        if work == Work::None && !config.data_dir.is_dir() {
            bail!(
                "there is no data folder at {}; start the server (graphmill serve) or ingest something first, or name another folder with \
                 --data-dir",
                config.data_dir.display()
            );
        }
        if let Some(running) = graphmill_store::find_running(&config.data_dir)? {
            let (pid, given) = (running.pid, settings.token.clone().filter(|_| authority == Authority::Given));
            let Some(connection) = Connection::to_running(running, given.as_deref())? else {
                bail!("process {pid} holds the data folder and is still starting; try again");
            };
            return Ok(new(Place::Folder { dir: config.data_dir.clone(), given }, connection));
        }
        let mut config = config.clone();
        config.listen = ([127, 0, 0, 1], 0).into();
        config.tls = None;
        let own = Assembly::start(&config, if authority == Authority::Folder { Work::None } else { work }).await?;
        let connection = Connection::to(own.url().to_owned(), Some(own.token()), &Trust::Authorities(None))?;
        Ok(new(Place::Own(own), connection))
    }

    fn connection(&self) -> Arc<Connection> {
        self.connection.read().clone()
    }

    /// Whether a server other than this process answers.
    pub(crate) fn is_remote(&self) -> bool {
        !matches!(self.place, Place::Own(_))
    }

    /// Stops the server of this process, if there is one.
    pub(crate) async fn close(self) {
        if let Place::Own(own) = self.place {
            own.shutdown().await;
        }
    }

    /// GET of a path with its query.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.send(Method::GET, path, |request| request).await
    }

    /// The same of what is looked at again and again: a server that is started again is waited for.
    pub(crate) async fn get_patiently(&self, path: &str) -> anyhow::Result<Value> {
        self.patiently(async |to: &Connection| to.ask(to.http.get(to.url(path))).await).await
    }

    /// POST without a body.
    pub(crate) async fn post(&self, path: &str) -> anyhow::Result<Value> {
        self.send(Method::POST, path, |request| request).await
    }

    /// POST of JSON.
    pub(crate) async fn post_json(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(Method::POST, path, |request| request.json(body)).await
    }

    /// PATCH of JSON.
    pub(crate) async fn patch_json(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(Method::PATCH, path, |request| request.json(body)).await
    }

    /// DELETE.
    pub(crate) async fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.send(Method::DELETE, path, |request| request).await
    }

    /// POST of a multipart form that `form` makes anew for each try; with `key` (`Idempotency-Key`) the server takes it once, however often it comes.
    pub(crate) async fn post_form(
        &self,
        path: &str,
        key: &str,
        form: impl AsyncFn() -> anyhow::Result<reqwest::multipart::Form>,
    ) -> anyhow::Result<Value> {
        let send = async |to: &Connection| {
            let request = to.http.post(to.url(path)).header("idempotency-key", key);
            to.ask(request.multipart(form().await?)).await
        };
        self.patiently(send).await
    }

    /// GET whose body is read piece by piece.
    pub(crate) async fn download(&self, path: &str) -> anyhow::Result<reqwest::Response> {
        let to = self.connection();
        match to.begin(to.http.get(to.url(path))).await {
            Err(error) if self.has_moved(&to, &error).await => {
                let to = self.connection();
                to.begin(to.http.get(to.url(path))).await
            }
            answer => answer,
        }
    }

    /// Sends a request; once more when another server is there now and this one did not take it.
    async fn send(
        &self,
        method: Method,
        path: &str,
        fill: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> anyhow::Result<Value> {
        let to = self.connection();
        match to.ask(fill(to.http.request(method.clone(), to.url(path)))).await {
            Err(error) if self.has_moved(&to, &error).await => {
                let to = self.connection();
                to.ask(fill(to.http.request(method, to.url(path)))).await
            }
            answer => answer,
        }
    }
}

/// Asks one question of the running server, else of one in this process.
pub(crate) async fn ask<T>(
    config: &Config,
    work: Work,
    question: impl AsyncFnOnce(&Client) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let client = Client::connect(config, work).await?;
    let answer = question(&client).await;
    client.close().await;
    answer
}
