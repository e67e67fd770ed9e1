//! A database of version 1: its trail goes on, and what somebody put into it is told as in any other.

use muster_http::TrustedProxies;
use muster_ids::{AuditId, TeamId};
use muster_keyring::{Keyring, MasterKey};
use muster_store::rows::{AuditRow, ChainHead};
use muster_store::{MIGRATIONS, Priority, Store, StoreConfig, StoreError, Tx, params};
use muster_wire::happening::Happening;
use uuid::Uuid;

use crate::trail::sealing::{act, seal, trail};
use crate::world::{Backend, World};

/// What somebody did to the database before the upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meddling {
    Nothing,
    /// The last entry was cut off.
    Cut,
    /// An entry was slipped in that the server never sealed, with a head that fits it.
    Slipped,
}

fn row(n: u128) -> AuditRow {
    AuditRow {
        id: AuditId::from_uuid(Uuid::from_u128((7 << 76) + n)),
        team_id: TeamId::from_uuid(Uuid::from_u128(1 << 100)),
        at: muster_ids::Timestamp::from_millis(1_700_000_000_000),
        actor: "system".to_owned(),
        role: None,
        source: "-".to_owned(),
        action: Happening::KeyRotated.as_str().to_owned(),
        target: n.to_string(),
        outcome: "ok".to_owned(),
        changed: None,
        host_id: None,
        details: "{}".to_owned(),
    }
}

fn insert(tx: &mut Tx<'_>, row: &AuditRow, link: Option<ChainHead>) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO audit (id, team_id, at, actor, source, action, target, outcome, details, position, mac)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        params![
            row.id,
            row.team_id,
            row.at,
            row.actor,
            row.source,
            row.action,
            row.target,
            row.outcome,
            row.details,
            link.map(|link| link.position),
            link.map(|link| link.mac.to_vec())
        ],
    )?;
    Ok(())
}

/// Leaves what version 1 left: three sealed entries, an end without a tag, and one entry that waits for its place.
async fn version_1(config: StoreConfig, meddling: Meddling) {
    let store = Store::open_with(config, &MIGRATIONS[..1]).await.unwrap();
    let write = store.write(Priority::Normal, move |tx: &mut Tx<'_>| {
        let keyring = Keyring::derive(&MasterKey::from_bytes([7; 32]));
        let mut head = ChainHead::START;
        for n in 1..=3 {
            let position = head.next_position()?;
            let mac = keyring.audit_mac(&head.mac, position, &row(n).chained_text());
            head = ChainHead { position, mac };
            insert(tx, &row(n), Some(head))?;
        }
        match meddling {
            Meddling::Nothing => {}
            Meddling::Cut => {
                tx.execute("DELETE FROM audit WHERE position = 3", params![])?;
            }
            Meddling::Slipped => {
                head = ChainHead { position: 4, mac: [9; 32] };
                insert(tx, &row(4), Some(head))?;
            }
        }
        insert(tx, &row(5), None)?;
        let kept = [&head.position.to_be_bytes()[..], &head.mac].concat();
        tx.installation_set("audit_head", &kept)
    });
    write.await.unwrap();
    store.close().await;
}

/// Starts this version on it, and returns how often a break was told and how many the verification finds.
async fn upgraded(backend: Backend, meddling: Meddling) -> (usize, usize) {
    let before = async |config| version_1(config, meddling).await;
    let mut world = World::start_after(backend, TrustedProxies::none(), before).await;
    world.admin = world.set_up(&world.setup_code()).await.text("token");
    act(&world, 6, 2).await;
    seal(&world).await;
    assert!(trail(&world).await.len() > 6);
    let restarted = world.with_outbound(&[]).await;
    muster_server::reconcile::seal(&restarted).await.unwrap();
    let verified = world.must("GET", "/v1/audit/verify", None).await;
    (world.events("audit.broken").await.len(), verified["breaks"].as_array().unwrap().len())
}

async fn check(backend: Backend) {
    assert_eq!(upgraded(backend, Meddling::Nothing).await, (0, 0));
    for meddling in [Meddling::Cut, Meddling::Slipped] {
        let (told, found) = upgraded(backend, meddling).await;
        assert!(told == 1 && found > 0, "{meddling:?}: {told} {found}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite() {
    check(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres() {
    check(Backend::Postgres).await;
}
