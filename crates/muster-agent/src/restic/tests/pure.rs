use std::time::Duration;

use muster_wire::job::{JobOutcome, JobResult};
use muster_wire::text::{AbsolutePath, Line};
use proptest::prelude::*;
use secrecy::ExposeSecret;
use tokio::sync::mpsc;

use super::super::backup::backup_arguments;
use super::super::failure::{Exit, judge};
use super::super::output::{Lines, Listener, Moved, Said};
use super::super::repository::percent_encoded;
use super::super::scrub::Scrub;
use super::super::{MAX_LOG_LINE_BYTES, Repository, RepositoryRefused, ResticEvent, Stopped, job_end};
use super::{Failure, REPOSITORY_CANARY, SERVER_CANARY, host, secret, with_user, work};

fn check_url(url: &str, expected: Result<&str, RepositoryRefused>) {
    let parsed = Repository::parse(&secret(url));
    let url_handed_over = parsed.as_ref().map(|repository| repository.url().expose_secret());
    assert_eq!(url_handed_over.map_err(|refused| *refused), expected, "{url}");
}

#[test]
fn b27_only_listed_schemes_pass() {
    for good in [
        "rest:http://backup.example:8000/host1/",
        "rest:https://backup.example/",
        "rest:https://[2001:db8::1]:8000/a",
        "s3:https://s3.example/bucket/path",
        "s3:s3.amazonaws.com/bucket",
        "b2:bucket:path",
        "azure:container:/path",
        "gs:bucket:/path",
        "swift:container:/path",
        "/srv/backup/host 1",
    ] {
        check_url(good, Ok(good));
    }
    use RepositoryRefused::{CredentialsInUrl, Malformed, Scheme};
    check_url("rclone:remote:path", Err(Scheme));
    check_url("rclone:--rc-addr=:1:path", Err(Scheme));
    check_url("sftp:user@host:/srv", Err(Scheme));
    check_url("sftp:-oProxyCommand=touch$IFS/x", Err(Scheme));
    check_url("sftp://host//srv", Err(Scheme));
    check_url("rest:ftp://host/", Err(Scheme));
    check_url("rest:file:///etc", Err(Scheme));
    check_url("rest:host/x", Err(Scheme));
    check_url("REST:http://host/", Err(Scheme));
    check_url("http://host/", Err(Scheme));
    check_url("local:/srv", Err(Scheme));
    check_url("srv/relative", Err(Scheme));
    check_url("--password-command=id", Err(Scheme));
    check_url("/srv/../etc", Err(Malformed));
    check_url("rest:http:///path", Err(Malformed));
    check_url("rest:http://host:99999/", Err(Malformed));
    check_url("rest:http://host/a b", Err(Malformed));
    check_url("rest:http://host\\@evil/", Err(Malformed));
    check_url("rest:http://host/?query", Err(Malformed));
    check_url("rest:http://host/#fragment", Err(Malformed));
    check_url("s3:", Err(Malformed));
    check_url("b2:/", Err(Malformed));
    check_url("rest:http://user:pw@host/", Err(CredentialsInUrl));
    check_url("rest:http://user@host/", Err(CredentialsInUrl));
    check_url("s3:https://id:key@s3.example/bucket", Err(CredentialsInUrl));
}

#[test]
fn user_and_password_go_into_a_rest_url_encoded() {
    let check = |user: &str, password: &str, expected: &str| {
        let repository = Repository::parse(&with_user("rest:http://h:1/p/", user, password)).unwrap();
        assert_eq!(repository.url().expose_secret(), expected);
        assert_eq!(repository.shown(), "rest:http://h:1/p/");
        assert_eq!(format!("{repository:?}"), "Repository(rest:http://h:1/p/)");
    };
    check("u", "p", "rest:http://u:p@h:1/p/");
    check("a@b", "p:/?#[]@%", "rest:http://a%40b:p%3A%2F%3F%23%5B%5D%40%25@h:1/p/");
    check("ü", "a b+c", "rest:http://%C3%BC:a%20b%2Bc@h:1/p/");
}

proptest! {
    #[test]
    fn any_credentials_survive_the_url(user in "[^\\p{C}\\s]{1,20}", password in "[^\\p{C}\\s]{1,40}") {
        let url = format!("http://{}:{}@host/", percent_encoded(&user), percent_encoded(&password));
        let url = url::Url::parse(&url).unwrap();
        let decoded = |text: &str| {
            let mut bytes = Vec::new();
            let mut rest = text.bytes();
            while let Some(byte) = rest.next() {
                if byte == b'%' {
                    let pair = [rest.next().unwrap(), rest.next().unwrap()];
                    bytes.push(u8::from_str_radix(std::str::from_utf8(&pair).unwrap(), 16).unwrap());
                } else {
                    bytes.push(byte);
                }
            }
            String::from_utf8(bytes).unwrap()
        };
        prop_assert_eq!(url.host_str(), Some("host"));
        prop_assert_eq!(decoded(url.username()), user);
        prop_assert_eq!(decoded(url.password().unwrap()), password);
    }

    #[test]
    fn b22_no_secret_survives_the_scrub(before in ".{0,40}", after in ".{0,40}", password in "[!-~]{8,40}") {
        let repository = Repository::parse(&with_user("rest:http://h/", "user", &password)).unwrap();
        let scrub = Scrub::of(&repository);
        let spoken = format!("{before}{password}{after} {} {password:?}", repository.url().expose_secret());
        let cleaned = scrub.clean(&spoken, MAX_LOG_LINE_BYTES);
        prop_assert!(!cleaned.contains(&password), "{}", cleaned);
        prop_assert!(!cleaned.contains(&percent_encoded(&password)), "{}", cleaned);
    }
}

#[test]
fn credentials_are_whole_and_only_where_they_work() {
    use RepositoryRefused::{CredentialsUnsupported, HalfCredentials, MalformedAccessKey};
    let check = |secret, expected| assert_eq!(Repository::parse(&secret).unwrap_err(), expected);
    let mut half = with_user("rest:http://h/", "u", "p");
    half.http_password = None;
    check(half, HalfCredentials);
    check(with_user("/srv/backup", "u", "p"), CredentialsUnsupported);
    check(with_user("b2:bucket", "u", "p"), CredentialsUnsupported);
    check(with_user("s3:s3.example/b", "AKIA", "p\"]"), MalformedAccessKey);
    let s3 = Repository::parse(&with_user("s3:s3.example/b", "AKIA1", "se/cr+et=")).unwrap();
    let expected = "[default]\naws_access_key_id = AKIA1\naws_secret_access_key = se/cr+et=\n";
    assert_eq!(s3.key_file().unwrap().expose_secret(), expected);
}

#[test]
fn b27_arguments_cannot_turn_into_options() {
    let mut work = work(&["/--password-command=id", "/srv/a b"]);
    work.tags = ["a=b"].iter().map(|tag| tag.parse().unwrap()).collect();
    let paths: Vec<&AbsolutePath> = work.paths.iter().collect();
    let expected = [
        "backup",
        "--json",
        "--host=host_00000000000000000000000000001234",
        "--tag=a=b",
        "--",
        "/--password-command=id",
        "/srv/a b",
    ];
    assert_eq!(backup_arguments(host(), &work, &paths), expected);
}

fn unscrubbed(line: &str) -> Said {
    Said { raw: line.to_owned().into(), shown: line.to_owned() }
}

/// A password may be a word that restic uses itself: the line is judged as it was, and shown without it.
#[test]
fn a_credential_that_looks_like_restics_words_does_not_hide_them() {
    let said = [Said {
        raw: "Fatal: wrong password or no key found".to_owned().into(),
        shown: "Fatal: *** password or no key found".to_owned(),
    }];
    let failure = judge(Exit::Code(1), &said, "rest:http://h/");
    assert!(matches!(failure, Failure::WrongPassword { .. }), "{failure:?}");
}

fn check_judged(code: i32, said: &[&str], matches: impl Fn(&Failure) -> bool, in_words: &str) {
    let said: Vec<Said> = said.iter().copied().map(unscrubbed).collect();
    let failure = judge(Exit::Code(code), &said, "rest:http://h/");
    assert!(matches(&failure), "{code} {said:?}: {failure:?}");
    let words = failure.in_words();
    assert!(words.contains(in_words), "{words}");
    assert!(!words.contains('\n'));
}

#[test]
fn c18_failures_are_told_apart_by_code_and_by_words() {
    let asked = "Is there a repository at the following location?";
    let missing = |failure: &Failure| matches!(failure, Failure::RepositoryMissing { .. });
    let unreachable = |failure: &Failure| matches!(failure, Failure::RepositoryUnreachable { .. });
    let denied = |failure: &Failure| matches!(failure, Failure::RepositoryDenied { .. });
    let locked = |failure: &Failure| matches!(failure, Failure::RepositoryLocked { .. });
    let wrong_password = |failure: &Failure| matches!(failure, Failure::WrongPassword { .. });
    let other = |failure: &Failure| matches!(failure, Failure::Other { .. });
    check_judged(
        10,
        &["Fatal: repository does not exist: unable to open config file"],
        missing,
        "no repository at",
    );
    check_judged(11, &[], locked, "in use by another restic");
    check_judged(12, &[], wrong_password, "correct `password`");
    check_judged(1, &["Fatal: wrong password or no key found"], wrong_password, "does not open");
    check_judged(
        1,
        &["Fatal: unable to open config file: <config/> does not exist", asked],
        missing,
        "no repository",
    );
    let local = "Fatal: unable to open config file: stat /srv/r/config: no such file or directory";
    check_judged(1, &[local, asked], missing, "no repository");
    let refused = "Fatal: unable to open config file: dial tcp 127.0.0.1:1: connect: connection refused";
    check_judged(1, &[refused, asked], unreachable, "connection refused");
    check_judged(1, &["Fatal: lookup x.invalid: no such host", asked], unreachable, "no such host");
    check_judged(1, &["x509: certificate signed by unknown authority", asked], unreachable, "x509");
    check_judged(1, &["unexpected HTTP response (502): 502 Bad Gateway", asked], unreachable, "502");
    check_judged(1, &["unexpected HTTP response (401): 401 Unauthorized", asked], denied, "`http_password`");
    check_judged(1, &["unexpected HTTP response (403): 403 Forbidden"], denied, "`user`");
    let held =
        "unable to create lock in backend: repository is already locked exclusively by PID 7 on web by root";
    check_judged(1, &[held], locked, "PID 7 on web");
    check_judged(
        1,
        &["Fatal: all target directories/files do not exist"],
        |f| matches!(f, Failure::PathMissing { .. }),
        "nothing to save",
    );
    check_judged(
        1,
        &["Fatal: snapshot is empty"],
        |f| matches!(f, Failure::SourceUnreadable { .. }),
        "nothing could be read",
    );
    check_judged(
        1,
        &["Fatal: unable to open config file: stat /srv/r/config: permission denied", asked],
        other,
        "permission denied",
    );
    check_judged(
        1,
        &["Fatal: no space left on device", "later"],
        other,
        "exit code 1 (no space left on device)",
    );
    check_judged(77, &[], other, "exit code 77 (it said nothing)");
    check_judged(130, &[], |f| *f == Failure::Killed(Stopped::Signal(2)), "signal 2");
}

#[test]
fn every_failure_says_what_to_do_in_one_short_line() {
    let result =
        JobResult { snapshot_id: Line::parse("ab12").unwrap(), bytes_processed: 1, bytes_added: 1, files: 1 };
    let said = "x".repeat(200);
    let repository = format!("rest:http://{}", "h".repeat(148));
    let path = format!("/{}", "p".repeat(100));
    for failure in [
        Failure::ResticMissing,
        Failure::RepositoryRefused(RepositoryRefused::CredentialsInUrl),
        Failure::RepositoryUnreachable { repository: repository.clone(), said: said.clone() },
        Failure::RepositoryDenied { repository: repository.clone() },
        Failure::RepositoryMissing { repository: repository.clone() },
        Failure::WrongPassword { repository },
        Failure::RepositoryLocked { said: said.clone() },
        Failure::PathMissing { path },
        Failure::SourceUnreadable { said: said.clone() },
        Failure::Partial { result, said: said.clone() },
        Failure::Killed(Stopped::Cancelled),
        Failure::Killed(Stopped::TimeLimit(Duration::from_secs(7200))),
        Failure::Killed(Stopped::Quiet(Duration::from_secs(90))),
        Failure::Killed(Stopped::Signal(9)),
        Failure::Other { exit: Some(1), said: said.clone() },
        Failure::Other { exit: None, said },
    ] {
        let words = failure.in_words();
        assert!(words.chars().count() <= 512 && !words.contains('\n') && !words.ends_with('.'), "{words}");
        let end = job_end(Err(failure.clone()));
        assert_eq!(end.outcome, JobOutcome::Failed);
        assert_eq!(end.failure.unwrap().as_str(), words);
        assert_eq!(end.result.is_some(), matches!(failure, Failure::Partial { .. }));
    }
    assert!(Failure::ResticMissing.in_words().contains("apt install restic"));
    assert!(
        Failure::Killed(Stopped::TimeLimit(Duration::from_secs(7200))).in_words().contains("120 minutes")
    );
}

#[test]
fn user_information_is_hidden_in_any_url() {
    let check = |text: &str, expected: &str| assert_eq!(Scrub::nothing().clean(text, 100), expected);
    check("at rest:http://u:p@h/x and \"https://v:q@i\"", "at rest:http://***@h/x and \"https://***@i\"");
    check("http://h/@x mail a@b", "http://h/@x mail a@b");
    check("\x1b[31mred\u{7}\n", "[31mred");
    assert_eq!(Scrub::nothing().clean(&"ä".repeat(90), 101), "ä".repeat(50));
}

#[tokio::test]
async fn lines_are_bounded_and_never_lost() {
    let long = "x".repeat(200_000);
    let text = format!("one\n{long}\n\ntwo");
    let mut lines = Lines::new(text.as_bytes());
    let mut read = Vec::new();
    while let Some(line) = lines.next().await.unwrap() {
        read.push(line.len());
    }
    assert_eq!(read, [3, 64 * 1024, 0, 3]);
}

#[tokio::test]
async fn json_of_old_and_new_restic_is_understood() {
    let scrub = Scrub::nothing();
    let (sender, mut receiver) = mpsc::channel(100);
    let mut listener = Listener::new(&scrub, Some(&sender));
    let status = r#"{"message_type":"status","percent_done":0.25,"total_files":4,"files_done":1,"total_bytes":100,"bytes_done":25}"#;
    assert_eq!(listener.hear(status).await, Moved::Yes);
    assert_eq!(listener.hear(status).await, Moved::No, "the same counters are no progress");
    assert_eq!(listener.hear(r#"{"message_type":"verbose_status"}"#).await, Moved::No);
    assert_eq!(listener.hear("{ not json").await, Moved::No);
    listener.hear(r#"{"message_type":"error","error":{"Op":"read","Err":13},"item":"/a"}"#).await;
    listener.hear(r#"{"message_type":"error","error":{"message":"gone"},"item":"/b"}"#).await;
    listener.hear(r#"{"message_type":"error","error":{},"item":"/c"}"#).await;
    listener.hear(r#"{"message_type":"exit_error","code":11,"message":"Fatal: locked"}"#).await;
    let summary = r#"{"message_type":"summary","data_added":5,"total_files_processed":2,"total_bytes_processed":9,"snapshot_id":"ab12","new":1}"#;
    listener.hear(summary).await;
    let heard = listener.heard();
    assert_eq!(heard.said, [unscrubbed("Fatal: locked")]);
    assert!(heard.first_error.unwrap().starts_with("/a: Permission denied"));
    let expected =
        JobResult { snapshot_id: Line::parse("ab12").unwrap(), bytes_processed: 9, bytes_added: 5, files: 2 };
    assert_eq!(heard.summary, Some(expected.clone()));
    drop(sender);
    let mut events = Vec::new();
    while let Some(event) = receiver.recv().await {
        events.push(event);
    }
    assert!(
        matches!(&events[0], ResticEvent::Progress(progress) if progress.percent.get() == 25 && progress.bytes_done == 25)
    );
    assert!(matches!(&events[3], ResticEvent::Log(line) if line == "/b: gone"));
    assert_eq!(events.last(), Some(&ResticEvent::Summary(expected)));
}

#[tokio::test]
async fn b08_a_flood_of_hostile_lines_is_cut_and_cleaned() {
    let repository = Repository::parse(&with_user("rest:http://h/", "u", SERVER_CANARY)).unwrap();
    let scrub = Scrub::of(&repository);
    let (sender, mut receiver) = mpsc::channel(5_000);
    let mut listener = Listener::new(&scrub, Some(&sender));
    for n in 0..2_100 {
        listener
            .hear(&format!(
                "{n} \x1b]0;x\x07 {REPOSITORY_CANARY} {SERVER_CANARY} {}",
                "y".repeat(if n < 100 { 9_000 } else { 9 })
            ))
            .await;
    }
    assert_eq!(listener.heard().said.len(), 64);
    drop(sender);
    let mut count = 0;
    while let Some(event) = receiver.recv().await {
        let ResticEvent::Log(line) = event else { panic!("{event:?}") };
        super::assert_no_secret(&line);
        assert!(line.len() <= MAX_LOG_LINE_BYTES && !line.contains(char::is_control));
        count += 1;
    }
    assert_eq!(count, 2_001);
}
