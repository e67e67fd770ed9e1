//! Two keys on one uid, every interleaving: the first is the host, the second waits, and neither ever flaps.

#![expect(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

mod scene;
mod world;

use std::collections::BTreeMap;

use muster_domain::admission::{Admission, Cause, Machine, Refusal};
use muster_domain::ticket::Ticket;
use muster_ids::{TicketId, UidSource};
use muster_wire::claim::ClaimState;
use muster_wire::enroll::Labels;
use muster_wire::site::SitePolicy;
use muster_wire::text::Hostname;
use muster_wire::ticket::TicketKind::{self, EnrolmentToken, SiteKey};
use scene::{NOW, facts, hours, minutes, pair, site, team, ticket_id, uid};
use world::World;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    First,
    Second,
    MinutesPass,
    DaysPass,
    Restart,
}

const EVENTS: [Event; 5] = [Event::First, Event::Second, Event::MinutesPass, Event::DaysPass, Event::Restart];
const LENGTH: u32 = 5;

/// Which tickets the two machines show: door 3 with one key, each its own at doors 1 and 2, one between them.
const TICKETS: [(u8, u8); 7] = [(1, 1), (2, 3), (1, 2), (2, 1), (2, 2), (100, 1), (1, 100)];

fn ticket(n: u8, kind: TicketKind) -> Ticket {
    Ticket {
        id: ticket_id(n),
        kind,
        team_id: team(1),
        site_id: site(1),
        host_id: None,
        rejoin: false,
        require_key: false,
        expires_at: (kind == EnrolmentToken).then(|| NOW.plus(hours(24 * 30))),
        revoked_at: None,
        rotation: None,
        max_uses: None,
        uses: 0,
        spent: None,
        reserved_for: None,
    }
}

fn machine(n: u8) -> Machine {
    Machine {
        key: pair(n),
        uid: uid(UidSource::Smbios, 1),
        hostname: Hostname::parse("same-name").unwrap(),
        facts: facts(),
        labels: Labels::default(),
    }
}

fn world() -> World {
    let tickets = vec![ticket(1, SiteKey), ticket(2, EnrolmentToken), ticket(3, EnrolmentToken)];
    let mut world = World::new(NOW, tickets, BTreeMap::from([(site(1), SitePolicy::default())]));
    let invited = world.invite(team(1), site(1));
    world.mint_for_host(ticket_id(100), invited);
    // The invitation must not lapse within the interleaving: expiry has its own rows.
    world.tickets.last_mut().unwrap().expires_at = None;
    world
}

fn connect_all(world: &mut World) {
    let now = world.now;
    for host in world.hosts.values_mut().filter(|host| host.key.is_some()) {
        host.view.connected = true;
        host.view.ever_connected = true;
        host.view.seen_at = Some(now);
    }
}

/// Lets one machine knock and checks what it is told against who came first.
fn knock(world: &mut World, ticket: TicketId, machine: &Machine, trace: &str) {
    let before = world.hosts.clone();
    let holder = before.values().find_map(|host| host.key);
    let answer = world.enrol(ticket, machine);
    let one_ticket_two_keys =
        matches!(answer, Err(Refusal::Rejected(Cause::SpentByAnotherKey | Cause::ReservedForAnotherKey)));
    match holder {
        None => assert!(
            matches!(answer, Ok(Admission::New { .. } | Admission::Register { .. })),
            "{trace}: {answer:?}"
        ),
        Some(key) if key == machine.key => assert!(
            matches!(answer, Ok(Admission::Reuse { .. } | Admission::Replay { .. })),
            "{trace}: {answer:?}"
        ),
        Some(_) => {
            let waits = matches!(answer, Ok(Admission::Claim { .. } | Admission::Wait { .. }));
            assert!(waits || one_ticket_two_keys, "{trace}: {answer:?}");
            assert_eq!(world.hosts, before, "{trace}");
        }
    }
}

fn run(tickets: (u8, u8), stays_connected: bool, events: &[Event]) {
    let trace = format!("tickets {tickets:?}, connected {stays_connected}, {events:?}");
    let mut world = world();
    for event in events {
        match event {
            Event::First => knock(&mut world, ticket_id(tickets.0), &machine(1), &trace),
            Event::Second => knock(&mut world, ticket_id(tickets.1), &machine(2), &trace),
            Event::MinutesPass => world.now = world.now.plus(minutes(16)),
            Event::DaysPass => world.now = world.now.plus(hours(49)),
            Event::Restart => {
                world.started_at = world.now;
                world.hosts.values_mut().for_each(|host| host.view.connected = false);
            }
        }
        if stays_connected {
            connect_all(&mut world);
        }
    }
    let with_a_key = world.hosts.values().filter(|host| host.key.is_some()).count();
    assert!(with_a_key <= 1, "{trace}");
    let waiting = world.claims.iter().filter(|claim| claim.known.state == ClaimState::Waiting).count();
    assert!(waiting <= 1, "{trace}");
}

#[test]
fn every_interleaving_of_two_keys_on_one_uid() {
    for tickets in TICKETS {
        for stays_connected in [false, true] {
            for index in 0..EVENTS.len().pow(LENGTH) {
                let events: Vec<Event> =
                    (0..LENGTH).map(|place| EVENTS[index / EVENTS.len().pow(place) % EVENTS.len()]).collect();
                run(tickets, stays_connected, &events);
            }
        }
    }
}
