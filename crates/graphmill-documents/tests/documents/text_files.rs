//! Text, Markdown and HTML files.

use graphmill_documents::chunk::{ChunkOptions, chunk_pages};
use graphmill_documents::{Collected, DocumentInfo, Error, MarkKind, detect, document_text, parse_file};

fn parse(name: &str, bytes: &[u8]) -> Result<(Collected, DocumentInfo), Error> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("a temporary file");
    let format = detect(&bytes[..bytes.len().min(65_536)], Some(name))?;
    let mut found = Collected::default();
    let info = parse_file(&path, format, &mut found)?;
    Ok((found, info))
}

fn text_of(name: &str, bytes: &[u8]) -> (String, Vec<String>) {
    let (found, info) = parse(name, bytes).expect("readable");
    let text = document_text(&found.pages);
    assert_eq!((info.page_count, info.char_count), (1, text.chars().count() as u64));
    (text, found.warnings.into_iter().map(|warning| warning.code).collect())
}

fn utf16(text: &str, mark: bool) -> Vec<u8> {
    let start = if mark { "\u{feff}" } else { "" };
    start.encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_be_bytes).collect()
}

#[test]
fn c22_blank_documents_have_no_text() {
    let blanks = ["\u{feff} \n\t\n   \u{a0}\n\n   \u{2003}\n", "\n", " ", "\u{200b}\u{2060}\u{ad}", "\r\n\r\n\u{3000}"];
    for blank in blanks {
        for name in ["blank.txt", "blank.md", "blank.html"] {
            let error = parse(name, blank.as_bytes()).expect_err("blank");
            assert!(matches!(error, Error::NoText { .. }), "{blank:?} as {name}: {error:?}");
            assert_eq!(error.code(), "no_text");
        }
    }
    let error = parse("empty.html", b"<!DOCTYPE html><title>Title</title><script>x()</script><p>&nbsp;</p>")
        .expect_err("blank");
    assert!(matches!(error, Error::NoText { .. }), "{error:?}");
    assert_eq!(parse("a.txt", b"").expect_err("empty"), Error::EmptyFile);
}

#[test]
fn encodings_are_told_apart_and_nothing_is_dropped() {
    let words = "Grüße aus Köln, größer und schöner als je zuvor";
    assert_eq!(text_of("a.txt", words.as_bytes()), (words.to_owned(), vec![]));
    assert_eq!(text_of("a.txt", &["\u{feff}".as_bytes(), words.as_bytes()].concat()).0, words);
    assert_eq!(text_of("a.txt", &utf16(words, true)), (words.to_owned(), vec![]));
    assert_eq!(text_of("a.md", &utf16(words, false)), (words.to_owned(), vec![]));
    let latin: Vec<u8> = words.chars().map(|c| c as u8).collect();
    assert_eq!(text_of("a.txt", &latin), (words.to_owned(), vec!["charset_guessed".to_owned()]));
    let russian = "Съешь ещё этих мягких французских булок, да выпей чаю.".repeat(3);
    let (koi8, _, _) = encoding_rs::KOI8_R.encode(&russian);
    assert_eq!(text_of("a.txt", &koi8).0, russian);
    let (jis, _, _) = encoding_rs::SHIFT_JIS.encode("駅から歩いて五分です。切符は窓口で買えます。");
    assert_eq!(text_of("a.txt", &jis).0, "駅から歩いて五分です。切符は窓口で買えます。");

    let stray = [words.as_bytes(), b" and \x96 a stray byte, ", words.as_bytes()].concat();
    let (text, warnings) = text_of("a.txt", &stray);
    assert_eq!(text, format!("{words} and – a stray byte, {words}"));
    assert_eq!(warnings, ["invalid_utf8"]);
    let nul = format!("{words}\0{words}{words}");
    assert_eq!(
        text_of("a.txt", nul.as_bytes()),
        (format!("{words} {words}{words}"), vec!["nul_characters".to_owned()])
    );
}

#[test]
fn c13_html_says_its_charset_in_many_ways() {
    let gbk = |text: &str| encoding_rs::GBK.encode(text).0.into_owned();
    let head = "<!DOCTYPE html>\n<meta http-equiv=\"Content-Type\" content=\"charset=gbk\">\n";
    let bytes = gbk(&format!("{head}<title>家居</title>\n<p>家居用品的价格。</p>"));
    let (found, info) = parse("a.html", &bytes).expect("readable");
    assert_eq!((info.title.as_deref(), info.charset.as_deref()), (Some("家居"), Some("GBK")));
    assert_eq!(document_text(&found.pages), "家居用品的价格。");

    let comment = format!("<!-- {} -->", "x".repeat(600));
    let page = format!(
        "<html><head>\n{comment}<META HTTP-EQUIV='Content-Type' CONTENT='text/html; CHARSET=Shift_JIS'>\n<title>案内</title></head><body><p>駅から歩いて五分です。</p>"
    );
    let (bytes, _, _) = encoding_rs::SHIFT_JIS.encode(&page);
    let (found, info) = parse("a.html", &bytes).expect("readable");
    assert_eq!((info.title.as_deref(), document_text(&found.pages).as_str()), (Some("案内"), "駅から歩いて五分です。"));

    let (text, warnings) =
        text_of("a.html", "<html><body><p>Geschäftsjahr: Привет, straße</p></body></html>".as_bytes());
    assert_eq!((text.as_str(), warnings.len()), ("Geschäftsjahr: Привет, straße", 0));
}

#[test]
fn long_files_come_in_parts_that_make_the_same_text() {
    let mut text = String::new();
    for section in 0..9000 {
        text +=
            &format!("## Section {section}\n\nSome words of ünïcode text in section {section}, and more of them.\n\n");
        if section % 10 == 0 {
            text += &format!("```sh\n# comment {section}\nmake {}\n```\n\n", "target ".repeat(400));
        }
    }
    for name in ["long.md", "long.txt"] {
        let (found, info) = parse(name, text.as_bytes()).expect("readable");
        assert_eq!(info.page_count, 1);
        assert!(document_text(&found.pages) == text, "{name} is whole");
        assert!(found.pages.iter().all(|page| page.text.len() < 6 << 20 && page.number == 1));
        assert!(found.pages.iter().skip(1).all(|page| page.continued), "{name}");
    }
    assert!(parse("long.txt", text.as_bytes()).expect("readable").0.pages.len() > 2);
    let (found, _) = parse("long.md", text.as_bytes()).expect("readable");
    let headings = found.pages.iter().flat_map(|page| &page.marks);
    assert_eq!(headings.filter(|mark| matches!(mark.kind, MarkKind::Heading { .. })).count(), 9000);
    let chunks = chunk_pages(&found.pages, ChunkOptions::new(1000, 0).expect("valid"));
    assert!(
        chunks.iter().all(|chunk| chunk.heading_path.len() == 1 && chunk.text.starts_with("## ") || chunk.index > 0)
    );
    let text_again: String = chunks.iter().map(|chunk| chunk.text.as_str()).collect();
    assert!(text_again == text, "without overlap, the chunks are the text");
}

#[test]
fn an_odd_file_is_bounded_too() {
    let line = "word ".repeat(700_000);
    let (found, _) = parse("line.txt", line.as_bytes()).expect("readable");
    assert!(found.pages.len() > 2 && document_text(&found.pages) == line);
    let wide = "図書館は朝九時に開く。月曜日は休みである。\n".repeat(40_000);
    let (found, _) = parse("wide.txt", wide.as_bytes()).expect("readable");
    assert!(found.pages.len() > 1 && document_text(&found.pages) == wide);
    let fence = format!("```\n{}", "code line\n".repeat(2_000_000));
    let (found, _) = parse("fence.md", fence.as_bytes()).expect("readable");
    assert!(document_text(&found.pages) == fence);
}
