//! The export of the embedded graph: one read transaction writes a spool file at full speed, which the caller then reads as slowly as it
//! likes without holding back the write-ahead log. Where there is no room for a spool, the caller reads from the transaction itself.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use graphmill_core::{ChunkId, CollectionId, CommunityId, EntityId};
use rusqlite::{Connection, OptionalExtension, Row, params};
use tokio::sync::mpsc::Sender;

use super::collections::collection_key;
use super::documents;
use super::ids::{chunk_id, content_hash, document_id, entity_id};
use super::placements::decode_headings;
use super::staging::{EMBEDDING_QUARANTINED, FACTS_QUARANTINED};
use super::{entity_rows, layers, relation_rows};
use crate::export::ExportWriter;
use crate::export::lines::{
    ChunkLine, CollectionLine, CommunityLine, FORMAT, Line, SimilarityLine, community_name, six_decimals,
};
use crate::facts_column::FactsView;
use crate::records::{ChunkRecord, Layer, Placement};
use crate::{Error, Result};

/// Bytes of whole lines that the stream hands out at once, about.
const PIECE: usize = 64 << 10;

/// A spool file that is gone as soon as nobody has it open.
fn spool_beside(path: &Path) -> Result<File> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut name = path.as_os_str().to_owned();
    name.push(format!("-export-{}-{number}", std::process::id()));
    let name = PathBuf::from(name);
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&name).map_err(spool_error)?;
    std::fs::remove_file(&name).map_err(spool_error)?;
    Ok(file)
}

fn spool_error(error: std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::StorageFull {
        Error::Full(format!("no room for the spool of the export: {error}"))
    } else {
        Error::Backend(format!("the spool of the export failed: {error}"))
    }
}

/// Writes the export of a collection into a spool beside `path` and rewinds it.
pub(super) fn write_spool(conn: &Connection, path: &Path, collection: &CollectionId) -> Result<BufReader<File>> {
    let out = write_lines(conn, collection, BufWriter::with_capacity(256 << 10, spool_beside(path)?))?;
    let mut file = out.into_inner().map_err(|e| spool_error(e.into_error()))?;
    file.rewind().map_err(spool_error)?;
    Ok(BufReader::with_capacity(PIECE, file))
}

/// Writes the export of a collection to whoever listens, as fast as it is taken: for a disk that has no room for a spool. A slow listener holds back the
/// write-ahead log meanwhile.
pub(super) fn write_directly(conn: &Connection, collection: &CollectionId, listener: Sender<Result<Bytes>>) {
    let pieces = Pieces { listener: listener.clone(), piece: Vec::with_capacity(PIECE + 4096) };
    if let Err(error) = write_lines(conn, collection, pieces) {
        // Nobody listens any more when this fails.
        let _ = listener.blocking_send(Err(error));
    }
}

/// Sends whole lines, some at a time.
struct Pieces {
    listener: Sender<Result<Bytes>>,
    piece: Vec<u8>,
}

impl Pieces {
    fn send(&mut self) -> std::io::Result<()> {
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE + 4096));
        self.listener.blocking_send(Ok(piece.into())).map_err(|_| std::io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        // Within a line of JSON there is no line end.
        if self.piece.len() >= PIECE && self.piece.ends_with(b"\n") {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if self.piece.is_empty() { Ok(()) } else { self.send() }
    }
}

/// Writes the export of a collection.
fn write_lines<W: Write>(conn: &Connection, collection: &CollectionId, out: W) -> Result<W> {
    let mut out = ExportWriter::new(out);
    let key = collection_key(conn, collection)?;
    let normaliser = match key {
        Some(key) => conn.query_row("SELECT normaliser FROM collection WHERE key = ?1", [key], |row| row.get(0))?,
        None => graphmill_core::EntityName::NORMALISER_VERSION,
    };
    write(&mut out, Line::Collection(CollectionLine { id: collection.clone(), format: FORMAT, normaliser }))?;
    if let Some(key) = key {
        write_documents(conn, key, &mut out)?;
        write_chunks(conn, key, collection, &mut out)?;
        write_entities(conn, key, &mut out)?;
        write_relations(conn, key, &mut out)?;
        write_similarities(conn, key, &mut out)?;
        write_communities(conn, key, &mut out)?;
    }
    let mut out = out.finish().map_err(spool_error)?;
    out.flush().map_err(spool_error)?;
    Ok(out)
}

/// The next whole lines of a spool; `None` at its end.
pub(super) fn next_piece(spool: &mut BufReader<File>) -> Result<Option<Bytes>> {
    let mut piece = Vec::with_capacity(PIECE + 4096);
    while piece.len() < PIECE {
        if spool.read_until(b'\n', &mut piece).map_err(spool_error)? == 0 {
            break;
        }
    }
    Ok((!piece.is_empty()).then(|| piece.into()))
}

fn write<W: Write>(out: &mut ExportWriter<W>, line: Line) -> Result<()> {
    out.line(&line).map_err(spool_error)
}

fn write_documents<W: Write>(conn: &Connection, collection: i64, out: &mut ExportWriter<W>) -> Result<()> {
    let mut statement = conn.prepare("SELECT id FROM document WHERE collection = ?1 ORDER BY id")?;
    let mut rows = statement.query([collection])?;
    while let Some(row) = rows.next()? {
        if let Some(record) = documents::document(conn, document_id(row, 0)?)? {
            write(out, Line::Document(Box::new(record.into())))?;
        }
    }
    Ok(())
}

fn write_chunks<W: Write>(
    conn: &Connection,
    collection: i64,
    name: &CollectionId,
    out: &mut ExportWriter<W>,
) -> Result<()> {
    let mut statement = conn.prepare(
        "SELECT c.id, d.id, p.chunk_index, p.start_char, p.end_char, p.page_start, p.page_end, p.heading_path, \
         c.text, c.token_count, c.flags, c.content_hash, c.facts, c.context FROM chunk c CROSS JOIN placement p ON p.chunk = c.key \
         CROSS JOIN document d ON d.key = p.document WHERE c.collection = ?1 ORDER BY c.id",
    )?;
    let mut rows = statement.query([collection])?;
    while let Some(row) = rows.next()? {
        let facts = FactsView::read(row.get_ref(12)?.as_blob().map_err(rusqlite::Error::from)?)?.to_facts()?;
        let line = ChunkLine::new(name, chunk_record(row)?, content_hash(row, 11)?, facts);
        write(out, Line::Chunk(Box::new(line)))?;
    }
    Ok(())
}

fn chunk_record(row: &Row<'_>) -> Result<ChunkRecord> {
    let flags: i64 = row.get(10)?;
    Ok(ChunkRecord {
        document: document_id(row, 1)?,
        chunk_index: row.get(2)?,
        placement: Placement {
            chunk: chunk_id(row, 0)?,
            start_char: row.get::<_, i64>(3)?.cast_unsigned(),
            end_char: row.get::<_, i64>(4)?.cast_unsigned(),
            page_start: row.get(5)?,
            page_end: row.get(6)?,
            heading_path: decode_headings(row.get_ref(7)?.as_blob().map_err(rusqlite::Error::from)?)?,
        },
        text: row.get(8)?,
        context: row.get(13)?,
        token_count: row.get(9)?,
        facts_quarantined: flags & FACTS_QUARANTINED != 0,
        embedding_quarantined: flags & EMBEDDING_QUARANTINED != 0,
    })
}

fn write_entities<W: Write>(conn: &Connection, collection: i64, out: &mut ExportWriter<W>) -> Result<()> {
    let sql = "SELECT id, mentions, documents, fold FROM entity WHERE collection = ?1 ORDER BY id";
    let mut statement = conn.prepare(sql)?;
    let mut rows = statement.query([collection])?;
    while let Some(row) = rows.next()? {
        let fold = entity_rows::fold_from(row, 1)?;
        write(out, Line::Entity(fold.record(entity_id(row, 0)?).into()))?;
    }
    Ok(())
}

fn write_relations<W: Write>(conn: &Connection, collection: i64, out: &mut ExportWriter<W>) -> Result<()> {
    let mut sources = conn.prepare("SELECT key, id FROM entity WHERE collection = ?1 ORDER BY id")?;
    let mut relations = conn.prepare(
        "SELECT t.id, r.support, r.strength, r.fold FROM relation r CROSS JOIN entity t ON t.key = r.target \
         WHERE r.source = ?1 ORDER BY t.id",
    )?;
    let mut entities = sources.query([collection])?;
    while let Some(entity) = entities.next()? {
        let source = entity_id(entity, 1)?;
        let mut rows = relations.query([entity.get::<_, i64>(0)?])?;
        while let Some(row) = rows.next()? {
            let fold = relation_rows::fold_from(row, 1)?;
            write(out, Line::Relation(fold.record(source, entity_id(row, 0)?).into()))?;
        }
    }
    Ok(())
}

fn write_similarities<W: Write>(conn: &Connection, collection: i64, out: &mut ExportWriter<W>) -> Result<()> {
    let Some(layer) = layers::row(conn, collection, Layer::Similarities)?.filter(|row| row.generation > 0) else {
        return Ok(());
    };
    let top_k = layer.top_k()?;
    let mut statement = conn.prepare(
        "SELECT c.id, s.neighbours FROM chunk c CROSS JOIN placement p ON p.chunk = c.key CROSS JOIN similarity s \
         ON s.collection = ?1 AND s.generation = ?2 AND s.chunk = c.key WHERE c.collection = ?1 ORDER BY c.id",
    )?;
    let mut live =
        conn.prepare("SELECT c.id FROM placement p CROSS JOIN chunk c ON c.key = p.chunk WHERE p.chunk = ?1")?;
    let mut rows = statement.query([collection, layer.generation])?;
    while let Some(row) = rows.next()? {
        let mut neighbours: Vec<(ChunkId, f32)> = Vec::new();
        for (key, score) in layers::neighbours(row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?)? {
            if neighbours.len() < top_k {
                let id = live.query_row([key], |row| chunk_id(row, 0)).optional()?;
                neighbours.extend(id.map(|id| (id, score)));
            }
        }
        if !neighbours.is_empty() {
            write(out, Line::Similarity(SimilarityLine::new(chunk_id(row, 0)?, neighbours)))?;
        }
    }
    Ok(())
}

/// Communities are named in a first pass, which keeps names alone, and written in a second.
fn write_communities<W: Write>(conn: &Connection, collection: i64, out: &mut ExportWriter<W>) -> Result<()> {
    let Some(layer) = layers::row(conn, collection, Layer::Communities)?.filter(|row| row.generation > 0) else {
        return Ok(());
    };
    let mut names: HashMap<CommunityId, String> = HashMap::new();
    let mut first =
        conn.prepare("SELECT id, level, members FROM community WHERE collection = ?1 AND generation = ?2")?;
    let mut rows = first.query([collection, layer.generation])?;
    while let Some(row) = rows.next()? {
        let members = live_members(conn, row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?)?;
        if !members.is_empty() {
            names.insert(CommunityId::from_bytes(row.get(0)?), community_name(row.get(1)?, &members));
        }
    }
    let mut order: Vec<(&String, &CommunityId)> = names.iter().map(|(id, name)| (name, id)).collect();
    order.sort_unstable();
    let mut second = conn.prepare(
        "SELECT level, parent, title, summary, share, members FROM community \
         WHERE collection = ?1 AND generation = ?2 AND id = ?3",
    )?;
    for (name, id) in order {
        let mut rows = second.query(params![collection, layer.generation, id.as_bytes()])?;
        let Some(row) = rows.next()? else { continue };
        let members = live_members(conn, row.get_ref(5)?.as_blob().map_err(rusqlite::Error::from)?)?;
        let parent: Option<[u8; 16]> = row.get(1)?;
        let line = CommunityLine {
            id: name.clone(),
            level: row.get(0)?,
            parent: parent.and_then(|parent| names.get(&CommunityId::from_bytes(parent)).cloned()),
            title: row.get(2)?,
            summary: row.get(3)?,
            size: members.len() as u64,
            modularity_share: six_decimals(row.get::<_, i64>(4)? as f64 / 1e6),
            members,
        };
        write(out, Line::Community(line))?;
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
