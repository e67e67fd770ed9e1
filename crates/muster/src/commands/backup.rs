use std::path::PathBuf;

use clap::Args;
use muster_server::backup::{Created, Target, create};

use super::place::{Bar, ServerPlace};
use crate::cli::Global;
use crate::failure::Failure;
use crate::output::record;
use crate::words::{bytes, moment};

const EXAMPLES: &str = "\
Works while the server runs, and without it. The file holds one moment of the whole database and the
TLS keys of the data folder, sealed. It does not hold the master key: export that once with
`muster key export`, and keep it apart. One file fits SQLite and PostgreSQL alike: a backup of the
one can be restored into the other.

Examples:
  muster backup muster.backup --data-dir /var/lib/muster
  muster backup muster.backup --force
  muster backup - | ssh vault.example 'cat > muster.backup'
  muster backup muster.backup --database postgres://muster@db.example/muster";

/// Back up the server: everything but the master key, in one file
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Backup {
    /// File to write, for its owner alone; - writes to standard output
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    place: ServerPlace,
}

impl Backup {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let output = global.output();
        let is_stdout = self.file.as_os_str() == "-";
        let target = match is_stdout {
            true => Target::Stdout,
            false => Target::File { path: self.file.clone(), replace: self.force },
        };
        let bar = Bar::new(output, "backing up");
        let created = create(self.place.place()?, target, bar.progress()).await;
        bar.end();
        let created = created.map_err(|error| Failure::plain(format!("{error:#}")))?;
        if is_stdout {
            output.hint(&shown(&created, "standard output"));
            return Ok(());
        }
        let file = self.file.display().to_string();
        if output.is_json() {
            let document = serde_json::json!({
                "file": file,
                "created_at": created.created_at,
                "epoch": created.epoch,
                "tables": created.tables,
                "rows": created.rows,
                "bytes": created.bytes,
                "files": created.files,
            });
            return output.line(&document.to_string());
        }
        if !output.is_table() {
            return output.line(&file);
        }
        output.line(&shown(&created, &file))?;
        output.hint("\nThe master key is not in it: keep an export of it elsewhere (muster key export).");
        Ok(())
    }
}

fn shown(created: &Created, file: &str) -> String {
    record(&[
        ("File", file.to_owned()),
        ("Moment", moment(created.created_at)),
        ("Rows", format!("{} of {} tables", created.rows, created.tables)),
        ("TLS files", created.files.to_string()),
        ("Size", bytes(created.bytes)),
    ])
}
