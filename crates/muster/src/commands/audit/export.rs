use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use muster_client::Download;
use tempfile::NamedTempFile;

use super::Which;
use crate::failure::Failure;
use crate::operator::Operator;

/// What is downloaded, and where to.
#[derive(Debug, Args)]
pub(crate) struct Export {
    #[command(flatten)]
    which: Which,
    /// Entries of all teams; for admins
    #[arg(long)]
    all_teams: bool,
    /// File to write, readable by you alone; it must not exist, and appears when it is whole [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Export {
    pub(super) async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let filter = self.which.filter(operator).await?;
        // Before the request: a download that cannot be kept is not asked for.
        let file = self.out.as_deref().map(begin).transpose()?;
        let download = operator.client.audit_export(&filter, self.all_teams).await?;
        let Some((mut file, out)) = file.zip(self.out) else {
            return copy(download, &mut io::stdout().lock()).await.map(drop);
        };
        let lines = copy(download, &mut file).await?;
        let kept = file
            .as_file()
            .sync_all()
            .and_then(|()| file.persist_noclobber(&out).map_err(|error| error.error));
        kept.map_err(|error| cannot(&out, &error))?;
        File::open(folder_of(&out))
            .and_then(|folder| folder.sync_all())
            .map_err(|error| cannot(&out, &error))?;
        operator.output.hint(&format!("{lines} entries are in {}", out.display()));
        Ok(())
    }
}

/// Makes the file, with mode 0600, beside the one it becomes.
fn begin(out: &Path) -> Result<NamedTempFile, Failure> {
    if out.exists() {
        let cause = format!("{} exists already", out.display());
        return Err(Failure::usage(
            cause,
            "name a file that does not exist; an export may hold what was dropped since",
        ));
    }
    NamedTempFile::new_in(folder_of(out)).map_err(|error| cannot(out, &error))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn cannot(path: &Path, error: &io::Error) -> Failure {
    let cause = format!("cannot write {}: {error}", path.display());
    Failure::failed(cause, "free the disk, or name another file with --out")
}

/// Copies piece by piece and counts the lines.
async fn copy(mut download: Download, to: &mut impl Write) -> Result<usize, Failure> {
    let mut lines = 0;
    while let Some(piece) = download.next().await? {
        lines += piece.iter().filter(|byte| **byte == b'\n').count();
        to.write_all(&piece)?;
    }
    to.flush()?;
    Ok(lines)
}
