//! Finds the string literals of a Rust source text.

/// The database that a text of `sql2!` is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Only {
    Sqlite,
    Postgres,
}

/// A string literal, as the program sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Literal {
    pub(crate) line: usize,
    pub(crate) text: String,
    pub(crate) only: Option<Only>,
}

/// Returns every string literal outside comments and macros.
pub(crate) fn literals(source: &str) -> Vec<Literal> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(rest) = source.get(at..).filter(|rest| !rest.is_empty()) {
        at += match rest.as_bytes()[0] {
            b'/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            b'/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            b'm' if rest.starts_with("macro_rules!") => rest.find("\n}\n").unwrap_or(rest.len()),
            b'\'' => character_len(rest),
            b'"' => {
                let len = quoted_len(rest);
                found.push(literal(source, at, unescape(&rest[1..len - 1])));
                len
            }
            b'r' if is_raw(source, at) => {
                let hashes = rest[1..].bytes().take_while(|byte| *byte == b'#').count();
                let end = format!("\"{}", "#".repeat(hashes));
                let body = &rest[hashes + 2..];
                let len = body.find(&end).expect("a raw string ends");
                found.push(literal(source, at, body[..len].to_owned()));
                hashes + 2 + len + end.len()
            }
            _ => rest.chars().next().map_or(1, char::len_utf8),
        };
    }
    found
}

fn literal(source: &str, at: usize, text: String) -> Literal {
    let before = source[..at].trim_end();
    let only = if before.ends_with("sqlite:") {
        Some(Only::Sqlite)
    } else if before.ends_with("pg:") {
        Some(Only::Postgres)
    } else {
        None
    };
    Literal { line: source[..at].matches('\n').count() + 1, text, only }
}

fn is_raw(source: &str, at: usize) -> bool {
    let inside_word = source[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
    !inside_word && source[at + 1..].trim_start_matches('#').starts_with('"')
}

/// Length of a character literal, or of the quote alone where it begins a lifetime.
fn character_len(rest: &str) -> usize {
    let mut chars = rest[1..].char_indices();
    match chars.next() {
        Some((_, '\\')) => rest[3..].find('\'').map_or(1, |end| end + 4),
        Some(_) => chars.next().filter(|(_, c)| *c == '\'').map_or(1, |(end, _)| end + 2),
        None => 1,
    }
}

fn quoted_len(rest: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in rest.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    panic!("a string without end: {rest}")
}

fn unescape(body: &str) -> String {
    let mut text = String::new();
    let mut chars = body.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some('\n') => while chars.next_if(|c| c.is_whitespace()).is_some() {},
                Some(other) => text.push(other),
                None => {}
            },
            other => text.push(other),
        }
    }
    text
}

#[test]
fn literals_are_found_as_the_program_sees_them() {
    let source = r##"
        // "SELECT in a comment" and it's fine
        /* "SELECT in another" */
        fn f<'a>(x: &'a str) -> char { let c = '"'; let d = '\''; let e = 'é'; '\n' }
        let a = "SELECT \"b\" \
                 FROM c";
        let b = r#"SELECT "raw""#;
        let var = "SELECT é";
        sql2! { sqlite: "SELECT 1", pg: "SELECT 2" }
    "##;
    let found: Vec<_> = literals(source).into_iter().map(|l| (l.line, l.text, l.only)).collect();
    let expected = [
        (5, "SELECT \"b\" FROM c", None),
        (7, "SELECT \"raw\"", None),
        (8, "SELECT é", None),
        (9, "SELECT 1", Some(Only::Sqlite)),
        (9, "SELECT 2", Some(Only::Postgres)),
    ];
    assert_eq!(found, expected.map(|(line, text, only)| (line, text.to_owned(), only)));
}
