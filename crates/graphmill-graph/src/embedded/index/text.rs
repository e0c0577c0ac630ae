//! Full text: BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009) with k₁ = 1.2, b = 0.75 and the inverse
//! document frequency ln(1 + (N − n + ½) / (n + ½)), which is never negative.

use std::sync::atomic::Ordering;

use graphmill_core::words::query_words;
use rusqlite::{Connection, OptionalExtension, params};

use super::postings::{Segment, each_posting, members};
use super::shortlist::{Candidates, Shortlist};
use super::{Outcome, SearchIndex};
use crate::Result;
use crate::embedded::filter::Admission;
use crate::embedded::ids::{chunk_id, document_id};
use crate::records::{SearchFilter, SearchHit};

const K1: f64 = 1.2;
const B: f64 = 0.75;
/// Most words of a query that are looked for.
const QUERY_WORDS: usize = 64;
/// Chunks that one step takes in.
const STEP: i64 = 1_024;
/// Candidates beyond those asked for, since some may not be live.
const SPARE: usize = 1_000;

/// Key of the newest chunk that there ever was.
pub(super) fn newest_chunk(graph: &Connection) -> Result<i64> {
    let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'chunk'";
    Ok(graph.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()?.unwrap_or(0))
}

impl SearchIndex {
    /// Takes in the words of all chunks that `graph` sees, staged ones too: their texts never change. Answers the key of the newest of them.
    pub(super) fn bring_text_up(&self, graph: &Connection) -> Outcome<i64> {
        let newest = newest_chunk(graph)?;
        while self.text_to.load(Ordering::SeqCst) < newest {
            let text_to = self.write(|conn| step(conn, graph, newest))?;
            self.text_to.store(text_to, Ordering::SeqCst);
        }
        Ok(newest)
    }

    /// Live chunks that hold any word of the query, best first, ties by id.
    pub(in crate::embedded) fn text(
        &self,
        graph: &Connection,
        collection: i64,
        query: &str,
        limit: usize,
        filter: &SearchFilter,
    ) -> Result<Vec<SearchHit>> {
        let words = query_words(query, QUERY_WORDS);
        if words.is_empty() || limit == 0 {
            return Ok(Vec::new());
        }
        let Some(admission) = Admission::resolve(graph, collection, filter)? else { return Ok(Vec::new()) };
        self.healing(|| {
            let mut size = limit * 4 + SPARE;
            loop {
                let found = match self.bring_text_up(graph) {
                    Ok(newest) => self.read(|conn| {
                        // Somebody may have made the file anew meanwhile.
                        let whole = text_to(conn)? >= newest;
                        if whole { scored(&[conn], collection, &words, &admission, size).map(Some) } else { Ok(None) }
                    })?,
                    Err(fault) if fault.is_no_room() => {
                        Some(self.scored_beside(graph, collection, &words, &admission, size)?)
                    }
                    Err(fault) => return Err(fault),
                };
                let Some((candidates, dropped)) = found else { continue };
                let hits = live(graph, &candidates, limit, &admission)?;
                let whole = dropped.is_none_or(|best| hits.len() >= limit && hits[limit - 1].score > best);
                if whole {
                    return Ok(hits);
                }
                size = size.saturating_mul(16);
            }
        })
    }
}

impl SearchIndex {
    /// What the file has no room for is taken into memory, and both are searched as one.
    fn scored_beside(
        &self,
        graph: &Connection,
        collection: i64,
        words: &[(String, bool)],
        admission: &Admission,
        size: usize,
    ) -> Outcome<Candidates> {
        let with_file = self.read(|conn| {
            let beside = taken_into_memory(graph, text_to(conn)?)?;
            scored(&[conn, &beside], collection, words, admission, size)
        });
        match with_file {
            // There was never room for the file, or it cannot even be opened.
            Err(fault) if fault.is_no_room() => {
                let whole = taken_into_memory(graph, 0)?;
                scored(&[&whole], collection, words, admission, size)
            }
            other => other,
        }
    }
}

/// The words of all chunks after a key that `graph` sees.
fn taken_into_memory(graph: &Connection, after: i64) -> Outcome<Connection> {
    let (conn, newest) = (super::open_in_memory()?, newest_chunk(graph)?);
    conn.execute("UPDATE meta SET text_to = ?1", [after])?;
    while text_to(&conn)? < newest {
        step(&conn, graph, newest)?;
    }
    Ok(conn)
}

/// Chunks up to this key are in segments.
fn text_to(conn: &Connection) -> Outcome<i64> {
    Ok(conn.prepare_cached("SELECT text_to FROM meta")?.query_row([], |row| row.get(0))?)
}

/// Takes in some chunks; answers up to which key all are in now.
fn step(conn: &Connection, graph: &Connection, newest: i64) -> Outcome<i64> {
    let text_to = text_to(conn)?;
    if text_to == 0 {
        let of: Option<Vec<u8>> =
            graph.query_row("SELECT job_store FROM meta", [], |row| row.get(0)).map_err(crate::Error::from)?;
        conn.execute("UPDATE meta SET job_store = ?1", [of])?;
    }
    let mut segments: Vec<(i64, Segment)> = Vec::new();
    let last = read_texts(graph, text_to, |collection, key, text| {
        let at = segments.iter().position(|(of, _)| *of == collection);
        let at = at.unwrap_or_else(|| {
            segments.push((collection, Segment::default()));
            segments.len() - 1
        });
        segments[at].1.add(key, text);
    })?;
    for (collection, segment) in &mut segments {
        write_segment(conn, *collection, segment, None)?;
    }
    // The last step also passes over keys of chunks that came and went.
    let text_to = last.unwrap_or(newest).max(text_to);
    conn.execute("UPDATE meta SET text_to = ?1", [text_to])?;
    Ok(text_to)
}

/// The chunks after a key, at most [`STEP`]; answers the last key when there may be more.
fn read_texts(graph: &Connection, after: i64, mut each: impl FnMut(i64, i64, &str)) -> Result<Option<i64>> {
    let sql = "SELECT collection, key, text FROM chunk WHERE key > ?1 ORDER BY key LIMIT ?2";
    let mut statement = graph.prepare_cached(sql)?;
    let mut rows = statement.query([after, STEP])?;
    let (mut count, mut last) = (0, None);
    while let Some(row) = rows.next()? {
        let key = row.get(1)?;
        each(row.get(0)?, key, row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?);
        count += 1;
        last = Some(key);
    }
    Ok(if count == STEP { last } else { None })
}

/// Writes a segment with its lists, in their order; under a new number when none is given.
pub(super) fn write_segment(
    conn: &Connection,
    collection: i64,
    segment: &mut Segment,
    number: Option<i64>,
) -> Outcome<()> {
    let (chunks, members) = (segment.members.len() as i64, segment.encode_members());
    conn.prepare_cached(
        "INSERT INTO text_segment (segment, collection, chunks, words, members) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![number, collection, chunks, segment.words(), members])?;
    let number = conn.last_insert_rowid();
    let mut insert =
        conn.prepare_cached("INSERT INTO posting (segment, term, chunks, list) VALUES (?1, ?2, ?3, ?4)")?;
    for (term, list) in segment.sorted() {
        insert.execute(params![number, term, list.chunks, list.bytes])?;
    }
    Ok(())
}

/// A segment as a search uses it.
struct SegmentRow {
    segment: i64,
    members: Vec<u8>,
}

/// Scores the chunks of all these indexes (none of them in two) as one.
fn scored(
    indexes: &[&Connection],
    collection: i64,
    words: &[(String, bool)],
    admission: &Admission,
    size: usize,
) -> Outcome<Candidates> {
    let (mut segments, mut chunks, mut length) = (Vec::new(), 0i64, 0i64);
    let sql = "SELECT segment, chunks, words FROM text_segment WHERE collection = ?1 ORDER BY segment";
    for conn in indexes {
        let mut statement = conn.prepare_cached(sql)?;
        let mut rows = statement.query([collection])?;
        while let Some(row) = rows.next()? {
            segments.push((*conn, row.get::<_, i64>(0)?));
            chunks += row.get::<_, i64>(1)?;
            length += row.get::<_, i64>(2)?;
        }
    }
    let weights = words
        .iter()
        .map(|word| {
            let mut having = 0i64;
            for (conn, segment) in &segments {
                each_list(conn, *segment, word, |count, _| {
                    having += count;
                    Ok(())
                })?;
            }
            let having = having.min(chunks) as f64;
            Ok((1.0 + (chunks as f64 - having + 0.5) / (having + 0.5)).ln())
        })
        .collect::<Outcome<Vec<f64>>>()?;
    let average = (length as f64 / chunks.max(1) as f64).max(1.0);
    let mut best = Shortlist::new(size);
    for (conn, segment) in segments {
        let mut find = conn.prepare_cached("SELECT members FROM text_segment WHERE segment = ?1")?;
        let row = SegmentRow { segment, members: find.query_row([segment], |row| row.get(0))? };
        score_segment(conn, &row, words, &weights, average, |score, key| {
            if admission.few().is_none_or(|few| few.contains(&key)) {
                best.push(score, key);
            }
        })?;
    }
    Ok(best.into_sorted())
}

fn score_segment(
    conn: &Connection,
    row: &SegmentRow,
    words: &[(String, bool)],
    weights: &[f64],
    average: f64,
    mut push: impl FnMut(f64, i64),
) -> Outcome<()> {
    let members = members(&row.members)?;
    let (mut scores, mut counts) = (vec![0f64; members.len()], vec![0u32; members.len()]);
    let mut having: Vec<u32> = Vec::new();
    for (word, weight) in words.iter().zip(weights) {
        each_list(conn, row.segment, word, |_, list| {
            Ok(each_posting(list, |chunk, count| {
                let seen = counts.get_mut(chunk as usize).ok_or(crate::varint::Malformed)?;
                if *seen == 0 {
                    having.push(chunk);
                }
                *seen = seen.saturating_add(count);
                Ok(())
            })?)
        })?;
        for chunk in having.drain(..) {
            let (chunk, count) = (chunk as usize, f64::from(std::mem::take(&mut counts[chunk as usize])));
            let length = f64::from(members[chunk].1) / average;
            scores[chunk] += weight * count * (K1 + 1.0) / (count + K1 * (1.0 - B + B * length));
        }
    }
    for (score, (key, _)) in scores.into_iter().zip(members) {
        if score > 0.0 {
            push(score, key);
        }
    }
    Ok(())
}

/// Calls `each` with number of chunks and list of a word; of all words that begin with it when it is a single character of an unspaced script.
fn each_list(
    conn: &Connection,
    segment: i64,
    (word, single): &(String, bool),
    mut each: impl FnMut(i64, &[u8]) -> Outcome<()>,
) -> Outcome<()> {
    let mut call =
        |row: &rusqlite::Row<'_>| each(row.get(0)?, row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?);
    if !single {
        let mut one = conn.prepare_cached("SELECT chunks, list FROM posting WHERE segment = ?1 AND term = ?2")?;
        let mut rows = one.query(params![segment, word])?;
        return rows.next()?.map_or(Ok(()), &mut call);
    }
    let mut all = conn.prepare_cached(
        "SELECT chunks, list FROM posting WHERE segment = ?1 AND term >= ?2 AND term < ?2 || char(1114111)",
    )?;
    let mut rows = all.query(params![segment, word])?;
    while let Some(row) = rows.next()? {
        call(row)?;
    }
    Ok(())
}

/// Those candidates that are placed and pass, best first, ties by id, at most `limit`.
fn live(graph: &Connection, candidates: &[(f64, i64)], limit: usize, admission: &Admission) -> Result<Vec<SearchHit>> {
    let mut placed = graph.prepare_cached(
        "SELECT p.document, c.id, d.id FROM placement p CROSS JOIN chunk c ON c.key = p.chunk \
         CROSS JOIN document d ON d.key = p.document WHERE p.chunk = ?1",
    )?;
    let mut hits: Vec<SearchHit> = Vec::new();
    for (score, key) in candidates {
        // Candidates of equal score come in the order of their keys: all of them are taken before the list is cut.
        if hits.len() >= limit && hits[limit - 1].score > *score {
            break;
        }
        let mut rows = placed.query([key])?;
        let Some(row) = rows.next()? else { continue };
        if admission.admits(graph, row.get(0)?, *key)? {
            hits.push(SearchHit { chunk: chunk_id(row, 1)?, document: document_id(row, 2)?, score: *score });
        }
    }
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.chunk.cmp(&b.chunk)));
    hits.truncate(limit);
    Ok(hits)
}
