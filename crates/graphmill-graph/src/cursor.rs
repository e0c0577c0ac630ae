//! Cursors: the place of a page's last row, as text that nobody needs to understand. One form for every backend.

use crate::varint::{Reader, put, put_str};
use crate::{Error, Result};

/// What a list is ordered by, before the id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rank {
    Number(i64),
    Text(String),
}

/// A row's place in an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) rank: Rank,
    /// Decides among rows of equal rank.
    pub(crate) id: Vec<u8>,
}

/// Version of the form.
const VERSION: u64 = 1;

impl Cursor {
    /// `order` names list, sort and direction: a cursor of one order means nothing in another.
    pub(crate) fn encode(&self, order: &str) -> String {
        let mut bytes = Vec::new();
        put(&mut bytes, VERSION);
        put_str(&mut bytes, order);
        match &self.rank {
            Rank::Number(number) => {
                put(&mut bytes, 0);
                put(&mut bytes, number.cast_unsigned());
            }
            Rank::Text(text) => {
                put(&mut bytes, 1);
                put_str(&mut bytes, text);
            }
        }
        put(&mut bytes, self.id.len() as u64);
        bytes.extend_from_slice(&self.id);
        bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
            for nibble in [byte >> 4, byte & 15] {
                out.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
            }
            out
        })
    }

    /// Reads what [`Cursor::encode`] wrote for the same order.
    pub(crate) fn decode(text: &str, order: &str) -> Result<Self> {
        let shown = || text.chars().take(80).collect::<String>();
        let read = bytes_of(text).and_then(|bytes| Self::read(&bytes));
        let Some((made_for, cursor)) = read else {
            return Err(Error::Invalid(format!(
                "cursor {:?} is none of ours; use the one that a page's `Link` header gave, or leave it out",
                shown()
            )));
        };
        if made_for != order {
            return Err(Error::Invalid(format!(
                "cursor {:?} was made for the order {made_for:?} and this list has the order {order:?}; keep sort and order while \
                 you walk, or leave the cursor out",
                shown()
            )));
        }
        Ok(cursor)
    }

    fn read(bytes: &[u8]) -> Option<(String, Self)> {
        let mut reader = Reader::new(bytes);
        if reader.int().ok()? != VERSION {
            return None;
        }
        let order = reader.str().ok()?.to_owned();
        let rank = match reader.int().ok()? {
            0 => Rank::Number(reader.int().ok()?.cast_signed()),
            1 => Rank::Text(reader.str().ok()?.to_owned()),
            _ => return None,
        };
        let length = reader.index().ok()?;
        let id = reader.bytes(length).ok()?.to_vec();
        reader.is_empty().then_some((order, Self { rank, id }))
    }
}

fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    (rest.is_empty() && !pairs.is_empty()).then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text() {
        for rank in [Rank::Number(-3), Rank::Number(i64::MAX), Rank::Text("Über \"alles\"".into())] {
            let cursor = Cursor { rank, id: vec![0, 255, 7] };
            assert_eq!(Cursor::decode(&cursor.encode("a desc"), "a desc").unwrap(), cursor);
            let other = Cursor::decode(&cursor.encode("a desc"), "b desc").unwrap_err().to_string();
            assert!(other.contains("\"a desc\"") && other.contains("\"b desc\""), "{other}");
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for bad in ["", "1", "zz", "ffffffffffffffffffffff", "é", "0101", "01"] {
            assert!(Cursor::decode(bad, "x").unwrap_err().to_string().contains("none of ours"), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text: String, bytes: Vec<u8>) {
            let _ = Cursor::decode(&text, "x");
            let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
            let _ = Cursor::decode(&hex, "x");
        }
    }
}
