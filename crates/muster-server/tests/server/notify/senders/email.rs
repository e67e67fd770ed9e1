use std::path::PathBuf;

use muster_outbound::Allowed;
use muster_server::notify::email;
use muster_server::outbound::Gate;
use muster_testkit::mail::{MailServer, Security};
use muster_wire::bounds::Whole;
use muster_wire::notification::{EmailConfig, MailSecurity, SecretLine};
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::{NOW, gate, gate_trusting, message};

fn config(server: &str, port: u16, security: &str) -> EmailConfig {
    serde_json::from_value(json!({
        "server": server, "port": port, "security": security, "from": "muster@example.org",
        "to": ["ops@example.org", "ada@example.org"], "user": "muster", "password": "a word",
    }))
    .unwrap()
}

struct Certificate {
    folder: TempDir,
    der: CertificateDer<'static>,
}

/// A certificate for `localhost` that nobody but the test trusts.
fn certificate() -> Certificate {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    Certificate { der: made.cert.der().clone(), folder }
}

impl Certificate {
    fn files(&self) -> (PathBuf, PathBuf) {
        (self.folder.path().join("cert.pem"), self.folder.path().join("key.pem"))
    }
}

fn header<'a>(mail: &'a Value, name: &str) -> Option<&'a str> {
    let head = mail["text"].as_str()?.split("\r\n\r\n").next()?;
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[tokio::test]
async fn mail_is_handed_over_encrypted_and_signed_in() {
    let certificate = certificate();
    let (cert, key) = certificate.files();
    let ways = [("starttls", Security::Starttls(&cert, &key)), ("tls", Security::Tls(&cert, &key))];
    for (word, security) in ways {
        let folder = tempfile::tempdir().unwrap();
        let server = MailServer::start(folder.path(), security, Some(("muster", "a word"))).await.unwrap();
        let config = config("localhost", server.address().port(), word);
        let gate = gate_trusting(vec![certificate.der.clone()]);
        let sent = email::send(&gate, &config, &message("evt_1"), NOW).await.unwrap();
        assert_eq!(sent.status, Some(250), "{word}");

        let mail = server.mail().unwrap();
        assert_eq!(mail.len(), 1);
        assert_eq!((&mail[0]["is_tls"], &mail[0]["user"]), (&json!(true), &json!("muster")), "{word}");
        assert_eq!(mail[0]["from"], "muster@example.org");
        assert_eq!(mail[0]["to"], json!(["ada@example.org", "ops@example.org"]));
        assert_eq!(header(&mail[0], "Message-ID"), Some("<evt_1@example.org>"));
        assert_eq!(header(&mail[0], "Auto-Submitted"), Some("auto-generated"));

        let wrong =
            EmailConfig { password: Some(SecretLine::parse("canary-word").unwrap()), ..config.clone() };
        let refused = email::send(&gate, &wrong, &message("evt_2"), NOW).await.unwrap_err();
        assert_eq!(refused.status, Some(535), "{refused:?}");
        assert!(!refused.error.contains("canary"));

        let stranger = email::send(&super::gate(), &config, &message("evt_3"), NOW).await.unwrap_err();
        assert_eq!(stranger.status, None, "its certificate is nobody's: {stranger:?}");
        assert_eq!(server.mail().unwrap().len(), 1, "nothing else was taken");
    }
}

#[tokio::test]
async fn a_server_that_offers_no_starttls_is_told_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = MailServer::start(folder.path(), Security::Plain, None).await.unwrap();
    let config = config("127.0.0.1", server.address().port(), "starttls");
    let refused = email::send(&gate(), &config, &message("evt_1"), NOW).await.unwrap_err();
    assert!(refused.error.contains("STARTTLS"), "{refused:?}");
    assert_eq!(server.mail().unwrap(), Vec::<Value>::new());
}

#[tokio::test]
async fn plain_mail_goes_to_listed_addresses_only() {
    let folder = tempfile::tempdir().unwrap();
    let server = MailServer::start(folder.path(), Security::Plain, None).await.unwrap();
    let config =
        EmailConfig { user: None, password: None, ..config("127.0.0.1", server.address().port(), "plain") };
    email::send(&gate(), &config, &message("evt_1"), NOW).await.unwrap();
    assert_eq!(server.mail().unwrap().len(), 1);

    let closed = Gate { allowed: Allowed::public_only(), ..gate() };
    for security in [MailSecurity::Plain, MailSecurity::Starttls, MailSecurity::Tls] {
        let config = EmailConfig { security, ..config.clone() };
        let refused = email::send(&closed, &config, &message("evt_2"), NOW).await.unwrap_err();
        assert!(refused.error.contains("not allowed"), "{refused:?}");
    }
    let public = EmailConfig { server: "1.1.1.1".parse().unwrap(), port: Whole::clamped(25), ..config };
    let refused = email::send(&gate(), &public, &message("evt_3"), NOW).await.unwrap_err();
    assert!(refused.error.contains("without encryption"), "{refused:?}");
    assert_eq!(server.mail().unwrap().len(), 1);
}

#[tokio::test]
async fn a_server_that_refuses_for_now_is_a_failure_with_its_status() {
    let folder = tempfile::tempdir().unwrap();
    let server = MailServer::start(folder.path(), Security::Plain, None).await.unwrap();
    let config =
        EmailConfig { user: None, password: None, ..config("127.0.0.1", server.address().port(), "plain") };
    server.refuse(true).unwrap();
    let refused = email::send(&gate(), &config, &message("evt_1"), NOW).await.unwrap_err();
    assert_eq!(refused.status, Some(451));
    server.refuse(false).unwrap();
    email::send(&gate(), &config, &message("evt_1"), NOW).await.unwrap();
    assert_eq!(header(&server.mail().unwrap()[0], "Message-ID"), Some("<evt_1@example.org>"));
}

/// Who stands between puts answers behind the `220` to STARTTLS, so that they pass for the server's.
#[tokio::test]
async fn answers_put_behind_starttls_are_not_taken_for_the_servers() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let certificate = certificate();
    let (cert, key) = certificate.files();
    let folder = tempfile::tempdir().unwrap();
    let server = MailServer::start(folder.path(), Security::Starttls(&cert, &key), None).await.unwrap();
    let behind = server.address();
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let mut client = BufReader::new(client);
        let mut real = BufReader::new(tokio::net::TcpStream::connect(behind).await.unwrap());
        let mut line = String::new();
        loop {
            line.clear();
            // One answer of the server, all its lines.
            while line.as_bytes().get(line.len().saturating_sub(1)) != Some(&b'\n') || is_continued(&line) {
                real.read_line(&mut line).await.unwrap();
            }
            if line.starts_with("220 ") && line.contains("TLS") {
                line.push_str(
                    "250-localhost\r\n250 SIZE\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n",
                );
                client.write_all(line.as_bytes()).await.unwrap();
                break;
            }
            client.write_all(line.as_bytes()).await.unwrap();
            line.clear();
            client.read_line(&mut line).await.unwrap();
            real.write_all(line.as_bytes()).await.unwrap();
        }
        let _ = tokio::io::copy_bidirectional(&mut client, &mut real).await;
    });
    let config = EmailConfig { user: None, password: None, ..config("localhost", port, "starttls") };
    let gate = gate_trusting(vec![certificate.der.clone()]);
    let sent = email::send(&gate, &config, &message("evt_1"), NOW).await;
    assert!(sent.is_err(), "mail that nobody took is said to be taken: {sent:?}");
    assert_eq!(server.mail().unwrap(), Vec::<Value>::new());
}

fn is_continued(lines: &str) -> bool {
    lines.lines().last().is_some_and(|line| line.as_bytes().get(3) == Some(&b'-'))
}
