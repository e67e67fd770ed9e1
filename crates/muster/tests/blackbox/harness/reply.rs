use http::HeaderMap;
use muster_client::Response;
use serde_json::Value;

/// An answer of the server.
#[derive(Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) json: Value,
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.status, self.text)
    }
}

impl From<Response> for Reply {
    fn from(response: Response) -> Self {
        Self {
            status: response.status.as_u16(),
            headers: response.headers,
            text: String::from_utf8_lossy(&response.body).into_owned(),
            json: serde_json::from_slice(&response.body).unwrap_or_default(),
        }
    }
}

impl Reply {
    /// Returns the stable code of a refusal; empty when it is none.
    pub(crate) fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Returns the fields at fault as `pointer code`, in order.
    pub(crate) fn fields(&self) -> Vec<String> {
        let errors = self.json["errors"].as_array().cloned().unwrap_or_default();
        let shown = |error: &Value| {
            format!("{} {}", error["pointer"].as_str().unwrap_or("?"), error["code"].as_str().unwrap_or("?"))
        };
        errors.iter().map(shown).collect()
    }

    /// Returns everything of the answer but what names this one request: the bytes an attacker could compare.
    pub(crate) fn without_request_id(&self) -> String {
        let id = self.header("x-request-id").unwrap_or("-").to_owned();
        let mut headers: Vec<String> = self
            .headers
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "date" | "x-request-id" | "dpop-nonce"))
            .map(|(name, value)| format!("{name}: {value:?}"))
            .collect();
        headers.sort();
        format!("{} {} {}", self.status, headers.join("|"), self.text.replace(&id, "<id>"))
    }

    /// Asserts the shape of every refusal (RFC 9457, SECURITY D).
    pub(crate) fn assert_is_problem(&self, what: &str) {
        assert!((400..500).contains(&self.status), "{what}: {} {}", self.status, self.text);
        let media = self.header("content-type").unwrap_or_default();
        assert!(media.starts_with("application/problem+json"), "{what}: {media}");
        assert_eq!(self.json["status"], self.status, "{what}: {}", self.text);
        assert!(!self.code().is_empty(), "{what}: no code: {}", self.text);
        assert_eq!(self.header("cache-control"), Some("no-store"), "{what}");
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"), "{what}");
    }
}
