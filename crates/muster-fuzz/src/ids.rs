//! Ids, key names and times in the one form they have on the wire.

use std::fmt::Display;
use std::str::FromStr;

use muster_ids::{
    AgentKeyId, AuditId, ClaimId, DeliveryId, EndpointId, EventId, HostId, JobId, KeyName, KeyThumbprint,
    MachineUid, PublicId, RequestId, SecretId, SiteId, TeamId, TicketId, Timestamp, UserId,
};
use serde::de::DeserializeOwned;

/// Whatever parses is printed as it was read, alone and in JSON; a time is printed in its one form.
pub fn ids(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let parsed = [
        canonical::<TeamId>(text),
        canonical::<UserId>(text),
        canonical::<SiteId>(text),
        canonical::<HostId>(text),
        canonical::<ClaimId>(text),
        canonical::<JobId>(text),
        canonical::<SecretId>(text),
        canonical::<AuditId>(text),
        canonical::<EventId>(text),
        canonical::<EndpointId>(text),
        canonical::<DeliveryId>(text),
        canonical::<RequestId>(text),
        canonical::<KeyName>(text),
        canonical::<MachineUid>(text),
        canonical::<KeyThumbprint>(text),
        canonical::<PublicId>(text),
    ];
    let kinds = parsed.iter().filter(|parsed| **parsed).count();
    assert!(kinds <= 1, "{text:?} is {kinds} kinds of id");
    assert_eq!(canonical::<TicketId>(text), canonical::<AgentKeyId>(text));
    time(text);
}

fn canonical<T: FromStr + Display + DeserializeOwned + PartialEq>(text: &str) -> bool {
    let in_json = serde_json::to_string(text).expect("text is JSON");
    let read = serde_json::from_str::<T>(&in_json).ok();
    let parsed = text.parse::<T>().ok();
    assert!(parsed == read, "{text:?} is read one way alone and another way in JSON");
    if let Some(parsed) = &parsed {
        assert_eq!(parsed.to_string(), text, "two texts for one id");
    }
    parsed.is_some()
}

fn time(text: &str) {
    let Ok(time) = text.parse::<Timestamp>() else { return };
    let printed = time.to_string();
    assert_eq!(printed.len(), "2026-11-22T12:00:00.000Z".len(), "{text:?} is printed as {printed}");
    assert_eq!(printed.parse(), Ok(time), "{text:?} is printed as {printed}");
}
