use super::Strategy;
use super::*;
use crate::parse::markdown::page_of;
use crate::{MarkKind, document_text, is_blank};
use proptest::prelude::*;
use std::collections::HashSet;
use unicode_segmentation::UnicodeSegmentation;

/// What the case c16 asks of every chunking, and that no chunk is larger than it must be.
fn check(pages: &[Page], size: u64, overlap: u64) -> Vec<Chunk> {
    let options = ChunkOptions::new(size, overlap).expect("valid");
    let chunks = chunk_pages(pages, options);
    let text = document_text(pages);
    let chars: Vec<char> = text.chars().collect();
    let borders: HashSet<u64> = text
        .grapheme_indices(true)
        .scan(0, |at, (_, cluster)| {
            let start = *at;
            *at += cluster.chars().count() as u64;
            Some(start)
        })
        .chain([chars.len() as u64])
        .collect();
    if text.chars().all(is_blank) {
        assert!(chunks.is_empty());
        return chunks;
    }
    let mut covered = 0;
    for (index, chunk) in chunks.iter().enumerate() {
        assert_eq!(chunk.index as usize, index);
        let range: String = chars[chunk.start_char as usize..chunk.end_char as usize].iter().collect();
        assert_eq!(chunk.text, range, "the text is its range of the document");
        assert!(!chunk.text.chars().all(is_blank), "chunk {index} is blank");
        assert!(borders.contains(&chunk.start_char) && borders.contains(&chunk.end_char), "chunk {index}: {chunk:?}");
        assert!(chunk.start_char <= covered, "a gap before chunk {index}");
        assert!(chunk.end_char > covered, "chunk {index} adds nothing");
        let shared = covered - chunk.start_char;
        assert!(shared <= overlap, "chunk {index} shares {shared}");
        covered = chunk.end_char;
        if let Some(next) = chunks.get(index + 1) {
            assert!(next.start_char > chunk.start_char);
        }
        assert!(chunk.page_start <= chunk.page_end);
    }
    assert_eq!(covered, chars.len() as u64, "the whole text is covered");
    chunks
}

/// No chunk is larger than the size but for one cluster, or white space, that is larger.
fn check_sizes(chunks: &[Chunk], size: usize) {
    for chunk in chunks.iter().filter(|chunk| chunk.text.chars().count() > size) {
        let visible: Vec<&str> = chunk.text.graphemes(true).filter(|cluster| !cluster.chars().all(is_blank)).collect();
        let shown = chunk.text.trim_matches(is_blank).chars().count();
        let blanks = chunk.text.chars().count() - shown;
        assert!(visible.len() == 1 || blanks >= size, "too large: {chunk:?}");
    }
}

fn unique_chunks(chunks: &[Chunk], line: &str) -> usize {
    let mut places = HashSet::new();
    for chunk in chunks {
        for (at, _) in chunk.text.match_indices(line) {
            places.insert(chunk.start_char + chunk.text[..at].chars().count() as u64);
        }
    }
    places.len()
}

#[test]
fn options_are_checked_with_clear_words() {
    let error = ChunkOptions::new(0, 0).expect_err("too small").to_string();
    assert!(error.contains("chunk_size 0") && error.contains("1 to 100000"), "{error}");
    let error = ChunkOptions::new(100, 100).expect_err("overlap").to_string();
    assert!(error.contains("chunk_overlap 100") && error.contains("less than chunk_size"), "{error}");
    assert!("recursiv".parse::<Strategy>().expect_err("typo").to_string().contains("recursive"));
    assert_eq!((ChunkOptions::default().size(), ChunkOptions::default().overlap()), (1000, 200));
}

#[test]
fn c16_clusters_and_repeated_lines_survive_every_size() {
    let line = "This sentence comes back again and again. ";
    let mut text = format!("{line}\n").repeat(6);
    text += "Family 👨‍👩‍👧‍👦 and flags 🇫🇷🇯🇵🇧🇷 and thumbs 👍🏽. ";
    text += &"👩🏿‍🚀".repeat(12);
    text += "\r\nCafe\u{301} re\u{301}sume\u{301} a\u{308}o\u{308}u\u{308} क्षत्रिय नमस्ते 한국어 각\r\n";
    text += &format!("{line}\n").repeat(6);
    let pages = [Page::plain(1, text)];
    for size in 20..=120 {
        for overlap in [0, 1, 7, size / 2] {
            let chunks = check(&pages, size, overlap);
            check_sizes(&chunks, size as usize);
            if size > 80 && overlap == 0 {
                assert_eq!(unique_chunks(&chunks, line.trim()), 12);
            }
        }
    }
}

fn manual(rows: usize) -> String {
    let mut text =
        "# Manual\n\nIntro text.\n\n## Install\n\n```bash\n# not a heading: a comment\n## neither this\nmake\n```\n\n"
            .to_owned();
    text += "~~~python\n# also a comment\nprint(\"```\")\n~~~\n\n````text\n```\n# inside a longer fence\n```\n````\n\n";
    text += "   ```sh\n   # indented fence\n   ```\n\n## Parts\n\n| Part | Name | Stock |\n| --- | --- | --- |\n";
    for row in 1..=rows {
        text += &format!("| P-{row:03} | valve number {row} of the south line | {} |\n", row * 7);
    }
    text + "\n## End\n\nLast words.\n"
}

#[test]
fn c17_fences_and_rows_stay_whole_and_tables_carry_their_header() {
    let text = manual(30);
    let page = page_of(&text);
    for (size, overlap) in [(400, 0), (400, 100), (150, 0), (1000, 200), (200, 199)] {
        let chunks = check(std::slice::from_ref(&page), size, overlap);
        check_sizes(&chunks, size as usize);
        let paths: HashSet<String> = chunks.iter().map(|chunk| chunk.heading_path.join(" > ")).collect();
        let expected = ["Manual", "Manual > Install", "Manual > Parts", "Manual > End"];
        assert_eq!(paths, expected.map(str::to_owned).into(), "size {size}");
        let chars: Vec<(usize, char)> = text.char_indices().collect();
        for chunk in &chunks {
            let byte = |at: u64| chars.get(at as usize).map_or(text.len(), |(byte, _)| *byte);
            for border in [byte(chunk.start_char), byte(chunk.end_char)] {
                let inside = page.marks.iter().find(|mark| {
                    mark.kind == MarkKind::Code && mark.start < border && border < text[..mark.end].trim_end().len()
                });
                assert_eq!(inside, None, "a border in a fence at size {size}");
                let at_line = border == 0 || text[..border].ends_with('\n') || text[border..].starts_with('\n');
                assert!(at_line, "at {size}/{overlap} a border in a line: {chunk:?}");
            }
            let starts_in_table = chunk.text.trim_start().starts_with("| P-");
            assert_eq!(chunk.context.is_some(), starts_in_table);
            if let Some(context) = &chunk.context {
                assert_eq!(context, "| Part | Name | Stock |\n| --- | --- | --- |");
                assert!(chunk.text_in_context().starts_with("| Part | Name | Stock |\n| --- | --- | --- |\n| P-"));
            }
        }
        for row in 1..=30 {
            let whole = format!("| P-{row:03} | valve number {row} of the south line | {} |", row * 7);
            assert!(chunks.iter().any(|chunk| chunk.text.contains(&whole)), "row {row} at size {size}");
        }
    }
}

#[test]
fn a_heading_stays_with_what_follows() {
    let body = "word ".repeat(70);
    let text = format!("{body}\n\n# Title\n\n## Below\n\n{body}\n");
    let chunks = check(&[page_of(&text)], 400, 50);
    let chunk = chunks.iter().find(|chunk| chunk.text.contains("# Title")).expect("the heading");
    assert!(chunk.text.starts_with("# Title\n\n## Below\n\nword"), "{chunk:?}");
    assert_eq!(chunk.heading_path, ["Title", "Below"]);
    assert_eq!(chunks[0].heading_path, [""; 0]);
}

#[test]
fn a_fence_larger_than_a_chunk_is_cut_at_lines() {
    let lines = (0..60).map(|line| format!("    let value_{line} = compute({line}); // step\n")).collect::<String>();
    let text = format!("# Code\n\n```rust\n{lines}```\n\nAfter.\n");
    for chunk in check(&[page_of(&text)], 300, 0) {
        assert!(chunk.text.ends_with('\n'), "{chunk:?}");
    }
}

#[test]
fn ends_prefer_paragraphs_then_sentences_then_words() {
    let text = "One sentence here. Another one there.\n\nA new paragraph begins. It goes on and on and on.";
    let chunks = check(&[Page::plain(1, text)], 60, 0);
    assert_eq!(chunks[0].text, "One sentence here. Another one there.\n\n");
    let chunks = check(&[Page::plain(1, text)], 30, 0);
    assert_eq!(chunks[0].text, "One sentence here. ");
    let chunks = check(&[Page::plain(1, "several words without any stop at all")], 16, 0);
    assert_eq!(chunks[0].text, "several words ");
    let chunks = check(&[Page::plain(1, "図書館は朝九時に開く。月曜日は休みである。火曜日も。")], 13, 0);
    assert_eq!(chunks[0].text, "図書館は朝九時に開く。");
}

#[test]
fn chunks_know_their_pages_and_do_not_depend_on_parts() {
    let first = "First page, with a sentence. ".repeat(10);
    let second = "Second page, with another. ".repeat(10);
    let whole = [Page::plain(1, first.clone()), Page::plain(2, second.clone())];
    let chunks = check(&whole, 100, 20);
    assert_eq!((chunks[0].page_start, chunks[0].page_end), (1, 1));
    let last = chunks.last().expect("chunks");
    assert_eq!((last.page_start, last.page_end), (2, 2));
    for chunk in &chunks {
        let (first, second) = (chunk.text.contains("First"), chunk.text.contains("Second"));
        assert!(!first || chunk.page_start == 1, "{chunk:?}");
        assert!(!second || chunk.page_end == 2, "{chunk:?}");
    }

    let long = manual(200);
    let cut = long.find("| P-100").expect("row");
    let unmarked = Page::plain(1, long.clone());
    let mut rest = Page::plain(1, &long[cut..]);
    rest.continued = true;
    assert_eq!(check(&[unmarked], 150, 30), check(&[Page::plain(1, &long[..cut]), rest], 150, 30));
}

#[test]
fn white_space_makes_no_chunks() {
    assert_eq!(check(&[Page::plain(1, "\u{feff} \u{200b}\n\t\u{a0}\u{2003}")], 10, 0), []);
    let text = format!("a{}b{}", " ".repeat(5000), "\n".repeat(300));
    let chunks = check(&[Page::plain(1, text)], 100, 50);
    assert_eq!(chunks.len(), 2);
    let chunks = check(&[Page::plain(1, format!("{}x", "\n".repeat(500)))], 100, 50);
    assert_eq!(chunks.len(), 1);
}

fn piece() -> impl proptest::strategy::Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z]{1,9}",
        2 => Just(" ".to_owned()),
        1 => Just(". ".to_owned()),
        1 => Just("\n".to_owned()),
        1 => Just("\r\n\r\n".to_owned()),
        1 => "[ \n\t\u{a0}\u{200b}]{1,40}",
        1 => "[東京都の、。ー]{1,12}",
        1 => "(👨‍👩‍👧‍👦|🇫🇷|👍🏽|e\u{301}|क्ष|각|\u{600}){1,6}",
        1 => "\\PC{0,8}",
        1 => Just("\n\n# Heading\n\n".to_owned()),
        1 => Just("\n\n```\ncode here\n# no\n```\n\n".to_owned()),
        1 => Just("\n\n| a | b |\n|---|---|\n| one two | three |\n| four | five |\n\n".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_text_keeps_the_invariants(
        pieces in prop::collection::vec(piece(), 0..80),
        breaks in prop::collection::vec(any::<bool>(), 80),
        size in 1_u64..90,
        overlap in 0_u64..90,
    ) {
        let overlap = overlap % size;
        let mut pages = vec![String::new()];
        for (piece, new_page) in pieces.iter().zip(breaks) {
            if new_page && pages.len() < 4 && piece == "\n" {
                pages.push(String::new());
            }
            pages.last_mut().expect("one page").push_str(piece);
        }
        let pages: Vec<Page> = pages
            .iter()
            .zip(1..)
            .map(|(text, number)| Page { number, ..page_of(text) })
            .collect();
        check(&pages, size, overlap);
    }
}
