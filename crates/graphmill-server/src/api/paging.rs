//! Pages of lists: where one begins, and the header `Link` (RFC 8288) to the next.

use axum::Json;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use graphmill_graph::listing::PageStart;
use serde::Serialize;

use crate::params::Params;
use crate::{Error, Result};

/// `limit`, `offset` and `cursor` of a request.
pub(crate) struct Paging {
    /// At most so many rows.
    pub(crate) limit: u32,
    /// As it was given; 0 with a cursor.
    pub(crate) offset: u64,
    /// The same for the store.
    pub(crate) start: PageStart,
}

impl Paging {
    pub(crate) fn of(params: &Params, default_limit: u32) -> Result<Self> {
        let (limit, offset) = (params.limit(default_limit)?, params.offset()?);
        let start = match params.text("cursor")? {
            None => PageStart::Offset(offset),
            Some(_) if offset > 0 => {
                return Err(Error::invalid(
                    "cursor and offset were both given; a cursor says by itself where the page begins",
                ));
            }
            Some(cursor) => PageStart::Cursor(cursor.to_owned()),
        };
        Ok(Self { limit, offset, start })
    }
}

/// The answer, with a link to the next page when there is one.
pub(crate) fn with_next(answer: impl Serialize, path: &str, params: &Params, next_cursor: Option<&str>) -> Response {
    let mut response = Json(answer).into_response();
    let link = next_cursor.map(|c| format!("<{path}?{}>; rel=\"next\"", params.with("cursor", c, &["offset"])));
    if let Some(link) = link.and_then(|link| HeaderValue::try_from(link).ok()) {
        response.headers_mut().insert(header::LINK, link);
    }
    response
}
