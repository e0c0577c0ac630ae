//! The head of a part: field name and file name, as browsers (WHATWG), curl and Python write them.

use graphmill_core::ErrorCode;

use crate::error::shortened;
use crate::{Error, Result};

/// `Content-Disposition` of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disposition {
    /// Name of the field.
    pub(crate) name: String,
    /// `filename*` (RFC 5987) if there is one, else `filename`.
    pub(crate) filename: Option<String>,
}

impl Disposition {
    /// Reads the header lines of a part.
    pub(crate) fn parse(head: &[u8]) -> Result<Self> {
        let head = std::str::from_utf8(head).map_err(|e| {
            broken(format!("it is not UTF-8 ({:?} …)", shortened(&String::from_utf8_lossy(&head[..e.valid_up_to()]))))
                .hint("send the file name in UTF-8, or as filename*=UTF-8''… with percent escapes")
        })?;
        let value = head.split("\r\n").find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.trim().eq_ignore_ascii_case("content-disposition").then(|| value.trim())
        });
        let value = value.ok_or_else(|| broken("Content-Disposition is missing".to_owned()))?;
        let parameters = parameters(value);
        let find = |wanted: &str| parameters.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
        let name = find("name").ok_or_else(|| broken("Content-Disposition names no field".to_owned()))?;
        let extended = find("filename*").and_then(|value| extended(value));
        Ok(Self { name: unescaped(name), filename: extended.or_else(|| find("filename").map(|f| unescaped(f))) })
    }
}

fn broken(what: String) -> Error {
    Error::new(ErrorCode::InvalidMultipart, format!("the head of a part cannot be read: {what}"))
        .hint("nothing of this request was accepted; curl -F file=@some.pdf makes a body as it should be")
}

/// The `name=value` pairs behind the type, names in lower case, values without quotes.
fn parameters(value: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = value.split_once(';').map_or("", |(_, rest)| rest);
    while let Some((name, after)) = rest.split_once('=') {
        let (value, after) = match after.trim_start().strip_prefix('"') {
            Some(quoted) => quoted_string(quoted),
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        found.push((name.trim().to_ascii_lowercase(), value));
        rest = after.split_once(';').map_or("", |(_, rest)| rest);
    }
    found
}

/// Up to the closing quote. A backslash escapes a quote or a backslash alone: in old browsers' `C:\docs\a.pdf` it is meant as it stands.
fn quoted_string(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' if text[at + 1..].starts_with(['"', '\\']) => value.extend(chars.next().map(|(_, c)| c)),
            _ => value.push(c),
        }
    }
    (value, "")
}

/// Browsers escape these three and nothing else, not even the percent sign.
fn unescaped(value: &str) -> String {
    let value = value.replace("%22", "\"");
    let value = value.replace("%0D", "\r").replace("%0d", "\r");
    value.replace("%0A", "\n").replace("%0a", "\n")
}

/// `UTF-8'en'a%20b` or `ISO-8859-1''…`; `None` when it is neither.
fn extended(value: &str) -> Option<String> {
    let (charset, rest) = value.split_once('\'')?;
    let (_, encoded) = rest.split_once('\'')?;
    let mut bytes = Vec::new();
    let mut rest = encoded.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = (*first == b'%').then(|| tail.get(..2)).flatten();
        let escaped = escaped.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    match charset.to_ascii_lowercase().as_str() {
        "utf-8" => String::from_utf8(bytes).ok(),
        "iso-8859-1" => Some(bytes.into_iter().map(char::from).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filename(parameters: &str) -> String {
        let head = format!("Content-Type: text/plain\r\nContent-Disposition: form-data; name=\"file\"; {parameters}");
        let parsed = Disposition::parse(head.as_bytes()).unwrap();
        assert_eq!(parsed.name, "file");
        parsed.filename.unwrap()
    }

    #[test]
    fn names_as_clients_write_them() {
        assert_eq!(filename("filename=\"a b.pdf\""), "a b.pdf");
        assert_eq!(filename("filename=a.pdf"), "a.pdf");
        assert_eq!(filename("filename=\"a;b=c.pdf\"; x=y"), "a;b=c.pdf");
        assert_eq!(filename(r#"filename="say \"hi\".txt""#), "say \"hi\".txt");
        assert_eq!(filename("filename=\"say %22hi%22 100%.txt\""), "say \"hi\" 100%.txt");
        assert_eq!(filename(r#"filename="C:\docs\a.pdf""#), r"C:\docs\a.pdf");
        assert_eq!(filename("filename=\"日本 🙂.md\""), "日本 🙂.md");
        assert_eq!(filename("filename=\"fallback\"; filename*=UTF-8''%E6%97%A5%20x.md"), "日 x.md");
        assert_eq!(filename("filename*=iso-8859-1'de'%FCber.txt"), "über.txt");
        assert_eq!(filename("filename=\"kept\"; filename*=koi8-r''%C1"), "kept");
    }

    #[test]
    fn a_head_without_a_field_name_is_refused() {
        for head in [
            &b""[..],
            b"Content-Type: text/plain",
            b"Content-Disposition: form-data",
            b"Content-Disposition: form-data; name=\"\xff\"",
        ] {
            assert_eq!(Disposition::parse(head).unwrap_err().code(), ErrorCode::InvalidMultipart);
        }
    }
}
