//! A thousand agents and a server in memory: no socket, no clock, one seed. Connections break anywhere, the
//! server restarts, configurations change; in the end everybody works, once, with their own secrets.

#![expect(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

mod agent;
mod chance;
mod server;
mod simulation;

use std::time::Duration;

use agent::secret_of;
use muster_channel::agent::AgentChannel;
use muster_domain::generation::Generation;
use simulation::{Simulation, Trouble};

const FLEET: usize = 1000;

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Everybody is back: connected, proved, configured, working, and nobody knows anybody else's secret.
fn assert_all_work(simulation: &Simulation) {
    for (index, agent) in simulation.agents.iter().enumerate() {
        let row = &simulation.server.rows[index];
        assert!(agent.channel.as_ref().is_some_and(AgentChannel::is_proved), "agent {index}");
        assert!(simulation.server.is_working(index), "agent {index} gets no work");
        let held = agent.disk.config.as_ref().expect("a configuration");
        assert_eq!(held, &row.config, "agent {index} holds another configuration");
        assert_eq!(row.applied, Some(row.config.version), "agent {index}");
        for secret in &agent.secrets_seen {
            assert_eq!(secret, &secret_of(index), "agent {index} received a foreign secret");
        }
        assert!(!agent.secrets_seen.is_empty(), "agent {index} received no secret");
    }
}

/// Every generation was committed once, in order, and each committed one reached the agent's disk.
fn assert_generations_are_consistent(simulation: &Simulation) {
    for (index, agent) in simulation.agents.iter().enumerate() {
        let row = &simulation.server.rows[index];
        let expected: Vec<Generation> =
            (1..=row.committed.counter).map(|counter| Generation { epoch: 0, counter }).collect();
        assert_eq!(row.commits, expected, "host {index}");
        assert_eq!(agent.disk.generations, expected, "agent {index}");
        assert_eq!(row.issued, None, "host {index} was issued one that nobody acknowledged");
        assert_eq!(agent.disk.generation(), Some(row.committed), "agent {index}");
        assert!(row.commits.len() <= row.welcomes, "host {index} committed more than it was issued");
    }
    assert_eq!(simulation.server.stale, 0, "somebody was taken for a copy");
}

#[test]
fn a_thousand_agents_connect() {
    let mut simulation = Simulation::new(FLEET, 1, Trouble::None);
    simulation.run_for(seconds(60));
    assert_all_work(&simulation);
    assert_generations_are_consistent(&simulation);
    assert!(simulation.server.rows.iter().all(|row| row.commits.len() == 1));
}

#[test]
fn a_thousand_agents_survive_lost_acknowledgements_and_restarts() {
    for seed in 1..=3 {
        let mut simulation = Simulation::new(FLEET, seed, Trouble::CutsAnywhere);
        simulation.run_for(seconds(90));
        simulation.change_every_config();
        simulation.run_for(seconds(30));
        simulation.crash();
        simulation.run_for(seconds(120));
        simulation.change_every_config();
        simulation.restart_with_goodbye(10);
        simulation.run_for(seconds(5));
        simulation.trouble = Trouble::None;
        simulation.run_for(seconds(600));
        assert_all_work(&simulation);
        assert_generations_are_consistent(&simulation);
        assert!(simulation.cuts > FLEET, "only {} connections broke", simulation.cuts);
        let reissued = simulation.server.rows.iter().filter(|row| row.welcomes > row.commits.len()).count();
        assert!(reissued > FLEET / 10, "only {reissued} hosts were ever issued the same generation again");
    }
}

/// The narrowest place: the generation is on disk, its acknowledgement is lost, every time.
#[test]
fn an_acknowledgement_that_is_always_lost_costs_nobody_their_host() {
    let mut simulation = Simulation::new(50, 7, Trouble::LosesAcknowledgements);
    simulation.run_for(seconds(600));
    assert!(simulation.server.rows.iter().all(|row| row.welcomes > 3 && !row.commits.is_empty()));
    assert!(
        simulation.agents.iter().all(|agent| agent.secrets_seen.is_empty()),
        "a secret before the commit"
    );
    simulation.trouble = Trouble::None;
    simulation.run_for(seconds(300));
    assert_all_work(&simulation);
    assert_generations_are_consistent(&simulation);
}

/// A copy of the disk, started later, is told apart by its generation and receives nothing.
#[test]
fn a_copied_state_is_stale_and_gets_nothing() {
    let mut simulation = Simulation::new(2, 5, Trouble::None);
    simulation.run_for(seconds(30));
    let copy = simulation.agents[0].disk.clone();
    simulation.crash();
    simulation.run_for(seconds(60));
    assert_eq!(simulation.server.rows[0].commits.len(), 2);
    let before = simulation.server.rows[0].clone();
    let stranger = simulation.start_copy(0, copy);
    simulation.run_for(seconds(300));
    assert!(simulation.server.stale > 0);
    assert!(simulation.agents[stranger].secrets_seen.is_empty());
    let row = &simulation.server.rows[0];
    assert_eq!((row.committed, row.issued, &row.commits), (before.committed, before.issued, &before.commits));
}
