//! Which files the given paths are, and by what name each is known.

use std::path::{Component, Path, PathBuf};

/// A file to upload.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// Where it lies.
    pub(crate) path: PathBuf,
    /// Name that it is known by: the file name, or the path from the given folder on.
    pub(crate) name: String,
}

/// All files under the given paths in name order, and a sentence for each path that cannot be read. Hidden files and folders inside a given folder
/// are left out; links to folders are not followed.
pub(crate) fn collect(paths: &[PathBuf]) -> (Vec<Source>, Vec<String>) {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for path in paths {
        match std::fs::metadata(path) {
            Ok(meta) if meta.is_dir() => walk(path, &prefix(path), &mut found, &mut missing),
            Ok(meta) if meta.is_file() => found.push(Source { path: path.clone(), name: last(path) }),
            Ok(_) => missing.push(not_regular(path)),
            Err(error) => missing.push(format!("{}: {error}", path.display())),
        }
    }
    (found, missing)
}

fn walk(folder: &Path, prefix: &str, found: &mut Vec<Source>, missing: &mut Vec<String>) {
    let mut entries: Vec<PathBuf> = match std::fs::read_dir(folder) {
        Ok(entries) => entries.filter_map(|e| e.ok().map(|e| e.path())).collect(),
        Err(error) => return missing.push(format!("{}: {error}", folder.display())),
    };
    entries.sort();
    for path in entries {
        let name = last(&path);
        if name.starts_with('.') {
            continue;
        }
        let is_link = path.is_symlink();
        if path.is_dir() {
            if !is_link {
                walk(&path, &format!("{prefix}{name}/"), found, missing);
            }
        } else if path.is_file() {
            found.push(Source { path, name: format!("{prefix}{name}") });
        } else {
            // A pipe or device would be read for ever; a link may lead nowhere.
            missing.push(not_regular(&path));
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
        Some(Component::Normal(name)) => format!("{}/", name.to_string_lossy()),
        _ => String::new(),
    }
}

fn last(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
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
        let (found, missing) = collect(&[dir.path().join("wiki"), dir.path().join("absent.md")]);
        let names: Vec<_> = found.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["wiki/pumps/readme.md", "wiki/valves/readme.md"]);
        assert_eq!(missing.len(), 1);
        assert_eq!(clash(&found), None);
        let files = ["pumps", "valves"].map(|folder| dir.path().join("wiki").join(folder).join("readme.md"));
        let (found, _) = collect(&files);
        assert!(clash(&found).is_some_and(|sentence| sentence.contains("readme.md")), "{found:?}");
    }

    #[test]
    fn a_pipe_is_named_and_not_read() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
        std::fs::write(dir.path().join("a.md"), "x").unwrap();
        let (found, missing) = collect(&[dir.path().to_owned()]);
        assert_eq!((found.len(), missing.len()), (1, 1), "{missing:?}");
    }
}
