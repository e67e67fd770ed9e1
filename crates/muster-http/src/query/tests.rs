use serde::Deserialize;

use super::parse_query;

#[derive(Debug, PartialEq, Deserialize)]
struct Page {
    limit: Option<u16>,
    sort: Option<Sort>,
    name: Option<String>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Sort {
    Name,
}

fn check(query: &str, pointer: &str, code: &str) {
    let problem = parse_query::<Page>(query).expect_err(query);
    assert_eq!((problem.status().as_u16(), problem.code()), (400, "invalid_query"), "{query}");
    let errors = problem.body().errors;
    assert_eq!((errors[0].pointer.as_str(), errors[0].code.as_str()), (pointer, code), "{query}");
}

#[test]
fn a_good_query_is_parsed() {
    let page = parse_query::<Page>("limit=5&sort=name&name=a%20b+c&").expect("good");
    assert_eq!(page, Page { limit: Some(5), sort: Some(Sort::Name), name: Some("a b c".into()) });
    assert_eq!(parse_query::<Page>("").expect("empty"), Page { limit: None, sort: None, name: None });
}

#[test]
fn a_bad_query_names_the_parameter_and_never_echoes() {
    check("limit=-1", "limit", "invalid_value");
    check("limit=1e9", "limit", "invalid_value");
    check("limit=", "limit", "invalid_value");
    check("sort=(select%201)", "sort", "unknown_value");
    check("limit=1&limit=2", "limit", "duplicate_field");
    check("%6cimit=1&limit=2", "limit", "duplicate_field");
    check("evil<x>=1", "", "unknown_field");
    check("name=%ff", "", "malformed");
    check("name=%zz", "", "malformed");
    check("name=%", "", "malformed");
}
