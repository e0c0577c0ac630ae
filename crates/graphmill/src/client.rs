//! The command line's way to a server: the running one that the lock file names, else one of its own in this process.

mod socket;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use futures::StreamExt;
use graphmill_store::RunningServer;
use serde_json::Value;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message};

use self::tls::Trust;
use crate::assembly::{Assembly, Work};
use crate::config::Config;

/// A connection to a server.
pub(crate) struct Client {
    base: String,
    http: reqwest::Client,
    /// What is shown to the server; the HTTP client has it as a header.
    token: Option<String>,
    /// Of WebSockets, when the server speaks https.
    tls: Option<Arc<rustls::ClientConfig>>,
    /// The server of this process, if none was running.
    own: Option<Assembly>,
}

/// An answer other than success.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refused {
    /// HTTP status.
    pub(crate) status: u16,
    /// The sentence, with its hint.
    pub(crate) message: String,
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
        if let Some(server) = &settings.server {
            let trust = Trust::Authorities(settings.ca_cert.as_deref());
            return Self::to(server.clone(), settings.token.clone(), &trust, None);
        }
        if work == Work::None && !config.data_dir.is_dir() {
            bail!(
                "there is no data folder at {}; start the server (graphmill serve) or ingest something first, or name another folder with \
                 --data-dir",
                config.data_dir.display()
            );
        }
        match graphmill_store::find_running(&config.data_dir)? {
            Some(RunningServer { url: Some(url), token, certificate, .. }) => {
                let given = settings.token.clone().filter(|_| authority == Authority::Given);
                let trust = match &certificate {
                    Some(hash) => Trust::Pinned(hash),
                    None => Trust::Authorities(None),
                };
                Self::to(url, Some(given.unwrap_or(token)), &trust, None)
            }
            Some(server) => bail!("process {} holds the data folder and is still starting; try again", server.pid),
            None => {
                let mut config = config.clone();
                config.listen = ([127, 0, 0, 1], 0).into();
                config.tls = None;
                let work = if authority == Authority::Folder { Work::None } else { work };
                let own = Assembly::start(&config, work).await?;
                Self::to(own.url().to_owned(), Some(own.token()), &Trust::Authorities(None), Some(own))
            }
        }
    }

    fn to(base: String, token: Option<String>, trust: &Trust<'_>, own: Option<Assembly>) -> anyhow::Result<Self> {
        // The client is built without a TLS provider of its own choice; harmless when the models' client has chosen ring already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = reqwest::Client::builder().no_proxy().connect_timeout(Duration::from_secs(5));
        let mut tls = None;
        if base.starts_with("https:") {
            let config = tls::config(trust)?;
            let mut of_http = config.clone();
            of_http.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            http = http.tls_backend_preconfigured(of_http);
            tls = Some(Arc::new(config));
        }
        if let Some(token) = &token {
            let value = reqwest::header::HeaderValue::try_from(format!("Bearer {token}"));
            let mut value = value.context("the key has characters that no key has; is the right file given?")?;
            value.set_sensitive(true);
            http = http.default_headers([(reqwest::header::AUTHORIZATION, value)].into_iter().collect());
        }
        Ok(Self { base, http: http.build()?, token, tls, own })
    }

    /// Whether a server other than this process answers.
    pub(crate) fn is_remote(&self) -> bool {
        self.own.is_none()
    }

    /// Stops the server of this process, if there is one.
    pub(crate) async fn close(self) {
        if let Some(own) = self.own {
            own.shutdown().await;
        }
    }

    /// GET of a path with its query.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.send(self.http.get(format!("{}{path}", self.base))).await
    }

    /// POST without a body.
    pub(crate) async fn post(&self, path: &str) -> anyhow::Result<Value> {
        self.send(self.http.post(format!("{}{path}", self.base))).await
    }

    /// POST of JSON.
    pub(crate) async fn post_json(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(self.http.post(format!("{}{path}", self.base)).json(body)).await
    }

    /// PATCH of JSON.
    pub(crate) async fn patch_json(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(self.http.patch(format!("{}{path}", self.base)).json(body)).await
    }

    /// DELETE.
    pub(crate) async fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.send(self.http.delete(format!("{}{path}", self.base))).await
    }

    /// POST of a multipart form.
    pub(crate) async fn post_form(&self, path: &str, form: reqwest::multipart::Form) -> anyhow::Result<Value> {
        self.send(self.http.post(format!("{}{path}", self.base)).multipart(form)).await
    }

    /// GET whose body is read piece by piece.
    pub(crate) async fn download(&self, path: &str) -> anyhow::Result<reqwest::Response> {
        let answer = self.http.get(format!("{}{path}", self.base)).send().await.with_context(|| self.unreachable())?;
        if answer.status().is_success() { Ok(answer) } else { Err(refused(answer).await.into()) }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
        let answer = request.send().await.with_context(|| self.unreachable())?;
        if answer.status().is_success() {
            return Ok(answer.json().await?);
        }
        Err(refused(answer).await.into())
    }

    fn unreachable(&self) -> String {
        format!("the server at {} does not answer", self.base)
    }

    /// Follows a job to its last message; `each` sees every message. A connection that breaks is made again where it broke.
    pub(crate) async fn follow(&self, job: &str, mut each: impl FnMut(&Value)) -> anyhow::Result<Value> {
        let mut since = 0;
        let mut breaks = 0;
        loop {
            let path = format!("/api/jobs/{job}/stream?since={since}");
            let opened = socket::connect(&self.base, &path, self.token.as_deref(), self.tls.as_ref()).await;
            match opened {
                Ok(mut stream) => {
                    while let Some(Ok(message)) = stream.next().await {
                        let text = match message {
                            Message::Text(text) => text,
                            // The server does not want to go on with us; connecting again would not help.
                            Message::Close(Some(frame)) if frame.code == CloseCode::Policy => bail!("{}", frame.reason),
                            _ => continue,
                        };
                        let event: Value = serde_json::from_str(&text)?;
                        since = event["seq"].as_u64().unwrap_or(since);
                        breaks = 0;
                        each(&event);
                        if is_last(&event) {
                            return Ok(event);
                        }
                    }
                }
                Err(error) => {
                    if let Some(tungstenite::Error::Http(answer)) = error.downcast_ref() {
                        let body = answer.body().as_deref().unwrap_or_default();
                        let body = serde_json::from_slice(body).unwrap_or_default();
                        bail!("{}", sentence(&body, answer.status().as_u16()));
                    }
                    if breaks >= 20 {
                        return Err(error).with_context(|| self.unreachable());
                    }
                }
            }
            breaks += 1;
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
}

fn is_last(event: &Value) -> bool {
    match event["type"].as_str() {
        Some("completed" | "cancelled" | "deleted") => true,
        Some("error") => event["will_retry"] != true,
        _ => false,
    }
}

async fn refused(answer: reqwest::Response) -> Refused {
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap_or_default();
    Refused { status, message: sentence(&body, status) }
}

fn sentence(body: &Value, status: u16) -> String {
    match (body["error"].as_str(), body["hint"].as_str()) {
        (Some(error), Some(hint)) => format!("{error} ({hint})"),
        (Some(error), None) => error.to_owned(),
        _ => format!("the server answered HTTP {status}"),
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
