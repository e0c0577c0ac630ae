//! Reading communities: those of the generation that readers see which have a live member.

use graphmill_core::{CollectionId, CommunityId, EntityId};

use super::entity_order::{Ordering, Source, Start};
use super::{Neo4jConnection, Params, Row, Transaction, communities, ids, layers, lock};
use crate::cursor::{Cursor, Rank};
use crate::listing::{
    CommunityDetail, CommunityList, CommunityOf, CommunityRecord, GenerationRecord, Page, PageStart, TOTAL_CAP,
};
use crate::records::{EntityRecord, Layer};
use crate::{Error, Result};

/// Name of the order, for cursors.
const ORDER: &str = "communities";

const COLUMNS: &str = "m.id AS id, m.level AS level, m.parent AS parent, m.title AS title, m.summary AS summary, \
    m.size AS size, m.modularity_share_millionths AS share";

/// Communities `m` of a generation, in the order of their list.
const LISTED: &str = "MATCH (m:GmCommunity) USING INDEX SEEK m:GmCommunity(collection, generation, level, gm_by_size, gm_order) \
    WHERE m.collection = $collection AND m.generation = $generation AND m.gm_by_size < 0 AND m.gm_order IS NOT NULL";

fn record(mut row: Row) -> Result<CommunityRecord> {
    let parent: Option<String> = row.take("parent")?;
    Ok(CommunityRecord {
        id: ids::take(&mut row, "id")?,
        level: row.take("level")?,
        parent: parent.map(|id| ids::parse(&id, "parent")).transpose()?,
        title: row.take("title")?,
        summary: row.take("summary")?,
        size: row.take("size")?,
        modularity_share: row.take::<i64>("share")? as f64 / 1_000_000.0,
    })
}

/// The generation that readers see; `None` when there is no such collection.
fn generation(tx: &mut Transaction<'_, '_>, collection: &CollectionId) -> Result<Option<GenerationRecord>> {
    let query = "MATCH (o:GmCollection {name: $collection}) WHERE o.removing IS NULL RETURN o.publish_number AS number";
    let Some(mut row) = tx.first(query, Params::new().set("collection", collection.as_str()))? else {
        return Ok(None);
    };
    let state = layers::find(tx, collection, Layer::Communities)?.map(|node| node.state()).transpose()?;
    let (generation, stands_at) = state.map_or((0, 0), |state| (state.generation, state.stands_at));
    Ok(Some(GenerationRecord { generation, stands_at, publish_number: row.take("number")? }))
}

fn of_generation(collection: &CollectionId, generation: &GenerationRecord) -> Params {
    Params::new().set("collection", collection.as_str()).set("generation", generation.generation)
}

/// Communities that an entity is in, finest first.
pub(super) fn of_entity(
    tx: &mut Transaction<'_, '_>,
    collection: &CollectionId,
    entity: EntityId,
) -> Result<Vec<CommunityOf>> {
    let Some(generation) = generation(tx, collection)?.filter(|generation| generation.generation > 0) else {
        return Ok(Vec::new());
    };
    let query = "MATCH (:GmEntity {id: $id})-[:IN_COMMUNITY]->(m:GmCommunity) WHERE m.generation = $generation \
                 RETURN m.id AS id, m.level AS level, m.title AS title ORDER BY m.level";
    let params = of_generation(collection, &generation).set("id", entity.to_string());
    let community = |mut row: Row| {
        Ok(CommunityOf {
            community_id: ids::take(&mut row, "id")?,
            level: row.take("level")?,
            title: row.take("title")?,
        })
    };
    tx.rows(query, params)?.into_iter().map(community).collect()
}

/// Where a page of the list begins: after a level, a size and an id.
#[derive(Clone)]
struct Place {
    level: i64,
    by_size: i64,
    order: String,
}

impl Place {
    fn of(community: &CommunityRecord) -> Cursor {
        let mut id = i64::try_from(community.size).unwrap_or(i64::MAX).to_be_bytes().to_vec();
        id.extend_from_slice(community.id.as_bytes());
        Cursor { rank: Rank::Number(i64::from(community.level)), id }
    }

    fn read(text: &str) -> Result<Self> {
        let cursor = Cursor::decode(text, ORDER)?;
        let (Rank::Number(level), Some((size, id))) = (cursor.rank, cursor.id.split_first_chunk::<8>()) else {
            return Err(Error::Invalid(format!("cursor {text:?} is none of ours; leave it out")));
        };
        Ok(Self { level, by_size: i64::from_be_bytes(*size).saturating_neg(), order: ids::order(id) })
    }
}

/// See [`crate::GraphStore::communities`].
pub(super) async fn communities(
    neo4j: &Neo4jConnection,
    collection: &CollectionId,
    level: Option<u32>,
    start: &PageStart,
    limit: u32,
) -> Result<CommunityList> {
    let (skip, after) = match start {
        PageStart::Offset(rows) => (i64::try_from(*rows).unwrap_or(i64::MAX), None),
        PageStart::Cursor(text) => (0, Some(Place::read(text)?)),
    };
    let read = || async {
        let (collection, after) = (collection.clone(), after.clone());
        neo4j.read_many(move |tx| list(tx, &collection, level, (skip, after.as_ref()), limit)).await
    };
    lock::of_one_moment(neo4j, collection, read).await
}

fn list(
    tx: &mut Transaction<'_, '_>,
    collection: &CollectionId,
    level: Option<u32>,
    (skip, after): (i64, Option<&Place>),
    limit: u32,
) -> Result<CommunityList> {
    let Some(generation) = generation(tx, collection)? else { return Ok(CommunityList::default()) };
    let params = of_generation(collection, &generation).set("level", level);
    let of_level = if level.is_some() { "m.level = $level" } else { "m.level IS NOT NULL" };
    let count = format!("{LISTED} AND {of_level} RETURN count(m) AS total");
    let total: u64 = tx.one(&count, params.clone())?.take("total")?;
    let mut params = params.set("skip", skip).set("limit", i64::from(limit) + 1);
    let mut beyond = "";
    if let Some(place) = after {
        // Not as alternatives: each would be looked for by itself, and all of them sorted.
        beyond = " AND m.level >= $at_level AND CASE WHEN m.level > $at_level THEN true \
                  WHEN m.gm_by_size <> $at_size THEN m.gm_by_size > $at_size ELSE m.gm_order > $at_order END";
        params = params.set("at_level", place.level).set("at_size", place.by_size).set("at_order", &place.order);
    }
    let query = format!(
        "{LISTED} AND {of_level}{beyond} WITH m ORDER BY m.collection, m.generation, m.level, m.gm_by_size, m.gm_order \
         SKIP $skip LIMIT $limit \
         RETURN {COLUMNS}"
    );
    let mut items: Vec<CommunityRecord> = tx.rows(&query, params)?.into_iter().map(record).collect::<Result<_>>()?;
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next_cursor = items.last().filter(|_| more).map(|last| Place::of(last).encode(ORDER));
    Ok(CommunityList { generation, page: Page { items, total, total_capped: false, next_cursor } })
}

/// See [`crate::GraphStore::community`].
pub(super) async fn community(
    neo4j: &Neo4jConnection,
    community: CommunityId,
    members: &PageStart,
    limit: u32,
) -> Result<Option<CommunityDetail>> {
    let start = Start::read(members, Ordering::Importance, limit)?;
    let Some(collection) = find(neo4j, community).await? else { return Ok(None) };
    let read = || async {
        let (collection, start) = (collection.clone(), start.clone());
        neo4j.read_many(move |tx| detail(tx, &collection, community, &start)).await
    };
    lock::of_one_moment(neo4j, &collection, read).await
}

/// The collection in whose present generation a community is.
async fn find(neo4j: &Neo4jConnection, id: CommunityId) -> Result<Option<CollectionId>> {
    let found = neo4j
        .read_many(move |tx| {
            let query = "MATCH (l:GmLayer) WHERE l.layer = $layer AND l.generation > 0 \
                         RETURN l.collection AS collection, l.generation AS generation";
            let mut keys = Vec::new();
            for mut row in tx.rows(query, Params::new().set("layer", layers::word(Layer::Communities)))? {
                let collection: CollectionId = ids::take(&mut row, "collection")?;
                keys.push(communities::key(&collection, row.take("generation")?, id));
            }
            let query = "UNWIND $keys AS key MATCH (m:GmCommunity {key: key}) RETURN m.collection AS collection";
            tx.rows(query, Params::new().set("keys", keys))
        })
        .await?;
    found.into_iter().next().map(|mut row| ids::take(&mut row, "collection")).transpose()
}

fn detail(
    tx: &mut Transaction<'_, '_>,
    collection: &CollectionId,
    id: CommunityId,
    start: &Start,
) -> Result<Option<CommunityDetail>> {
    let Some(generation) = generation(tx, collection)? else { return Ok(None) };
    let key = communities::key(collection, generation.generation, id);
    let query = format!("MATCH (m:GmCommunity {{key: $key}}) WHERE m.size > 0 RETURN {COLUMNS}");
    let Some(row) = tx.first(&query, Params::new().set("key", &key))? else { return Ok(None) };
    let community = record(row)?;
    let members = members(tx, collection, &community, &key, start)?;
    let params = of_generation(collection, &generation).set("parent", id.to_string());
    let (children, child_total) = children(tx, params)?;
    Ok(Some(CommunityDetail { collection: collection.clone(), generation, community, children, child_total, members }))
}

/// Few members are sorted; a large community has much of the collection: its most important members are met soon by walking all entities.
fn members(
    tx: &mut Transaction<'_, '_>,
    collection: &CollectionId,
    community: &CommunityRecord,
    key: &str,
    start: &Start,
) -> Result<Page<EntityRecord>> {
    let params = Params::new().set("collection", collection.as_str()).set("key", key);
    let source = if community.size <= TOTAL_CAP {
        let few = "MATCH (e:GmEntity)-[:IN_COMMUNITY]->(:GmCommunity {key: $key}) WITH e".to_owned();
        Source { few: Some(few), conditions: String::new(), params }
    } else {
        let conditions = " AND EXISTS { MATCH (e)-[:IN_COMMUNITY]->(m:GmCommunity) WHERE m.key = $key }".to_owned();
        Source { few: None, conditions, params }
    };
    let listed = Ordering::Importance.rows(tx, &source, start)?;
    Ok(Ordering::Importance.page(listed, start, (community.size, false)))
}

fn children(tx: &mut Transaction<'_, '_>, params: Params) -> Result<(Vec<CommunityRecord>, u64)> {
    let of = "MATCH (m:GmCommunity) USING INDEX SEEK m:GmCommunity(collection, generation, parent, gm_by_size, gm_order) \
              WHERE m.collection = $collection AND m.generation = $generation AND m.parent = $parent \
              AND m.gm_by_size < 0 AND m.gm_order IS NOT NULL";
    let query = format!(
        "{of} WITH m ORDER BY m.collection, m.generation, m.parent, m.gm_by_size, m.gm_order \
         LIMIT $limit RETURN {COLUMNS}"
    );
    let rows = tx.rows(&query, params.clone().set("limit", CommunityDetail::CHILDREN))?;
    let children: Vec<CommunityRecord> = rows.into_iter().map(record).collect::<Result<_>>()?;
    if children.len() < CommunityDetail::CHILDREN {
        let total = children.len() as u64;
        return Ok((children, total));
    }
    let total = tx.one(&format!("{of} RETURN count(m) AS total"), params)?.take("total")?;
    Ok((children, total))
}
