//! The archive's layout, written and read entry by entry in constant memory.

use std::io::{self, Read, Write};

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};

use super::{BLOBS, DATABASES, FIRST, FORMAT, LAST};

/// First entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Beginning {
    /// Version of the layout.
    pub(crate) format: u32,
    /// Version of graphmill that wrote it.
    pub(crate) version: String,
    /// The moment that it shows.
    pub(crate) at: String,
    /// Schema of `jobs.db`.
    pub(crate) jobs_schema: i64,
    /// Schema of `graph.db`.
    pub(crate) graph_schema: i64,
}

impl Beginning {
    /// Of the layout that this version writes.
    pub(crate) fn new(at: String, jobs_schema: i64, graph_schema: i64) -> Self {
        Self { format: FORMAT, version: env!("CARGO_PKG_VERSION").to_owned(), at, jobs_schema, graph_schema }
    }
}

/// Last entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct End {
    /// Entries between the first and the last.
    pub(crate) entries: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// BLAKE3 over the first entry, name, size and hash of each that follows, in order, and what is missing.
    pub(crate) hash: String,
    /// Blobs that something names and that were not there.
    pub(crate) missing: Vec<String>,
}

/// What an entry holds, once its name was found to be one of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A database file of the data folder.
    Database(&'static str),
    /// A blob, by its key.
    Blob(String),
}

impl Place {
    fn of(name: &str) -> anyhow::Result<Self> {
        if let Some(database) = DATABASES.into_iter().find(|database| *database == name) {
            return Ok(Self::Database(database));
        }
        let part = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        match name.strip_prefix(BLOBS).and_then(|rest| rest.strip_prefix('/')) {
            Some(key) if key.split('/').all(part) => Ok(Self::Blob(key.to_owned())),
            _ => bail!("it has an entry {name:?}, which no backup of graphmill has"),
        }
    }
}

/// What the archive amounts to so far.
struct Sum {
    entries: u64,
    bytes: u64,
    lines: blake3::Hasher,
}

impl Sum {
    fn begin(beginning: &Beginning) -> Self {
        let mut lines = blake3::Hasher::new();
        lines.update(format!("{beginning:?}\n").as_bytes());
        Self { entries: 0, bytes: 0, lines }
    }

    fn add(&mut self, name: &str, bytes: u64, hash: &blake3::Hash) {
        self.entries += 1;
        self.bytes += bytes;
        self.lines.update(format!("{name}\t{bytes}\t{}\n", hash.to_hex()).as_bytes());
    }

    fn end(mut self, missing: Vec<String>) -> End {
        self.lines.update(format!("{missing:?}\n").as_bytes());
        let hash = self.lines.finalize().to_hex().to_string();
        End { entries: self.entries, bytes: self.bytes, hash, missing }
    }
}

/// An archive being written.
pub(super) struct Archive<W: Write> {
    tar: tar::Builder<W>,
    sum: Sum,
    missing: Vec<String>,
}

impl<W: Write> Archive<W> {
    /// Writes the first entry.
    pub(super) fn begin(out: W, beginning: &Beginning) -> io::Result<Self> {
        let mut tar = tar::Builder::new(out);
        add_json(&mut tar, FIRST, beginning)?;
        Ok(Self { tar, sum: Sum::begin(beginning), missing: Vec::new() })
    }

    /// Adds an entry of `bytes` bytes.
    pub(super) fn add(&mut self, name: &str, bytes: u64, content: impl Read) -> io::Result<()> {
        let mut content = Hashing { inner: content, hasher: blake3::Hasher::new(), bytes: 0 };
        self.tar.append_data(&mut header(bytes), name, &mut content)?;
        if content.bytes != bytes {
            return Err(io::Error::other(format!("{name} has {} bytes of {bytes}", content.bytes)));
        }
        self.sum.add(name, bytes, &content.hasher.finalize());
        Ok(())
    }

    /// Notes a blob that should be there and is not.
    pub(super) fn miss(&mut self, key: &str) {
        self.missing.push(key.to_owned());
    }

    /// Writes the last entry.
    pub(super) fn end(self) -> io::Result<W> {
        let Self { mut tar, sum, missing } = self;
        add_json(&mut tar, LAST, &sum.end(missing))?;
        tar.into_inner()
    }
}

fn add_json(tar: &mut tar::Builder<impl Write>, name: &str, value: &impl Serialize) -> io::Result<()> {
    let json = serde_json::to_vec(value)?;
    tar.append_data(&mut header(json.len() as u64), name, json.as_slice())
}

fn header(bytes: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes);
    header.set_mode(0o600);
    header
}

/// Reads an archive to its end; `each` gets every entry between the first and the last with its bytes, of which it may read as many as it likes.
///
/// # Errors
/// It is no backup of ours, of a later layout, damaged, or broke off.
pub(crate) fn read(
    archive: impl Read,
    mut each: impl FnMut(&Beginning, Place, &mut dyn Read) -> anyhow::Result<()>,
) -> anyhow::Result<(Beginning, End)> {
    let mut archive = tar::Archive::new(archive);
    let mut begun: Option<(Beginning, Sum)> = None;
    let mut end: Option<End> = None;
    for entry in archive.entries().context("it is no backup of graphmill")? {
        let mut entry = entry.with_context(|| what(begun.is_some()))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        ensure!(end.is_none(), "it goes on after its end");
        ensure!(entry.header().entry_type().is_file(), "it has an entry {name:?}, which is no file");
        match &mut begun {
            None => {
                ensure!(name == FIRST, "it is no backup of graphmill");
                let found: Beginning = serde_json::from_reader(&mut entry).context("it is no backup of graphmill")?;
                ensure!(
                    found.format <= FORMAT,
                    "it was written by a newer graphmill ({}); restore it with that version or a later one",
                    found.version
                );
                let sum = Sum::begin(&found);
                begun = Some((found, sum));
            }
            Some(_) if name == LAST => end = Some(serde_json::from_reader(&mut entry).context(BROKE_OFF)?),
            Some((found, sum)) => {
                let mut content = Hashing { inner: &mut entry, hasher: blake3::Hasher::new(), bytes: 0 };
                each(found, Place::of(&name)?, &mut content)?;
                io::copy(&mut content, &mut io::sink()).context(BROKE_OFF)?;
                let (bytes, hash) = (content.bytes, content.hasher.finalize());
                sum.add(&name, bytes, &hash);
            }
        }
    }
    let (Some((beginning, sum)), Some(end)) = (begun, end) else { bail!(BROKE_OFF) };
    ensure!(
        sum.end(end.missing.clone()) == end,
        "it is damaged: what is in it is not what was written (take another copy of it)"
    );
    Ok((beginning, end))
}

const BROKE_OFF: &str = "it is not whole: the backup broke off, or the file was cut";

fn what(begun: bool) -> &'static str {
    if begun { BROKE_OFF } else { "it is no backup of graphmill" }
}

/// Hashes and counts what is read.
struct Hashing<R> {
    inner: R,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        self.bytes += n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive() -> Vec<u8> {
        let beginning = Beginning::new("2026-01-01T00:00:00.000Z".into(), 2, 2);
        let mut archive = Archive::begin(Vec::new(), &beginning).unwrap();
        archive.add("jobs.db", 5, &b"jobs!"[..]).unwrap();
        archive.add("blobs/original/ab/abc", 1000, io::repeat(7).take(1000)).unwrap();
        archive.miss("original/cd/cde");
        archive.end().unwrap()
    }

    fn check(bytes: &[u8]) -> anyhow::Result<(Beginning, End)> {
        read(bytes, |_, _, _| Ok(()))
    }

    #[test]
    fn what_was_written_is_read() {
        let mut places = Vec::new();
        let (beginning, end) = read(archive().as_slice(), |_, place, content| {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            places.push((place, bytes.len()));
            Ok(())
        })
        .unwrap();
        assert_eq!((beginning.format, beginning.jobs_schema), (FORMAT, 2));
        assert_eq!((end.entries, end.bytes, end.missing.len()), (2, 1005, 1));
        assert_eq!(places, [(Place::Database("jobs.db"), 5), (Place::Blob("original/ab/abc".into()), 1000)]);
    }

    /// Whatever place it is cut at, whichever byte is changed, it is refused or (padding of the archive) means the same.
    #[test]
    fn a_cut_or_changed_archive_is_refused() {
        let whole = archive();
        let sound = check(&whole).unwrap();
        // The last 1,024 bytes only close the archive.
        for length in 0..whole.len() - 1536 {
            let outcome = check(&whole[..length]);
            assert!(outcome.is_err(), "cut at {length}: {outcome:?}");
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0x10;
            if let Ok(found) = check(&changed) {
                assert_eq!(found, sound, "byte {at}");
            }
        }
    }

    #[test]
    fn names_stay_within_a_data_folder() {
        for bad in
            ["../jobs.db", "blobs/../jobs.db", "blobs//x", "blobs/", "/etc/passwd", "graphmill.lock", "blobs/a.b"]
        {
            assert!(Place::of(bad).is_err(), "{bad}");
        }
    }
}
