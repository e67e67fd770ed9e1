//! A fleet made offline: one machine joined through the door, and its rows are copied with other ids.

use std::path::Path;

use rusqlite::Connection;

/// The tables of a host, and how the columns that differ are made from the number `nth`.
const TABLES: [(&str, &[(&str, &str)]); 4] = [
    (
        "host",
        &[
            ("id", ID),
            ("name", "'fleet-' || printf('%07d', nth)"),
            ("hostname", "'fleet-' || printf('%07d', nth)"),
            ("machine_uid", "'smbios:' || printf('%032x', nth)"),
            ("state", "CASE WHEN nth % 1000 = 0 THEN 'suspended' ELSE 'active' END"),
        ],
    ),
    ("host_key", &[("name", "'jkt:' || printf('%042x', nth) || 'A'"), ("host_id", ID)]),
    ("host_config", &[("host_id", ID)]),
    ("presence", &[("seq", "nth + 10"), ("host_id", ID)]),
];
/// A version 7 id in the order of the numbers, before every id of today.
const ID: &str = "unhex(printf('0190000000007000%016x', (8 << 60) + nth))";

/// Makes `count` hosts in the database of a server that does not run.
pub(super) fn make(database: &Path, count: u64) {
    let database = Connection::open(database).unwrap();
    database.pragma_update(None, "synchronous", "off").unwrap();
    database.pragma_update(None, "foreign_keys", "off").unwrap();
    let numbers = format!(
        "WITH RECURSIVE numbers (nth) AS (SELECT 1 UNION ALL SELECT nth + 1 FROM numbers WHERE nth < {count})"
    );
    database.execute_batch("BEGIN").unwrap();
    for (table, differ) in TABLES {
        let mut statement =
            database.prepare(&format!("SELECT name FROM pragma_table_info('{table}')")).unwrap();
        let columns: Vec<String> =
            statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
        let value = |column: &String| {
            let other = differ.iter().find(|(name, _)| name == column);
            other.map_or_else(|| format!("first.{column}"), |(_, expression)| (*expression).to_owned())
        };
        let values: Vec<String> = columns.iter().map(value).collect();
        for (column, _) in differ {
            assert!(columns.iter().any(|known| known == column), "the table {table} has no column {column}");
        }
        let copied = format!(
            "INSERT INTO {table} ({}) {numbers} SELECT {} FROM numbers, (SELECT * FROM {table} LIMIT 1) AS first",
            columns.join(", "),
            values.join(", ")
        );
        database.execute_batch(&copied).unwrap_or_else(|error| panic!("{table}: {error}"));
    }
    let tags = format!(
        "INSERT INTO host_tag (team_id, host_id, tag) {numbers}
         SELECT first.team_id, {ID}, CASE WHEN nth % 10000 = 0 THEN 'rare' WHEN nth % 2 = 1 THEN 'odd' ELSE 'even' END
           FROM numbers, (SELECT team_id FROM host LIMIT 1) AS first"
    );
    database.execute_batch(&tags).unwrap();
    database.execute_batch("COMMIT; ANALYZE").unwrap();
    database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
}
