//! Reading communities: those of the generation that readers see which have a live member.

use graphmill_core::{CollectionId, CommunityId};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::document_list::Conditions;
use super::entity_detail::collection_of;
use super::entity_list;
use super::entity_order::Ordering;
use super::layers;
use crate::cursor::{Cursor, Rank};
use crate::listing::{
    CommunityDetail, CommunityList, CommunityOf, CommunityRecord, GenerationRecord, Page, PageStart, TOTAL_CAP,
};
use crate::records::{EntityRecord, Layer};
use crate::{Error, Result};

/// Name of the order, for cursors.
const ORDER: &str = "communities";

const COLUMNS: &str = "m.id, m.level, m.parent, m.title, m.summary, m.size, m.share";

fn record(row: &Row<'_>) -> rusqlite::Result<CommunityRecord> {
    Ok(CommunityRecord {
        id: CommunityId::from_bytes(row.get(0)?),
        level: row.get(1)?,
        parent: row.get::<_, Option<[u8; 16]>>(2)?.map(CommunityId::from_bytes),
        title: row.get(3)?,
        summary: row.get(4)?,
        size: row.get::<_, i64>(5)?.cast_unsigned(),
        modularity_share: row.get::<_, i64>(6)? as f64 / 1_000_000.0,
    })
}

fn generation(conn: &Connection, collection: i64) -> Result<GenerationRecord> {
    let sql = "SELECT publish_number FROM collection WHERE key = ?1";
    let publish_number: i64 = conn.prepare_cached(sql)?.query_row([collection], |row| row.get(0))?;
    let row = layers::row(conn, collection, Layer::Communities)?;
    Ok(GenerationRecord {
        generation: row.as_ref().map_or(0, |row| row.generation.cast_unsigned()),
        stands_at: row.as_ref().map_or(0, |row| row.stands_at.cast_unsigned()),
        publish_number: publish_number.cast_unsigned(),
    })
}

/// Communities that an entity is in, finest first.
pub(super) fn of_entity(conn: &Connection, collection: i64, entity: i64) -> Result<Vec<CommunityOf>> {
    let sql = "SELECT m.id, m.level, m.title FROM layer l CROSS JOIN community_member x ON x.collection = l.collection \
               AND x.generation = l.generation CROSS JOIN community m ON m.collection = x.collection \
               AND m.generation = x.generation AND m.id = x.community \
               WHERE l.collection = ?1 AND l.layer = ?2 AND l.generation > 0 AND x.entity = ?3 ORDER BY x.level";
    let mut statement = conn.prepare_cached(sql)?;
    let found = statement.query_map(params![collection, layers::code(Layer::Communities), entity], |row| {
        Ok(CommunityOf { community_id: CommunityId::from_bytes(row.get(0)?), level: row.get(1)?, title: row.get(2)? })
    })?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// A page of communities.
pub(super) fn communities(
    conn: &Connection,
    collection: i64,
    level: Option<u32>,
    start: &PageStart,
    limit: u32,
) -> Result<CommunityList> {
    let generation = generation(conn, collection)?;
    let mut conditions = Conditions::default();
    conditions.with("m.collection = :collection", ":collection", collection);
    conditions.with("m.generation = :generation", ":generation", generation.generation.cast_signed());
    conditions.add("m.size > 0");
    if let Some(level) = level {
        conditions.with("m.level = :level", ":level", i64::from(level));
    }
    let counted = format!("SELECT count(*) FROM community m INDEXED BY community_listed WHERE {}", conditions.text());
    let total: i64 = conn.prepare_cached(&counted)?.query_row(&conditions.values()[..], |row| row.get(0))?;
    let mut offset = 0;
    match start {
        PageStart::Offset(rows) => offset = i64::try_from(*rows).unwrap_or(i64::MAX),
        PageStart::Cursor(text) => after(&mut conditions, text)?,
    }
    conditions.value(":limit", i64::from(limit) + 1);
    conditions.value(":offset", offset);
    let sql = format!(
        "SELECT {COLUMNS} FROM community m INDEXED BY community_listed WHERE {} ORDER BY m.level, m.size DESC, m.id \
         LIMIT :limit OFFSET :offset",
        conditions.text()
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query_map(&conditions.values()[..], record)?;
    let mut items: Vec<CommunityRecord> = rows.collect::<rusqlite::Result<_>>()?;
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next_cursor = items.last().filter(|_| more).map(|last| place(last).encode(ORDER));
    let page = Page { items, total: total.cast_unsigned(), total_capped: false, next_cursor };
    Ok(CommunityList { generation, page })
}

/// The level, then the size, then the id.
fn place(community: &CommunityRecord) -> Cursor {
    let mut id = i64::try_from(community.size).unwrap_or(i64::MAX).to_be_bytes().to_vec();
    id.extend_from_slice(community.id.as_bytes());
    Cursor { rank: Rank::Number(i64::from(community.level)), id }
}

fn after(conditions: &mut Conditions, text: &str) -> Result<()> {
    let cursor = Cursor::decode(text, ORDER)?;
    let (Rank::Number(level), Some((size, id))) = (cursor.rank, cursor.id.split_first_chunk::<8>()) else {
        return Err(Error::Invalid(format!("cursor {text:?} is none of ours; leave it out")));
    };
    conditions.with(
        "m.level >= :at_level AND (m.level > :at_level OR m.size < :at_size OR (m.size = :at_size AND m.id > :at_id))",
        ":at_level",
        level,
    );
    conditions.value(":at_size", i64::from_be_bytes(*size));
    conditions.value(":at_id", id.to_vec());
    Ok(())
}

/// A community of any collection.
pub(super) fn community(
    conn: &Connection,
    id: CommunityId,
    start: &PageStart,
    limit: u32,
) -> Result<Option<CommunityDetail>> {
    let after = Ordering::Importance.cursor(start)?;
    let Some((key, collection)) = find(conn, id)? else { return Ok(None) };
    let generation = generation(conn, key)?;
    let at = generation.generation.cast_signed();
    let sql = format!(
        "SELECT {COLUMNS}, m.members FROM community m WHERE m.collection = ?1 AND m.generation = ?2 AND m.id = ?3 \
         AND m.size > 0"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params![key, at, id.as_bytes()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let community = record(row)?;
    let members = if community.size <= TOTAL_CAP {
        let keys = layers::members(row.get_ref(7)?.as_blob().map_err(rusqlite::Error::from)?)?;
        let live = Ordering::Importance.read(conn, &keys)?;
        entity_list::page_of_few(conn, live, Ordering::Importance, start, after, limit)?
    } else {
        members_by_importance(conn, key, at, &community, (start, after), limit)?
    };
    let (children, child_total) = children(conn, key, at, id)?;
    Ok(Some(CommunityDetail { collection, generation, community, children, child_total, members }))
}

/// A large community has much of the collection: its most important members are met soon by walking all entities.
fn members_by_importance(
    conn: &Connection,
    collection: i64,
    generation: i64,
    community: &CommunityRecord,
    (start, after): (&PageStart, Option<Cursor>),
    limit: u32,
) -> Result<Page<EntityRecord>> {
    let mut conditions = Conditions::default();
    conditions.with("e.collection = :collection", ":collection", collection);
    conditions.with("x.community = :community", ":community", community.id.as_bytes().to_vec());
    conditions.value(":generation", generation);
    conditions.value(":level", i64::from(community.level));
    let join = "CROSS JOIN community_member x ON x.collection = e.collection AND x.generation = :generation \
                AND x.entity = e.key AND x.level = :level";
    let listed = Ordering::Importance.walk(conn, &conditions, join, start, after, limit)?;
    entity_list::page(conn, listed, Ordering::Importance, limit, (community.size, false))
}

fn children(
    conn: &Connection,
    collection: i64,
    generation: i64,
    parent: CommunityId,
) -> Result<(Vec<CommunityRecord>, u64)> {
    let of = "FROM community m INDEXED BY community_child WHERE m.collection = ?1 AND m.generation = ?2 \
              AND m.parent = ?3 AND m.size > 0";
    let sql = format!("SELECT {COLUMNS} {of} ORDER BY m.size DESC, m.id LIMIT {}", CommunityDetail::CHILDREN);
    let bound = params![collection, generation, parent.as_bytes()];
    let mut statement = conn.prepare_cached(&sql)?;
    let children: Vec<CommunityRecord> = statement.query_map(bound, record)?.collect::<rusqlite::Result<_>>()?;
    if children.len() < CommunityDetail::CHILDREN {
        let total = children.len() as u64;
        return Ok((children, total));
    }
    let total: i64 = conn.prepare_cached(&format!("SELECT count(*) {of}"))?.query_row(bound, |row| row.get(0))?;
    Ok((children, total.cast_unsigned()))
}

/// The collection in whose present generation a community is.
fn find(conn: &Connection, id: CommunityId) -> Result<Option<(i64, CollectionId)>> {
    let sql = "SELECT c.key, c.name FROM layer l CROSS JOIN community m ON m.collection = l.collection \
               AND m.generation = l.generation AND m.id = ?2 CROSS JOIN collection c ON c.key = l.collection \
               AND c.removing IS NULL WHERE l.layer = ?1 AND l.generation > 0";
    let bound = params![layers::code(Layer::Communities), id.as_bytes()];
    let found = conn.prepare_cached(sql)?.query_row(bound, |row| Ok((row.get(0)?, row.get::<_, String>(1)?)));
    let Some((key, name)) = found.optional()? else { return Ok(None) };
    Ok(Some((key, collection_of(&name)?)))
}
