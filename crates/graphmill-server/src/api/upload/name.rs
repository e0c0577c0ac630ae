//! Names of files and sources: kept as they were given, as far as they can be shown and told apart. None of them is ever a path of ours.

use crate::error::shortened;
use crate::{Error, Result};

/// Longest name or source, in bytes of UTF-8.
const MOST_BYTES: usize = 1024;

/// The last component of a given file name, without the marks that turn the direction of what follows: `exe.fdp` must not look like `pdf.exe`.
pub(super) fn display_name(given: &str) -> Result<String> {
    let name: String =
        given.rsplit(['/', '\\']).next().unwrap_or(given).chars().filter(|c| !turns_direction(*c)).collect();
    if matches!(name.trim(), "" | "." | "..") {
        return Err(Error::invalid(format!("the file name {:?} names no file", shortened(given)))
            .hint("give the part a filename, as in curl -F 'file=@some.pdf;filename=some.pdf'"));
    }
    checked("file name", &name)?;
    Ok(name)
}

/// A source as it was given.
pub(super) fn source(given: &str) -> Result<String> {
    if given.trim().is_empty() {
        return Err(Error::invalid("the field source is empty; leave it out, or give a file name or relative path"));
    }
    checked("source", given)?;
    Ok(given.to_owned())
}

fn checked(what: &str, name: &str) -> Result<()> {
    if let Some(control) = name.chars().find(|c| c.is_control()) {
        return Err(Error::invalid(format!(
            "the {what} {:?} holds the control character U+{:04X}; rename the file",
            shortened(name),
            u32::from(control)
        )));
    }
    if name.len() > MOST_BYTES {
        return Err(Error::invalid(format!(
            "the {what} {:?} has {} bytes; at most {MOST_BYTES} are allowed",
            shortened(name),
            name.len()
        )));
    }
    Ok(())
}

/// Bidirectional embeddings, overrides and isolates (UAX 9). Letters that run from right to left are none of these.
fn turns_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_are_kept_or_refused_with_a_sentence() {
        for (given, shown) in [
            ("../../etc/passwd", "passwd"),
            (r"C:\docs\a.pdf", "a.pdf"),
            ("מסמך.pdf", "מסמך.pdf"),
            ("🙂 x.md", "🙂 x.md"),
            ("a\u{202e}fdp.exe", "afdp.exe"),
            (&"x".repeat(300), &"x".repeat(300)),
        ] {
            assert_eq!(display_name(given).unwrap(), shown);
        }
        for bad in ["", "..", "a/..", "a/", " ", "a\0b.txt", "a\nb", &"x".repeat(1025)] {
            assert!(display_name(bad).is_err(), "{bad:?}");
        }
        let said = display_name("a\0b.txt").unwrap_err().to_string();
        assert!(said.contains("U+0000") && !said.contains('\0'), "{said}");
    }

    #[test]
    fn a_source_stays_as_it_is() {
        assert_eq!(source("../wiki/pumps/readme.md").unwrap(), "../wiki/pumps/readme.md");
        assert!(source(" ").is_err() && source("a\r\nb").is_err());
    }
}
