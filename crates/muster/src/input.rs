//! What is read from files and standard input: tokens, codes and secrets, which never come as arguments.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::str::FromStr;

use muster_wire::secret::Document;
use muster_wire::text::{SecretName, TextError};
use rustix::termios::{self, LocalModes, OptionalActions, Termios};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::failure::Failure;
use crate::words::from_word;

/// Largest secret that is read, in bytes.
const LIMIT: u64 = 256 * 1024;

/// A file, or standard input as `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
}

impl From<&str> for Source {
    fn from(text: &str) -> Self {
        if text == "-" { Self::Stdin } else { Self::File(text.into()) }
    }
}

impl FromStr for Source {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() { Err("expected a file, or - for standard input") } else { Ok(text.into()) }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("standard input"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Source {
    /// Reads everything.
    fn read(&self) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        let read = match self {
            Self::Stdin => io::stdin().lock().take(LIMIT + 1).read_to_end(&mut bytes),
            Self::File(path) => {
                File::open(path).and_then(|file| file.take(LIMIT + 1).read_to_end(&mut bytes))
            }
        };
        read.map_err(|error| {
            Failure::usage(format!("cannot read {self}: {error}"), "name a file you can read")
        })?;
        if bytes.len() as u64 > LIMIT {
            return Err(Failure::usage(
                format!("{self} is larger than {LIMIT} bytes"),
                "name the right file",
            ));
        }
        Ok(bytes)
    }

    /// Reads one line that is secret; from a terminal without showing it.
    pub(crate) fn read_line(&self, what: &str) -> Result<SecretString, Failure> {
        let line = if *self == Self::Stdin && io::stdin().is_terminal() {
            ask_hidden(what).map_err(|error| {
                Failure::usage(
                    format!("cannot read the {what}: {error}"),
                    format!("give the {what} by file or pipe"),
                )
            })?
        } else {
            let invalid = |_| Failure::usage(format!("{self} does not hold a {what}"), "name the right file");
            String::from_utf8(self.read()?).map_err(invalid)?
        };
        let line = line.trim();
        if line.is_empty() || line.contains(char::is_control) {
            let cause = format!("{self} does not hold a {what}");
            return Err(Failure::usage(cause, format!("the {what} must be its only line")));
        }
        Ok(SecretString::from(line))
    }

    /// Reads a JSON object. What it holds is never quoted.
    pub(crate) fn read_document(&self) -> Result<Document, Failure> {
        let bytes = self.read()?;
        serde_json::from_slice(&bytes).map_err(|error| {
            let reason = match error.classify() {
                Category::Data => "must be one JSON object without repeated fields",
                Category::Eof => "ends too early",
                Category::Syntax | Category::Io => "is not JSON",
            };
            let place = format!("line {}, column {}", error.line(), error.column());
            Failure::usage(
                format!("{self} {reason} ({place})"),
                r#"a secret is a JSON object, for example {"url": "rest:https://backup.example/", "password": "…"}"#,
            )
        })
    }
}

/// A secret named on the command line, with the place of its document: `NAME=FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedSecret {
    /// Its name on the host.
    pub name: SecretName,
    /// Where its document is.
    pub source: Source,
}

impl FromStr for NamedSecret {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, source) =
            text.split_once('=').ok_or("expected NAME=FILE, or NAME=- for standard input")?;
        Ok(Self { name: wire_text(name)?, source: source.parse()? })
    }
}

/// Reads the documents of several secrets.
pub(crate) fn documents(secrets: &[NamedSecret]) -> Result<Vec<(SecretName, Document)>, Failure> {
    if secrets.iter().filter(|secret| secret.source == Source::Stdin).count() > 1 {
        return Err(Failure::usage(
            "two secrets cannot both come from standard input",
            "put one of them into a file",
        ));
    }
    for (index, secret) in secrets.iter().enumerate() {
        if secrets[..index].iter().any(|earlier| earlier.name == secret.name) {
            return Err(Failure::usage(
                format!("the secret {} is given twice", secret.name),
                "give each name once",
            ));
        }
    }
    secrets.iter().map(|secret| Ok((secret.name.clone(), secret.source.read_document()?))).collect()
}

/// Parses a text of the wire; its refusal is said in words.
pub(crate) fn wire_text<T: FromStr<Err = TextError>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| {
        let words = match error {
            TextError::Empty => "must not be empty",
            TextError::TooLong => "is too long",
            TextError::ControlCharacter => "must not hold control characters",
            TextError::InvisibleCharacter => "must not hold invisible characters",
            TextError::SurroundingSpace => "must not begin or end with a space",
            TextError::Malformed => "holds characters that are not allowed there",
        };
        words.to_owned()
    })
}

/// Makes a parser of options that take words of the wire.
pub(crate) fn wire_word<T: DeserializeOwned + Clone + Send + Sync + 'static>(
    words: &'static [&'static str],
) -> impl clap::builder::TypedValueParser<Value = T> {
    use clap::builder::{PossibleValuesParser, TypedValueParser};
    PossibleValuesParser::new(words).try_map(|text| from_word(&text).ok_or("not a word of this version"))
}

/// Asks a yes-or-no question on the terminal. `None`: there is no terminal to ask on.
pub(crate) fn ask(question: &str) -> Result<Option<bool>, Failure> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(None);
    }
    write!(io::stderr(), "{question} [y/N] ")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(Some(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")))
}

/// Turns the terminal's echo back on when it is dropped.
struct Hidden(Termios);

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// Asks for one line; from something that is no terminal, takes its next line.
pub(crate) fn ask_line(what: &str) -> Result<String, Failure> {
    if io::stdin().is_terminal() {
        write!(io::stderr(), "{what}: ")?;
    }
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    answered(what, &line).map(str::to_owned)
}

/// Asks for one line that is secret, without showing it; from something that is no terminal, takes its next line.
pub(crate) fn ask_secret(what: &str) -> Result<SecretString, Failure> {
    let line = if io::stdin().is_terminal() {
        ask_hidden(what)?
    } else {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        line
    };
    answered(what, &line).map(SecretString::from)
}

/// Takes the line end from an answer; space is part of it.
fn answered<'a>(what: &str, line: &'a str) -> Result<&'a str, Failure> {
    let line = line.trim_end_matches(['\r', '\n']);
    if line.is_empty() {
        return Err(Failure::usage(
            format!("{what}: nothing was given"),
            "type it, or pipe it in as a line of its own",
        ));
    }
    Ok(line)
}

fn ask_hidden(what: &str) -> io::Result<String> {
    let before = termios::tcgetattr(io::stdin())?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    let hidden = Hidden(before);
    termios::tcsetattr(io::stdin(), OptionalActions::Now, &silent)?;
    write!(io::stderr(), "{what} (not shown): ")?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    drop(hidden);
    writeln!(io::stderr())?;
    Ok(line)
}

#[cfg(test)]
mod tests;
