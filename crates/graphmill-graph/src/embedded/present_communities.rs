//! All communities of the generation that readers see, page by page.

use graphmill_core::{CommunityId, EntityId};
use rusqlite::{Connection, OptionalExtension};

use super::ids::entity_id;
use super::layers;
use crate::Result;
use crate::records::{CommunityRow, Layer};

/// Members of a page; a larger community has a page of its own.
const PAGE_MEMBERS: usize = 4_096;

/// Hands out the communities, finest level first, then by id; stops when `page` answers that nobody listens any more.
pub(super) fn read(conn: &Connection, collection: i64, mut page: impl FnMut(Vec<CommunityRow>) -> bool) -> Result<()> {
    let Some(layer) = layers::row(conn, collection, Layer::Communities)?.filter(|row| row.generation > 0) else {
        return Ok(());
    };
    let mut statement = conn.prepare(
        "SELECT id, level, parent, title, summary, share, members FROM community \
         WHERE collection = ?1 AND generation = ?2 ORDER BY level, id",
    )?;
    let mut rows = statement.query([collection, layer.generation])?;
    let (mut found, mut held) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let members = live_members(conn, row.get_ref(6)?.as_blob().map_err(rusqlite::Error::from)?)?;
        if members.is_empty() {
            continue;
        }
        held += members.len();
        found.push(CommunityRow {
            id: CommunityId::from_bytes(row.get(0)?),
            level: row.get(1)?,
            parent: row.get::<_, Option<[u8; 16]>>(2)?.map(CommunityId::from_bytes),
            title: row.get(3)?,
            summary: row.get(4)?,
            modularity_share_millionths: row.get(5)?,
            members,
        });
        if held >= PAGE_MEMBERS {
            held = 0;
            if !page(std::mem::take(&mut found)) {
                return Ok(());
            }
        }
    }
    if !found.is_empty() {
        page(found);
    }
    Ok(())
}

fn live_members(conn: &Connection, column: &[u8]) -> Result<Vec<EntityId>> {
    let mut find = conn.prepare_cached("SELECT id FROM entity WHERE key = ?1")?;
    let mut members = Vec::new();
    for key in layers::members(column)? {
        members.extend(find.query_row([key], |row| entity_id(row, 0)).optional()?);
    }
    members.sort_unstable();
    Ok(members)
}
