//! Full text: BM25 by the server's Lucene index, over words that are cut by the rule of [`graphmill_core::words`]: the server's own analysers know neither all
//! scripts without spaces nor words with and without accents. Each chunk has its words in a property (`gm_words`), one space between two, and the index cuts
//! at spaces alone. A query is built of such words only, each within quotation marks, and of ids: no text of a user's is ever read as an expression.

use graphmill_core::CollectionId;
use graphmill_core::words::{each_word, query_words};

use super::filter::Admission;
use super::{Neo4jConnection, Params, Row, Transaction, ids};
use crate::Result;
use crate::records::{SearchFilter, SearchHit};

/// Most words of a query that are looked for.
const QUERY_WORDS: usize = 64;
/// Ids in one expression: an expression of the index has no more than 1,024 parts.
const IDS: usize = 512;
/// Candidates beyond those asked for, since some may not be live.
const SPARE: usize = 100;

/// What the index holds of a text.
pub(super) fn words(text: &str) -> String {
    let mut words = String::with_capacity(text.len());
    each_word(text, |word| {
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(&word.term);
    });
    words
}

/// Nothing is kept beside the graph: the server's index forgets a chunk in the transaction that removes it, and gives the room back when it merges its files.
pub(super) async fn compact_search(_neo4j: &Neo4jConnection, _collection: &CollectionId) -> Result<()> {
    Ok(())
}

/// See [`crate::GraphStore::fulltext`].
pub(super) async fn fulltext(
    neo4j: &Neo4jConnection,
    collection: &CollectionId,
    query: &str,
    limit: u32,
    filter: &SearchFilter,
) -> Result<Vec<SearchHit>> {
    let words = query_words(query, QUERY_WORDS);
    if words.is_empty() || limit == 0 {
        return Ok(Vec::new());
    }
    let (collection, filter) = (collection.clone(), filter.clone());
    let expression = format!("+collection:{}^0 +gm_words:({})", quoted(collection.as_str()), any_of(&words));
    neo4j
        .read_many(move |tx| {
            let Some(admission) = Admission::resolve(tx, &collection, &filter)? else { return Ok(Vec::new()) };
            search(tx, &expression, limit as usize, &admission)
        })
        .await
}

/// A phrase of the index's language: within quotation marks only these two signs mean something.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Chunks that hold any of the words; a single character of an unspaced script stands for all words that begin with it.
fn any_of(words: &[(String, bool)]) -> String {
    let one = |(word, single): &(String, bool)| {
        if *single {
            // Each of its characters is escaped, whatever it means.
            let escaped: String = word.chars().flat_map(|c| ['\\', c]).collect();
            return format!("{escaped}*");
        }
        quoted(word)
    };
    words.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// The condition that a property is one of these, which changes no score.
fn one_of<'a>(property: &str, values: impl IntoIterator<Item = &'a String>) -> String {
    let values: Vec<String> = values.into_iter().map(|value| quoted(value)).collect();
    format!(" +{property}:({})^0", values.join(" "))
}

fn search(
    tx: &mut Transaction<'_, '_>,
    expression: &str,
    limit: usize,
    admission: &Admission,
) -> Result<Vec<SearchHit>> {
    let mut hits = Vec::new();
    if let Some(few) = admission.few() {
        for ids in few.chunks(IDS) {
            let expression = format!("{expression}{}", one_of("id", ids));
            hits.extend(candidates(tx, &expression, ids.len(), admission)?.hits);
        }
    } else {
        let documents = admission.documents().filter(|documents| documents.len() <= IDS);
        let narrowed = documents.map_or(String::new(), |documents| one_of("document_id", documents));
        hits = best(tx, &format!("{expression}{narrowed}"), limit, admission)?;
    }
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.chunk.cmp(&b.chunk)));
    hits.truncate(limit);
    Ok(hits)
}

/// Asks for more and more until enough of them are live and pass, and none that is as good can follow.
fn best(tx: &mut Transaction<'_, '_>, expression: &str, limit: usize, admission: &Admission) -> Result<Vec<SearchHit>> {
    let mut size = limit * 4 + SPARE;
    loop {
        let found = candidates(tx, expression, size, admission)?;
        let enough = found.hits.get(limit - 1).is_some_and(|last| found.worst.is_none_or(|worst| last.score > worst));
        if found.worst.is_none() || enough {
            return Ok(found.hits);
        }
        size = size.saturating_mul(8);
    }
}

struct Candidates {
    /// Those that are live and pass, best first.
    hits: Vec<SearchHit>,
    /// Score of the last one that the index told of; `None` when it has no more.
    worst: Option<f64>,
}

fn candidates(
    tx: &mut Transaction<'_, '_>,
    expression: &str,
    size: usize,
    admission: &Admission,
) -> Result<Candidates> {
    let params = Params::new().set("expression", expression).set("size", size);
    let (condition, params) = admission.condition(params);
    let query = format!(
        "CALL db.index.fulltext.queryNodes('gm_chunk_text', $expression, {{limit: $size}}) YIELD node AS c, score \
         RETURN c.id AS id, c.document_id AS document, score, c:Chunk{condition} AS passes ORDER BY score DESC"
    );
    let (mut hits, mut count, mut worst) = (Vec::new(), 0, None);
    tx.each_row(&query, params, |mut row| {
        count += 1;
        worst = Some(row.take::<f64>("score")?);
        hits.extend(hit(&mut row, worst.unwrap_or(0.0), admission)?);
        Ok(())
    })?;
    Ok(Candidates { hits, worst: worst.filter(|_| count >= size) })
}

fn hit(row: &mut Row, score: f64, admission: &Admission) -> Result<Option<SearchHit>> {
    let document: String = row.take("document")?;
    let passes = row.take("passes")? && admission.documents().is_none_or(|only| only.contains(&document));
    if !passes {
        return Ok(None);
    }
    Ok(Some(SearchHit { chunk: ids::take(row, "id")?, document: ids::parse(&document, "document")?, score }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_and_quoted_ids_reach_the_index() {
        assert_eq!(words("The naïve PUMP, 泵站!"), "the naive pump 泵站 站");
        assert_eq!(
            any_of(&query_words("pump AND \"valve\" OR c:d* 泵", 64)),
            "\"pump\" \"and\" \"valve\" \"or\" \"c\" \"d\" \\泵*"
        );
        assert_eq!(quoted("a\"b\\"), "\"a\\\"b\\\\\"");
        assert_eq!(one_of("id", &["x".to_owned(), "y".to_owned()]), " +id:(\"x\" \"y\")^0");
    }
}
