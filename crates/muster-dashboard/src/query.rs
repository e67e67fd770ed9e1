//! The query of a page: every filter is in the address, so that a view can be kept, sent and gone back to.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use form_urlencoded::{Serializer, parse};
use http::request::Parts;

/// The parameters of a page in their order, without empty ones: a form sends those of fields nobody filled in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        let pairs = parse(text.as_bytes()).into_owned();
        Self(pairs.filter(|(_, value)| !value.trim().is_empty()).collect())
    }

    /// Returns a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Returns every value of a parameter that may be there several times.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    }

    /// Returns the parameters, for the hidden fields of a form.
    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// Returns a parameter for a field of a form; empty when it is not there.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// Whether a parameter has this value.
    pub(crate) fn is(&self, name: &str, value: &str) -> bool {
        self.get(name) == Some(value)
    }

    /// Whether any of these is said.
    pub(crate) fn has_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.get(name).is_some())
    }

    /// Returns the query with one parameter set, and from the first page on.
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut other = self.without(name);
        other.0.retain(|(key, _)| key != "cursor");
        other.0.push((name.to_owned(), value.to_owned()));
        other
    }

    /// Returns the query with one parameter set, on the page it is on.
    pub(crate) fn and(&self, name: &str, value: &str) -> Self {
        let mut other = self.without(name);
        other.0.push((name.to_owned(), value.to_owned()));
        other
    }

    /// Returns the query without a parameter.
    pub(crate) fn without(&self, name: &str) -> Self {
        Self(self.0.iter().filter(|(key, _)| key != name).cloned().collect())
    }

    /// Returns the parameters of these names alone: what a list of the API takes.
    pub(crate) fn only(&self, names: &[&str]) -> Self {
        Self(self.0.iter().filter(|(key, _)| names.contains(&key.as_str())).cloned().collect())
    }

    /// Returns the ways to the next and the first page of a list.
    pub(crate) fn ways(&self, path: &str, next_cursor: Option<&str>) -> (Option<String>, Option<String>) {
        let query = self.without("done").without("cursor");
        let next = next_cursor.map(|cursor| query.with("cursor", cursor).on(path));
        (next, self.get("cursor").map(|_| query.on(path)))
    }

    /// Returns a path with this query.
    pub(crate) fn on(&self, path: &str) -> String {
        if self.0.is_empty() {
            return path.to_owned();
        }
        let mut query = Serializer::new(String::new());
        query.extend_pairs(&self.0);
        format!("{path}?{}", query.finish())
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_keeps_its_order_escapes_what_it_holds_and_drops_what_is_empty() {
        let query = Query::parse("q=a%26b&state=&tag=x&cursor=zz");
        assert_eq!(query.on("/hosts"), "/hosts?q=a%26b&tag=x&cursor=zz");
        assert_eq!(query.with("tag", "\"><b>").on("/hosts"), "/hosts?q=a%26b&tag=%22%3E%3Cb%3E");
        assert_eq!(query.only(&["tag"]).on("/v1/hosts"), "/v1/hosts?tag=x");
        assert_eq!(Query::default().on("/hosts"), "/hosts");
        let (next, first) = query.ways("/hosts", Some("a/b"));
        assert_eq!(next.unwrap(), "/hosts?q=a%26b&tag=x&cursor=a%2Fb");
        assert_eq!(first.unwrap(), "/hosts?q=a%26b&tag=x");
    }
}
