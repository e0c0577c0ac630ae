//! An entity with the evidence for what is said of it: votes, aliases, communities, and the chunks that mention it.

use graphmill_core::{CollectionId, EntityId};

use super::{Neo4jConnection, Params, Row, Transaction, aliases, community_list, ids, lock};
use crate::cursor::{Cursor, Rank};
use crate::facts_column::FactsView;
use crate::folds::{EntityFold, Votes};
use crate::listing::{ChunkPlace, EntityDetail, MentionRecord, Page, PageStart, Vote};
use crate::{Error, Result};

/// Name of the order of mentions, for cursors.
const ORDER: &str = "mentions of an entity";

/// What [`place`] reads, of a chunk `c`, its document `d` and its place `h` in it.
pub(super) const PLACE: &str = "c.id AS chunk, d.id AS document, d.filename AS filename, h.chunk_index AS chunk_index, \
    h.page_start AS page_start, h.page_end AS page_end";

/// Reads a place from [`PLACE`].
pub(super) fn place(row: &mut Row) -> Result<ChunkPlace> {
    Ok(ChunkPlace {
        chunk: ids::take(row, "chunk")?,
        document: ids::take(row, "document")?,
        filename: row.take("filename")?,
        chunk_index: row.take("chunk_index")?,
        page_start: row.take("page_start")?,
        page_end: row.take("page_end")?,
    })
}

/// See [`crate::GraphStore::entity`].
pub(super) async fn entity(
    neo4j: &Neo4jConnection,
    entity: EntityId,
    mentions: &PageStart,
    limit: u32,
) -> Result<Option<EntityDetail>> {
    let start = Start::read(mentions, limit)?;
    let query = "MATCH (e:GmEntity {id: $id}) MATCH (o:GmCollection {name: e.collection}) WHERE o.removing IS NULL \
                 RETURN o.name AS collection";
    let found = neo4j.read(query, Params::new().set("id", entity.to_string())).await?;
    let Some(mut row) = found.into_iter().next() else { return Ok(None) };
    let collection: CollectionId = ids::take(&mut row, "collection")?;
    let read = || async {
        let collection = collection.clone();
        neo4j.read_many(move |tx| read(tx, &collection, entity, start)).await
    };
    lock::of_one_moment(neo4j, &collection, read).await
}

fn read(
    tx: &mut Transaction<'_, '_>,
    collection: &CollectionId,
    id: EntityId,
    start: Start,
) -> Result<Option<EntityDetail>> {
    let query = "MATCH (e:GmEntity {id: $id}) RETURN e.mention_count AS mentions, e.document_count AS documents, e.fold AS fold, \
                 COUNT { (e)-[:RELATED_TO]->() } AS relations_out, COUNT { (e)<-[:RELATED_TO]-() } AS relations_in, \
                 COUNT { (e)<-[:CONTAINS_ENTITY]-() } AS chunks";
    let Some(mut row) = tx.first(query, Params::new().set("id", id.to_string()))? else { return Ok(None) };
    let property: Vec<u8> = row.take("fold")?;
    let fold = EntityFold::decode(row.take("mentions")?, row.take("documents")?, &property)?;
    let (aliases, alias_total) = aliases::of_entity(tx, id)?;
    Ok(Some(EntityDetail {
        collection: collection.clone(),
        entity: fold.record(id),
        type_votes: votes(&fold.types, usize::MAX),
        spelling_votes: votes(&fold.spellings, EntityDetail::SPELLINGS),
        spelling_total: fold.spellings.iter().count() as u64,
        relations_out: row.take("relations_out")?,
        relations_in: row.take("relations_in")?,
        aliases,
        alias_total,
        communities: community_list::of_entity(tx, collection, id)?,
        mentions: mentions(tx, id, start, row.take("chunks")?)?,
    }))
}

fn votes(votes: &Votes, most: usize) -> Vec<Vote> {
    let mut sorted: Vec<Vote> = votes.iter().map(|(value, votes)| Vote { value: value.to_owned(), votes }).collect();
    sorted.sort_by(|a, b| b.votes.cmp(&a.votes).then_with(|| a.value.as_bytes().cmp(b.value.as_bytes())));
    sorted.truncate(most);
    sorted
}

/// Where a page of mentions begins: after a position.
#[derive(Debug, Clone, Copy)]
struct Start {
    after: i64,
    skip: i64,
    limit: u32,
}

impl Start {
    fn read(start: &PageStart, limit: u32) -> Result<Self> {
        match start {
            PageStart::Offset(rows) => Ok(Self { after: -1, skip: i64::try_from(*rows).unwrap_or(i64::MAX), limit }),
            PageStart::Cursor(text) => match Cursor::decode(text, ORDER)?.rank {
                Rank::Number(after) => Ok(Self { after, skip: 0, limit }),
                Rank::Text(_) => Err(Error::Invalid(format!("cursor {text:?} is none of ours; leave it out"))),
            },
        }
    }
}

/// Chunks that mention the entity, in the order in which they were made, by the index of relationships: a page of a hub reads no other.
fn mentions(tx: &mut Transaction<'_, '_>, id: EntityId, start: Start, total: u64) -> Result<Page<MentionRecord>> {
    let query = format!(
        "MATCH (c:GmChunk)-[r:CONTAINS_ENTITY]->(:GmEntity) USING INDEX SEEK r:CONTAINS_ENTITY(gm_entity, gm_position) \
         WHERE r.gm_entity = $id AND r.gm_position > $after \
         WITH c, r ORDER BY r.gm_entity, r.gm_position SKIP $skip LIMIT $limit \
         MATCH (c)<-[h:HAS_CHUNK]-(d:GmDocument) \
         RETURN r.gm_position AS position, c.facts AS facts, h.start_char AS start_char, {PLACE} ORDER BY position"
    );
    let params = Params::new()
        .set("id", id.to_string())
        .set("after", start.after)
        .set("skip", start.skip)
        .set("limit", i64::from(start.limit) + 1);
    let mut rows = tx.rows(&query, params)?;
    let more = rows.len() > start.limit as usize;
    rows.truncate(start.limit as usize);
    let (mut items, mut last) = (Vec::with_capacity(rows.len()), None);
    for mut row in rows {
        last = Some(Cursor { rank: Rank::Number(row.take("position")?), id: Vec::new() });
        let facts: Vec<u8> = row.take("facts")?;
        items.push(MentionRecord {
            said: FactsView::read(&facts)?.mentions_of(&id)?,
            start_char: row.take("start_char")?,
            place: place(&mut row)?,
        });
    }
    let next_cursor = last.filter(|_| more).map(|last| last.encode(ORDER));
    Ok(Page { items, total, total_capped: false, next_cursor })
}
