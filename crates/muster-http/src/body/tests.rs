use std::collections::BTreeMap;

use http::StatusCode;
use serde::{Deserialize, Deserializer};

use super::{is_utf8_json, parse_json};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Machine {
    name: String,
    cores: Option<u16>,
    state: Option<State>,
    inner: Option<Inner>,
    tags: Option<BTreeMap<String, u8>>,
    list: Option<Vec<Inner>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Active,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Inner {
    #[serde(deserialize_with = "short")]
    word: String,
}

fn short<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let word = String::deserialize(deserializer)?;
    if word.len() > 3 { Err(serde::de::Error::custom("too_long")) } else { Ok(word) }
}

/// Expects a status, a code and, for 422, the one field at fault.
fn check(body: &str, status: u16, field: Option<(&str, &str)>) {
    let problem = parse_json::<Machine>(body.as_bytes()).expect_err(body);
    assert_eq!(problem.status().as_u16(), status, "{body}");
    let errors = problem.body().errors;
    let got = errors.first().map(|error| (error.pointer.as_str(), error.code.as_str()));
    assert_eq!(got, field, "{body}");
}

#[test]
fn what_is_not_json_is_400() {
    for body in [
        "",
        " ",
        "{",
        "{]",
        "{\"name\":}",
        "{\"name\":\"a\"} x",
        "{\"name\":\"a\"}{}",
        "NaN",
        "{\"name\":\"\\ud800\"}",
        "\u{feff}{\"name\":\"a\"}",
        "{\"name\":\"a\",}",
        "{'name':'a'}",
        "{\"name\":\"a\nb\"}",
        "[1",
        "{\"cores\":1e999}",
    ] {
        check(body, 400, None);
    }
    assert_eq!(
        parse_json::<Machine>(b"{\"name\":\"\xff\"}").expect_err("utf-8").status(),
        StatusCode::BAD_REQUEST
    );
}

#[test]
fn what_is_not_a_machine_is_422_and_names_the_field() {
    check("[\"a\",1]", 422, Some(("", "wrong_type")));
    check("null", 422, Some(("", "wrong_type")));
    check("\"name\"", 422, Some(("", "wrong_type")));
    check("{}", 422, Some(("/name", "missing")));
    check("{\"name\":\"a\",\"name\":\"b\"}", 422, Some(("/name", "duplicate_field")));
    check("{\"name\":null}", 422, Some(("/name", "wrong_type")));
    check("{\"name\":7}", 422, Some(("/name", "wrong_type")));
    check("{\"name\":\"a\",\"cores\":\"7\"}", 422, Some(("/cores", "wrong_type")));
    check("{\"name\":\"a\",\"cores\":-1}", 422, Some(("/cores", "invalid_value")));
    check("{\"name\":\"a\",\"cores\":9223372036854775808}", 422, Some(("/cores", "invalid_value")));
    check("{\"name\":\"a\",\"cores\":1.5}", 422, Some(("/cores", "wrong_type")));
    check("{\"name\":\"a\",\"state\":\"evil<x>\"}", 422, Some(("/state", "unknown_value")));
    check("{\"name\":\"a\",\"inner\":{\"word\":\"longer\"}}", 422, Some(("/inner/word", "too_long")));
    check("{\"name\":\"a\",\"list\":[{\"word\":\"a\"},{}]}", 422, Some(("/list/1/word", "missing")));
}

#[test]
fn nothing_the_sender_chose_is_told_back() {
    check("{\"name\":\"a\",\"<script>\":1}", 422, Some(("", "unknown_field")));
    check("{\"name\":\"a\",\"plain\":1}", 422, Some(("", "unknown_field")));
    check("{\"name\":\"a\",\"inner\":{\"evil\":1}}", 422, Some(("/inner", "unknown_field")));
    check("{\"name\":\"a\",\"tags\":{\"<img>\":\"x\"}}", 422, Some(("/tags/*", "wrong_type")));
    check("{\"name\":\"a\",\"tags\":{\"a/b~c\":\"x\"}}", 422, Some(("/tags/*", "wrong_type")));
    check("{\"name\":\"a\",\"tags\":{\"zone\":\"x\"}}", 422, Some(("/tags/zone", "wrong_type")));
}

#[test]
fn depth_is_judged_before_any_parser_recurses() {
    let deep = format!("{{\"evil\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    check(&deep, 400, None);
    let at_limit = |levels: usize| format!("{{\"evil\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    check(&at_limit(31), 422, Some(("", "unknown_field")));
    check(&at_limit(32), 400, None);
    let brackets = format!("{{\"name\":\"\\\"{}\"}}", "[{".repeat(1000));
    assert!(parse_json::<Machine>(brackets.as_bytes()).is_ok(), "brackets in a string are text");
}

#[test]
fn only_json_in_utf8_is_a_media_type() {
    for good in ["application/json", "Application/JSON; charset=UTF-8", "application/json;charset=\"utf-8\""]
    {
        assert!(is_utf8_json(good), "{good}");
    }
    for bad in [
        "",
        "text/plain",
        "application/json; charset=utf-16",
        "application/jsonp",
        "application/json; x=y",
        "application/json; charset",
        "application/x-www-form-urlencoded",
        "application/json,text/plain",
    ] {
        assert!(!is_utf8_json(bad), "{bad}");
    }
}
