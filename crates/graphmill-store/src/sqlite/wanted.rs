//! What a `q` of the job list means: a text in file name or source, or the beginning of an id.
//!
//! Ids are hexadecimal digits and letters, so that a piece of one would be found in jobs that nobody means, and a bulk deletion would take them along. So an id is
//! matched by its beginning alone, and only by one that is long enough to be no accident; the texts hold no ids.

use graphmill_core::JobId;
use rusqlite::types::Value as SqlValue;

/// Characters after `job-` or `doc-` from which the beginning of an id counts as one.
const SHORTEST: usize = 8;
/// Of the id of a document.
const BASE32: &str = "abcdefghijklmnopqrstuvwxyz234567";

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// In lower case.
    Text(String),
    /// Jobs with ids from the first to the last of these.
    Jobs([u8; 16], [u8; 16]),
    /// Jobs about documents with ids from the first to the last of these.
    Documents([u8; 16], [u8; 16]),
}

impl Wanted {
    pub(super) fn of(q: &str) -> Self {
        let q = q.to_lowercase();
        let jobs = jobs(&q).map(|(first, last)| Self::Jobs(first, last));
        let documents = || documents(&q).map(|(first, last)| Self::Documents(first, last));
        jobs.or_else(documents).unwrap_or(Self::Text(q))
    }

    /// A condition on a row of `job`, and its parameters.
    pub(super) fn condition(&self) -> (&'static str, Vec<SqlValue>) {
        match self {
            Self::Text(text) => (
                "EXISTS (SELECT 1 FROM job_text WHERE job_text.job = job.key AND instr(job_text.words, ?) > 0)",
                vec![text.clone().into()],
            ),
            Self::Jobs(first, last) => ("job.id BETWEEN ? AND ?", vec![first.to_vec().into(), last.to_vec().into()]),
            Self::Documents(first, last) => {
                ("job.document BETWEEN ? AND ?", vec![first.to_vec().into(), last.to_vec().into()])
            }
        }
    }
}

/// First and last id of a job that begins so.
fn jobs(q: &str) -> Option<([u8; 16], [u8; 16])> {
    let rest = q.strip_prefix("job-").filter(|rest| rest.len() >= SHORTEST)?;
    let digits: String = rest.chars().filter(|c| *c != '-').collect();
    let filled = |with: char| {
        let whole: String = digits.chars().chain(std::iter::repeat(with)).take(32).collect();
        let id = JobId::from_bytes(u128::from_str_radix(&whole, 16).ok()?.to_be_bytes());
        // The one spelling of an id, hyphens in their places.
        id.to_string().starts_with(q).then(|| *id.as_bytes())
    };
    filled('0').zip(filled('f'))
}

/// First and last id of a document that begins so.
fn documents(q: &str) -> Option<([u8; 16], [u8; 16])> {
    let rest = q.strip_prefix("doc-").filter(|rest| (SHORTEST..=26).contains(&rest.len()))?;
    let mut first: u128 = 0;
    let mut bits = 0;
    for letter in rest.chars() {
        let five = BASE32.find(letter)? as u128;
        // The last letter stands for three bits.
        let (value, wide) = if bits == 125 { (five >> 2, 3) } else { (five, 5) };
        first = first << wide | value;
        bits += wide;
    }
    let open = 128 - bits;
    let last = if open == 0 { first } else { first << open | ((1 << open) - 1) };
    let first = if open == 0 { first } else { first << open };
    Some((first.to_be_bytes(), last.to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use graphmill_core::{CollectionId, DocumentId, Timestamp};

    use super::*;

    #[test]
    fn an_id_is_known_by_its_beginning_and_by_no_other_piece() {
        let id = JobId::new_v7(Timestamp::from_millis(1_700_000_000_000), &[0xab; 10]);
        let text = id.to_string();
        for length in 4 + SHORTEST..=text.len() {
            let Wanted::Jobs(first, last) = Wanted::of(&text[..length]) else { panic!("{}", &text[..length]) };
            assert!((first..=last).contains(id.as_bytes()), "{}", &text[..length]);
        }
        assert_eq!(Wanted::of(&text), Wanted::Jobs(*id.as_bytes(), *id.as_bytes()));
        assert!(matches!(Wanted::of(&text.to_uppercase()), Wanted::Jobs(..)));
        for piece in
            [&text[..4 + SHORTEST - 1], &text[4..], &text[6..20], "job-018bcfe56800", "job-zzzzzzzz", "job-018bcfe-"]
        {
            assert!(matches!(Wanted::of(piece), Wanted::Text(_)), "{piece}");
        }
    }

    #[test]
    fn a_document_is_known_by_its_beginning() {
        for n in 0..50 {
            let id = DocumentId::new(&CollectionId::default(), &format!("{n}.pdf"));
            let text = id.to_string();
            for length in 4 + SHORTEST..=text.len() {
                let Wanted::Documents(first, last) = Wanted::of(&text[..length]) else { panic!("{text}") };
                assert!((first..=last).contains(id.as_bytes()), "{}", &text[..length]);
            }
            assert_eq!(Wanted::of(&text), Wanted::Documents(*id.as_bytes(), *id.as_bytes()));
            assert!(
                matches!(Wanted::of(&text[4..]), Wanted::Text(_)) && matches!(Wanted::of(&text[..11]), Wanted::Text(_))
            );
        }
    }
}
