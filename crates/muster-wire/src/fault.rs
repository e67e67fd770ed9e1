//! From a serde error to a field: a JSON pointer and a stable code, without a byte that the sender chose.

use serde_path_to_error::{Path, Segment};

/// Where and what a typed parse refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Segments of the place, outermost first; a key that is not plain text is `*`.
    pub place: Vec<String>,
    /// The stable code.
    pub code: String,
}

impl Fault {
    /// Reads serde's error. `message` is its text without a position.
    pub fn read(path: &Path, message: &str) -> Self {
        let mut place: Vec<String> = path.iter().map(safe_segment).collect();
        let code = match message {
            _ if message.starts_with("missing field") => {
                place.extend(declared_name(message));
                "missing"
            }
            _ if message.starts_with("duplicate field") => {
                place.extend(declared_name(message));
                "duplicate_field"
            }
            _ if message.starts_with("unknown field") => {
                // The last segment is the unknown key itself: chosen by the sender.
                place.pop();
                "unknown_field"
            }
            _ if message.starts_with("unknown variant") => {
                if matches!(path.iter().next_back(), Some(Segment::Enum { .. })) {
                    place.pop();
                }
                "unknown_value"
            }
            _ if message.starts_with("invalid type") => "wrong_type",
            _ if is_code(message) => message,
            // serde_json calls an enum that is neither text nor object a fault of syntax.
            _ if message.starts_with("expected value") => "wrong_type",
            _ => "invalid_value",
        };
        Self { place, code: code.to_owned() }
    }

    /// Reads the error of [`serde_path_to_error`] over JSON.
    pub fn of_json(error: &serde_path_to_error::Error<serde_json::Error>) -> Self {
        let inner = error.inner();
        let text = inner.to_string();
        let position = format!(" at line {} column {}", inner.line(), inner.column());
        Self::read(error.path(), text.strip_suffix(&position).unwrap_or(&text))
    }

    /// Returns the place as a JSON pointer (RFC 6901).
    pub fn pointer(&self) -> String {
        self.place.iter().fold(String::new(), |pointer, segment| pointer + "/" + segment)
    }
}

/// The name between the first backticks of serde's text; a static string of our own types for these two messages.
fn declared_name(message: &str) -> Option<String> {
    message.split('`').nth(1).map(safe_key)
}

fn safe_segment(segment: &Segment) -> String {
    match segment {
        Segment::Seq { index } => index.to_string(),
        Segment::Map { key } | Segment::Enum { variant: key } => safe_key(key),
        Segment::Unknown => "*".to_owned(),
    }
}

fn safe_key(key: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    let is_safe = (1..=64).contains(&key.len()) && key.bytes().all(plain);
    if is_safe { key.to_owned() } else { "*".to_owned() }
}

fn is_code(message: &str) -> bool {
    (3..=40).contains(&message.len()) && message.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}
