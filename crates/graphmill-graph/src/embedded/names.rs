//! Parts of entity names: an index over three characters in a row, and for scripts that are written without spaces over single characters, since
//! there a word may have one or two.

use rusqlite::{Connection, OptionalExtension, params};

use crate::Result;
use crate::listing::NameMatch;
use graphmill_core::words::is_unspaced;

/// Stands around single characters in the index; no name holds it (it is for private use, and names of it are found all the same, by looking).
const MARK: char = '\u{E000}';

/// What the index holds of a name.
pub(super) fn words(name: &str) -> String {
    let mut words = name.to_owned();
    let mut singles: Vec<char> = name.chars().filter(|c| is_unspaced(*c)).collect();
    singles.sort_unstable();
    singles.dedup();
    if !singles.is_empty() {
        words.push(MARK);
    }
    for c in singles {
        words.extend([c, MARK]);
    }
    words
}

/// Names that are new and wait: to put them into the index together costs a fraction of one by one, and to look through so few costs next to
/// nothing.
const WAITING: i64 = 2_048;

/// Keys of entities up to this one have their names in the index.
pub(super) fn words_to(conn: &Connection) -> Result<i64> {
    Ok(conn.prepare_cached("SELECT words_to FROM meta")?.query_row([], |row| row.get(0))?)
}

/// Puts names into the index when many wait.
pub(super) fn bring_up(conn: &Connection) -> Result<()> {
    let from = words_to(conn)?;
    let newest = "SELECT seq FROM sqlite_sequence WHERE name = 'entity'";
    let newest: i64 = conn.prepare_cached(newest)?.query_row([], |row| row.get(0)).optional()?.unwrap_or(0);
    if newest - from < WAITING {
        return Ok(());
    }
    let mut new = conn.prepare_cached("SELECT key, normalised FROM entity WHERE key > ?1 ORDER BY key")?;
    let mut add = conn.prepare_cached("INSERT INTO entity_words (rowid, words) VALUES (?1, ?2)")?;
    let mut rows = new.query([from])?;
    while let Some(row) = rows.next()? {
        let name = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
        add.execute(params![row.get::<_, i64>(0)?, words(name)])?;
    }
    conn.prepare_cached("UPDATE meta SET words_to = ?1")?.execute([newest])?;
    Ok(())
}

/// Takes a name out.
pub(super) fn forget(conn: &Connection, entity: i64) -> Result<()> {
    if entity <= words_to(conn)? {
        conn.prepare_cached("DELETE FROM entity_words WHERE rowid = ?1")?.execute([entity])?;
    }
    Ok(())
}

/// Names in the index.
pub(super) fn indexed(conn: &Connection) -> Result<i64> {
    Ok(conn.query_row("SELECT count(*) FROM entity_words_docsize", [], |row| row.get(0))?)
}

/// A condition on `e.normalised`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NameFilter {
    /// Any of them; one or two, none of them empty.
    forms: Vec<String>,
    at: NameMatch,
}

impl NameFilter {
    /// `None` when nothing is left of the part: then no name has it.
    pub(super) fn new(part: &str, at: NameMatch) -> Option<Self> {
        let forms = graphmill_core::EntityName::search_forms(part);
        (!forms.is_empty()).then_some(Self { forms, at })
    }

    /// The condition as SQL, with parameters `:f0` and `:f1`.
    pub(super) fn condition(&self) -> String {
        let one = |n: usize| match self.at {
            NameMatch::Contains => format!("instr(e.normalised, :f{n}) > 0"),
            // U+10FFFF is no character: every name with the prefix lies below.
            NameMatch::Prefix => format!("(e.normalised >= :f{n} AND e.normalised < :f{n} || char(1114111))"),
        };
        let all: Vec<String> = (0..self.forms.len()).map(one).collect();
        format!("({})", all.join(" OR "))
    }

    /// The forms, in the order of their parameters.
    pub(super) fn forms(&self) -> &[String] {
        &self.forms
    }

    /// What to ask the index for; `None` when it cannot say (one or two characters of a script with spaces, or a prefix, for which `entity_named`
    /// is better).
    pub(super) fn match_expression(&self) -> Option<String> {
        if self.at == NameMatch::Prefix {
            return None;
        }
        let all: Vec<String> = self.forms.iter().map(|form| grams(form)).collect::<Option<_>>()?;
        Some(all.join(" OR "))
    }
}

fn grams(form: &str) -> Option<String> {
    let chars: Vec<char> = form.chars().collect();
    let mut grams: Vec<String> = chars.windows(3).map(|three| three.iter().collect()).collect();
    if grams.is_empty() {
        let singles = chars.iter().filter(|c| is_unspaced(**c));
        grams.extend(singles.map(|c| [MARK, *c, MARK].iter().collect::<String>()));
    }
    grams.sort_unstable();
    grams.dedup();
    let quoted: Vec<String> = grams.iter().map(|gram| format!("\"{}\"", gram.replace('"', "\"\""))).collect();
    (!quoted.is_empty()).then(|| format!("({})", quoted.join(" AND ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expression(part: &str) -> Option<String> {
        NameFilter::new(part, NameMatch::Contains).unwrap().match_expression()
    }

    #[test]
    fn three_characters_or_single_ones_of_unspaced_scripts() {
        assert_eq!(words("pump"), "pump");
        assert_eq!(words("泵站泵"), "泵站泵\u{E000}泵\u{E000}站\u{E000}");
        assert_eq!(expression("Pump").as_deref(), Some("(\"pum\" AND \"ump\")"));
        assert_eq!(expression("泵站").as_deref(), Some("(\"\u{E000}泵\u{E000}\" AND \"\u{E000}站\u{E000}\")"));
        assert_eq!(expression("a\"b").as_deref(), Some("(\"a\"\"b\")"));
        assert_eq!(expression("ab"), None);
        assert_eq!(expression("batteries").unwrap().matches(" OR ").count(), 1);
        assert_eq!(NameFilter::new("  ", NameMatch::Contains), None);
        assert_eq!(NameFilter::new("pump", NameMatch::Prefix).unwrap().match_expression(), None);
    }
}
