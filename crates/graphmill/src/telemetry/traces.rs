//! Traces by OTLP over HTTP with protobuf, when `OTEL_EXPORTER_OTLP_ENDPOINT` (or `…_TRACES_ENDPOINT`) names a collector. The other `OTEL_*` variables of
//! the specification hold too (headers, timeout, sampler, service name).
//!
//! Batches are sent from a thread of their own; what a collector does not take in time is dropped and nothing waits for it.

use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use bytes::Bytes;
use graphmill_core::trace::TARGET;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{Directive, LevelFilter, Targets};
use tracing_subscriber::registry::LookupSpan;

/// How long the end of a server waits for its last spans to be sent.
const LAST_SPANS: Duration = Duration::from_secs(2);
/// How long one request to the collector may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The running export; nothing without a collector.
pub(crate) struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Sends what is left, for at most two seconds.
    pub(crate) fn end(self) {
        if let Some(provider) = self.0
            && let Err(error) = provider.shutdown_with_timeout(LAST_SPANS)
        {
            tracing::debug!(%error, "the last traces could not be sent");
        }
    }
}

/// Keeps the spans out of the log.
pub(super) fn not_in_the_log() -> Directive {
    let off = format!("{TARGET}=off");
    off.parse().unwrap_or_else(|_| LevelFilter::WARN.into()) // a constant that parses
}

/// A layer of the process' subscriber.
type AnyLayer<S> = Box<dyn Layer<S> + Send + Sync>;

/// The layer that listens to spans, if a collector is named.
pub(super) fn start<S>(server: bool, runtime: &Handle) -> anyhow::Result<(Option<AnyLayer<S>>, Traces)>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let wanted = set("OTEL_EXPORTER_OTLP_ENDPOINT") || set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    if !server || !wanted {
        return Ok((None, Traces(None)));
    }
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_http_client(Collector::new(runtime.clone())?)
        .build()
        .context("OTEL_EXPORTER_OTLP_ENDPOINT is set and traces cannot be exported; give an address such as http://127.0.0.1:4318")?;
    let service = std::env::var("OTEL_SERVICE_NAME").ok().filter(|name| !name.is_empty());
    let resource = Resource::builder().with_service_name(service.unwrap_or_else(|| "graphmill".to_owned())).build();
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("graphmill"));
    let layer = layer.with_filter(Targets::new().with_target(TARGET, LevelFilter::INFO)).boxed();
    Ok((Some(layer), Traces(Some(provider))))
}

/// Our HTTP client for the exporter, whose thread has no runtime of its own.
#[derive(Debug)]
struct Collector {
    http: reqwest::Client,
    runtime: Handle,
}

impl Collector {
    fn new(runtime: Handle) -> anyhow::Result<Self> {
        // The client is built without a TLS provider of its own choice.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { http, runtime })
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = self.http.clone();
        let sent = self.runtime.spawn(async move {
            let answer = http.execute(request.try_into()?).await?;
            let mut response = Response::builder().status(answer.status());
            for (name, value) in answer.headers() {
                response = response.header(name, value);
            }
            Ok::<_, HttpError>(response.body(answer.bytes().await?)?)
        });
        sent.await?
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::EnvFilter;

    use super::*;

    #[test]
    fn the_log_leaves_spans_out() {
        assert_eq!(not_in_the_log().to_string(), "graphmill::trace=off");
        assert!(EnvFilter::new("info").add_directive(not_in_the_log()).to_string().contains(TARGET));
    }
}
