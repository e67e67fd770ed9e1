//! What the database itself says of its tables.

use crate::{Row, StoreError, Tx, params, sql2};

/// One column of one table, in the database's own words.
pub(crate) struct CatalogRow {
    pub(crate) table: String,
    pub(crate) column: String,
    pub(crate) declared: String,
    pub(crate) is_serial: bool,
}

impl Tx<'_> {
    /// Returns every column of every table, in the order of tables and columns.
    pub(crate) fn catalog(&mut self) -> Result<Vec<CatalogRow>, StoreError> {
        let sql = sql2! {
            sqlite: "SELECT found.name, declared.name, declared.type, 0
                       FROM sqlite_master AS found JOIN pragma_table_info(found.name) AS declared
                      WHERE found.type = 'table' AND found.name NOT LIKE 'sqlite~_%' ESCAPE '~'
                      ORDER BY found.name, declared.cid",
            pg: "SELECT CAST(tables.table_name AS TEXT), CAST(columns.column_name AS TEXT),
                        CAST(columns.data_type AS TEXT), CASE columns.is_identity WHEN 'YES' THEN 1 ELSE 0 END
                   FROM information_schema.tables
                   JOIN information_schema.columns ON columns.table_schema = tables.table_schema
                                                  AND columns.table_name = tables.table_name
                  WHERE tables.table_schema = current_schema() AND tables.table_type = 'BASE TABLE'
                  ORDER BY 1, columns.ordinal_position"
        };
        self.query(sql, params![], |row| {
            Ok(CatalogRow {
                table: row.get(0)?,
                column: row.get(1)?,
                declared: row.get(2)?,
                is_serial: row.get(3)?,
            })
        })
    }

    /// Returns which table refers to which.
    pub(crate) fn references(&mut self) -> Result<Vec<(String, String)>, StoreError> {
        let sql = sql2! {
            sqlite: "SELECT DISTINCT found.name, refers.\"table\"
                       FROM sqlite_master AS found JOIN pragma_foreign_key_list(found.name) AS refers
                      WHERE found.type = 'table'",
            pg: "SELECT DISTINCT CAST(child.relname AS TEXT), CAST(parent.relname AS TEXT)
                   FROM pg_constraint
                   JOIN pg_class AS child ON child.oid = pg_constraint.conrelid
                   JOIN pg_class AS parent ON parent.oid = pg_constraint.confrelid
                   JOIN pg_namespace ON pg_namespace.oid = child.relnamespace
                  WHERE pg_constraint.contype = 'f' AND pg_namespace.nspname = current_schema()"
        };
        self.query(sql, params![], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// Lets an automatic key go on after `last`.
    pub(crate) fn serial_go_on(&mut self, table: &str, column: &str, last: i64) -> Result<(), StoreError> {
        // The other database goes on after the greatest key it saw by itself.
        let sql = sql2! {
            sqlite: "SELECT $3 WHERE $1 <> $2",
            pg: "SELECT setval(pg_get_serial_sequence($1, $2), CAST($3 AS BIGINT))"
        };
        self.query(sql, params![table, column, last], |_: &Row<'_>| Ok(())).map(drop)
    }

    /// Returns the migrations that were applied, oldest first, with the digests of their texts.
    pub(crate) fn migrations_applied(&mut self) -> Result<Vec<(u32, String)>, StoreError> {
        self.query("SELECT version, checksum FROM schema_migration ORDER BY version", params![], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
    }

    /// Writes to the database and leaves it as it is: whoever succeeds knows that it takes changes.
    pub(crate) fn schema_touch(&mut self) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO schema_migration (version, name, checksum, applied_at) VALUES (-1, '', '', 0)",
            params![],
        )?;
        self.execute("DELETE FROM schema_migration WHERE version = -1", params![]).map(drop)
    }
}
