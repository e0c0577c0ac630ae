//! WebSockets of the command line, with or without TLS.

use std::sync::Arc;

use anyhow::Context;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};

/// What a WebSocket goes over.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// Opens a WebSocket. `base` is `http://…` or `https://…`; the token goes into a header.
pub(super) async fn connect(
    base: &str,
    path: &str,
    token: Option<&str>,
    tls: Option<&Arc<ClientConfig>>,
) -> anyhow::Result<WebSocketStream<Box<dyn Wire>>> {
    let mut request = format!("{}{path}", base.replacen("http", "ws", 1)).into_client_request()?;
    if let Some(token) = token {
        let mut value = HeaderValue::try_from(format!("Bearer {token}"))?;
        value.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    let url = url::Url::parse(base)?;
    let host = url.host_str().context("the server's address has no host")?.trim_matches(['[', ']']).to_owned();
    let port = url.port_or_known_default().unwrap_or(80);
    let stream = TcpStream::connect((host.as_str(), port)).await?;
    let wire: Box<dyn Wire> = match tls {
        Some(config) if url.scheme() == "https" => {
            let connector = tokio_rustls::TlsConnector::from(config.clone());
            Box::new(connector.connect(ServerName::try_from(host)?, stream).await?)
        }
        _ => Box::new(stream),
    };
    Ok(tokio_tungstenite::client_async(request, wire).await?.0)
}
