//! Tables: fitted to a terminal and under a header there; whole lines without one for everything else, so that `awk` and `cut` see rows alone.

use std::io::IsTerminal;

use comfy_table::{Attribute, Cell, Color, ContentArrangement, presets};

use super::{colours, say};

/// Rows under a header.
pub(crate) struct Table(comfy_table::Table);

impl Table {
    /// An empty table.
    pub(crate) fn new(header: &[&str]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING);
        let fitted = std::io::stdout().is_terminal();
        table.set_content_arrangement(if fitted { ContentArrangement::Dynamic } else { ContentArrangement::Disabled });
        if fitted {
            let bold = colours();
            table.set_header(header.iter().map(|name| {
                let cell = Cell::new(name);
                if bold { cell.add_attribute(Attribute::Bold) } else { cell }
            }));
        }
        Self(table)
    }

    /// Adds a row; words that name a state are coloured on a terminal.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let coloured = colours();
        self.0.add_row(cells.into_iter().map(|text| match state_colour(&text) {
            Some(colour) if coloured => Cell::new(text).fg(colour),
            _ => Cell::new(text),
        }));
    }

    /// Prints it, if it has rows.
    pub(crate) fn print(mut self) {
        if self.0.row_iter().next().is_some() {
            self.0.column_iter_mut().for_each(|column| {
                column.set_padding((0, 2));
            });
            for line in self.0.lines() {
                say!("{}", line.trim_end());
            }
        }
    }
}

fn state_colour(word: &str) -> Option<Color> {
    Some(match word {
        "completed" | "published" | "ok" => Color::Green,
        "failed" | "error" | "bad" => Color::Red,
        "running" | "warning" => Color::Yellow,
        "pending" => Color::Cyan,
        "cancelled" | "deleting" => Color::DarkGrey,
        _ => return None,
    })
}
