//! The command line's way to a server: the running one that the lock file names, else one of its own in this process.

use std::time::Duration;

use anyhow::{Context, bail};
use futures::StreamExt;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;

use crate::assembly::{Assembly, Work};
use crate::config::Config;

/// A connection to a server.
pub(crate) struct Client {
    base: String,
    http: reqwest::Client,
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

impl Client {
    /// Finds the running server of the data folder; without one, starts one in this process that listens on a free port of 127.0.0.1. `work`: whether
    /// that one runs jobs.
    pub(crate) async fn connect(config: &Config, work: Work) -> anyhow::Result<Self> {
        if work == Work::None && !config.data_dir.is_dir() {
            bail!(
                "there is no data folder at {}; start the server (graphmill serve) or ingest something first, or name another folder with \
                 --data-dir",
                config.data_dir.display()
            );
        }
        let running = graphmill_store::find_running(&config.data_dir)?;
        let (base, own) = match running {
            Some(server) => match server.url {
                Some(url) => (url, None),
                None => bail!("process {} holds the data folder and is still starting; try again", server.pid),
            },
            None => {
                let mut config = config.clone();
                config.listen = ([127, 0, 0, 1], 0).into();
                let own = Assembly::start(&config, work).await?;
                (own.url().to_owned(), Some(own))
            }
        };
        // The client is built without a TLS provider of its own choice; harmless when the models' client has chosen ring already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().connect_timeout(Duration::from_secs(5)).build()?;
        Ok(Self { base, http, own })
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
        let socket = self.base.replacen("http", "ws", 1);
        let mut since = 0;
        let mut breaks = 0;
        loop {
            let url = format!("{socket}/api/jobs/{job}/stream?since={since}");
            match tokio_tungstenite::connect_async(&url).await {
                Ok((mut stream, _)) => {
                    while let Some(Ok(message)) = stream.next().await {
                        let Message::Text(text) = message else { continue };
                        let event: Value = serde_json::from_str(&text)?;
                        since = event["seq"].as_u64().unwrap_or(since);
                        breaks = 0;
                        each(&event);
                        if is_last(&event) {
                            return Ok(event);
                        }
                    }
                }
                Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => {
                    let body = answer.body().as_deref().unwrap_or_default();
                    bail!("{}", sentence(&serde_json::from_slice(body).unwrap_or_default(), answer.status().as_u16()));
                }
                Err(error) if breaks >= 20 => return Err(error).with_context(|| self.unreachable()),
                Err(_) => {}
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
