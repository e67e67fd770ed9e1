//! What a browser does: it keeps cookies by host and follows redirects.

use std::collections::BTreeMap;
use std::time::Duration;

use muster_testkit::http::{self, Answer};
use url::Url;

const MOST_REDIRECTS: usize = 12;

/// A browser with its cookies.
#[derive(Debug, Clone, Default)]
pub(crate) struct Browser {
    /// By host, then name; paths do not matter here.
    pub(crate) cookies: BTreeMap<String, BTreeMap<String, String>>,
}

impl Browser {
    /// Asks for one page.
    pub(crate) async fn get(&mut self, url: &Url) -> Answer {
        let host = url.host_str().unwrap();
        let jar = self.cookies.entry(host.to_owned()).or_default();
        let cookies: Vec<String> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut target = url.path().to_owned();
        if let Some(query) = url.query() {
            target.push_str(&format!("?{query}"));
        }
        let address = format!("{host}:{}", url.port().unwrap());
        let cookie =
            if cookies.is_empty() { String::new() } else { format!("cookie: {}\r\n", cookies.join("; ")) };
        let request = format!(
            "GET {target} HTTP/1.1\r\nhost: {address}\r\nuser-agent: test browser\r\nconnection: close\r\n{cookie}\r\n"
        );
        let answer = http::ask(address.parse().unwrap(), request.as_bytes(), Duration::from_secs(20)).await;
        let answer = answer.unwrap().unwrap();
        for (_, line) in answer.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
            let (name, value) = pair.split_once('=').unwrap();
            let is_gone = value.is_empty() || attributes.contains("1970") || attributes.contains("Max-Age=0");
            if is_gone {
                jar.remove(name)
            } else {
                jar.insert(name.to_owned(), value.to_owned())
            };
        }
        answer
    }

    /// Follows redirects as long as they lead elsewhere than to a path that begins with `until`; returns the address
    /// that does, or the one of the last answer, and that answer.
    pub(crate) async fn go(&mut self, from: &str, until: Option<&str>) -> (Url, Answer) {
        let mut url = Url::parse(from).unwrap();
        for _ in 0..MOST_REDIRECTS {
            let answer = self.get(&url).await;
            let Some(location) = answer.header("location").filter(|_| (300..400).contains(&answer.status))
            else {
                return (url, answer);
            };
            url = url.join(location).unwrap();
            if until.is_some_and(|until| url.path().starts_with(until)) {
                return (url, answer);
            }
        }
        panic!("too many redirects: {url}");
    }

    /// Returns a cookie.
    pub(crate) fn cookie(&self, host: &str, name: &str) -> Option<&str> {
        self.cookies.get(host)?.get(name).map(String::as_str)
    }
}
