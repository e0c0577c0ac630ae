//! Which files the given paths are, and by what name each is known.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::output::of_file;

/// A file to upload.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// Where it lies.
    pub(crate) path: PathBuf,
    /// Name that it is known by: the file name, or the path from the given folder on.
    pub(crate) name: String,
    /// Its size, in bytes.
    pub(crate) bytes: u64,
}

impl Source {
    /// The last step of its path.
    pub(crate) fn file_name(&self) -> String {
        last(&self.path)
    }
}

/// What stands under the given paths.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    /// All files, in name order.
    pub(crate) found: Vec<Source>,
    /// A sentence for each path that cannot be read.
    pub(crate) missing: Vec<String>,
    /// Hidden files and folders inside given folders that were left out.
    pub(crate) hidden: u64,
}

/// Looks under the given paths; into what is hidden only with `hidden`. Links to folders are not followed.
pub(crate) fn collect(paths: &[PathBuf], hidden: bool) -> Collected {
    let mut all = Collected::default();
    for path in paths {
        match std::fs::metadata(path) {
            Ok(meta) if meta.is_dir() => all.walk(path, &prefix(path), hidden),
            Ok(meta) if meta.is_file() => {
                all.found.push(Source { path: path.clone(), name: last(path), bytes: meta.len() });
            }
            Ok(_) => all.missing.push(not_regular(path)),
            Err(error) => all.missing.push(of_file(path, &error)),
        }
    }
    all
}

impl Collected {
    fn walk(&mut self, folder: &Path, prefix: &str, hidden: bool) {
        let mut entries: Vec<PathBuf> = match std::fs::read_dir(folder) {
            Ok(entries) => entries.filter_map(|e| e.ok().map(|e| e.path())).collect(),
            Err(error) => return self.missing.push(of_file(folder, &error)),
        };
        entries.sort();
        for path in entries {
            let name = last(&path);
            if name.starts_with('.') && !hidden {
                self.hidden += 1;
                continue;
            }
            let is_link = path.is_symlink();
            match std::fs::metadata(&path) {
                Ok(meta) if meta.is_dir() => {
                    if !is_link {
                        self.walk(&path, &format!("{prefix}{name}/"), hidden);
                    }
                }
                Ok(meta) if meta.is_file() => {
                    let name = format!("{prefix}{name}");
                    self.found.push(Source { path, name, bytes: meta.len() });
                }
                // A pipe or device would be read for ever; a link may lead nowhere.
                _ => self.missing.push(not_regular(&path)),
            }
        }
    }
}

fn not_regular(path: &Path) -> String {
    format!("{}: is no regular file", path.display())
}

/// A sentence about two different files that would be one document, if there are such.
pub(crate) fn clash(found: &[Source]) -> Option<String> {
    let mut by_name: std::collections::HashMap<&str, &Path> = std::collections::HashMap::new();
    found.iter().find_map(|source| {
        let other = by_name.insert(&source.name, &source.path)?;
        Some(format!(
            "{} and {} would both be the document {:?}, and the later one would replace the other; give the folder above them, so that \
             each is known by its path, or ingest them one after the other",
            other.display(),
            source.path.display(),
            source.name
        ))
    })
}

/// `wiki` and `some/where/wiki` → `wiki/`; `.` and `..` → nothing: such a folder has no name of its own.
fn prefix(folder: &Path) -> String {
    match folder.components().next_back() {
        Some(Component::Normal(name)) => format!("{}/", shown(name)),
        _ => String::new(),
    }
}

fn last(path: &Path) -> String {
    path.file_name().map(shown).unwrap_or_default()
}

/// A name in UTF-8. Bytes that are none are written out (`caf\xE9.md`), so that two names stay two.
fn shown(name: &OsStr) -> String {
    let mut text = String::new();
    for chunk in name.as_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02X}")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_files_of_one_name_in_two_folders_are_two_sources() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["wiki/pumps/readme.md", "wiki/valves/readme.md", "wiki/.git/config"] {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        let Collected { found, missing, hidden } =
            collect(&[dir.path().join("wiki"), dir.path().join("absent.md")], false);
        assert_eq!(hidden, 1, "the folder .git");
        let names: Vec<_> = found.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["wiki/pumps/readme.md", "wiki/valves/readme.md"]);
        assert_eq!(missing, [format!("{}: there is no such file or folder", dir.path().join("absent.md").display())]);
        let all = collect(&[dir.path().join("wiki")], true);
        assert_eq!((all.found.len(), all.found[0].name.as_str(), all.hidden), (3, "wiki/.git/config", 0));
        assert_eq!(clash(&found), None);
        let files = ["pumps", "valves"].map(|folder| dir.path().join("wiki").join(folder).join("readme.md"));
        let found = collect(&files, false).found;
        assert!(clash(&found).is_some_and(|sentence| sentence.contains("readme.md")), "{found:?}");
    }

    #[test]
    fn names_that_are_no_text_stay_different() {
        let dir = tempfile::tempdir().unwrap();
        let wiki = dir.path().join("wiki");
        std::fs::create_dir(&wiki).unwrap();
        for name in [&b"caf\xE9.md"[..], b"caf\xE8.md", "café.md".as_bytes()] {
            std::fs::write(wiki.join(OsStr::from_bytes(name)), "x").unwrap();
        }
        let found = collect(&[wiki], false).found;
        let names: std::collections::BTreeSet<_> = found.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["wiki/caf\\xE8.md", "wiki/caf\\xE9.md", "wiki/café.md"].into());
        assert_eq!(clash(&found), None);
    }

    #[test]
    fn a_pipe_is_named_and_not_read() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
        std::fs::write(dir.path().join("a.md"), "x").unwrap();
        let Collected { found, missing, .. } = collect(&[dir.path().to_owned()], false);
        assert_eq!((found.len(), missing.len()), (1, 1), "{missing:?}");
    }
}
