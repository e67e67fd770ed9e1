//! When a notification goes: quiet hours, what breaks through them, and which events share a message.

use std::time::Duration;

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use muster_ids::{DeliveryId, Timestamp};
use muster_wire::happening::Happening;
use muster_wire::notification::{Day, QuietHours, TimeOfDay};

/// Most events one message lists; it says how many more there are.
pub const MAX_PER_MESSAGE: usize = 50;
/// Most deliveries that share one message.
pub const MAX_PER_GROUP: usize = 500;

/// Says what is wrong with quiet hours: the field and the code of its problem.
pub fn check(hours: &QuietHours) -> Result<(), (&'static str, &'static str)> {
    if zone(hours).is_none() {
        return Err(("time_zone", "unknown_time_zone"));
    }
    if hours.from == hours.to {
        return Err(("to", "same_as_from"));
    }
    Ok(())
}

/// Returns when the quiet hours that hold at `now` are over; `None`: it is not quiet.
///
/// Times that a change of the clocks leaves out are read as after it, times that come twice as the first. A zone that
/// this build does not know is never quiet: better a message too many than none.
pub fn quiet_until(now: Timestamp, hours: &QuietHours) -> Option<Timestamp> {
    let zone = zone(hours)?;
    let today = zone.to_datetime(jiff::Timestamp::from_millisecond(now.as_millis()).ok()?).date();
    let at = |date: Date, time: &TimeOfDay| {
        let local = DateTime::from_parts(date, Time::new(time.hour(), time.minute(), 0, 0).ok()?);
        let instant = zone.to_ambiguous_timestamp(local).compatible().ok()?;
        Some(Timestamp::from_millis(instant.as_millisecond()))
    };
    [today.yesterday().ok()?, today].into_iter().find_map(|begins_on| {
        if !holds_on(hours, begins_on.weekday()) {
            return None;
        }
        let ends_on = if hours.to <= hours.from { begins_on.tomorrow().ok()? } else { begins_on };
        let (start, end) = (at(begins_on, &hours.from)?, at(ends_on, &hours.to)?);
        (start <= now && now < end).then_some(end)
    })
}

/// Whether people want to be woken for it.
///
/// Nothing that a stranger can bring about at will, such as failing to sign in, is urgent.
pub fn is_urgent(what: Happening) -> bool {
    matches!(
        what,
        Happening::CloneSuspected
            | Happening::SiteUnreachable
            | Happening::TicketLeaked
            | Happening::TicketSecondKey
            | Happening::SecretUnreadable
            | Happening::PersonRecovered
            | Happening::AuditBroken
            | Happening::InstallationRestored
            | Happening::InstallationStateLost
    )
}

/// Returns when an event is due that comes at `now`: what cannot wait at once, in quiet hours after them, else when
/// events were gathered for `group_for`.
pub fn due_at(now: Timestamp, what: Happening, hours: Option<&QuietHours>, group_for: Duration) -> Timestamp {
    let quiet = hours.and_then(|hours| quiet_until(now, hours).map(|end| (end, hours.urgent_breaks_quiet)));
    match quiet {
        Some((_, true)) | None if is_urgent(what) => now,
        Some((end, _)) => end,
        None => now.plus(group_for),
    }
}

/// A delivery that was not made yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Names it.
    pub id: DeliveryId,
    /// What it tells of.
    pub what: Option<Happening>,
    /// When it is due.
    pub next_at: Timestamp,
    /// How often it was tried.
    pub attempts: u64,
}

/// What an endpoint does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// One message with these deliveries, in this order.
    Send(Vec<DeliveryId>),
    /// Nothing before then.
    WaitUntil(Timestamp),
    /// Nothing at all.
    Idle,
}

/// Decides what an endpoint does with its `waiting` deliveries, which come in the order of their events.
///
/// What was tried together is tried together again and nothing joins it, so that a message has one name however often
/// it is sent; what is behind it waits,
/// unless it cannot wait.
pub fn next_group(waiting: &[Waiting], now: Timestamp, hours: Option<&QuietHours>) -> Next {
    let quiet = hours.and_then(|hours| quiet_until(now, hours).map(|end| (end, hours.urgent_breaks_quiet)));
    let may_go: Vec<Waiting> = match quiet {
        None => waiting.to_vec(),
        Some((_, false)) => Vec::new(),
        Some((_, true)) => waiting.iter().copied().filter(|one| one.what.is_some_and(is_urgent)).collect(),
    };
    let Some(first) = may_go.first() else {
        return match quiet {
            Some((end, _)) if !waiting.is_empty() => Next::WaitUntil(end),
            _ => Next::Idle,
        };
    };
    let mut group = group_of(first, may_go.iter());
    let last = group.len();
    let overtakes = |one: &&Waiting| one.next_at <= now && one.what.is_some_and(is_urgent);
    // However much waits, what cannot wait is not behind it: it goes in a message of its own.
    if let Some(first) = may_go[last..].iter().find(overtakes).filter(|_| !group.iter().any(overtakes)) {
        group = group_of(first, may_go[last..].iter().filter(overtakes));
    }
    let due_at = group.iter().map(|one| one.next_at).min().unwrap_or(now);
    if due_at > now { Next::WaitUntil(due_at) } else { Next::Send(group.iter().map(|one| one.id).collect()) }
}

fn group_of<'a>(first: &Waiting, waiting: impl Iterator<Item = &'a Waiting>) -> Vec<&'a Waiting> {
    let shares = |one: &&Waiting| {
        one.attempts == first.attempts && (first.attempts == 0 || one.next_at == first.next_at)
    };
    waiting.take_while(shares).take(MAX_PER_GROUP).collect()
}

fn zone(hours: &QuietHours) -> Option<TimeZone> {
    TimeZoneDatabase::bundled().get(hours.time_zone.as_str()).ok()
}

fn holds_on(hours: &QuietHours, weekday: Weekday) -> bool {
    let day = Day::ALL[usize::from(weekday.to_monday_zero_offset().unsigned_abs()) % Day::ALL.len()];
    hours.days.is_empty() || hours.days.iter().any(|named| *named == day)
}

#[cfg(test)]
mod tests;
