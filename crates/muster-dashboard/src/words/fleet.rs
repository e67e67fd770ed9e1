//! Words of hosts and jobs: kinds, keys, what was done, what happened.

use muster_wire::happening::Happening;
use muster_wire::host::HostKind;
use muster_wire::host_key::{HostKeyKind, HostKeyState};
use serde_json::Value;

use super::{Tone, Worded};

impl Worded for HostKeyState {
    fn word(&self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Next => "next",
            Self::Replaced => "replaced",
            Self::Revoked => "revoked",
        }
    }
    fn tone(&self) -> Tone {
        match self {
            Self::Active => Tone::Good,
            Self::Next => Tone::Busy,
            Self::Replaced => Tone::Quiet,
            Self::Revoked => Tone::Bad,
        }
    }
}

/// Names what a key is.
pub(crate) const fn key_kind(kind: HostKeyKind) -> &'static str {
    match kind {
        HostKeyKind::KeyPair => "key pair",
        HostKeyKind::AgentKey => "agent key",
    }
}

/// Says whose host it is.
pub(crate) const fn host_kind(kind: HostKind) -> &'static str {
    match kind {
        HostKind::Shared => "shared by the platform",
        HostKind::Team => "of this team",
    }
}

/// Says what was done, after a form.
pub(crate) fn done(code: &str) -> Option<&'static str> {
    let says = match code {
        "resumed" => "The host may work again.",
        "tags" => "The tags are set.",
        "changed" => "Done.",
        "unchanged" => "Nothing had to be changed.",
        "rotation" => "The host is asked for its next key pair: now, or when it connects.",
        "revoked" => "The key is revoked, and its channel is cut.",
        "secret" => "The secret is set. It goes to the host now, or when it connects.",
        "retired" => "The host is retired.",
        "cancelled" => "The job is cancelled.",
        "view" => "The view is saved.",
        "view_removed" => "The view is removed.",
        _ => return None,
    };
    Some(says)
}

/// Says what happened in one sentence; a word nobody knows is shown as it is.
pub(crate) fn happening(kind: &str) -> String {
    Happening::of_word(kind).map_or_else(|| kind.to_owned(), |happening| happening.says().to_owned())
}

/// Returns the plain values among what else there is to say: a name and its value.
pub(crate) fn particulars(details: &Value) -> Vec<(String, String)> {
    let Value::Object(fields) = details else { return Vec::new() };
    let plain = |value: &Value| match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is) => Some(if *is { "yes" } else { "no" }.to_owned()),
        Value::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            texts.filter(|texts| !texts.is_empty()).map(|texts| texts.join(", "))
        }
        _ => None,
    };
    let named = fields.iter().filter(|(name, _)| *name != "host_id");
    named.filter_map(|(name, value)| Some((name.replace('_', " "), plain(value)?))).take(6).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_happened_is_told_in_a_sentence_and_what_is_unknown_as_it_is() {
        assert_eq!(happening("host.retired"), "A host was retired for good.");
        assert_eq!(happening("host.flew"), "host.flew");
    }

    #[test]
    fn plain_values_are_told_and_the_host_itself_is_not() {
        let details = json!({ "host_id": "x", "secret": "repo", "version": 2, "inner": { "a": 1 }, "tags": ["a", "b"] });
        let told = particulars(&details);
        let told: Vec<String> = told.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(told, ["secret=repo", "tags=a, b", "version=2"]);
    }
}
