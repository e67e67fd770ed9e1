//! Whole tables, whatever they are called: what a backup reads and a restore fills.
//!
//! The tables are those the database says it has, so that no list can forget one. Their texts are the only ones that are
//! built at run time, from names the database itself gave.

use std::collections::BTreeSet;

use muster_ids::Timestamp;

use crate::migrate::{Migration, advance, known_tables, matching};
use crate::{MIGRATIONS, Row, StoreError, Tx, Value};

/// The record of the migrations: it belongs to the schema and not to the data.
const RECORD: &str = "schema_migration";
/// Rows that one statement takes; with the columns of any table they stay far below the most parameters of a statement.
const ROWS_A_STATEMENT: usize = 50;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Integer,
    Text,
    Bytes,
    Uuid,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Column {
    name: String,
    kind: Kind,
    is_serial: bool,
}

/// A table as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    name: String,
    columns: Vec<Column>,
}

impl Table {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names of its columns, in the order in which rows are read.
    pub fn columns(&self) -> Vec<String> {
        self.columns.iter().map(|column| column.name.clone()).collect()
    }

    /// Returns a value as this table's database takes it.
    fn fit(&self, at: usize, value: Value) -> Result<Value, StoreError> {
        let column = &self.columns[at];
        match (column.kind, value) {
            (_, Value::Null) => Ok(Value::Null),
            (Kind::Integer, value @ Value::Integer(_)) | (Kind::Text, value @ Value::Text(_)) => Ok(value),
            (Kind::Bytes, Value::Bytes(bytes)) => Ok(Value::Bytes(bytes)),
            (Kind::Uuid, Value::Bytes(bytes)) => match uuid::Uuid::from_slice(&bytes) {
                Ok(uuid) => Ok(Value::Uuid(uuid)),
                Err(_) => Err(self.misfit(column, "an id of another length")),
            },
            (_, other) => Err(self.misfit(column, other.kind())),
        }
    }

    fn misfit(&self, column: &Column, found: &str) -> StoreError {
        StoreError::corrupt(format!("{}.{} cannot hold {found}", self.name, column.name))
    }
}

impl Tx<'_> {
    /// Returns every table of the data, those that others refer to before the others.
    pub fn tables(&mut self) -> Result<Vec<Table>, StoreError> {
        let mut tables: Vec<Table> = Vec::new();
        for found in self.catalog()? {
            let kind = kind(&found.declared).ok_or_else(|| StoreError::Schema {
                what: format!("{}.{} is of the type {}", found.table, found.column, found.declared),
            })?;
            let column = Column { name: found.column, kind, is_serial: found.is_serial };
            match tables.last_mut() {
                Some(table) if table.name == found.table => table.columns.push(column),
                _ => tables.push(Table { name: found.table, columns: vec![column] }),
            }
        }
        tables.retain(|table| table.name != RECORD);
        in_order(tables, &self.references()?)
    }

    /// Returns the migrations that were applied, oldest first. `None`: no program ever made its tables here.
    pub fn schema_versions(&mut self) -> Result<Option<Vec<(u32, String)>>, StoreError> {
        if !self.catalog()?.iter().any(|found| found.table == RECORD) {
            return Ok(None);
        }
        self.migrations_applied().map(Some)
    }

    /// Drops every table and makes those of these migrations, all at once: nobody ever sees them half made.
    pub fn schema_anew(&mut self, list: &'static [Migration], now: Timestamp) -> Result<(), StoreError> {
        self.tables_drop()?;
        while advance(self, list, now)? {}
        Ok(())
    }

    /// Returns tables that no program of this project made.
    pub fn foreign_tables(&mut self) -> Result<Vec<String>, StoreError> {
        let known = known_tables(MIGRATIONS);
        let mut names: Vec<String> = self.catalog()?.into_iter().map(|found| found.table).collect();
        names.dedup();
        names.retain(|name| name != RECORD && !known.contains(&name.as_str()));
        Ok(names)
    }

    /// Counts the rows of a table.
    pub fn table_count(&mut self, table: &Table) -> Result<u64, StoreError> {
        let count = self.one_number(&format!("SELECT count(*) FROM {}", quoted(&table.name)))?;
        Ok(count.unsigned_abs())
    }

    /// Whether a table has no row.
    pub fn table_is_empty(&mut self, table: &Table) -> Result<bool, StoreError> {
        let text = format!("SELECT count(*) FROM (SELECT 1 FROM {} LIMIT 1) AS first", quoted(&table.name));
        Ok(self.one_number(&text)? == 0)
    }

    /// Reads the rows of a table one by one: integers, texts and bytes; ids are their 16 bytes.
    pub fn table_rows(
        &mut self,
        table: &Table,
        mut each: impl FnMut(Vec<Value>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let text = format!("SELECT {} FROM {}", list(&table.columns()), quoted(&table.name));
        let width = table.columns.len();
        self.stream_built(&text, &mut |row: &Row<'_>| {
            let values = (0..width).map(|index| match row.get_value(index)? {
                Value::Uuid(uuid) => Ok(Value::Bytes(uuid.as_bytes().to_vec())),
                value => Ok(value),
            });
            each(values.collect::<Result<_, StoreError>>()?)
        })
    }

    /// Adds rows as [`Tx::table_rows`] gave them, whichever database that was.
    pub fn table_fill(&mut self, table: &Table, rows: Vec<Vec<Value>>) -> Result<(), StoreError> {
        let width = table.columns.len();
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let mut values = Vec::with_capacity(width * ROWS_A_STATEMENT);
            let mut count = 0;
            for row in rows.by_ref().take(ROWS_A_STATEMENT) {
                if row.len() != width {
                    return Err(StoreError::corrupt(format!("a row of {} has another width", table.name)));
                }
                for (at, value) in row.into_iter().enumerate() {
                    values.push(table.fit(at, value)?);
                }
                count += 1;
            }
            let places = (0..count).map(|row| {
                let places: Vec<String> = (1..=width).map(|at| format!("${}", row * width + at)).collect();
                format!("({})", places.join(", "))
            });
            let places: Vec<String> = places.collect();
            let (name, columns) = (quoted(&table.name), list(&table.columns()));
            self.execute_built(
                &format!("INSERT INTO {name} ({columns}) VALUES {}", places.join(", ")),
                &values,
            )?;
        }
        Ok(())
    }

    /// Lets the automatic key of a table go on after the rows it was filled with.
    pub fn table_go_on(&mut self, table: &Table) -> Result<(), StoreError> {
        for column in table.columns.iter().filter(|column| column.is_serial) {
            let (column_name, name) = (quoted(&column.name), quoted(&table.name));
            let last = self.one_number(&format!("SELECT coalesce(max({column_name}), 0) FROM {name}"))?;
            if last > 0 {
                self.serial_go_on(&table.name, &column.name, last)?;
            }
        }
        Ok(())
    }

    /// Removes every table of the data and the record of the migrations: what follows begins with nothing.
    pub fn tables_drop(&mut self) -> Result<(), StoreError> {
        for table in self.tables()?.iter().rev() {
            self.script(&format!("DROP TABLE {}", quoted(&table.name)))?;
        }
        self.script(&format!("DROP TABLE IF EXISTS {RECORD}"))
    }

    fn one_number(&mut self, text: &str) -> Result<i64, StoreError> {
        let mut found = None;
        self.stream_built(text, &mut |row| {
            found = Some(row.get(0)?);
            Ok(())
        })?;
        found.ok_or_else(|| StoreError::corrupt("no row where one must be"))
    }
}

/// Returns the migrations that lead to a schema, if this program knows all of them.
pub fn migrations_to(versions: &[(u32, String)]) -> Result<&'static [Migration], StoreError> {
    matching(versions, MIGRATIONS)
}

/// Puts tables that others refer to before the others.
fn in_order(mut waiting: Vec<Table>, references: &[(String, String)]) -> Result<Vec<Table>, StoreError> {
    let (mut ordered, mut placed) = (Vec::new(), BTreeSet::new());
    while !waiting.is_empty() {
        let (ready, rest): (Vec<Table>, Vec<Table>) = waiting.into_iter().partition(|table| {
            let mut parents = references.iter().filter(|(child, _)| *child == table.name);
            parents.all(|(_, parent)| *parent == table.name || placed.contains(parent))
        });
        if ready.is_empty() {
            return Err(StoreError::Schema { what: "its tables refer to each other in a ring".to_owned() });
        }
        placed.extend(ready.iter().map(|table| table.name.clone()));
        ordered.extend(ready);
        waiting = rest;
    }
    Ok(ordered)
}

fn kind(declared: &str) -> Option<Kind> {
    match declared.to_ascii_lowercase().as_str() {
        "bigint" | "integer" => Some(Kind::Integer),
        "text" => Some(Kind::Text),
        "blob" | "bytea" => Some(Kind::Bytes),
        "uuid" => Some(Kind::Uuid),
        _ => None,
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn list(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    names.join(", ")
}
