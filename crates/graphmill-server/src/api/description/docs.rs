//! `GET /docs`: the description for people, drawn from `/openapi.json` by a page of our own. It needs nothing from elsewhere: no file of another host,
//! no inline script or style, so that the strictest content policy holds.

use axum::http::header;
use axum::response::{IntoResponse, Response};

/// Nothing but our own script, style and description.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

/// The description for people.
#[utoipa::path(
    get,
    path = "/docs",
    tag = "server",
    operation_id = "docs",
    responses((status = 200, description = "A page", body = String, content_type = "text/html"))
)]
pub(crate) async fn handle() -> Response {
    file("text/html; charset=utf-8", include_str!("docs/page.html"))
}

/// The script of the page.
#[utoipa::path(
    get,
    path = "/docs/page.js",
    tag = "server",
    operation_id = "docs_script",
    responses((status = 200, description = "A script", body = String, content_type = "text/javascript"))
)]
pub(crate) async fn script() -> Response {
    file("text/javascript; charset=utf-8", include_str!("docs/page.js"))
}

/// The style of the page.
#[utoipa::path(
    get,
    path = "/docs/page.css",
    tag = "server",
    operation_id = "docs_style",
    responses((status = 200, description = "A style", body = String, content_type = "text/css"))
)]
pub(crate) async fn style() -> Response {
    file("text/css; charset=utf-8", include_str!("docs/page.css"))
}

fn file(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, text).into_response()
}

#[cfg(test)]
mod tests {
    use crate::test_server::TestServer;

    #[tokio::test]
    async fn the_page_needs_nothing_from_elsewhere() {
        let server = TestServer::start().await;
        for (path, kind) in
            [("/docs", "text/html"), ("/docs/page.js", "text/javascript"), ("/docs/page.css", "text/css")]
        {
            let answer = server.get(path).await;
            assert_eq!(answer.status, 200, "{path}");
            assert!(answer.headers["content-type"].to_str().unwrap().starts_with(kind));
            assert!(answer.headers["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
            assert_eq!(answer.headers["x-content-type-options"], "nosniff");
            for foreign in ["http://", "https://", "//cdn", "@import", "innerHTML", "eval("] {
                assert!(!answer.text.contains(foreign), "{path} has {foreign}");
            }
        }
        let page = server.get("/docs").await.text;
        assert!(page.contains("src=\"/docs/page.js\"") && page.contains("href=\"/docs/page.css\""));
        assert!(!page.contains("<style") && !page.contains("onclick"), "the policy forbids both");
    }
}
