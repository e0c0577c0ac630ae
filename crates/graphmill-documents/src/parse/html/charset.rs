//! Where an HTML file says its character set: the prescan of the HTML standard ("prescan a byte stream to determine its
//! encoding"), over the first 1024 bytes, and the XML declaration of XHTML.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

const PRESCAN_BYTES: usize = 1024;

/// The declared character set, if there is one that is known.
pub(super) fn declared(head: &[u8]) -> Option<&'static Encoding> {
    let head = &head[..head.len().min(PRESCAN_BYTES)];
    prescan(head).or_else(|| xml_declaration(head))
}

fn prescan(head: &[u8]) -> Option<&'static Encoding> {
    let mut at = 0;
    while at < head.len() {
        let rest = &head[at..];
        if rest.starts_with(b"<!--") {
            // "<!-->" is a whole comment, so the search starts two bytes in. This goes to the last byte of the comment.
            at += 2 + crate::format::find(&rest[2..], b"-->")? + 2;
        } else if is_meta(rest) {
            at += 6;
            let found = meta(head, &mut at);
            if found.is_some() {
                return found;
            }
        } else if rest[0] == b'<' && rest.get(1).is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'/') {
            at += rest.iter().position(|byte| is_space(*byte) || *byte == b'>')?;
            while attribute(head, &mut at).is_some() {}
        } else if rest[0] == b'<' && matches!(rest.get(1), Some(b'!' | b'/' | b'?')) {
            at += rest.iter().position(|byte| *byte == b'>')?;
        }
        at += 1;
    }
    None
}

fn is_meta(rest: &[u8]) -> bool {
    rest.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"<meta"))
        && rest.get(5).is_some_and(|byte| is_space(*byte) || *byte == b'/')
}

/// Reads the attributes of a meta element; `charset` counts, `content` too where `http-equiv` says content type.
///
/// Browsers ask for that `http-equiv` to stand in the same element; its absence leaves `content` without meaning.
fn meta(head: &[u8], at: &mut usize) -> Option<&'static Encoding> {
    let mut content_type = false;
    let mut from_content = None;
    let mut from_charset = None;
    let mut seen: Vec<Vec<u8>> = Vec::new();
    while let Some((name, value)) = attribute(head, at) {
        if seen.contains(&name) {
            continue;
        }
        match name.as_slice() {
            b"http-equiv" => content_type = value == b"content-type",
            b"content" => from_content = charset_in_content(&value),
            b"charset" => from_charset = Encoding::for_label(&value),
            _ => {}
        }
        seen.push(name);
    }
    from_charset.or(from_content.filter(|_| content_type)).map(as_declared)
}

/// A file whose declaration can be read is no UTF-16, and `x-user-defined` means Windows-1252 here.
fn as_declared(encoding: &'static Encoding) -> &'static Encoding {
    if encoding == UTF_16BE || encoding == UTF_16LE {
        UTF_8
    } else if encoding == encoding_rs::X_USER_DEFINED {
        WINDOWS_1252
    } else {
        encoding
    }
}

/// "Get an attribute" of the standard: name and value in lower case, `None` at the end of the tag.
fn attribute(head: &[u8], at: &mut usize) -> Option<(Vec<u8>, Vec<u8>)> {
    let peek = |at: usize| head.get(at).copied();
    while peek(*at).is_some_and(|byte| is_space(byte) || byte == b'/') {
        *at += 1;
    }
    if peek(*at)? == b'>' {
        return None;
    }
    let start = *at;
    *at += 1;
    while peek(*at).is_some_and(|byte| !is_space(byte) && !b"=/>".contains(&byte)) {
        *at += 1;
    }
    let name = head[start..*at].to_ascii_lowercase();
    skip_spaces(head, at);
    if peek(*at) != Some(b'=') {
        return Some((name, Vec::new()));
    }
    *at += 1;
    skip_spaces(head, at);
    let quote = peek(*at)?;
    let value = if quote == b'"' || quote == b'\'' {
        let len = head[*at + 1..].iter().position(|byte| *byte == quote)?;
        let value = &head[*at + 1..*at + 1 + len];
        *at += len + 2;
        value
    } else {
        let len = head[*at..].iter().position(|byte| is_space(*byte) || *byte == b'>').unwrap_or(head.len() - *at);
        *at += len;
        &head[*at - len..*at]
    };
    Some((name, value.to_ascii_lowercase()))
}

fn skip_spaces(head: &[u8], at: &mut usize) {
    while head.get(*at).is_some_and(|byte| is_space(*byte)) {
        *at += 1;
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | b'\x0c' | b'\r' | b' ')
}

/// "Extracting a character encoding from a meta element": `charset` and an equals sign anywhere, then the label.
fn charset_in_content(content: &[u8]) -> Option<&'static Encoding> {
    let mut at = 0;
    loop {
        at += crate::format::find(&content[at..], b"charset")? + 7;
        skip_spaces(content, &mut at);
        if content.get(at) == Some(&b'=') {
            break;
        }
    }
    at += 1;
    skip_spaces(content, &mut at);
    let rest = &content[at..];
    let label = match rest.first()? {
        quote @ (b'"' | b'\'') => {
            let len = rest[1..].iter().position(|byte| byte == quote)?;
            &rest[1..1 + len]
        }
        _ => {
            let len = rest.iter().position(|byte| is_space(*byte) || *byte == b';').unwrap_or(rest.len());
            &rest[..len]
        }
    };
    Encoding::for_label(label)
}

fn xml_declaration(head: &[u8]) -> Option<&'static Encoding> {
    let head = head.strip_prefix(b"<?xml")?;
    let end = crate::format::find(head, b"?>")?;
    let mut at = crate::format::find(&head[..end], b"encoding")? + 8;
    skip_spaces(head, &mut at);
    (head.get(at) == Some(&b'=')).then(|| at += 1)?;
    skip_spaces(head, &mut at);
    let quote = *head.get(at).filter(|byte| matches!(byte, b'"' | b'\''))?;
    let len = head[at + 1..end].iter().position(|byte| *byte == quote)?;
    Encoding::for_label(&head[at + 1..at + 1 + len]).map(as_declared)
}

#[cfg(test)]
mod tests {
    use super::declared;

    fn name(head: &str) -> Option<&'static str> {
        declared(head.as_bytes()).map(encoding_rs::Encoding::name)
    }

    #[test]
    fn c13_the_meta_element_is_found_in_all_its_forms() {
        assert_eq!(name("<meta charset=utf-8>"), Some("UTF-8"));
        assert_eq!(name("<meta charset='Shift_JIS' />"), Some("Shift_JIS"));
        assert_eq!(name("<META HTTP-EQUIV='Content-Type' CONTENT='text/html; CHARSET=Shift_JIS'>"), Some("Shift_JIS"));
        assert_eq!(name("<meta http-equiv=\"Content-Type\" content=\"charset=gbk\">"), Some("GBK"));
        assert_eq!(name("<meta content='a; charset = \"koi8-r\"' http-equiv=content-type>"), Some("KOI8-R"));
        assert_eq!(name("<meta content='charset=gbk'>"), None);
        assert_eq!(name("<meta http-equiv=content-type content='charset charset=big5'>"), Some("Big5"));
        assert_eq!(name("<!-- <meta charset=gbk> --><title a='<meta charset=koi8-r>'>x"), None);
        assert_eq!(name("<!--><meta charset=gbk>"), Some("GBK"));
        assert_eq!(name("<!doctype html><html lang=x><meta name=a><meta charset=utf-16le>"), Some("UTF-8"));
        assert_eq!(name("<?xml version='1.0' encoding='iso-8859-2'?><html>"), Some("ISO-8859-2"));
        assert_eq!(name("<meta charset=nonsense>"), None);
    }

    #[test]
    fn only_the_first_1024_bytes_count() {
        let comment = |len: usize| format!("<!--{}-->", "x".repeat(len));
        assert_eq!(name(&format!("{}<meta charset=gbk>", comment(900))), Some("GBK"));
        assert_eq!(name(&format!("{}<meta charset=gbk>", comment(1020))), None);
    }
}
