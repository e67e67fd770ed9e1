//! Putting a backup back, into nothing.
//!
//! The file is read twice: once to see that it is whole and was made by this server, once to load it. Nothing is written
//! before the first is done. What breaks off leaves marks (see `left`), and the next restore begins anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use data_encoding::{BASE64, HEXLOWER};
use muster_edge::{Clock, Entropy};
use muster_ids::Timestamp;
use muster_keyring::{Keyring, MasterKey};
use muster_store::{
    MIGRATIONS, Migration, Priority, Store, StoreConfig, StoreError, Table, Tx, Value, migrations_to,
};

use super::anew::{self, Voided};
use super::container::{Kind, Reader, Whole, check};
use super::left::{UNFINISHED_FACT, is_unfinished, mark_of};
use super::{CopyError, FORMAT, Header, Place, Progress, SealedFile, file, key, rows};
use crate::serve::{DATABASE_FILE, LOCK_FILE, MASTER_KEY_FILE, TLS_DIR, create_data_dir, lock_data_dir};

/// Nobody waits for the database meanwhile.
const WRITE_FOR: Duration = Duration::from_secs(24 * 3600);
/// Rows of one transaction.
const BATCH: usize = 500;

/// What is restored, and where to.
#[derive(Debug, Clone)]
pub struct Restoration {
    /// The backup.
    pub backup: PathBuf,
    /// Where the server is to keep its state.
    pub place: Place,
    /// The exported master key; not needed where the place has it.
    pub key: Option<PathBuf>,
}

/// A server that was restored.
#[derive(Debug, Clone)]
pub struct Restored {
    /// When the backup was made.
    pub backup_of: Timestamp,
    /// How many rows were loaded.
    pub rows: u64,
    /// How many files of the data folder were put back.
    pub files: usize,
    /// What ended, and what is to be looked at.
    pub voided: Voided,
}

/// Restores a server.
pub async fn restore(restoration: Restoration, tell: Progress) -> anyhow::Result<Restored> {
    let (clock, now) = (Clock::system(), Clock::system().now());
    let Restoration { backup, place, key } = restoration;
    let half = |tell: &Progress, at: u64| {
        let tell = Arc::clone(tell);
        move |done: u64, total: u64| tell(at * total + done, 2 * total)
    };
    let whole =
        check(&backup, &half(&tell, 0)).with_context(|| format!("cannot restore {}", backup.display()))?;
    let opened = Backup::open(&backup)?;
    let migrations = opened.migrations()?;
    let (master, keyring) = find_key(&place, key.as_deref(), &opened.header)?;
    if !keyring.is_backup_mac(&whole.digest, &whole.tag) {
        bail!("the backup was changed after it was made: its checksum holds, the server's own tag does not");
    }
    create_data_dir(&place.data_dir)?;
    let _lock = lock_data_dir(&place.data_dir)?;
    let files = open_files(&opened.files, &keyring)?;
    // A server that was refused because of the mark made itself other TLS keys before.
    let was_unfinished = mark_of(&place.data_dir).exists();
    must_be_new(&place.data_dir, &master, if was_unfinished { &[] } else { &files })?;
    let store = open(&place, &clock).await?;
    must_be_empty(&store).await?;
    let mark = begin(&place.data_dir, &store, migrations, now).await?;
    put_files(&place, &master, &files, was_unfinished)?;
    let loading = Loading { backup: opened, store: store.clone(), tell: half(&tell, 1), bytes: whole.bytes };
    let (header, rows) = loading.run(&whole).await?;
    store.migrate(MIGRATIONS, now).await.context("cannot bring the schema up to date")?;
    let keyring = Arc::new(keyring);
    let voided = anew::begin(&store, &keyring, &header, &mark, clock.now()).await?;
    store.close().await;
    file::remove(&mark_of(&place.data_dir)).context("cannot remove the mark of this restore")?;
    Ok(Restored { backup_of: header.created_at, rows, files: files.len(), voided })
}

/// A backup whose header and files were read.
struct Backup {
    reader: Reader,
    header: Header,
    files: Vec<SealedFile>,
    /// The first part that is neither.
    next: (Kind, Vec<u8>),
}

impl Backup {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let mut reader = Reader::open(path)?;
        let (Kind::Header, header) = reader.part()? else { bail!("the backup begins without its header") };
        let header: serde_json::Value = serde_json::from_slice(&header).context("cannot read the header")?;
        if header.get("format") != Some(&FORMAT.into()) {
            bail!(
                "the backup has another layout than this program knows: use the program that made it, or a newer one"
            );
        }
        let header = serde_json::from_value(header).context("cannot read the header")?;
        let mut files = Vec::new();
        let next = loop {
            match reader.part()? {
                (Kind::File, file) => {
                    files.push(serde_json::from_slice(&file).context("cannot read a file")?)
                }
                next => break next,
            }
        };
        Ok(Self { reader, header, files, next })
    }

    fn migrations(&self) -> anyhow::Result<&'static [Migration]> {
        migrations_to(&self.header.schema).map_err(|error| {
            anyhow!(
                "the backup was made by muster {}: {error}; restore it with that program",
                self.header.program
            )
        })
    }
}

/// Finds the master key of a backup and compares it.
fn find_key(place: &Place, given: Option<&Path>, header: &Header) -> anyhow::Result<(MasterKey, Keyring)> {
    let master = match given {
        Some(file) => MasterKey::load_credential(file)?,
        None if place.key_file().is_file() => key::load(place)?,
        None => bail!("a restore needs the master key: name the exported one with --key"),
    };
    let keyring = Keyring::derive(&master);
    let check = HEXLOWER.decode(header.master_key_check.as_bytes()).context("cannot read the header")?;
    if !keyring.matches_check_value(&check) {
        bail!("the master key does not belong to this backup: give the one it was made with");
    }
    Ok((master, keyring))
}

/// A file of the data folder as it was.
type PlainFile = (String, zeroize::Zeroizing<Vec<u8>>);

fn open_files(files: &[SealedFile], keyring: &Keyring) -> anyhow::Result<Vec<PlainFile>> {
    let open = |file: &SealedFile| {
        let name = file.name.strip_prefix(TLS_DIR).and_then(|rest| rest.strip_prefix('/'));
        if name.is_none_or(|name| name.is_empty() || name.starts_with('.') || name.contains('/')) {
            bail!("the backup holds a file that does not belong there");
        }
        let sealed = BASE64.decode(file.sealed.as_bytes()).context("cannot read a file of the backup")?;
        let content = keyring.open_installation(&file.name, &sealed);
        Ok((file.name.clone(), content.with_context(|| format!("{} does not open", file.name))?))
    };
    files.iter().map(open).collect()
}

/// Refuses a data folder that belongs to a server already.
fn must_be_new(data_dir: &Path, master: &MasterKey, files: &[PlainFile]) -> anyhow::Result<()> {
    let folder = data_dir.display();
    for entry in fs::read_dir(data_dir).with_context(|| format!("cannot read {folder}"))? {
        let (name, path) =
            entry.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))?;
        let is_ours = matches!(name.as_str(), LOCK_FILE | TLS_DIR | super::UNFINISHED | "lost+found")
            || name.starts_with(DATABASE_FILE)
            || (name.starts_with('.') && name.ends_with(file::PARTIAL));
        if name == MASTER_KEY_FILE {
            if MasterKey::load(&path)?.expose() != master.expose() {
                bail!("{} is the master key of another server: restore into another folder", path.display());
            }
        } else if !is_ours {
            bail!("the data folder {folder} is not empty, it holds {name}: restore into a new one");
        }
    }
    for (name, content) in files {
        let path = data_dir.join(name);
        if path.exists() && fs::read(&path)? != **content {
            bail!(
                "{} is another one than that of the backup: move it away, or restore into a new folder",
                path.display()
            );
        }
    }
    Ok(())
}

async fn open(place: &Place, clock: &Clock) -> anyhow::Result<Store> {
    let mut config = StoreConfig::new(place.location(), clock.clone());
    config.limits.write_for = WRITE_FOR;
    config.limits.read_for = WRITE_FOR;
    config.limits.slow_after = WRITE_FOR;
    config.limits.statement_for = WRITE_FOR;
    config.limits.readers = 1;
    Store::open_as_it_is(config).await.context("cannot open the database")
}

/// Refuses a database that holds anything, unless an earlier restore left it there.
async fn must_be_empty(store: &Store) -> anyhow::Result<()> {
    let refused = store.read(|tx: &mut Tx<'_>| {
        if let [name, ..] = &tx.foreign_tables()?[..] {
            return Ok(Some(format!(
                "the database holds tables of another program ({name}): name an empty one"
            )));
        }
        let tables = tx.tables()?;
        if tables.iter().any(|table| table.name() == "installation") && is_unfinished(tx)? {
            return Ok(None);
        }
        for table in &tables {
            if !tx.table_is_empty(table)? {
                return Ok(Some(
                    "the database already holds data: a restore goes into an empty one".to_owned(),
                ));
            }
        }
        Ok::<_, StoreError>(None)
    });
    match refused.await.context("cannot look at the database")? {
        Some(refused) => bail!(refused),
        None => Ok(()),
    }
}

/// Marks the folder, then in the database removes what an earlier restore left, makes the tables of the backup and marks it.
async fn begin(
    data_dir: &Path,
    store: &Store,
    migrations: &'static [Migration],
    now: Timestamp,
) -> anyhow::Result<Vec<u8>> {
    let mark = Entropy.public_id().to_string().into_bytes();
    file::remove(&mark_of(data_dir)).context("cannot remove an older mark")?;
    file::write(&mark_of(data_dir), &mark, false, &Entropy).context("cannot write to the data folder")?;
    let fact = mark.clone();
    // One transaction: tables without the mark are those of a new server, to whoever opens them from another folder.
    let made = store.write(Priority::Urgent, move |tx: &mut Tx<'_>| {
        tx.schema_anew(migrations, now)?;
        tx.installation_set(UNFINISHED_FACT, &fact)
    });
    made.await.context("cannot make the tables")?;
    Ok(mark)
}

/// Puts the master key and what agents pin in their places.
fn put_files(place: &Place, master: &MasterKey, files: &[PlainFile], replace: bool) -> anyhow::Result<()> {
    let put = |path: PathBuf, content: &[u8], replace: bool| {
        if path.exists() && !replace {
            return Ok(());
        }
        file::write(&path, content, replace, &Entropy)
            .with_context(|| format!("cannot write {}", path.display()))
    };
    if place.master_key_file.is_none() {
        put(place.key_file(), master.expose(), false)?;
    }
    if !files.is_empty() {
        create_data_dir(&place.data_dir.join(TLS_DIR))?;
    }
    files.iter().try_for_each(|(name, content)| put(place.data_dir.join(name), content, replace))
}

/// Rows on their way into the database.
struct Loading<T> {
    backup: Backup,
    store: Store,
    tell: T,
    bytes: u64,
}

impl<T: Fn(u64, u64)> Loading<T> {
    async fn run(self, whole: &Whole) -> anyhow::Result<(Header, u64)> {
        let Self { backup: Backup { mut reader, header, mut next, .. }, store, tell, bytes } = self;
        let tables = Arc::new(tables_of(&store, &header).await?);
        let mut loaded = vec![0; tables.len()];
        while next.0 != Kind::End {
            let (at, found) = part_rows(next, &tables)?;
            loaded[at] += found.len() as u64;
            fill(&store, &tables, at, found).await?;
            tell(reader.read(), bytes);
            next = reader.part()?;
        }
        if !reader.is(whole) {
            bail!("the backup changed while it was read");
        }
        if let Some(table) = header.tables.iter().zip(&loaded).find(|(table, count)| table.rows != **count) {
            bail!("rows of {} are missing in the backup", table.0.name);
        }
        let go_on = Arc::clone(&tables);
        let done = store.write(Priority::Urgent, move |tx: &mut Tx<'_>| {
            go_on.iter().try_for_each(|table| tx.table_go_on(&table.table))
        });
        done.await.context("cannot let the keys go on")?;
        tell(bytes, bytes);
        Ok((header, loaded.iter().sum()))
    }
}

/// A table and where the columns of the backup are in it.
struct Filled {
    table: Table,
    order: Vec<usize>,
}

async fn tables_of(store: &Store, header: &Header) -> anyhow::Result<Vec<Filled>> {
    let known = store.read(|tx: &mut Tx<'_>| tx.tables()).await.context("cannot look at the database")?;
    if known.len() != header.tables.len() {
        bail!("the backup holds other tables than its schema has");
    }
    let find = |said: &super::TableHeader| {
        let table = known.iter().find(|table| table.name() == said.name)?.clone();
        let columns = table.columns();
        let order = columns.iter().map(|name| said.columns.iter().position(|said| said == name));
        let order: Vec<usize> = order.collect::<Option<_>>()?;
        (order.len() == said.columns.len()).then_some(Filled { table, order })
    };
    let other = |said: &super::TableHeader| {
        anyhow!("the table {} of the backup is not that of its schema", said.name)
    };
    header.tables.iter().map(|said| find(said).ok_or_else(|| other(said))).collect()
}

/// Returns the rows of a part, and the place of their table.
fn part_rows(
    (kind, content): (Kind, Vec<u8>),
    tables: &[Filled],
) -> anyhow::Result<(usize, Vec<Vec<Value>>)> {
    let unknown = || CopyError::content("the backup holds rows of no table");
    let (place, content) =
        content.split_first_chunk::<2>().filter(|_| kind == Kind::Rows).ok_or_else(unknown)?;
    let at = usize::from(u16::from_be_bytes(*place));
    let table = tables.get(at).ok_or_else(unknown)?;
    Ok((at, rows::take(content, table.order.len())?))
}

async fn fill(
    store: &Store,
    tables: &Arc<Vec<Filled>>,
    at: usize,
    rows: Vec<Vec<Value>>,
) -> anyhow::Result<()> {
    for chunk in rows.chunks(BATCH) {
        let (filling, chunk) = (Arc::clone(tables), chunk.to_vec());
        let filled = store.write(Priority::Urgent, move |tx: &mut Tx<'_>| {
            let Filled { table, order } = &filling[at];
            let ordered = chunk.iter().map(|row| order.iter().map(|from| row[*from].clone()).collect());
            tx.table_fill(table, ordered.collect())
        });
        filled.await.with_context(|| format!("cannot load rows of {}", tables[at].table.name()))?;
    }
    Ok(())
}
