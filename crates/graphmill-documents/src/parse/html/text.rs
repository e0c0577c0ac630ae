//! From HTML tokens to text: lines where a reader sees lines, one blank line between blocks, cells set off by bars.

use crate::{Mark, MarkKind};
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{Tag, TagKind, Token, TokenSink, TokenSinkResult};
use std::cell::RefCell;

/// What a document gives.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub text: String,
    pub marks: Vec<Mark>,
    pub title: Option<String>,
    pub language: Option<String>,
}

/// Receives tokens. The tokenizer wants a shared reference, hence the cell.
#[derive(Debug, Default)]
pub(super) struct Extractor(RefCell<State>);

#[derive(Debug, Default)]
struct State {
    found: Found,
    /// What must stand before the next visible character.
    gap: Gap,
    /// Name of the element whose content shows nothing, and how deep it is nested in its like.
    hidden: Option<(String, usize)>,
    title: Option<String>,
    heading: Option<(u8, usize)>,
    pre: Option<(usize, usize)>,
    table: Option<Table>,
    /// Number of the next item of each open list; 0 for lists without numbers.
    lists: Vec<u32>,
}

/// White space owed before the next character, least first.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    #[default]
    None,
    Blank,
    Line,
    Block,
}

/// The outermost open table. Inner tables are part of their cell.
#[derive(Debug)]
struct Table {
    start: usize,
    depth: usize,
    rows: usize,
    cells: usize,
    /// Whether the first row has header cells alone; such a row is the header.
    header_row: bool,
    header: usize,
}

impl Extractor {
    pub(super) fn finish(self) -> Found {
        let mut state = self.0.into_inner();
        state.end_pre(true);
        state.end_heading();
        state.end_table(true);
        state.found
    }
}

impl TokenSink for Extractor {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut state = self.0.borrow_mut();
        match token {
            Token::CharacterTokens(text) => state.characters(&text),
            Token::TagToken(tag) if tag.kind == TagKind::StartTag => return state.start(&tag),
            Token::TagToken(tag) => state.end(&tag.name),
            Token::NullCharacterToken
            | Token::DoctypeToken(_)
            | Token::CommentToken(_)
            | Token::EOFToken
            | Token::ParseError(_) => {}
        }
        TokenSinkResult::Continue
    }
}

impl State {
    fn characters(&mut self, text: &str) {
        if let Some(title) = &mut self.title {
            title.push_str(text);
            return;
        }
        if self.hidden.is_some() {
            return;
        }
        if self.pre.is_some() {
            // The line break right after <pre> is not part of it.
            let text = if self.gap == Gap::Block { text.strip_prefix('\n').unwrap_or(text) } else { text };
            if !text.is_empty() {
                self.fill_gap();
                self.found.text.push_str(text);
            }
            return;
        }
        let mut rest = text;
        while !rest.is_empty() {
            let word = rest.find(is_html_space).unwrap_or(rest.len());
            if word > 0 {
                self.fill_gap();
                self.found.text.push_str(&rest[..word]);
            }
            let spaces = rest[word..].find(|c| !is_html_space(c)).unwrap_or(rest.len() - word);
            if spaces > 0 {
                self.owe(Gap::Blank);
            }
            rest = &rest[word + spaces..];
        }
    }

    fn owe(&mut self, gap: Gap) {
        // Within a cell all is one line, so that a row stays one.
        let gap = if self.in_cell() { gap.min(Gap::Blank) } else { gap };
        self.gap = self.gap.max(gap);
    }

    fn in_cell(&self) -> bool {
        self.table.as_ref().is_some_and(|table| table.cells > 0)
    }

    fn fill_gap(&mut self) {
        let text = &mut self.found.text;
        if !text.is_empty() {
            text.push_str(match self.gap {
                Gap::None => "",
                Gap::Blank if text.ends_with([' ', '\n']) => "",
                Gap::Blank => " ",
                Gap::Line if text.ends_with('\n') => "",
                Gap::Line => "\n",
                Gap::Block if text.ends_with("\n\n") => "",
                Gap::Block if text.ends_with('\n') => "\n",
                Gap::Block => "\n\n",
            });
        }
        self.gap = Gap::None;
    }

    fn start(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        let name = &*tag.name;
        if let Some((hidden, depth)) = &mut self.hidden {
            if name == hidden && !tag.self_closing {
                *depth += 1;
            }
            return TokenSinkResult::Continue;
        }
        match name {
            "html" => self.found.language = attribute(tag, "lang").or_else(|| attribute(tag, "xml:lang")),
            "title" if self.found.title.is_none() => {
                self.title = Some(String::new());
                return TokenSinkResult::RawData(RawKind::Rcdata);
            }
            "script" => {
                self.hidden = Some((name.to_owned(), 1));
                return TokenSinkResult::RawData(RawKind::ScriptData);
            }
            "style" | "xmp" | "iframe" | "noembed" | "noframes" => {
                self.hidden = Some((name.to_owned(), 1));
                return TokenSinkResult::RawData(RawKind::Rawtext);
            }
            "textarea" | "title" => {
                self.hidden = Some((name.to_owned(), 1));
                return TokenSinkResult::RawData(RawKind::Rcdata);
            }
            "template" | "svg" | "math" | "object" | "select" | "datalist" if !tag.self_closing => {
                self.hidden = Some((name.to_owned(), 1));
            }
            "br" => self.owe(Gap::Line),
            "wbr" => {}
            "img" | "area" => {
                if let Some(words) = attribute(tag, "alt") {
                    self.characters(&format!(" {words} "));
                }
            }
            "pre" | "listing" => self.start_pre(),
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => self.start_heading(name),
            "table" | "tr" | "td" | "th" => self.start_table_part(name),
            "ul" | "ol" | "menu" => self.start_list(tag),
            "li" => self.start_item(),
            "dt" | "dd" | "option" => self.owe(Gap::Line),
            _ if is_block(name) => self.owe(Gap::Block),
            _ => {}
        }
        TokenSinkResult::Continue
    }

    fn end(&mut self, name: &str) {
        if let Some((hidden, depth)) = &mut self.hidden {
            if name == hidden {
                *depth -= 1;
                if *depth == 0 {
                    self.hidden = None;
                }
            }
            return;
        }
        match name {
            "title" => {
                if let Some(title) = self.title.take() {
                    let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
                    self.found.title = Some(title).filter(|title| !title.is_empty());
                }
            }
            "pre" | "listing" => self.end_pre(false),
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => self.end_heading(),
            "table" => self.end_table(false),
            "tr" => self.end_row(),
            "td" | "th" => self.owe(Gap::Blank),
            "ul" | "ol" | "menu" => {
                self.lists.pop();
                self.owe(if self.lists.is_empty() { Gap::Block } else { Gap::Line });
            }
            "li" | "dt" | "dd" => self.owe(Gap::Line),
            _ if is_block(name) => self.owe(Gap::Block),
            _ => {}
        }
    }

    /// The place where the next visible character will stand.
    fn begin_block(&mut self) -> usize {
        self.owe(Gap::Block);
        self.fill_gap();
        self.found.text.len()
    }

    fn start_heading(&mut self, name: &str) {
        self.end_heading();
        let start = self.begin_block();
        if !self.in_cell() && self.pre.is_none() && self.table.is_none() {
            self.heading = Some((name.as_bytes()[1] - b'0', start));
        }
    }

    fn end_heading(&mut self) {
        if let Some((level, start)) = self.heading.take() {
            let end = self.found.text.len();
            let title = self.found.text[start..end].split_whitespace().collect::<Vec<_>>().join(" ");
            if !title.is_empty() {
                self.mark(start, end, MarkKind::Heading { level, title });
            }
        }
        self.owe(Gap::Block);
    }

    fn start_pre(&mut self) {
        if let Some((_, depth)) = &mut self.pre {
            *depth += 1;
        } else if !self.in_cell() {
            let start = self.begin_block();
            self.pre = Some((start, 1));
            self.gap = Gap::Block;
        }
    }

    fn end_pre(&mut self, all: bool) {
        let Some((start, depth)) = self.pre.take() else { return };
        if depth > 1 && !all {
            self.pre = Some((start, depth - 1));
            return;
        }
        let end = self.found.text.trim_end_matches('\n').len().max(start);
        self.found.text.truncate(end);
        if end > start && self.table.is_none() && self.heading.is_none() {
            self.mark(start, end, MarkKind::Code);
        }
        self.owe(Gap::Block);
    }

    fn start_table_part(&mut self, name: &str) {
        if name == "table" {
            match &mut self.table {
                Some(table) => table.depth += 1,
                None => {
                    self.end_heading();
                    let start = self.begin_block();
                    self.table = Some(Table { start, depth: 1, rows: 0, cells: 0, header_row: true, header: 0 });
                }
            }
            return;
        }
        let Some(table) = self.table.as_mut().filter(|table| table.depth == 1) else {
            self.owe(Gap::Blank);
            return;
        };
        if name == "tr" {
            self.end_row();
        } else {
            if table.rows == 0 && name == "td" {
                table.header_row = false;
            }
            table.cells += 1;
            if table.cells > 1 {
                self.found.text.push_str(" | ");
                self.gap = Gap::None;
            }
        }
    }

    fn end_row(&mut self) {
        let end = self.found.text.len();
        let Some(table) = self.table.as_mut().filter(|table| table.depth == 1) else {
            self.owe(Gap::Blank);
            return;
        };
        if table.cells > 0 {
            table.cells = 0;
            table.rows += 1;
            if table.rows == 1 && table.header_row {
                table.header = end - table.start;
            }
        }
        self.gap = self.gap.max(Gap::Line);
    }

    fn end_table(&mut self, all: bool) {
        if let Some(table) = self.table.as_mut().filter(|table| table.depth > 1 && !all) {
            table.depth -= 1;
            self.owe(Gap::Blank);
            return;
        }
        self.end_row();
        if let Some(table) = self.table.take() {
            let end = self.found.text.len();
            // A table of one row, or with headings in its cells, is there for the layout.
            if table.rows > 1 {
                let header = if table.header > 0 { table.header + 1 } else { 0 };
                self.mark(table.start, end, MarkKind::Table { header: header.min(end - table.start) });
            }
        }
        self.owe(Gap::Block);
    }

    fn start_list(&mut self, tag: &Tag) {
        self.owe(if self.lists.is_empty() { Gap::Block } else { Gap::Line });
        let first = attribute(tag, "start").and_then(|start| start.parse().ok()).unwrap_or(1);
        self.lists.push(if &*tag.name == "ol" { first } else { 0 });
    }

    fn start_item(&mut self) {
        self.owe(Gap::Line);
        self.fill_gap();
        let indent = "  ".repeat(self.lists.len().saturating_sub(1).min(8));
        let sign = match self.lists.last_mut() {
            Some(number) if *number > 0 => {
                *number = number.saturating_add(1);
                format!("{}.", *number - 1)
            }
            _ => "-".to_owned(),
        };
        if self.in_cell() {
            return;
        }
        self.found.text.push_str(&indent);
        self.found.text.push_str(&sign);
        self.found.text.push(' ');
    }

    fn mark(&mut self, start: usize, end: usize, kind: MarkKind) {
        self.found.marks.push(Mark { start, end, kind });
    }
}

fn attribute(tag: &Tag, name: &str) -> Option<String> {
    let found = tag.attrs.iter().find(|attribute| &*attribute.name.local == name)?;
    let value = found.value.trim();
    (!value.is_empty()).then(|| value.to_owned())
}

fn is_html_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\x0c' | '\r')
}

fn is_block(name: &str) -> bool {
    matches!(
        name,
        "address"
            | "article"
            | "aside"
            | "blockquote"
            | "body"
            | "caption"
            | "center"
            | "details"
            | "dialog"
            | "dir"
            | "div"
            | "dl"
            | "fieldset"
            | "figcaption"
            | "figure"
            | "footer"
            | "form"
            | "head"
            | "header"
            | "hgroup"
            | "hr"
            | "legend"
            | "main"
            | "nav"
            | "p"
            | "search"
            | "section"
            | "summary"
    )
}

#[cfg(test)]
mod tests;
