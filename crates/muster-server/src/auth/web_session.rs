//! The cookie of a signed-in browser: `__Host-` on TLS, an unprefixed one of its own on the loopback listener.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use muster_http::ListenerKind;
use muster_ids::{Bearer, BearerKind};
use secrecy::ExposeSecret;

/// The word under which a session remembers its listener.
pub const fn listener_word(listener: ListenerKind) -> &'static str {
    match listener {
        ListenerKind::Operators => "operators",
        ListenerKind::Machines => "machines",
    }
}

/// Returns the name of the cookie at a listener: a session of one is not even sent to the other.
pub const fn cookie_name(listener: ListenerKind) -> &'static str {
    match listener {
        ListenerKind::Operators => "muster-local-session",
        ListenerKind::Machines => "__Host-muster-session",
    }
}

/// Returns the session a request carries. More than one cookie of that name is none.
pub fn of_request(headers: &HeaderMap, listener: ListenerKind) -> Option<Bearer> {
    let value = only_cookie(headers, cookie_name(listener))?;
    Bearer::parse(value).filter(|bearer| bearer.kind == BearerKind::WebSession)
}

/// Returns the value of the one cookie of a name. More than one is none.
pub fn only_cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let all = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut found = all
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(key, _)| *key == name);
    let (_, value) = found.next()?;
    if found.next().is_some() { None } else { Some(value) }
}

/// Whether a request carries a cookie of that name, of whatever worth.
pub fn is_carried(headers: &HeaderMap, listener: ListenerKind) -> bool {
    let name = cookie_name(listener);
    let all = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|line| line.split(';')).any(|pair| pair.trim().split('=').next() == Some(name))
}

/// Returns the header that sets the cookie of a session, for `max_age_secs`.
pub fn set_cookie(listener: ListenerKind, session: &Bearer, max_age_secs: u64) -> Option<HeaderValue> {
    lax_cookie(listener, cookie_name(listener), session.expose().expose_secret(), max_age_secs)
}

/// Returns the header that takes the cookie away.
pub fn clear_cookie(listener: ListenerKind) -> Option<HeaderValue> {
    lax_cookie(listener, cookie_name(listener), "", 0)
}

/// Returns the header that sets a cookie of a listener for `max_age_secs`; 0 takes it away.
pub fn lax_cookie(
    listener: ListenerKind,
    name: &str,
    value: &str,
    max_age_secs: u64,
) -> Option<HeaderValue> {
    let secure = match listener {
        ListenerKind::Operators => "",
        ListenerKind::Machines => "; Secure",
    };
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age_secs}{secure}");
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
