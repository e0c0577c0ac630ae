//! Names for files that are not accepted, so that the refusal says what was sent.

use super::find;

/// Byte strings at fixed places and what they stand for.
const SIGNATURES: &[(usize, &[u8], &str)] = &[
    (0, b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"GIF8", "a GIF image"),
    (0, b"II*\0", "a TIFF image"),
    (0, b"MM\0*", "a TIFF image"),
    (0, b"\0\0\x01\0", "a Windows icon"),
    (0, b"\x1f\x8b", "gzip-compressed data"),
    (0, b"BZh", "bzip2-compressed data"),
    (0, b"\xfd7zXZ\0", "xz-compressed data"),
    (0, b"\x28\xb5\x2f\xfd", "zstd-compressed data"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"\x7fELF", "an ELF program"),
    (0, b"MZ\x90", "a Windows program"),
    (0, b"\xcf\xfa\xed\xfe", "a Mach-O program"),
    (0, b"\xca\xfe\xba\xbe", "a Java class or Mach-O program"),
    (0, b"\0asm", "a WebAssembly module"),
    (0, b"SQLite format 3\0", "an SQLite database"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document (DOC, XLS, PPT or MSG)"),
    (0, b"{\\rtf", "an RTF document"),
    (0, b"%!PS", "a PostScript document"),
    (0, b"AT&TFORM", "a DjVu document"),
    (0, b"PAR1", "a Parquet file"),
    (0, b"OggS", "an Ogg recording"),
    (0, b"ID3", "an MP3 recording"),
    (0, b"fLaC", "a FLAC recording"),
    (4, b"ftyp", "an MP4 or HEIF file"),
    (0, b"\x1a\x45\xdf\xa3", "a Matroska or WebM video"),
    (0, b"wOFF", "a web font"),
    (0, b"wOF2", "a web font"),
    (0, b"\0\x01\0\0\0", "a TrueType font"),
    (0, b"OTTO\0", "an OpenType font"),
    (0, b"\xff\xfe\0\0", "text in UTF-32, which is not read"),
    (0, b"\0\0\xfe\xff", "text in UTF-32, which is not read"),
];

/// What the file is, if its first bytes are the signature of a format that is not accepted.
pub(super) fn known_binary(head: &[u8]) -> Option<&'static str> {
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Some(kind_of_zip(head));
    }
    if head.starts_with(b"RIFF") {
        return Some(match head.get(8..12) {
            Some(b"WEBP") => "a WebP image",
            Some(b"WAVE") => "a WAV recording",
            _ => "a RIFF file (sound or video)",
        });
    }
    // "BM" begins words too; the reserved fields of a bitmap are zero.
    if head.starts_with(b"BM") && head.get(6..10) == Some(&[0; 4]) {
        return Some("a BMP image");
    }
    SIGNATURES.iter().find(|(at, bytes, _)| head.get(*at..at + bytes.len()) == Some(*bytes)).map(|(_, _, name)| *name)
}

fn kind_of_zip(head: &[u8]) -> &'static str {
    let holds = |needle: &[u8]| find(head, needle).is_some();
    if holds(b"word/") {
        "a Word document (DOCX)"
    } else if holds(b"xl/") {
        "an Excel workbook (XLSX)"
    } else if holds(b"ppt/") {
        "a PowerPoint presentation (PPTX)"
    } else if holds(b"mimetypeapplication/epub+zip") {
        "an EPUB book"
    } else if holds(b"mimetypeapplication/vnd.oasis.opendocument") {
        "an OpenDocument file (ODT, ODS or ODP)"
    } else {
        "a ZIP archive"
    }
}
