//! A small fleet and its server in memory, through everything that goes wrong, from printed seeds.
//!
//! The channel of both sides, the judgement of generations, what becomes of copies and every rule of jobs are the
//! real ones; disks, databases, lines and clocks are made up, and break. After every step the invariants I1 to I6 are
//! held against what really happened (`truth.rs`). `MUSTER_SIM_SEED=…` plays one run again, `MUSTER_SOAK=1` plays
//! thousands.

#![expect(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

#[path = "../fleet/chance.rs"]
mod chance;
mod database;
mod machine;
mod names;
mod server;
mod trouble;
mod truth;
mod world;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use chance::Chance;
use machine::Fate;
use muster_wire::job::{JobOutcome, JobState};
use trouble::{Kind, Trouble};
use world::World;

const TROUBLE_FOR: Duration = Duration::from_secs(30 * 60);
const CALM_FOR: Duration = Duration::from_secs(40 * 60);
const SEEDS: u64 = 150;
const SEEDS_SOAK: u64 = 20_000;

fn is_soak() -> bool {
    std::env::var_os("MUSTER_SOAK").is_some_and(|value| value == "1")
}

/// Plays each seed; a failing one is printed with what plays it again.
fn for_each_seed(test: &str, count: u64, play: impl Fn(u64)) {
    let given = std::env::var("MUSTER_SIM_SEED").ok();
    let given = given.map(|seed| seed.parse::<u64>().expect("MUSTER_SIM_SEED is a number"));
    let seeds = given.map_or(1..=count, |seed| seed..=seed);
    for seed in seeds {
        if let Err(failure) = catch_unwind(AssertUnwindSafe(|| play(seed))) {
            eprintln!("MUSTER_SIM_SEED={seed} cargo test -p muster-channel --test faults {test}");
            resume_unwind(failure);
        }
    }
}

/// Trouble for half an hour, then calm until everything that may end has ended.
fn play(seed: u64, trouble: Option<Vec<Kind>>) -> World {
    let mut chance = Chance::new(seed ^ 0x5EED);
    let hosts = 2 + chance.below(3) as usize;
    let mut trouble = trouble.map_or_else(|| Trouble::drawn(&mut chance), Trouble::of);
    println!("seed {seed}: {hosts} hosts, {trouble}");
    let mut world = World::new(hosts, seed);
    trouble.begin(&mut world);
    world.run_until(TROUBLE_FOR, |world| trouble.strike(world));
    world.calm_down();
    world.run_until(TROUBLE_FOR + CALM_FOR, |_| {});
    if let Err(failure) = catch_unwind(AssertUnwindSafe(|| check_end(&world))) {
        eprintln!("{:?}", world.counts);
        resume_unwind(failure);
    }
    world
}

/// In the end whoever may work does, with what it should have; what ran is recorded as it was.
fn check_end(world: &World) {
    let World { machines, server, truth, .. } = world;
    for (host, row) in server.db.rows.iter().enumerate() {
        let of_host = || machines.iter().enumerate().filter(move |(_, machine)| machine.host == host);
        if truth.is_revoked(host) {
            assert!(server.holder(host).is_none(), "I6 is broken: host {host} is connected without a key");
            let all_gave_up = of_host().all(|(_, machine)| machine.disk.gave_up);
            assert!(all_gave_up, "I6 is broken: a machine of host {host} keeps a revoked key");
            continue;
        }
        if of_host().all(|(_, machine)| machine.disk.gave_up) {
            // Its key was revoked, and is not any more: the server was restored to before it.
            assert!(truth.restores > 0, "I3 is broken: the machines of host {host} gave up");
            continue;
        }
        let holder = server.holder(host).and_then(|connection| server.machine_of(connection));
        let Some(holder) = holder else {
            let waits = |index: usize| truth.is_stale(index) || machines[index].disk.gave_up;
            let all_wait = row.held || of_host().all(|(index, _)| waits(index));
            assert!(
                all_wait && !truth.is_innocent(machines, host),
                "I3 is broken: host {host} is not connected"
            );
            continue;
        };
        assert!(server.is_working(host), "I3 is broken: host {host} gets no work");
        let held = machines[holder].disk.config.as_ref().expect("a configuration");
        assert_eq!(held.version, row.version, "I3 is broken: host {host} has another configuration");
        assert_eq!(
            row.applied,
            Some(row.version),
            "I3 is broken: host {host} confirmed another configuration"
        );
        if truth.is_innocent(machines, host) {
            check_jobs(world, host, holder);
        }
    }
}

fn check_jobs(world: &World, host: usize, holder: usize) {
    let jobs = world.server.db.jobs.iter().filter(|(_, job)| job.host == host);
    let mut known: BTreeMap<_, _> = jobs.map(|(id, job)| (*id, job)).collect();
    for job in known.values() {
        assert!(job.facts.state.has_ended(), "I5 is broken: {:?} never ended", job.facts);
    }
    for (attempt, fate) in &world.machines[holder].disk.attempts {
        let Fate::Ended { outcome, recorded } = fate else {
            panic!("I5 is broken: {attempt:?} runs for ever")
        };
        assert!(recorded, "I5 is broken: the end of {attempt:?} was never recorded");
        let expected = match outcome {
            JobOutcome::Succeeded => JobState::Succeeded,
            JobOutcome::Failed => JobState::Failed,
            JobOutcome::Lost => JobState::Lost,
        };
        let job = known.remove(&attempt.job_id).expect("it was made");
        assert_eq!(job.facts.state, expected, "I5 is broken: {attempt:?} ended otherwise");
    }
}

#[test]
fn soak_whatever_goes_wrong_the_invariants_hold() {
    let count = if is_soak() { SEEDS_SOAK } else { SEEDS };
    for_each_seed("soak_whatever_goes_wrong_the_invariants_hold", count, |seed| {
        play(seed, None);
    });
}

/// Work that somebody held back until its job was lost is not begun when it is played on a later connection.
#[test]
fn b29_work_that_was_held_back_until_it_lapsed_is_never_begun() {
    let minutes = |count: u64| Duration::from_secs(count * 60);
    let mut world = World::new(1, 1);
    world.run_until(minutes(1), |_| {});
    let now = world.now();
    let offered = world.server.create_job(0, now, &mut world.truth).unwrap();
    let (connection, held_back) = offered.expect("the host is connected");
    world.cut(connection);
    world.away_until.insert(0, world.at + minutes(20));
    world.run_until(minutes(30), |_| {});
    let job = world.server.db.jobs.values().next().expect("it was made");
    assert_eq!(job.facts.state, JobState::Lost);
    let connection = world.machines[0].connection().expect("it came back");
    for message in held_back {
        world.send_to_agent(connection, &message);
    }
    world.run_until(minutes(31), |_| {});
    assert!(world.machines[0].disk.attempts.is_empty(), "work that had lapsed was begun");
    assert!(world.server.is_working(0), "its machine works on");
}

/// The runs are worth something: everything strikes, work is done, copies are found.
#[test]
fn every_kind_of_trouble_strikes() {
    for kind in Kind::ALL {
        let served = Cell::new(0);
        for_each_seed("every_kind_of_trouble_strikes", 3, |seed| {
            let world = play(seed, Some(vec![kind]));
            assert!(!world.counts.is_empty(), "{kind:?} never struck");
            served.set(served.get() + world.truth.served);
        });
        assert!(served.get() > 5, "{kind:?}: only {} frames carried anything", served.get());
    }
    let all: usize = (1..=5).map(|seed| play(seed, Some(Kind::ALL.to_vec())).truth.alarms).sum();
    assert!(all > 0, "no copy was ever found");
}
