//! Secrets: merging (RFC 7396) and the checks of the typed secret `repo`.

use muster_wire::fault::Fault;
use muster_wire::secret::{Document, RepoSecret};
use serde_json::{Map, Value};

/// The name of the typed secret that says where a host backs up.
pub const REPO: &str = "repo";
/// Largest document after a merge, in bytes of JSON.
pub const MAX_DOCUMENT: usize = 32 * 1024;

/// Why a secret was refused; never contains a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretRefusal {
    /// A field of the typed secret does not hold.
    #[error("{}", .0.code)]
    Field(Fault),
    /// The URL of the repository is none.
    #[error("malformed")]
    UrlMalformed,
    /// The scheme of the repository is not allowed.
    #[error("scheme_not_allowed")]
    SchemeNotAllowed,
    /// Credentials belong in their own fields, where they can be merged and are never shown.
    #[error("credentials_in_url")]
    CredentialsInUrl,
    /// The document is larger than a secret may be.
    #[error("too_long")]
    TooLong,
    /// The merge leaves nothing.
    #[error("empty")]
    Empty,
}

/// Merges `patch` into `current` (RFC 7396): `null` removes, objects merge, everything else replaces.
pub fn merge(current: &Document, patch: &Document) -> Document {
    let mut merged = current.expose().clone();
    merge_into(&mut merged, patch.expose());
    Document::new(merged)
}

fn merge_into(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, value) in patch {
        match value {
            Value::Null => {
                target.remove(name);
            }
            Value::Object(nested) => {
                let slot = target.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()));
                if !slot.is_object() {
                    *slot = Value::Object(Map::new());
                }
                if let Value::Object(slot) = slot {
                    merge_into(slot, nested);
                }
            }
            other => {
                target.insert(name.clone(), other.clone());
            }
        }
    }
}

/// Checks a document before it is sealed: its size, and its type when its name has one.
pub fn check(name: &str, document: &Document) -> Result<(), SecretRefusal> {
    if document.expose().is_empty() {
        return Err(SecretRefusal::Empty);
    }
    let size = serde_json::to_vec(document.expose()).map_or(usize::MAX, |json| json.len());
    if size > MAX_DOCUMENT {
        return Err(SecretRefusal::TooLong);
    }
    if name == REPO { check_repo(document) } else { Ok(()) }
}

fn check_repo(document: &Document) -> Result<(), SecretRefusal> {
    let value = Value::Object(document.expose().clone());
    let repo: RepoSecret = serde_path_to_error::deserialize(value)
        .map_err(|error| SecretRefusal::Field(Fault::of_json(&error)))?;
    let url = repo.url.as_str();
    // Restic splits nothing at white space, but whoever reads the URL later might.
    if url.contains(char::is_whitespace) {
        return Err(SecretRefusal::UrlMalformed);
    }
    if url.starts_with('/') {
        let climbs = url.split('/').any(|segment| segment == "..");
        return if climbs { Err(SecretRefusal::UrlMalformed) } else { Ok(()) };
    }
    let Some(http) = url.strip_prefix("rest:") else {
        const OTHERS: [&str; 5] = ["s3:", "b2:", "azure:", "gs:", "swift:"];
        let allowed = OTHERS.iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme));
        return if allowed { Ok(()) } else { Err(SecretRefusal::SchemeNotAllowed) };
    };
    let http = url::Url::parse(http).map_err(|_| SecretRefusal::UrlMalformed)?;
    if !matches!(http.scheme(), "http" | "https") {
        return Err(SecretRefusal::SchemeNotAllowed);
    }
    if !http.username().is_empty() || http.password().is_some() {
        return Err(SecretRefusal::CredentialsInUrl);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(value: Value) -> Document {
        serde_json::from_value(value).unwrap()
    }

    /// The cases of RFC 7396, appendix A, that are objects on both sides.
    #[test]
    fn merges_as_rfc_7396() {
        let table = [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ];
        for (current, patch, expected) in table {
            assert_eq!(merge(&document(current), &document(patch)), document(expected));
        }
    }

    #[track_caller]
    fn repo(url: &str, expected: &Result<(), SecretRefusal>) {
        assert_eq!(check(REPO, &document(json!({"url": url, "password": "p"}))), *expected, "{url}");
    }

    #[test]
    fn repositories_are_allow_listed() {
        use SecretRefusal::{CredentialsInUrl, SchemeNotAllowed, UrlMalformed};
        repo("rest:https://backup.example/host/", &Ok(()));
        repo("rest:http://127.0.0.1:8000/", &Ok(()));
        repo("/srv/backup", &Ok(()));
        repo("s3:s3.amazonaws.com/bucket", &Ok(()));
        repo("rclone:remote:path", &Err(SchemeNotAllowed));
        repo("sftp:-oProxyCommand=sh:/x", &Err(SchemeNotAllowed));
        repo("sftp:user@host:/x", &Err(SchemeNotAllowed));
        repo("rest:ftp://host/", &Err(SchemeNotAllowed));
        repo("rest:nonsense", &Err(UrlMalformed));
        repo("rest:http://host/ -o x", &Err(UrlMalformed));
        repo("/srv/../etc", &Err(UrlMalformed));
        repo("relative/path", &Err(SchemeNotAllowed));
        repo("--password-command=x", &Err(SchemeNotAllowed));
        repo("rest:https://user:pass@host/", &Err(CredentialsInUrl));
    }

    #[track_caller]
    fn field(value: Value, pointer: &str, code: &str) {
        match check(REPO, &document(value)) {
            Err(SecretRefusal::Field(fault)) => {
                assert_eq!((fault.pointer().as_str(), fault.code.as_str()), (pointer, code))
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_fault_names_its_field_and_no_value() {
        field(json!({"url": "/x"}), "/password", "missing");
        field(json!({"url": "/x", "password": "p", "pasword": "q"}), "", "unknown_field");
        field(json!({"url": "/x", "password": 7}), "/password", "wrong_type");
        field(json!({"url": "/x", "password": "p", "user": "a\u{202e}b"}), "/user", "invisible_character");
        assert_eq!(check("anything", &document(json!({"free": {"form": 1}}))), Ok(()));
        assert_eq!(check("anything", &Document::default()), Err(SecretRefusal::Empty));
    }
}
