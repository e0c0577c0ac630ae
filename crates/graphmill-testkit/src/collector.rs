//! A receiver of traces (OTLP over HTTP).

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::IntoResponse;
use parking_lot::Mutex;
use tokio::net::TcpListener;

/// One request that was received.
#[derive(Debug, Clone)]
pub struct Export {
    /// Its path.
    pub path: String,
    /// Its content type.
    pub content_type: String,
    /// Its body (protobuf, whose texts stand in it as they are).
    pub body: Vec<u8>,
}

/// Takes everything and keeps it.
#[derive(Debug, Clone)]
pub struct TraceCollector {
    url: String,
    exports: Arc<Mutex<Vec<Export>>>,
}

impl TraceCollector {
    /// Starts it on a free port; it ends with the process.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let exports = Arc::new(Mutex::new(Vec::new()));
        let router = Router::new().fallback(keep).with_state(exports.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { url, exports })
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` is set to.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What was received so far.
    pub fn exports(&self) -> Vec<Export> {
        self.exports.lock().clone()
    }

    /// Whether a text stands in anything that was received.
    pub fn has(&self, text: &str) -> bool {
        let in_it = |export: &Export| export.body.windows(text.len()).any(|window| window == text.as_bytes());
        self.exports.lock().iter().any(in_it)
    }
}

async fn keep(
    State(exports): State<Arc<Mutex<Vec<Export>>>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> impl IntoResponse {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let export = Export { path: uri.path().to_owned(), content_type: content_type.to_owned(), body: body.to_vec() };
    exports.lock().push(export);
    (StatusCode::OK, [(header::CONTENT_TYPE, "application/x-protobuf")])
}
