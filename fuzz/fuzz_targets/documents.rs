//! Any bytes, read as the format that they look like and as each other one: an error or pages, never a panic or a hang.
#![no_main]

use std::io::Write;

use graphmill_documents::{Collected, Format, detect, parse_file};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(mut file) = tempfile::NamedTempFile::new() else { return };
    if file.write_all(data).is_err() {
        return;
    }
    let formats = detect(data, None).into_iter().chain([Format::Pdf, Format::Html, Format::Markdown, Format::Text]);
    for format in formats {
        let mut found = Collected::default();
        if parse_file(file.path(), format, &mut found).is_ok() {
            assert!(found.pages.iter().all(|page| !page.text.contains('\0')), "NUL in {format:?}");
        }
    }
});
