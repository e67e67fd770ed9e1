use super::*;

#[test]
fn a_mail_server_may_have_a_port() {
    let parsed = |text: &str| {
        let parsed: ServerAndPort = text.parse().ok()?;
        Some((parsed.server.to_string(), parsed.port.map(Whole::get)))
    };
    assert_eq!(parsed("mail.example.org"), Some(("mail.example.org".to_owned(), None)));
    assert_eq!(parsed("mail.example.org:25"), Some(("mail.example.org".to_owned(), Some(25))));
    assert_eq!(parsed("[2001:db8::1]:465"), Some(("2001:db8::1".to_owned(), Some(465))));
    assert_eq!(parsed("[2001:db8::1]"), Some(("2001:db8::1".to_owned(), None)));
    for bad in ["", ":25", "mail.example.org:0", "mail.example.org:65536", "a b", "[::1]25", "2001:db8::1"] {
        assert_eq!(parsed(bad), None, "{bad}");
    }
}
