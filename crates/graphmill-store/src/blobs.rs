//! Files that are too large for a row: originals, page text, outputs of stages.
//!
//! Plain files under one folder. A blob is written under another name, synced, and renamed into place, so that under its key it is always whole; a row
//! that names it is written after that. (`object_store`'s local backend renames without syncing, and the parser child needs a path; S3 comes with it.)

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use graphmill_core::ContentHash;
use parking_lot::Mutex;
use rand::Rng;

use crate::{Error, Result};

/// Where unfinished blobs lie.
const UNFINISHED: &str = "unfinished";

/// The blobs of a data folder. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Blobs {
    root: Arc<Path>,
    pins: Arc<Mutex<Pins>>,
    /// Of whom what is finished here is remembered.
    claim: Option<Arc<Mutex<WrittenByClaim>>>,
}

/// What one claim of a job has put under its keys.
#[derive(Debug, Default)]
struct WrittenByClaim {
    closed: bool,
    keys: Vec<String>,
}

/// Who wants blobs to stay, and which are to go once nobody does.
#[derive(Debug, Default)]
struct Pins {
    holders: usize,
    deferred: Vec<String>,
}

/// While it lives no blob is removed; what should have gone meanwhile goes with it.
#[derive(Debug)]
pub struct BlobPin {
    blobs: Blobs,
    released: bool,
}

impl BlobPin {
    /// Removes what should have gone meanwhile, unless another pin stands.
    ///
    /// # Errors
    /// A blob cannot be removed; the next sweep tries again.
    pub async fn release(mut self) -> Result<()> {
        self.released = true;
        for key in self.blobs.unpin() {
            self.blobs.delete(&key).await?;
        }
        Ok(())
    }
}

impl Drop for BlobPin {
    fn drop(&mut self) {
        if !self.released {
            for key in self.blobs.unpin() {
                let removed = self.blobs.local_path(&key).and_then(|path| remove_now(&self.blobs.root, &path, &key));
                if let Err(error) = removed {
                    tracing::warn!(%key, %error, "a blob could not be removed; the sweep will do it");
                }
            }
        }
    }
}

/// A blob that is safe on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenBlob {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Hash of its bytes.
    pub hash: ContentHash,
}

impl Blobs {
    /// Opens the folder, making it if it is new; what a killed process left unfinished is removed.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root: PathBuf = root.into();
        let unfinished = root.join(UNFINISHED);
        let failed = |e: std::io::Error| Error::blob(&root.display().to_string(), &e);
        std::fs::create_dir_all(&unfinished).map_err(failed)?;
        for entry in std::fs::read_dir(&unfinished).map_err(failed)? {
            std::fs::remove_file(entry.map_err(failed)?.path()).map_err(failed)?;
        }
        Ok(Self { root: root.into(), pins: Arc::default(), claim: None })
    }

    /// The same blobs for one claim of a job: what is written through the answer is remembered until [`Blobs::close_claim`].
    #[must_use]
    pub fn for_claim(&self) -> Self {
        Self { claim: Some(Arc::default()), ..self.clone() }
    }

    /// Ends what [`Blobs::for_claim`] began: nothing gets its key any more, also not a write that still goes on somewhere. Answers the keys that were
    /// written, so that those which no row came to name can be removed.
    pub fn close_claim(&self) -> Vec<String> {
        let Some(claim) = &self.claim else { return Vec::new() };
        let mut claim = claim.lock();
        claim.closed = true;
        std::mem::take(&mut claim.keys)
    }

    /// A key that nobody has: `kind/xx/…`, spread over 1,024 folders.
    pub fn random_key(&self, kind: &str) -> String {
        let name = random_name();
        format!("{kind}/{}/{name}", &name[..2])
    }

    /// Begins a blob. Under `key` nothing is seen until [`BlobWriter::finish`].
    pub async fn writer(&self, key: &str) -> Result<BlobWriter> {
        let path = self.local_path(key)?;
        let part = self.root.join(UNFINISHED).join(random_name());
        let name = key.to_owned();
        // Its guard goes with the file: whoever is not waited for any more leaves none.
        let (file, part) = blocking(move || {
            let file = File::create_new(&part).map_err(|e| Error::blob(&name, &e))?;
            Ok((file, Part(Some(part))))
        })
        .await?;
        let state = Writing { file, hasher: blake3::Hasher::new(), bytes: 0 };
        let claim = self.claim.clone();
        Ok(BlobWriter { key: key.to_owned(), path, part, state: Some(state), claim })
    }

    /// Writes a blob whole.
    pub async fn put(&self, key: &str, bytes: Bytes) -> Result<WrittenBlob> {
        let mut writer = self.writer(key).await?;
        writer.write(bytes).await?;
        writer.finish().await
    }

    /// Reads a blob whole.
    pub async fn read(&self, key: &str) -> Result<Bytes> {
        let (path, key) = (self.local_path(key)?, key.to_owned());
        blocking(move || Ok(std::fs::read(path).map_err(|e| Error::blob(&key, &e))?.into())).await
    }

    /// Reads `range` of a blob; [`Error::Blob`] when it is shorter.
    pub async fn read_range(&self, key: &str, range: Range<u64>) -> Result<Bytes> {
        let (path, key) = (self.local_path(key)?, key.to_owned());
        blocking(move || {
            let read = || {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(range.start))?;
                let length = usize::try_from(range.end.saturating_sub(range.start)).map_err(std::io::Error::other)?;
                let mut bytes = vec![0; length];
                file.read_exact(&mut bytes)?;
                Ok(bytes.into())
            };
            read().map_err(|e| Error::blob(&key, &e))
        })
        .await
    }

    /// Size in bytes; `None` when there is no such blob.
    pub async fn size(&self, key: &str) -> Result<Option<u64>> {
        let (path, key) = (self.local_path(key)?, key.to_owned());
        blocking(move || match std::fs::metadata(path) {
            Ok(meta) => Ok(Some(meta.len())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::blob(&key, &e)),
        })
        .await
    }

    /// Keeps every blob that there is: removals wait until the pin is released.
    pub fn pin(&self) -> BlobPin {
        self.pins.lock().holders += 1;
        BlobPin { blobs: self.clone(), released: false }
    }

    /// One holder less; the keys to remove when it was the last.
    fn unpin(&self) -> Vec<String> {
        let mut pins = self.pins.lock();
        pins.holders -= 1;
        if pins.holders == 0 { std::mem::take(&mut pins.deferred) } else { Vec::new() }
    }

    /// Removes a blob; one that is not there is fine. While blobs are pinned it is removed later.
    pub async fn delete(&self, key: &str) -> Result<()> {
        {
            let mut pins = self.pins.lock();
            if pins.holders > 0 {
                pins.deferred.push(key.to_owned());
                return Ok(());
            }
        }
        let (path, key, root) = (self.local_path(key)?, key.to_owned(), self.root.clone());
        blocking(move || remove_now(&root, &path, &key)).await
    }

    /// Keys of blobs that were written at least `age` ago, in the order of their parts, those after `after`, at most `limit`. Looks only at what
    /// comes after `after`, and stops when it has enough: a walk over all pages sees each blob once.
    pub async fn list_older_than(&self, age: Duration, after: Option<&str>, limit: usize) -> Result<Vec<String>> {
        let (root, after) = (self.root.clone(), after.map(str::to_owned));
        blocking(move || {
            let mut page = Page { age, after: after.as_deref(), limit, found: Vec::new() };
            page.walk(&root, "").map_err(|e| Error::blob(&root.display().to_string(), &e))?;
            Ok(page.found)
        })
        .await
    }

    /// Path of a blob, for a reader that needs one.
    pub fn local_path(&self, key: &str) -> Result<PathBuf> {
        Self::path_under(&self.root, key)
    }

    /// The same for whoever only looks at a folder that another process may own.
    pub fn path_under(root: &Path, key: &str) -> Result<PathBuf> {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let ok = !key.is_empty() && key.split('/').all(|part| !part.is_empty() && part.chars().all(word));
        if ok && !key.starts_with(UNFINISHED) {
            return Ok(root.join(key));
        }
        Err(Error::Invalid(format!("{key:?} is no blob key")))
    }
}

/// A blob being written. Dropped unfinished, it leaves nothing.
#[derive(Debug)]
pub struct BlobWriter {
    key: String,
    path: PathBuf,
    part: Part,
    /// `None` only after a write failed.
    state: Option<Writing>,
    claim: Option<Arc<Mutex<WrittenByClaim>>>,
}

#[derive(Debug)]
struct Writing {
    file: File,
    hasher: blake3::Hasher,
    bytes: u64,
}

/// The unfinished file; removed when dropped.
#[derive(Debug)]
struct Part(Option<PathBuf>);

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            let _ = std::fs::remove_file(path); // what stays is removed at the next start
        }
    }
}

impl BlobWriter {
    /// Adds bytes. Pieces of 64 KB and more are best: each is one hop to a blocking thread.
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let Some(mut state) = self.state.take() else { return Err(self.failed()) };
        let key = self.key.clone();
        let state = blocking(move || {
            state.file.write_all(&bytes).map_err(|e| Error::blob(&key, &e))?;
            state.hasher.update(&bytes);
            state.bytes += bytes.len() as u64;
            Ok(state)
        });
        self.state = Some(state.await?);
        Ok(())
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.state.as_ref().map_or(0, |s| s.bytes)
    }

    /// Syncs the blob and puts it under its key.
    pub async fn finish(mut self) -> Result<WrittenBlob> {
        let Some(state) = self.state.take() else { return Err(self.failed()) };
        let Self { key, path, mut part, claim, .. } = self;
        blocking(move || {
            let finish = || {
                state.file.sync_all()?;
                // Held until the blob has its key: it is either among those that the end of the claim is told of, or never there.
                let mut claim = claim.as_ref().map(|claim| claim.lock());
                if let Some(claim) = &mut claim {
                    if claim.closed {
                        return Err(std::io::Error::other("the claim of the job that wrote it is over"));
                    }
                    claim.keys.push(key.clone());
                }
                if let (Some(from), Some(folder)) = (&part.0, path.parent()) {
                    // A deletion beside us may take the folder away while it is still empty.
                    let mut tries = 0..10;
                    let place = || std::fs::create_dir_all(folder).and_then(|()| std::fs::rename(from, &path));
                    while let Err(e) = place() {
                        if e.kind() != std::io::ErrorKind::NotFound || tries.next().is_none() {
                            return Err(e);
                        }
                    }
                    // The new name is safe only when its folders are: each may have been made just now.
                    for folder in folder.ancestors().take(3) {
                        File::open(folder)?.sync_all()?;
                    }
                }
                Ok(())
            };
            finish().map_err(|e: std::io::Error| Error::blob(&key, &e))?;
            drop(part.0.take());
            let hash = ContentHash::from_bytes(*state.hasher.finalize().as_bytes());
            Ok(WrittenBlob { key, bytes: state.bytes, hash })
        })
        .await
    }

    fn failed(&self) -> Error {
        Error::Blob { key: self.key.clone(), message: "an earlier write failed".to_owned() }
    }
}

/// A page of [`Blobs::list_older_than`].
struct Page<'a> {
    age: Duration,
    after: Option<&'a str>,
    limit: usize,
    found: Vec<String>,
}

impl Page<'_> {
    fn walk(&mut self, folder: &Path, prefix: &str) -> std::io::Result<()> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort_unstable();
        for name in names {
            let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
            if self.found.len() == self.limit {
                break;
            }
            if key == UNFINISHED || self.is_before(&key) {
                continue;
            }
            let path = folder.join(&name);
            // A blob that is removed while we walk is simply not there any more.
            let Ok(meta) = std::fs::symlink_metadata(&path) else { continue };
            if meta.is_dir() {
                match self.walk(&path, &key) {
                    Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
                    _ => {}
                }
            } else if self.after != Some(key.as_str())
                && meta.modified().ok().and_then(|at| at.elapsed().ok()).unwrap_or_default() >= self.age
            {
                self.found.push(key);
            }
        }
        Ok(())
    }

    /// Whether the blob, or every blob of the folder, comes before `after`.
    fn is_before(&self, key: &str) -> bool {
        self.after.is_some_and(|after| key.split('/').lt(after.split('/').take(key.split('/').count())))
    }
}

/// Removes a file and the folders that are empty now; one that is not empty refuses, which is what is wanted.
fn remove_now(root: &Path, path: &Path, key: &str) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::blob(key, &e)),
        _ => {}
    }
    for folder in path.ancestors().skip(1).take_while(|folder| *folder != root) {
        if std::fs::remove_dir(folder).is_err() {
            break;
        }
    }
    Ok(())
}

fn random_name() -> String {
    let bytes: [u8; 16] = rand::rng().random();
    data_encoding::HEXLOWER.encode(&bytes)
}

/// Runs blocking work off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|e| Err(Error::Backend(format!("a blocking task panicked: {e}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_blob_is_whole_or_absent() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path()).unwrap();
        let key = blobs.random_key("original");
        let mut writer = blobs.writer(&key).await.unwrap();
        writer.write(Bytes::from_static(b"hello ")).await.unwrap();
        assert_eq!(blobs.size(&key).await.unwrap(), None);
        writer.write(Bytes::from_static(b"world")).await.unwrap();
        let written = writer.finish().await.unwrap();
        assert_eq!((written.bytes, written.hash), (11, ContentHash::of(b"hello world")));
        assert_eq!(blobs.read(&key).await.unwrap(), "hello world");
        assert_eq!(blobs.read_range(&key, 6..11).await.unwrap(), "world");
        assert!(blobs.read_range(&key, 6..12).await.is_err());
        assert_eq!(blobs.list_older_than(Duration::ZERO, None, 10).await.unwrap(), std::slice::from_ref(&key));
        assert!(blobs.list_older_than(Duration::from_secs(60), None, 10).await.unwrap().is_empty());
        blobs.delete(&key).await.unwrap();
        blobs.delete(&key).await.unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "empty folders go with the last blob");
    }

    #[tokio::test]
    async fn a_writer_that_nobody_waits_for_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path()).unwrap();
        for _ in 0..50 {
            let opening = tokio::spawn({
                let blobs = blobs.clone();
                async move { blobs.writer("jobs/a/1/chunks").await }
            });
            tokio::task::yield_now().await;
            opening.abort();
            let _ = opening.await;
        }
        let unfinished = || std::fs::read_dir(dir.path().join(UNFINISHED)).unwrap().count();
        while unfinished() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_claim_that_is_over_puts_nothing_under_a_key() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path()).unwrap();
        let claim = blobs.for_claim();
        let other = blobs.for_claim();
        claim.put("jobs/a/1/chunks", Bytes::from_static(b"x")).await.unwrap();
        other.put("jobs/b/1/chunks", Bytes::from_static(b"y")).await.unwrap();
        let mut late = claim.writer("jobs/a/1/late").await.unwrap();
        late.write(Bytes::from_static(b"z")).await.unwrap();
        assert_eq!(claim.close_claim(), ["jobs/a/1/chunks"]);
        let message = late.finish().await.unwrap_err().to_string();
        assert!(message.contains("over"), "{message}");
        assert_eq!(blobs.size("jobs/a/1/late").await.unwrap(), None);
        assert_eq!(std::fs::read_dir(dir.path().join(UNFINISHED)).unwrap().count(), 0);
        assert!(claim.close_claim().is_empty() && blobs.close_claim().is_empty());
        blobs.put("jobs/c/1/free", Bytes::from_static(b"w")).await.unwrap();
        assert_eq!(other.close_claim(), ["jobs/b/1/chunks"]);
    }

    #[tokio::test]
    async fn pages_of_keys_hold_each_blob_once() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path()).unwrap();
        let mut keys = vec!["jobs-x/a".to_owned(), "jobs/a/1/b".to_owned(), "jobs/a/1/b-c".to_owned()];
        keys.extend((0..40).map(|n| blobs.random_key(["original", "pages"][n % 2])));
        for key in &keys {
            blobs.put(key, Bytes::from_static(b"x")).await.unwrap();
        }
        let (mut seen, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = blobs.list_older_than(Duration::ZERO, after.as_deref(), 7).await.unwrap();
            let Some(last) = page.last().cloned() else { break };
            assert!(page.len() <= 7);
            seen.extend(page);
            after = Some(last);
        }
        keys.sort_by(|a, b| a.split('/').cmp(b.split('/')));
        assert_eq!(seen, keys);
    }

    #[tokio::test]
    async fn a_pinned_blob_goes_when_the_last_pin_is_released() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path()).unwrap();
        blobs.put("a/b", Bytes::from_static(b"x")).await.unwrap();
        let (one, two) = (blobs.pin(), blobs.clone().pin());
        blobs.delete("a/b").await.unwrap();
        one.release().await.unwrap();
        assert_eq!(blobs.read("a/b").await.unwrap(), "x");
        two.release().await.unwrap();
        assert_eq!(blobs.size("a/b").await.unwrap(), None);
        drop(blobs.pin());
        blobs.put("a/c", Bytes::from_static(b"x")).await.unwrap();
        blobs.delete("a/c").await.unwrap();
        assert_eq!(blobs.size("a/c").await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_was_not_finished_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path()).unwrap();
        let mut writer = blobs.writer("a/b").await.unwrap();
        writer.write(Bytes::from_static(b"x")).await.unwrap();
        drop(writer);
        assert_eq!(std::fs::read_dir(dir.path().join(UNFINISHED)).unwrap().count(), 0);
        std::fs::write(dir.path().join(UNFINISHED).join("left"), "by a kill").unwrap();
        Blobs::open(dir.path()).unwrap();
        assert_eq!(std::fs::read_dir(dir.path().join(UNFINISHED)).unwrap().count(), 0);
    }

    #[test]
    fn a_key_cannot_leave_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path()).unwrap();
        for bad in ["", "../x", "a//b", "/etc/passwd", "a/../b", "unfinished/x"] {
            assert!(blobs.local_path(bad).is_err(), "{bad:?}");
        }
    }
}
