//! What hosts say about how they are: the last word in memory, small; an hour's worth on its way to the table.

use muster_domain::presence::HEARTBEAT_EVERY;
use muster_ids::{HostId, Timestamp};
use muster_store::rows::VitalsRow;
use muster_wire::enroll::Heartbeat;
use muster_wire::overview::Vitals;

const NO_NUMBER: u32 = u32::MAX;
const NO_CLOCK: i32 = i32::MIN;
const HOUR_MILLIS: i64 = 3_600_000;
const MINUTE_MILLIS: i64 = 60_000;
/// Hours that wait to be written down; past that the newest are dropped.
const WAITING: usize = 100_000;
/// Minutes of an hour over which the samples of a fleet are spread.
const SPREAD_OVER_MINUTES: i64 = 50;

/// What a host last said about how it is, in as few bytes as it takes: one is kept of every connected host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    load_percent: u32,
    disk_free_gb: u32,
    clock_ahead_ms: i32,
}

impl Told {
    /// Takes what a heartbeat says, which came at `now`. None: it says nothing.
    pub fn of(heartbeat: &Heartbeat, now: Timestamp) -> Option<Self> {
        let Heartbeat { load_percent, disk_free_gb, clock } = heartbeat;
        let number = |value: u64| u32::try_from(value).unwrap_or(NO_NUMBER - 1).min(NO_NUMBER - 1);
        let told = Self {
            load_percent: load_percent.map_or(NO_NUMBER, |load| number(load.get())),
            disk_free_gb: disk_free_gb.map_or(NO_NUMBER, |free| number(free.get())),
            clock_ahead_ms: clock.map_or(NO_CLOCK, |clock| ahead(clock, now)),
        };
        let says_nothing = load_percent.is_none() && disk_free_gb.is_none() && clock.is_none();
        (!says_nothing).then_some(told)
    }
}

/// Milliseconds a clock is ahead, as far as that many can be said.
fn ahead(clock: Timestamp, now: Timestamp) -> i32 {
    let ahead = clock.as_millis().saturating_sub(now.as_millis());
    i32::try_from(ahead.clamp(i64::from(NO_CLOCK) + 1, i64::from(i32::MAX))).unwrap_or_default()
}

/// What is kept of a host's vitals beside its last sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept {
    told: Told,
    /// Seconds since the Unix epoch; 0: never.
    told_at_secs: u32,
    /// The highest load since the last sample.
    highest_load: u32,
    /// The lowest bits of the hour of the last sample.
    sampled_hour: u16,
}

impl Kept {
    /// Begins with a host that is heard at `now`: of an hour in which its turn is over nothing is sampled.
    pub(crate) fn new(seq: i64, now: Timestamp) -> Self {
        let told = Told { load_percent: NO_NUMBER, disk_free_gb: NO_NUMBER, clock_ahead_ms: NO_CLOCK };
        let sampled = if is_its_turn(seq, now) { hour(now) } else { hour(now) - 1 };
        Self { told, told_at_secs: 0, highest_load: NO_NUMBER, sampled_hour: low(sampled) }
    }

    /// Takes what the host says now.
    pub(crate) fn take(&mut self, told: Told, now: Timestamp) {
        if told.load_percent != NO_NUMBER {
            let known = if self.highest_load == NO_NUMBER { 0 } else { self.highest_load };
            self.highest_load = known.max(told.load_percent);
        }
        self.told = told;
        self.told_at_secs = u32::try_from(now.as_secs()).unwrap_or_default();
    }

    /// Returns what the host last said, when it said so.
    pub(crate) fn shown(&self) -> Option<Vitals> {
        let Told { load_percent, disk_free_gb, clock_ahead_ms } = self.told;
        (self.told_at_secs != 0).then(|| Vitals {
            at: Timestamp::from_millis(i64::from(self.told_at_secs) * 1000),
            load_percent: said(load_percent),
            disk_free_gb: said(disk_free_gb),
            disk_free_percent: None,
            clock_ahead_ms: (clock_ahead_ms != NO_CLOCK).then_some(clock_ahead_ms),
        })
    }

    /// Returns what is to be kept of this hour, once, when the host's turn came: a fleet does not come all at once.
    pub(crate) fn sample(&mut self, host_id: HostId, seq: i64, now: Timestamp) -> Option<VitalsRow> {
        let this_hour = hour(now);
        let told_lately =
            now.as_secs() - i64::from(self.told_at_secs) <= 2 * HEARTBEAT_EVERY.as_secs() as i64;
        if low(this_hour) == self.sampled_hour || !is_its_turn(seq, now) || !told_lately {
            return None;
        }
        self.sampled_hour = low(this_hour);
        let load_percent = said(std::mem::replace(&mut self.highest_load, NO_NUMBER));
        let disk_free_gb = said(self.told.disk_free_gb);
        let says_something = load_percent.is_some() || disk_free_gb.is_some();
        says_something.then_some(VitalsRow { host_id, hour: this_hour, load_percent, disk_free_gb })
    }
}

fn hour(now: Timestamp) -> i64 {
    now.as_millis().div_euclid(HOUR_MILLIS)
}

/// Two hours with the same lowest bits are seven years apart.
fn low(hour: i64) -> u16 {
    (hour & i64::from(u16::MAX)) as u16
}

fn is_its_turn(seq: i64, now: Timestamp) -> bool {
    let minute = now.as_millis().rem_euclid(HOUR_MILLIS) / MINUTE_MILLIS;
    minute >= seq.rem_euclid(SPREAD_OVER_MINUTES)
}

fn said(number: u32) -> Option<u32> {
    (number != NO_NUMBER).then_some(number)
}

/// What is to be written down of hours.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<VitalsRow>);

impl Samples {
    /// Adds one, if there is room.
    pub(crate) fn add(&mut self, row: VitalsRow) {
        if self.0.len() < WAITING {
            self.0.push(row);
        }
    }

    /// Takes at most `limit` of them, all of one hour: each host is among them once.
    pub(crate) fn take(&mut self, limit: usize) -> Vec<VitalsRow> {
        let Some(hour) = self.0.first().map(|row| row.hour) else { return Vec::new() };
        let of_hour = self.0.iter().take(limit).take_while(|row| row.hour == hour).count();
        self.0.drain(..of_hour).collect()
    }

    /// Puts back what could not be written down.
    pub(crate) fn put_back(&mut self, rows: Vec<VitalsRow>) {
        let later = std::mem::replace(&mut self.0, rows);
        later.into_iter().for_each(|row| self.add(row));
    }
}

#[cfg(test)]
mod tests;
