//! Writes lines, checks their order, counts and hashes them.

use std::io::{self, Write};

use serde::Serialize;

use super::lines::Line;

/// How many lines of each kind were written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ExportCounts {
    /// Documents.
    pub documents: u64,
    /// Chunks.
    pub chunks: u64,
    /// Entities.
    pub entities: u64,
    /// Relations.
    pub relations: u64,
    /// Chunks with neighbours.
    pub similarities: u64,
    /// Communities.
    pub communities: u64,
}

#[derive(Serialize)]
struct EndLine<'a> {
    kind: &'static str,
    #[serde(flatten)]
    counts: ExportCounts,
    hash: &'a str,
}

/// Writes an export into `out`.
pub struct ExportWriter<W> {
    out: W,
    hasher: blake3::Hasher,
    counts: ExportCounts,
    line: Vec<u8>,
    rank: u8,
}

impl<W: Write> ExportWriter<W> {
    /// Begins an export.
    pub fn new(out: W) -> Self {
        Self { out, hasher: blake3::Hasher::new(), counts: ExportCounts::default(), line: Vec::new(), rank: 0 }
    }

    /// Writes a line. Kinds come in the order of [`super`]; within a kind the caller keeps the order.
    pub fn line(&mut self, line: &Line) -> io::Result<()> {
        let (rank, counted) = match line {
            Line::Collection(_) => (0, None),
            Line::Document(_) => (1, Some(&mut self.counts.documents)),
            Line::Chunk(_) => (2, Some(&mut self.counts.chunks)),
            Line::Entity(_) => (3, Some(&mut self.counts.entities)),
            Line::Relation(_) => (4, Some(&mut self.counts.relations)),
            Line::Similarity(_) => (5, Some(&mut self.counts.similarities)),
            Line::Community(_) => (6, Some(&mut self.counts.communities)),
        };
        if let Some(count) = counted {
            *count += 1;
        }
        if rank < self.rank {
            return Err(io::Error::other("lines of the export are out of order"));
        }
        self.rank = rank;
        self.line.clear();
        serde_json::to_writer(&mut self.line, line)?;
        self.line.push(b'\n');
        self.hasher.update(&self.line);
        self.out.write_all(&self.line)
    }

    /// Writes the last line.
    pub fn finish(mut self) -> io::Result<W> {
        let hash = self.hasher.finalize().to_hex();
        let end = EndLine { kind: "end", counts: self.counts, hash: hash.as_str() };
        serde_json::to_writer(&mut self.out, &end)?;
        self.out.write_all(b"\n")?;
        self.out.flush()?;
        Ok(self.out)
    }
}

#[cfg(test)]
mod tests {
    use graphmill_core::CollectionId;

    use super::super::lines::{CollectionLine, FORMAT};
    use super::*;

    #[test]
    fn the_last_line_has_the_hash_of_all_before() {
        let mut writer = ExportWriter::new(Vec::new());
        let first = CollectionLine { id: CollectionId::default(), format: FORMAT, normaliser: 1 };
        writer.line(&Line::Collection(first)).unwrap();
        let text = String::from_utf8(writer.finish().unwrap()).unwrap();
        let (body, end) = text.split_at(text.find('\n').unwrap() + 1);
        assert_eq!(body, "{\"kind\":\"collection\",\"id\":\"default\",\"format\":1,\"normaliser\":1}\n");
        assert!(end.contains(&blake3::hash(body.as_bytes()).to_hex().to_string()), "{end}");
    }
}
