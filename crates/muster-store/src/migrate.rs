//! Migrations: append-only, each in its own transaction, the same text on both databases.

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;
use muster_ids::Timestamp;

use crate::{Lock, LockKey, StoreError, Tx, params};

/// Version, name and text of one migration.
pub type Migration = (u32, &'static str, &'static str);

/// Every migration, oldest first.
///
/// To add one: write `migrations/NNN_name.sql`, append `(NNN, "name", include_str!("../migrations/NNN_name.sql"))`.
/// Never change one that was released: its checksum is recorded. Column types are `BIGINT`, `TEXT`, `TEXT_KEY` (text
/// that is compared or ordered), `UUID_T`, `BYTES_T` and `SERIAL_T` (the whole of an automatic key); no deferred
/// constraints, because on SQLite one would fail a whole batch at its commit.
pub const MIGRATIONS: &[Migration] = &[
    (1, "first_host", include_str!("../migrations/001_first_host.sql")),
    (2, "people_and_events", include_str!("../migrations/002_people_and_events.sql")),
    (3, "under_fire", include_str!("../migrations/003_under_fire.sql")),
    (4, "fleet_seen", include_str!("../migrations/004_fleet_seen.sql")),
    (5, "views", include_str!("../migrations/005_views.sql")),
];

const LOCK: LockKey = LockKey::Named("schema");

/// Applies the next missing migration. `false`: there was none.
pub(crate) fn advance(tx: &mut Tx<'_>, list: &[Migration], now: Timestamp) -> Result<bool, StoreError> {
    tx.lock(&[Lock::exclusive(LOCK)])?;
    tx.script(
        "CREATE TABLE IF NOT EXISTS schema_migration (
            version BIGINT PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL)",
    )?;
    let applied =
        tx.query("SELECT version, checksum FROM schema_migration ORDER BY version", params![], |row| {
            Ok((row.get::<u32>(0)?, row.get::<String>(1)?))
        })?;
    let Some((version, name, text)) = next(&applied, list)? else {
        return Ok(false);
    };
    tx.script(text)?;
    tx.execute(
        "INSERT INTO schema_migration (version, name, checksum, applied_at) VALUES ($1, $2, $3, $4)",
        params![version, name, checksum(text), now],
    )?;
    tracing::info!(schema.version = version, schema.name = name, "applied a migration");
    Ok(true)
}

/// Returns the migrations that were applied, if all of them are known.
pub(crate) fn matching(
    applied: &[(u32, String)],
    list: &'static [Migration],
) -> Result<&'static [Migration], StoreError> {
    next(applied, list)?;
    Ok(&list[..applied.len()])
}

/// Returns the names of the tables that migrations make.
pub(crate) fn known_tables(list: &'static [Migration]) -> Vec<&'static str> {
    let words = |text: &'static str| text.split("CREATE TABLE ").skip(1);
    let names = list.iter().flat_map(|(_, _, text)| words(text));
    names.filter_map(|after| after.split(|c: char| !c.is_alphanumeric() && c != '_').next()).collect()
}

/// Compares what was applied with what is known, and returns the first migration that is missing.
fn next(applied: &[(u32, String)], list: &[Migration]) -> Result<Option<Migration>, StoreError> {
    let mut known = list.iter();
    for (version, recorded) in applied {
        match known.next() {
            None => {
                return Err(mismatch(format!("it is at version {version}, newer than this program knows")));
            }
            Some((expected, name, _)) if expected != version => {
                return Err(mismatch(format!("it has version {version} where {expected} ({name}) belongs")));
            }
            Some((_, name, text)) if checksum(text) != *recorded => {
                return Err(mismatch(format!("version {version} ({name}) was applied with another text")));
            }
            Some(_) => {}
        }
    }
    Ok(known.next().copied())
}

fn mismatch(what: String) -> StoreError {
    StoreError::Schema { what }
}

fn checksum(text: &str) -> String {
    HEXLOWER.encode(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}
