use rusqlite::StatementStatus;

use super::*;
use crate::sql::Dialect;

#[test]
fn a_statement_is_planned_once_whatever_is_bound_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("muster.db");
    let texts = Arc::new(Texts::new(Dialect::Sqlite));
    let connection = Connection::writer(&file, &texts, Clock::system(), &Limits::default()).unwrap();
    let some_keys = "CREATE TABLE key (id INTEGER PRIMARY KEY, state TEXT NOT NULL);
                     CREATE INDEX key_active ON key (id) WHERE state = 'active';";
    connection.inner.execute_batch(some_keys).unwrap();
    let text = "SELECT id FROM key WHERE state = $1 AND id > $2";
    for (state, id) in [("active", 1), ("void", 2), ("active", 3)] {
        let mut statement = connection.inner.prepare_cached(text).unwrap();
        assert!(!statement.exists((state, id)).unwrap());
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0, "for {state} {id}");
    }
}
