//! Vectors of chunks: what runs read of them, and what runs of the embeddings write.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use graphmill_core::{ChunkId, CollectionId, text_in_context};

use super::collections::is_there;
use super::layers::{admit, wrong_layer};
use super::lock::{Lock, lock, raise_publish_number, write_at_once};
use super::placements::{Counters, ROWS};
use super::similarities::at as position_at;
use super::spaces::{check_vector, count_live, embedding, spaces_in};
use super::staging::{EMBEDDING_QUARANTINED, FACTS_QUARANTINED};
use super::{Neo4jConnection, Params, Row, Transaction, ids};
use crate::Result;
use crate::records::{Layer, LayerRun, SpaceId, SpaceState, VectorHead, VectorPage};

/// Vectors that one transaction sweeps.
const SWEEP_VECTORS: usize = 2_000;
/// Components of the vectors of one query, about 1 MB on the wire.
const QUERY_COMPONENTS: usize = 1 << 17;

/// Live chunks of a collection, in the order of their ids, as the index has them. (Behind another `MATCH` they would be sorted.)
const LIVE_BY_ID: &str = "MATCH (c:GmChunk) USING INDEX SEEK c:GmChunk(collection, gm_order) \
                          WHERE c.collection = $collection AND c.gm_order > $after AND c.unplaced_of IS NULL";
const TEXT_BY_ID: &str =
    "RETURN c.id AS id, c.text AS text, c.context AS context ORDER BY c.collection, c.gm_order LIMIT $limit";

fn by_id(collection: &CollectionId, after: Option<ChunkId>, limit: u32) -> Params {
    let after = after.map(|id| ids::order(id.as_bytes())).unwrap_or_default();
    Params::new().set("collection", collection.as_str()).set("after", after).set("limit", limit)
}

fn text_to_embed(mut row: Row) -> Result<(ChunkId, String)> {
    let (text, context): (String, Option<String>) = (row.take("text")?, row.take("context")?);
    Ok((ids::take(&mut row, "id")?, text_in_context(context.as_deref(), &text).into_owned()))
}

/// See [`crate::GraphStore::space_delta`].
pub(super) async fn space_delta(
    neo4j: &Neo4jConnection,
    collection: &CollectionId,
    space: SpaceId,
    after: Option<ChunkId>,
    limit: u32,
) -> Result<Vec<(ChunkId, String)>> {
    let collection = collection.clone();
    neo4j.read_many(move |tx| delta(tx, &collection, space, after, limit)).await
}

fn delta(
    tx: &mut Transaction<'_, '_>,
    collection: &CollectionId,
    space: SpaceId,
    after: Option<ChunkId>,
    limit: u32,
) -> Result<Vec<(ChunkId, String)>> {
    if !is_there(tx, collection)? {
        return Ok(Vec::new());
    }
    let query = format!(
        "{LIVE_BY_ID} AND c.{} IS NULL AND (c.flags / {EMBEDDING_QUARANTINED}) % 2 = 0 {TEXT_BY_ID}",
        embedding(space)
    );
    tx.rows(&query, by_id(collection, after, limit))?.into_iter().map(text_to_embed).collect()
}

/// See [`crate::GraphStore::chunk_texts`].
pub(super) async fn chunk_texts(
    neo4j: &Neo4jConnection,
    collection: &CollectionId,
    after: Option<ChunkId>,
    limit: u32,
) -> Result<Vec<(ChunkId, String)>> {
    let collection = collection.clone();
    neo4j
        .read_many(move |tx| {
            if !is_there(tx, &collection)? {
                return Ok(Vec::new());
            }
            let rows = tx.rows(&format!("{LIVE_BY_ID} {TEXT_BY_ID}"), by_id(&collection, after, limit))?;
            rows.into_iter().map(text_to_embed).collect()
        })
        .await
}

fn add(page: &mut VectorPage, mut row: Row) -> Result<()> {
    page.heads.push(VectorHead { position: row.take("position")?, chunk: ids::take(&mut row, "id")? });
    page.components.append(&mut row.take::<Vec<f32>>("vector")?);
    Ok(())
}

async fn read_page(
    neo4j: &Neo4jConnection,
    collection: &CollectionId,
    query: String,
    params: Params,
) -> Result<VectorPage> {
    let collection = collection.clone();
    neo4j
        .read_many(move |tx| {
            let mut page = VectorPage::default();
            if !is_there(tx, &collection)? {
                return Ok(page);
            }
            tx.each_row(&query, params.clone(), |row| add(&mut page, row))?;
            Ok(page)
        })
        .await
}

/// See [`crate::GraphStore::vectors`].
pub(super) async fn page(
    neo4j: &Neo4jConnection,
    collection: &CollectionId,
    space: SpaceId,
    positions: Range<u64>,
    limit: u32,
) -> Result<VectorPage> {
    let query = format!(
        "MATCH (c:GmChunk) USING INDEX SEEK c:GmChunk(collection, position) \
         WHERE c.collection = $collection AND c.position >= $from AND c.position < $to AND c.unplaced_of IS NULL \
         AND c.{vector} IS NOT NULL \
         RETURN c.position AS position, c.id AS id, c.{vector} AS vector ORDER BY c.collection, c.position LIMIT $limit",
        vector = embedding(space)
    );
    let params = Params::new()
        .set("collection", collection.as_str())
        .set("from", position_at(positions.start))
        .set("to", position_at(positions.end))
        .set("limit", limit);
    read_page(neo4j, collection, query, params).await
}

/// See [`crate::GraphStore::vectors_at`].
pub(super) async fn at(
    neo4j: &Neo4jConnection,
    collection: &CollectionId,
    space: SpaceId,
    positions: &[u64],
) -> Result<VectorPage> {
    let query = format!(
        "UNWIND range(0, size($positions) - 1) AS n WITH n, $positions[n] AS position \
         MATCH (c:GmChunk {{collection: $collection, position: position}}) USING INDEX c:GmChunk(collection, position) \
         WHERE c.unplaced_of IS NULL AND c.{vector} IS NOT NULL \
         RETURN position, c.id AS id, c.{vector} AS vector ORDER BY n",
        vector = embedding(space)
    );
    let positions: Vec<i64> = positions.iter().map(|position| position_at(*position)).collect();
    let params = Params::new().set("collection", collection.as_str()).set("positions", positions);
    read_page(neo4j, collection, query, params).await
}

/// A placed chunk that a run writes to.
struct Placed {
    flags: i64,
    has_vector: bool,
}

/// Those of the chunks that are placed in the collection.
fn placed(
    tx: &mut Transaction<'_, '_>,
    collection: &CollectionId,
    space: Option<SpaceId>,
    chunks: &[ChunkId],
) -> Result<HashMap<ChunkId, Placed>> {
    let has = space.map_or_else(|| "false".to_owned(), |space| format!("c.{} IS NOT NULL", embedding(space)));
    let query = format!(
        "UNWIND $ids AS id MATCH (c:GmChunk {{id: id}}) WHERE c.collection = $collection AND c.unplaced_of IS NULL \
         RETURN id, c.flags AS flags, {has} AS has_vector"
    );
    let mut found = HashMap::with_capacity(chunks.len());
    for part in chunks.chunks(ROWS) {
        let ids: Vec<String> = part.iter().map(ToString::to_string).collect();
        tx.each_row(&query, Params::new().set("collection", collection.as_str()).set("ids", ids), |mut row| {
            let placed = Placed { flags: row.take("flags")?, has_vector: row.take("has_vector")? };
            found.insert(ids::take(&mut row, "id")?, placed);
            Ok(())
        })?;
    }
    Ok(found)
}

/// See [`crate::GraphStore::put_vectors`].
pub(super) async fn put_vectors(
    neo4j: &Neo4jConnection,
    run: &LayerRun,
    space: SpaceId,
    rows: Vec<(ChunkId, Vec<f32>)>,
) -> Result<()> {
    wrong_layer(run, Layer::Embeddings)?;
    let put = run.clone();
    let done = write_at_once(neo4j, &run.collection, move |tx| {
        put_in(tx, &put, space, &rows)?;
        graphmill_core::fault_point!("put_vectors.before_commit");
        Ok(())
    })
    .await;
    graphmill_core::fault_point!("put_vectors.after_commit");
    done
}

fn put_in(tx: &mut Transaction<'_, '_>, run: &LayerRun, space: SpaceId, rows: &[(ChunkId, Vec<f32>)]) -> Result<()> {
    admit(tx, run, false)?;
    let spaces = spaces_in(tx, &run.collection)?;
    for (_, vector) in rows {
        check_vector(&spaces, space, vector)?;
    }
    // Of a chunk that is named twice the last vector counts.
    let rows: BTreeMap<ChunkId, &[f32]> = rows.iter().map(|(chunk, vector)| (*chunk, &vector[..])).collect();
    let chunks: Vec<ChunkId> = rows.keys().copied().collect();
    let found = placed(tx, &run.collection, Some(space), &chunks)?;
    if found.is_empty() {
        return Ok(());
    }
    let number = raise_publish_number(tx, &run.collection)?;
    let query = format!(
        "UNWIND $rows AS row MATCH (c:GmChunk {{id: row.id}}) SET c.{} = row.vector, c.flags = row.flags, c.published_at = $number",
        embedding(space)
    );
    let mut counters = Counters::default();
    let (mut live, mut slice, mut components) = (0, Vec::new(), 0);
    for (chunk, vector) in rows {
        let Some(placed) = found.get(&chunk) else { continue };
        live += i64::from(!placed.has_vector);
        counters.count_embedding_quarantine(placed.flags, placed.flags & !EMBEDDING_QUARANTINED);
        components += vector.len();
        let row = Params::new().set("id", chunk.to_string()).set("vector", vector);
        slice.push(row.set("flags", placed.flags & !EMBEDDING_QUARANTINED));
        if components >= QUERY_COMPONENTS {
            tx.run(&query, Params::new().set("rows", std::mem::take(&mut slice)).set("number", number))?;
            components = 0;
        }
    }
    tx.run(&query, Params::new().set("rows", slice).set("number", number))?;
    count_live(tx, space, live)?;
    counters.apply(tx, run.collection.as_str())
}

/// See [`crate::GraphStore::set_aside_embeddings`].
pub(super) async fn set_aside(neo4j: &Neo4jConnection, run: &LayerRun, chunks: Vec<ChunkId>) -> Result<()> {
    wrong_layer(run, Layer::Embeddings)?;
    let put = run.clone();
    write_at_once(neo4j, &run.collection, move |tx| {
        admit(tx, &put, false)?;
        let mut counters = Counters::default();
        let mut rows = Vec::new();
        for (chunk, placed) in placed(tx, &put.collection, None, &chunks)? {
            let flags = placed.flags | EMBEDDING_QUARANTINED;
            counters.count_embedding_quarantine(placed.flags, flags);
            rows.push(Params::new().set("id", chunk.to_string()).set("flags", flags));
        }
        let query = "UNWIND $rows AS row MATCH (c:GmChunk {id: row.id}) SET c.flags = row.flags";
        super::placements::in_slices(tx, query, &Params::new(), rows)?;
        counters.apply(tx, put.collection.as_str())
    })
    .await
}

impl Counters {
    /// The flags of a placed chunk change.
    pub(super) fn count_embedding_quarantine(&mut self, before: i64, after: i64) {
        let set_aside = |flags: i64| i64::from(flags & EMBEDDING_QUARANTINED != 0);
        let any = |flags: i64| i64::from(flags & (EMBEDDING_QUARANTINED | FACTS_QUARANTINED) != 0);
        self.quarantined_embedding += set_aside(after) - set_aside(before);
        self.quarantined_chunks += any(after) - any(before);
    }
}

/// See [`crate::GraphStore::activate_space`].
pub(super) async fn activate_space(neo4j: &Neo4jConnection, run: &LayerRun, space: SpaceId) -> Result<bool> {
    wrong_layer(run, Layer::Embeddings)?;
    let ended = run.clone();
    let active = write_at_once(neo4j, &run.collection, move |tx| {
        let active = activate(tx, &ended, space)?;
        graphmill_core::fault_point!("activate_space.before_commit");
        Ok(active)
    })
    .await;
    graphmill_core::fault_point!("activate_space.after_commit");
    active
}

fn activate(tx: &mut Transaction<'_, '_>, run: &LayerRun, space: SpaceId) -> Result<bool> {
    admit(tx, run, true)?;
    // Not by counters: a chunk can be set aside and have a vector here all the same.
    if !delta(tx, &run.collection, space, None, 1)?.is_empty() {
        return Ok(false);
    }
    if spaces_in(tx, &run.collection)?.iter().any(|s| s.id == space && s.state == SpaceState::Active) {
        return Ok(true);
    }
    let query = "MATCH (s:GmSpace {collection: $collection}) WHERE s.state = 'active' OR s.id = $id \
                 SET s.state = CASE WHEN s.id = $id THEN 'active' ELSE 'retired' END";
    tx.run(query, Params::new().set("collection", run.collection.as_str()).set("id", space.0))?;
    raise_publish_number(tx, &run.collection)?;
    Ok(true)
}

/// See [`crate::GraphStore::sweep_retired_spaces`].
pub(super) async fn sweep_retired(neo4j: &Neo4jConnection, collection: &CollectionId) -> Result<u64> {
    let name = collection.clone();
    neo4j
        .write(move |tx| {
            let Lock::Held = lock(tx, &name)? else { return Ok(0) };
            for space in spaces_in(tx, &name)?.into_iter().filter(|space| space.state == SpaceState::Retired) {
                let swept = sweep_space(tx, &name, space.id)?;
                if swept > 0 {
                    return Ok(swept);
                }
            }
            Ok(0)
        })
        .await
}

/// Goes on where the last step ended, so that what is swept is not looked at again and again; at the end once more from the beginning, for what came late.
fn sweep_space(tx: &mut Transaction<'_, '_>, collection: &CollectionId, space: SpaceId) -> Result<u64> {
    let begin = "MATCH (s:GmSpace {id: $id}) RETURN coalesce(s.swept, -1) AS swept";
    let swept: i64 = tx.one(begin, Params::new().set("id", space.0))?.take("swept")?;
    let query = format!(
        "MATCH (c:GmChunk) USING INDEX SEEK c:GmChunk(collection, position) \
         WHERE c.collection = $collection AND c.position > $after AND c.{vector} IS NOT NULL \
         WITH c ORDER BY c.collection, c.position LIMIT $limit REMOVE c.{vector} \
         RETURN count(c) AS swept, count(CASE WHEN c.unplaced_of IS NULL THEN 1 END) AS live, max(c.position) AS last",
        vector = embedding(space)
    );
    let from = if swept < 0 { vec![-1] } else { vec![swept, -1] };
    for after in from {
        let params = Params::new().set("collection", collection.as_str()).set("after", after);
        let mut row = tx.one(&query, params.set("limit", SWEEP_VECTORS))?;
        let count: u64 = row.take("swept")?;
        if count > 0 {
            count_live(tx, space, -row.take::<i64>("live")?)?;
            let last: i64 = row.take("last")?;
            tx.run(
                "MATCH (s:GmSpace {id: $id}) SET s.swept = $last",
                Params::new().set("id", space.0).set("last", last),
            )?;
            return Ok(count);
        }
    }
    tx.run("MATCH (s:GmSpace {id: $id}) REMOVE s.swept", Params::new().set("id", space.0))?;
    Ok(0)
}
