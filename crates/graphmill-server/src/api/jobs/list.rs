//! `GET /api/jobs?status=&job_type=&collection=&q=&created_after=&created_before=&limit=50&offset=0&cursor=`: newest first by (created_at, id).
//!
//! `cursor` is opaque; the next one stands in the header `Link` (RFC 8288). A walk by cursor shows each job that stays exactly once, whatever comes
//! and goes meanwhile. 400: an unknown word, a bad number or time, a cursor that is none, `cursor` together with `offset`.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use graphmill_store::requests::{JobFilter, PageStart};
use serde::Serialize;

use crate::api::shape::JobShape;
use crate::params::Params;
use crate::{AppState, Error, Result};

#[derive(Serialize)]
struct Answer {
    jobs: Vec<JobShape>,
    total: u64,
    limit: u32,
    offset: u64,
    has_more: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    total_capped: bool,
}

pub(crate) async fn handle(State(state): State<AppState>, params: Params) -> Result<Response> {
    let filter = JobFilter {
        status: params.parsed("status")?,
        job_type: params.parsed("job_type")?,
        collection: params.parsed("collection")?,
        q: params.text("q")?.map(str::to_owned),
        created_after: params.parsed("created_after")?,
        created_before: params.parsed("created_before")?,
    };
    let (limit, offset) = (params.limit(50)?, params.offset()?);
    let start = match params.text("cursor")? {
        None => PageStart::Offset(offset),
        Some(_) if offset > 0 => {
            return Err(Error::invalid(
                "cursor and offset were both given; a cursor says by itself where the page begins",
            ));
        }
        Some(cursor) => PageStart::Cursor(cursor.to_owned()),
    };
    let page = state.jobs().list(&filter, start, limit).await?;
    let link = page
        .next_cursor
        .as_ref()
        .map(|c| format!("</api/jobs?{}>; rel=\"next\"", params.with("cursor", c, &["offset"])));
    let answer = Answer {
        jobs: page.jobs.into_iter().map(JobShape::from).collect(),
        total: page.total,
        limit,
        offset,
        has_more: page.next_cursor.is_some(),
        total_capped: page.total_capped,
    };
    let mut response = Json(answer).into_response();
    if let Some(link) = link.and_then(|l| HeaderValue::try_from(l).ok()) {
        response.headers_mut().insert(header::LINK, link);
    }
    Ok(response)
}
