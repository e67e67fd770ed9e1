//! What goes wrong in one run: which kinds, and when each one strikes.

use std::fmt;
use std::time::Duration;

use muster_wire::channel::{AgentMessage, ServerMessage};

use crate::chance::Chance;
use crate::database::Database;
use crate::machine::Disk;
use crate::truth::MachineTruth;
use crate::world::{Event, Recorded, World};

/// A kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Cut,
    PartitionOneWay,
    PartitionBothWays,
    AgentDies,
    ServerDies,
    Hostile,
    AgentClock,
    ServerClock,
    Revoke,
    /// The disk of a machine goes back to a snapshot.
    SnapshotRestored,
    /// A copy of a machine's disk starts beside it.
    CopyStarts,
    ServerRestored,
}

impl Kind {
    pub(crate) const ALL: [Self; 12] = [
        Self::Cut,
        Self::PartitionOneWay,
        Self::PartitionBothWays,
        Self::AgentDies,
        Self::ServerDies,
        Self::Hostile,
        Self::AgentClock,
        Self::ServerClock,
        Self::Revoke,
        Self::SnapshotRestored,
        Self::CopyStarts,
        Self::ServerRestored,
    ];
}

/// The kinds of one run, and what they keep.
pub(crate) struct Trouble {
    kinds: Vec<Kind>,
    snapshots: Vec<(usize, Disk)>,
    backups: Vec<Database>,
    /// The last epoch a restore began.
    epochs: u32,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.kinds.iter().map(|kind| name(*kind)).collect();
        f.write_str(&names.join(", "))
    }
}

impl Trouble {
    /// Draws the kinds of a seed: each run has some, so that what one kind excuses is held in the runs without it.
    pub(crate) fn drawn(chance: &mut Chance) -> Self {
        let kinds = Kind::ALL.into_iter().filter(|_| chance.below(3) == 0).collect();
        Self::of(kinds)
    }

    pub(crate) fn of(kinds: Vec<Kind>) -> Self {
        Self { kinds, snapshots: Vec::new(), backups: Vec::new(), epochs: 0 }
    }

    pub(crate) fn begin(&self, world: &mut World) {
        world.is_hostile = self.kinds.contains(&Kind::Hostile);
        world.schedule(Duration::from_secs(5), Event::Trouble);
    }

    /// Strikes once, and says when it does again.
    pub(crate) fn strike(&mut self, world: &mut World) {
        let wait = world.millis(12_000);
        world.schedule(wait, Event::Trouble);
        self.ordinary_work(world);
        if self.kinds.is_empty() {
            return;
        }
        let kind = self.kinds[world.chance.below(self.kinds.len() as u64) as usize];
        *world.counts.entry(name(kind)).or_default() += 1;
        match kind {
            Kind::Cut => {
                if let Some(connection) = any_wire(world) {
                    world.cut(connection);
                }
            }
            Kind::PartitionOneWay => partition(world, false),
            Kind::PartitionBothWays => partition(world, true),
            Kind::AgentDies => {
                let machine = any_machine(world);
                if world.machines[machine].is_up() {
                    world.machine_dies(machine);
                }
            }
            Kind::ServerDies => {
                let (after, is_committed) = (world.chance.below(4) as u32, world.chance.below(2) == 0);
                world.server.dies_after = Some((after, is_committed));
            }
            Kind::Hostile => play_again(world),
            Kind::AgentClock => {
                let machine = any_machine(world);
                world.machines[machine].clock_off += clock_jump(&mut world.chance);
            }
            Kind::ServerClock => {
                world.truth.server_clock_moved = true;
                world.server_clock_off += clock_jump(&mut world.chance);
            }
            Kind::Revoke => revoke(world),
            Kind::SnapshotRestored => self.snapshot(world),
            Kind::CopyStarts => copy(world),
            Kind::ServerRestored => self.restore(world),
        }
    }

    /// Configurations change, jobs are made, people answer questions.
    fn ordinary_work(&mut self, world: &mut World) {
        if world.at < world.down_until {
            return;
        }
        let host = world.chance.below(world.server.db.rows.len() as u64) as usize;
        let now = world.now();
        let pushed = match world.chance.below(6) {
            0 => world.server.change_config(host, &mut world.truth),
            1..=3 => world.server.create_job(host, now, &mut world.truth),
            4 => {
                world.server.db.rows[host].held = false;
                Ok(None)
            }
            _ => Ok(None),
        };
        world.truth.learn_jobs(&world.server.db);
        match pushed {
            Ok(Some((connection, frames))) => {
                frames.into_iter().for_each(|frame| world.send_to_agent(connection, &frame));
            }
            Ok(None) => {}
            Err(_) => world.server_dies(),
        }
    }

    fn snapshot(&mut self, world: &mut World) {
        let machine = any_machine(world);
        if self.snapshots.is_empty() || world.chance.below(2) == 0 {
            self.snapshots.push((machine, world.machines[machine].disk.clone()));
            return;
        }
        let at = world.chance.below(self.snapshots.len() as u64) as usize;
        let (machine, disk) = self.snapshots[at].clone();
        if world.machines[machine].is_up() {
            world.machine_dies(machine);
        }
        world.truth.machines[machine] = MachineTruth { is_suspect: true, ..MachineTruth::default() };
        world.machines[machine].disk = disk;
    }

    fn restore(&mut self, world: &mut World) {
        if self.backups.is_empty() || world.chance.below(3) > 0 {
            self.backups.push(world.server.db.clone());
            return;
        }
        if world.at < world.down_until {
            return;
        }
        let at = world.chance.below(self.backups.len() as u64) as usize;
        world.server_dies();
        let second = u32::try_from(world.now().as_secs()).unwrap_or(u32::MAX);
        self.epochs = second.max(self.epochs + 1);
        // A restore takes longer than a second: its epoch is one of its own.
        world.down_until += Duration::from_secs(2);
        world.server.db = self.backups[at].clone().restored(self.epochs);
        world.truth.restored(&world.server.db);
    }
}

const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Cut => "cut",
        Kind::PartitionOneWay => "partition one way",
        Kind::PartitionBothWays => "partition both ways",
        Kind::AgentDies => "agent died",
        Kind::ServerDies => "server to die",
        Kind::Hostile => "frame played again",
        Kind::AgentClock => "agent clock moved",
        Kind::ServerClock => "server clock moved",
        Kind::Revoke => "revoked",
        Kind::SnapshotRestored => "snapshot taken or restored",
        Kind::CopyStarts => "copy started",
        Kind::ServerRestored => "server backed up or restored",
    }
}

fn any_machine(world: &mut World) -> usize {
    world.chance.below(world.machines.len() as u64) as usize
}

fn any_wire(world: &mut World) -> Option<u64> {
    let open: Vec<u64> = world.machines.iter().filter_map(crate::machine::Machine::connection).collect();
    let at = world.chance.below(open.len().max(1) as u64) as usize;
    open.get(at).copied()
}

/// One hour or one year, in either direction.
fn clock_jump(chance: &mut Chance) -> i64 {
    let hours = [1, -1, 24 * 365, -24 * 365][chance.below(4) as usize];
    hours * 3_600_000
}

fn partition(world: &mut World, both_ways: bool) {
    let machine = any_machine(world);
    // Now and then for longer than a lease: what was sent meanwhile lapses.
    let longest = if both_ways && world.chance.below(4) == 0 { 1_000_000 } else { 150_000 };
    let until = world.at + world.millis(longest);
    let is_to_agent = world.chance.below(2) == 0;
    if both_ways {
        world.away_until.insert(machine, until);
    }
    let Some(connection) = world.machines[machine].connection() else { return };
    let Some(wire) = world.wires.get_mut(&connection) else { return };
    if both_ways || is_to_agent {
        wire.to_agent.blocked_until = until;
    }
    if both_ways || !is_to_agent {
        wire.to_server.blocked_until = until;
    }
    let silence = Duration::from_secs(60);
    if until > world.at + silence {
        // Who hears nothing for a minute gives up; the other one learns of it as the line allows.
        let (to_agent, to_server) = (wire.to_agent.blocked_until, wire.to_server.blocked_until);
        if to_agent == until {
            world.schedule(silence, Event::AgentNotices { connection });
        }
        if to_server == until {
            world.schedule(silence, Event::ServerNotices { connection });
        }
    }
}

fn revoke(world: &mut World) {
    if world.at < world.down_until || world.chance.below(4) > 0 {
        return;
    }
    let host = world.chance.below(world.server.db.rows.len() as u64) as usize;
    match world.server.revoke(host, &mut world.truth) {
        Ok(Some((connection, statement))) => {
            world.send_to_agent(connection, &statement);
            // The socket is gone a moment later; frames of the agent are in flight meanwhile.
            let wait = world.millis(200);
            world.schedule(wait, Event::ServerNotices { connection });
        }
        Ok(None) => {}
        Err(_) => world.server_dies(),
    }
}

fn copy(world: &mut World) {
    if world.machines.len() > world.server.db.rows.len() + 2 {
        return;
    }
    let machine = any_machine(world);
    let (host, disk) = (world.machines[machine].host, world.machines[machine].disk.clone());
    world.add_machine(host, disk, true);
}

/// Plays a frame of an earlier moment: of the same machine's former socket, or work meant for another host.
fn play_again(world: &mut World) {
    if world.recorded.is_empty() {
        return;
    }
    let at = world.chance.below(world.recorded.len() as u64) as usize;
    match world.recorded[at].clone() {
        Recorded::ToAgent(machine, message) => {
            // Work is worth the most to whoever recorded it: the oldest that is left.
            let oldest = world.recorded.iter().find_map(|frame| match frame {
                Recorded::ToAgent(machine, work @ ServerMessage::JobRun { .. }) => {
                    Some((*machine, work.clone()))
                }
                _ => None,
            });
            let is_oldest = world.chance.below(3) == 0;
            let (machine, message) = oldest.filter(|_| is_oldest).unwrap_or((machine, message));
            let is_work = matches!(message, ServerMessage::JobRun { .. });
            let machine = if is_work && world.chance.below(3) == 0 { any_machine(world) } else { machine };
            // Who can put an old welcome into a channel gives a machine an older state: that is no false alarm.
            if matches!(message, ServerMessage::Welcome { .. }) {
                world.truth.machines[machine].is_suspect = true;
            }
            if let Some(connection) = world.machines[machine].connection() {
                world.schedule(Duration::from_millis(1), Event::ToAgent { connection, message });
            }
        }
        Recorded::ToServer(machine, message) => {
            let is_of_work =
                matches!(message, AgentMessage::JobFinished { .. } | AgentMessage::JobStarted { .. });
            let machine = if is_of_work && world.chance.below(3) == 0 { any_machine(world) } else { machine };
            if let Some(connection) = world.machines[machine].connection() {
                world.schedule(Duration::from_millis(1), Event::ToServer { connection, message });
            }
        }
    }
    // A statement that nobody signed ends nothing.
    if world.chance.below(4) == 0
        && let Some(connection) = any_wire(world)
    {
        let forged = ServerMessage::Revoked { statement: "revoked everybody".to_owned() };
        world.schedule(Duration::from_millis(1), Event::ToAgent { connection, message: forged });
    }
}
