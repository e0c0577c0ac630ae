//! Entities as readers see them.

use super::{Row, ids};
use crate::Result;
use crate::records::EntityRecord;

/// What [`record`] reads, of an entity `e`; all but the id follows from its fold.
pub(super) const COLUMNS: &str = "e.id AS id, e.name AS name, e.type AS type, e.description AS description, \
    e.importance AS importance, e.mention_count AS mention_count, e.document_count AS document_count";

/// Reads an entity from [`COLUMNS`].
pub(super) fn record(row: &mut Row) -> Result<EntityRecord> {
    Ok(EntityRecord {
        id: ids::take(row, "id")?,
        name: row.take("name")?,
        entity_type: row.take("type")?,
        description: row.take("description")?,
        importance: row.take("importance")?,
        mention_count: row.take("mention_count")?,
        document_count: row.take("document_count")?,
    })
}
