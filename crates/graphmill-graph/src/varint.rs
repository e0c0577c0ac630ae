//! Integers and strings in as few bytes as they need (LEB128): the coding of compact columns.

/// Bytes that are not what was written: the file is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a compact column holds bytes that this version never writes")]
pub(crate) struct Malformed;

/// Appends an integer.
pub(crate) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a string, preceded by its length in bytes.
pub(crate) fn put_str(out: &mut Vec<u8>, text: &str) {
    put(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Reads what `put` and `put_str` wrote, from the front.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn int(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for (i, byte) in self.0.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte & 0x80 == 0 {
                self.0 = &self.0[i + 1..];
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    /// An integer that counts or points at something of which there are fewer than 2³².
    pub(crate) fn index(&mut self) -> Result<usize, Malformed> {
        u32::try_from(self.int()?).map(|i| i as usize).map_err(|_| Malformed)
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(head)
    }

    pub(crate) fn str(&mut self) -> Result<&'a str, Malformed> {
        let len = self.index()?;
        std::str::from_utf8(self.bytes(len)?).map_err(|_| Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn what_was_written_is_read(value: u64, text in "\\PC{0,40}") {
            let mut out = Vec::new();
            put(&mut out, value);
            put_str(&mut out, &text);
            let mut reader = Reader::new(&out);
            proptest::prop_assert_eq!(reader.int().unwrap(), value);
            proptest::prop_assert_eq!(reader.str().unwrap(), text);
            proptest::prop_assert!(reader.is_empty());
        }

        #[test]
        fn damaged_bytes_never_panic(bytes: Vec<u8>) {
            let mut reader = Reader::new(&bytes);
            while reader.str().is_ok() && !reader.is_empty() {}
        }
    }
}
