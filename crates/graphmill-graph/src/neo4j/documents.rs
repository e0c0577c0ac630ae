//! Reading documents and their chunks.

use std::sync::Arc;

use graphmill_core::{CollectionId, DocumentId, Seq};

use super::placements::{PLACE, placement_from};
use super::spaces::{embedding, spaces_in};
use super::staging::{EMBEDDING_QUARANTINED, FACTS_QUARANTINED};
use super::{Neo4jConnection, Params, Row, Transaction, ids, lock};
use crate::facts_column::FactsView;
use crate::records::{
    ChunkRecord, DocumentProperties, DocumentRecord, PlacedChunk, PublishedSeq, Space, SpaceId, StagedChunk,
};
use crate::{Error, Result};

/// What [`record`] reads, of a document `d`.
pub(super) const COLUMNS: &str = "d.id AS id, d.collection AS collection, d.seq AS seq, d.source AS source, \
    d.filename AS filename, d.content_hash AS content_hash, d.settings_hash AS settings_hash, d.settings AS settings, \
    d.file_size AS file_size, d.page_count AS page_count, d.mime_type AS mime_type, d.title AS title, \
    d.language AS language, d.original AS original, d.page_text AS page_text, d.quarantined_chunks AS quarantined_chunks, \
    d.chunk_count AS chunk_count, d.created_at AS created_at, d.updated_at AS updated_at";

/// A document `d` of the id `$id` that readers see.
pub(super) const PUBLISHED: &str = "MATCH (d:GmDocument {id: $id}) WHERE d.seq IS NOT NULL AND d.deleted = 0 \
    MATCH (o:GmCollection {name: d.collection}) WHERE o.removing IS NULL";

/// See [`crate::GraphStore::document`].
pub(super) async fn document(neo4j: &Neo4jConnection, document: DocumentId) -> Result<Option<DocumentRecord>> {
    neo4j.read_many(move |tx| document_in(tx, document)).await
}

fn document_in(tx: &mut Transaction<'_, '_>, document: DocumentId) -> Result<Option<DocumentRecord>> {
    let query = format!("{PUBLISHED} RETURN {COLUMNS}");
    tx.first(&query, Params::new().set("id", document.to_string()))?.map(record).transpose()
}

/// Reads a document from [`COLUMNS`].
pub(super) fn record(mut row: Row) -> Result<DocumentRecord> {
    let id: DocumentId = ids::take(&mut row, "id")?;
    let settings: String = row.take("settings")?;
    Ok(DocumentRecord {
        id,
        collection: ids::take(&mut row, "collection")?,
        seq: Seq(row.take("seq")?),
        properties: DocumentProperties {
            source: row.take("source")?,
            filename: row.take("filename")?,
            content_hash: ids::take(&mut row, "content_hash")?,
            settings_hash: ids::take(&mut row, "settings_hash")?,
            settings: serde_json::from_str(&settings)
                .map_err(|e| Error::Unusable(format!("the graph is damaged: the settings of {id} ({e})")))?,
            file_size: row.take("file_size")?,
            page_count: row.take("page_count")?,
            mime_type: row.take("mime_type")?,
            title: row.take("title")?,
            language: row.take("language")?,
            original: row.take("original")?,
            page_text: row.take("page_text")?,
            quarantined_chunks: row.take("quarantined_chunks")?,
        },
        chunk_count: row.take("chunk_count")?,
        created_at: ids::take(&mut row, "created_at")?,
        updated_at: ids::take(&mut row, "updated_at")?,
    })
}

/// See [`crate::GraphStore::published_seq`].
pub(super) async fn published_seq(neo4j: &Neo4jConnection, document: DocumentId) -> Result<Option<PublishedSeq>> {
    let query = "MATCH (d:GmDocument {id: $id}) WHERE d.seq IS NOT NULL MATCH (o:GmCollection {name: d.collection}) \
                 RETURN coalesce(o.removing, d.seq) AS seq, d.deleted > 0 OR o.removing IS NOT NULL AS deleted";
    let rows = neo4j.read(query, Params::new().set("id", document.to_string())).await?;
    let seq = |mut row: Row| Ok(PublishedSeq { seq: Seq(row.take("seq")?), deleted: row.take("deleted")? });
    rows.into_iter().next().map(seq).transpose()
}

/// A document's chunks `c` with their places `h` from an index on, by the index of relationships: a page of a long document reads no other.
const PLACED_FROM: &str = "MATCH (d:GmDocument)-[h:HAS_CHUNK]->(c:GmChunk) USING INDEX SEEK h:HAS_CHUNK(gm_document, chunk_index) \
    WHERE h.gm_document = $id AND h.chunk_index >= $from";

/// What [`chunk_record`] reads, of a chunk `c` and its place `h`.
pub(super) fn chunk_columns() -> String {
    format!("{PLACE}, c.text AS text, c.context AS context, c.token_count AS token_count, c.flags AS flags")
}

/// A placed chunk.
pub(super) fn chunk_record(row: &mut Row, document: DocumentId) -> Result<ChunkRecord> {
    let (chunk_index, placement) = placement_from(row)?;
    let flags: i64 = row.take("flags")?;
    Ok(ChunkRecord {
        document,
        chunk_index,
        placement,
        text: row.take("text")?,
        context: row.take("context")?,
        token_count: row.take("token_count")?,
        facts_quarantined: flags & FACTS_QUARANTINED != 0,
        embedding_quarantined: flags & EMBEDDING_QUARANTINED != 0,
    })
}

/// See [`crate::GraphStore::chunks`].
pub(super) async fn chunks(
    neo4j: &Neo4jConnection,
    document: DocumentId,
    from: u32,
    limit: u32,
) -> Result<Vec<ChunkRecord>> {
    let query = format!(
        "{PLACED_FROM} MATCH (o:GmCollection {{name: c.collection}}) WHERE o.removing IS NULL RETURN {} \
         ORDER BY h.gm_document, h.chunk_index LIMIT $limit",
        chunk_columns()
    );
    let params = Params::new().set("id", document.to_string()).set("from", from).set("limit", limit);
    let rows = neo4j.read_many(move |tx| tx.rows(&query, params.clone())).await?;
    rows.into_iter().map(|mut row| chunk_record(&mut row, document)).collect()
}

/// See [`crate::GraphStore::document_part`].
pub(super) async fn document_part(
    neo4j: &Neo4jConnection,
    document: DocumentId,
    seq: Seq,
    from: u32,
    limit: u32,
) -> Result<Option<Vec<PlacedChunk>>> {
    let Some(collection) = collection_of(neo4j, document).await? else { return Ok(None) };
    let part = || async {
        let collection = collection.clone();
        neo4j.read_many(move |tx| part_in(tx, &collection, document, seq, (from, limit))).await
    };
    lock::of_one_moment(neo4j, &collection, part).await
}

/// The collection of a published document.
pub(super) async fn collection_of(neo4j: &Neo4jConnection, document: DocumentId) -> Result<Option<CollectionId>> {
    let rows = neo4j
        .read_many(move |tx| {
            let query = format!("{PUBLISHED} RETURN d.collection AS collection");
            tx.rows(&query, Params::new().set("id", document.to_string()))
        })
        .await?;
    rows.into_iter().next().map(|mut row| ids::take(&mut row, "collection")).transpose()
}

fn part_in(
    tx: &mut Transaction<'_, '_>,
    collection: &CollectionId,
    document: DocumentId,
    seq: Seq,
    (from, limit): (u32, u32),
) -> Result<Option<Vec<PlacedChunk>>> {
    let stands = format!("{PUBLISHED} AND d.seq = $seq RETURN 1 AS one");
    let params = Params::new().set("id", document.to_string());
    if tx.first(&stands, params.clone().set("seq", seq.0))?.is_none() {
        return Ok(None);
    }
    let spaces = spaces_in(tx, collection)?;
    let vectors: String = spaces.iter().map(|s| format!(", c.{0} AS {0}", embedding(s.id))).collect();
    let query = format!(
        "{PLACED_FROM} RETURN {}, c.content_hash AS content_hash, c.facts AS facts{vectors} \
         ORDER BY h.gm_document, h.chunk_index LIMIT $limit",
        chunk_columns()
    );
    let mut part = Vec::new();
    tx.each_row(&query, params.set("from", from).set("limit", limit), |mut row| {
        part.push(placed_chunk(&mut row, document, &spaces)?);
        Ok(())
    })?;
    Ok(Some(part))
}

fn placed_chunk(row: &mut Row, document: DocumentId, spaces: &[Space]) -> Result<PlacedChunk> {
    let record = chunk_record(row, document)?;
    let facts: Vec<u8> = row.take("facts")?;
    let mut vectors: Vec<(SpaceId, Arc<[f32]>)> = Vec::with_capacity(spaces.len());
    for space in spaces {
        let vector: Option<Vec<f32>> = row.take(&embedding(space.id))?;
        vectors.extend(vector.map(|vector| (space.id, vector.into())));
    }
    let chunk = StagedChunk {
        id: record.placement.chunk,
        text: record.text,
        context: record.context,
        content_hash: ids::take(row, "content_hash")?,
        token_count: record.token_count,
        facts: FactsView::read(&facts)?.to_facts()?,
        vectors,
        embedding_quarantined: record.embedding_quarantined,
    };
    Ok(PlacedChunk { placement: record.placement, chunk })
}

/// See [`crate::GraphStore::blobs_unnamed_among`].
pub(super) async fn blobs_unnamed_among(neo4j: &Neo4jConnection, keys: &[String]) -> Result<Vec<String>> {
    let query = "UNWIND $keys AS key WITH key WHERE NOT EXISTS { MATCH (d:GmDocument {original: key}) } \
                 AND NOT EXISTS { MATCH (d:GmDocument {page_text: key}) } RETURN key";
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let rows = neo4j.read(query, Params::new().set("keys", keys)).await?;
    rows.into_iter().map(|mut row| row.take("key")).collect()
}
