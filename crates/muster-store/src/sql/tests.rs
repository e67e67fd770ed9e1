use super::*;

fn check(source: &str, sqlite: &str, postgres: &str) {
    assert_eq!(rewrite(source, Dialect::Sqlite), sqlite);
    assert_eq!(rewrite(source, Dialect::Postgres), postgres);
}

#[test]
fn parameters_become_numbered_question_marks_on_one_dialect_only() {
    check(
        "UPDATE t SET a=$1 WHERE b = $12",
        "UPDATE t SET a=?1 WHERE b = ?12",
        "UPDATE t SET a=$1 WHERE b = $12",
    );
}

#[test]
fn quoted_text_and_comments_are_left_alone() {
    let source = "SELECT '$1 it''s UUID_T', \"UUID_T\" -- $2 UUID_T\n/* $3 UUID_T */";
    check(source, source, source);
    check("SELECT 'é' || $1 -- $2", "SELECT 'é' || ?1 -- $2", "SELECT 'é' || $1 -- $2");
    check("SELECT '$1", "SELECT '$1", "SELECT '$1");
}

#[test]
fn type_words_are_whole_words() {
    check("a UUID_T, b BYTES_T", "a BLOB, b BLOB", "a UUID, b BYTEA");
    check("UUID_TX XUUID_T UUID_T_2", "UUID_TX XUUID_T UUID_T_2", "UUID_TX XUUID_T UUID_T_2");
    check("n TEXT_KEY NOT NULL", "n TEXT NOT NULL", "n TEXT COLLATE \"C\" NOT NULL");
}

#[test]
fn a_text_is_rewritten_once() {
    let texts = Texts::new(Dialect::Sqlite);
    let first = texts.text("SELECT $1".into());
    let second = texts.text("SELECT $1".into());
    assert!(Arc::ptr_eq(&first, &second));
}

#[test]
fn two_texts_go_to_one_dialect_each() {
    let sql = crate::sql2! { sqlite: "SELECT $1", pg: "SELECT $1::text" };
    assert_eq!(&*Texts::new(Dialect::Sqlite).text(sql), "SELECT ?1");
    assert_eq!(&*Texts::new(Dialect::Postgres).text(sql), "SELECT $1::text");
}

#[test]
fn an_insert_of_one_row_becomes_one_of_many() {
    let one = "INSERT INTO t (a, b, c) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING";
    assert_eq!(for_rows(one, 1), one);
    let three = "INSERT INTO t (a, b, c) VALUES ($1, $2, 0), ($3, $4, 0), ($5, $6, 0) ON CONFLICT DO NOTHING";
    assert_eq!(for_rows(one, 3), three);
}
