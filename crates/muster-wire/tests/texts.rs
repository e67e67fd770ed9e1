//! SECURITY D, row "text": the charset policy of every text type.

#![expect(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

use std::fmt::Debug;

use muster_wire::text::{AbsolutePath, Hostname, Line, Name, SecretName, Tag, TextError};
use proptest::prelude::*;
use serde::de::DeserializeOwned;

type Parse = fn(&str) -> Result<String, TextError>;

const TYPES: [(&str, Parse); 5] = [
    ("Name", |text| Name::parse(text).map(|name| name.to_string())),
    ("Hostname", |text| Hostname::parse(text).map(|name| name.to_string())),
    ("Tag", |text| Tag::parse(text).map(|tag| tag.to_string())),
    ("SecretName", |text| SecretName::parse(text).map(|name| name.to_string())),
    ("AbsolutePath", |text| AbsolutePath::parse(text).map(|path| path.to_string())),
];

/// Refused by every type, wherever it stands in the text.
#[test]
fn no_text_holds_control_characters() {
    for control in ["\0", "\n", "\r", "\t", "\x1b[31m", "\x1b]0;title\x07", "\x7f", "\u{85}", "\u{9b}0m"] {
        for (name, parse) in TYPES {
            for text in [format!("/a{control}b"), format!("a{control}b"), control.into()] {
                assert!(parse(&text).is_err(), "{name} took {text:?}");
            }
        }
        assert_eq!(Name::parse(&format!("a{control}b")), Err(TextError::ControlCharacter));
        assert_eq!(AbsolutePath::parse(&format!("/a{control}b")), Err(TextError::ControlCharacter));
    }
}

#[test]
fn no_name_holds_what_nobody_sees() {
    let invisible = [
        "\u{ad}",
        "\u{34f}",
        "\u{61c}",
        "\u{115f}",
        "\u{17b4}",
        "\u{180e}",
        "\u{200b}",
        "\u{200d}",
        "\u{200e}",
        "\u{200f}",
        "\u{2028}",
        "\u{2029}",
        "\u{202a}",
        "\u{202e}",
        "\u{2060}",
        "\u{2066}",
        "\u{2069}",
        "\u{2800}",
        "\u{3164}",
        "\u{fe0f}",
        "\u{feff}",
        "\u{ffa0}",
        "\u{fff9}",
        "\u{1bca0}",
        "\u{1d173}",
        "\u{e0001}",
        "\u{e0061}",
    ];
    for character in invisible {
        let text = format!("a{character}b");
        assert_eq!(Name::parse(&text), Err(TextError::InvisibleCharacter), "{text:?}");
        for (name, parse) in TYPES.iter().filter(|(name, _)| *name != "AbsolutePath") {
            assert!(parse(&text).is_err(), "{name} took {text:?}");
        }
    }
}

#[test]
fn spaces_surround_nothing_and_are_nothing() {
    for space in [" ", "   ", "\u{a0}", "\u{2003}", "\u{3000}"] {
        assert_eq!(Name::parse(space), Err(TextError::Empty), "{space:?}");
        assert_eq!(Name::parse(&format!("{space}a")), Err(TextError::SurroundingSpace), "{space:?}");
        assert_eq!(Name::parse(&format!("a{space}")), Err(TextError::SurroundingSpace), "{space:?}");
        for (name, parse) in &TYPES[1..4] {
            assert!(parse(&format!("a{space}b")).is_err(), "{name} took a space");
        }
    }
    assert_eq!(Name::parse("two words").unwrap().as_str(), "two words");
    for (name, parse) in TYPES {
        assert_eq!(parse(""), Err(TextError::Empty), "{name}");
    }
}

#[test]
fn other_scripts_are_names_and_nothing_else() {
    for text in ["Büro Köln", "サーバー室", "😀", "x\u{301}", "ｗｅｂ", "مكتب"] {
        assert_eq!(Name::parse(text).unwrap().as_str(), text);
        for (name, parse) in &TYPES[1..4] {
            assert_eq!(parse(text), Err(TextError::Malformed), "{name} took {text:?}");
        }
    }
    assert!(AbsolutePath::parse("/srv/Büro/😀 x").is_ok());
}

#[test]
fn lengths_end_exactly_at_the_maximum() {
    let exactly = |count: usize, unit: &str| unit.repeat(count);
    for unit in ["a", "é", "😀"] {
        assert!(Name::parse(&exactly(64, unit)).is_ok(), "{unit}");
        assert_eq!(Name::parse(&exactly(65, unit)), Err(TextError::TooLong), "{unit}");
        assert_eq!(Line::<8>::parse(&exactly(9, unit)), Err(TextError::TooLong), "{unit}");
    }
    assert!(Tag::parse(&exactly(64, "a")).is_ok());
    assert_eq!(Tag::parse(&exactly(65, "a")), Err(TextError::TooLong));
    assert!(SecretName::parse(&exactly(32, "a")).is_ok());
    assert_eq!(SecretName::parse(&exactly(33, "a")), Err(TextError::TooLong));
    let path = |bytes: usize| format!("/{}", exactly(bytes - 1, "a"));
    assert!(AbsolutePath::parse(&path(4096)).is_ok());
    assert_eq!(AbsolutePath::parse(&path(4097)), Err(TextError::TooLong));
    let label = exactly(63, "a");
    let longest = format!("{label}.{label}.{label}.{}", exactly(61, "a"));
    assert_eq!(longest.len(), 253);
    assert!(Hostname::parse(&longest).is_ok());
    assert_eq!(Hostname::parse(&format!("{longest}a")), Err(TextError::TooLong));
    assert_eq!(Hostname::parse(&exactly(64, "a")), Err(TextError::Malformed));
    for (name, parse) in TYPES {
        assert_eq!(parse(&exactly(65_536, "a")), Err(TextError::TooLong), "{name}");
    }
}

#[test]
fn hostnames_are_rfc_1123() {
    for good in ["a", "web-1", "web-1.example.org", "7", "0-0", "xn--bcher-kva.example"] {
        assert_eq!(Hostname::parse(good).unwrap().as_str(), good);
    }
    assert_eq!(Hostname::parse("WEB-1.Example").unwrap().as_str(), "web-1.example");
    for bad in [
        ".", "a.", ".a", "a..b", "-a", "a-", "a.-b", "a_b", "a b", "a/b", "a:b", "<img>", "a;b", "'", "*",
        "a%00",
    ] {
        assert_eq!(Hostname::parse(bad), Err(TextError::Malformed), "{bad}");
    }
}

#[test]
fn tags_and_secret_names_keep_to_their_alphabet() {
    for good in ["web", "env=prod", "a:b/c.d_e-f", "7"] {
        assert_eq!(Tag::parse(good).unwrap().as_str(), good);
    }
    for bad in ["=x", "-x", ".x", "/x", ":x", "_x", "a,b", "a b", "a\"b", "a<b", "=cmd", "a*"] {
        assert_eq!(Tag::parse(bad), Err(TextError::Malformed), "{bad}");
    }
    for good in ["repo", "a", "a-b_9"] {
        assert_eq!(SecretName::parse(good).unwrap().as_str(), good);
    }
    for bad in ["Repo", "9a", "-a", "_a", "a.b", "a/b", "a b", "rep\u{f6}"] {
        assert_eq!(SecretName::parse(bad), Err(TextError::Malformed), "{bad}");
    }
}

#[test]
fn paths_are_absolute_and_never_climb() {
    for good in ["/", "/srv/data", "/srv/..data", "/a b/--option", "/srv/data/"] {
        assert_eq!(AbsolutePath::parse(good).unwrap().as_str(), good);
    }
    for bad in [
        "srv",
        "./srv",
        "../srv",
        "/..",
        "/srv/../etc",
        "/srv/..",
        "~/x",
        "-",
        "--password-command=x",
        "C:\\x",
    ] {
        assert_eq!(AbsolutePath::parse(bad), Err(TextError::Malformed), "{bad}");
    }
}

#[track_caller]
fn refused<T: DeserializeOwned + Debug>(json: &str) {
    let refusal = serde_json::from_str::<T>(json).unwrap_err().to_string();
    assert!(!refusal.contains("canary"), "the refusal echoes its input: {refusal}");
}

/// JSON can spell what Rust text cannot hold, and types other than text.
#[test]
fn json_refuses_lone_surrogates_and_other_types_without_an_echo() {
    for json in [
        r#""canary\ud800""#,
        r#""canary\udfff\ud800""#,
        r#""canary\u0000""#,
        r#""canary\u001b[0m""#,
        "\"canary\u{1}\"",
        r#""canary"#,
        r#"["canary"]"#,
        "7",
        "null",
        "true",
        r#"{"canary": 1}"#,
    ] {
        refused::<Name>(json);
        refused::<Hostname>(json);
        refused::<Tag>(json);
        refused::<SecretName>(json);
        refused::<AbsolutePath>(json);
    }
    let long = format!("\"{}\"", "canary ".repeat(20));
    refused::<Name>(&long);
    refused::<Tag>(&long);
    assert_eq!(serde_json::from_str::<Name>(r#""\ud83d\ude00""#).unwrap().as_str(), "😀");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_taken_is_taken_again_and_never_grows(text in "\\PC{0,70}|.{0,70}") {
        for (_, parse) in TYPES {
            if let Ok(taken) = parse(&text) {
                prop_assert_eq!(parse(&taken), Ok(taken.clone()));
                prop_assert!(!taken.chars().any(char::is_control));
                prop_assert!(taken.len() <= text.len());
            }
        }
    }
}
