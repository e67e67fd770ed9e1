//! The team an admin chose to look at, in a cookie of this browser. A wish only: the API judges what it reaches.

use http::header::COOKIE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use muster_http::{ConnectInfo, ListenerKind};
use muster_ids::TeamId;

/// The choice a browser made, as it says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TeamChoice {
    /// None: one's own team.
    Own,
    /// This team, if one may.
    Team(TeamId),
    /// Something that names no team, or several.
    Unreadable,
}

/// Like the session's: over TLS no other host and no page without TLS can set it.
const fn cookie_name(listener: ListenerKind) -> &'static str {
    match listener {
        ListenerKind::Operators => "muster-local-team",
        ListenerKind::Machines => "__Host-muster-team",
    }
}

fn listener(parts: &Parts) -> ListenerKind {
    parts.extensions.get::<ConnectInfo>().map_or(ListenerKind::Machines, |connection| connection.listener)
}

impl TeamChoice {
    pub(crate) fn of(parts: &Parts) -> Self {
        let name = cookie_name(listener(parts)).as_bytes();
        let mut found = values(&parts.headers, name);
        match (found.next(), found.next()) {
            (None, _) => Self::Own,
            (Some(b""), None) => Self::Own,
            (Some(value), None) => {
                let team = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                team.map_or(Self::Unreadable, Self::Team)
            }
            (Some(_), Some(_)) => Self::Unreadable,
        }
    }

    /// Says the choice, for a form to send back.
    pub(crate) fn as_text(&self) -> String {
        match self {
            Self::Own => "own".to_owned(),
            Self::Team(team_id) => team_id.to_string(),
            Self::Unreadable => "unreadable".to_owned(),
        }
    }
}

/// Returns the cookie that keeps a choice; `None` takes it away.
pub(crate) fn cookie(parts: &Parts, team_id: Option<TeamId>) -> Option<HeaderValue> {
    let listener = listener(parts);
    let secure = match listener {
        ListenerKind::Operators => "",
        ListenerKind::Machines => "; Secure",
    };
    let (value, max_age) = team_id.map_or((String::new(), 0), |team_id| (team_id.to_string(), 31_536_000));
    let name = cookie_name(listener);
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age}{secure}");
    HeaderValue::try_from(text).ok()
}

/// Returns the values of a cookie, by bytes: what a neighbour under the same host holds is no matter.
fn values<'h>(headers: &'h HeaderMap, name: &'h [u8]) -> impl Iterator<Item = &'h [u8]> {
    let lines = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    let pairs = lines.flat_map(|line| line.split(|byte| *byte == b';')).map(<[u8]>::trim_ascii);
    pairs.filter_map(move |pair| pair.strip_prefix(name)?.strip_prefix(b"="))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const TEAM: &str = "team_01890a5dac96774bbcceb302099a8001";

    fn check(lines: &[&[u8]], expected: &TeamChoice) {
        let mut request = Request::builder();
        for line in lines {
            request = request.header(COOKIE, HeaderValue::from_bytes(line).unwrap());
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        assert_eq!(TeamChoice::of(&parts), *expected, "{lines:?}");
    }

    #[test]
    fn a_choice_is_read_whatever_other_cookies_hold_and_two_are_none() {
        let chosen = TeamChoice::Team(TEAM.parse().unwrap());
        let cookie = format!("__Host-muster-team={TEAM}");
        check(&[], &TeamChoice::Own);
        check(&[cookie.as_bytes()], &chosen);
        check(&[b"theme=d\xe9j\xe0", cookie.as_bytes()], &chosen);
        check(&[format!("a=b; {cookie}; c").as_bytes()], &chosen);
        check(&[cookie.as_bytes(), cookie.as_bytes()], &TeamChoice::Unreadable);
        check(&[b"__Host-muster-team=x"], &TeamChoice::Unreadable);
        check(&[format!("muster-local-team={TEAM}").as_bytes()], &TeamChoice::Own);
    }
}
