//! What a machine says about itself, and what it said before.

use std::collections::BTreeMap;

use muster_ids::{HostId, Timestamp};
use muster_wire::channel::Report;
use muster_wire::enroll::Facts;
use muster_wire::overview::FactChange;
use muster_wire::text::{Hostname, Tag};

use crate::{Json, StoreError, Tx, params};

/// Changes of facts that are kept of one host.
pub const FACT_CHANGES_KEPT: i64 = 100;

/// What a machine said about itself.
pub(super) struct Said {
    hostname: Option<Hostname>,
    facts: Option<Facts>,
    policy: Option<Vec<Tag>>,
    /// Facts as they are stored: who writes others compares, so that nothing that was said meanwhile is passed over.
    stored: Option<String>,
}

impl Said {
    pub(super) fn hostname_or_none(&self) -> &str {
        self.hostname.as_ref().map_or("", Hostname::as_str)
    }

    pub(super) fn facts_or_none(&self) -> &str {
        self.stored.as_deref().unwrap_or_default()
    }
}

impl Tx<'_> {
    /// Takes what a machine says about itself when it connects, and keeps what it said before. `false`: nothing changed.
    pub fn host_reported(
        &mut self,
        host_id: HostId,
        report: &Report,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let Some(was) = self.host_said(host_id)? else { return Ok(false) };
        let policy: Vec<Tag> = report.policy.iter().cloned().collect();
        let same_policy = was.policy.as_ref() == Some(&policy);
        if !same_policy {
            self.execute(
                "UPDATE host SET policy = $2, policy_at = $3 WHERE id = $1",
                params![host_id, Json(&policy), now],
            )?;
        }
        if was.hostname.as_ref() == Some(&report.hostname) && was.facts.as_ref() == Some(&report.facts) {
            return Ok(!same_policy);
        }
        let changed = self.execute(
            "UPDATE host SET hostname = $2, facts = $3
              WHERE id = $1 AND coalesce(hostname, '') = $4 AND coalesce(facts, '') = $5",
            params![
                host_id,
                report.hostname,
                Json(&report.facts),
                was.hostname_or_none(),
                was.facts_or_none()
            ],
        )?;
        if changed == 0 {
            return Err(StoreError::Conflict);
        }
        self.facts_changed(host_id, Some(was), (&report.hostname, &report.facts), now)?;
        Ok(true)
    }

    /// Returns what a machine said about itself.
    pub(super) fn host_said(&mut self, host_id: HostId) -> Result<Option<Said>, StoreError> {
        self.query_opt("SELECT hostname, facts, policy FROM host WHERE id = $1", params![host_id], |row| {
            Ok(Said {
                stored: row.get(1)?,
                hostname: row.get(0)?,
                facts: row.get::<Option<Json<Facts>>>(1)?.map(|json| json.0),
                policy: row.get::<Option<Json<Vec<Tag>>>>(2)?.map(|json| json.0),
            })
        })
    }

    /// Keeps what a machine says differently from what it said, the last [`FACT_CHANGES_KEPT`] of it. What it says for
    /// the first time is no change.
    pub(super) fn facts_changed(
        &mut self,
        host_id: HostId,
        was: Option<Said>,
        (hostname, facts): (&Hostname, &Facts),
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Some((was_hostname, was_facts)) = was.and_then(|was| was.hostname.zip(was.facts)) else {
            return Ok(());
        };
        let (was, is) = (named(&was_hostname, &was_facts), named(hostname, facts));
        let mut names: Vec<_> = was.keys().chain(is.keys()).collect();
        names.sort_unstable();
        names.dedup();
        names.retain(|fact| was.get(*fact) != is.get(*fact));
        if names.is_empty() {
            return Ok(());
        }
        let last: i64 = self.query_one(
            "SELECT coalesce(max(n), 0) FROM fact_change WHERE host_id = $1",
            params![host_id],
            |row| row.get(0),
        )?;
        let stored =
            |(fact, n): (&String, i64)| params![host_id, n, now, fact, was.get(fact), is.get(fact)].to_vec();
        let rows: Vec<_> = names.into_iter().zip(last + 1..).map(stored).collect();
        self.insert_rows(
            "INSERT INTO fact_change (host_id, n, at, fact, was, became) VALUES ($1, $2, $3, $4, $5, $6)",
            &rows,
        )?;
        let kept_after = last + i64::try_from(rows.len()).unwrap_or(i64::MAX) - FACT_CHANGES_KEPT;
        self.execute("DELETE FROM fact_change WHERE host_id = $1 AND n <= $2", params![host_id, kept_after])?;
        Ok(())
    }

    /// Returns what a machine said differently, newest first.
    pub fn fact_changes(&mut self, host_id: HostId) -> Result<Vec<FactChange>, StoreError> {
        self.query(
            "SELECT at, fact, was, became FROM fact_change WHERE host_id = $1 ORDER BY n DESC LIMIT $2",
            params![host_id, FACT_CHANGES_KEPT],
            |row| Ok(FactChange { at: row.get(0)?, fact: row.get(1)?, was: row.get(2)?, is: row.get(3)? }),
        )
    }

    /// Drops what machines said differently before `before`. Returns how many.
    pub fn fact_changes_drop(&mut self, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
        self.execute(
            "DELETE FROM fact_change WHERE (host_id, n) IN
               (SELECT host_id, n FROM fact_change WHERE at < $1 ORDER BY at LIMIT $2)",
            params![before, limit],
        )
    }
}

/// Returns each fact under its name.
fn named(hostname: &Hostname, facts: &Facts) -> BTreeMap<String, String> {
    let Facts { os, arch, cpu_cores, memory_mb, disk_gb, address, versions } = facts;
    let mut named = BTreeMap::from([
        ("hostname".to_owned(), hostname.to_string()),
        ("os".to_owned(), os.to_string()),
        ("arch".to_owned(), arch.to_string()),
        ("cpu_cores".to_owned(), cpu_cores.get().to_string()),
        ("memory_mb".to_owned(), memory_mb.get().to_string()),
        ("disk_gb".to_owned(), disk_gb.get().to_string()),
    ]);
    named.extend(address.map(|address| ("address".to_owned(), address.to_string())));
    named.extend(
        versions.iter().map(|(program, version)| (format!("versions.{program}"), version.to_string())),
    );
    named
}
