use std::io::Write;

use clap::Parser;
use muster_ids::Timestamp;
use muster_wire::endpoint::EndpointTarget;
use serde_json::json;

use super::*;

#[derive(Debug, Parser)]
struct Typed {
    #[command(subcommand)]
    notify: Notify,
}

fn create(arguments: &[&str]) -> Result<Create, String> {
    let typed = Typed::try_parse_from([&["notify", "create", "ops"], arguments].concat());
    match typed.map_err(|error| error.to_string())?.notify {
        Notify::Create(create) => Ok(*create),
        other => Err(format!("{other:?}")),
    }
}

fn file(content: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file
}

#[test]
fn each_kind_is_put_together_from_its_options_and_files() {
    let secret = file("a word\n");
    let url = file("https://hooks.example.org/services/word\n");
    let topic = file("backups\n");
    let (secret, url, topic) =
        (secret.path().to_str().unwrap(), url.path().to_str().unwrap(), topic.path().to_str().unwrap());
    let table: Vec<(Vec<&str>, serde_json::Value)> = vec![
        (
            vec![
                "--kind",
                "email",
                "--server",
                "mail.example.org",
                "--security",
                "tls",
                "--from",
                "a@example.org",
                "--to",
                "b@example.org",
                "--user",
                "muster",
                "--password-file",
                secret,
            ],
            json!({ "email": { "server": "mail.example.org", "port": 465, "security": "tls", "from": "a@example.org",
                "to": ["b@example.org"], "user": "muster", "password": "a word" } }),
        ),
        (
            vec!["--kind", "ntfy", "--server-url", "https://ntfy.example.org", "--topic-file", topic],
            json!({ "ntfy": { "url": "https://ntfy.example.org/", "topic": "backups" } }),
        ),
        (
            vec!["--kind", "slack", "--url-file", url],
            json!({ "slack": { "url": "https://hooks.example.org/services/word" } }),
        ),
        (
            vec!["--kind", "teams", "--url-file", url],
            json!({ "teams": { "url": "https://hooks.example.org/services/word" } }),
        ),
        (
            vec![
                "--kind",
                "matrix",
                "--server-url",
                "https://m.example.org",
                "--room",
                "!a:m.example.org",
                "--access-token-file",
                secret,
            ],
            json!({ "matrix": { "url": "https://m.example.org/", "room": "!a:m.example.org", "token": "a word" } }),
        ),
    ];
    for (arguments, expected) in table {
        let target: EndpointTarget = create(&arguments).unwrap().target.read().unwrap();
        assert_eq!(serde_json::to_value(&target).unwrap(), expected);
    }
}

#[test]
fn what_a_kind_lacks_is_named_and_no_secret_is_an_argument() {
    let refused = |arguments: &[&str]| create(arguments).map(|create| create.target.read().is_err());
    for arguments in [
        vec!["--kind", "email", "--from", "a@example.org", "--to", "b@example.org"],
        vec!["--kind", "email", "--server", "mail.example.org", "--from", "a@example.org"],
        vec!["--kind", "slack", "--server-url", "https://hooks.example.org/services/word"],
        vec!["--kind", "matrix", "--server-url", "https://m.example.org", "--room", "!a"],
    ] {
        assert_eq!(refused(&arguments), Ok(true), "{arguments:?}");
    }
    for option in ["--password", "--token", "--webhook-url"] {
        assert!(create(&["--kind", "email", option, "word"]).is_err(), "{option}");
    }
    assert!(create(&["--kind", "email", "--user", "muster"]).is_err(), "a user without a password");
    assert!(create(&["--kind", "webhook"]).is_err());
}

#[test]
fn quiet_hours_need_a_zone() {
    let base = ["--kind", "slack", "--url-file", "-"];
    assert!(create(&[&base[..], &["--quiet-hours", "22:00-07:00"]].concat()).is_err());
    assert!(create(&[&base[..], &["--quiet-hours", "22-7", "--time-zone", "UTC"]].concat()).is_err());
    assert!(
        create(&[&base[..], &["--event", "channel.violation"]].concat()).is_err(),
        "nobody is told of it"
    );
    let given = create(
        &[&base[..], &["--quiet-hours", "22:00-07:00", "--time-zone", "UTC", "--quiet-day", "monday"]]
            .concat(),
    );
    let given = given.unwrap();
    assert_eq!(given.quiet_hours.map(|(from, to)| format!("{from} {to}")).as_deref(), Some("22:00 07:00"));
    assert_eq!(given.days, [Day::Monday]);
}

#[test]
fn an_endpoint_is_described_without_its_credentials() {
    let endpoint: Endpoint = serde_json::from_value(json!({
        "id": "endpoint_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5", "kind": "ntfy", "name": "phone",
        "shown_target": "https://ntfy.example.org/bac…", "events": ["host.back"], "group_for_secs": 300,
        "quiet_hours": { "from": "22:00", "to": "07:00", "time_zone": "Europe/Berlin", "days": ["sunday"],
            "urgent_breaks_quiet": false },
        "created_by": "user_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5",
        "created_at": Timestamp::from_millis(0), "updated_at": Timestamp::from_millis(0),
    }))
    .unwrap();
    insta::assert_snapshot!(describe(&endpoint));
    assert_eq!(state(&Endpoint { paused_at: Some(Timestamp::from_millis(0)), ..endpoint }), "paused");
}
