//! Where a provider sends a browser: a configured address, and never what a request says of itself.

use http::HeaderMap;
use http::header::HOST;
use muster_http::ListenerKind;
use url::Url;

use crate::installation::Installation;

const PATH: &str = "/v1/oidc/callback";

/// Returns every address that a provider may send a browser to at a listener, the preferred one first.
pub fn redirect_uris(installation: &Installation, listener: ListenerKind) -> Vec<Url> {
    let scheme = match listener {
        ListenerKind::Operators => "http",
        ListenerKind::Machines => "https",
    };
    let bases = match listener {
        ListenerKind::Operators => with_localhost(&installation.loopback_urls),
        ListenerKind::Machines => installation.public_urls(),
    };
    let ours = bases.into_iter().filter(|base| base.scheme() == scheme);
    ours.filter_map(|base| base.join(PATH).ok()).collect()
}

/// Returns the address for a browser that asked at `listener`: the cookie it gets now must come back there.
pub fn redirect_uri(installation: &Installation, listener: ListenerKind, headers: &HeaderMap) -> Option<Url> {
    let known = redirect_uris(installation, listener);
    let asked = headers.get(HOST).and_then(|host| host.to_str().ok());
    let asked = asked.and_then(|host| Url::parse(&format!("{}://{host}", known.first()?.scheme())).ok());
    let same = |url: &&Url| asked.as_ref().is_some_and(|asked| asked.origin() == url.origin());
    known.iter().find(same).or(known.first()).cloned()
}

/// A person may call the loopback listener by its name.
fn with_localhost(urls: &[Url]) -> Vec<Url> {
    let mut all = urls.to_vec();
    for url in urls {
        let mut named = url.clone();
        if named.set_host(Some("localhost")).is_ok() {
            all.push(named);
        }
    }
    all
}
