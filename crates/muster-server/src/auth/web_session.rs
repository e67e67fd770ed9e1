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
    let mut found = pairs(headers).filter(|(key, _)| *key == name.as_bytes());
    let (_, value) = found.next()?;
    if found.next().is_some() { None } else { std::str::from_utf8(value?).ok() }
}

/// Whether a request carries a cookie of that name, of whatever worth.
pub fn is_carried(headers: &HeaderMap, listener: ListenerKind) -> bool {
    pairs(headers).any(|(key, _)| key == cookie_name(listener).as_bytes())
}

/// Returns every cookie, by bytes: what another one holds, even of a neighbour under the same host, is no matter.
fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    let lines = headers.get_all(COOKIE).iter();
    lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';')).map(|pair| {
        let mut parts = pair.trim_ascii().splitn(2, |byte| *byte == b'=');
        (parts.next().unwrap_or_default(), parts.next())
    })
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
pub fn lax_cookie(listener: ListenerKind, name: &str, value: &str, max_age_secs: u64) -> Option<HeaderValue> {
    let secure = match listener {
        ListenerKind::Operators => "",
        ListenerKind::Machines => "; Secure",
    };
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age_secs}{secure}");
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(lines: &[&[u8]]) -> HeaderMap {
        lines.iter().map(|line| (COOKIE, HeaderValue::from_bytes(line).unwrap())).collect()
    }

    #[test]
    fn another_cookie_of_odd_bytes_takes_nobodys_session_away() {
        for lines in [
            &[b"theme=d\xe9j\xe0; s=value".as_slice()][..],
            &[b"theme=\xff", b"s=value; last=\x80"],
            &[b"\xff=1;s=value"],
        ] {
            assert_eq!(only_cookie(&cookies(lines), "s"), Some("value"));
        }
        for lines in [&[b"s=a; s=b".as_slice()][..], &[b"s=a", b"s=\xff"], &[b"s=\xff"], &[b"s"], &[b"S=a"]] {
            assert_eq!(only_cookie(&cookies(lines), "s"), None);
        }
        assert!(is_carried(&cookies(&[b"x=\xff; muster-local-session=\xff"]), ListenerKind::Operators));
        assert!(is_carried(&cookies(&[b"muster-local-session"]), ListenerKind::Operators));
        assert!(!is_carried(&cookies(&[b"x=muster-local-session"]), ListenerKind::Operators));
    }
}
