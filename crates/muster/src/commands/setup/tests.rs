use clap::Parser;

use super::*;
use crate::failure::Exit;

#[derive(Debug, Parser)]
struct CommandLine {
    #[command(flatten)]
    setup: Setup,
}

fn request(arguments: &[&str]) -> Result<Request, Failure> {
    let all = ["setup"].iter().chain(arguments);
    CommandLine::try_parse_from(all).expect("it parses").setup.request()
}

#[test]
fn the_code_comes_from_a_file_or_the_command_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("setup-code");
    std::fs::write(&file, "AAAA-BBBB-CCCC-DDDD\n").expect("written");
    let from_file = request(&["--code-file", &file.display().to_string()]).expect("a request");
    let from_argument = request(&["AAAA-BBBB-CCCC-DDDD"]).expect("a request");
    assert_eq!(from_file, from_argument);
    assert_eq!((from_file.admin_name.as_str(), from_file.public_urls.is_empty()), ("admin", true));
    assert_eq!(request(&[&"A".repeat(65)]).map_err(|failure| failure.exit()), Err(Exit::Usage));
}

#[test]
fn addresses_of_machines_are_addresses() {
    for bad in ["muster.example", "ftp://x", ""] {
        assert!(public_url(bad).is_err(), "{bad}");
    }
    let urls = request(&["A", "--public-url", "https://b", "--public-url", "https://a"])
        .expect("a request")
        .public_urls;
    assert_eq!(urls.iter().count(), 2);
}

#[test]
fn the_token_is_not_written_unless_asked_for() {
    let json = r#"{"token_id": "0aB1cD2eF3gH", "user_id": "user_0192f0c1a2b37c4d8e5f60718293a4b1",
        "team_id": "team_0192f0c1a2b37c4d8e5f60718293a4b2", "token": "mso_canary"}"#;
    let minted: MintedToken = serde_json::from_str(json).expect("a token");
    let document = without_token(&minted);
    assert!(document.contains("0aB1cD2eF3gH") && !document.contains("canary"), "{document}");
}
