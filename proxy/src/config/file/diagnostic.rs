//! What is wrong with a configuration, and the form in which a user reads it.

use std::fmt;

use super::Source;
use crate::config::Place;

/// One error of a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub place: Place,
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
}

/// All errors of a configuration file, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics {
    pub source: Source,
    pub list: Vec<Diagnostic>,
    /// What else may explain them: shown as they are, one a line.
    pub notes: Vec<String>,
}

impl Diagnostics {
    pub fn new(source: Source, mut list: Vec<Diagnostic>) -> Self {
        list.sort_by_key(|diagnostic| diagnostic.place.start);
        Self { source, list, notes: Vec::new() }
    }
}

impl std::error::Error for Diagnostics {}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.list.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write_one(f, &self.source, diagnostic)?;
        }
        self.notes.iter().try_for_each(|note| write!(f, "\n{note}"))
    }
}

/// The short form of rustc: position and message, the line with the place underlined, the help.
fn write_one(f: &mut fmt::Formatter<'_>, source: &Source, diagnostic: &Diagnostic) -> fmt::Result {
    let Diagnostic { place, message, help } = diagnostic;
    if source.text.is_empty() {
        write!(f, "{}: error: {message}", source.name)?;
    } else {
        let at = position(&source.text, place.start);
        write!(f, "{}:{}:{}: error: {message}", source.name, at.line, at.column)?;
        write_line(f, &source.text, *place, &at)?;
    }
    if let Some(help) = help {
        write!(f, "\n  help: {help}")?;
    }
    Ok(())
}

fn write_line(f: &mut fmt::Formatter<'_>, text: &str, place: Place, at: &Position) -> fmt::Result {
    let line = text[at.line_start..].lines().next().unwrap_or("");
    // Tabs stay tabs in the indent, so that the caret stands below its text in any terminal.
    let indent: String = line.chars().take(at.column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let rest = line.chars().count().saturating_sub(at.column - 1);
    let width = text.get(place.start..place.end).map_or(1, |marked| marked.chars().count());
    write!(f, "\n  {line}\n  {indent}{}", "^".repeat(width.min(rest).max(1)))
}

/// Where a byte offset stands, counted from 1, in lines and characters.
pub(super) struct Position {
    pub line: usize,
    pub column: usize,
    line_start: usize,
}

pub(super) fn position(text: &str, offset: usize) -> Position {
    let before = &text[..text.floor_char_boundary(offset)];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Position { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1, line_start }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, start: usize, end: usize, help: Option<&str>) -> String {
        let source = Source { name: "a.toml".into(), text: text.into(), folder: ".".into() };
        let diagnostic =
            Diagnostic { place: Place { start, end }, message: "wrong".into(), help: help.map(Into::into) };
        Diagnostics::new(source, vec![diagnostic]).to_string()
    }

    #[test]
    fn the_place_is_underlined_and_the_help_follows() {
        let expected = "a.toml:2:5: error: wrong\n  b = é2\n      ^^\n  help: try 3";
        assert_eq!(shown("a = 1\nb = é2\n", 10, 13, Some("try 3")), expected);
    }

    #[test]
    fn a_place_over_several_lines_ends_with_its_first() {
        assert_eq!(shown("a = [\n1]", 4, 8, None), "a.toml:1:5: error: wrong\n  a = [\n      ^");
    }

    #[test]
    fn a_place_outside_the_text_does_not_panic() {
        assert_eq!(shown("a", 90, 100, None), "a.toml:1:2: error: wrong\n  a\n   ^");
        assert_eq!(shown("", 0, 0, None), "a.toml: error: wrong");
    }
}
