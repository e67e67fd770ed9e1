//! Forms: what a browser sends, whatever JavaScript it runs or not.

use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use form_urlencoded::parse;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, COOKIE};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use http_body_util::{BodyExt, Limited};
use muster_http::{BODY_LIMIT, BODY_WITHIN, ConnectInfo, Problem, same_origin};

use crate::refusal::Refusal;
use crate::respond::render_bare;
use crate::team_choice::TeamChoice;

/// The field in which a form names itself, so that sending it twice does it once.
pub(crate) const ONCE: &str = "once";
/// The field in which a form says which team it was shown for.
pub(crate) const TEAM: &str = "shown_for_team";

/// The fields of a form that one of our own pages sent. Some hold secrets: it prints their names alone.
#[derive(Default)]
pub(crate) struct Form(Vec<(String, String)>);

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// Names one showing of a form.
#[derive(Debug, Clone)]
pub(crate) struct IdempotencyKey(HeaderValue);

impl IdempotencyKey {
    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl Form {
    /// Makes the fields of a form: what it shows before anybody typed.
    pub(crate) fn of(fields: &[(&str, &str)]) -> Self {
        Self(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    /// Returns a field as it was typed; empty when it is not there.
    pub(crate) fn raw(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// Returns a field without the space around it; `None` for an empty one.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let text = self.raw(name).trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// Returns a number; what is no number stays text, and the API says what is wrong with it.
    pub(crate) fn number(&self, name: &str) -> Option<serde_json::Value> {
        let text = self.text(name)?;
        Some(text.parse::<u64>().map_or(serde_json::Value::String(text), serde_json::Value::from))
    }

    /// Whether a box is ticked.
    pub(crate) fn is_ticked(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }

    /// Returns every value of a field that may be there several times.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect()
    }

    /// Returns the words of a field, which stand between spaces or commas.
    pub(crate) fn words(&self, name: &str) -> Vec<&str> {
        words(self.raw(name))
    }

    /// Returns what names this showing of the form.
    pub(crate) fn key(&self) -> Option<IdempotencyKey> {
        let key = self.text(ONCE)?;
        HeaderValue::try_from(key).ok().map(IdempotencyKey)
    }
}

/// Returns the words of what was typed, which stand between spaces or commas.
pub(crate) fn words(typed: &str) -> Vec<&str> {
    let words = typed.split(|letter: char| letter.is_whitespace() || letter == ',');
    words.filter(|word| !word.is_empty()).collect()
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        judge(&parts).map_err(IntoResponse::into_response)?;
        let within = parts.extensions.get::<ConnectInfo>().map_or(BODY_WITHIN, |info| info.body_within);
        let body = match tokio::time::timeout(within, Limited::new(body, BODY_LIMIT).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(_)) => return Err(render_bare(&Refusal::of(StatusCode::PAYLOAD_TOO_LARGE))),
            Err(_) => return Err(render_bare(&Refusal::of(StatusCode::REQUEST_TIMEOUT))),
        };
        let form = Self(parse(&body).into_owned().collect());
        // What is no text becomes this sign: a password would be another one.
        let is_text =
            |(name, value): &(String, String)| !name.contains('\u{fffd}') && !value.contains('\u{fffd}');
        if !form.0.iter().all(is_text) {
            return Err(render_bare(&Refusal::of(StatusCode::BAD_REQUEST)));
        }
        if form.0.iter().any(|(name, value)| name == TEAM && *value != TeamChoice::of(&parts).as_text()) {
            return Err(render_bare(&Refusal::other_team()));
        }
        Ok(form)
    }
}

/// Refuses a form of another site, and what is no form. With a cookie the browser must say where it is from.
fn judge(parts: &Parts) -> Result<(), Problem> {
    if parts.headers.contains_key(COOKIE) {
        same_origin(parts)?;
    }
    let media = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    if parts.headers.contains_key(CONTENT_ENCODING)
        || !media.eq_ignore_ascii_case("application/x-www-form-urlencoded")
    {
        return Err(Problem::of_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    Ok(())
}
