use super::*;

#[test]
fn columns_are_aligned_and_lines_have_no_trailing_space() {
    let rows = [["web-1", "active"], ["a-much-longer-name", "suspended"]].map(|row| row.map(str::to_owned));
    assert_eq!(
        table(&["NAME", "STATE"], rows),
        "NAME                STATE\nweb-1               active\na-much-longer-name  suspended"
    );
}

#[test]
fn a_long_cell_is_not_wrapped() {
    let long = "x".repeat(500);
    let text = table(&["A", "B"], [[long.clone(), "y".to_owned()]]);
    assert_eq!(text.lines().nth(1), Some(format!("{long}  y").as_str()));
}

#[test]
fn wide_characters_keep_the_columns() {
    let rows = [["計算機", "1"], ["a", "2"]].map(|row| row.map(str::to_owned));
    assert_eq!(table(&["NAME", "N"], rows), "NAME    N\n計算機  1\na       2");
}

#[test]
fn terminal_escapes_of_a_host_are_shown_and_not_obeyed() {
    let attack = "\u{1b}]0;owned\u{7}\u{1b}[2J\nroot\u{202e}txt\u{9b}31m\u{200b}";
    let shown = table(&["NAME"], [[attack.to_owned()]]);
    assert_eq!(
        shown.lines().nth(1),
        Some("\\u{1b}]0;owned\\u{7}\\u{1b}[2J\\nroot\\u{202e}txt\\u{9b}31m\\u{200b}")
    );
    assert_eq!(shown.lines().count(), 2, "{shown:?}");
    assert!(!record(&[("Name", attack.to_owned())]).contains('\u{1b}'));
}

#[test]
fn ordinary_text_of_any_language_stays() {
    assert_eq!(visible("Grüße, 計算機 é"), "Grüße, 計算機 é");
}

#[test]
fn a_record_leaves_out_what_is_not_known() {
    let fields = [("Name", "web-1".to_owned()), ("Zone", String::new()), ("Provider", "x".to_owned())];
    assert_eq!(record(&fields), "Name      web-1\nProvider  x");
}
