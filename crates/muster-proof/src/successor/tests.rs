use muster_ids::HostId;
use muster_wire::claim::CopyCause;
use uuid::Uuid;

use super::*;

fn host() -> HostId {
    HostId::from_uuid(Uuid::from_u128(7))
}

fn next_claims(former: &HostKey) -> NextKeyClaims {
    NextKeyClaims { host_id: host(), former: former.thumbprint(), challenge: "c".repeat(43) }
}

fn fork_claims(key: &HostKey) -> ForkClaims {
    ForkClaims {
        host_id: host(),
        key: key.thumbprint(),
        cause: CopyCause::GenerationStale,
        generation: None,
        boot_id: "boot".to_owned(),
    }
}

#[test]
fn a_next_key_speaks_for_itself() {
    let (former, next) = (HostKey::generate(), HostKey::generate());
    let claims = next_claims(&former);
    let (key, said) = verify_next_key(&sign_next_key(&next, &claims)).unwrap();
    assert_eq!((key.thumbprint(), said), (next.thumbprint(), claims));
}

#[test]
fn a_fork_is_vouched_for_by_the_former_key_alone() {
    let (former, new, other) = (HostKey::generate(), HostKey::generate(), HostKey::generate());
    let claims = fork_claims(&new);
    let statement = sign_fork(&former, &claims);
    assert_eq!(verify_fork(&statement, former.public_key()), Ok(claims.clone()));
    assert!(verify_fork(&statement, other.public_key()).is_err());
    assert!(verify_fork(&sign_fork(&new, &claims), former.public_key()).is_err());
}

#[test]
fn neither_passes_for_the_other() {
    let (former, next) = (HostKey::generate(), HostKey::generate());
    assert!(verify_fork(&sign_next_key(&next, &next_claims(&former)), next.public_key()).is_err());
    assert!(verify_next_key(&sign_fork(&former, &fork_claims(&next))).is_err());
}

#[test]
fn a_statement_that_was_changed_does_not_hold() {
    let (former, next) = (HostKey::generate(), HostKey::generate());
    let statement = sign_next_key(&next, &next_claims(&former));
    let other = sign_next_key(&next, &NextKeyClaims { challenge: "d".repeat(43), ..next_claims(&former) });
    let parts: Vec<&str> = statement.split('.').collect();
    let swapped = [parts[0], other.split('.').nth(1).unwrap(), parts[2]].join(".");
    assert!(verify_next_key(&swapped).is_err());
}
