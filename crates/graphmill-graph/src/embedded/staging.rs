//! Staging: chunks with their facts, vectors and words, unplaced, seen by no reader.

use graphmill_core::{ChunkId, CollectionId, DocumentId};
use rusqlite::{Connection, OptionalExtension, params};

use super::collections::{CounterChange, DocumentRow, ensure_document, raise_publish_number};
use super::vectors;
use crate::facts_column;
use crate::records::{SpaceId, StagedChunk};
use crate::{Error, Result};

/// Facts set aside.
pub(super) const FACTS_QUARANTINED: i64 = 1;
/// Embedding set aside: the chunk has no vector in any space.
pub(super) const EMBEDDING_QUARANTINED: i64 = 2;

/// Most chunks of one transaction, so that nobody waits long for the writer.
const BATCH_CHUNKS: usize = 256;
/// Most bytes of one transaction.
const BATCH_BYTES: usize = 2 << 20;

/// A chunk as it goes into its row; made outside of the writer's thread.
pub(super) struct EncodedChunk {
    id: ChunkId,
    flags: i64,
    token_count: u32,
    content_hash: [u8; 32],
    facts: Vec<u8>,
    text: String,
    context: Option<String>,
    vectors: Vec<(SpaceId, Vec<u8>)>,
}

impl EncodedChunk {
    fn bytes(&self) -> usize {
        self.text.len() + self.facts.len() + self.vectors.iter().map(|(_, v)| v.len()).sum::<usize>()
    }
}

/// Makes rows of chunks, in batches of one transaction each.
pub(super) fn encode(collection: &CollectionId, chunks: Vec<StagedChunk>) -> Result<Vec<Vec<EncodedChunk>>> {
    let mut batches: Vec<Vec<EncodedChunk>> = Vec::new();
    let mut bytes = 0;
    for chunk in chunks {
        let chunk = encode_chunk(collection, chunk)?;
        let full = batches.last().is_none_or(|batch| batch.len() >= BATCH_CHUNKS || bytes >= BATCH_BYTES);
        if full {
            bytes = 0;
            batches.push(Vec::new());
        }
        bytes += chunk.bytes();
        batches.last_mut().expect("a batch was pushed when there was none").push(chunk);
    }
    Ok(batches)
}

fn encode_chunk(collection: &CollectionId, chunk: StagedChunk) -> Result<EncodedChunk> {
    let facts = facts_column::encode(collection, &chunk.facts)?;
    let mut vectors = Vec::with_capacity(chunk.vectors.len());
    for (space, vector) in &chunk.vectors {
        vectors.push((*space, vectors::to_column(*space, vector)?));
    }
    let embedding_quarantined = chunk.embedding_quarantined && vectors.is_empty();
    let flags = i64::from(chunk.facts.quarantined) * FACTS_QUARANTINED
        + i64::from(embedding_quarantined) * EMBEDDING_QUARANTINED;
    Ok(EncodedChunk {
        id: chunk.id,
        flags,
        token_count: chunk.token_count,
        content_hash: *chunk.content_hash.as_bytes(),
        facts,
        text: chunk.text,
        context: chunk.context,
        vectors,
    })
}

/// Stages a batch.
pub(super) fn stage(
    conn: &Connection,
    collection: &CollectionId,
    document: DocumentId,
    batch: &[EncodedChunk],
) -> Result<()> {
    let row = ensure_document(conn, collection, document)?;
    let spaces = vectors::spaces_of(conn, row.collection)?;
    let mut find = conn.prepare_cached("SELECT key, document, flags FROM chunk WHERE collection = ?1 AND id = ?2")?;
    let mut raised = None;
    let mut added = 0;
    for chunk in batch {
        for (space, vector) in &chunk.vectors {
            vectors::check_dimension(&spaces, *space, vector.len())?;
        }
        let found = find
            .query_row(params![row.collection, chunk.id.as_bytes()], |r| {
                Ok((r.get::<_, i64>(0)?, r.get::<_, i64>(1)?, r.get::<_, i64>(2)?))
            })
            .optional()?;
        match found {
            None => {
                insert(conn, &row, chunk)?;
                added += 1;
            }
            Some((_, owner, _)) if owner != row.key => {
                return Err(Error::Invalid(format!("{} is a chunk of another document than {document}", chunk.id)));
            }
            Some((key, _, flags)) => add_vectors(conn, &row, chunk, key, flags, &mut raised)?,
        }
    }
    CounterChange { unplaced_chunks: added, ..CounterChange::default() }.apply(conn, row.collection)
}

fn insert(conn: &Connection, document: &DocumentRow, chunk: &EncodedChunk) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO chunk (collection, id, document, flags, token_count, content_hash, facts, text, context) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        document.collection,
        chunk.id.as_bytes(),
        document.key,
        chunk.flags,
        chunk.token_count,
        chunk.content_hash,
        chunk.facts,
        chunk.text,
        chunk.context
    ])?;
    let key = conn.last_insert_rowid();
    conn.prepare_cached("INSERT INTO unplaced (document, chunk) VALUES (?1, ?2)")?.execute([document.key, key])?;
    for (space, vector) in &chunk.vectors {
        vectors::put(conn, *space, key, vector)?;
    }
    Ok(())
}

/// Adds the vectors that a known chunk lacked. On a placed chunk readers see them at once, so the publish number rises (once a batch).
fn add_vectors(
    conn: &Connection,
    document: &DocumentRow,
    chunk: &EncodedChunk,
    key: i64,
    flags: i64,
    raised: &mut Option<u64>,
) -> Result<()> {
    for (space, vector) in &chunk.vectors {
        if !vectors::exists(conn, *space, key)? {
            vectors::put(conn, *space, key, vector)?;
            let mut number = || match *raised {
                Some(number) => Ok(number),
                None => raise_publish_number(conn, document.collection).inspect(|number| *raised = Some(*number)),
            };
            vectors::note_on_placed(conn, *space, key, &mut number)?;
        }
    }
    if flags & EMBEDDING_QUARANTINED != 0 && !chunk.vectors.is_empty() {
        vectors::clear_quarantine(conn, document.collection, key, flags)?;
    }
    Ok(())
}
