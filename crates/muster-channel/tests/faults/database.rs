//! What the server keeps: every method is one transaction. The decisions are those of `muster_domain`.

use std::collections::{BTreeMap, BTreeSet};

use muster_domain::admission::HostView;
use muster_domain::clone::consequence;
use muster_domain::generation::{Generation, Judgement, Known, judge};
use muster_domain::job::{self, JobEvent, JobFacts, JobStep, Resumption, Speaker, Standing};
use muster_ids::{JobId, SiteId, TeamId, Timestamp};
use muster_wire::channel::{Attempt, Config, ConfigVersion, Dispatch};
use muster_wire::claim::{CopyCause, CopyConsequence};
use muster_wire::host::HostState;
use muster_wire::job::JobState;
use muster_wire::site::OnClone;
use uuid::Uuid;

use crate::names::{config, host_id, key_of};
use crate::server::{Issued, frame};

/// A host, its key, its generation and its configuration.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) key_active: bool,
    pub(crate) held: bool,
    pub(crate) known: Known,
    pub(crate) version: ConfigVersion,
    pub(crate) secret_version: i64,
    pub(crate) applied: Option<ConfigVersion>,
    pub(crate) seen_at: Option<Timestamp>,
    pub(crate) claims: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Job {
    pub(crate) host: usize,
    pub(crate) facts: JobFacts,
    pub(crate) late: bool,
}

/// All of it: a clone is a backup.
#[derive(Debug, Clone, Default)]
pub(crate) struct Database {
    pub(crate) epoch: u32,
    pub(crate) rows: Vec<Row>,
    pub(crate) jobs: BTreeMap<JobId, Job>,
}

impl Database {
    pub(crate) fn with_hosts(count: usize) -> Self {
        let row = Row {
            key_active: true,
            held: false,
            known: Known { committed: Generation::ZERO, issued: None },
            version: ConfigVersion { epoch: 0, n: 1 },
            secret_version: 1,
            applied: None,
            seen_at: None,
            claims: BTreeSet::new(),
        };
        Self { epoch: 0, rows: vec![row; count], jobs: BTreeMap::new() }
    }

    fn may_act(&self, host: usize) -> bool {
        self.rows[host].key_active && !self.rows[host].held
    }

    pub(crate) fn issue(&mut self, host: usize, presented: Option<Generation>, now: Timestamp) -> Issued {
        if !self.rows[host].key_active {
            return Issued::Refused;
        }
        if self.rows[host].held {
            return Issued::Held;
        }
        let (holds, issue) = match judge(presented, &self.rows[host].known, self.epoch) {
            Judgement::Stale => return Issued::Stale,
            Judgement::Current { holds, issue } | Judgement::ServerLostState { holds, issue } => {
                (holds, issue)
            }
        };
        let row = &mut self.rows[host];
        row.known = Known { committed: holds, issued: Some(issue) };
        row.seen_at = Some(now);
        Issued::Generation(issue)
    }

    /// Commits the issued generation by compare-and-set.
    pub(crate) fn commit(&mut self, host: usize, generation: Generation, now: Timestamp) -> bool {
        let is_issued = self.rows[host].known.issued == Some(generation);
        if !self.may_act(host) || !is_issued {
            return false;
        }
        let row = &mut self.rows[host];
        row.known = Known { committed: generation, issued: None };
        row.seen_at = Some(now);
        true
    }

    pub(crate) fn suspect(
        &mut self,
        host: usize,
        boot_id: &str,
        cause: CopyCause,
        is_connected: bool,
        now: Timestamp,
    ) {
        let view = self.view(host, is_connected);
        let row = &mut self.rows[host];
        row.claims.insert(boot_id.to_owned());
        let is_older = cause == CopyCause::GenerationStale;
        if consequence(is_older, &view, OnClone::Hold, now) == CopyConsequence::Held {
            row.held = true;
        }
    }

    fn view(&self, host: usize, connected: bool) -> HostView {
        let row = &self.rows[host];
        HostView {
            id: host_id(host),
            team_id: TeamId::from_uuid(Uuid::from_u128(1)),
            site_id: SiteId::from_uuid(Uuid::from_u128(1)),
            state: HostState::Active,
            connected,
            seen_at: row.seen_at,
            ever_connected: row.known.committed != Generation::ZERO,
            holds_secret: true,
            selected_by_plan: false,
            last_key_revoked_by_person: false,
            held: row.held,
        }
    }

    /// What the host should have. `None`: its key may not have it.
    pub(crate) fn config_of(&self, host: usize) -> Option<Config> {
        let row = &self.rows[host];
        let secret_version = u64::try_from(row.secret_version).unwrap();
        self.may_act(host).then(|| config(host, row.version, secret_version))
    }

    pub(crate) fn change_config(&mut self, host: usize) {
        let row = &mut self.rows[host];
        row.version.n += 1;
        row.secret_version += 1;
    }

    pub(crate) fn applied(&mut self, host: usize, version: ConfigVersion) -> bool {
        if !self.may_act(host) {
            return false;
        }
        let row = &mut self.rows[host];
        row.applied = row.applied.max(Some(version));
        true
    }

    pub(crate) fn revoke(&mut self, host: usize) {
        self.rows[host].key_active = false;
        self.rows[host].known = Known { committed: Generation::ZERO, issued: None };
        for job in self.jobs.values_mut().filter(|job| job.host == host) {
            job.go(JobEvent::HostRetired);
        }
    }

    /// Makes a job. `false`: its host takes none.
    pub(crate) fn create_job(&mut self, host: usize, id: JobId) -> bool {
        if !self.rows[host].key_active {
            return false;
        }
        let facts = JobFacts {
            host_id: host_id(host),
            state: JobState::Queued,
            attempt: 0,
            attempt_key: None,
            secret_version: self.rows[host].secret_version,
            renewed_at: None,
        };
        self.jobs.insert(id, Job { host, facts, late: false });
        true
    }

    /// Renews what runs, sends again what nobody began. `None`: the key may not act.
    pub(crate) fn settle(
        &mut self,
        host: usize,
        listed: &[Attempt],
        now: Timestamp,
    ) -> Option<Vec<Dispatch>> {
        if !self.may_act(host) {
            return None;
        }
        for attempt in listed {
            self.told(host, *attempt, JobEvent::Started, now);
        }
        let mut again = Vec::new();
        for (id, job) in self.jobs.iter_mut().filter(|(_, job)| job.host == host) {
            let attempt = Attempt { job_id: *id, attempt: job.facts.attempt };
            match job::resume(&job.facts, &key_of(host), listed.contains(&attempt)) {
                Resumption::Stays => {}
                Resumption::SendAgain => again.push(frame(job, *id, host_id(host), now)),
                Resumption::Lost => {
                    job.go(JobEvent::LeaseLapsed);
                }
            }
        }
        Some(again)
    }

    /// Sends what waits. `None`: the key may not act.
    pub(crate) fn dispatch(
        &mut self,
        host: usize,
        applied: Option<i64>,
        now: Timestamp,
    ) -> Option<Vec<Dispatch>> {
        if !self.may_act(host) {
            return None;
        }
        let of_host = self.jobs.iter_mut().filter(|(_, job)| job.host == host);
        let open: Vec<(JobId, &mut Job)> =
            of_host.filter(|(_, job)| !job.facts.state.has_ended()).map(|(id, job)| (*id, job)).collect();
        let in_hand = open.iter().filter(|(_, job)| job.facts.state != JobState::Queued).count();
        let mut sent = Vec::new();
        for (id, job) in open {
            if job::may_send(&job.facts, applied, in_hand + sent.len()) {
                job.facts.state = JobState::Dispatched;
                job.facts.attempt += 1;
                job.facts.attempt_key = Some(key_of(host));
                job.facts.renewed_at = Some(now);
                sent.push(frame(job, id, host_id(host), now));
            }
        }
        Some(sent)
    }

    /// Takes what an agent tells of an attempt: what was made of it, or `None` when its channel must close.
    pub(crate) fn told(
        &mut self,
        host: usize,
        attempt: Attempt,
        event: JobEvent,
        now: Timestamp,
    ) -> Option<JobStep> {
        if !self.may_act(host) {
            return None;
        }
        let Some(job) = self.jobs.get_mut(&attempt.job_id) else { return Some(JobStep::Stays) };
        let speaker = Speaker { host_id: host_id(host), key: key_of(host) };
        match job::standing(&job.facts, &speaker, attempt.attempt) {
            Standing::Latest => {
                job.facts.renewed_at = Some(now);
                Some(job.go(event)).filter(|step| *step != JobStep::Refused)
            }
            Standing::Former => Some(JobStep::Stays),
            Standing::Foreign => None,
        }
    }

    /// Loses what nobody heard of. What was heard in a time that has not come counts as heard now: the clock went back.
    pub(crate) fn lapse(&mut self, now: Timestamp) {
        for job in self.jobs.values_mut().filter(|job| !job.facts.state.has_ended()) {
            job.facts.renewed_at = job.facts.renewed_at.map(|at| at.min(now));
        }
        for job in self.jobs.values_mut().filter(|job| job::has_lapsed(&job.facts, now)) {
            job.go(JobEvent::LeaseLapsed);
        }
    }

    /// Renews what an open channel was told to run.
    pub(crate) fn renew(&mut self, host: usize, running: &BTreeSet<Attempt>, now: Timestamp) {
        for attempt in running {
            let job = self.jobs.get_mut(&attempt.job_id).filter(|job| job.host == host);
            let is_open =
                |job: &&mut Job| matches!(job.facts.state, JobState::Dispatched | JobState::Running);
            if let Some(job) = job.filter(is_open).filter(|job| job.facts.attempt == attempt.attempt) {
                job.facts.renewed_at = Some(now);
            }
        }
    }

    /// Begins a new epoch after a restore: the second of the restore, on a clock that did not go back since the last.
    pub(crate) fn restored(mut self, second: u32) -> Self {
        self.epoch = second;
        for row in &mut self.rows {
            row.version.epoch = self.epoch;
        }
        self
    }
}

impl Job {
    fn go(&mut self, event: JobEvent) -> JobStep {
        let step = job::step(self.facts.state, event);
        if let JobStep::Goes { to, late } = step {
            self.facts.state = to;
            self.late = late;
        }
        step
    }
}
