//! One server as it is reached now: its address, what is shown to it, whom is trusted.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use graphmill_store::RunningServer;
use reqwest::RequestBuilder;
use serde_json::Value;

use super::reason;
use super::tls::{self, Trust};
use super::{Lost, Refused};

/// A server's address and how it is asked.
pub(crate) struct Connection {
    pub(super) base: String,
    pub(super) http: reqwest::Client,
    /// What is shown to the server; the HTTP client has it as a header.
    pub(super) token: Option<String>,
    /// Of WebSockets, when the server speaks https.
    pub(super) tls: Option<Arc<rustls::ClientConfig>>,
    /// Hash of the certificate that the lock file names.
    certificate: Option<String>,
}

impl Connection {
    /// To the server that runs on a data folder; `None` while it starts. `given`: what is shown instead of the folder's own token.
    pub(super) fn to_running(server: RunningServer, given: Option<&str>) -> anyhow::Result<Option<Self>> {
        let RunningServer { url: Some(url), token, certificate, .. } = server else { return Ok(None) };
        let trust = certificate.as_deref().map_or(Trust::Authorities(None), Trust::Pinned);
        let mut connection = Self::to(url, Some(given.map_or(token, str::to_owned)), &trust)?;
        connection.certificate = certificate;
        Ok(Some(connection))
    }

    pub(super) fn to(base: String, token: Option<String>, trust: &Trust<'_>) -> anyhow::Result<Self> {
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
        Ok(Self { base, http: http.build()?, token, tls, certificate: None })
    }

    /// Whether both lead to the same server with the same words.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        (&self.base, &self.token, &self.certificate) == (&other.base, &other.token, &other.certificate)
    }

    /// The address of a path with its query.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The JSON of an answer; [`Refused`] for one that is no success, [`Lost`] when there is none.
    pub(super) async fn ask(&self, request: RequestBuilder) -> anyhow::Result<Value> {
        let answer = self.begin(request).await?;
        answer.json().await.map_err(|error| self.lost(error))
    }

    /// The same before its body is read.
    pub(super) async fn begin(&self, request: RequestBuilder) -> anyhow::Result<reqwest::Response> {
        let answer = request.send().await.map_err(|error| self.lost(error))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status().as_u16();
        Err(Refused::new(status, &answer.json().await.unwrap_or_default()).into())
    }

    fn lost(&self, error: reqwest::Error) -> anyhow::Error {
        let sent = !error.is_connect();
        let error = error.without_url();
        self.unanswered(&error, sent)
    }

    /// What an error of the connection means. `sent`: whether the server may have got the request.
    pub(super) fn unanswered(&self, error: &(dyn std::error::Error + 'static), sent: bool) -> anyhow::Error {
        match reason::untrusted(error) {
            Some(why) => anyhow::anyhow!("the server at {} is not trusted: {why}", self.base),
            None => Lost { server: self.base.clone(), why: reason::why(error), sent }.into(),
        }
    }
}
