//! What really happened, kept apart from what the server believes; every invariant is checked against it, by name.
//!
//! I1 an acknowledged generation is never lost, and is given to one connection only. I2 one holder of a host is served
//! at a time. I3 a crash, a lost acknowledgement or a cut is no false alarm, and needs no help. I4 no secret leaves
//! except to its own host, and an older state gets none. I5 an attempt runs at most once, and its end is what happened,
//! recorded once. I6 revoked wins over everything in flight.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use muster_domain::generation::Generation;
use muster_domain::job::{JobStep, LEASE};
use muster_ids::JobId;
use muster_wire::channel::{Attempt, Config, ConfigVersion, ServerMessage};
use muster_wire::claim::CopyCause;
use muster_wire::job::{JobOutcome, JobState};

use crate::database::{Database, Job, Row};
use crate::machine::Machine;
use crate::names::{host_id, open, secret_of};

/// What is known of one machine that the server cannot know.
#[derive(Debug, Clone, Default)]
pub(crate) struct MachineTruth {
    /// Its disk was taken from another machine, or went back to an earlier state.
    pub(crate) is_suspect: bool,
    /// The server found out that its state is an older one.
    pub(crate) is_stale: bool,
    /// The configuration it last held.
    pub(crate) config: Option<ConfigVersion>,
}

#[derive(Debug, Default)]
struct HostTruth {
    committed: Last,
    acknowledged: BTreeSet<Generation>,
    commits: u64,
    revoked: Option<(Row, BTreeMap<JobId, Job>)>,
    held: bool,
}

/// The last generation that was acknowledged, or the one before the first.
#[derive(Debug, Clone, Copy)]
struct Last(Generation);

impl Default for Last {
    fn default() -> Self {
        Self(Generation::ZERO)
    }
}

/// What must hold as soon as the step is over.
enum Claimed {
    OnDisk(usize, Generation),
    Applied(usize, ConfigVersion),
}

#[derive(Default)]
pub(crate) struct Truth {
    pub(crate) machines: Vec<MachineTruth>,
    hosts: Vec<HostTruth>,
    job_hosts: BTreeMap<JobId, usize>,
    sent_at: BTreeMap<Attempt, Duration>,
    runs: BTreeMap<Attempt, Vec<usize>>,
    ends: BTreeMap<Attempt, JobOutcome>,
    started: BTreeSet<Attempt>,
    recorded: BTreeMap<Attempt, u32>,
    claimed: Vec<Claimed>,
    pub(crate) alarms: usize,
    pub(crate) served: usize,
    pub(crate) restores: usize,
    /// The server's clock was moved: what lapses by it lapses at another time.
    pub(crate) server_clock_moved: bool,
    pub(crate) at: Duration,
}

#[track_caller]
fn must(holds: bool, invariant: &str, what: impl FnOnce() -> String) {
    assert!(holds, "{invariant} is broken: {}", what());
}

impl Truth {
    pub(crate) fn with_hosts(hosts: usize) -> Self {
        let hosts = (0..hosts).map(|_| HostTruth::default()).collect();
        Self { hosts, ..Self::default() }
    }

    /// Whether anything happened to a host that may make one of its machines look like a copy.
    pub(crate) fn is_innocent(&self, machines: &[Machine], host: usize) -> bool {
        let of_host = || machines.iter().zip(&self.machines).filter(|(machine, _)| machine.host == host);
        self.restores == 0 && of_host().count() == 1 && of_host().all(|(_, truth)| !truth.is_suspect)
    }

    pub(crate) fn is_revoked(&self, host: usize) -> bool {
        self.hosts[host].revoked.is_some()
    }

    pub(crate) fn is_stale(&self, machine: usize) -> bool {
        self.machines[machine].is_stale
    }

    /// A connection is given a generation. Who shows the one that was issued acknowledges it that way.
    pub(crate) fn admitted(
        &mut self,
        machine: usize,
        host: usize,
        presented: Option<Generation>,
        issued: Generation,
    ) {
        let committed = self.hosts[host].committed.0;
        let presented = presented.unwrap_or(Generation::ZERO);
        must(self.restores > 0 || presented >= committed, "I4", || {
            format!("machine {machine} was admitted with {presented:?} after {committed:?} was acknowledged")
        });
        must(!self.machines[machine].is_stale || self.restores > 0, "I4", || {
            format!("machine {machine} was found to hold an older state of host {host} and was admitted")
        });
        must(!self.hosts[host].acknowledged.contains(&issued), "I1", || {
            format!("{issued:?} of host {host} was issued after it was acknowledged")
        });
        if presented > committed {
            self.acknowledged(host, presented);
        }
    }

    pub(crate) fn suspected(&mut self, machine: usize, host: usize, cause: CopyCause) {
        self.alarms += 1;
        let has_one = self.machines.len() == self.hosts.len() && !self.machines[machine].is_suspect;
        must(!has_one || self.restores > 0, "I3", || {
            format!("machine {machine} alone is host {host} and was taken for a copy: {cause:?}")
        });
        if cause == CopyCause::GenerationStale {
            self.machines[machine].is_stale = true;
        }
    }

    pub(crate) fn committed(&mut self, machine: usize, host: usize, generation: Generation) {
        self.acknowledged(host, generation);
        self.claimed.push(Claimed::OnDisk(machine, generation));
    }

    fn acknowledged(&mut self, host: usize, generation: Generation) {
        let truth = &mut self.hosts[host];
        let former = truth.committed.0;
        must(generation > former || self.restores > 0, "I1", || {
            format!("host {host} went back from {former:?} to {generation:?}")
        });
        truth.committed = Last(generation);
        truth.acknowledged.insert(generation);
        truth.commits += 1;
        let commits = truth.commits;
        must(self.restores > 0 || generation.counter == commits, "I1", || {
            format!("host {host} acknowledged {commits} connections and stands at {generation:?}")
        });
    }

    pub(crate) fn applied(&mut self, machine: usize, _: usize, version: ConfigVersion) {
        self.claimed.push(Claimed::Applied(machine, version));
    }

    /// Looks at a frame with a secret or work, as it is sent.
    pub(crate) fn serves(&mut self, machine: usize, host: usize, is_holder: bool, frame: &ServerMessage) {
        self.served += 1;
        must(!self.is_revoked(host), "I6", || format!("host {host} was served after its key was revoked"));
        must(is_holder, "I2", || format!("machine {machine} is served and another one holds host {host}"));
        must(!self.hosts[host].held, "I4", || format!("host {host} was served while it is held"));
        match frame {
            ServerMessage::ConfigUpdate { config } => only_own_secrets(config, host),
            ServerMessage::JobRun { dispatch } => {
                must(dispatch.host_id == host_id(host), "I4", || format!("foreign work for host {host}"));
                let is_anew = !self.started.contains(&dispatch.attempt) || self.restores > 0;
                must(is_anew, "I5", || format!("{:?} was sent again after it had begun", dispatch.attempt));
                self.sent_at.insert(dispatch.attempt, self.at);
            }
            _ => {}
        }
    }

    /// An attempt runs on a machine.
    pub(crate) fn ran(&mut self, machines: &[Machine], machine: usize, attempt: Attempt) {
        let host = machines[machine].host;
        must(self.job_hosts.get(&attempt.job_id) == Some(&host), "I5", || {
            format!("{attempt:?} runs on host {host}, whose job it is not")
        });
        let is_innocent = self.is_innocent(machines, host);
        let runs = self.runs.entry(attempt).or_default();
        runs.push(machine);
        let count = runs.len();
        // A disk that went back to before the beginning, or a copy of it, cannot know: see docs/testing.md.
        must(count == 1 || !is_innocent, "I5", || format!("{attempt:?} ran {count} times"));
        let age = self.at.saturating_sub(self.sent_at.get(&attempt).copied().unwrap_or_default());
        must(age <= LEASE || self.server_clock_moved, "I5", || {
            format!("{attempt:?} began {age:?} after it was sent: it had lapsed")
        });
    }

    pub(crate) fn ended(&mut self, attempt: Attempt, outcome: JobOutcome) {
        self.ends.insert(attempt, outcome);
    }

    /// The server took what an agent told of an attempt.
    pub(crate) fn told(
        &mut self,
        host: usize,
        attempt: Attempt,
        end: Option<JobOutcome>,
        step: Option<JobStep>,
    ) {
        let Some(step) = step else { return };
        if self.job_hosts.get(&attempt.job_id) == Some(&host) && end.is_none() {
            self.started.insert(attempt);
        }
        let (JobStep::Goes { to, .. }, Some(_)) = (step, end) else { return };
        must(self.job_hosts.get(&attempt.job_id) == Some(&host), "I5", || {
            format!("host {host} ended {attempt:?}, whose host it is not")
        });
        must(!self.is_revoked(host), "I6", || format!("{attempt:?} ended after the key was revoked"));
        if matches!(to, JobState::Succeeded | JobState::Failed) {
            let count = self.recorded.entry(attempt).or_default();
            *count += 1;
            must(*count == 1 || self.restores > 0, "I5", || format!("{attempt:?} ended {count} times"));
        }
    }

    pub(crate) fn watch_revocation(&mut self, host: usize, db: &Database) {
        if !db.rows[host].key_active && !self.is_revoked(host) {
            self.hosts[host].revoked = Some((db.rows[host].clone(), jobs_of(db, host)));
        }
    }

    /// The server went back to a backup: what it had acknowledged since is not its any more.
    pub(crate) fn restored(&mut self, db: &Database) {
        self.restores += 1;
        for (host, truth) in self.hosts.iter_mut().enumerate() {
            truth.committed = Last(db.rows[host].known.committed);
            truth.revoked = None;
        }
        let hosts: Vec<usize> = (0..self.hosts.len()).collect();
        hosts.into_iter().for_each(|host| self.watch_revocation(host, db));
        self.machines.iter_mut().for_each(|machine| machine.is_stale = false);
    }

    /// What must hold after every step.
    pub(crate) fn check(&mut self, machines: &[Machine], db: &Database) {
        for claimed in std::mem::take(&mut self.claimed) {
            self.check_claimed(machines, &claimed);
        }
        for (host, truth) in self.hosts.iter_mut().enumerate() {
            truth.held = db.rows[host].held;
            if let Some((row, _)) = &truth.revoked {
                let is_same = row.known == db.rows[host].known && row.applied == db.rows[host].applied;
                must(is_same, "I6", || format!("host {host} changed after its key was revoked"));
            }
        }
        for (machine, truth) in machines.iter().zip(&mut self.machines) {
            let held = machine.disk.config.as_ref().map(|config| config.version);
            must(held >= truth.config, "I1", || format!("a configuration went back to {held:?}"));
            truth.config = held;
        }
        for (index, machine) in machines.iter().enumerate() {
            must(!machine.disk.gave_up || self.is_revoked(machine.host) || self.restores > 0, "I3", || {
                format!("machine {index} gave up a key that nobody revoked")
            });
            if self.is_innocent(machines, machine.host) && !self.is_revoked(machine.host) {
                let committed = self.hosts[machine.host].committed.0;
                must(generation_of(machine) >= committed, "I1", || {
                    format!(
                        "machine {index} acknowledged {committed:?} and holds {:?}",
                        machine.disk.generation
                    )
                });
            }
        }
    }

    /// What must hold of everything that is kept: looked at whenever trouble strikes or time goes on.
    pub(crate) fn check_all(&mut self, machines: &[Machine], db: &Database) {
        self.learn_jobs(db);
        for (id, job) in &db.jobs {
            self.check_end(*id, job);
        }
        for (host, truth) in self.hosts.iter().enumerate() {
            let is_same = truth.revoked.as_ref().is_none_or(|(_, jobs)| *jobs == jobs_of(db, host));
            must(is_same, "I6", || format!("a job of host {host} changed after its key was revoked"));
        }
        for machine in machines {
            if let Some(config) = &machine.disk.config {
                only_own_secrets(config, machine.host);
            }
        }
    }

    /// Remembers whose each job is, whatever becomes of the database.
    pub(crate) fn learn_jobs(&mut self, db: &Database) {
        self.job_hosts.extend(db.jobs.iter().map(|(id, job)| (*id, job.host)));
    }

    fn check_claimed(&self, machines: &[Machine], claimed: &Claimed) {
        match *claimed {
            Claimed::OnDisk(machine, generation) => {
                let held = generation_of(&machines[machine]);
                must(held == generation || self.machines[machine].is_suspect, "I1", || {
                    format!("machine {machine} acknowledged {generation:?} and holds {held:?}")
                });
            }
            Claimed::Applied(machine, version) => {
                let held = machines[machine].disk.config.as_ref().map(|config| config.version);
                must(held >= Some(version) || self.machines[machine].is_suspect, "I1", || {
                    format!("machine {machine} applied {version:?} and holds {held:?}")
                });
            }
        }
    }

    fn check_end(&self, id: JobId, job: &Job) {
        let attempt = Attempt { job_id: id, attempt: job.facts.attempt };
        let said = match job.facts.state {
            JobState::Succeeded => JobOutcome::Succeeded,
            JobState::Failed => JobOutcome::Failed,
            _ => return,
        };
        let ran_more_than_once = self.runs.get(&attempt).is_some_and(|runs| runs.len() > 1);
        must(self.ends.get(&attempt) == Some(&said) || ran_more_than_once, "I5", || {
            format!("{attempt:?} is {said:?} and was {:?}", self.ends.get(&attempt))
        });
    }
}

fn jobs_of(db: &Database, host: usize) -> BTreeMap<JobId, Job> {
    db.jobs.iter().filter(|(_, job)| job.host == host).map(|(id, job)| (*id, job.clone())).collect()
}

fn generation_of(machine: &Machine) -> Generation {
    let held = machine.disk.generation.as_deref();
    held.map_or(Generation::ZERO, |text| open(machine.host, text).expect("only its own"))
}

fn only_own_secrets(config: &Config, host: usize) {
    let values = config.secrets.iter().flat_map(|(_, secret)| secret.document.expose().values());
    for value in values.filter_map(serde_json::Value::as_str) {
        must(value == secret_of(host), "I4", || format!("host {host} was given {value:?}"));
    }
}
