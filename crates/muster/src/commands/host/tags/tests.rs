use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    change: Change,
}

fn apply(arguments: &[&str], before: &[&str]) -> Result<Vec<String>, String> {
    let all = ["tag", "web-1"].iter().chain(arguments);
    let change = Line::try_parse_from(all).map_err(|error| error.to_string())?.change;
    let before = before.iter().map(|tag| Tag::parse(tag).expect("a tag"));
    let tags = change.apply(before).map_err(|failure| failure.to_string())?;
    Ok(tags.iter().map(Tag::to_string).collect())
}

#[test]
fn tags_are_added_removed_replaced_and_cleared() {
    assert_eq!(apply(&["--add", "web", "--remove", "old"], &["old", "kept"]).expect("tags"), ["kept", "web"]);
    assert_eq!(apply(&["--set", "a,b"], &["old"]).expect("tags"), ["a", "b"]);
    assert!(apply(&["--clear"], &["old"]).expect("tags").is_empty());
    assert_eq!(apply(&["--remove", "absent"], &["old"]).expect("tags"), ["old"]);
}

#[test]
fn a_change_must_change_something_and_not_two_things() {
    assert!(apply(&[], &[]).is_err());
    assert!(apply(&["--set", "a", "--add", "b"], &[]).is_err());
    assert!(apply(&["--clear", "--set", "a"], &[]).is_err());
    assert!(apply(&["--add", "two words"], &[]).is_err());
}

#[test]
fn too_many_tags_are_told_before_anything_is_lost() {
    let many: Vec<String> = (0..33).map(|n| format!("t{n}")).collect();
    assert!(apply(&["--set", &many.join(",")], &[]).expect_err("too many").contains("33 tags"));
}
