//! SQL functions that `migrations/` call to count from facts and folds what an older schema had no column for.

use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};

use super::{entity_order, names};
use crate::Result;
use crate::facts_column::FactsView;
use crate::folds::EntityFold;

/// Makes them known to the connection that upgrades.
pub(super) fn register(conn: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_DIRECTONLY;
    conn.create_scalar_function("gm_lower", 1, flags, |c| Ok(text(c, 0)?.map(|t| crate::listing::lower(&t))))?;
    conn.create_scalar_function("gm_name_words", 1, flags, |c| Ok(text(c, 0)?.map(|t| names::words(&t))))?;
    conn.create_scalar_function("gm_band", 1, flags, |c| Ok(entity_order::band(c.get(0)?)))?;
    conn.create_scalar_function("gm_entity_type", 1, flags, entity_type)?;
    conn.create_scalar_function("gm_mentions", 2, flags, mentions)?;
    conn.create_scalar_function("gm_aliases", 1, flags, aliases)?;
    Ok(())
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::UserFunctionError(Box::new(error))
}

fn text(context: &Context<'_>, at: usize) -> rusqlite::Result<Option<String>> {
    context.get(at)
}

/// The most voted type of a fold.
fn entity_type(context: &Context<'_>) -> rusqlite::Result<String> {
    let column: Vec<u8> = context.get(0)?;
    Ok(EntityFold::decode(0, 0, &column).map_err(failed)?.entity_type().to_owned())
}

/// How often a chunk (its facts) mentions an entity (its id).
fn mentions(context: &Context<'_>) -> rusqlite::Result<i64> {
    let (facts, id): (Option<Vec<u8>>, Option<Vec<u8>>) = (context.get(0)?, context.get(1)?);
    let (Some(facts), Some(id)) = (facts, id) else { return Ok(1) };
    let view = FactsView::read(&facts).map_err(failed)?;
    let of_entity = view.mentions.iter().filter(|m| view.entities[m.entity].as_bytes()[..] == id[..]);
    Ok(of_entity.map(|m| m.count().cast_signed()).sum())
}

/// Alias evidence of a chunk (its facts) as JSON: pairs of entity ids (short, long) in hexadecimal digits.
fn aliases(context: &Context<'_>) -> rusqlite::Result<String> {
    let facts: Vec<u8> = context.get(0)?;
    let view = FactsView::read(&facts).map_err(failed)?;
    let hex = |i: usize| view.entities[i].as_bytes().iter().map(|b| format!("{b:02x}")).collect::<String>();
    let pairs: Vec<[String; 2]> = view.aliases().map(|(short, long)| [hex(short), hex(long)]).collect();
    serde_json::to_string(&pairs).map_err(failed)
}
