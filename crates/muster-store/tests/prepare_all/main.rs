//! Compiles every SQL literal of `src/methods` on both databases.
//!
//! SQL that does not run in any other test still cannot be wrong about a table, a column or a dialect. Nothing is
//! registered: a literal that begins with an upper-case verb is SQL, and the engine refuses (in debug builds) to run
//! what does not begin with one. Literals of a `macro_rules!` are parts of texts and are left out: a text that is put
//! together must be run by a test of its own.

#![allow(clippy::unwrap_used, reason = "a test that cannot read the sources fails")]

#[path = "../backends/mod.rs"]
mod backends;
mod literals;

use std::fs;
use std::path::{Path, PathBuf};

use literals::{Literal, Only, literals};
use muster_store::{Sql, Store, StoreError};

use backends::both;

const VERBS: [&str; 5] = ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// Returns where each statement stands, and the statement.
fn statements() -> Vec<(String, Literal)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![root.join("methods.rs")];
    sources(&root.join("methods"), &mut files);
    files.sort();
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.exists()) {
        for literal in literals(&fs::read_to_string(file).unwrap()) {
            if VERBS.iter().any(|verb| literal.text.trim_start().starts_with(verb)) {
                let name = file.strip_prefix(&root).unwrap().display();
                found.push((format!("{name}:{}", literal.line), literal));
            }
        }
    }
    found
}

async fn refused(store: Store, only: Only) -> Vec<String> {
    let mut refused = Vec::new();
    for (place, literal) in statements() {
        if literal.only.is_some_and(|dialect| dialect != only) {
            continue;
        }
        let text: &'static str = literal.text.leak();
        let prepared: Result<(), StoreError> = store.read(move |tx| tx.prepare(Sql::from(text))).await;
        if let Err(error) = prepared {
            let cause = std::error::Error::source(&error).map(describe).unwrap_or_default();
            refused.push(format!("{place}: {error}: {cause}\n    {text}"));
        }
    }
    refused
}

/// Returns an error with its causes: PostgreSQL's own words are the second of them.
fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{cause}")
}

both! {
    async fn every_literal_compiles(store: Store) {
        let only = if format!("{store:?}").contains("Sqlite") { Only::Sqlite } else { Only::Postgres };
        let refused = refused(store, only).await;
        assert!(refused.is_empty(), "{} statements were refused:\n{}", refused.len(), refused.join("\n"));
    }

    async fn a_wrong_literal_is_refused(store: Store) {
        for text in ["SELECT nothing FROM nowhere", "SELECT 1 WHERE", "INSERT INTO nowhere VALUES ($1)"] {
            assert!(store.read(move |tx| tx.prepare(text)).await.is_err(), "{text}");
        }
    }
}

/// What ended is forgotten in batches: one that read every row there is would be interrupted for ever.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_forgotten_of_people_is_found_by_an_index() {
    let place = backends::Place::sqlite();
    let store = place.open().await;
    store.close().await;
    let database = rusqlite::Connection::open(place.file()).unwrap();
    let mut batches = 0;
    for (at, literal) in statements() {
        let tables = ["operator_token", "invitation", "web_session"];
        if !tables.iter().any(|table| literal.text.contains(&format!("DELETE FROM {table} WHERE"))) {
            continue;
        }
        let mut plan = database.prepare(&format!("EXPLAIN QUERY PLAN {}", literal.text)).unwrap();
        let steps: Vec<String> = plan.raw_query().mapped(|row| row.get(3)).map(Result::unwrap).collect();
        let steps = steps.join("; ");
        assert!(!steps.contains("SCAN") && !steps.contains("TEMP B-TREE"), "{at}: {steps}");
        batches += 1;
    }
    assert_eq!(batches, 4);
}

/// What is over goes in batches, too, and is found by its age.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_is_found_by_an_index() {
    let place = backends::Place::sqlite();
    place.open().await.close().await;
    let database = rusqlite::Connection::open(place.file()).unwrap();
    let mut batches = 0;
    for (at, literal) in statements() {
        if !at.starts_with("methods/retention.rs") {
            continue;
        }
        let mut plan = database.prepare(&format!("EXPLAIN QUERY PLAN {}", literal.text)).unwrap();
        let steps: Vec<String> = plan.raw_query().mapped(|row| row.get(3)).map(Result::unwrap).collect();
        let steps = steps.join("; ");
        assert!(!steps.contains("SCAN") && !steps.contains("TEMP B-TREE"), "{at}: {steps}");
        batches += 1;
    }
    assert_eq!(batches, 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_the_audit_trail_reads_only_what_it_shows() {
    let place = backends::Place::sqlite();
    let store = place.open().await;
    store.close().await;
    let database = rusqlite::Connection::open(place.file()).unwrap();
    let mut pages = 0;
    for (at, literal) in statements() {
        let is_page = literal.text.contains("LIMIT") || literal.text.contains("(position)");
        if !(literal.text.contains("FROM audit") && is_page) {
            continue;
        }
        let mut plan = database.prepare(&format!("EXPLAIN QUERY PLAN {}", literal.text)).unwrap();
        let steps: Vec<String> = plan.raw_query().mapped(|row| row.get(3)).map(Result::unwrap).collect();
        let steps = steps.join("; ");
        let index = match &literal.text {
            text if text.contains("AND target = ") => {
                "INDEX audit_target (team_id=? AND target=? AND position"
            }
            text if text.contains("AND host_id = ") => {
                "INDEX audit_host (team_id=? AND host_id=? AND position"
            }
            text if text.contains("AND actor = ") => "INDEX audit_actor (team_id=? AND actor=? AND position",
            text if text.contains("AND action = ") => {
                "INDEX audit_action (team_id=? AND action=? AND position"
            }
            text if text.contains("AND outcome = ") => {
                "INDEX audit_outcome (team_id=? AND outcome=? AND position"
            }
            text if text.contains("position IS NULL") => "position=?",
            text if text.contains("(position)") => "COVERING INDEX audit_time (team_id=? AND at",
            text if text.contains("team_id = ") => "INDEX audit_team (team_id=? AND position",
            _ => "(position",
        };
        assert!(
            steps.contains(index) && !steps.contains("SCAN") && !steps.contains("TEMP B-TREE"),
            "{at}: {steps}"
        );
        pages += 1;
    }
    assert_eq!(pages, 19);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_what_a_ticket_admitted_reads_only_what_it_shows() {
    let place = backends::Place::sqlite();
    place.open().await.close().await;
    let database = rusqlite::Connection::open(place.file()).unwrap();
    let mut pages = statements();
    pages.retain(|(_, literal)| literal.text.contains("max(created_at) AS at FROM host_key"));
    let [(at, page)] = &pages[..] else { panic!("one page: {pages:?}", pages = pages.len()) };
    let mut plan = database.prepare(&format!("EXPLAIN QUERY PLAN {}", page.text)).unwrap();
    let steps: Vec<String> = plan.raw_query().mapped(|row| row.get(3)).map(Result::unwrap).collect();
    let paged = "COVERING INDEX host_key_admitted (ticket_id=? AND host_id>?";
    assert!(steps.iter().any(|step| step.contains(paged)), "{at}: {steps:?}");
    // Each host of the page is found by its id, and nothing is read only to be sorted before the limit.
    let host = steps.iter().position(|step| step.starts_with("SEARCH host ")).unwrap();
    assert!(
        steps[host].contains("id=?") && steps[..host].contains(&"SCAN admitted".to_owned()),
        "{at}: {steps:?}"
    );
    assert!(!steps[..host].iter().any(|step| step.contains("TEMP B-TREE")), "{at}: {steps:?}");
}

/// Returns how SQLite comes by the rows of a statement.
fn plan(database: &rusqlite::Connection, text: &str) -> String {
    let mut plan = database.prepare(&format!("EXPLAIN QUERY PLAN {text}")).unwrap();
    let steps: Vec<String> = plan.raw_query().mapped(|row| row.get(3)).map(Result::unwrap).collect();
    steps.join("; ")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_what_was_made_reads_only_what_it_shows_from_either_end() {
    let place = backends::Place::sqlite();
    place.open().await.close().await;
    let database = rusqlite::Connection::open(place.file()).unwrap();
    let mut pages = 0;
    for (at, literal) in statements() {
        let behind = ["created_at, id) > (", "created_at, id) < ("];
        let columns = literal.text.replace("operator_token.", "");
        if !behind.iter().any(|behind| columns.contains(behind)) || columns.contains("RECURSIVE") {
            continue;
        }
        let is_newest_first = columns.contains("DESC, id DESC LIMIT");
        let from = if is_newest_first { "(created_at,id)<(?,?))" } else { "(created_at,id)>(?,?))" };
        let steps = plan(&database, &literal.text);
        assert!(
            steps.contains(from) && !steps.contains("SCAN") && !steps.contains("TEMP B-TREE"),
            "{at}: {steps}"
        );
        pages += 1;
    }
    assert_eq!(pages, 8, "tickets, tokens of a person and of a team, invitations");
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_of_one_name_come_from_their_own_index() {
    let place = backends::Place::sqlite();
    place.open().await.close().await;
    let database = rusqlite::Connection::open(place.file()).unwrap();
    let of_name = |text: &str| text.starts_with("SELECT id FROM host ") && text.contains("AND name = ");
    let mut found = statements();
    found.retain(|(_, literal)| of_name(&literal.text));
    let [(at, literal)] = &found[..] else { panic!("one statement: {}", found.len()) };
    let steps = plan(&database, &literal.text);
    let expected = "SEARCH host USING COVERING INDEX host_name (team_id=? AND name=? AND id>?)";
    assert_eq!(steps, expected, "{at}");
}
