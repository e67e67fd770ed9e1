//! The store alone: what group commit is worth, and how long signs of life take to be written.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use muster_domain::ticket::{Spent, Ticket};
use muster_edge::Clock;
use muster_ids::{AuditId, HostId, KeyName, SiteId, TeamId, TicketId, Timestamp};
use muster_store::rows::{
    Arrival, AuditRow, HostKeyRow, HostRow, KeyState, PresenceRow, SiteRow, TeamRow, TicketRow,
};
use muster_store::{Location, Priority, Store, StoreConfig, StoreError, Tx};
use muster_testkit::postgres::{Cluster, Database};
use muster_wire::enroll::{Disposition, Labels};
use muster_wire::host::{HostKind, HostState};
use muster_wire::ticket::TicketKind;
use tempfile::TempDir;
use tokio::time::Instant;
use uuid::Uuid;

use super::Sizes;
use crate::card::{Card, GoalKind};
use crate::figures::{median, ms, per_second};
use crate::server::Backend;

const IN_FLIGHT: usize = 256;
const TICKETS: u32 = 120_000;
/// Rows of one transaction while the tables are filled.
const FILL: u32 = 2000;
const HOSTS: u32 = 100_000;
const SIGNS: u32 = 10_000;
/// As many signs of life as the server writes in one transaction.
const SIGNS_OF_A_BATCH: usize = 500;
/// As many of them as the server has on their way at once.
const BATCHES_AT_ONCE: usize = 4;
const FLUSHES: i64 = 9;
const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

pub(super) async fn measure(card: &mut Card, backend: Backend, sizes: &Sizes) {
    let name = backend.name();
    if backend == Backend::Sqlite {
        match group_commit(card, sizes.run_for).await {
            Ok((grouped, single)) => card.goal(GoalKind::GroupCommit, name, grouped, Some(single)),
            Err(error) => card.missing("group commit", name, &error),
        }
    }
    let goal = match backend {
        Backend::Sqlite => GoalKind::FlushSqlite,
        Backend::Postgres => GoalKind::FlushPostgres,
    };
    match flush(backend, sizes).await {
        Ok(took) => card.goal(goal, name, took, None),
        Err(error) => card.missing("a flush of heartbeats", name, &error),
    }
}

/// A store of its own, gone with this value.
struct Opened {
    store: Store,
    _folder: TempDir,
    _database: Option<Database>,
}

impl Opened {
    async fn open(backend: Backend, batch: Option<usize>) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("muster-swarm-store-").tempdir()?;
        let database = (backend == Backend::Postgres).then(|| Cluster::shared().database());
        let location = match &database {
            Some(database) => Location::Postgres(database.url().to_owned()),
            None => Location::Sqlite(Path::join(folder.path(), "store.db")),
        };
        let mut config = StoreConfig::new(location, Clock::system());
        config.limits.batch = batch.unwrap_or(config.limits.batch);
        config.limits.write_for = Duration::from_secs(60);
        config.limits.slow_after = Duration::from_secs(60);
        let store = Store::open(config).await?;
        store.write(Priority::Normal, begin).await?;
        Ok(Self { store, _folder: folder, _database: database })
    }

    /// Runs `make` for every number below `count`, some in each transaction.
    async fn fill(
        &self,
        count: u32,
        make: fn(&mut Tx<'_>, u32) -> Result<(), StoreError>,
    ) -> anyhow::Result<()> {
        for from in (0..count).step_by(FILL as usize) {
            let until = count.min(from + FILL);
            let filled = self
                .store
                .write(Priority::Normal, move |tx| (from..until).try_for_each(|number| make(tx, number)));
            filled.await?;
        }
        Ok(())
    }
}

/// Enrolment transactions a second, 256 in flight: as the store groups them, and with a commit each.
async fn group_commit(card: &mut Card, lasts: Duration) -> anyhow::Result<(f64, f64)> {
    let (mut rates, mut sizes) = (Vec::new(), Vec::new());
    for batch in [Some(1), None] {
        let opened = Opened::open(Backend::Sqlite, batch).await?;
        opened.fill(TICKETS, |tx, number| tx.ticket_insert(&ticket(number))).await?;
        let before = opened.store.committed();
        let joins = enrolments(&opened.store, lasts).await?;
        rates.push(joins);
        let after = opened.store.committed();
        sizes.push(
            (after.transactions - before.transactions) as f64 / (after.commits - before.commits) as f64,
        );
        opened.store.close().await;
    }
    card.figure("group commit, transactions in one commit", Backend::Sqlite.name(), sizes[1], "");
    Ok((rates[1], rates[0]))
}

async fn enrolments(store: &Store, lasts: Duration) -> anyhow::Result<f64> {
    let next = Arc::new(AtomicU32::new(0));
    let began = Instant::now();
    let lanes: Vec<_> = (0..IN_FLIGHT)
        .map(|_| {
            let (store, next) = (store.clone(), Arc::clone(&next));
            tokio::spawn(async move {
                let mut enrolled = 0;
                while began.elapsed() < lasts {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= TICKETS {
                        break;
                    }
                    store.write(Priority::Normal, move |tx| enrol(tx, number)).await?;
                    enrolled += 1;
                }
                anyhow::Ok(enrolled)
            })
        })
        .collect();
    let mut enrolled = 0;
    for lane in lanes {
        enrolled += lane.await??;
    }
    Ok(per_second(enrolled, began.elapsed()))
}

/// Writes 10,000 signs of life of 100,000 hosts as the server does; the middle of nine, in milliseconds.
async fn flush(backend: Backend, sizes: &Sizes) -> anyhow::Result<f64> {
    let hosts = if sizes.is_quick { HOSTS / 5 } else { HOSTS };
    let opened = Opened::open(backend, None).await?;
    opened.fill(hosts, make_host).await?;
    let apart = hosts / SIGNS;
    let mut took = Vec::new();
    for round in 1..=FLUSHES {
        let seen_at = Timestamp::from_millis(NOW.as_millis() + round * 1000);
        let sign =
            |number: u32| PresenceRow { seq: i64::from(number * apart) + 1, seen_at, said_goodbye: false };
        let signs: Vec<PresenceRow> = (0..SIGNS).map(sign).collect();
        let began = Instant::now();
        let batches: Vec<_> = signs.chunks(SIGNS_OF_A_BATCH).map(<[_]>::to_vec).collect();
        let write = |batch: Vec<PresenceRow>| {
            opened.store.write(Priority::Normal, move |tx: &mut Tx<'_>| tx.presence_flush(&batch))
        };
        let written: Vec<Result<(), StoreError>> =
            stream::iter(batches).map(write).buffer_unordered(BATCHES_AT_ONCE).collect().await;
        written.into_iter().collect::<Result<(), _>>()?;
        took.push(ms(began.elapsed()));
    }
    opened.store.close().await;
    Ok(median(took))
}

fn begin(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    tx.team_insert(&TeamRow {
        id: team_id(),
        name: "swarm".to_owned(),
        is_platform: false,
        wrapped_key: vec![1],
        created_at: NOW,
    })?;
    tx.site_insert(&SiteRow {
        id: site_id(),
        team_id: team_id(),
        name: "swarm".to_owned(),
        policy: muster_wire::site::SitePolicy::default(),
        created_at: NOW,
    })?;
    Ok(())
}

fn make_host(tx: &mut Tx<'_>, number: u32) -> Result<(), StoreError> {
    tx.host_insert(&host(number))?;
    tx.host_rows_insert(host_id(number), 0)
}

/// What a join writes at the least: ticket, host, key, audit.
fn enrol(tx: &mut Tx<'_>, number: u32) -> Result<(), StoreError> {
    let (id, key) = (host_id(number), key(number));
    tx.ticket_spend(&ticket_id(number), &Spent { by_key: key, by_host: id, disposition: Disposition::New })?;
    tx.host_insert(&host(number))?;
    tx.host_key_insert(&HostKeyRow {
        name: key,
        team_id: team_id(),
        host_id: id,
        material: vec![4; 65],
        state: KeyState::Active,
        ticket_id: Some(ticket_id(number)),
        created_by: None,
        created_at: NOW,
        ended_at: None,
        ended_by: None,
        first_used_at: None,
        last_used_at: None,
    })?;
    let audit = AuditRow {
        id: AuditId::from_uuid(uuid(number)),
        team_id: team_id(),
        at: NOW,
        actor: key.to_string(),
        role: None,
        source: "127.0.0.1".to_owned(),
        action: "host.enrolled".to_owned(),
        target: id.to_string(),
        outcome: "ok".to_owned(),
        changed: None,
        host_id: Some(id),
        details: "{}".to_owned(),
    };
    tx.audit_insert(&audit, &[7; 32])
}

fn host(number: u32) -> HostRow {
    HostRow {
        id: host_id(number),
        team_id: team_id(),
        site_id: site_id(),
        kind: HostKind::Team,
        name: format!("swarm-{number}"),
        state: HostState::Active,
        provider: None,
        zone: None,
        arrival: Some(Arrival {
            door: 1,
            disposition: Disposition::New,
            ticket_id: Some(ticket_id(number)),
            machine_uid: format!("smbios:{number:032x}").parse().expect("a number makes a uid"),
            owns_uid: true,
            hostname: format!("swarm-{number}").parse().expect("a number makes a name"),
            facts: serde_json::from_value(crate::machine::facts()).expect("the facts of a machine are facts"),
            labels: Labels::default(),
        }),
        created_at: NOW,
        enrolled_at: Some(NOW),
        retired_at: None,
        ephemeral_hours: None,
    }
}

fn ticket(number: u32) -> TicketRow {
    TicketRow {
        ticket: Ticket {
            id: ticket_id(number),
            kind: TicketKind::EnrolmentToken,
            team_id: team_id(),
            site_id: site_id(),
            host_id: None,
            rejoin: false,
            require_key: true,
            expires_at: None,
            revoked_at: None,
            rotation: None,
            max_uses: None,
            uses: 0,
            spent: None,
            reserved_for: None,
        },
        host_name: None,
        tags: Vec::new(),
        ephemeral_hours: None,
        verifier: vec![7; 32],
        created_by: "swarm".to_owned(),
        created_at: NOW,
    }
}

/// Version 7 as the server makes them: in the order of their numbers.
fn uuid(number: u32) -> Uuid {
    Uuid::from_u128((0x0190_0000_0000_7000_8000 << 48) | u128::from(number))
}

fn host_id(number: u32) -> HostId {
    HostId::from_uuid(uuid(number))
}

fn team_id() -> TeamId {
    TeamId::from_uuid(Uuid::from_u128(1))
}

fn site_id() -> SiteId {
    SiteId::from_uuid(Uuid::from_u128(1))
}

fn ticket_id(number: u32) -> TicketId {
    format!("{number:012}").parse().expect("a number makes an id")
}

fn key(number: u32) -> KeyName {
    format!("jkt:{number:042}A").parse().expect("a number makes a thumbprint")
}
