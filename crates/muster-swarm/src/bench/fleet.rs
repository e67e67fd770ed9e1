//! A fleet made offline: one machine joins through the door, and its rows are copied with other ids.
//!
//! Only what must differ is changed, whatever columns the tables have: what the server reads is as valid as the host it
//! made itself.

use std::path::Path;

use anyhow::{Context, ensure};
use rusqlite::Connection;
use tokio_postgres::NoTls;

use crate::play::Play;
use crate::server::{Backend, Server};

/// A tag that one host in ten thousand has.
pub(super) const RARE_TAG: &str = "rare";
const RARE: u64 = 10_000;
/// One host in so many is suspended.
const SUSPENDED: u64 = 1000;

/// The tables of a host, and how the columns that differ are made from the number `nth`.
fn tables(dialect: Dialect) -> Vec<(&'static str, Vec<(&'static str, String)>)> {
    let id = dialect.id();
    let name = "'fleet-' || ".to_owned() + dialect.padded();
    let key = format!("'jkt:' || {} || 'A'", dialect.hex(42));
    let uid = format!("'smbios:' || {}", dialect.hex(32));
    let state = format!("CASE WHEN nth % {SUSPENDED} = 0 THEN 'suspended' ELSE 'active' END");
    vec![
        (
            "host",
            vec![
                ("id", id.clone()),
                ("name", name.clone()),
                ("hostname", name),
                ("machine_uid", uid),
                ("state", state),
            ],
        ),
        ("host_key", vec![("name", key.clone()), ("host_id", id.clone())]),
        ("host_config", vec![("host_id", id.clone())]),
        ("presence", vec![("seq", "nth + 10".to_owned()), ("host_id", id)]),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    /// A version 7 id in the order of the numbers, before every id of today.
    fn id(self) -> String {
        match self {
            Self::Sqlite => "unhex(printf('0190000000007000%016x', (8 << 60) + nth))".to_owned(),
            Self::Postgres => {
                "('0190000000007000' || lpad(to_hex((8::BIGINT << 60) + nth), 16, '0'))::UUID".to_owned()
            }
        }
    }

    fn padded(self) -> &'static str {
        match self {
            Self::Sqlite => "printf('%07d', nth)",
            Self::Postgres => "lpad(nth::TEXT, 7, '0')",
        }
    }

    fn hex(self, digits: usize) -> String {
        match self {
            Self::Sqlite => format!("printf('%0{digits}x', nth)"),
            Self::Postgres => format!("lpad(to_hex(nth), {digits}, '0')"),
        }
    }

    fn numbers(self, count: u64) -> String {
        match self {
            Self::Sqlite => format!(
                "WITH RECURSIVE numbers (nth) AS
                     (SELECT 1 UNION ALL SELECT nth + 1 FROM numbers WHERE nth < {count})"
            ),
            Self::Postgres => {
                format!("WITH numbers AS (SELECT nth FROM generate_series(1, {count}::BIGINT) AS nth)")
            }
        }
    }

    /// Copies the row of the first host with all its columns, but for those that differ.
    fn copy(self, table: &str, columns: &[String], differ: &[(&str, String)], count: u64) -> String {
        let value = |column: &String| {
            let other = differ.iter().find(|(name, _)| name == column);
            other.map_or_else(|| format!("first.{column}"), |(_, expression)| expression.clone())
        };
        let values: Vec<String> = columns.iter().map(value).collect();
        format!(
            "INSERT INTO {table} ({}) {} SELECT {} FROM numbers, (SELECT * FROM {table} LIMIT 1) AS first",
            columns.join(", "),
            self.numbers(count),
            values.join(", ")
        )
    }

    fn tags(self, count: u64) -> String {
        let id = self.id();
        format!(
            "INSERT INTO host_tag (team_id, host_id, tag) {}
             SELECT first.team_id, {id}, CASE WHEN nth % {RARE} = 0 THEN '{RARE_TAG}'
                                              WHEN nth % 2 = 1 THEN 'odd' ELSE 'even' END
               FROM numbers, (SELECT team_id FROM host LIMIT 1) AS first",
            self.numbers(count)
        )
    }
}

/// Starts a server that has `count` hosts beside the one that joined.
pub(super) async fn begin(program: &Path, backend: Backend, count: u64) -> anyhow::Result<Play> {
    let mut play = Play::begin(program, backend).await?;
    play.join(1, 1).await?;
    play.stage.server.stop().await?;
    make(&play.stage.server, count).await?;
    play.stage.server.launch().await?;
    Ok(play)
}

/// Makes `count` hosts in the database of a server that does not run.
async fn make(server: &Server, count: u64) -> anyhow::Result<()> {
    match server.database_url() {
        Some(url) => in_postgres(url, count).await,
        None => {
            let file = server.data().join("muster.db");
            tokio::task::spawn_blocking(move || in_sqlite(&Connection::open(file)?, count)).await?
        }
    }
}

fn in_sqlite(connection: &Connection, count: u64) -> anyhow::Result<()> {
    // Nobody else has the file, and what is lost with the power is made again.
    for (pragma, value) in [("synchronous", "off"), ("foreign_keys", "off"), ("cache_size", "-262144")] {
        connection.pragma_update(None, pragma, value)?;
    }
    connection.execute_batch("BEGIN")?;
    for (table, differ) in tables(Dialect::Sqlite) {
        let mut statement = connection.prepare(&format!("SELECT name FROM pragma_table_info('{table}')"))?;
        let columns: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        known(table, &columns, &differ)?;
        connection.execute_batch(&Dialect::Sqlite.copy(table, &columns, &differ, count))?;
    }
    connection.execute_batch(&Dialect::Sqlite.tags(count))?;
    connection.execute_batch("COMMIT; ANALYZE")?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}

async fn in_postgres(url: &str, count: u64) -> anyhow::Result<()> {
    let (mut client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let connection = tokio::spawn(connection);
    let tx = client.transaction().await?;
    for (table, differ) in tables(Dialect::Postgres) {
        let columns = tx
            .query(
                "SELECT column_name::TEXT FROM information_schema.columns
                  WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position",
                &[&table],
            )
            .await?;
        let columns: Vec<String> = columns.iter().map(|row| row.get(0)).collect();
        known(table, &columns, &differ)?;
        let copy = Dialect::Postgres.copy(table, &columns, &differ, count);
        tx.batch_execute(&copy).await.with_context(|| copy)?;
    }
    tx.batch_execute(&Dialect::Postgres.tags(count)).await?;
    tx.commit().await?;
    client.batch_execute("VACUUM ANALYZE").await?;
    drop(client);
    Ok(connection.await??)
}

/// A column that is gone would be copied as it is, and two hosts would share what names one.
fn known(table: &str, columns: &[String], differ: &[(&str, String)]) -> anyhow::Result<()> {
    for (column, _) in differ {
        ensure!(columns.iter().any(|known| known == column), "the table {table} has no column {column}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_names_a_host_is_changed() {
        let columns = ["id".to_owned(), "team_id".to_owned()];
        let copy = Dialect::Sqlite.copy("host", &columns, &[("id", "nth".to_owned())], 3);
        assert!(copy.contains("SELECT nth, first.team_id FROM numbers"), "{copy}");
        assert!(known("host", &columns, &[("id", String::new())]).is_ok());
        assert!(known("host", &columns, &[("seq", String::new())]).is_err());
    }

    #[test]
    fn the_row_of_the_first_host_is_copied_whatever_its_columns_are_called() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (id, n); INSERT INTO t VALUES (0, 'kept')").unwrap();
        let columns = ["id".to_owned(), "n".to_owned()];
        let copy = Dialect::Sqlite.copy("t", &columns, &[("id", "nth".to_owned())], 3);
        connection.execute_batch(&copy).unwrap();
        let found: (i64, i64, i64) = connection
            .query_row("SELECT count(*), sum(id), sum(n = 'kept') FROM t", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .unwrap();
        assert_eq!(found, (4, 6, 4));
    }

    #[test]
    fn numbers_become_ids_in_their_order() {
        let connection = Connection::open_in_memory().unwrap();
        let text =
            format!("{} SELECT hex({}) FROM numbers", Dialect::Sqlite.numbers(3), Dialect::Sqlite.id());
        let mut statement = connection.prepare(&text).unwrap();
        let ids: Vec<String> =
            statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(ids.len(), 3);
        assert_eq!(ids[0], "01900000000070008000000000000001");
        assert!(ids.is_sorted());
    }
}
