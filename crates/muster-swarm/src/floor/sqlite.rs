//! The floor of a join on SQLite: the bare transaction, one durable commit each, and nothing else.

use std::path::Path;
use std::time::Duration;

use muster_edge::Clock;
use rusqlite::{Connection, params};
use tempfile::TempDir;

use crate::figures::per_second;

const SCHEMA: &str = "
    CREATE TABLE token (id TEXT PRIMARY KEY, spent_at INTEGER, spent_by TEXT);
    CREATE TABLE host (id BLOB PRIMARY KEY, site_id BLOB NOT NULL, uid TEXT NOT NULL, name TEXT NOT NULL,
                       facts TEXT NOT NULL, created_at INTEGER NOT NULL);
    CREATE INDEX host_site ON host (site_id, id);
    CREATE TABLE credential (name TEXT PRIMARY KEY, host_id BLOB NOT NULL, material BLOB NOT NULL);
    CREATE INDEX credential_host ON credential (host_id);
    CREATE TABLE audit (seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, team_id BLOB NOT NULL,
                        details TEXT NOT NULL);
";
const TOKENS: usize = 100_000;
const FACTS: &str = r#"{"os":"Debian 12","arch":"x86_64","cpu_cores":4,"memory_mb":8192,"disk_gb":100}"#;

/// Commits one by one for a while and returns how many a second: rusqlite, WAL, `synchronous=FULL`.
pub(crate) fn single_commits(lasts: Duration) -> anyhow::Result<f64> {
    let folder = TempDir::new()?;
    let mut connection = open(&folder.path().join("floor.db"))?;
    let clock = Clock::system();
    let began = clock.monotonic();
    let mut commits = 0;
    while clock.monotonic() - began < lasts && commits < TOKENS {
        join(&mut connection, commits)?;
        commits += 1;
    }
    Ok(per_second(commits, clock.monotonic() - began))
}

fn open(file: &Path) -> anyhow::Result<Connection> {
    let mut connection = Connection::open(file)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.set_prepared_statement_cache_capacity(16);
    connection.execute_batch(SCHEMA)?;
    let filling = connection.transaction()?;
    for number in 0..TOKENS {
        filling.prepare_cached("INSERT INTO token (id) VALUES (?1)")?.execute([token(number)])?;
    }
    filling.commit()?;
    Ok(connection)
}

fn token(number: usize) -> String {
    // Spread over the tree, as random ids are.
    format!("{:016x}", (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

fn join(connection: &mut Connection, number: usize) -> rusqlite::Result<()> {
    let (id, key) = (number.to_be_bytes(), format!("jkt:{number:043}"));
    let at = number as i64;
    let tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let spent = tx
        .prepare_cached(
            "UPDATE token SET spent_at = ?1, spent_by = ?2 WHERE id = ?3 AND spent_at IS NULL RETURNING id",
        )?
        .query_row(params![at, key, token(number)], |row| row.get::<_, String>(0))?;
    tx.prepare_cached(
        "INSERT INTO host (id, site_id, uid, name, facts, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![id, [7u8; 16], spent, format!("swarm-{number}"), FACTS, at])?;
    tx.prepare_cached("INSERT INTO credential (name, host_id, material) VALUES (?1, ?2, ?3)")?
        .execute(params![key, id, [4u8; 65]])?;
    tx.prepare_cached("INSERT INTO audit (id, team_id, details) VALUES (?1, ?2, ?3)")?
        .execute(params![id, [9u8; 16], FACTS])?;
    tx.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_spent_once() {
        let folder = TempDir::new().unwrap();
        let mut connection = open(&folder.path().join("floor.db")).unwrap();
        join(&mut connection, 1).unwrap();
        assert!(join(&mut connection, 1).is_err(), "spent twice");
        let hosts: i64 = connection.query_row("SELECT count(*) FROM host", [], |row| row.get(0)).unwrap();
        assert_eq!(hosts, 1);
    }
}
