//! Places where a chunk may end, and how good each is.

use unicode_segmentation::GraphemeCursor;

/// How good a border is, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Between two grapheme clusters of one word.
    Grapheme,
    /// Between words where none should be: in a table row, a heading, a line of code.
    Inside,
    /// Between a heading, or the header of a table, and what belongs to it.
    Stuck,
    /// Between words.
    Word,
    /// At a line break within a sentence, as hard-wrapped text has them.
    Wrap,
    /// Between sentences.
    Sentence,
    /// At a line break that ends something: a list item, a row, a line of verse.
    Line,
    /// Between paragraphs, before a table or code.
    Block,
}

/// A place before a visible character where a chunk may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Border {
    /// Byte in the buffer.
    pub byte: usize,
    /// Characters from the start of the window.
    pub chars: usize,
    pub rank: Rank,
    /// Whether a heading follows: the next chunk then shares nothing with this one.
    pub before_heading: bool,
    /// Whether the next chunk may start here: not so where white space follows.
    pub starts: bool,
}

/// Chooses the end of a chunk among borders in rising order: the last of the strongest rank that keeps the chunk full
/// enough, else the last of the strongest there is.
pub(super) fn choose(borders: &[Border], size: usize, more_than: usize) -> Option<Border> {
    let usable = || borders.iter().rev().filter(|border| border.chars > more_than);
    let tiers = [
        (Rank::Block, size / 4),
        (Rank::Line, size / 2),
        (Rank::Sentence, size / 2),
        (Rank::Wrap, size / 2),
        (Rank::Word, size / 2),
    ];
    for (rank, fill) in tiers {
        if let Some(border) = usable().find(|border| border.rank >= rank && border.chars >= fill) {
            return Some(*border);
        }
    }
    let best = usable().map(|border| border.rank).max()?;
    usable().find(|border| border.rank == best).copied()
}

/// Chooses where the next chunk starts, so that it shares at most `overlap` characters with one of `end` characters:
/// at a sentence if that shares half of it, else at a word. `None` if there is no place before the end.
pub(super) fn choose_start(borders: &[Border], end: Border, overlap: usize) -> Option<Border> {
    let from = end.chars.saturating_sub(overlap).max(1);
    let mut shared = borders
        .iter()
        .filter(|border| border.starts && border.chars >= from && border.chars < end.chars)
        .filter(|border| border.rank >= Rank::Word || border.rank == Rank::Grapheme);
    let first = *shared.next()?;
    let enough = end.chars.saturating_sub(overlap / 2);
    if first.rank >= Rank::Sentence {
        return Some(first);
    }
    let sentence = shared.find(|border| border.rank >= Rank::Sentence && border.chars <= enough);
    Some(sentence.copied().unwrap_or(first))
}

/// The rank of a border where white space stands before `next`: by the line breaks in it and what stands around.
pub(super) fn rank_after_blank(line_breaks: u32, before: Option<char>, next: char) -> Rank {
    match line_breaks {
        0 if before.is_some_and(ends_sentence) && !next.is_lowercase() => Rank::Sentence,
        0 => Rank::Word,
        1 if next.is_lowercase() => Rank::Wrap,
        1 => Rank::Line,
        _ => Rank::Block,
    }
}

/// The rank of a border between two visible characters, if there is one: in scripts written without blanks.
pub(super) fn rank_between(before: char, next: char) -> Option<Rank> {
    if !is_cjk(before) && !is_cjk(next) || clings_to_previous(next) || clings_to_next(before) {
        None
    } else if ends_sentence(before) {
        Some(Rank::Sentence)
    } else {
        Some(Rank::Word)
    }
}

fn ends_sentence(c: char) -> bool {
    matches!(c, '.' | '!' | '?' | '…' | '。' | '！' | '？' | '｡' | '।' | '॥' | '؟' | '۔' | '։' | '።')
}

/// Closing marks after the end of a sentence, which do not hide it.
pub(super) fn closes(c: char) -> bool {
    matches!(c, '"' | '\'' | ')' | ']' | '}' | '*' | '_' | '»' | '’' | '”' | '」' | '』' | '）' | '】')
}

fn clings_to_previous(c: char) -> bool {
    closes(c)
        || ends_sentence(c)
        || matches!(
            c,
            ',' | ';'
                | ':'
                | '、'
                | '，'
                | '；'
                | '：'
                | '・'
                | 'ー'
                | '々'
                | '〉'
                | '》'
                | '〕'
                | '%'
                | '％'
                | 'ぁ'
                | 'ぃ'
                | 'ぅ'
                | 'ぇ'
                | 'ぉ'
                | 'っ'
                | 'ゃ'
                | 'ゅ'
                | 'ょ'
                | 'ァ'
                | 'ィ'
                | 'ゥ'
                | 'ェ'
                | 'ォ'
                | 'ッ'
                | 'ャ'
                | 'ュ'
                | 'ョ'
        )
}

fn clings_to_next(c: char) -> bool {
    matches!(c, '(' | '[' | '{' | '「' | '『' | '（' | '【' | '〈' | '《' | '〔' | '“' | '‘' | '«')
}

/// Characters of the scripts that are written without blanks between words (Chinese, Japanese), their punctuation
/// included, combining marks not.
pub(crate) fn is_cjk(c: char) -> bool {
    matches!(
        c,
        '\u{2e80}'..='\u{3029}' | '\u{3030}'..='\u{3098}' | '\u{309b}'..='\u{312f}' | '\u{31a0}'..='\u{4dbf}'
            | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe4f}' | '\u{ff01}'..='\u{ff9d}'
            | '\u{20000}'..='\u{3ffff}'
    )
}

/// Whether a grapheme cluster starts at `at` (UAX 29, extended clusters); `before` and `next` stand around it.
pub(super) fn is_cluster_start(text: &str, at: usize, before: char, next: char) -> bool {
    let simple_next = next.is_ascii_graphic() || is_cjk(next);
    if simple_next && (before.is_ascii() || is_cjk(before)) {
        return true;
    }
    GraphemeCursor::new(at, text.len(), true).is_boundary(text, 0).unwrap_or(false)
}
