//! Full text by FTS5, one index a collection, so that neither the frequencies nor the rows of one collection are another's. Chunks are indexed
//! when they are staged; what is not placed is left out when reading. FTS5 splits at white space, which scripts without it do not
//! have: there each pair of neighbouring characters becomes a word.

use std::borrow::Cow;
use std::collections::HashSet;

use graphmill_core::{ChunkId, DocumentId};
use rusqlite::{Connection, params};

use super::filter::Admission;
use super::ids::{chunk_id, document_id};
use crate::Result;
use crate::records::{SearchFilter, SearchHit};

/// Most words of a query that are looked for.
const QUERY_WORDS: usize = 64;

/// Makes the index of a collection. Contentless: the text stands in `chunk` already.
pub(super) fn create_index(conn: &Connection, collection: i64) -> Result<()> {
    conn.execute_batch(&format!(
        "CREATE VIRTUAL TABLE chunk_text_{collection} USING fts5(text, content='', contentless_delete=1, \
         tokenize='unicode61 remove_diacritics 2')"
    ))?;
    Ok(())
}

/// Adds a chunk.
pub(super) fn index_chunk(conn: &Connection, collection: i64, chunk: i64, text: &str) -> Result<()> {
    conn.prepare_cached(&format!("INSERT INTO chunk_text_{collection} (rowid, text) VALUES (?1, ?2)"))?
        .execute(params![chunk, segmented(text)])?;
    Ok(())
}

/// Takes a chunk out.
pub(super) fn forget_chunk(conn: &Connection, collection: i64, chunk: i64) -> Result<()> {
    conn.prepare_cached(&format!("DELETE FROM chunk_text_{collection} WHERE rowid = ?1"))?.execute([chunk])?;
    Ok(())
}

/// Chunks in the index.
pub(super) fn indexed_chunks(conn: &Connection, collection: i64) -> Result<i64> {
    Ok(conn.query_row(&format!("SELECT count(*) FROM chunk_text_{collection}_docsize"), [], |row| row.get(0))?)
}

/// Live chunks that hold any word of the query, best first (BM25), ties by id.
pub(super) fn search(
    conn: &Connection,
    collection: i64,
    query: &str,
    limit: u32,
    filter: &SearchFilter,
) -> Result<Vec<SearchHit>> {
    let words = query_words(query);
    if words.is_empty() || limit == 0 {
        return Ok(Vec::new());
    }
    let Some(admission) = Admission::resolve(conn, collection, filter)? else { return Ok(Vec::new()) };
    let quoted: Vec<String> = words.iter().map(|word| word.to_match()).collect();
    let sql = format!(
        "SELECT c.id, d.id, p.document, -f.rank, f.rowid FROM chunk_text_{collection} f \
         CROSS JOIN placement p ON p.chunk = f.rowid CROSS JOIN chunk c ON c.key = f.rowid \
         CROSS JOIN document d ON d.key = p.document WHERE f.text MATCH ?1 ORDER BY f.rank"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([quoted.join(" OR ")])?;
    let mut hits: Vec<SearchHit> = Vec::new();
    while let Some(row) = rows.next()? {
        if !admission.admits(conn, row.get(2)?, row.get(4)?)? {
            continue;
        }
        let hit = hit(chunk_id(row, 0)?, document_id(row, 1)?, row.get(3)?);
        // Rows of equal score come in no order: all of them are taken before the list is cut.
        if hits.len() >= limit as usize && hits.last().is_some_and(|last| last.score > hit.score) {
            break;
        }
        hits.push(hit);
    }
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.chunk.cmp(&b.chunk)));
    hits.truncate(limit as usize);
    Ok(hits)
}

fn hit(chunk: ChunkId, document: DocumentId, score: f64) -> SearchHit {
    SearchHit { chunk, document, score }
}

/// Whether words of the script are written without white space between them (Han, kana, Thai, Lao, Khmer, Burmese, …).
pub(super) fn unspaced(c: char) -> bool {
    matches!(c as u32,
        0x0E01..=0x0E5B | 0x0E81..=0x0EDF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x2E80..=0x2FDF | 0x3005..=0x3007
        | 0x3031..=0x3035 | 0x3040..=0x30FF | 0x31F0..=0x31FF | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xAC00..=0xD7AF
        | 0xF900..=0xFAFF | 0xFF66..=0xFF9F | 0x20000..=0x3FFFF)
}

/// The text with each run of such characters as its pairs and its last character, which a search for one character finds as well.
fn segmented(text: &str) -> Cow<'_, str> {
    // None of them is below U+0E01, whose encoding begins with 0xE0.
    if !text.bytes().any(|b| b >= 0xE0) || !text.chars().any(unspaced) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() * 3);
    let mut previous = None;
    for c in text.chars() {
        match (previous, unspaced(c)) {
            (Some(p), true) => out.extend([p, c, ' ']),
            (Some(p), false) => out.extend([p, ' ', c]),
            (None, true) => out.push(' '),
            (None, false) => out.push(c),
        }
        previous = unspaced(c).then_some(c);
    }
    out.extend(previous);
    Cow::Owned(out)
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct QueryWord {
    word: String,
    /// One character of an unspaced script: found as the beginning of a pair too.
    prefix: bool,
}

impl QueryWord {
    fn to_match(&self) -> String {
        // A word has letters and digits alone, so that nothing in it is syntax to FTS5 between these quotes.
        format!("\"{}\"{}", self.word, if self.prefix { "*" } else { "" })
    }
}

/// The query as a bag of words, each once.
fn query_words(query: &str) -> Vec<QueryWord> {
    let mut words = Vec::new();
    let mut seen = HashSet::new();
    let mut push = |word: String, prefix: bool| {
        let word = QueryWord { word, prefix };
        if words.len() < QUERY_WORDS && seen.insert(word.clone()) {
            words.push(word);
        }
    };
    let (mut spaced, mut run) = (String::new(), Vec::new());
    for c in query.chars().chain([' ']) {
        if unspaced(c) {
            run.push(c)
        } else {
            push_run(&mut push, &mut run)
        }
        let is_word = !unspaced(c) && (c.is_alphanumeric() || is_mark(c));
        if is_word {
            spaced.push(c);
        } else if !spaced.is_empty() {
            push(std::mem::take(&mut spaced).to_lowercase(), false);
        }
    }
    words
}

/// Combining marks belong to the letter before them.
fn is_mark(c: char) -> bool {
    matches!(c as u32, 0x0300..=0x036F | 0x0483..=0x0489 | 0x0591..=0x05C7 | 0x0610..=0x061A | 0x064B..=0x065F | 0x0900..=0x0DFF)
}

fn push_run(push: &mut impl FnMut(String, bool), run: &mut Vec<char>) {
    match run.as_slice() {
        [] => {}
        [one] => push(one.to_string(), true),
        more => more.windows(2).for_each(|pair| push(pair.iter().collect(), false)),
    }
    run.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_without_spaces_are_cut_into_pairs() {
        assert_eq!(segmented("plain text"), "plain text");
        assert_eq!(segmented("é – Ω"), "é – Ω");
        assert_eq!(segmented("泵站A手册"), " 泵站 站 A 手册 册");
    }

    #[test]
    fn a_query_is_a_bag_of_words() {
        let words: Vec<String> =
            query_words("Pump \"north\" OR pump* 泵站手 阀").iter().map(QueryWord::to_match).collect();
        assert_eq!(words, ["\"pump\"", "\"north\"", "\"or\"", "\"泵站\"", "\"站手\"", "\"阀\"*"]);
        assert!(query_words("!? \" ' `").is_empty());
    }
}
