//! Groups, mappings, and what becomes of a person: every row of the table.

#![allow(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

use std::collections::BTreeSet;

use muster_domain::oidc::{Arrival, Place, arrive, is_local_path, is_scope, name, numbered, place};
use muster_ids::TeamId;
use muster_wire::oidc::OidcMapping;
use muster_wire::people::Role;
use uuid::Uuid;

fn team(n: u128) -> TeamId {
    TeamId::from_uuid(Uuid::from_u128(n))
}

const PLATFORM: u128 = 1;

fn mapping(group: &str, team_id: u128, role: Role) -> OidcMapping {
    OidcMapping { group: group.parse().unwrap(), team_id: team(team_id), role }
}

fn check(groups: &[&str], mappings: &[OidcMapping], expected: Option<(u128, Role)>) {
    let groups: BTreeSet<String> = groups.iter().map(|group| (*group).to_owned()).collect();
    let expected = expected.map(|(team_id, role)| Place { team_id: team(team_id), role });
    assert_eq!(place(&groups, mappings, team(PLATFORM)), expected, "{groups:?} in {mappings:?}");
}

#[test]
fn the_first_mapping_that_fits_counts() {
    let mappings = [
        mapping("root", PLATFORM, Role::Admin),
        mapping("ops", 2, Role::Operator),
        mapping("all", 2, Role::Viewer),
        mapping("ops", 3, Role::Owner),
    ];
    check(&[], &mappings, None);
    check(&["strangers"], &mappings, None);
    check(&["OPS"], &mappings, None);
    check(&["all"], &mappings, Some((2, Role::Viewer)));
    check(&["all", "ops"], &mappings, Some((2, Role::Operator)));
    check(&["ops", "root"], &mappings, Some((PLATFORM, Role::Admin)));
    check(&["ops"], &[], None);
}

#[test]
fn a_mapping_never_gives_a_role_its_team_does_not_have() {
    check(&["root"], &[mapping("root", 2, Role::Admin)], None);
    check(&["root"], &[mapping("root", PLATFORM, Role::Owner)], None);
    let one_fits = [mapping("root", 2, Role::Admin), mapping("root", 2, Role::Viewer)];
    check(&["root"], &one_fits, Some((2, Role::Viewer)));
    check(&["root"], &[mapping("root", PLATFORM, Role::Viewer)], Some((PLATFORM, Role::Viewer)));
}

#[test]
fn every_sign_in_makes_a_person_what_their_groups_say() {
    let at = |team_id, role| Some(Place { team_id: team(team_id), role });
    let viewer = at(2, Role::Viewer);
    assert_eq!(arrive(None, None), Arrival::Refuse);
    assert_eq!(arrive(None, viewer), Arrival::Make(viewer.unwrap()));
    assert_eq!(arrive(viewer, viewer), Arrival::Stay);
    assert_eq!(arrive(viewer, at(2, Role::Owner)), Arrival::SetRole(Role::Owner));
    assert_eq!(arrive(at(2, Role::Owner), viewer), Arrival::SetRole(Role::Viewer));
    assert_eq!(arrive(viewer, at(3, Role::Viewer)), Arrival::Move(at(3, Role::Viewer).unwrap()));
    assert_eq!(arrive(viewer, None), Arrival::Remove);
}

#[test]
fn names_are_made_fit_to_be_shown() {
    assert_eq!(name(Some("ada"), Some("Ada Lovelace")), "ada");
    assert_eq!(name(None, Some("  Ada \t Lovelace\n")), "Ada Lovelace");
    assert_eq!(name(Some("\u{202e}\u{200b}"), Some("Ada")), "Ada");
    assert_eq!(name(Some("a\u{7}d\u{202e}a"), None), "ada");
    assert_eq!(name(Some(""), None), "person");
    assert_eq!(name(None, None), "person");
    let long = name(Some(&"ä ".repeat(80)), None);
    assert!(long.chars().count() <= 64 && !long.ends_with(' '), "{long:?}");
    assert_eq!((numbered("ada", 1).as_str(), numbered("ada", 2).as_str()), ("ada", "ada 2"));
    assert_eq!(numbered(&"ö".repeat(64), 37).chars().count(), 64);
}

#[test]
fn only_a_path_of_this_server_is_returned_to() {
    for good in
        ["/", "/hosts", "/hosts?site=a&b=%2F%2F", "/a//b", "/.//evil.example", "/#/hosts", "/@evil.example"]
    {
        assert!(is_local_path(good), "{good}");
    }
    let long = format!("/{}", "a".repeat(1024));
    for bad in [
        "",
        "hosts",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/a\\b",
        "https://evil.example",
        "javascript:alert(1)",
        " /hosts",
        "/ho sts",
        "/\t/evil.example",
        "/\r\nset-cookie: a=b",
        "/ä",
        "/\0",
        long.as_str(),
    ] {
        assert!(!is_local_path(bad), "{bad:?}");
    }
}

#[test]
fn scopes_are_words() {
    assert!(["openid", "https://graph.example/.default", "groups:read"].iter().all(|scope| is_scope(scope)));
    assert!(["", "a b", "a\"b", "a\\b", "ä", "a\n"].iter().all(|scope| !is_scope(scope)));
}
