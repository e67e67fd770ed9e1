//! Making a backup, beside the running server or without it.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use data_encoding::{BASE64, HEXLOWER};
use muster_edge::{Clock, Entropy};
use muster_ids::Timestamp;
use muster_keyring::Keyring;
use muster_store::{Location, Store, StoreConfig, StoreError, Tx};

use super::container::{Kind, Writer};
use super::file::Partial;
use super::{CopyError, FORMAT, Header, Place, Progress, SealedFile, TableHeader, key, left, rows};
use crate::installation::{CHECK_VALUE, EPOCH};
use crate::serve::TLS_DIR;

/// How long one snapshot may be read.
const READ_FOR: Duration = Duration::from_secs(24 * 3600);
/// Rows, and bytes, after which a part is written.
const PART_ROWS: usize = 250;
const PART_BYTES: usize = 256 << 10;
const BUFFER: usize = 1 << 20;
/// Rows between two words about progress.
const TELL_EVERY: u64 = 500;
/// Most bytes of a file of the TLS folder.
const MOST_FILE_BYTES: u64 = 1 << 20;
const MOST_FILES: usize = 32;

/// Where the backup goes.
#[derive(Debug, Clone)]
pub enum Target {
    /// A file, which must not be there unless it is to be replaced.
    File {
        /// Its name.
        path: PathBuf,
        /// Whether one of that name is replaced.
        replace: bool,
    },
    /// Standard output.
    Stdout,
}

/// A backup that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// When its snapshot was taken.
    pub created_at: Timestamp,
    /// The epoch it was taken in.
    pub epoch: u32,
    /// How many tables it holds.
    pub tables: usize,
    /// How many rows.
    pub rows: u64,
    /// How many bytes it has.
    pub bytes: u64,
    /// How many files of the data folder it holds, sealed.
    pub files: usize,
}

/// What writes, until it is taken back; shared with the thread that reads.
type Writing<W> = Arc<Mutex<Option<Writer<W>>>>;

/// Makes a backup.
pub async fn create(place: Place, target: Target, tell: Progress) -> anyhow::Result<Created> {
    let (clock, entropy) = (Clock::system(), Entropy);
    let keyring =
        Keyring::derive(&key::load(&place).context("a backup needs the master key, to seal and to sign")?);
    let store = open(&place, &clock).await?;
    let written = match &target {
        Target::Stdout => {
            let out = BufWriter::with_capacity(BUFFER, io::stdout());
            write(&store, &place, &keyring, (&clock, &entropy), out, tell).await.map(|(created, _)| created)
        }
        Target::File { path, replace } => {
            if !replace && path.symlink_metadata().is_ok() {
                bail!("{} is there already: name another file, or add --force", path.display());
            }
            let cannot = || format!("cannot write {}", path.display());
            let partial = Partial::beside(path, &entropy).with_context(cannot)?;
            let out = BufWriter::with_capacity(BUFFER, partial.file.try_clone().with_context(cannot)?);
            match write(&store, &place, &keyring, (&clock, &entropy), out, tell).await {
                Ok((created, _)) => partial.arrive(*replace).with_context(cannot).map(|()| created),
                Err(error) => Err(error),
            }
        }
    };
    store.close().await;
    written
}

/// Opens the database of a server to read it.
pub(super) async fn open(place: &Place, clock: &Clock) -> anyhow::Result<Store> {
    let location = place.location();
    if let Location::Sqlite(file) = &location
        && !file.is_file()
    {
        bail!("there is no database {}: name the server's data folder", file.display());
    }
    let mut config = StoreConfig::new(location, clock.clone());
    config.limits.readers = 1;
    config.limits.connections = 3;
    config.limits.read_for = READ_FOR;
    config.limits.slow_after = READ_FOR;
    config.limits.statement_for = Duration::from_secs(600);
    Store::open_to_read(config).await.context("cannot open the database")
}

async fn write<W: Write + Send + 'static>(
    store: &Store,
    place: &Place,
    keyring: &Keyring,
    (clock, entropy): (&Clock, &Entropy),
    out: W,
    tell: Progress,
) -> anyhow::Result<(Created, W)> {
    let check = left::master_key_check(store).await?;
    if !keyring.matches_check_value(&check) {
        bail!("the master key does not belong to this database: put back the key it was made with");
    }
    let files = sealed_files(&place.data_dir, keyring, entropy)?;
    let count = files.len();
    let writing: Writing<W> = Arc::new(Mutex::new(Some(Writer::begin(out)?)));
    let (shared, now) = (Arc::clone(&writing), clock.now());
    let header = store
        .read(move |tx| {
            let mut guard = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let writer =
                guard.as_mut().ok_or_else(|| CopyError::content("the backup was written already"))?;
            copy(tx, writer, &files, now, &*tell)
        })
        .await?;
    let writer = writing.lock().unwrap_or_else(PoisonError::into_inner).take();
    let writer = writer.context("the backup was written already")?;
    let (out, bytes) = writer.end(|digest| keyring.backup_mac(digest)).context("cannot write the backup")?;
    let created = Created {
        created_at: header.created_at,
        epoch: header.epoch,
        tables: header.tables.len(),
        rows: header.tables.iter().map(|table| table.rows).sum(),
        bytes,
        files: count,
    };
    Ok((created, out))
}

/// Writes everything from one snapshot.
fn copy<W: Write>(
    tx: &mut Tx<'_>,
    writer: &mut Writer<W>,
    files: &[SealedFile],
    now: Timestamp,
    tell: &dyn Fn(u64, u64),
) -> Result<Header, CopyError> {
    if left::is_unfinished(tx)? {
        return Err(CopyError::content(
            "a restore into this database was not finished: there is nothing to back up",
        ));
    }
    let tables = tx.tables()?;
    let header = header(tx, &tables, now)?;
    writer.part(Kind::Header, &json(&header)?)?;
    for file in files {
        writer.part(Kind::File, &json(file)?)?;
    }
    let total = header.tables.iter().map(|table| table.rows).sum();
    let mut done = 0;
    for (place, table) in tables.iter().enumerate() {
        let place = u16::try_from(place).map_err(|_| CopyError::content("there are too many tables"))?;
        let mut part = Part { place, bytes: Vec::new(), rows: 0 };
        let mut failed = None;
        let read = tx.table_rows(table, |row| {
            done += 1;
            if done % TELL_EVERY == 0 {
                tell(done, total);
            }
            part.add(&row, writer).map_err(|error| {
                failed = Some(error);
                StoreError::corrupt("the backup cannot be written")
            })
        });
        if let Some(error) = failed {
            return Err(error.into());
        }
        read?;
        part.write(writer)?;
    }
    tell(done, total);
    Ok(header)
}

/// Rows of one table that are not written yet.
struct Part {
    place: u16,
    bytes: Vec<u8>,
    rows: usize,
}

impl Part {
    fn add<W: Write>(&mut self, row: &[muster_store::Value], writer: &mut Writer<W>) -> io::Result<()> {
        if self.rows == 0 {
            self.bytes.extend_from_slice(&self.place.to_be_bytes());
        }
        rows::put(row, &mut self.bytes);
        self.rows += 1;
        if self.rows >= PART_ROWS || self.bytes.len() >= PART_BYTES { self.write(writer) } else { Ok(()) }
    }

    fn write<W: Write>(&mut self, writer: &mut Writer<W>) -> io::Result<()> {
        if self.rows > 0 {
            writer.part(Kind::Rows, &self.bytes)?;
        }
        self.bytes.clear();
        self.rows = 0;
        Ok(())
    }
}

fn header(tx: &mut Tx<'_>, tables: &[muster_store::Table], now: Timestamp) -> Result<Header, CopyError> {
    let schema = tx.schema_versions()?.unwrap_or_default();
    muster_store::migrations_to(&schema)?;
    let gone = || CopyError::content("a fact of the installation is gone");
    let check = tx.installation(CHECK_VALUE)?.ok_or_else(gone)?;
    let epoch = tx.installation(EPOCH)?.and_then(|epoch| epoch.try_into().ok()).ok_or_else(gone)?;
    let mut said = Vec::with_capacity(tables.len());
    for table in tables {
        said.push(TableHeader {
            name: table.name().to_owned(),
            columns: table.columns(),
            rows: tx.table_count(table)?,
        });
    }
    Ok(Header {
        format: FORMAT,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        created_at: now,
        epoch: u32::from_be_bytes(epoch),
        master_key_check: HEXLOWER.encode(&check),
        schema,
        tables: said,
    })
}

/// Reads what agents pin: without it no agent ever comes back.
fn sealed_files(data_dir: &Path, keyring: &Keyring, entropy: &Entropy) -> anyhow::Result<Vec<SealedFile>> {
    let folder = data_dir.join(TLS_DIR);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", folder.display())),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        let (path, metadata) = (entry.path(), entry.metadata()?);
        let name = entry.file_name().to_string_lossy().into_owned();
        if !metadata.is_file() || name.starts_with('.') {
            continue;
        }
        if metadata.len() > MOST_FILE_BYTES || files.len() == MOST_FILES {
            bail!("{} does not belong there: it is too large, or one too many", path.display());
        }
        let content = zeroize::Zeroizing::new(
            fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?,
        );
        let name = format!("{TLS_DIR}/{name}");
        let sealed = keyring.seal_installation(&name, entropy.bytes(), &content);
        files.push(SealedFile { name, sealed: BASE64.encode(&sealed) });
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, CopyError> {
    serde_json::to_vec(value).map_err(|_| CopyError::content("the header of the backup cannot be written"))
}
