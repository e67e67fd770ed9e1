//! The table of docs/events.md says of every happening what the code says of it.

use muster_wire::happening::Happening;

const HEAD: &str = "| word | what happened | audit trail | event |";

/// Writes the table as it must stand in the documentation.
fn table() -> String {
    let mut lines = vec![HEAD.to_owned(), "|---|---|---|---|".to_owned()];
    let yes = |is_so| if is_so { "yes" } else { "" };
    lines.extend(Happening::ALL.iter().map(|happening| {
        let (audited, told) = (yes(happening.is_audited()), yes(happening.is_told()));
        format!("| `{happening}` | {} | {audited} | {told} |", happening.says().replace('|', "\\|"))
    }));
    lines.join("\n")
}

#[test]
fn the_table_of_happenings_is_that_of_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/events.md");
    let text = std::fs::read_to_string(path).unwrap();
    let written: Vec<&str> =
        text.lines().skip_while(|line| *line != HEAD).take_while(|line| line.starts_with('|')).collect();
    let (written, expected) = (written.join("\n"), table());
    assert!(written == expected, "put this in the place of the table in docs/events.md:\n\n{expected}\n");
}
