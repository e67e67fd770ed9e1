//! SECURITY D, rows "JSON shape" and "numbers in domain": bounded numbers, lists and maps.

use muster_wire::bounds::{AnyOf, Few, FewEntries, Whole};
use muster_wire::job::JobState;
use muster_wire::page::PageLimit;
use muster_wire::secret::Document;
use muster_wire::text::{SecretName, Tag};

type OneToTen = Whole<1, 10>;
type Anything = Whole<0, { u64::MAX }>;

#[test]
fn only_a_whole_number_within_the_bounds_is_one() {
    for good in ["1", "10"] {
        assert_eq!(serde_json::from_str::<OneToTen>(good).unwrap().get().to_string(), good);
    }
    for bad in [
        "0",
        "11",
        "-1",
        "-0",
        "1e999",
        "-1e999",
        "1e1",
        "5.0",
        "5.5",
        "0.5",
        "\"5\"",
        "\"\"",
        "null",
        "true",
        "[5]",
        "{}",
        "NaN",
        "Infinity",
        "0x5",
        "05",
        "+5",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "100000000000000000000000000000000000000000",
        "-9223372036854775809",
    ] {
        assert!(serde_json::from_str::<OneToTen>(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_largest_numbers_are_whole_and_the_next_is_not() {
    for (text, value) in [
        ("9223372036854775807", Some(u64::MAX / 2)),
        ("9223372036854775808", Some(u64::MAX / 2 + 1)),
        ("18446744073709551615", Some(u64::MAX)),
        ("18446744073709551616", None),
        ("-1", None),
        ("1e3", None),
    ] {
        let parsed = serde_json::from_str::<Anything>(text).ok().map(Whole::get);
        assert_eq!(parsed, value, "{text}");
    }
}

#[test]
fn wrapping_keeps_the_bounds() {
    assert_eq!(OneToTen::new(0), None);
    assert_eq!(OneToTen::new(11), None);
    assert_eq!(OneToTen::clamped(0).get(), 1);
    assert_eq!(OneToTen::clamped(u64::MAX).get(), 10);
    assert_eq!(PageLimit::new(201), None);
}

fn tags(count: usize) -> String {
    let tags: Vec<String> = (0..count).map(|n| format!("\"t{n}\"")).collect();
    format!("[{}]", tags.join(","))
}

#[test]
fn lists_end_at_their_maximum_whatever_they_repeat() {
    assert_eq!(serde_json::from_str::<Few<Tag, 3>>(&tags(3)).unwrap().iter().count(), 3);
    assert!(serde_json::from_str::<Few<Tag, 3>>(&tags(4)).is_err());
    assert!(serde_json::from_str::<Few<Tag, 3>>(r#"["a","a","a","a"]"#).is_err());
    assert_eq!(serde_json::from_str::<Few<Tag, 3>>(r#"["b","a","b"]"#).unwrap().iter().count(), 2);
    for bad in ["{}", "\"a\"", "null", "[null]", "[1]", r#"[["a"]]"#, "[\"a\",]", "[\"a\"", "[\"a b\"]"] {
        assert!(serde_json::from_str::<Few<Tag, 3>>(bad).is_err(), "{bad}");
    }
    let collected: Few<u8, 2> = (0..9).collect();
    assert_eq!(collected.into_set().len(), 2);
}

#[test]
fn maps_refuse_repeated_keys_and_end_at_their_maximum() {
    type Map = FewEntries<Tag, Whole<0, 9>, 2>;
    assert_eq!(serde_json::from_str::<Map>(r#"{"a":1,"b":2}"#).unwrap().iter().count(), 2);
    for bad in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"a":2}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"a":1,"b":2,"c":3}"#,
        r#"{"a":10}"#,
        r#"{"a b":1}"#,
        r#"{"":1}"#,
        r#"[["a",1]]"#,
        r#"["a",1]"#,
        "null",
        "7",
    ] {
        assert!(serde_json::from_str::<Map>(bad).is_err(), "{bad}");
    }
}

#[test]
fn documents_refuse_repeated_keys_at_every_depth() {
    let good = r#"{"url":"/x","nested":{"list":[{"a":1},{"a":1}],"n":null,"f":1.5,"t":true}}"#;
    let document: Document = serde_json::from_str(good).unwrap();
    assert_eq!(
        serde_json::to_value(&document).unwrap(),
        serde_json::from_str::<serde_json::Value>(good).unwrap()
    );
    for bad in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"\u0061":1}"#,
        r#"{"a":{"b":1,"b":2}}"#,
        r#"{"a":[0,[{"b":1,"b":2}]]}"#,
        r#"{"a":"\u0000"}"#,
        r#"{"\u0000":"a"}"#,
        r#"{"a":{"b\u0000":1}}"#,
        r#"{"a":["\u0000"]}"#,
        r#"{"a":"\ud800"}"#,
        r#"{"a":1e999}"#,
        r#"["a"]"#,
        r#"[["a",1]]"#,
        "null",
        "\"a\"",
        "7",
        "{",
        "{} {}",
    ] {
        assert!(serde_json::from_str::<Document>(bad).is_err(), "{bad}");
    }
    let deep = format!("{}{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
    assert!(serde_json::from_str::<Document>(&deep).is_err());
}

#[test]
fn a_map_of_secrets_is_strict_in_its_keys_and_values() {
    type Secrets = FewEntries<SecretName, Document, 2>;
    assert!(serde_json::from_str::<Secrets>(r#"{"repo":{"url":"/x"}}"#).is_ok());
    for bad in [
        r#"{"Repo":{}}"#,
        r#"{"repo":[]}"#,
        r#"{"repo":null}"#,
        r#"{"repo":{"a":1,"a":2}}"#,
        r#"{"repo":{},"repo":{}}"#,
        r#"{"a":{},"b":{},"c":{}}"#,
    ] {
        assert!(serde_json::from_str::<Secrets>(bad).is_err(), "{bad}");
    }
}

#[test]
fn words_of_a_filter_are_known_ones_each_once_between_commas() {
    let read = |text: &str| serde_json::from_value::<AnyOf<JobState>>(text.into());
    assert_eq!(read("failed").unwrap().into_vec(), [JobState::Failed]);
    assert_eq!(read("lost,failed").unwrap().into_vec(), [JobState::Lost, JobState::Failed]);
    for bad in ["", ",", "failed,", ",failed", "failed, lost", "failed,gone", "FAILED", "failed;lost"] {
        assert!(read(bad).unwrap_err().to_string().contains("unknown_value"), "{bad}");
    }
    assert!(read("failed,lost,failed").unwrap_err().to_string().contains("duplicate"));
    let schema = schemars::schema_for!(AnyOf<JobState>);
    let words = "queued|dispatched|running|succeeded|failed|cancelled|lost";
    assert_eq!(schema.get("pattern").unwrap(), &format!("^({words})(,({words}))*$"));
}
