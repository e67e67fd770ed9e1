//! Makes one visible line of what the operating system and other programs say.

use muster_wire::text::{Line, TextError};

/// Returns `raw` as a line: control and invisible characters become spaces, the rest is cut to `MAX` characters.
///
/// `None`: nothing visible is left.
pub fn line<const MAX: usize>(raw: &str) -> Option<Line<MAX>> {
    let shown: String = raw.chars().map(|c| if is_visible(c) { c } else { ' ' }).collect();
    let cut: String = shown.trim().chars().take(MAX).collect();
    Line::parse(cut.trim()).ok()
}

/// Returns the word of a value on the wire, for people.
pub fn word<T: serde::Serialize>(value: &T) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

fn is_visible(c: char) -> bool {
    let mut buffer = [0; 4];
    let refused = Line::<1>::parse(c.encode_utf8(&mut buffer)).err();
    !matches!(refused, Some(TextError::ControlCharacter | TextError::InvisibleCharacter))
}

#[cfg(test)]
mod tests {
    use super::{Line, line};

    fn check(raw: &str, expected: Option<&str>) {
        assert_eq!(line::<8>(raw).as_ref().map(Line::as_str), expected, "{raw:?}");
    }

    #[test]
    fn escapes_and_invisible_characters_do_not_pass() {
        check("Debian", Some("Debian"));
        check("  a\x1b]0;b\n", Some("a ]0;b"));
        check("x\u{202e}y\u{0}", Some("x y"));
        check("123456 89", Some("123456 8"));
        check("1234567 9", Some("1234567"));
        check("äöüßéèçñž", Some("äöüßéèçñ"));
        check("\u{200b}\n", None);
        check("", None);
    }
}
