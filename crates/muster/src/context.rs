//! The context file: which server the operator works with, and as whom.
//!
//! It holds a credential: mode 0600 in a folder of mode 0700, replaced in one step, refused when others may read it.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use muster_ids::TeamId;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use url::Url;

use crate::failure::Failure;

/// Where `muster serve` listens for operators when it is not told.
pub(crate) const DEFAULT_URL: &str = "http://127.0.0.1:8600";

/// A server and the credential for it.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// The server.
    pub url: Url,
    /// SPKI pins of its certificate; empty when that is publicly valid.
    pub pins: Vec<String>,
    /// The team to act in; the token's own when not said.
    pub team: Option<TeamId>,
    /// The operator's token.
    pub token: SecretString,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    url: Url,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pins: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    team: Option<TeamId>,
    token: String,
}

impl Context {
    /// Reads a context file; `None` if there is none.
    pub(crate) fn load(path: &Path) -> Result<Option<Self>, Failure> {
        let metadata = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|error| cannot("read", path, &error))?,
        };
        if metadata.permissions().mode() & 0o077 != 0 {
            return Err(Failure::failed(
                format!("{} may be read by others, and it holds your token", path.display()),
                format!("chmod 600 {}", path.display()),
            ));
        }
        let text = fs::read_to_string(path).map_err(|error| cannot("read", path, &error))?;
        // What the parser says is left out: it quotes the line, which may be the token.
        let fields: Fields = toml::from_str(&text).map_err(|_| {
            let cause = format!("{} is not a context file of this version", path.display());
            Failure::failed(cause, "run `muster login` to write it anew")
        })?;
        let Fields { url, pins, team, token } = fields;
        Ok(Some(Self { url, pins, team, token: SecretString::from(token) }))
    }

    fn to_text(&self) -> String {
        let fields = Fields {
            url: self.url.clone(),
            pins: self.pins.clone(),
            team: self.team,
            token: self.token.expose_secret().to_owned(),
        };
        toml::to_string(&fields).expect("strings serialize")
    }
}

/// A context file about to be written: its folder is there and takes files.
#[derive(Debug)]
pub(crate) struct Draft {
    file: NamedTempFile,
    path: PathBuf,
}

impl Draft {
    /// Makes the folder and the draft, so that a full or read-only disk is known before a credential is made.
    pub(crate) fn new(path: &Path) -> Result<Self, Failure> {
        let folder = folder_of(path);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| cannot("create", folder, &error))?;
        let file = tempfile::Builder::new().prefix(".context").tempfile_in(folder);
        let mut file = file.map_err(|error| cannot("write to", folder, &error))?;
        file.write_all(&[b'\n'; 1024]).map_err(|error| cannot("write to", folder, &error))?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Writes the context and puts it in its place in one step.
    pub(crate) fn commit(self, context: &Context) -> Result<(), Failure> {
        let Self { mut file, path } = self;
        let written = write(&mut file, &context.to_text());
        written.map_err(|error| cannot("write", &path, &error))?;
        file.persist(&path).map_err(|error| cannot("write", &path, &error.error))?;
        let synced = File::open(folder_of(&path)).and_then(|folder| folder.sync_all());
        synced.map_err(|error| cannot("write", &path, &error))
    }
}

fn write(file: &mut NamedTempFile, text: &str) -> io::Result<()> {
    use std::io::{Seek, SeekFrom};
    file.seek(SeekFrom::Start(0))?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_len(text.len() as u64)?;
    file.as_file().sync_all()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn cannot(action: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::failed(
        format!("cannot {action} {}: {error}", path.display()),
        "free the disk or set its permissions, or name another place with --context",
    )
}

/// Returns where the context file is when nobody says: `$XDG_CONFIG_HOME/muster`, else `~/.config/muster`.
pub(crate) fn default_path(variable: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf, Failure> {
    let absolute = |name: &str| variable(name).filter(|path| path.is_absolute());
    let config = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")));
    config.map(|config| config.join("muster/context.toml")).ok_or_else(|| {
        Failure::usage(
            "neither XDG_CONFIG_HOME nor HOME names a folder",
            "say where the context file is: --context FILE",
        )
    })
}

#[cfg(test)]
mod tests;
