//! People, tokens and second factors through the real binary: what whoever sits at a terminal sees.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use http::Method;
use muster_testkit::canary::mode;
use serde_json::{Value, json};
use totp_rs::{Builder, Secret};

use crate::cli::Terminal;
use crate::harness::{Backend, Server, now, until};

const PASSWORD: &str = "seven green bottles";
const OTHER_PASSWORD: &str = "nine yellow kettles";

fn items(list: &Value) -> &[Value] {
    list["items"].as_array().unwrap_or_else(|| panic!("no list: {list}"))
}

/// Opens an invitation's link, as a browser would.
async fn accept(server: &Server, link: &str, login: &str) -> u16 {
    let secret = link.split_once('#').unwrap_or_else(|| panic!("no secret in {link}")).1;
    let body = json!({ "login": login, "password": PASSWORD });
    server.ask(Method::POST, "/v1/invitations/accept", Some(secret), Some(&body)).await.status
}

fn kept(server: &Server, name: &str, content: &str) -> PathBuf {
    let file = server.folder().join(name);
    fs::write(&file, content).unwrap();
    file
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_invited_works_and_is_removed() {
    let server = Server::start(Backend::Sqlite).await;
    let url = server.operators_url().to_string();
    let admin = Terminal::first_admin(&server).await;
    admin.says(&["team", "create", "acme"]).await;

    let link = admin.says(&["--team", "acme", "people", "invite", "Grace", "--role", "operator", "-q"]).await;
    assert!(
        link.lines().count() == 1 && link.contains("/invitation#msi_"),
        "-q writes the link alone: {link}"
    );
    let invited = admin.json(&["--team", "acme", "invitation", "list"]).await;
    assert_eq!(items(&invited)[0]["status"], "open", "{invited}");
    assert!(!invited.to_string().contains("msi_"), "a list holds no secret: {invited}");
    assert_eq!(accept(&server, &link, "grace").await, 201);
    let again = accept(&server, &link, "mallory").await;
    assert_eq!(again, 401, "a link is good once");
    let id = items(&invited)[0]["id"].as_str().unwrap();
    let late = admin.run(&["--team", "acme", "invitation", "revoke", id], None).await;
    assert!(late.code == 1 && late.err.contains("muster people remove"), "{}", late.said());

    let grace = Terminal::new(&server, "grace");
    let login = ["login", "--url", &url, "--password", "--login", "grace"];
    let signed_in = grace.run(&login, Some(&format!("{PASSWORD}\n"))).await;
    assert!(!signed_in.said().contains("mso_"), "the token is in the context file alone");
    signed_in.succeeded();
    assert_eq!(mode(grace.context()), Some(0o600));
    let me = grace.json(&["whoami"]).await;
    assert_eq!((&me["role"], &me["team_name"]), (&"operator".into(), &"acme".into()), "{me}");
    let beyond = grace.run(&["people", "invite", "Eve", "--role", "viewer"], None).await;
    assert!(beyond.code == 1 && beyond.err.contains("next:"), "{}", beyond.said());

    admin.says(&["--team", "acme", "people", "role", "Grace", "viewer"]).await;
    assert_eq!(grace.json(&["whoami"]).await["role"], "viewer");
    let asked = admin.run(&["--team", "acme", "people", "remove", "Grace"], None).await;
    assert!(asked.code == 2 && asked.err.contains("--yes"), "nobody can be asked: {}", asked.said());
    assert_eq!(grace.run(&["whoami"], None).await.code, 0);
    admin.says(&["--team", "acme", "people", "remove", "Grace", "--yes"]).await;
    let gone = grace.run(&["whoami"], None).await;
    assert!(gone.code == 1 && gone.err.contains("muster login"), "{}", gone.said());
    assert!(items(&admin.json(&["--team", "acme", "people", "list"]).await).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_may_what_it_was_made_for_until_it_is_revoked() {
    let server = Server::start(Backend::Sqlite).await;
    let url = server.operators_url().to_string();
    let admin = Terminal::first_admin(&server).await;
    let token =
        admin.says(&["token", "create", "ci", "--scope", "see_fleet", "--expires-in", "30d", "-q"]).await;
    assert!(token.starts_with("mso_") && token.lines().count() == 1, "-q writes the token alone");
    let file = kept(&server, "ci-token", &token);
    let ci = Terminal::new(&server, "ci");
    let with = ["--url", &url, "--token-file", text(&file)];
    let who = ci.run(&[&with[..], &["whoami"]].concat(), None).await;
    assert!(who.code == 1 && who.err.contains("the server knows this token"), "{}", who.said());
    ci.says(&[&with[..], &["host", "list"]].concat()).await;
    let beyond = ci.run(&[&with[..], &["site", "create", "x"]].concat(), None).await;
    assert_eq!(beyond.code, 1, "{}", beyond.said());

    let table = admin.says(&["token", "list"]).await;
    let row = table.lines().find(|line| line.contains("ci")).unwrap();
    assert!(row.contains("see_fleet") && row.contains("in 30d"), "{table}");
    assert!(!table.contains("mso_"), "a list holds no secret: {table}");
    let id = row.split_whitespace().next().unwrap();
    assert_eq!(admin.json(&["token", "revoke", id]).await["status"], "revoked");
    let revoked = ci.run(&[&with[..], &["host", "list"]].concat(), None).await;
    assert_eq!(revoked.code, 1, "{}", revoked.said());

    for (arguments, code, says) in [
        (vec!["token", "create", "x", "--scope", "everything"], 2, "see_fleet"),
        (vec!["token", "create", "x", "--expires-in", "400d"], 2, "365d"),
        (vec!["token", "revoke", "not-an-id"], 2, "muster token list"),
        (vec!["token", "revoke", "AAAAAAAAAAAA"], 1, "--of-others"),
        (vec!["people", "role", "admin", "viewer"], 1, "ask another admin"),
        (vec!["people", "remove", "admin", "--yes"], 1, "invite another admin first"),
        (vec!["people", "invite", "Eve", "--role", "owner"], 1, "owner one of any other"),
        (vec!["people", "role", "Nobody", "viewer"], 1, "muster people list"),
        (vec!["invitation", "revoke", "x"], 2, "an invitation"),
        (vec!["team", "owner", "nowhere", "Ada"], 1, "muster team list"),
    ] {
        let ended = admin.run(&arguments, None).await;
        assert!(ended.code == code && ended.err.contains(says), "{arguments:?}: {}", ended.said());
    }
}

/// A device that shows codes.
fn code(secret: &str) -> String {
    let secret = Secret::try_from_base32(secret).unwrap();
    let device = Builder::new().with_secret(secret).with_account_name("x").build().unwrap();
    device.generate(u64::try_from(now().as_millis() / 1000).unwrap()).to_string()
}

/// Sets a second factor up as a person does: reads the secret, types a code, gets the recovery codes.
async fn add_second_factor(server: &Server, terminal: &Terminal) -> (String, Vec<String>) {
    let (out, err) = (server.folder().join("out"), server.folder().join("err"));
    let mut command = terminal.command(&["account", "second-factor", "add"]);
    command.stdin(Stdio::piped()).stdout(fs::File::create(&out).unwrap());
    let mut child = command.stderr(fs::File::create(&err).unwrap()).spawn().unwrap();
    let mut typed = child.stdin.take().unwrap();
    writeln!(typed, "{PASSWORD}").unwrap();
    let secret = until("no secret is shown", Duration::from_secs(20), async || {
        let shown = fs::read_to_string(&err).unwrap();
        let line = shown.lines().find(|line| line.starts_with("Secret  "))?;
        shown.contains("otpauth://totp/").then(|| line["Secret  ".len()..].to_owned())
    })
    .await;
    writeln!(typed, "{}", code(&secret)).unwrap();
    drop(typed);
    let ended = until("it does not end", Duration::from_secs(20), async || child.try_wait().unwrap()).await;
    assert!(ended.success(), "{}", fs::read_to_string(&err).unwrap());
    (secret, fs::read_to_string(&out).unwrap().lines().map(str::to_owned).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_factor_is_asked_for_and_recovery_codes_count_once() {
    let server = Server::start(Backend::Sqlite).await;
    let (url, code_file) = (server.operators_url().to_string(), server.data.join("setup-code"));
    let admin = Terminal::new(&server, "admin");
    let setup = ["setup", "--url", &url, "--code-file", text(&code_file), "--login", "ada"];
    admin.run(&setup, Some(&format!("{PASSWORD}\n{PASSWORD}\n"))).await.succeeded();
    let (_, codes) = add_second_factor(&server, &admin).await;
    assert_eq!(codes.len(), 10, "recovery codes are the result");
    assert!(admin.says(&["account", "show"]).await.contains("Recovery codes left  10"));

    let laptop = Terminal::new(&server, "laptop");
    let login = ["login", "--url", &url, "--password", "--login", "ada"];
    let without = laptop.run(&login, Some(&format!("{PASSWORD}\n"))).await;
    assert!(without.code == 2 && without.err.contains("code of the second factor"), "{}", without.said());
    assert!(!laptop.context().exists());
    let recovery = format!("{PASSWORD}\n{}\n", codes[0]);
    laptop.run(&login, Some(&recovery)).await.succeeded();
    let again = laptop.run(&login, Some(&recovery)).await;
    assert_eq!(again.code, 1, "a recovery code counts once: {}", again.said());

    let second = admin.run(&["account", "second-factor", "add"], Some(&format!("{PASSWORD}\n"))).await;
    assert!(second.code == 1 && second.err.contains("second-factor remove"), "{}", second.said());
    let remove = format!("{PASSWORD}\n{}\n", codes[1]);
    let removed = admin.run(&["account", "second-factor", "remove", "-q"], Some(&remove)).await;
    assert_eq!(removed.succeeded(), "", "-q writes nothing when there is nothing to name");
    laptop.run(&login, Some(&format!("{PASSWORD}\n"))).await.succeeded();

    let weak = admin.run(&["account", "set-password"], Some(&format!("{PASSWORD}\nshort\nshort\n"))).await;
    assert!(weak.code == 1 && weak.err.contains("15 characters"), "{}", weak.said());
    let change = format!("{PASSWORD}\n{OTHER_PASSWORD}\n{OTHER_PASSWORD}\n");
    let changed = admin.run(&["account", "set-password", "-q"], Some(&change)).await;
    assert_eq!(changed.succeeded(), "");
    let login_stays = admin.run(&["account", "set-login", "bob"], None).await;
    assert!(login_stays.code == 1 && login_stays.err.contains("account show"), "{}", login_stays.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_to_the_command_line_is_helped_without_a_server() {
    let server = Server::prepare(Backend::Sqlite);
    let stranger = Terminal::new(&server, "stranger");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = stranger.says(&["completions", shell]).await;
        assert!(script.contains("second-factor"), "{shell}");
    }
    let url = server.operators_url().to_string();
    let nobody = stranger.run(&["whoami", "--url", &url], None).await;
    assert!(nobody.code == 1 && nobody.err.contains("muster login"), "{}", nobody.said());
    let file = kept(&server, "token", "mso_x");
    let away = stranger.run(&["whoami", "--url", &url, "--token-file", text(&file)], None).await;
    assert!(away.code == 3 && away.err.contains("is `muster serve` running"), "{}", away.said());
    for arguments in [&["people", "invite", "Eve"][..], &["people"], &["nonsense"], &["whoami", "--nonsense"]]
    {
        assert_eq!(stranger.run(arguments, None).await.code, 2, "{arguments:?}");
    }
}
