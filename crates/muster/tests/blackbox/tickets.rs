//! Tickets through the real binary: rotated, explained, minted by the dozen, reported as leaked.

use std::fs;
use std::path::Path;

use muster_testkit::canary::mode;

use crate::cli::Terminal;
use crate::harness::{Backend, Installation, both};

const BRANCH: &str = "\
name,tags,site,expires,secrets-file,ephemeral-hours
till-1,till role:front,floor,2d,secrets.json,48
till-2,till,floor,2d,,
,,,,,
";
const SECRETS: &str =
    r#"{"repo": {"url": "rest:https://backup.example/till/", "password": "correct-horse-canary"}}"#;

async fn owner(installation: &Installation) -> Terminal {
    let terminal = Terminal::new(&installation.server, "owner");
    let url = installation.server.operators_url().to_string();
    terminal.run(&["login", "--url", &url], Some(&installation.owner.token)).await.succeeded();
    terminal
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn join_strings(out: &Path) -> Vec<String> {
    let read = fs::read_to_string(out).unwrap();
    read.lines().skip(1).map(|line| line.rsplit(',').next().unwrap().to_owned()).collect()
}

both! {
    async fn a_list_becomes_tokens_and_the_same_list_the_same_tokens(backend: Backend) {
        let installation = Installation::start(backend).await;
        let owner = owner(&installation).await;
        let folder = installation.server.folder().join("list");
        fs::create_dir_all(&folder).unwrap();
        let (csv, out, again) = (folder.join("branch.csv"), folder.join("out.csv"), folder.join("again.csv"));
        fs::write(folder.join("secrets.json"), SECRETS).unwrap();

        fs::write(&csv, "name,site,secrets-file\n\u{1b}x,floor,\nok,nowhere,\nbad,floor,absent.json\n").unwrap();
        let before = owner.json(&["ticket", "list"]).await["items"].as_array().unwrap().len();
        let refused = owner.run(&["ticket", "mint-many", "--csv", text(&csv), "--out", text(&out)], None).await;
        assert_eq!(refused.code, 2, "{}", refused.said());
        for line in ["line 2: name", "line 3: ", "line 4: secrets-file"] {
            assert!(refused.err.contains(line), "{line}: {}", refused.err);
        }
        assert!(!out.exists());

        fs::write(&csv, BRANCH).unwrap();
        let made = owner.run(&["ticket", "mint-many", "--csv", text(&csv), "--out", text(&out)], None).await;
        let said = made.said();
        made.succeeded();
        assert!(!said.contains("muster1."), "join strings are in the file alone");
        assert_eq!(mode(&out), Some(0o600));
        let first = join_strings(&out);
        assert_eq!(first.len(), 3);
        assert!(first.iter().all(|line| line.starts_with("muster1.")), "{first:?}");
        let tickets = owner.json(&["ticket", "list"]).await["items"].as_array().unwrap().len();
        assert_eq!(tickets, before + 3, "a list that does not hold mints nothing");

        // As after a crash before the file was written.
        owner.run(&["ticket", "mint-many", "--csv", text(&csv), "--out", text(&again)], None).await.succeeded();
        assert_eq!(join_strings(&again), first);
        let third = owner.run(&["ticket", "mint-many", "--csv", text(&csv), "--out", text(&out)], None).await;
        assert_eq!(third.code, 2, "nothing is overwritten: {}", third.said());

        let hosts = folder.join("hosts.csv");
        fs::write(&csv, "name,site,tags,expires,require-key\ndb-1,floor,role:db,30d,true\n").unwrap();
        owner.run(&["host", "invite-many", "--csv", text(&csv), "--out", text(&hosts)], None).await.succeeded();
        assert_eq!(owner.json(&["host", "show", "db-1"]).await["state"], "invited");
        assert!(join_strings(&hosts)[0].starts_with("muster1."));
    }

    async fn a_key_is_explained_rotated_and_reported(backend: Backend) {
        let installation = Installation::start(backend).await;
        let owner = owner(&installation).await;
        let key = installation.site_key.ticket.id.to_string();
        let planned = owner.says(&["ticket", "mint-site-key", "floor", "--max-uses", "3", "--explain"]).await;
        assert!(planned.contains("3 hosts") && planned.contains("nobody knows"), "{planned}");
        assert!(!planned.contains("muster1."));
        let explained = owner.json(&["ticket", "explain", &key]).await;
        assert_eq!(explained["kind"], "site_key", "{explained}");

        let machine = installation.machine("m-1");
        let admitted = machine.enrol(&installation.site_key.token).await.unwrap();
        assert_eq!(admitted.status, 201, "{admitted:?}");
        let rotated = owner.json(&["ticket", "rotate", &key, "--overlap", "0s"]).await;
        assert!(rotated["join_string"].as_str().unwrap().starts_with("muster1."));
        let late = installation.machine("m-2").enrol(&installation.site_key.token).await.unwrap();
        assert_eq!(late.status, 401, "{late:?}");
        let why = owner.says(&["ticket", "why", &key]).await;
        assert!(why.contains("rotated_out"), "{why}");
        let request = late.header("x-request-id").unwrap().to_owned();
        let why = owner.says(&["ticket", "why", "--request", &request]).await;
        assert!(why.contains("rotated_out") && why.contains(&key), "{why}");

        let shown = owner.says(&["ticket", "leaked", &key, "--dry-run"]).await;
        assert!(shown.contains("m-1"), "{shown}");
        let asked = owner.run(&["ticket", "leaked", &key], None).await;
        assert_eq!(asked.code, 2, "nobody can be asked: {}", asked.said());
        let done = owner.json(&["ticket", "leaked", &key, "--since", "1h", "--yes"]).await;
        assert_eq!((&done["suspended"], &done["ticket"]["status"]), (&1.into(), &"revoked".into()), "{done}");
        let host = owner.json(&["host", "list", "--state", "suspended"]).await;
        assert_eq!(host["items"].as_array().unwrap().len(), 1);
    }
}
