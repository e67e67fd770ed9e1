//! Bearer strings: tickets, agent keys, API tokens.

use data_encoding::BASE64URL_NOPAD;
use muster_ids::{Bearer, BearerKind, PublicId};
use secrecy::ExposeSecret;

use crate::taken::{Taken, with_one_character_changed};

/// What parses is exactly what would be printed, shows no secret, and no changed character goes unnoticed.
pub fn bearer(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Some(bearer) = Bearer::parse(text)
    {
        assert_eq!(bearer.expose().expose_secret(), text, "two texts for one bearer string");
        let secret = BASE64URL_NOPAD.encode(bearer.secret());
        assert!(!format!("{bearer:?}").contains(&secret), "the secret was printed");
    }
    made(data);
}

fn made(data: &[u8]) {
    let mut taken = Taken::from(data);
    let kind = BearerKind::ALL[usize::from(taken.byte()) % BearerKind::ALL.len()];
    let (id, secret) = (PublicId::from_entropy(taken.array()), taken.array());
    let printed = Bearer::new(kind, id, secret).expose();
    let text = printed.expose_secret();
    let back = Bearer::parse(text).expect("what is printed parses");
    assert_eq!((back.kind, back.id, back.secret()), (kind, id, &secret));
    let at = usize::from(taken.byte());
    if let Some(changed) = with_one_character_changed(text, at, taken.byte()) {
        assert!(Bearer::parse(&changed).is_none(), "a typing error at {at} went unnoticed");
    }
}
