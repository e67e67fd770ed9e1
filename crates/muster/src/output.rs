//! What reaches the terminal: plain tables or the API's own documents, never a control character of a stranger.

use std::io::{self, Write};

use comfy_table::{Table, presets};
use muster_client::api::Answer;
use muster_wire::page::Page;

use crate::failure::Failure;

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// Tables for people
    #[default]
    Table,
    /// The document of the API, byte for byte
    Json,
}

/// Writes results to standard output and everything else to standard error.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    format: Format,
    quiet: bool,
}

impl Output {
    /// Makes an output of this format; a quiet one writes nothing but ids and what is shown once.
    pub(crate) fn new(format: Format, quiet: bool) -> Self {
        Self { format, quiet }
    }

    /// Whether the API's documents are written.
    pub(crate) fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// Whether tables are written.
    pub(crate) fn is_table(self) -> bool {
        self.format == Format::Table && !self.quiet
    }

    /// Writes a line of results.
    pub(crate) fn line(self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.write_all(b"\n")?;
        Ok(stdout.flush()?)
    }

    /// Tells the person something that is no result; silent when quiet or for machines.
    pub(crate) fn hint(self, text: &str) {
        if self.is_table() {
            // Standard error may be closed; a hint is not worth failing for.
            let _ = writeln!(io::stderr().lock(), "{text}");
        }
    }

    /// Writes one object: its document, its `name` alone when quiet (nothing if that is empty), or its table.
    pub(crate) fn show<T>(
        self,
        answer: &Answer<T>,
        name: impl FnOnce(&T) -> String,
        table: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        match (self.format, self.quiet) {
            (Format::Json, _) => self.line(answer.document()),
            (Format::Table, true) => match name(answer) {
                name if name.is_empty() => Ok(()),
                name => self.line(&name),
            },
            (Format::Table, false) => self.line(&table(answer)),
        }
    }

    /// Writes the documents of a list as one page.
    pub(crate) fn documents<T>(self, page: &Page<Answer<T>>) -> Result<(), Failure> {
        let document = serde_json::to_string(page).map_err(io::Error::from)?;
        self.line(&document)
    }

    /// Writes a list: its documents as one page, the `name`s when quiet, or a table. `none` says that it is empty.
    pub(crate) fn list<T>(
        self,
        page: &Page<Answer<T>>,
        name: impl Fn(&T) -> String,
        header: &[&str],
        row: impl Fn(&T) -> Vec<String>,
        none: &str,
    ) -> Result<(), Failure> {
        if self.is_json() {
            return self.documents(page);
        }
        if self.quiet {
            return page.items.iter().try_for_each(|item| self.line(&name(item)));
        }
        if page.items.is_empty() {
            self.hint(none);
            return Ok(());
        }
        self.line(&table(header, page.items.iter().map(|item| row(item))))?;
        if page.next_cursor.is_some() {
            self.hint("there are more; raise --limit");
        }
        Ok(())
    }
}

/// Aligns rows under a header, two spaces apart, without lines and without wrapping.
pub(crate) fn table<R: IntoIterator<Item = String>>(
    header: &[&str],
    rows: impl IntoIterator<Item = R>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.iter().copied());
    for row in rows {
        table.add_row(row.into_iter().map(|cell| visible(&cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// Aligns names and values of one object; values that are empty are left out.
pub(crate) fn record(fields: &[(&str, String)]) -> String {
    let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines = fields.iter().filter(|(_, value)| !value.is_empty());
    let lines: Vec<String> =
        lines.map(|(name, value)| format!("{name:width$}  {}", visible(value))).collect();
    lines.join("\n")
}

/// Escapes what would move the cursor, hide text or change its direction.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_deceptive(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

fn is_deceptive(c: char) -> bool {
    matches!(c,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}'
        | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests;
