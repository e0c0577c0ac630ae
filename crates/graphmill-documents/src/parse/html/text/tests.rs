use super::*;
use html5ever::tokenizer::{BufferQueue, Tokenizer, TokenizerOpts};

fn extract(html: &str) -> Found {
    let tokenizer = Tokenizer::new(Extractor::default(), TokenizerOpts::default());
    let input = BufferQueue::default();
    input.push_back(html.into());
    while !input.is_empty() {
        let _ = tokenizer.feed(&input);
    }
    tokenizer.end();
    tokenizer.sink.finish()
}

#[test]
fn blocks_lines_and_white_space_are_as_a_reader_sees_them() {
    let found = extract(
        "<html lang='de-CH'><title> A &amp;\n B </title><body><p>One\n  <b>bold</b>er&nbsp;word<br>next<p>Two</p>\
         <div><div>Three</div></div>",
    );
    assert_eq!(found.text, "One bolder\u{a0}word\nnext\n\nTwo\n\nThree");
    assert_eq!(found.title.as_deref(), Some("A & B"));
    assert_eq!(found.language.as_deref(), Some("de-CH"));
}

#[test]
fn what_is_not_shown_is_not_text() {
    let found = extract(
        "a<script>var x = '<p>no</p>';</script>b<style>p{}</style><template><p>no</template><textarea>no</textarea>\
         <!-- no --><svg><title>no</title><text>no</text></svg> c <img alt='a map'>",
    );
    assert_eq!(found.text, "ab c a map");
    assert_eq!(found.title, None);
}

#[test]
fn lists_have_signs_and_numbers() {
    let found = extract("<ul><li>one<li>two<ol start=3><li>three</li><li>four</ol></ul>end");
    assert_eq!(found.text, "- one\n- two\n  3. three\n  4. four\n\nend");
}

#[test]
fn headings_tables_and_code_are_marked() {
    let found = extract(
        "<h2>Parts <i>list</i></h2><table><tr><th>Name<th>Stock</tr><tr><td>Bolt<td><p>7</p><p>pieces</p></tr></table>\
         <pre>\nfn main() {\n    x\n}\n</pre>after",
    );
    assert_eq!(found.text, "Parts list\n\nName | Stock\nBolt | 7 pieces\n\nfn main() {\n    x\n}\n\nafter");
    let kinds: Vec<_> = found.marks.iter().map(|mark| (&found.text[mark.start..mark.end], &mark.kind)).collect();
    let title = "Parts list".to_owned();
    assert_eq!(
        kinds,
        [
            ("Parts list", &MarkKind::Heading { level: 2, title }),
            ("Name | Stock\nBolt | 7 pieces", &MarkKind::Table { header: 13 }),
            ("fn main() {\n    x\n}", &MarkKind::Code),
        ]
    );
}

#[test]
fn broken_and_deep_markup_is_read_all_the_same() {
    let deep = format!("{}x{}", "<div><b>".repeat(50_000), "</b>");
    assert_eq!(extract(&deep).text, "x");
    assert_eq!(extract("</td></table><tr><h1>t<table><tr><td>a").text, "t\n\na");
    assert_eq!(extract("<table><tr><td>a<table><tr><td>b</table>c").text, "a b c");
    assert_eq!(extract("<title>never closed").text, "");
}
