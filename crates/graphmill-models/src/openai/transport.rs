//! One POST to the server: gate, tries, time limits, a bound on the answer.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::{Client, Url, redirect};
use serde_json::Value;
use tracing::Instrument;

use super::gate::Gate;
use super::refusal::{self, Refusal};
use super::{Surroundings, TRIES, retry_after};
use crate::metrics::{Kind, Outcome};
use crate::usage::{Pause, Usage};
use crate::{CallContext, Endpoint, Error, ModelSettings, Secret};

/// How long a job sleeps when the server was not to be reached.
const OUTAGE_SNOOZE: Duration = Duration::from_secs(15);

/// Answers 429 that one call waits out before it gives the wait to its job.
const MOST_REFUSALS: u32 = 4;

/// A connection to one model of one server.
pub(super) struct Transport {
    http: Client,
    base: Url,
    host: String,
    model: String,
    api_key: Option<Secret>,
    gate: Gate,
    retry_pause: Duration,
    longest_wait: Duration,
    longest_answer: usize,
    surroundings: Surroundings,
}

/// Why a POST has no usable body.
#[derive(Debug)]
pub(super) enum Failure {
    /// It concerns the whole call.
    Call(Error),
    /// The server refuses this body.
    Body(Refusal),
    /// It answered 200 with something that is not an answer.
    Answer(String),
}

enum Sent {
    Body(Vec<u8>),
    Refused(Refusal, Option<Duration>),
    TooLarge,
}

impl Transport {
    /// `name` is the setting's table as `graphmill.toml` spells it; `longest_answer` bounds an answer in bytes.
    pub(super) fn new(
        name: &'static str,
        endpoint: &Endpoint,
        settings: &ModelSettings,
        longest_answer: usize,
        surroundings: Surroundings,
    ) -> Result<Self, Error> {
        // Fails when another part of the process installed one already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let wrong = |reason: String| Error::Settings { name, reason };
        let base = Url::parse(endpoint.url.trim_end_matches('/'))
            .map_err(|e| wrong(format!("its url is no URL ({e}); it looks like https://api.example.com/v1")))?;
        let Some(host) = base.host_str().filter(|_| matches!(base.scheme(), "http" | "https")) else {
            return Err(wrong("its url must begin with http:// or https://".into()));
        };
        if endpoint.model.trim().is_empty() {
            return Err(wrong("it has a url but no model".into()));
        }
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        let loopback = host == "localhost" || address.is_ok_and(|ip| ip.is_loopback());
        let mut builder = Client::builder()
            .connect_timeout(settings.connect_timeout)
            .read_timeout(settings.read_timeout)
            .timeout(settings.request_timeout)
            .redirect(redirect::Policy::none())
            .user_agent(concat!("graphmill/", env!("CARGO_PKG_VERSION")));
        if loopback {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|e| wrong(format!("no HTTP client can be made: {}", e.without_url())))?;
        let host = base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Ok(Self {
            http,
            host,
            base,
            model: endpoint.model.trim().to_owned(),
            api_key: endpoint.api_key.clone(),
            gate: Gate::new(settings.concurrency, settings.retry_pause),
            retry_pause: settings.retry_pause,
            longest_wait: settings.longest_wait,
            longest_answer,
            surroundings,
        })
    }

    /// The model's name.
    pub(super) fn model(&self) -> &str {
        &self.model
    }

    /// Posts `body` to `path` below the base address; waits, tries again, and returns the body of a 200.
    pub(super) async fn post(
        &self,
        kind: Kind,
        path: &str,
        body: &Value,
        ctx: &CallContext,
    ) -> Result<Vec<u8>, Failure> {
        let (mut failures, mut refusals) = (0, 0);
        loop {
            let entered = self.gate.enter(self.longest_wait, ctx).await;
            let place = entered.map_err(|after| Failure::Call(self.rate_limited(after)))?;
            Usage::add(&ctx.usage.requests, 1);
            Usage::add(&ctx.usage.retries, u64::from(failures + refusals > 0));
            let call = kind.call();
            let span = tracing::info_span!(
                target: graphmill_core::trace::TARGET,
                "model.call",
                otel.kind = "client",
                model.kind = kind.word(),
                model.name = self.model
            );
            let sent = self.send(path, body).instrument(span).await;
            call.ended(outcome(&sent));
            let (refusal, told) = match sent {
                Ok(Sent::Body(bytes)) => {
                    place.succeeded();
                    return Ok(bytes);
                }
                Ok(Sent::TooLarge) => {
                    return Err(Failure::Answer(format!("it is longer than {} bytes", self.longest_answer)));
                }
                Ok(Sent::Refused(refusal, told)) => (refusal, told),
                Err(error) => (Refusal::Transient(sentence(&error)), None),
            };
            match refusal {
                Refusal::RateLimited(after) => {
                    Usage::add(&ctx.usage.rate_limited, 1);
                    refusals += 1;
                    let pause = place.rate_limited(after, (self.surroundings.jitter)());
                    if pause > self.longest_wait || refusals > MOST_REFUSALS {
                        return Err(Failure::Call(self.rate_limited(pause)));
                    }
                }
                Refusal::Transient(reason) => {
                    drop(place);
                    failures += 1;
                    let pause = told.unwrap_or_else(|| self.pause(failures));
                    if failures >= TRIES || pause > self.longest_wait {
                        return Err(Failure::Call(self.unavailable(reason, told)));
                    }
                    let _waiting = Pause::start(ctx);
                    tokio::time::sleep(pause).await;
                }
                Refusal::Everything(reason, hint) => return Err(Failure::Call(self.refused(reason, hint))),
                other => return Err(Failure::Body(other)),
            }
        }
    }

    async fn send(&self, path: &str, body: &Value) -> reqwest::Result<Sent> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{path}", self.base.path().trim_end_matches('/')));
        let mut request = self.http.post(url).json(body);
        if let Some(key) = &self.api_key {
            request = request.bearer_auth(key.expose());
        }
        let mut response = request.send().await?;
        let status = response.status();
        let header = response.headers().get(reqwest::header::RETRY_AFTER).and_then(|v| v.to_str().ok());
        let told = header.and_then(|v| retry_after::parse(v, self.surroundings.clock.now()));
        let mut bytes = Vec::new();
        while let Some(part) = response.chunk().await? {
            if bytes.len() + part.len() > self.longest_answer {
                return Ok(Sent::TooLarge);
            }
            bytes.extend_from_slice(&part);
        }
        if status == reqwest::StatusCode::OK {
            return Ok(Sent::Body(bytes));
        }
        Ok(Sent::Refused(refusal::read(status.as_u16(), told, &bytes), told))
    }

    /// The pause before the next try: doubled from try to try, stretched by chance.
    fn pause(&self, failures: u32) -> Duration {
        let doubled = self.retry_pause.saturating_mul(1 << (failures - 1).min(16));
        doubled.mul_f64(0.5 + (self.surroundings.jitter)().clamp(0.0, 1.0) / 2.0)
    }

    fn rate_limited(&self, after: Duration) -> Error {
        Error::RateLimited { model: self.model.clone(), host: self.host.clone(), after }
    }

    fn unavailable(&self, reason: String, told: Option<Duration>) -> Error {
        let after = told.unwrap_or(OUTAGE_SNOOZE);
        Error::Unavailable { model: self.model.clone(), host: self.host.clone(), reason, after }
    }

    /// Everything is refused: reason, and what a person can do.
    pub(super) fn refused(&self, reason: String, hint: &str) -> Error {
        Error::Refused { model: self.model.clone(), host: self.host.clone(), reason, hint: hint.to_owned() }
    }

    /// The server answers, but with nothing that can be used.
    pub(super) fn bad_answers(&self, reason: String) -> Error {
        Error::BadAnswers { model: self.model.clone(), host: self.host.clone(), reason }
    }
}

/// How a request is counted.
fn outcome(sent: &reqwest::Result<Sent>) -> Outcome {
    match sent {
        Ok(Sent::Body(_)) => Outcome::Answered,
        Ok(Sent::TooLarge) => Outcome::TooLong,
        Ok(Sent::Refused(Refusal::RateLimited(_), _)) => Outcome::RateLimited,
        Ok(Sent::Refused(Refusal::Transient(_), _)) | Err(_) => Outcome::Unavailable,
        Ok(Sent::Refused(..)) => Outcome::Refused,
    }
}

/// What happened on the wire, without the address (it may hold a key) and without any part of a body.
fn sentence(error: &reqwest::Error) -> String {
    let what = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else if error.is_body() || error.is_decode() {
        "the answer was cut"
    } else {
        "the connection broke"
    };
    what.to_owned()
}
