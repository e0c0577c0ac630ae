//! Any text and settings: chunks equal their ranges of the document, starts grow, nothing visible is left out.
#![no_main]

use graphmill_documents::chunk::{ChunkOptions, chunk_pages};
use graphmill_documents::{Page, document_text, is_blank};

libfuzzer_sys::fuzz_target!(|input: (u8, u8, Vec<String>)| {
    let (size, overlap, texts) = input;
    let Ok(options) = ChunkOptions::new(u64::from(size), u64::from(overlap)) else { return };
    let pages: Vec<Page> = (1..).zip(texts).map(|(number, text)| Page::plain(number, text)).collect();
    let text: Vec<char> = document_text(&pages).chars().collect();
    let mut covered = 0;
    let mut last_start = None;
    for chunk in chunk_pages(&pages, options) {
        let (start, end) = (chunk.start_char as usize, chunk.end_char as usize);
        assert_eq!(chunk.text, text[start..end].iter().collect::<String>());
        assert!(last_start.is_none_or(|last| start > last), "starts grow");
        assert!(text[covered.min(start)..start].iter().all(|c| is_blank(*c)), "text between chunks is lost");
        (last_start, covered) = (Some(start), end.max(covered));
    }
    assert!(text[covered.min(text.len())..].iter().all(|c| is_blank(*c)), "the end is lost");
});
