//! Counts and errors in the words of people.

use std::fmt::Display;
use std::io;
use std::path::Path;

/// `1 hit`, `2 hits`, `3 entities`.
pub(crate) fn plural(n: u64, thing: &str) -> String {
    match thing.strip_suffix('y') {
        _ if n == 1 => format!("{n} {thing}"),
        Some(stem) => format!("{n} {stem}ies"),
        None => format!("{n} {thing}s"),
    }
}

/// An error's text without the numbers of the operating system: `File exists (os error 17)` says the same without them.
pub(crate) fn in_words(error: &str) -> String {
    let mut words = error.to_owned();
    while let Some((before, rest)) = words.split_once(" (os error ") {
        let Some((number, after)) = rest.split_once(')') else { break };
        if !number.bytes().all(|b| b.is_ascii_digit()) {
            break;
        }
        words = format!("{before}{after}");
    }
    words
}

/// Why a file cannot be read or written, with what to do where that is clear.
pub(crate) fn of_file(path: &Path, error: &io::Error) -> String {
    let why: &dyn Display = match error.kind() {
        io::ErrorKind::NotFound => &"there is no such file or folder",
        io::ErrorKind::PermissionDenied => &"this user may not read it",
        io::ErrorKind::IsADirectory => &"it is a folder",
        io::ErrorKind::NotADirectory => &"a part of the path before it is no folder",
        _ => return format!("{}: {}", path.display(), in_words(&error.to_string())),
    };
    format!("{}: {why}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_no_more_than_one() {
        assert_eq!(plural(1, "hit"), "1 hit");
        assert_eq!([0, 2].map(|n| plural(n, "hit")), ["0 hits", "2 hits"]);
        assert_eq!(plural(2, "entity"), "2 entities");
    }

    #[test]
    fn numbers_of_the_system_are_left_out() {
        assert_eq!(
            in_words("a cannot be made: File exists (os error 17); choose another (os error x)"),
            "a cannot be made: File exists; choose another (os error x)"
        );
    }
}
