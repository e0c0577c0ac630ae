use super::*;

fn refused(head: &[u8], name: &str) -> String {
    match detect(head, Some(name)) {
        Err(error @ Error::UnsupportedFormat { .. }) => error.to_string(),
        other => panic!("{name} was not refused: {other:?}"),
    }
}

/// Bytes without pattern, the same each time (xorshift64).
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        })
        .collect()
}

#[test]
fn a_pdf_is_one_under_any_name_and_behind_junk() {
    assert_eq!(detect(b"%PDF-1.7\n1 0 obj", Some("notes.txt")), Ok(Format::Pdf));
    let mut late = vec![b'x'; 900];
    late.extend_from_slice(b"\n%PDF-1.4\n1 0 obj\n<<>>");
    assert_eq!(detect(&late, Some("a.md")), Ok(Format::Pdf));
    let about = b"A file starts with %PDF-1.4, which is its header.";
    assert_eq!(detect(about, Some("a.txt")), Ok(Format::Text));
}

#[test]
fn what_is_not_accepted_is_named_with_what_is() {
    assert!(refused(b"PK\x03\x04....[Content_Types].xml word/document.xml", "a.docx").contains("Word document (DOCX)"));
    assert!(refused(b"PK\x03\x04\x14\0\0\0", "a.txt").contains("ZIP archive"));
    assert!(refused(b"\x89PNG\r\n\x1a\n\0\0", "a.md").contains("PNG image"));
    assert!(refused(b"\xff\xd8\xff\xe0", "a.pdf").contains("JPEG"));
    assert!(refused(b"\x1f\x8b\x08", "a.txt").contains("gzip"));
    assert!(refused(b"\x7fELF\x02", "a").contains("ELF"));
    let message = refused(&noise(5000), "noise.md");
    assert!(message.contains("binary data") && message.contains("text/markdown"), "{message}");
    assert!(refused(&noise(40), "noise.txt").contains("binary data"));
    assert_eq!(detect(b"", Some("a.txt")), Err(Error::EmptyFile));
}

#[test]
fn the_name_decides_between_text_formats_alone() {
    assert_eq!(detect(b"Hello", Some("a.md")), Ok(Format::Markdown));
    assert_eq!(detect(b"Hello", Some("a.txt")), Ok(Format::Text));
    assert_eq!(detect(b"Hello", Some("a.pdf")), Ok(Format::Text));
    assert_eq!(detect(b"<!DOCTYPE html><title>x", Some("a.txt")), Ok(Format::Html));
    assert_eq!(detect(b"<p align=center>Logo</p>\n# A", Some("README.md")), Ok(Format::Markdown));
    assert_eq!(detect(b"<p>One</p>", None), Ok(Format::Html));
    assert_eq!(detect(b"<!-- c --><html lang=en>", None), Ok(Format::Html));
    assert_eq!(detect(b"# A\n\n[b](c)\n", Some("README")), Ok(Format::Markdown));
    assert_eq!(detect(b"# a comment\nkey = 1\n", Some("Makefile")), Ok(Format::Text));
}

#[test]
fn text_in_other_encodings_is_text() {
    let utf16: Vec<u8> = "Grüße aus Köln".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(detect(&utf16, Some("a.txt")), Ok(Format::Text));
    let with_bom = [&[0xff, 0xfe], &utf16[..]].concat();
    assert_eq!(detect(&with_bom, Some("a.txt")), Ok(Format::Text));
    assert_eq!(detect(b"Gr\xfc\xdfe aus K\xf6ln, und vieles mehr", Some("a.txt")), Ok(Format::Text));
    assert_eq!(detect(b"\xef\xbb\xbf \n\t\n", Some("blank.txt")), Ok(Format::Text));
}
