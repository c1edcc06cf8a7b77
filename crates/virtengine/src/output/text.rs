//! Text for people: tables, detail views, and stored text made harmless.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::fmt::Write;

/// Text in which nothing can move the cursor, start a line or turn the reading direction: control
/// characters, line separators and bidirectional marks are shown as `\n` or `\u{…}`.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(deceives) {
        return Cow::Borrowed(text);
    }
    let mut harmless = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if deceives(c) {
            harmless.extend(c.escape_default());
        } else {
            harmless.push(c);
        }
    }
    Cow::Owned(harmless)
}

fn deceives(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{feff}' | '\u{61c}')
}

/// Rows under a heading, columns as wide as their widest cell, two spaces between them.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table of these columns.
    pub(crate) fn new(heading: &[&str]) -> Self {
        Self { rows: vec![heading.iter().map(|h| (*h).to_owned()).collect()] }
    }

    /// Adds a row; its cells are escaped.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.iter().map(|cell| escape(cell).into_owned()).collect());
    }

    /// The table, or `nothing` where it has no rows.
    pub(crate) fn render_or(&self, nothing: &str) -> String {
        if self.rows.len() == 1 { format!("{nothing}\n") } else { self.render() }
    }

    fn render(&self) -> String {
        let mut text = String::new();
        let widths = self.widths();
        for row in &self.rows {
            let line: String =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}  ")).collect();
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max()
        };
        (0..columns).map(|column| width(column).unwrap_or(0)).collect()
    }
}

/// Named values, one a line; values that are absent are left out.
#[derive(Debug, Default)]
pub(crate) struct Details {
    lines: Vec<(String, String)>,
}

impl Details {
    /// Adds a value.
    pub(crate) fn add(mut self, name: &str, value: impl ToString) -> Self {
        self.lines.push((escape(name).into_owned(), escape(&value.to_string()).into_owned()));
        self
    }

    /// Adds a value that may be absent.
    pub(crate) fn maybe(self, name: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.add(name, value),
            None => self,
        }
    }

    /// The lines.
    pub(crate) fn render(&self) -> String {
        let width = self.lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for (name, value) in &self.lines {
            writeln!(text, "{name:width$}  {value}").expect("a String takes any text");
        }
        text
    }
}

/// Counts that are not zero, one after the other.
pub(crate) fn counts(counts: &BTreeMap<impl Display, u64>) -> String {
    let present = counts.iter().filter(|(_, count)| **count > 0);
    let shown: Vec<String> = present.map(|(name, count)| format!("{name} {count}")).collect();
    if shown.is_empty() { "none".to_owned() } else { shown.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_stored_can_steer_a_terminal() {
        assert_eq!(escape("plain é"), "plain é");
        assert_eq!(escape("a\u{1b}[31m\r\nb"), "a\\u{1b}[31m\\r\\nb");
        assert_eq!(escape("\u{202e}txt\u{2066}\u{2028}\u{9b}"), {
            "\\u{202e}txt\\u{2066}\\u{2028}\\u{9b}"
        });
    }

    #[test]
    fn columns_line_up_and_lines_have_no_trailing_space() {
        let mut table = Table::new(&["NAME", "STATE"]);
        table.row(["a".into(), "active".into()]);
        table.row(["longer".into(), "".into()]);
        assert_eq!(table.render_or("none"), "NAME    STATE\na       active\nlonger\n");
        assert_eq!(Table::new(&["NAME"]).render_or("no keys"), "no keys\n");
    }

    #[test]
    fn details_leave_out_what_is_absent() {
        let details = Details::default().add("name", "val").maybe("expires", None::<u8>);
        assert_eq!(details.add("id", 7).render(), "name  val\nid    7\n");
        let hostile = Details::default().add("\u{1b}[2J", "\u{1b}[2J").render();
        assert_eq!(hostile, "\\u{1b}[2J  \\u{1b}[2J\n", "names come from outside, too");
    }
}
