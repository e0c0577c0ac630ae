//! The disk guard: what stops first when the disk fills up, and the reserve that keeps the state of jobs writable.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::error::is_full;
use crate::{Error, Result};

/// Name of the reserve file in the data folder.
const RESERVE_FILE: &str = "reserve";

/// What a [`DiskGuard`] is opened with.
#[derive(Debug, Clone)]
pub struct DiskOptions {
    /// The data folder.
    pub dir: PathBuf,
    /// Size of the reserve in bytes; 0 = none.
    pub reserve_bytes: u64,
}

impl DiskOptions {
    /// Reserve of a server that was not told another size, in bytes.
    pub const DEFAULT_RESERVE: u64 = 64 * 1024 * 1024;
}

/// Where the guard stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskState {
    /// There is room.
    Ok,
    /// A write found no room, or less than the reserve's size is free: no new uploads, no claims.
    Full,
}

/// Watches the room on the disk of the data folder.
///
/// The first write without room (or a [`DiskGuard::check`] that finds less than the reserve's size) makes it `Full`. The reserve file is
/// released only when job state, a delete or a cleanup finds no room; when twice its size is free it is made again and all goes on.
#[derive(Debug)]
pub struct DiskGuard {
    options: DiskOptions,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: DiskState,
    /// Whether the reserve file holds its bytes.
    reserved: bool,
}

impl DiskGuard {
    /// Makes the reserve if it is not there. On a disk that is too full for it the guard starts as [`DiskState::Full`].
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn open(options: DiskOptions) -> Result<Self> {
        let guard = Self { options, inner: Mutex::new(Inner { state: DiskState::Full, reserved: false }) };
        let path = guard.reserve_path();
        guard.inner.lock().reserved = match std::fs::metadata(&path) {
            Ok(meta) => meta.len() == guard.options.reserve_bytes && meta.len() > 0,
            Err(_) => false,
        };
        guard.check()?;
        Ok(guard)
    }

    fn reserve_path(&self) -> PathBuf {
        self.options.dir.join(RESERVE_FILE)
    }

    /// Free bytes for this user on the disk of the data folder.
    ///
    /// # Errors
    /// The system does not say.
    pub fn free_bytes(&self) -> Result<u64> {
        let stat = rustix::fs::statvfs(&self.options.dir).map_err(|e| {
            Error::Backend(format!("cannot ask for the free space of {}: {e}", self.options.dir.display()))
        })?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Where the guard stands.
    pub fn state(&self) -> DiskState {
        self.inner.lock().state
    }

    /// Whether new uploads and claims may be taken.
    pub fn accepts_uploads(&self) -> bool {
        self.state() == DiskState::Ok
    }

    /// Whether an upload of `bytes` fits beside the reserve's size.
    pub fn has_room_for(&self, bytes: u64) -> bool {
        self.accepts_uploads()
            && self.free_bytes().is_ok_and(|free| free >= bytes.saturating_add(self.options.reserve_bytes))
    }

    /// A write found no room.
    pub fn note_full(&self) {
        let mut inner = self.inner.lock();
        if inner.state == DiskState::Ok {
            tracing::warn!(free_bytes = self.free_bytes().unwrap_or(0), "disk is full: uploads and claims wait");
        }
        inner.state = DiskState::Full;
    }

    /// Releases the reserve for a write of job state, a delete or a cleanup. Returns whether that gave room.
    pub fn release(&self) -> bool {
        let mut inner = self.inner.lock();
        inner.state = DiskState::Full;
        let held = std::mem::take(&mut inner.reserved);
        // Removed even when it is only a torn rest of a reserve: every byte counts now.
        let removed = std::fs::remove_file(self.reserve_path()).is_ok();
        if removed && held {
            tracing::warn!(reserve_bytes = self.options.reserve_bytes, "reserve released for job state");
        }
        removed
    }

    /// Looks at the disk: notices that it is nearly full, or that there is room again (then makes the reserve). Called now and then.
    ///
    /// # Errors
    /// The system does not say how much is free, or the folder cannot be written.
    pub fn check(&self) -> Result<DiskState> {
        let free = self.free_bytes()?;
        let mut inner = self.inner.lock();
        let size = self.options.reserve_bytes;
        if inner.reserved || size == 0 {
            inner.state = if free > size { DiskState::Ok } else { DiskState::Full };
        } else if free >= size.saturating_mul(2) {
            match make_reserve(&self.reserve_path(), size) {
                Ok(()) => {
                    inner.reserved = true;
                    inner.state = DiskState::Ok;
                }
                Err(e) if is_full(&e) => inner.state = DiskState::Full,
                Err(e) => {
                    return Err(Error::Unusable(format!(
                        "cannot write in the data folder {}: {e}; make it writable for this user or choose another one",
                        self.options.dir.display()
                    )));
                }
            }
        } else {
            inner.state = DiskState::Full;
        }
        Ok(inner.state)
    }
}

/// Blocks of the file are really taken: a sparse file would reserve nothing.
fn make_reserve(path: &Path, size: u64) -> io::Result<()> {
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(path)?;
    let made = match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, size) {
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => fill(&file, size),
        other => other.map_err(io::Error::from),
    };
    if made.is_err() {
        let _ = std::fs::remove_file(path);
    }
    made
}

fn fill(mut file: &File, size: u64) -> io::Result<()> {
    let block = vec![0_u8; 64 * 1024];
    let mut left = size;
    while left > 0 {
        let n = left.min(block.len() as u64);
        file.write_all(&block[..usize::try_from(n).unwrap_or(block.len())])?;
        left -= n;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_made_released_and_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let guard = DiskGuard::open(DiskOptions { dir: dir.path().into(), reserve_bytes: 100_000 }).unwrap();
        assert_eq!(guard.state(), DiskState::Ok);
        assert_eq!(std::fs::metadata(dir.path().join("reserve")).unwrap().len(), 100_000);
        guard.note_full();
        assert!(!guard.accepts_uploads());
        assert!(dir.path().join("reserve").exists(), "the reserve is for job state alone");
        assert!(guard.release());
        assert!(!dir.path().join("reserve").exists());
        assert!(!guard.release(), "there is nothing more to give");
        assert_eq!(guard.check().unwrap(), DiskState::Ok);
        assert!(dir.path().join("reserve").exists());
    }

    #[test]
    fn a_reserve_larger_than_the_disk_leaves_the_guard_full() {
        let dir = tempfile::tempdir().unwrap();
        let guard = DiskGuard::open(DiskOptions { dir: dir.path().into(), reserve_bytes: 1 << 60 }).unwrap();
        assert_eq!(guard.state(), DiskState::Full);
        assert!(!guard.has_room_for(1));
    }
}
