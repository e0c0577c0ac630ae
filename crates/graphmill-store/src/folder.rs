//! Who owns a data folder. The lock lives as long as its process: a dead owner's is free at once.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::Mutex;
use rand::Rng;
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use crate::error::is_full;
use crate::{Error, Result};

/// Name of the lock file.
const LOCK_FILE: &str = "graphmill.lock";
/// What a restore has not finished; while it stands nobody takes the folder.
pub const RESTORING: &str = "unfinished-restore";

/// The process that owns a data folder, as its lock file says.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningServer {
    /// Its process id.
    pub pid: u32,
    /// Where it listens (`http://127.0.0.1:8000`); `None` while it starts.
    pub url: Option<String>,
    /// BLAKE3 hash of the certificate that it shows there (hexadecimal), when it speaks https.
    #[serde(default)]
    pub certificate: Option<String>,
    /// Random secret that only users who may read the folder know.
    pub token: String,
}

impl std::fmt::Debug for RunningServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunningServer").field("pid", &self.pid).field("url", &self.url).finish_non_exhaustive()
    }
}

/// A data folder that this process owns until it is dropped.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    lock: Mutex<File>,
    owner: Mutex<RunningServer>,
}

impl DataFolder {
    /// Makes the folder if it is not there and takes its lock.
    ///
    /// # Errors
    /// [`Error::Unusable`]: another process owns it (names its pid and URL), or it cannot be made or written.
    pub fn lock(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if path.join(RESTORING).exists() {
            return Err(Error::Unusable(format!(
                "a restore into {} did not end; run `graphmill restore` again (it begins anew), or remove the folder",
                path.display()
            )));
        }
        // Documents of people lie in it: nobody else may look.
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|e| cannot(path, "be made", &e))?;
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join(LOCK_FILE))
            .map_err(|e| cannot(path, "be written", &e))?;
        if let Err(e) = rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            return Err(match e {
                rustix::io::Errno::WOULDBLOCK => owned_by_another(path),
                other => cannot(path, "be locked", &other.into()),
            });
        }
        let token = data_encoding::HEXLOWER.encode(&rand::rng().random::<[u8; 32]>());
        let owner = RunningServer { pid: std::process::id(), url: None, certificate: None, token };
        let folder = Self { path: path.to_owned(), lock: Mutex::new(lock), owner: Mutex::new(owner) };
        folder.write_owner()?;
        Ok(folder)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The secret in the lock file.
    pub fn token(&self) -> String {
        self.owner.lock().token.clone()
    }

    /// Says where this process listens.
    ///
    /// # Errors
    /// The lock file cannot be written.
    pub fn set_url(&self, url: &str) -> Result<()> {
        self.owner.lock().url = Some(url.to_owned());
        self.write_owner()
    }

    /// Says which certificate this process shows: the hash of it.
    ///
    /// # Errors
    /// The lock file cannot be written.
    pub fn set_certificate(&self, hash: &str) -> Result<()> {
        self.owner.lock().certificate = Some(hash.to_owned());
        self.write_owner()
    }

    fn write_owner(&self) -> Result<()> {
        let mut json = serde_json::to_vec(&*self.owner.lock())
            .map_err(|e| Error::Backend(format!("the lock file cannot be written: {e}")))?;
        json.push(b'\n');
        let mut lock = self.lock.lock();
        // Longer, then cut: a reader in between finds a whole object at the beginning, or tries again.
        let mut write = || {
            lock.seek(SeekFrom::Start(0))?;
            lock.write_all(&json)?;
            lock.set_len(json.len() as u64)
        };
        write().map_err(|e| cannot(&self.path, "be written", &e))
    }
}

/// The process that owns `path` now; `None` when nobody does (also when there is no such folder).
///
/// # Errors
/// The lock file is held but cannot be read by this user.
pub fn find_running(path: impl AsRef<Path>) -> Result<Option<RunningServer>> {
    let path = path.as_ref();
    let file = path.join(LOCK_FILE);
    // What it says is written just after the lock is taken: a reader may be earlier.
    for _ in 0..20 {
        let mut lock = match File::open(&file) {
            Ok(lock) => lock,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(cannot(path, "be read", &e)),
        };
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockShared).is_ok() {
            return Ok(None);
        }
        let mut text = String::new();
        lock.read_to_string(&mut text).map_err(|e| cannot(path, "be read", &e))?;
        let first = serde_json::Deserializer::from_str(&text).into_iter::<RunningServer>().next();
        match first {
            Some(Ok(owner)) if is_alive(owner.pid) => return Ok(Some(owner)),
            _ => std::thread::sleep(Duration::from_millis(10)),
        }
    }
    Err(Error::Unusable(format!(
        "{} is held by a process that does not say who it is; end it, or choose another data folder",
        path.display()
    )))
}

/// A dead owner's words may stand there until the new one has written its own.
fn is_alive(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

fn owned_by_another(path: &Path) -> Error {
    let owner = match find_running(path) {
        Ok(Some(owner)) => match owner.url {
            Some(url) => format!("process {} (listening on {url})", owner.pid),
            None => format!("process {}", owner.pid),
        },
        Ok(None) | Err(_) => "another process".to_owned(),
    };
    Error::Unusable(format!(
        "the data folder {} is in use by {owner}; stop it first, or start with another data folder",
        path.display()
    ))
}

fn cannot(path: &Path, what: &str, e: &std::io::Error) -> Error {
    if is_full(e) {
        return Error::Full(e.to_string());
    }
    Error::Unusable(format!(
        "the data folder {} cannot {what}: {e}; give this user write permission for it, or choose another folder",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn one_owner_at_a_time_and_the_second_is_told_who() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(find_running(dir.path()).unwrap(), None);
        let folder = DataFolder::lock(dir.path()).unwrap();
        folder.set_url("http://127.0.0.1:8000").unwrap();
        let running = find_running(dir.path()).unwrap().unwrap();
        assert_eq!((running.pid, running.token.as_str()), (std::process::id(), folder.token().as_str()));
        let refused = DataFolder::lock(dir.path()).unwrap_err().to_string();
        assert!(refused.contains(&std::process::id().to_string()) && refused.contains(":8000"), "{refused}");
        let mode = std::fs::metadata(dir.path().join(LOCK_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(folder);
        assert_eq!(find_running(dir.path()).unwrap(), None);
        let next = DataFolder::lock(dir.path()).unwrap();
        assert_ne!(next.token(), running.token);
    }

    #[test]
    fn a_folder_that_cannot_be_made_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "x").unwrap();
        let message = DataFolder::lock(file.join("data")).unwrap_err().to_string();
        assert!(message.contains("cannot be made") && message.contains("choose another folder"), "{message}");
    }
}
