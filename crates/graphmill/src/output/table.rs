//! Tables: fitted to a terminal and under a header there; whole lines without one for everything else, so that `awk` and `cut` see rows alone. Where a
//! terminal is narrow, prose is shortened and the least important columns are left out; ids are never cut or wrapped.

use std::io::IsTerminal;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{Style, styled_line, visible};

/// Between two columns.
const GAP: usize = 2;
/// Prose is not cut to less than this.
const LEAST: usize = 12;
/// Columns of a terminal that does not say how many it has (a container, CI, `script`).
const UNSAID: usize = 80;

/// A column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    name: &'static str,
    /// Where there is no room, those of low importance go first; `None`: it always stays.
    importance: Option<u8>,
    /// Whether it may be cut.
    prose: bool,
}

/// What a row is known by: always whole.
pub(crate) fn kept(name: &'static str) -> Column {
    Column { name, importance: None, prose: false }
}

/// A short value, whole or left out.
pub(crate) fn fact(name: &'static str, importance: u8) -> Column {
    Column { name, importance: Some(importance), prose: false }
}

/// A text that may be shortened.
pub(crate) fn prose(name: &'static str, importance: u8) -> Column {
    Column { name, importance: Some(importance), prose: true }
}

/// Rows under a header.
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub(crate) fn new(columns: &[Column]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; words that name a state are coloured on a terminal.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        // Measured as they are shown.
        self.rows.push(cells.into_iter().map(|cell| visible(&cell).into_owned()).collect());
    }

    /// Prints it, if it has rows.
    pub(crate) fn print(self) {
        if self.rows.is_empty() {
            return;
        }
        let width = std::io::stdout().is_terminal().then(terminal_width);
        for line in self.lines(width) {
            let pieces: Vec<_> = line.iter().map(|(style, text)| (*style, text.as_str())).collect();
            styled_line(&pieces);
        }
    }

    /// The lines: within `width` and under a header, or whole without one.
    fn lines(&self, width: Option<usize>) -> Vec<Vec<(Style, String)>> {
        let natural: Vec<usize> = (0..self.columns.len())
            .map(|i| {
                let cells = self.rows.iter().filter_map(|row| Some(row.get(i)?.width())).max().unwrap_or(0);
                if width.is_some() { cells.max(self.columns[i].name.width()) } else { cells }
            })
            .collect();
        let widths = match width {
            Some(width) => fitted(&self.columns, &natural, width),
            None => natural.into_iter().map(Some).collect(),
        };
        let header: Vec<String> = self.columns.iter().map(|column| column.name.to_owned()).collect();
        let header = width.is_some().then(|| padded(&header, &widths, |_| Style::Bold));
        header.into_iter().chain(self.rows.iter().map(|row| padded(row, &widths, state_style))).collect()
    }
}

/// Width of each column; `None`: left out.
fn fitted(columns: &[Column], natural: &[usize], width: usize) -> Vec<Option<usize>> {
    let least = |i: usize| if columns[i].prose { natural[i].min(LEAST) } else { natural[i] };
    let mut shown: Vec<usize> = (0..columns.len()).collect();
    let needed = |shown: &[usize]| shown.iter().map(|i| least(*i)).sum::<usize>() + GAP * shown.len().saturating_sub(1);
    while needed(&shown) > width {
        // Of equal ones the last goes.
        let next =
            shown.iter().rev().filter(|i| columns[**i].importance.is_some()).min_by_key(|i| columns[**i].importance);
        let Some(next) = next.copied() else { break };
        shown.retain(|i| *i != next);
    }
    let mut room = width.saturating_sub(needed(&shown));
    let mut widths = vec![None; columns.len()];
    let mut by_importance = shown;
    by_importance.sort_by_key(|i| std::cmp::Reverse(columns[*i].importance.unwrap_or(u8::MAX)));
    for i in by_importance {
        let more = (natural[i] - least(i)).min(room);
        room -= more;
        widths[i] = Some(least(i) + more);
    }
    widths
}

/// A row with its cells as wide as their columns.
fn padded(row: &[String], widths: &[Option<usize>], style: impl Fn(&str) -> Style) -> Vec<(Style, String)> {
    let mut pieces = Vec::new();
    for (cell, width) in row.iter().zip(widths) {
        let Some(width) = width else { continue };
        let cell_shown = shortened(cell, *width);
        let pad = " ".repeat(width.saturating_sub(cell_shown.width()) + GAP);
        pieces.push((style(cell), cell_shown));
        pieces.push((Style::Plain, pad));
    }
    pieces
}

/// A text in at most so many columns, with an ellipsis for what is left out.
fn shortened(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut short = String::new();
    let mut taken = 1;
    for c in text.chars() {
        taken += c.width().unwrap_or(0);
        if taken > width {
            break;
        }
        short.push(c);
    }
    short.push('…');
    short
}

fn terminal_width() -> usize {
    match rustix::termios::tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_col > 0 => size.ws_col.into(),
        _ => UNSAID,
    }
}

fn state_style(word: &str) -> Style {
    match word {
        "completed" | "published" | "ok" => Style::Green,
        "failed" | "error" | "bad" => Style::Red,
        "running" | "warning" => Style::Yellow,
        "pending" => Style::Cyan,
        "cancelled" | "deleting" => Style::Grey,
        _ => Style::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "job-0199d6a3-0000-7000-8000-000000000001";

    fn shown(width: Option<usize>) -> Vec<String> {
        let mut table = Table::new(&[kept("job"), fact("status", 3), prose("message", 2), fact("created", 1)]);
        table.row([ID, "completed", "the pumping station 泵站 is dry", "2026-11-25T09:00:00Z"].map(str::to_owned));
        table.row([ID, "failed", "x\u{1b}[2J", "2026-11-25T09:00:00Z"].map(str::to_owned));
        let lines = table.lines(width).into_iter();
        lines.map(|line| line.into_iter().map(|(_, text)| text).collect::<String>().trim_end().to_owned()).collect()
    }

    #[test]
    fn narrow_terminals_lose_columns_and_never_ids() {
        for width in 1..200 {
            let lines = shown(Some(width));
            assert_eq!(lines.len(), 3, "nothing is wrapped at {width}");
            for line in &lines[1..] {
                assert!(line.starts_with(ID), "{width}: {line}");
                assert!(line.width() <= width.max(ID.len()), "{width}: {line}");
            }
        }
        assert_eq!(shown(Some(45))[1], ID);
        assert_eq!(shown(Some(52))[1], format!("{ID}  completed"));
        assert_eq!(shown(Some(70))[1], format!("{ID}  completed  the pumping stat…"));
        assert!(shown(Some(150))[1].ends_with("泵站 is dry  2026-11-25T09:00:00Z"));
    }

    #[test]
    fn what_is_no_terminal_gets_whole_rows_alone() {
        let lines = shown(None);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].contains("泵站 is dry") && lines[1].contains("x\\x1B[2J"), "{lines:?}");
    }
}
