//! Terms in Chinese and Japanese text, which has no blanks between words: Katakana runs, Han compounds between kana, quoted terms.

/// A term's place: byte range and sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Term {
    /// First byte.
    pub(super) start: usize,
    /// One past the last byte.
    pub(super) end: usize,
    /// Number of its sentence within the chunk.
    pub(super) sentence: u32,
    /// How sure it is to be a term.
    pub(super) kind: TermKind,
}

/// Kinds of term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TermKind {
    /// In 「」, 『』 or 《》.
    Quoted,
    /// With at least three Katakana characters: a loan word, alone or with the Han characters beside it.
    Katakana,
    /// Two to six Han characters.
    Han,
}

/// Han, kana, and the marks that stand between them.
pub(super) fn is_cjk(c: char) -> bool {
    matches!(c, '\u{3005}'..='\u{3007}' | '\u{300a}'..='\u{300f}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Full stops of CJK text.
pub(super) fn ends_sentence(c: char) -> bool {
    matches!(c, '。' | '！' | '？' | '．')
}

fn is_katakana(c: char) -> bool {
    matches!(c, '\u{30a1}'..='\u{30fa}' | 'ー' | '・')
}

fn is_hiragana(c: char) -> bool {
    matches!(c, '\u{3041}'..='\u{309f}')
}

fn is_han(c: char) -> bool {
    is_cjk(c) && !is_katakana(c) && !is_hiragana(c) && !is_quote(c)
}

fn is_quote(c: char) -> bool {
    matches!(c, '\u{300a}'..='\u{300f}' | '・' | '\u{30a0}')
}

/// Longest term in characters; a longer run is a sentence without kana.
const LONGEST: usize = 14;

/// Appends the terms of the run `start..end` of CJK characters.
pub(super) fn terms(text: &str, start: usize, end: usize, sentence: u32, out: &mut Vec<Term>) {
    let run = &text[start..end];
    let kana = run.chars().any(is_hiragana);
    let mut from: Option<usize> = None;
    let mut quote: Option<usize> = None;
    for (at, c) in run.char_indices() {
        match c {
            '「' | '『' | '《' | '〈' => quote = Some(at + c.len_utf8()),
            '」' | '』' | '》' | '〉' => {
                if let Some(opened) = quote.take() {
                    let count = run[opened..at].chars().count();
                    if (2..=LONGEST).contains(&count) {
                        out.push(Term { start: start + opened, end: start + at, sentence, kind: TermKind::Quoted });
                    }
                }
            }
            _ => {}
        }
        let part = is_katakana(c) || is_han(c);
        if part && from.is_none() {
            from = Some(at);
        }
        if !part && let Some(begun) = from.take() {
            push_compound(text, start + begun, start + at, sentence, kana, out);
        }
    }
    if let Some(begun) = from {
        push_compound(text, start + begun, end, sentence, kana, out);
    }
}

/// A run of Katakana and Han between other characters. Without kana near it (Chinese) a run of Han is a clause, not a term.
fn push_compound(text: &str, start: usize, end: usize, sentence: u32, kana: bool, out: &mut Vec<Term>) {
    let compound = text[start..end].trim_start_matches(['ー', '・']).trim_end_matches('・');
    let start = start + (compound.as_ptr() as usize - text[start..end].as_ptr() as usize);
    let end = start + compound.len();
    let katakana = compound.chars().filter(|c| is_katakana(*c)).count();
    let count = compound.chars().count();
    let kind = match (katakana, count) {
        (3.., ..=LONGEST) => TermKind::Katakana,
        (0, 2..=6) if kana => TermKind::Han,
        _ => return,
    };
    out.push(Term { start, end, sentence, kind });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(&str, TermKind)> {
        let mut out = Vec::new();
        terms(text, 0, text.len(), 0, &mut out);
        out.iter().map(|t| (&text[t.start..t.end], t.kind)).collect()
    }

    #[test]
    fn compounds_between_kana() {
        assert_eq!(
            found("設定ファイルをサーバーに保存する"),
            [("設定ファイル", TermKind::Katakana), ("サーバー", TermKind::Katakana), ("保存", TermKind::Han)]
        );
    }

    #[test]
    fn quoted_terms_in_chinese() {
        assert_eq!(found("请参阅《安装手册》的说明"), [("安装手册", TermKind::Quoted)]);
    }
}
