//! Every text form parses back to itself and refuses everything near it.

use muster_ids::{
    Bearer, BearerKind, HostId, KeyName, KeyThumbprint, MachineUid, PublicId, TeamId, Timestamp, UidSource,
};
use proptest::prelude::*;
use secrecy::ExposeSecret;

fn round_trip<T>(value: T)
where
    T: std::fmt::Display + std::str::FromStr + PartialEq + std::fmt::Debug,
    T::Err: std::fmt::Debug,
{
    assert_eq!(value.to_string().parse::<T>().unwrap(), value);
}

proptest! {
    #[test]
    fn ids_round_trip(uuid: u128, bytes: [u8; 16], digest: [u8; 32], millis in 0i64..4_102_444_800_000) {
        round_trip(HostId::from_uuid(uuid::Uuid::from_u128(uuid)));
        round_trip(PublicId::from_entropy(bytes));
        round_trip(KeyName::Pair(KeyThumbprint::from_digest(digest)));
        round_trip(MachineUid::from_sha256(UidSource::Disk, &digest));
        round_trip(Timestamp::from_millis(millis));
    }

    #[test]
    fn bearer_refuses_every_single_changed_byte(bytes: [u8; 16], secret: [u8; 32], at in 0usize..68, change in 1u8..127) {
        let bearer = Bearer::new(BearerKind::SiteKey, PublicId::from_entropy(bytes), secret);
        let text = bearer.expose().expose_secret().to_owned();
        let parsed = Bearer::parse(&text).unwrap();
        prop_assert_eq!(parsed.secret(), &secret);
        let mut mangled = text.clone().into_bytes();
        let at = at % mangled.len();
        mangled[at] = (mangled[at] ^ change) & 0x7f;
        let mangled = String::from_utf8(mangled).unwrap();
        prop_assume!(mangled != text);
        prop_assert!(Bearer::parse(&mangled).is_none());
    }
}

#[test]
fn ids_refuse_other_spellings() {
    let good = "host_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5";
    assert!(good.parse::<HostId>().is_ok());
    for bad in [
        "host_0192F0C1A2B37C4D8E9FA0B1C2D3E4F5",
        "host_0192f0c1-a2b3-7c4d-8e9f-a0b1c2d3e4f5",
        "team_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5",
        "host_{0192f0c1a2b37c4d8e9fa0b1c2d3e4f5}",
        "host_",
        "",
        " host_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5",
    ] {
        assert!(bad.parse::<HostId>().is_err(), "{bad}");
    }
    assert!(good.parse::<TeamId>().is_err());
}

#[test]
fn bearer_never_prints_its_secret() {
    let bearer = Bearer::new(BearerKind::EnrolmentToken, PublicId::from_entropy([7; 16]), [9; 32]);
    let secret = data_encoding::BASE64URL_NOPAD.encode(&[9; 32]);
    assert!(bearer.expose().expose_secret().contains(&secret));
    assert!(!format!("{bearer:?}").contains(&secret));
}

#[test]
fn json_form_is_the_text_form() {
    let uid = MachineUid::from_sha256(UidSource::Given, &[1; 32]);
    assert_eq!(serde_json::to_string(&uid).unwrap(), format!("\"{uid}\""));
    assert!(serde_json::from_str::<MachineUid>("\"given:xyz\"").is_err());
    assert!(serde_json::from_str::<MachineUid>("7").is_err());
}
