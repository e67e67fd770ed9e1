mod bundle;

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use clap::Args;

use self::bundle::collect;
use super::place::{ServerListeners, ServerPlace};
use crate::cli::Global;
use crate::failure::Failure;

const EXAMPLES: &str = "\
Works on the server machine, while the server runs and without it; nothing is changed. It asks the
database for its schema, its settings and the number of rows of each table, lists the data folder, and
keeps what /healthz, /readyz and /metrics answer. It holds no key, token, secret, name of a host or
person, and no content of any row or file.

Examples:
  muster support muster-support.json --data-dir /var/lib/muster
  muster support - | less        # read it before you give it away";

/// Write what helps others to help with the server, without any secret
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Support {
    /// File that does not exist yet, for its owner alone; - writes to standard output
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    place: ServerPlace,
    #[command(flatten)]
    listeners: ServerListeners,
}

impl Support {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let output = global.output();
        let bundle = collect(self.place.place()?, self.listeners).await;
        let text = serde_json::to_string_pretty(&bundle).map_err(io::Error::from)?;
        if self.file.as_os_str() == "-" {
            return output.line(&text);
        }
        let shown = self.file.display().to_string();
        let file = File::options().write(true).create_new(true).mode(0o600).open(&self.file);
        let written = file.and_then(|mut file| writeln!(file, "{text}"));
        written.map_err(|error| {
            Failure::failed(format!("cannot write {shown}: {error}"), "name a file that does not exist yet")
        })?;
        output.hint(&format!("{shown} was written; read it before you give it away"));
        Ok(())
    }
}
