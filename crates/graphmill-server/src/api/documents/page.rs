//! `GET /api/documents/{document_id}/pages/{page}?part=1`: the text of a page (from 1) of a published document, as it was read from the original. A very long
//! page (a text file is one page) comes in parts; the header `Link` names the next. 400: a bad `part`. 404: there is no such document, page or part, or the
//! document is not published.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Json, http::HeaderValue, http::header};
use graphmill_core::DocumentId;
use graphmill_graph::records::DocumentRecord;
use graphmill_jobs::page_text::page_part;
use serde::Serialize;

use super::published;
use crate::error::shortened;
use crate::openapi::{And, BadParameter, NoSuchDocument};
use crate::params::Params;
use crate::path::PagePath;
use crate::{AppState, Error, Result, Scope};

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = PageText)]
struct Answer {
    document_id: DocumentId,
    page: u32,
    page_count: u32,
    text: String,
    part: u32,
    parts: u32,
}

/// The text of a page, as it was read.
#[utoipa::path(
    get,
    path = "/api/documents/{document_id}/pages/{page}",
    tag = "documents",
    operation_id = "get_document_page",
    params(("document_id" = DocumentId, Path, description = "The document"),
 ("page" = u32, Path, description = "The page, from 1", minimum = 1),
 ("part" = Option<u32>, Query, description = "The part of a very long page, from 1", minimum = 1, maximum = 4_294_967_295_i64)),
    responses(
        (status = 200, description = "The text, or a part of it", body = Answer,
 headers(("Link" = Option<String>, description = "The next part, with rel=\"next\"; absent on the last"))),
        And<BadParameter, NoSuchDocument>,
    )
)]
pub(crate) async fn handle(
    State(state): State<AppState>,
    scope: Scope,
    PagePath(id, wanted): PagePath,
    params: Params,
) -> Result<Response> {
    let part = params.number("part", 1..=u64::from(u32::MAX))?.and_then(|part| u32::try_from(part).ok()).unwrap_or(1);
    let (document, blob) = published(&state, &scope, id, |document| &document.properties.page_text).await?;
    let page = wanted.parse().ok().filter(|page| *page >= 1).ok_or_else(|| no_such_page(&document, &wanted))?;
    let found = page_part(blob, page, part).await?.ok_or_else(|| match part {
        1 => no_such_page(&document, &wanted),
        _ => Error::not_found(format!("page {page} of {id} has no part {part}")),
    })?;
    let answer = Answer {
        document_id: id,
        page,
        page_count: document.properties.page_count,
        text: found.text,
        part,
        parts: found.parts,
    };
    let mut response = Json(answer).into_response();
    if part < found.parts {
        let link = format!("</api/documents/{id}/pages/{page}?part={}>; rel=\"next\"", part + 1);
        response.headers_mut().extend(HeaderValue::try_from(link).ok().map(|link| (header::LINK, link)));
    }
    Ok(response)
}

fn no_such_page(document: &DocumentRecord, shown: &str) -> Error {
    let last = document.properties.page_count;
    Error::not_found(format!("{} has no page {}", document.id, shortened(shown)))
        .hint(format!("its pages are 1 to {last}"))
}
