//! Every text form parses back to itself and refuses everything near it.

#![expect(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

use muster_ids::{
    Bearer, BearerKind, HostId, KeyName, KeyThumbprint, MachineUid, PublicId, TeamId, Timestamp, UidSource,
};
use proptest::prelude::*;
use secrecy::ExposeSecret;

fn round_trip<T>(value: &T)
where
    T: std::fmt::Display + std::str::FromStr + PartialEq + std::fmt::Debug,
    T::Err: std::fmt::Debug,
{
    assert_eq!(value.to_string().parse::<T>().unwrap(), *value);
}

proptest! {
    #[test]
    fn ids_round_trip(uuid: u128, bytes: [u8; 16], digest: [u8; 32], millis in 0i64..4_102_444_800_000) {
        round_trip(&HostId::from_uuid(uuid::Uuid::from_u128(uuid)));
        round_trip(&PublicId::from_entropy(bytes));
        round_trip(&KeyName::Pair(KeyThumbprint::from_digest(digest)));
        round_trip(&MachineUid::from_sha256(UidSource::Disk, &digest));
        round_trip(&Timestamp::from_millis(millis));
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

#[test]
fn times_have_one_spelling() {
    let noon = Timestamp::from_millis(1_768_478_400_000);
    assert_eq!(noon.to_string(), "2026-01-15T12:00:00.000Z");
    for good in ["2026-01-15T12:00:00Z", "2026-01-15T12:00:00.0Z", "2026-01-15T12:00:00.000000000Z"] {
        assert_eq!(good.parse::<Timestamp>(), Ok(noon), "{good}");
    }
    for bad in [
        "2026-01-15T14:00:00+02:00",
        "2026-01-15T12:00:00+00:00",
        "2026-01-15T12:00:00z",
        "2026-01-15t12:00:00Z",
        "2026-01-15 12:00:00Z",
        "2026-01-15T12:00Z",
        "2026-01-15T12Z",
        "2026-01-15T12:00:00.Z",
        "2026-01-15T12:00:00.0000000000Z",
        "2026-01-15T12:00:00.0 Z",
        "2026-01-15T12:00:00Z[UTC]",
        "2026-01-15T12:00:00+02:00[Europe/Berlin]",
        "+002026-01-15T12:00:00Z",
        "-000026-01-15T12:00:00Z",
        "2026-13-15T12:00:00Z",
        "2026-02-30T12:00:00Z",
        "2026-01-15T25:00:00Z",
        "20260115T120000Z",
        "1768478400000",
        "",
        "Z",
        "2026-01-15T12:00:00\u{0}Z",
    ] {
        assert!(bad.parse::<Timestamp>().is_err(), "{bad:?}");
    }
}

#[test]
fn arithmetic_saturates_and_never_runs_backwards() {
    use std::time::Duration;
    let now = Timestamp::from_millis(1_000);
    assert_eq!(now.since(now.plus(Duration::from_secs(5))), Duration::ZERO);
    assert_eq!(now.plus(Duration::from_secs(5)).since(now), Duration::from_secs(5));
    assert_eq!(now.plus(Duration::MAX).as_millis(), i64::MAX);
    assert_eq!(now.minus(Duration::MAX).plus(Duration::MAX), Timestamp::from_millis(1_000));
    let all_of_time = Timestamp::from_millis(i64::MAX).since(Timestamp::from_millis(i64::MIN));
    assert_eq!(all_of_time, Duration::from_millis(i64::MAX.unsigned_abs()));
}

/// SECURITY D, row "token strings".
#[test]
fn only_one_whole_bearer_string_is_a_bearer_string() {
    let bearer = Bearer::new(BearerKind::EnrolmentToken, PublicId::from_entropy([7; 16]), [9; 32]);
    let good = bearer.expose().expose_secret().to_owned();
    assert!(Bearer::parse(&good).is_some());
    let other_kind = good.replacen("mse", "mss", 1);
    let unknown_kind = good.replacen("mse", "msx", 1);
    let bad = [
        String::new(),
        "_".into(),
        "__".into(),
        "mse__".into(),
        good[..good.len() - 1].into(),
        format!("{good}0"),
        format!(" {good}"),
        format!("{good}\n"),
        format!("{good} {good}"),
        good.to_uppercase(),
        good.to_lowercase(),
        other_kind,
        unknown_kind,
        good.repeat(10_000),
        format!("mse_{}_{}", "ä".repeat(6), "ö".repeat(25)),
        format!("mse_abcdefghijkl_{}", "=".repeat(51)),
    ];
    for text in bad {
        let shown: String = text.chars().take(80).collect();
        assert!(Bearer::parse(&text).is_none(), "{shown:?}");
    }
}

#[test]
fn every_kind_has_its_own_letters() {
    for kind in BearerKind::ALL {
        assert_eq!(BearerKind::from_prefix(kind.as_str()), Some(kind));
        let bearer = Bearer::new(kind, PublicId::from_entropy([1; 16]), [2; 32]);
        assert_eq!(Bearer::parse(bearer.expose().expose_secret()).unwrap().kind, kind);
    }
    assert_eq!(BearerKind::from_prefix("MSE"), None);
}

#[test]
fn key_names_refuse_each_others_text() {
    let pair = KeyName::Pair(KeyThumbprint::from_digest([3; 32]));
    for bad in [
        pair.to_string().replacen("jkt", "agk", 1),
        pair.to_string().replacen("jkt:", "", 1),
        format!("{pair}="),
        "agk:short".into(),
        "agk:abcdefghijk!".into(),
        "jkt:".into(),
    ] {
        assert!(bad.parse::<KeyName>().is_err(), "{bad}");
    }
    round_trip(&"agk:abcdefghijkl".parse::<KeyName>().unwrap());
}

#[test]
fn machine_uids_name_a_known_source() {
    let hex = "0123456789abcdef0123456789abcdef";
    for source in UidSource::ALL {
        let uid: MachineUid = format!("{}:{hex}", source.as_str()).parse().unwrap();
        assert_eq!(uid.source(), source);
    }
    for bad in [
        format!("other:{hex}"),
        format!("SMBIOS:{hex}"),
        format!("smbios:{}", hex.to_uppercase()),
        format!("smbios:{hex}0"),
        format!("smbios:{}", &hex[1..]),
        format!("smbios: {hex}"),
        hex.to_owned(),
    ] {
        assert!(bad.parse::<MachineUid>().is_err(), "{bad}");
    }
    let strong: Vec<_> = UidSource::ALL.into_iter().filter(|source| source.is_strong()).collect();
    assert_eq!(strong, [UidSource::Given, UidSource::Smbios, UidSource::Board]);
}
