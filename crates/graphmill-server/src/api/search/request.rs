//! What is asked for.

use std::str::FromStr;

use graphmill_core::{CollectionId, DocumentId, EntityId, EntityName};
use graphmill_graph::records::SearchFilter;
use serde::Serialize;

use crate::error::shortened;
use crate::params::Params;
use crate::{Error, Result};

/// Longest `q`, in characters.
const LONGEST_QUERY: usize = 4_000;
/// Most hits of an answer.
const MOST_HITS: u64 = 100;
/// Most ids of one filter.
const MOST_IDS: usize = 100;

/// How it is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = SearchMode)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mode {
    /// Both, fused by ranks.
    Hybrid,
    /// By words (BM25).
    Text,
    /// By meaning, as far as the embedding model knows it (cosine).
    Vector,
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(s: &str) -> std::result::Result<Self, String> {
        match s {
            "hybrid" => Ok(Self::Hybrid),
            "text" => Ok(Self::Text),
            "vector" => Ok(Self::Vector),
            other => Err(format!("{:?} is none of hybrid, text, vector", shortened(other))),
        }
    }
}

/// The parameters, checked.
#[derive(Debug)]
pub(super) struct SearchRequest {
    pub(super) query: String,
    pub(super) mode: Mode,
    pub(super) limit: u32,
    pub(super) filter: SearchFilter,
}

impl SearchRequest {
    pub(super) fn read(params: &Params, collection: &CollectionId) -> Result<Self> {
        let query = params.text("q")?.map(str::trim).unwrap_or_default();
        if query.is_empty() {
            return Err(Error::invalid("the parameter q is missing; it holds what to search for")
                .hint("for example /api/search?q=pump+maintenance&mode=hybrid&limit=10"));
        }
        let length = query.chars().count();
        if length > LONGEST_QUERY {
            return Err(Error::invalid(format!(
                "the parameter q has {length} characters; at most {LONGEST_QUERY} are searched for"
            )));
        }
        let limit = params.number("limit", 1..=MOST_HITS)?.and_then(|n| u32::try_from(n).ok()).unwrap_or(10);
        Ok(Self {
            query: query.to_owned(),
            mode: params.parsed("mode")?.unwrap_or(Mode::Hybrid),
            limit,
            filter: SearchFilter {
                documents: documents(params)?,
                updated_after: params.parsed("updated_after")?,
                updated_before: params.parsed("updated_before")?,
                entities: entities(params, collection)?,
            },
        })
    }
}

fn documents(params: &Params) -> Result<Vec<DocumentId>> {
    let Some(list) = params.text("document")? else { return Ok(Vec::new()) };
    few("document", list.split(',').map(str::trim))?
        .into_iter()
        .map(|id| id.parse().map_err(|e| Error::invalid(format!("the parameter document: {e}"))))
        .collect()
}

/// Ids, separated by commas, or one name (which may have commas).
fn entities(params: &Params, collection: &CollectionId) -> Result<Vec<EntityId>> {
    let Some(value) = params.text("entity")? else { return Ok(Vec::new()) };
    let ids: Option<Vec<EntityId>> = value.split(',').map(|id| id.trim().parse().ok()).collect();
    if let Some(ids) = ids {
        return few("entity", ids.into_iter());
    }
    let name = EntityName::new(value).map_err(|e| {
        Error::invalid(format!("the parameter entity is {:?}, neither an id nor a name: {e}", shortened(value)))
    })?;
    Ok(vec![EntityId::new(collection, &name)])
}

fn few<T>(name: &str, ids: impl Iterator<Item = T>) -> Result<Vec<T>> {
    let ids: Vec<T> = ids.take(MOST_IDS + 1).collect();
    if ids.len() > MOST_IDS {
        return Err(Error::invalid(format!("the parameter {name} has more than {MOST_IDS} ids")));
    }
    Ok(ids)
}
