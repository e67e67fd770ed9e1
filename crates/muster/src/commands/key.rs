use std::path::PathBuf;

use clap::{Args, Subcommand};
use muster_server::backup::key::export;

use super::place::ServerPlace;
use crate::cli::Global;
use crate::failure::Failure;

const EXPORT_EXAMPLES: &str = "\
The file holds the 32 bytes of the master key, readable by its owner alone. With it and a backup
everything the server knows can be opened, and without it nothing: keep it apart from the backups, on
paper or in a vault. A file that is there is never overwritten.

Examples:
  muster key export master.key.copy --data-dir /var/lib/muster
  muster restore muster.backup --key master.key.copy --data-dir /var/lib/muster";

/// The master key of the server
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:\n  muster key export master.key.copy --data-dir /var/lib/muster")]
pub(crate) enum Key {
    /// Write a copy of the master key, to be kept apart from backups
    #[command(after_help = EXPORT_EXAMPLES)]
    Export(Export),
}

/// Where to.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// File to write; it must not be there
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    place: ServerPlace,
}

impl Key {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let Self::Export(asked) = self;
        let output = global.output();
        let done = export(&asked.place.place()?, &asked.file).await;
        done.map_err(|error| Failure::plain(format!("{error:#}")))?;
        let file = asked.file.display();
        if output.is_json() {
            return output.line(&serde_json::json!({ "file": file.to_string() }).to_string());
        }
        output.line(&file.to_string())?;
        output.hint(
            "\nThis is the master key. Whoever has it and a backup or the database can open everything in them; without \
             it no backup can be restored. Keep it apart from both.",
        );
        Ok(())
    }
}
