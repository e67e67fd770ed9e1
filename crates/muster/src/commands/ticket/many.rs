//! Many tickets from one file: checked whole before the first is minted, and the same ones when it is run again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use muster_ids::SiteId;
use muster_proof::digest::sha256;
use muster_wire::bounds::FewEntries;
use muster_wire::explanation::ExplainTicket;
use muster_wire::secret::Document;
use muster_wire::text::{Name, SecretName, Tag};
use muster_wire::ticket::{CreateEnrolmentToken, EphemeralHours, MintedTicket, OneTimeLife};

use super::ephemeral_hours;
use crate::failure::{Exit, Failure};
use crate::input::wire_text;
use crate::operator::Operator;
use crate::output::visible;
use crate::span::Span;

pub(super) const TOKENS_HELP: &str = "\
The first line of the file names its columns, all of them optional:
  name             name the host will have
  tags             its tags, separated by spaces
  site             site it will stand at, by name or id [default: the site `default`]
  expires          how long the token may be used [default: 1h]
  secrets-file     JSON object of secrets by name, beside the CSV file
  require-key      true: refuse machines that cannot hold a key pair
  ephemeral-hours  retire the host after so many hours without contact

Nothing is minted unless every line holds. Run again with the same file within a day, after a crash or a lost
connection, the same tokens come out. Join strings are written to the one file alone, readable by you only.

Examples:
  muster ticket mint-many --csv branch.csv --out join-strings.csv";

/// Most lines of one file.
const MOST: usize = 5000;
/// Most errors that are told at once.
const TOLD: usize = 30;
const RUN_AGAIN: &str = "run the same command again: what was made is not made twice, for a day";

/// What is read, and what is written.
#[derive(Debug, Args)]
pub(crate) struct Files {
    /// The list, with a first line that names its columns
    #[arg(long, value_name = "FILE")]
    csv: PathBuf,
    /// The file of join strings to write; it must not exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Files {
    /// Returns the file of join strings.
    pub(in crate::commands) fn out(&self) -> &Path {
        &self.out
    }
}

/// What was minted for one line.
pub(in crate::commands) struct Minted {
    pub(in crate::commands) name: String,
    pub(in crate::commands) ticket: MintedTicket,
}

/// A line of the list, by the names of its columns.
pub(in crate::commands) struct Row {
    line: u64,
    fields: BTreeMap<String, String>,
}

impl Row {
    /// Returns a field that is not empty.
    pub(in crate::commands) fn text(&self, column: &str) -> Option<&str> {
        self.fields.get(column).map(|text| text.trim()).filter(|text| !text.is_empty())
    }

    /// Reads a field; `None` when it is empty.
    pub(in crate::commands) fn read<T>(
        &self,
        column: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, String> {
        self.text(column).map(parse).transpose().map_err(|words| format!("{column} {words}"))
    }

    pub(in crate::commands) fn tags<const MAX: usize>(
        &self,
    ) -> Result<muster_wire::bounds::Few<Tag, MAX>, String> {
        let words: Vec<&str> = self.text("tags").unwrap_or_default().split_whitespace().collect();
        if words.len() > MAX {
            return Err(format!("tags are more than {MAX}"));
        }
        let tags = words.into_iter().map(wire_text::<Tag>);
        tags.collect::<Result<_, _>>().map_err(|words| format!("tags: one {words}"))
    }

    pub(in crate::commands) fn life(&self) -> Result<Option<OneTimeLife>, String> {
        self.read("expires", |text| {
            let span: Span = text.parse().map_err(|words| format!("is wrong: {words}"))?;
            OneTimeLife::new(span.as_secs()).ok_or_else(|| "must be from 5m to 30d".to_owned())
        })
    }

    pub(in crate::commands) fn require_key(&self) -> Result<bool, String> {
        let read = self.read("require-key", |text| match text {
            "true" | "yes" => Ok(true),
            "false" | "no" => Ok(false),
            _ => Err("must be true or false".to_owned()),
        });
        Ok(read?.unwrap_or(false))
    }

    pub(in crate::commands) fn ephemeral_hours(&self) -> Result<Option<EphemeralHours>, String> {
        self.read("ephemeral-hours", |text| {
            ephemeral_hours(text).map_err(|words| format!("is wrong: {words}"))
        })
    }
}

/// A list, read whole.
pub(in crate::commands) struct List {
    pub(in crate::commands) rows: Vec<Row>,
    folder: PathBuf,
    digest: Vec<u8>,
    errors: Vec<(u64, String)>,
}

impl List {
    /// Reads a file whose columns are among these.
    pub(in crate::commands) fn read(files: &Files, columns: &[&str]) -> Result<Self, Failure> {
        let path = &files.csv;
        let cannot = |why: String| {
            Failure::usage(format!("cannot read {}: {why}", path.display()), "name a CSV file you can read")
        };
        let folder = folder_of(&files.out);
        if !folder.is_dir() {
            let cause = format!("there is no folder {}", folder.display());
            return Err(Failure::usage(cause, "make it, or name a file in a folder that is there"));
        }
        if files.out.exists() {
            let cause = format!("{} exists already", files.out.display());
            return Err(Failure::usage(
                cause,
                "name a file that does not exist; join strings are never overwritten",
            ));
        }
        let bytes = fs::read(path).map_err(|error| cannot(error.to_string()))?;
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes.as_slice());
        let header = reader.headers().map_err(|error| cannot(error.to_string()))?.clone();
        let mut errors = Vec::new();
        for column in header.iter().filter(|column| !columns.contains(column)) {
            let known = columns.join(", ");
            errors.push((1, format!("`{}` is no column; known are {known}", visible(column))));
        }
        let mut rows = Vec::new();
        for record in reader.records() {
            match record {
                Ok(record) => {
                    let line = record.position().map_or(0, csv::Position::line);
                    let fields = header.iter().zip(record.iter());
                    let fields = fields.map(|(column, text)| (column.to_owned(), text.to_owned())).collect();
                    rows.push(Row { line, fields });
                }
                Err(error) => {
                    let line = error.position().map_or(0, csv::Position::line);
                    errors.push((line, "is no line of as many fields as there are columns".to_owned()));
                }
            }
        }
        if rows.len() > MOST {
            errors.push((1, format!("{} lines are too many; split the file after {MOST}", rows.len())));
        }
        if rows.is_empty() && errors.is_empty() {
            errors.push((1, "holds no line below its columns".to_owned()));
        }
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(Self { rows, folder, digest: sha256(&bytes).to_vec(), errors })
    }

    /// Reads every row; what does not hold is told with its line.
    pub(in crate::commands) fn each<T>(
        &mut self,
        mut read: impl FnMut(&Row, &Path) -> Result<(T, Vec<u8>), String>,
    ) -> Vec<(u64, T)> {
        let mut good = Vec::new();
        for row in &self.rows {
            match read(row, &self.folder) {
                Ok((value, also_read)) => {
                    self.digest.extend_from_slice(&sha256(&also_read));
                    good.push((row.line, value));
                }
                Err(words) => self.errors.push((row.line, words)),
            }
        }
        good
    }

    /// Notes that a line does not hold.
    pub(in crate::commands) fn wrong(&mut self, line: u64, words: String) {
        self.errors.push((line, words));
    }

    /// Refuses the whole list if a line of it does not hold.
    pub(in crate::commands) fn check(&mut self) -> Result<(), Failure> {
        if self.errors.is_empty() {
            return Ok(());
        }
        self.errors.sort();
        let told = self.errors.iter().take(TOLD).map(|(line, words)| format!("line {line}: {words}"));
        let mut told: Vec<String> = told.collect();
        if self.errors.len() > TOLD {
            told.push(format!("and {} more", self.errors.len() - TOLD));
        }
        let cause = format!("the list does not hold, nothing was made\n  {}", told.join("\n  "));
        Err(Failure::usage(cause, "correct the lines and run the command again"))
    }

    /// Names the request of a line: the same list asks the same again.
    pub(in crate::commands) fn key(&self, what: &str, line: u64) -> String {
        let mut text = format!("{what} {line}\n").into_bytes();
        text.extend_from_slice(&self.digest);
        data_encoding::HEXLOWER.encode(&sha256(&text)[..16])
    }
}

/// Finds the sites that a list names, each once.
pub(in crate::commands) async fn sites(
    operator: &Operator,
    list: &mut List,
) -> Result<BTreeMap<String, SiteId>, Failure> {
    let mut found = BTreeMap::new();
    let mut wrong = Vec::new();
    for row in &list.rows {
        let Some(name) = row.text("site") else { continue };
        if found.contains_key(name) {
            continue;
        }
        match operator.site(name).await {
            Ok(site) => {
                found.insert(name.to_owned(), site);
            }
            Err(failure) if failure.exit() == Exit::Failed => {
                wrong.push((row.line, failure.cause().to_owned()))
            }
            Err(failure) => return Err(failure),
        }
    }
    wrong.into_iter().for_each(|(line, words)| list.wrong(line, words));
    Ok(found)
}

/// Mints what a list asks for and writes the join strings.
pub(super) async fn tokens(operator: &Operator, files: &Files) -> Result<(), Failure> {
    let columns = ["name", "tags", "site", "expires", "secrets-file", "require-key", "ephemeral-hours"];
    let mut list = List::read(files, &columns)?;
    let sites = sites(operator, &mut list).await?;
    let requests = list.each(|row, folder| token(row, folder, &sites));
    list.check()?;
    for (line, request) in &requests {
        // The server judges what only it knows, before anything is minted.
        let asked = ExplainTicket::EnrolmentToken(request.clone());
        if let Err(failure) = operator.client.explain(&asked).await.map_err(Failure::from) {
            if failure.exit() != Exit::Failed {
                return Err(failure);
            }
            list.wrong(*line, failure.cause().to_owned());
        }
    }
    list.check()?;
    let mut minted = Vec::new();
    for (line, request) in requests {
        let key = list.key("token", line);
        let answer = operator.client.create_enrolment_token_once(&request, &key).await;
        let ticket = answer.map_err(|error| Failure::from(error).at(&format!("line {line}"), RUN_AGAIN))?;
        let name = request.host_name.map(|name| name.to_string()).unwrap_or_default();
        minted.push(Minted { name, ticket: ticket.into_value() });
    }
    write(operator, &files.out, &minted)
}

fn token(
    row: &Row,
    folder: &Path,
    sites: &BTreeMap<String, SiteId>,
) -> Result<(CreateEnrolmentToken, Vec<u8>), String> {
    let (secrets, read) = match row.text("secrets-file") {
        Some(file) => secrets(&folder.join(file))?,
        None => (FewEntries::default(), Vec::new()),
    };
    let request = CreateEnrolmentToken {
        host_name: row.read("name", wire_text::<Name>)?,
        site_id: row.text("site").and_then(|name| sites.get(name).copied()),
        tags: row.tags()?,
        expires_in_secs: row.life()?,
        secrets,
        require_key: row.require_key()?,
        ephemeral_hours: row.ephemeral_hours()?,
    };
    Ok((request, read))
}

/// Reads secrets by name. What they hold is never quoted.
fn secrets(path: &Path) -> Result<(FewEntries<SecretName, Document, 16>, Vec<u8>), String> {
    let bytes = fs::read(path).map_err(|error| format!("secrets-file cannot be read: {error}"))?;
    let secrets = serde_json::from_slice(&bytes).map_err(|error| {
        format!(
            "secrets-file is no JSON object of secrets by name (its line {}, column {})",
            error.line(),
            error.column()
        )
    })?;
    Ok((secrets, bytes))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes join strings into one new file that only its owner can read: whole, or not at all.
pub(in crate::commands) fn write(operator: &Operator, out: &Path, minted: &[Minted]) -> Result<(), Failure> {
    let cannot = |why: String| Failure::failed(format!("cannot write {}: {why}", out.display()), RUN_AGAIN);
    let mut file =
        tempfile::NamedTempFile::new_in(folder_of(out)).map_err(|error| cannot(error.to_string()))?;
    let mut writer = csv::Writer::from_writer(&mut file);
    let header = ["name", "host_id", "ticket_id", "join_string"];
    let mut written = writer.write_record(header);
    for one in minted {
        let ticket = &one.ticket.ticket;
        let host_id = ticket.host_id.map(|id| id.to_string()).unwrap_or_default();
        let row = [one.name.as_str(), &host_id, ticket.id.as_str(), &one.ticket.join_string];
        written = written.and_then(|()| writer.write_record(row));
    }
    written.map_err(|error| cannot(error.to_string()))?;
    writer.flush().map_err(|error| cannot(error.to_string()))?;
    drop(writer);
    file.as_file().sync_all().map_err(|error| cannot(error.to_string()))?;
    file.persist_noclobber(out).map_err(|error| cannot(error.error.to_string()))?;
    if operator.output.is_json() {
        let done = serde_json::json!({ "minted": minted.len(), "file": out.display().to_string() });
        return operator.output.line(&done.to_string());
    }
    operator.output.hint(&format!("{} join strings are in {}", minted.len(), out.display()));
    Ok(())
}
