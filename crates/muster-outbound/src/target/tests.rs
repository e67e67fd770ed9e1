use super::*;

#[track_caller]
fn check(url: &str, expected: Option<(&str, u16, bool)>) {
    let parsed = parse_url(url).and_then(|uri| Target::of(&uri)).ok();
    let parsed = parsed.map(|target| (target.host.to_string(), target.port, target.is_tls));
    assert_eq!(parsed, expected.map(|(host, port, is_tls)| (host.to_owned(), port, is_tls)), "{url}");
}

#[test]
fn plain_urls_lead_where_they_say() {
    check("https://hooks.example.com/a?b=c", Some(("hooks.example.com", 443, true)));
    check("http://Hooks.Example.COM.:8080/", Some(("hooks.example.com", 8080, false)));
    check("http://127.0.0.1", Some(("127.0.0.1", 80, false)));
    check("https://[2606:4700::1]:8443/x", Some(("2606:4700::1", 8443, true)));
    check("https://0x7f.example/", Some(("0x7f.example", 443, true)));
}

#[test]
fn what_two_readers_could_read_differently_is_refused() {
    let urls = [
        "ftp://example.com/",
        "file:///etc/passwd",
        "/relative",
        "example.com",
        "https://",
        "https:///path",
        "https://user:pass@example.com/",
        "https://user@example.com/",
        "https://example.com@127.0.0.1/",
        "http://0x7f.1/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://127.1/",
        "http://0177.0.0.1/",
        "http://127.0.0.1.1/",
        "http://127.0.0.256/",
        "http://[::1%25lo]/",
        "http://[fe80::1%lo]/",
        "http://[::1/",
        "http://example.com:0/",
        "http://example.com:/",
        "http://example.com:99999/",
        "http://example..com/",
        "http://.example.com/",
        "http://exam%70le.com/",
        "http://example.com\\@127.0.0.1/",
        "http://ex ample.com/",
        "http://example.com\r\nx: y/",
        "http://\u{2488}7.0.0.1/",
    ];
    urls.iter().for_each(|url| check(url, None));
    check(&format!("http://{}.com/", "a".repeat(64)), None);
    check(&format!("http://{}com/", "a.".repeat(130)), None);
}

#[test]
fn an_address_that_is_spelled_out_is_judged_before_anything_is_stored() {
    let nothing = Allowed::public_only();
    let here = Allowed::networks(&["127.0.0.0/8".parse().unwrap()]);
    assert!(check_url("https://hooks.example.com/", &nothing).is_ok());
    assert!(check_url("https://169.254.169.254/", &here).is_err());
    assert!(check_url("http://127.0.0.1:9/", &nothing).is_err());
    assert!(check_url("http://127.0.0.1:9/", &here).is_ok());
    assert!(check_url("http://[::ffff:127.0.0.1]:9/", &here).is_ok());
}
