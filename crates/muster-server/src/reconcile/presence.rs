//! Presence: flushes what was heard to the narrow table, and tells who cannot be reached and who is back.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use muster_domain::presence::presence;
use muster_ids::{HostId, SiteId, TeamId, Timestamp};
use muster_store::rows::{LastSign, PresenceRow, WatchedRow};
use muster_store::{Priority, StoreError, Tx};
use muster_wire::happening::Happening;
use muster_wire::host::{HostState, Presence};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::run::{Pace, Step, run, run_to_the_end};
use crate::app::App;
use crate::failure::Failure;
use crate::host_view::signs_of_life;
use crate::metrics::Reconciler;
use crate::presence::Sign;
use crate::unit::{Author, Fact, Unit};

const FLUSH_EVERY: Duration = Duration::from_secs(1);
const WATCH_EVERY: Duration = Duration::from_secs(30);
const BATCH: usize = 500;
/// Batches that are on their way at once: SQLite puts them into one commit, PostgreSQL into that many connections.
const AT_ONCE: usize = 4;
const PAGE: i64 = 1000;
/// From so many hosts of a site on, and more than a fifth of them, the site is told of instead of its hosts.
const MANY: usize = 10;

/// Flushes every second until `shutdown`, and once more then.
pub async fn flusher(app: App, shutdown: CancellationToken) {
    let step = async |app: App| flush(&app).await;
    run_to_the_end(&app, Reconciler::Flusher, FLUSH_EVERY, &shutdown, step, flush(&app)).await;
}

/// Writes what was heard since the last time; what cannot be written is kept for the next. Batches go together, so that
/// they share a commit.
pub async fn flush(app: &App) -> Result<(), Failure> {
    let heard = app.presences.take_unflushed();
    let batches: Vec<Vec<(HostId, Sign)>> = heard.chunks(BATCH).map(<[_]>::to_vec).collect();
    let mut writes = stream::iter(batches).map(|batch| write(app.clone(), batch)).buffer_unordered(AT_ONCE);
    let mut outcome = Ok(());
    while let Some((batch, result)) = writes.next().await {
        if let Err(error) = result {
            app.presences.put_back(&batch);
            outcome = Err(error.into());
        }
    }
    outcome
}

async fn write(app: App, batch: Vec<(HostId, Sign)>) -> (Vec<(HostId, Sign)>, Result<(), StoreError>) {
    let rows: Vec<PresenceRow> = batch.iter().map(|(_, sign)| row(sign)).collect();
    let written = app.store.write(Priority::Normal, move |tx: &mut Tx<'_>| tx.presence_flush(&rows));
    let result = written.await;
    (batch, result)
}

fn row(sign: &Sign) -> PresenceRow {
    PresenceRow { seq: sign.seq, seen_at: sign.seen_at, said_goodbye: sign.said_goodbye }
}

/// Looks every 30 seconds who cannot be reached any more and who is back, until `shutdown`.
pub async fn watcher(app: App, shutdown: CancellationToken) {
    let step = async |app: App| watch(&app).await.map(|()| Step::Done);
    run(&app, Reconciler::Watcher, Pace { every: WATCH_EVERY, nudge: None }, &shutdown, step).await;
}

/// Compares every active host with what was last told about it. Within the reconnect window, after a start or a break,
/// nothing is told.
pub async fn watch(app: &App) -> Result<(), Failure> {
    let now = app.clock.now();
    let mut changed = Vec::new();
    let mut after = 0;
    loop {
        let rows = app.look(move |tx| tx.presence_page(after, PAGE)).await?;
        if after == 0 && !app.all_are_back() {
            return Ok(());
        }
        let Some(last) = rows.last() else { break };
        after = last.seq;
        changed.extend(rows.into_iter().filter_map(|row| change(app, row, now)));
    }
    for batch in changed.chunks(BATCH / 2) {
        tell(app, batch.to_vec(), now).await?;
    }
    Ok(())
}

/// A host about which something else is true than what was told.
#[derive(Debug, Clone, Copy)]
struct Change {
    row: WatchedRow,
    unreachable: bool,
}

fn change(app: &App, row: WatchedRow, now: Timestamp) -> Option<Change> {
    let stored = LastSign { seen_at: row.seen_at, said_goodbye: row.said_goodbye };
    let signs = signs_of_life(app, row.host_id, Some(stored));
    let unreachable = match presence(HostState::Active, &signs, now) {
        Presence::Unreachable => true,
        Presence::Online => false,
        // Silence for a day changes nothing about what was told; who said goodbye is missed by nobody.
        Presence::Offline | Presence::NeverSeen => return None,
    };
    (unreachable != row.told_unreachable).then_some(Change { row, unreachable })
}

async fn tell(app: &App, changes: Vec<Change>, now: Timestamp) -> Result<(), Failure> {
    app.change(Priority::Normal, now, move |unit| {
        let mut lost: BTreeMap<(TeamId, SiteId), Vec<HostId>> = BTreeMap::new();
        for Change { row, unreachable } in &changes {
            if !unit.tx.presence_told(row.seq, *unreachable)? {
                continue;
            }
            if *unreachable {
                lost.entry((row.team_id, row.site_id)).or_default().push(row.host_id);
            } else {
                unit.happened(of_host(Happening::HostBack, row.team_id, row.host_id));
            }
        }
        for ((team_id, site_id), hosts) in &lost {
            tell_lost(unit, *team_id, *site_id, hosts)?;
        }
        Ok(())
    })
    .await
}

/// Many at once are one event with a count: the site is down, not its hosts.
fn tell_lost(
    unit: &mut Unit<'_, '_>,
    team_id: TeamId,
    site_id: SiteId,
    hosts: &[HostId],
) -> Result<(), Failure> {
    let all = unit.tx.active_hosts_at_site(team_id, site_id)?;
    let is_many = hosts.len() >= MANY && i64::try_from(hosts.len() * 5).is_ok_and(|lost| lost > all);
    if is_many {
        let fact = Fact::new(Happening::SiteUnreachable, team_id, &Author::system(), site_id);
        unit.happened(fact.details(json!({ "count": hosts.len(), "of": all })));
        return Ok(());
    }
    for host_id in hosts {
        let fact = of_host(Happening::HostUnreachable, team_id, *host_id);
        unit.happened(fact.details(json!({ "site_id": site_id })));
    }
    Ok(())
}

fn of_host(what: Happening, team_id: TeamId, host_id: HostId) -> Fact {
    Fact::new(what, team_id, &Author::system(), host_id).of_host(host_id)
}
