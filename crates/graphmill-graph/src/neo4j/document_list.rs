//! Pages of documents: filters, orders, totals.

use graphmill_core::CollectionId;

use super::documents::{COLUMNS, record};
use super::{Neo4jConnection, Params, Transaction, ids};
use crate::Result;
use crate::cursor::{Cursor, Rank};
use crate::listing::{DocumentPage, DocumentQuery, DocumentSort, Order, Page, PageStart, TOTAL_CAP};
use crate::records::DocumentRecord;

/// By what documents are sorted. The greatest first means the least of `gm_by_updated`, so that (newest first, then by id) is the order of an index.
fn column(sort: DocumentSort) -> &'static str {
    match sort {
        DocumentSort::UpdatedAt => "d.gm_by_updated",
        DocumentSort::CreatedAt => "d.created_at",
        DocumentSort::Filename => "d.folded",
        DocumentSort::FileSize => "d.file_size",
        DocumentSort::ChunkCount => "d.chunk_count",
    }
}

/// Name of the order, for cursors.
fn order_name(query: &DocumentQuery) -> String {
    format!("documents {} {}", query.sort.as_str(), query.order.as_str())
}

fn place(sort: DocumentSort, document: &DocumentRecord) -> Cursor {
    let number = |n: u64| Rank::Number(i64::try_from(n).unwrap_or(i64::MAX));
    let properties = &document.properties;
    let rank = match sort {
        DocumentSort::UpdatedAt => Rank::Number(-document.updated_at.as_millis()),
        DocumentSort::CreatedAt => Rank::Text(document.created_at.to_string()),
        DocumentSort::Filename => Rank::Text(crate::listing::folded(&properties.filename, &properties.source)),
        DocumentSort::FileSize => number(properties.file_size),
        DocumentSort::ChunkCount => number(document.chunk_count),
    };
    Cursor { rank, id: document.id.as_bytes().to_vec() }
}

/// See [`crate::GraphStore::documents`].
pub(super) async fn documents(
    neo4j: &Neo4jConnection,
    query: &DocumentQuery,
    start: &PageStart,
    limit: u32,
) -> Result<DocumentPage> {
    let (query, start) = (query.clone(), start.clone());
    neo4j.read_many(move |tx| page(tx, &query, &start, limit)).await
}

fn page(tx: &mut Transaction<'_, '_>, query: &DocumentQuery, start: &PageStart, limit: u32) -> Result<DocumentPage> {
    let after = match start {
        PageStart::Offset(_) => None,
        PageStart::Cursor(cursor) => Some(Cursor::decode(cursor, &order_name(query))?),
    };
    let (collections, documents) = live_collections(tx, query.collection.as_ref())?;
    if collections.is_empty() {
        return Ok(Page::default());
    }
    let filters = Filters::of(query, collections);
    let (total, total_capped) = if filters.is_plain { (documents, false) } else { filters.count(tx)? };
    let skip = match start {
        PageStart::Offset(rows) => i64::try_from(*rows).unwrap_or(i64::MAX),
        PageStart::Cursor(_) => 0,
    };
    let mut items = rows(tx, query, &filters, after, (skip, i64::from(limit) + 1))?;
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next_cursor = items.last().filter(|_| more).map(|last| place(query.sort, last).encode(&order_name(query)));
    Ok(Page { items, total, total_capped, next_cursor })
}

/// Collections that are not being removed (the one asked for, or all), and how many documents they have together.
fn live_collections(tx: &mut Transaction<'_, '_>, one: Option<&CollectionId>) -> Result<(Vec<String>, u64)> {
    let query = "MATCH (o:GmCollection) WHERE o.removing IS NULL AND ($one IS NULL OR o.name = $one) \
                 RETURN collect(o.name) AS names, sum(o.documents) AS documents";
    let mut row = tx.one(query, Params::new().set("one", one.map(CollectionId::as_str)))?;
    Ok((row.take("names")?, row.take("documents")?))
}

/// Conditions with their parameters. What is absent is not in the text, so that the index of what is there is used.
struct Filters {
    /// Where the documents are found.
    source: &'static str,
    conditions: Vec<&'static str>,
    params: Params,
    /// Nothing is left out but other collections.
    is_plain: bool,
}

impl Filters {
    fn of(query: &DocumentQuery, collections: Vec<String>) -> Self {
        let mut conditions = vec!["d.gm_by_updated IS NOT NULL", "d.gm_order IS NOT NULL"];
        let (source, mut params) = if query.collection.is_some() {
            conditions.push("d.collection = $collection");
            let one = collections.into_iter().next();
            let source = "MATCH (d:GmDocument) USING INDEX SEEK d:GmDocument(collection, gm_by_updated, gm_order)";
            (source, Params::new().set("collection", one))
        } else {
            conditions.push("d.collection IN $collections");
            let source = "MATCH (d:GmDocument) USING INDEX d:GmDocument(gm_by_updated, gm_order)";
            (source, Params::new().set("collections", collections))
        };
        let plain = conditions.len();
        if let Some(q) = &query.q {
            conditions.push("d.folded CONTAINS $q");
            params = params.set("q", crate::listing::lower(q));
        }
        if let Some(mime_type) = &query.mime_type {
            conditions.push("d.mime_type = $mime_type");
            params = params.set("mime_type", mime_type);
        }
        if let Some(prefix) = &query.source_prefix {
            conditions.push("d.source STARTS WITH $prefix");
            params = params.set("prefix", prefix);
        }
        if let Some(after) = query.updated_after {
            conditions.push("d.gm_by_updated <= $after");
            params = params.set("after", -after.as_millis());
        }
        if let Some(before) = query.updated_before {
            conditions.push("d.gm_by_updated > $before");
            params = params.set("before", -before.as_millis());
        }
        let is_plain = conditions.len() == plain;
        Self { source, conditions, params, is_plain }
    }

    fn text(&self) -> String {
        self.conditions.join(" AND ")
    }

    fn count(&self, tx: &mut Transaction<'_, '_>) -> Result<(u64, bool)> {
        let query = format!("{} WHERE {} WITH d LIMIT $cap RETURN count(*) AS found", self.source, self.text());
        let found: u64 = tx.one(&query, self.params.clone().set("cap", TOTAL_CAP + 1))?.take("found")?;
        Ok((found.min(TOTAL_CAP), found > TOTAL_CAP))
    }
}

fn rows(
    tx: &mut Transaction<'_, '_>,
    query: &DocumentQuery,
    filters: &Filters,
    after: Option<Cursor>,
    (skip, limit): (i64, i64),
) -> Result<Vec<DocumentRecord>> {
    let column = column(query.sort);
    let rises = (query.order == Order::Asc) != (query.sort == DocumentSort::UpdatedAt);
    // The one order is the exact reverse of the other, so that one index does for both.
    let (rank, beyond) = if rises { ("", ">") } else { (" DESC", "<") };
    let (id, later) = if query.order == Order::Desc { ("", ">") } else { (" DESC", "<") };
    // With what is the same for all in front: only then the server sees that the index has the order already.
    let same = if query.collection.is_some() { format!("d.collection{rank}, ") } else { String::new() };
    let mut params = filters.params.clone().set("skip", skip).set("limit", limit);
    let mut conditions = filters.text();
    if let Some(cursor) = after {
        conditions.push_str(&format!(
            " AND {column} {beyond}= $rank AND CASE WHEN {column} <> $rank THEN true ELSE d.gm_order {later} $order END"
        ));
        params = with_rank(params, cursor.rank).set("order", ids::order(&cursor.id));
    }
    let query = format!(
        "{} WHERE {conditions} WITH d ORDER BY {same}{column}{rank}, d.gm_order{id} SKIP $skip LIMIT $limit RETURN {COLUMNS}",
        filters.source
    );
    tx.rows(&query, params)?.into_iter().map(record).collect()
}

/// A cursor's rank as the parameter `$rank`.
pub(super) fn with_rank(params: Params, rank: Rank) -> Params {
    match rank {
        Rank::Number(number) => params.set("rank", number),
        Rank::Text(text) => params.set("rank", text),
    }
}
