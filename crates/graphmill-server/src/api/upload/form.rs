//! The fields of an upload besides its files.

use graphmill_core::{CollectionId, CollectionSettings};
use graphmill_jobs::ingestion::ChosenOptions;

use super::MOST_PRIORITY;
use crate::error::shortened;
use crate::params::truth;
use crate::{Error, Result};

/// Longest value of a field, in bytes.
pub(super) const MOST_BYTES: usize = 4096;

/// Fields that stand once.
const SINGLE: &[&str] = &["collection", "extract_entities", "chunk_size", "chunk_overlap", "priority", "force"];

/// The fields as far as they have come.
#[derive(Debug)]
pub(super) struct Form {
    pub(super) collection: Option<CollectionId>,
    pub(super) sources: Vec<String>,
    pub(super) options: ChosenOptions,
    pub(super) priority: i32,
    seen: Vec<&'static str>,
}

impl Form {
    pub(super) fn new() -> Self {
        Self { collection: None, sources: Vec::new(), options: ChosenOptions::default(), priority: 0, seen: Vec::new() }
    }

    /// Takes a field. An empty value, which HTML forms send for what was not filled in, counts as absent.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<()> {
        if name == "source" {
            if value.is_empty() {
                return Ok(());
            }
            self.sources.push(super::name::source(value)?);
            return Ok(());
        }
        let Some(&name) = SINGLE.iter().find(|known| **known == name) else {
            return Err(Error::invalid(format!(
                "the field {:?} is not known; the fields are file, source, {}",
                shortened(name),
                SINGLE.join(", ")
            )));
        };
        if value.is_empty() {
            return Ok(());
        }
        if self.seen.contains(&name) {
            return Err(Error::invalid(format!("the field {name} stands twice; give it once, it holds for all files")));
        }
        self.seen.push(name);
        match name {
            "collection" => {
                self.collection = Some(value.parse().map_err(|e| Error::invalid(format!("the field collection: {e}")))?)
            }
            "extract_entities" => self.options.extract_entities = Some(flag(name, value)?),
            "force" => self.options.force = flag(name, value)?,
            "chunk_size" => self.options.chunk_size = Some(number(name, value, 0, i64::MAX)?.unsigned_abs()),
            "chunk_overlap" => self.options.chunk_overlap = Some(number(name, value, 0, i64::MAX)?.unsigned_abs()),
            _ => self.priority = i32::try_from(number(name, value, -MOST_PRIORITY, MOST_PRIORITY)?).unwrap_or(0),
        }
        Ok(())
    }

    /// Checks what can be told only when all fields are there.
    pub(super) fn check(&self, files: usize, settings: &CollectionSettings) -> Result<()> {
        self.options.over(settings).chunking().map_err(|e| {
            let error = Error::invalid(e.to_string());
            if let Some(hint) = e.hint() { error.hint(hint) } else { error }
        })?;
        if files == 0 {
            return Err(Error::invalid("the request has no file; send at least one part named file")
                .hint("curl -F file=@some.pdf sends one"));
        }
        if !self.sources.is_empty() && self.sources.len() != files {
            return Err(Error::invalid(format!(
                "the request has {files} files and {} sources; give one source for each file, in the same order, or none",
                self.sources.len()
            )));
        }
        Ok(())
    }
}

fn flag(name: &str, value: &str) -> Result<bool> {
    truth(value)
        .ok_or_else(|| Error::invalid(format!("the field {name} is {:?}; it must be true or false", shortened(value))))
}

fn number(name: &str, value: &str, low: i64, high: i64) -> Result<i64> {
    let number = value.parse().ok().filter(|n| (low..=high).contains(n));
    let range = if high == i64::MAX { format!("of {low} or more") } else { format!("from {low} to {high}") };
    let bad =
        || Error::invalid(format!("the field {name} is {:?}; it must be a whole number {range}", shortened(value)));
    number.ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_field_is_named() {
        let say = |name: &str, value: &str| Form::new().set(name, value).unwrap_err().to_string();
        assert_eq!(say("chunk_size", "big"), "the field chunk_size is \"big\"; it must be a whole number of 0 or more");
        assert_eq!(
            say("priority", "1001"),
            "the field priority is \"1001\"; it must be a whole number from -1000 to 1000"
        );
        assert_eq!(say("force", "yes"), "the field force is \"yes\"; it must be true or false");
        assert!(say("collection", "A b").contains("not a collection name"));
        assert!(say("chunksize", "1").contains("the fields are file, source, collection"));
        let mut form = Form::new();
        form.set("force", "true").unwrap();
        assert!(form.set("force", "true").unwrap_err().to_string().contains("twice"));
    }

    #[test]
    fn sources_and_files_go_together() {
        let mut form = Form::new();
        assert!(form.check(0, &CollectionSettings::default()).is_err());
        form.check(3, &CollectionSettings::default()).unwrap();
        form.set("source", "a/x.md").unwrap();
        form.check(1, &CollectionSettings::default()).unwrap();
        assert!(
            form.check(2, &CollectionSettings::default()).unwrap_err().to_string().contains("2 files and 1 sources")
        );
    }

    #[test]
    fn the_overlap_must_fit_the_size() {
        let mut form = Form::new();
        form.set("chunk_size", "100").unwrap();
        form.set("chunk_overlap", "100").unwrap();
        assert_eq!(
            form.check(1, &CollectionSettings::default()).unwrap_err().code(),
            graphmill_core::ErrorCode::InvalidParameter
        );
    }
}
