//! The clients that are connected, and what they tell of themselves.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use muster_client::WsDialError;
use muster_edge::Clock;
use muster_ids::HostId;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::client::{Client, Order};
use crate::machine::Machine;
use crate::stage::Door;

const POLL_EVERY: Duration = Duration::from_millis(5);
const SETTLE_WITHIN: Duration = Duration::from_secs(20);

/// What all clients count together.
pub(crate) struct Tally {
    pub(crate) clock: Clock,
    connected: AtomicUsize,
    heartbeats: AtomicUsize,
    /// The window for coming back that the last welcome gave; zero: none.
    window_ms: AtomicUsize,
    notes: Mutex<Notes>,
}

/// What is asked of a tally after a step.
#[derive(Debug, Default, Clone)]
pub(crate) struct Notes {
    /// When clients connected, on the process's monotonic clock.
    pub(crate) connected_at: Vec<Duration>,
    /// When configurations arrived.
    pub(crate) configured_at: Vec<Duration>,
    /// When hosts were disconnected.
    pub(crate) disconnected_at: Vec<(HostId, Duration)>,
    /// Refusals of the upgrade by status, with `Retry-After` or without.
    pub(crate) answers: BTreeMap<(u16, bool), usize>,
    /// How channels ended: close code, or none.
    pub(crate) ends: BTreeMap<Option<u16>, usize>,
    /// Hosts that were refused for good, and with what.
    pub(crate) refused: Vec<(HostId, u16)>,
    /// Connections that got no answer at all.
    pub(crate) unanswered: usize,
    /// What the last of them said.
    pub(crate) last_unanswered: String,
}

impl Notes {
    /// Refusals that Muster never gives, under no load.
    pub(crate) fn failures(&self) -> usize {
        let is_failure = |status: u16, has_hint: bool| status >= 500 && !(status == 503 && has_hint);
        self.answers.iter().filter(|((status, hint), _)| is_failure(*status, *hint)).map(|(_, n)| n).sum()
    }
}

impl Tally {
    pub(crate) fn new(clock: Clock) -> Self {
        let zero = || AtomicUsize::new(0);
        Self { clock, connected: zero(), heartbeats: zero(), window_ms: zero(), notes: Mutex::default() }
    }

    pub(crate) fn connected(&self) {
        self.connected.fetch_add(1, Ordering::Relaxed);
        let now = self.clock.monotonic();
        self.notes().connected_at.push(now);
    }

    pub(crate) fn disconnected(&self, host_id: HostId) {
        self.connected.fetch_sub(1, Ordering::Relaxed);
        let now = self.clock.monotonic();
        self.notes().disconnected_at.push((host_id, now));
    }

    pub(crate) fn welcomed(&self, window: Option<Duration>) {
        self.window_ms.store(window.map_or(0, |window| window.as_millis() as usize), Ordering::Relaxed);
    }

    pub(crate) fn configured(&self) {
        let now = self.clock.monotonic();
        self.notes().configured_at.push(now);
    }

    pub(crate) fn heartbeats(&self, count: usize) {
        self.heartbeats.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn answered(&self, status: u16, has_hint: bool) {
        *self.notes().answers.entry((status, has_hint)).or_default() += 1;
    }

    pub(crate) fn unanswered(&self, error: &WsDialError) {
        let mut notes = self.notes();
        notes.unanswered += 1;
        notes.last_unanswered = error.to_string();
    }

    pub(crate) fn lost(&self, code: Option<u16>) {
        *self.notes().ends.entry(code).or_default() += 1;
    }

    pub(crate) fn refused(&self, host_id: HostId, code: u16) {
        self.notes().refused.push((host_id, code));
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Member {
    host_id: HostId,
    orders: mpsc::Sender<Order>,
    task: JoinHandle<Machine>,
}

/// Clients that keep their channels.
pub(crate) struct Crew {
    pub(crate) tally: Arc<Tally>,
    members: Vec<Member>,
}

impl Crew {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { tally: Arc::new(Tally::new(clock)), members: Vec::new() }
    }

    /// How many members are connected now.
    pub(crate) fn connected(&self) -> usize {
        self.tally.connected.load(Ordering::Relaxed)
    }

    /// Over how long the server asked its agents to come back, if it did.
    pub(crate) fn reconnect_window(&self) -> Option<Duration> {
        let window = self.tally.window_ms.load(Ordering::Relaxed);
        (window > 0).then(|| Duration::from_millis(window as u64))
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Heartbeats that were sent so far.
    pub(crate) fn heartbeats(&self) -> usize {
        self.tally.heartbeats.load(Ordering::Relaxed)
    }

    /// The hosts of the last `count` members: those that joined last are revoked first.
    pub(crate) fn last_hosts(&self, count: usize) -> Vec<HostId> {
        self.members.iter().rev().take(count).map(|member| member.host_id).collect()
    }

    pub(crate) fn hosts(&self) -> Vec<HostId> {
        self.members.iter().map(|member| member.host_id).collect()
    }

    /// Takes what was noted since the last call.
    pub(crate) fn take_notes(&self) -> Notes {
        std::mem::take(&mut *self.tally.notes())
    }

    /// What was noted since the last call of [`Self::take_notes`].
    pub(crate) fn peek<T>(&self, look: impl FnOnce(&Notes) -> T) -> T {
        look(&self.tally.notes())
    }

    /// Starts a client.
    pub(crate) fn add(&mut self, machine: Machine, door: &Door) -> anyhow::Result<()> {
        let (orders, receiver) = mpsc::channel(1);
        let client = Client::new(machine, door.clone(), Arc::clone(&self.tally), receiver)?;
        let host_id = client.host_id();
        self.members.push(Member { host_id, orders, task: tokio::spawn(client.run()) });
        Ok(())
    }

    /// Starts clients so that no more than `in_flight` of them are on their way at once, and waits for all.
    pub(crate) async fn connect(
        &mut self,
        machines: Vec<Machine>,
        door: &Door,
        in_flight: usize,
        within: Duration,
    ) -> anyhow::Result<()> {
        let until = Instant::now() + within;
        for machine in machines {
            while self.len() - self.connected() >= in_flight {
                self.still_in_time(until)?;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            self.add(machine, door)?;
        }
        self.all_connected(until).await
    }

    /// Waits until every member is connected.
    pub(crate) async fn all_connected(&self, until: Instant) -> anyhow::Result<()> {
        while self.connected() < self.len() {
            self.still_in_time(until)?;
            tokio::time::sleep(POLL_EVERY).await;
        }
        Ok(())
    }

    fn still_in_time(&self, until: Instant) -> anyhow::Result<()> {
        if Instant::now() < until {
            return Ok(());
        }
        let (refusals, unanswered) =
            self.peek(|notes| (notes.answers.clone(), notes.last_unanswered.clone()));
        bail!(
            "{} of {} clients are connected; refused: {refusals:?}; last without an answer: {unanswered}",
            self.connected(),
            self.len()
        )
    }

    /// Gives an order to the first `count` members.
    pub(crate) async fn order(&self, count: usize, order: impl Fn() -> Order) {
        for member in self.members.iter().take(count) {
            // A member that was refused for good takes no orders.
            let _ = member.orders.send(order()).await;
        }
    }

    /// Waits until the first `count` members carried out what they were told.
    pub(crate) async fn settled(&self, count: usize) -> anyhow::Result<()> {
        for member in self.members.iter().take(count) {
            let (done, settled) = oneshot::channel();
            let settling = async {
                member.orders.send(Order::Settle(done)).await?;
                settled.await?;
                anyhow::Ok(())
            };
            tokio::time::timeout(SETTLE_WITHIN, settling).await.context("a client lost its channel")??;
        }
        Ok(())
    }

    /// Copies the machines of the first `count` members.
    pub(crate) async fn copies(&self, count: usize) -> anyhow::Result<Vec<Machine>> {
        let mut copies = Vec::with_capacity(count);
        for member in self.members.iter().take(count) {
            let (copy, copied) = oneshot::channel();
            member.orders.send(Order::Copy(copy)).await?;
            copies.push(copied.await?);
        }
        Ok(copies)
    }

    /// Removes the last `count` members, whose clients ended by themselves, and returns their machines.
    pub(crate) async fn dismiss_last(&mut self, count: usize) -> anyhow::Result<Vec<Machine>> {
        let from = self.members.len().saturating_sub(count);
        end(self.members.split_off(from)).await
    }

    /// Lets every client leave and returns the machines.
    pub(crate) async fn dismiss(&mut self) -> anyhow::Result<Vec<Machine>> {
        end(std::mem::take(&mut self.members)).await
    }
}

async fn end(members: Vec<Member>) -> anyhow::Result<Vec<Machine>> {
    let mut machines = Vec::with_capacity(members.len());
    let mut tasks = Vec::with_capacity(members.len());
    for Member { orders, task, .. } in members {
        drop(orders);
        tasks.push(task);
    }
    for task in tasks {
        machines.push(task.await?);
    }
    Ok(machines)
}
