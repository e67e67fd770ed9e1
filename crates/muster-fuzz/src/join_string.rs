//! Join strings: what an operator pastes on a machine.

use data_encoding::BASE64URL_NOPAD;
use muster_wire::join_string::JoinString;
use secrecy::ExposeSecret;

use crate::taken::with_one_character_changed;

/// What parses names servers an agent may dial, and prints as a string that parses to the same.
pub fn join_string(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        judge(text);
    }
    let encoded = BASE64URL_NOPAD.encode(data);
    judge(&format!("muster1.{encoded}{:08x}", crc32fast::hash(encoded.as_bytes())));
}

fn judge(text: &str) {
    let Ok(join) = text.parse::<JoinString>() else { return };
    assert!(!join.urls.is_empty(), "a join string without a server");
    for url in &join.urls {
        assert!(matches!(url.scheme(), "http" | "https"), "the agent would dial {url}");
        assert!(url.has_host(), "the agent would dial {url}");
        assert!(url.username().is_empty() && url.password().is_none(), "a log would show a password");
    }
    let secret = BASE64URL_NOPAD.encode(join.ticket.secret());
    let is_in_a_url = join.urls.iter().any(|url| url.as_str().contains(&secret));
    assert!(is_in_a_url || !format!("{join:?}").contains(&secret), "the ticket was printed");
    let printed = join.expose();
    let again: JoinString = printed.expose_secret().parse().expect("what is printed parses");
    assert_eq!(again.urls, join.urls);
    assert_eq!(again.pins, join.pins);
    assert_eq!(again.instruction_key, join.instruction_key);
    assert_eq!(again.expose().expose_secret(), printed.expose_secret());
    let at = crc32fast::hash(text.as_bytes()) as usize;
    if let Some(changed) = with_one_character_changed(printed.expose_secret(), at, b'!') {
        assert!(changed.parse::<JoinString>().is_err(), "a typing error at {at} went unnoticed");
    }
}
