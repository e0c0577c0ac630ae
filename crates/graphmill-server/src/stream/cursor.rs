//! Where a client stands in the order of all events: opaque text that names the order and a position in it.

use std::fmt;
use std::str::FromStr;

/// A position in the order of one store, which a restore begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Name of the order.
    pub(crate) order: [u8; 16],
    /// Everything up to here was seen.
    pub(crate) position: u64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.order.iter().chain(&self.position.to_be_bytes()) {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// A text that is no cursor.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoCursor;

impl FromStr for Cursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        if text.len() != 48 || !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Err(NoCursor);
        }
        let mut bytes = [0; 24];
        for (n, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * n..2 * n + 2], 16).map_err(|_| NoCursor)?;
        }
        let (mut order, mut position) = ([0; 16], [0; 8]);
        order.copy_from_slice(&bytes[..16]);
        position.copy_from_slice(&bytes[16..]);
        Ok(Self { order, position: u64::from_be_bytes(position) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text_form() {
        for position in [0, 1, 77_777, u64::MAX] {
            let cursor = Cursor { order: [7; 16], position };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        for bad in ["", "5", &"g".repeat(48), &"A".repeat(48), &"a".repeat(47), &"é".repeat(24)] {
            assert_eq!(bad.parse::<Cursor>(), Err(NoCursor), "{bad}");
        }
    }
}
