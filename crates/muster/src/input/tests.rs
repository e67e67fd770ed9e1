use std::path::Path;

use muster_wire::host::HostState;
use muster_wire::text::Name;
use secrecy::ExposeSecret;

use super::*;
use crate::failure::Exit;

fn file(folder: &Path, content: &[u8]) -> Source {
    let path = folder.join("file");
    std::fs::write(&path, content).expect("written");
    Source::File(path)
}

#[test]
fn a_token_file_may_end_with_a_line_break() {
    let folder = tempfile::tempdir().expect("a folder");
    let line = file(folder.path(), b"  mso_canary\n").read_line("token").expect("a line");
    assert_eq!(line.expose_secret(), "mso_canary");
}

#[test]
fn what_is_no_token_is_refused_and_not_quoted() {
    let folder = tempfile::tempdir().expect("a folder");
    for content in [&b""[..], b" \n", b"canary\ncanary\n", b"\xffcanary", &[b'x'; 300_000]] {
        let failure = file(folder.path(), content).read_line("token").expect_err("refused");
        assert_eq!(failure.exit(), Exit::Usage);
        assert!(!failure.to_string().contains("canary"), "{failure}");
    }
}

#[test]
fn a_document_that_does_not_hold_is_not_quoted() {
    let folder = tempfile::tempdir().expect("a folder");
    let cases: [(&[u8], &str); 5] = [
        (br#""canary""#, "one JSON object"),
        (br#"["canary"]"#, "one JSON object"),
        (br#"{"password": "canary", "password": "canary"}"#, "repeated"),
        (br#"{"password": "canary""#, "too early"),
        (b"password: canary", "not JSON"),
    ];
    for (content, expected) in cases {
        let failure = file(folder.path(), content).read_document().expect_err("refused").to_string();
        let cause = failure.lines().next().expect("a line");
        assert!(cause.contains(expected) && !cause.contains("canary"), "{cause}");
    }
    let document =
        file(folder.path(), br#"{"password": "canary", "user": null}"#).read_document().expect("an object");
    assert_eq!(document.field_names(), ["password", "user"]);
}

#[test]
fn a_secret_is_named_with_its_place() {
    let secret: NamedSecret = "repo=a=b.json".parse().expect("a secret");
    assert_eq!((secret.name.as_str(), secret.source), ("repo", Source::File("a=b.json".into())));
    assert_eq!("repo=-".parse::<NamedSecret>().expect("a secret").source, Source::Stdin);
    for text in ["repo", "=file", "Repo=file", "repo="] {
        assert!(text.parse::<NamedSecret>().is_err(), "{text}");
    }
}

#[test]
fn secrets_are_given_once() {
    let secret = |text: &str| text.parse::<NamedSecret>().expect("a secret");
    let twice =
        documents(&[secret("repo=-"), secret("other=-")]).expect_err("one standard input").to_string();
    assert!(twice.contains("standard input"), "{twice}");
    let twice = documents(&[secret("repo=a"), secret("repo=b")]).expect_err("one name").to_string();
    assert!(twice.contains("given twice"), "{twice}");
}

#[test]
fn refusals_of_texts_are_words() {
    assert_eq!(wire_text::<Name>("web-1").map(|name| name.to_string()).as_deref(), Ok("web-1"));
    assert_eq!(wire_text::<Name>("").expect_err("empty"), "must not be empty");
    assert_eq!(wire_text::<Name>(&"x".repeat(65)).expect_err("long"), "is too long");
    assert_eq!(wire_text::<Name>("a\u{1b}").expect_err("escape"), "must not hold control characters");
}

#[test]
fn words_of_the_wire_are_options() {
    let command = clap::Command::new("x")
        .arg(clap::Arg::new("state").value_parser(wire_word::<HostState>(&["active", "retired"])));
    let matches = command.clone().try_get_matches_from(["x", "retired"]).expect("a state");
    assert_eq!(matches.get_one::<HostState>("state"), Some(&HostState::Retired));
    assert!(command.try_get_matches_from(["x", "gone"]).is_err());
}
