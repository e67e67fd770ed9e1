use clap::Parser;
use secrecy::ExposeSecret;

use super::*;
use crate::cli::Cli;

fn global(arguments: &[&str]) -> Global {
    let mut all = vec!["muster"];
    all.extend(arguments);
    all.push("whoami");
    Cli::try_parse_from(all).expect("it parses").global
}

fn context(url: &str) -> Option<Context> {
    Some(Context {
        url: Url::parse(url).expect("a URL"),
        pins: vec!["kept".into()],
        team: None,
        token: SecretString::from("mso_canary"),
    })
}

#[test]
fn a_token_is_never_sent_to_another_server() {
    let elsewhere = global(&["--url", "https://evil.example"]);
    let place = Place::choose(&elsewhere, context("https://muster.example")).expect("a place");
    assert!(place.token.is_none() && place.pins.is_empty());
    assert_eq!(place.url.as_str(), "https://evil.example/");
}

#[test]
fn the_context_is_the_place_when_nobody_says() {
    let place = Place::choose(&global(&[]), context("https://muster.example")).expect("a place");
    assert_eq!(place.token.expect("a token").expose_secret(), "mso_canary");
    assert_eq!((place.url.as_str(), place.pins), ("https://muster.example/", vec!["kept".to_owned()]));
    let same = global(&["--url", "https://muster.example:443", "--pin", "newer"]);
    let place = Place::choose(&same, context("https://muster.example")).expect("a place");
    assert!(place.token.is_some());
    assert_eq!(place.pins, ["newer"]);
}

#[test]
fn a_server_on_this_machine_is_the_place_without_context() {
    let place = Place::choose(&global(&[]), None).expect("a place");
    assert_eq!(place.url.as_str(), "http://127.0.0.1:8600/");
}
