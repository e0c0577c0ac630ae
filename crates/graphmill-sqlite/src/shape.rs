//! What a schema is, for the tests that compare one that was brought up with one that was made anew.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::Connection;

const COLUMNS: &str = "SELECT name || ' ' || type || ' ' || \"notnull\" || ' ' || coalesce(dflt_value, '-') || ' ' || pk \
                       FROM pragma_table_xinfo(?1)";

/// Columns, number of checks, indexes: whatever the order in which they came to be.
///
/// # Errors
/// The file cannot be read.
pub fn shape(path: &Path) -> rusqlite::Result<BTreeSet<String>> {
    let conn = Connection::open(path)?;
    let mut found = BTreeSet::new();
    let mut entries = conn.prepare("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL")?;
    let mut entries = entries.query([])?;
    while let Some(entry) = entries.next()? {
        let (kind, name, sql): (String, String, String) = (entry.get(0)?, entry.get(1)?, entry.get(2)?);
        if kind != "table" {
            found.insert(sql.split_whitespace().collect::<Vec<_>>().join(" "));
            continue;
        }
        found.insert(format!("{name}: {} checks, strict {}", sql.matches("CHECK").count(), sql.contains("STRICT")));
        let mut columns = conn.prepare(COLUMNS)?;
        for column in columns.query_map([&name], |row| row.get::<_, String>(0))? {
            found.insert(format!("{name}.{}", column?));
        }
    }
    Ok(found)
}
