//! Words of a run of chunks: which chunks have a word and how often. Chunks are counted within their run; lists are coded as distances.

use foldhash::HashMap;
use graphmill_core::words::each_word;

use crate::varint::{Malformed, Reader, put};

/// A word's list while it is written.
#[derive(Debug, Default)]
pub(super) struct List {
    pub(super) chunks: u32,
    pub(super) bytes: Vec<u8>,
    last: u32,
    /// The newest chunk and how often it has the word; not in `bytes` yet.
    open: Option<(u32, u32)>,
}

impl List {
    /// Chunks come in rising order; of the same one, counts are added up.
    fn push(&mut self, chunk: u32, count: u32) {
        match &mut self.open {
            Some((open, sum)) if *open == chunk => *sum = sum.saturating_add(count),
            _ => {
                self.close();
                self.open = Some((chunk, count));
            }
        }
    }

    fn close(&mut self) {
        let Some((chunk, count)) = self.open.take() else { return };
        let distance = u64::from(chunk - self.last);
        self.last = chunk;
        self.chunks += 1;
        // Most words stand once in a chunk: that is one bit.
        put(&mut self.bytes, distance << 1 | u64::from(count != 1));
        if count != 1 {
            put(&mut self.bytes, u64::from(count));
        }
    }
}

/// A run of chunks with their words, as it goes into `text_segment` and `posting`.
#[derive(Debug, Default)]
pub(super) struct Segment {
    /// Key and number of words of each chunk.
    pub(super) members: Vec<(i64, u32)>,
    /// By word.
    lists: HashMap<String, List>,
}

impl Segment {
    /// Adds a chunk; keys rise.
    pub(super) fn add(&mut self, key: i64, text: &str) {
        let (mut length, chunk) = (0u32, self.members.len() as u32);
        each_word(text, |word| {
            length = length.saturating_add(1);
            match self.lists.get_mut(&*word.term) {
                Some(list) => list.push(chunk, 1),
                None => self.lists.entry(word.term.into_owned()).or_default().push(chunk, 1),
            }
        });
        self.members.push((key, length));
    }

    /// The lists, whole, by word in the order of their bytes.
    pub(super) fn sorted(&mut self) -> Vec<(&str, &List)> {
        self.lists.values_mut().for_each(List::close);
        let mut sorted: Vec<(u64, &str, &List)> =
            self.lists.iter().map(|(term, list)| (head(term), &**term, list)).collect();
        // Most words differ in their first bytes, which lie beside each other here.
        sorted.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.cmp(b.1)));
        sorted.into_iter().map(|(_, term, list)| (term, list)).collect()
    }

    /// Adds what another segment has: its members that `keep`, their numbers here, come first.
    pub(super) fn keep(&mut self, members: &[(i64, u32)], live: &[bool]) -> Vec<Option<u32>> {
        let mut numbers = Vec::with_capacity(members.len());
        for (member, live) in members.iter().zip(live) {
            numbers.push(live.then_some(self.members.len() as u32));
            if *live {
                self.members.push(*member);
            }
        }
        numbers
    }

    /// Adds a list of that segment.
    pub(super) fn add_list(&mut self, term: &str, list: &[u8], numbers: &[Option<u32>]) -> Result<(), Malformed> {
        let mut all = Vec::new();
        each_posting(list, |chunk, count| {
            let number = *numbers.get(chunk as usize).ok_or(Malformed)?;
            all.extend(number.map(|number| (number, count)));
            Ok(())
        })?;
        if all.is_empty() {
            return Ok(());
        }
        if !self.lists.contains_key(term) {
            self.lists.insert(term.to_owned(), List::default());
        }
        let Some(into) = self.lists.get_mut(term) else { return Ok(()) };
        all.into_iter().for_each(|(chunk, count)| into.push(chunk, count));
        Ok(())
    }

    pub(super) fn words(&self) -> i64 {
        self.members.iter().map(|(_, length)| i64::from(*length)).sum()
    }

    /// Keys as distances, each with its length.
    pub(super) fn encode_members(&self) -> Vec<u8> {
        let (mut out, mut last) = (Vec::with_capacity(self.members.len() * 4), 0);
        for (key, length) in &self.members {
            put(&mut out, (key - last).cast_unsigned());
            put(&mut out, u64::from(*length));
            last = *key;
        }
        out
    }
}

/// The first bytes of a word as a number of the same order.
fn head(term: &str) -> u64 {
    let mut head = [0; 8];
    let length = term.len().min(head.len());
    head[..length].copy_from_slice(&term.as_bytes()[..length]);
    u64::from_be_bytes(head)
}

/// Reads what [`Segment::encode_members`] wrote.
pub(super) fn members(column: &[u8]) -> Result<Vec<(i64, u32)>, Malformed> {
    let (mut reader, mut last, mut found) = (Reader::new(column), 0i64, Vec::new());
    while !reader.is_empty() {
        last = last.wrapping_add(reader.int()?.cast_signed());
        found.push((last, u32::try_from(reader.int()?).map_err(|_| Malformed)?));
    }
    Ok(found)
}

/// Calls `each` with number and count of each chunk of a list.
pub(super) fn each_posting(
    list: &[u8],
    mut each: impl FnMut(u32, u32) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let (mut reader, mut chunk) = (Reader::new(list), 0u64);
    while !reader.is_empty() {
        let head = reader.int()?;
        chunk = chunk.saturating_add(head >> 1);
        let count = if head & 1 == 0 { 1 } else { u32::try_from(reader.int()?).map_err(|_| Malformed)? };
        each(u32::try_from(chunk).map_err(|_| Malformed)?, count)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(segment: &mut Segment) -> Vec<(String, Vec<(u32, u32)>)> {
        let read = |list: &List| {
            let mut found = Vec::new();
            each_posting(&list.bytes, |chunk, count| {
                found.push((chunk, count));
                Ok(())
            })
            .unwrap();
            assert_eq!(found.len(), list.chunks as usize);
            found
        };
        segment.sorted().into_iter().map(|(term, list)| (term.to_owned(), read(list))).collect()
    }

    #[test]
    fn a_merged_segment_is_one_of_all_texts() {
        let texts = ["pump pump valve", "泵站 pump", "", "valve", "Gauge pump"];
        let mut whole = Segment::default();
        // The chunk 11 is gone.
        for i in [0, 2, 3, 4] {
            whole.add(10 + i as i64, texts[i]);
        }
        let mut merged = Segment::default();
        for range in [0..2, 2..5] {
            let mut part = Segment::default();
            range.for_each(|i: usize| part.add(10 + i as i64, texts[i]));
            let kept = members(&part.encode_members()).unwrap();
            assert_eq!(kept, part.members);
            let live: Vec<bool> = kept.iter().map(|(key, _)| *key != 11).collect();
            let numbers = merged.keep(&kept, &live);
            for (term, list) in part.sorted() {
                merged.add_list(term, &list.bytes, &numbers).unwrap();
            }
        }
        assert_eq!(merged.members, whole.members);
        assert_eq!(lists(&mut merged), lists(&mut whole));
        assert_eq!((merged.words(), whole.words()), (6, 6));
    }

    proptest::proptest! {
        #[test]
        fn damaged_bytes_never_panic(bytes: Vec<u8>) {
            let _ = members(&bytes);
            let _ = each_posting(&bytes, |_, _| Ok(()));
        }
    }
}
