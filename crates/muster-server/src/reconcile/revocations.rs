//! The log of revocations: every node reads it every 500 ms, and drops and cuts what it has not seen to itself.
//!
//! A channel is cut by what is true when the row is read, not by what the row says: a host that was suspended and has
//! resumed meanwhile keeps the connection it made since. A row counts as read once it was followed: one that cannot be
//! followed is read again. While the log cannot be read, or followed, nothing new is begun, then what is open is cut
//! (`muster_domain::revocation`); both end by themselves with the first look that works.

use std::time::Duration;

use futures_util::future::join;
use futures_util::{StreamExt, stream};
use muster_domain::revocation::{READ_EVERY, Sight, Tail};
use muster_ids::{KeyName, Timestamp};
use muster_store::rows::{AgentRow, RevocationRow};
use muster_store::{StoreError, Tx};
use muster_wire::host::HostState;
use muster_wire::parting::RevokedReason;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::effects::{Cut, CutReason, Ended};
use crate::failure::Failure;
use crate::metrics::Reconciler;

/// How long one look may take: a database that hangs is one that does not answer.
const LOOK_WITHIN: Duration = Duration::from_secs(2);
const PAGE: i64 = 1000;
/// Channels that are cut at once. Each may take its last words and more, and meanwhile nobody reads the log.
const CUTS_AT_ONCE: usize = 1024;
/// How long channels may take to leave when everything is cut.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Follows the log until `shutdown`.
pub async fn revocations(app: App, shutdown: CancellationToken) {
    let mut follower = Follower::new(&app);
    while !shutdown.is_cancelled() {
        match follower.follow(&app).await {
            Ok(_) => app.metrics.reconciled(Reconciler::Revocations, app.clock.now()),
            Err(error) => tracing::warn!(%error, "the log of revocations was not read, trying again"),
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(READ_EVERY) => {}
        }
    }
}

/// One node's place in the log.
#[derive(Debug)]
pub struct Follower {
    /// Unknown before the first look.
    tail: Option<Tail>,
    is_cut_off: bool,
}

impl Follower {
    /// Begins to watch: from now on the log must be read.
    pub fn new(app: &App) -> Self {
        app.revocations.read(app.clock.monotonic());
        Self { tail: None, is_cut_off: false }
    }

    /// Reads once and follows what it finds; a log that was not read for too long cuts everything. Returns how many
    /// rows another one wrote.
    pub async fn follow(&mut self, app: &App) -> Result<usize, Failure> {
        let looked_at = app.clock.monotonic();
        match self.look_and_follow(app, looked_at).await {
            Ok(others) => {
                app.revocations.read(looked_at);
                if std::mem::take(&mut self.is_cut_off) {
                    tracing::info!("the log of revocations is read again");
                }
                Ok(others)
            }
            Err(failure) => {
                self.cut_off(app);
                Err(failure)
            }
        }
    }

    async fn look_and_follow(&mut self, app: &App, looked_at: Duration) -> Result<usize, Failure> {
        let rows = in_time(self.look(app)).await?;
        let last = rows.last().map_or(0, |row| row.seq);
        let is_first = self.tail.is_none();
        let mut tail = self.tail.clone().unwrap_or_else(|| Tail::begin(last));
        let new = tail.take(rows.iter().map(|row| row.seq), looked_at);
        let others: Vec<RevocationRow> = rows
            .into_iter()
            .filter(|row| new.binary_search(&row.seq).is_ok())
            .filter(|row| !app.revocations.was_followed(row.seq))
            .collect();
        take_away(app, &others).await?;
        app.revocations.forget(&new);
        self.tail = Some(tail);
        if !is_first {
            measure(app, &others);
        }
        Ok(others.len())
    }

    async fn look(&self, app: &App) -> Result<Vec<RevocationRow>, Failure> {
        let after = self.tail.as_ref().map(Tail::after);
        app.look_first(move |tx| {
            let mut after = match after {
                Some(after) => after,
                None => Tail::begin(tx.revocations_last()?).after(),
            };
            let mut rows = Vec::new();
            loop {
                let page = tx.revocations_after(after, PAGE)?;
                let Some(last) = page.last() else { return Ok(rows) };
                after = last.seq;
                rows.extend(page);
            }
        })
        .await
    }

    fn cut_off(&mut self, app: &App) {
        if app.revocations.sight(app.clock.monotonic()) < Sight::Blind || self.is_cut_off {
            return;
        }
        self.is_cut_off = true;
        tracing::error!(
            channels = app.hub.len(),
            streams = app.streams.len(),
            "the log of revocations cannot be read: cutting every channel and stream"
        );
        app.credentials.clear();
        app.streams.cut_all();
        app.hub.leave_all();
        let app = app.clone();
        tokio::spawn(async move {
            tokio::time::sleep(LAST_WORDS).await;
            // Whoever waits for the database hears no command.
            if app.revocations.sight(app.clock.monotonic()) == Sight::Blind {
                app.hub.abort_all();
            }
        });
    }
}

/// Drops and cuts what these rows took away.
async fn take_away(app: &App, rows: &[RevocationRow]) -> Result<(), Failure> {
    let ended: Vec<Ended> = rows.iter().filter_map(read).collect();
    if ended.is_empty() {
        return Ok(());
    }
    app.credentials.drop_ended(&ended);
    let channels = async {
        let cuts = in_time(cuts(app, &ended)).await?;
        stream::iter(cuts).for_each_concurrent(CUTS_AT_ONCE, |cut| app.hub.cut(app, cut)).await;
        Ok(())
    };
    let ((), cut) = join(app.streams.end(&ended), channels).await;
    cut
}

/// Runs a read of the database for as long as one may take.
async fn in_time<T>(read: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let read = tokio::time::timeout(LOOK_WITHIN, read).await;
    read.unwrap_or_else(|elapsed| Err(Failure::internal(elapsed)))
}

fn read(row: &RevocationRow) -> Option<Ended> {
    let ended = row.subject.parse().ok();
    if ended.is_none() {
        tracing::error!(seq = row.seq, "the log of revocations names something this server does not know");
    }
    ended
}

/// Returns cuts for those among them whose key may not act any more.
async fn cuts(app: &App, ended: &[Ended]) -> Result<Vec<Cut>, Failure> {
    let key_of = |ended: &Ended| match ended {
        Ended::Host(host_id) => app.hub.key_of(*host_id),
        Ended::Key(key) => Some(*key),
        _ => None,
    };
    let keys: Vec<KeyName> = ended.iter().filter_map(key_of).collect();
    if keys.is_empty() || app.hub.is_empty() {
        return Ok(Vec::new());
    }
    let now = app.clock.now();
    app.look_first(move |tx| keys.iter().filter_map(|key| judge(tx, *key, now).transpose()).collect()).await
}

fn judge(tx: &mut Tx<'_>, key: KeyName, now: Timestamp) -> Result<Option<Cut>, StoreError> {
    let Some(row) = tx.agent_by_key(&key)? else { return Ok(None) };
    let decided_at = row.ended_at.unwrap_or(now);
    Ok(why(&row).map(|reason| Cut { host_id: row.host_id, key, reason, decided_at }))
}

/// Says why a channel with this key is cut. `None`: it stays.
fn why(row: &AgentRow) -> Option<CutReason> {
    if row.may_act() {
        None
    } else if row.ended_at.is_some() || row.host_state == HostState::Retired {
        Some(CutReason::Revoked { reason: RevokedReason::Ended })
    } else if row.held_at.is_some() {
        Some(CutReason::Held)
    } else {
        Some(CutReason::Suspended)
    }
}

/// The commit of another node is not known here: counted from the moment that node decided, by its clock.
fn measure(app: &App, rows: &[RevocationRow]) {
    let now = app.clock.now();
    let holds = |row: &&RevocationRow| row.subject.parse().is_ok_and(Ended::may_hold_something);
    for row in rows.iter().filter(holds) {
        app.metrics.revoke_to_refused.observe(now.since(row.revoked_at).as_secs_f64());
    }
}
