use url::Url;

use super::{ProxyError, ProxyRules};

fn check(no_proxy: &str, url: &str, goes_through_proxy: bool) {
    let rules = ProxyRules::parse("http://proxy.example:3128", no_proxy).expect("rules");
    let url = Url::parse(url).expect("url");
    assert_eq!(rules.for_url(&url).is_some(), goes_through_proxy, "NO_PROXY={no_proxy} {url}");
}

#[test]
fn exceptions() {
    check("", "https://muster.example", true);
    check("*", "https://muster.example", false);
    check("muster.example", "https://muster.example:8643", false);
    check("MUSTER.example.", "https://muster.example", false);
    check("example", "https://muster.example", false);
    check(".example", "https://muster.example", false);
    check("*.example", "https://muster.example", false);
    check("uster.example", "https://muster.example", true);
    check("other, muster.example", "https://muster.example", false);
    check("other muster.example", "wss://muster.example/v1", false);
    check("muster.example:8643", "https://muster.example:8643", false);
    check("muster.example:8643", "https://muster.example", true);
    check("10.0.0.0/8", "https://10.1.2.3", false);
    check("10.0.0.0/8", "https://11.1.2.3", true);
    check("10.1.2.3", "https://10.1.2.3", false);
    check("10.1.2.3:443", "https://10.1.2.3", false);
    check("10.1.2.3:444", "https://10.1.2.3", true);
    check("fd00::/8", "https://[fd12::1]", false);
    check("fd12::1", "https://[fd12::1]", false);
    check("[fd12::1]:443", "https://[fd12::1]", false);
    check("[fd12::1]:444", "https://[fd12::1]", true);
    check("10.0.0.0/99, ,,", "https://10.1.2.3", true);
}

#[test]
fn this_machine_is_never_behind_a_proxy() {
    check("", "https://localhost:8643", false);
    check("", "https://127.0.0.1:8643", false);
    check("", "https://[::1]:8643", false);
    check("", "http://127.0.0.1:8600", false);
}

#[test]
fn proxy_addresses() {
    let proxy = |text: &str| {
        let rules = ProxyRules::parse(text, "").expect("rules");
        rules.for_url(&Url::parse("https://muster.example").expect("url")).cloned()
    };
    assert!(proxy("").is_none() && proxy("  ").is_none());
    assert_eq!(proxy("http://p.example:3128/").expect("proxy").authority(), "p.example:3128");
    assert_eq!(proxy("p.example:3128").expect("proxy").authority(), "p.example:3128");
    assert_eq!(proxy("http://p.example").expect("proxy").authority(), "p.example:80");
    assert_eq!(proxy("http://[fd00::1]:3128").expect("proxy").authority(), "[fd00::1]:3128");
    let named = proxy("http://us%3Aer:p%40ss@p.example:3128").expect("proxy");
    assert_eq!(named.authorization(), Some("Basic dXM6ZXI6cEBzcw=="));
    assert!(!format!("{named:?}").contains("dXM6"), "{named:?}");
    assert_eq!(
        ProxyRules::parse("socks5://p.example", "").expect_err("socks"),
        ProxyError::Scheme("socks5".into())
    );
    assert_eq!(
        ProxyRules::parse("https://p.example", "").expect_err("tls"),
        ProxyError::Scheme("https".into())
    );
    assert_eq!(ProxyRules::parse("http://", "").expect_err("empty"), ProxyError::Malformed);
}
