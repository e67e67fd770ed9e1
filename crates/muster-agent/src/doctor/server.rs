//! The way to each address of the server, up to where it ends.

use bytes::Bytes;
use http::{Request, StatusCode};
use muster_client::{Certificate, DialError, Dialer, Response};
use muster_ids::Timestamp;
use muster_wire::JoinString;
use url::Url;

use super::{Check, Known, Outcome, clock, key};
use crate::error::in_full;
use crate::machine::Machine;
use crate::server::below;
use crate::state::Membership;

const DNS: &str = "dns";
const TCP: &str = "tcp";
const PROXY: &str = "proxy";
const TLS: &str = "tls";
const SERVER: &str = "server";
const DAY_MILLIS: i64 = 24 * 3600 * 1000;
/// How long before its end the certificate of a public authority should have been renewed.
const RENEWED_BEFORE_DAYS: i64 = 14;
/// More addresses than any server should have are not knocked at.
const MOST_ADDRESSES: usize = 16;
const HEALTHY: &[u8] = b"ok\n";

/// Looks at every address of the server; which it is, the join string says, or the state.
pub(super) async fn checks(machine: &Machine, known: &Known, join: Option<&JoinString>) -> Vec<Check> {
    let (urls, pins) = match (join, &known.identity) {
        (Some(join), _) => (join.urls.as_slice(), join.pins.as_slice()),
        (None, Some(identity)) => (identity.urls.as_slice(), identity.pins.as_slice()),
        (None, None) => {
            let said =
                "no address is known: give the join string with --stdin or --file to look at its server";
            return vec![Check::warn(SERVER, "this machine", said)];
        }
    };
    let is_revoked = known
        .identity
        .as_ref()
        .is_some_and(|identity| matches!(identity.membership, Membership::Revoked { .. }));
    if is_revoked && join.is_none() {
        return Vec::new();
    }
    let dialer = match machine.dialer(pins) {
        Ok(dialer) => dialer,
        Err(cause) => return vec![Check::fail(TLS, "this machine", cause)],
    };
    let mut ways = Vec::new();
    for url in urls {
        let mut look = Look { machine, dialer: &dialer, pins, url, about: shown(url), checks: Vec::new() };
        let passed = look.all().await;
        if passed && join.is_none() {
            let proved = key::check(machine, known, url, &look.about).await;
            if proved.iter().any(|check| check.check == clock::CLOCK) {
                // The channel tells the time better than a header.
                look.checks.retain(|check| check.check != clock::CLOCK);
            }
            look.checks.extend(proved);
        }
        ways.push((passed, look.checks));
    }
    let one_works = ways.iter().any(|(passed, _)| *passed);
    ways.into_iter().flat_map(|(_, checks)| checks).map(|check| softened(check, one_works)).collect()
}

/// An address that cannot be reached is no failure where another can: the agent takes the other.
fn softened(check: Check, one_works: bool) -> Check {
    let is_of_the_way = matches!(check.check, DNS | TCP | PROXY);
    if check.outcome == Outcome::Fail && one_works && is_of_the_way {
        let said = format!("{}; another address works", check.said);
        return Check { outcome: Outcome::Warn, said, ..check };
    }
    check
}

/// Scheme, host and port: a path may be anybody's, a query could be a secret.
pub(crate) fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{}://{host}:{port}", url.scheme()),
        None => format!("{}://{host}", url.scheme()),
    }
}

struct Look<'a> {
    machine: &'a Machine,
    dialer: &'a Dialer,
    pins: &'a [String],
    url: &'a Url,
    about: String,
    checks: Vec<Check>,
}

impl Look<'_> {
    /// Looks step by step; `false`: the way ended before a Muster server answered.
    async fn all(&mut self) -> bool {
        self.way().await.is_some() && self.tls().await.is_some() && self.answer().await.is_some()
    }

    fn push(&mut self, check: Check) {
        self.checks.push(check);
    }

    fn fail(&mut self, check: &'static str, cause: &DialError) -> Option<()> {
        self.push(Check::fail(check, &self.about, in_full(cause)));
        None
    }

    async fn way(&mut self) -> Option<()> {
        let way = match self.dialer.way(self.url) {
            Ok(way) => way,
            Err(cause) => return self.fail(SERVER, &cause),
        };
        let addresses = match self.dialer.addresses(self.url).await {
            Ok(addresses) => addresses,
            Err(cause) => return self.fail(DNS, &cause),
        };
        let listed: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
        let of_proxy = if way.proxy.is_some() { "the proxy has " } else { "" };
        self.push(Check::ok(DNS, &self.about, format!("{of_proxy}{}", listed.join(", "))));
        let mut silent = Vec::new();
        for address in addresses.iter().take(MOST_ADDRESSES) {
            if let Err(cause) = self.dialer.knock(*address).await {
                silent.push(cause);
            }
        }
        let told: Vec<String> = silent.iter().map(|cause| in_full(cause)).collect();
        if silent.len() == addresses.len().min(MOST_ADDRESSES) {
            self.push(Check::fail(TCP, &self.about, told.join("; ")));
            return None;
        }
        self.push(match told.as_slice() {
            [] => Check::ok(TCP, &self.about, "every address takes connections"),
            told => Check::warn(TCP, &self.about, format!("only some addresses do: {}", told.join("; "))),
        });
        self.proxy(way.proxy, way.is_tls).await
    }

    async fn proxy(&mut self, proxy: Option<String>, is_tls: bool) -> Option<()> {
        let Some(proxy) = proxy else {
            let why = match (self.machine.proxy.is_set(), is_tls) {
                (false, _) => "none: HTTPS_PROXY is not set here",
                (true, false) => "none: this machine itself is dialled directly",
                (true, true) => "none: NO_PROXY names it, or it is this machine itself",
            };
            self.push(Check::ok(PROXY, &self.about, why));
            return Some(());
        };
        match self.dialer.pass(self.url).await {
            Ok(()) => {
                self.push(Check::ok(PROXY, &self.about, format!("{proxy} opens the way (HTTPS_PROXY)")));
                Some(())
            }
            Err(cause) => self.fail(PROXY, &cause),
        }
    }

    async fn tls(&mut self) -> Option<()> {
        let check = match self.dialer.verify(self.url).await {
            Ok(None) => Check::ok(TLS, &self.about, "none: plain http, which stays on this machine"),
            Ok(Some(shown)) => self.judged(&shown),
            Err(cause @ DialError::Tls { .. }) if self.pins.is_empty() => {
                let pin = self.dialer.presented_pin(self.url).await;
                let pin = pin.map(|pin| format!("; it shows the key {pin}, and none is pinned here"));
                Check::fail(TLS, &self.about, format!("{}{}", in_full(&cause), pin.unwrap_or_default()))
            }
            Err(cause) => return self.fail(TLS, &cause),
        };
        let passed = check.outcome != Outcome::Fail;
        self.push(check);
        passed.then_some(())
    }

    fn judged(&self, shown: &Certificate) -> Check {
        if let Some(at) = self.pins.iter().position(|pin| *pin == shown.pin) {
            let which = if at == 0 { "current" } else { "next" };
            let said =
                format!("the server holds the pinned key ({which}: {}); dates are not judged", shown.pin);
            return Check::ok(TLS, &self.about, said);
        }
        let days = (shown.expires_at.as_millis() - self.machine.clock.now().as_millis()) / DAY_MILLIS;
        let said = format!("the certificate is trusted here until {} ({days} days)", shown.expires_at);
        if days < RENEWED_BEFORE_DAYS {
            return Check::warn(TLS, &self.about, format!("{said}: it should have been renewed by now"));
        }
        Check::ok(TLS, &self.about, said)
    }

    async fn answer(&mut self) -> Option<()> {
        let url = below(self.url, "healthz");
        let asked_at = self.machine.clock.now();
        let response = match self.ask(&url).await {
            Ok(response) => response,
            Err(cause) => return self.fail(SERVER, &cause),
        };
        if response.status != StatusCode::OK || response.body != HEALTHY {
            let said = format!(
                "answers {} to /healthz, which is no answer of a Muster server: check the address and the proxy in \
                 front of it",
                response.status
            );
            self.push(Check::fail(SERVER, &self.about, said));
            return None;
        }
        let version = match self.ask(&below(self.url, "v1/openapi.json")).await {
            Ok(response) => version(&response),
            Err(_) => None,
        };
        let version =
            version.map_or_else(|| "which does not say its version".to_owned(), |v| format!("version {v}"));
        self.push(Check::ok(SERVER, &self.about, format!("a Muster server answers, {version}")));
        if let Some(there) = clock::date(&response.headers) {
            // A `Date` is cut to the second: compare it with the middle of the one it names.
            let there = Timestamp::from_millis(there.as_millis() + 500);
            self.push(clock::check(&self.about, asked_at, there));
        }
        Some(())
    }

    async fn ask(&self, url: &Url) -> Result<Response, DialError> {
        let unusable = || DialError::Url { url: shown(url) };
        let request = Request::get(url.path()).body(Bytes::new()).map_err(|_| unusable())?;
        self.dialer.request(request, url).await
    }
}

fn version(response: &Response) -> Option<String> {
    let document: serde_json::Value = serde_json::from_slice(&response.body).ok()?;
    let version = document.get("info")?.get("version")?.as_str()?;
    crate::visible::line::<32>(version).map(|line| line.to_string())
}
