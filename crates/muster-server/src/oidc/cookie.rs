//! The cookie of a sign-in that is pending: Lax, for the provider's redirect comes from another site.

use http::{HeaderMap, HeaderValue};
use muster_domain::oidc::PENDING_FOR;
use muster_http::ListenerKind;

use crate::auth::web_session::{lax_cookie, only_cookie};

/// Returns the name of the cookie at a listener.
pub const fn cookie_name(listener: ListenerKind) -> &'static str {
    match listener {
        ListenerKind::Operators => "muster-local-oidc",
        ListenerKind::Machines => "__Host-muster-oidc",
    }
}

/// Returns what is pending in the browser that asks, sealed. More than one cookie of that name is none.
pub fn of_request(headers: &HeaderMap, listener: ListenerKind) -> Option<&str> {
    only_cookie(headers, cookie_name(listener))
}

/// Returns the header that sets the cookie.
pub fn set_cookie(listener: ListenerKind, sealed: &str) -> Option<HeaderValue> {
    lax_cookie(listener, cookie_name(listener), sealed, PENDING_FOR.as_secs())
}

/// Returns the header that takes the cookie away.
pub fn clear_cookie(listener: ListenerKind) -> Option<HeaderValue> {
    lax_cookie(listener, cookie_name(listener), "", 0)
}
