//! The table of docs/operating.md says of every table what the code says of it.

use muster_domain::retention::TABLES;
use muster_wire::settings::SettingName;

const HEAD: &str = "| table | one row is | bound | setting |";

/// Writes the table as it must stand in the documentation.
fn table() -> String {
    let mut lines = vec![HEAD.to_owned(), "|---|---|---|---|".to_owned()];
    lines.extend(TABLES.iter().map(|growth| {
        let setting = growth.bound.setting().map(|name| format!("`{name}`")).unwrap_or_default();
        format!("| `{}` | {} | {} | {setting} |", growth.table, growth.says, growth.bound)
    }));
    lines.join("\n")
}

#[test]
fn the_table_of_bounds_is_that_of_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operating.md");
    let text = std::fs::read_to_string(path).unwrap();
    let written: Vec<&str> =
        text.lines().skip_while(|line| *line != HEAD).take_while(|line| line.starts_with('|')).collect();
    let (written, expected) = (written.join("\n"), table());
    assert!(written == expected, "put this in the place of the table in docs/operating.md:\n\n{expected}\n");
}

#[test]
fn tables_are_in_order_and_what_they_go_with_is_there() {
    assert!(TABLES.is_sorted_by_key(|growth| growth.table));
    for growth in TABLES {
        if let muster_domain::retention::Bound::With(other) = growth.bound {
            assert!(TABLES.iter().any(|growth| growth.table == other), "{other}");
        }
    }
}

#[test]
fn every_setting_bounds_a_table() {
    for name in SettingName::ALL {
        let keeps = name.as_str().contains("_keep_") || name.as_str().ends_with("_versions");
        assert!(
            !keeps || TABLES.iter().any(|growth| growth.bound.setting() == Some(*name)),
            "nothing is bounded by {name}"
        );
    }
}
