//! One change of many hosts: planned, shown, and done to all of them in one transaction.
//!
//! What is done to each is what is done to one alone: the same locks, rows of the trail, events and cuts.

use muster_domain::host_change::{NotChanged, Planned, Standing, plan};
use muster_ids::{HostId, TeamId};
use muster_proof::digest::sha256_base64url;
use muster_store::rows::{HostRow, StandingRow};
use muster_store::{Lock, LockKey, StoreError, Tx};
use muster_wire::happening::Happening;
use muster_wire::host::RetirementPreview;
use muster_wire::host_change::{
    ChangedHost, ChangedHosts, HostChange, HostChangePreview, HostChangeRefused, HostOutcome, PreviewedHost,
};
use muster_wire::permission::Permission;
use muster_wire::text::Tag;
use serde_json::json;

use super::retire::{self, NOT_POSSIBLE, Why};
use super::{moving, suspend};
use crate::app::App;
use crate::failure::{Failure, Named};
use crate::unit::{Author, Fact, Unit};

const STALE: Failure =
    Failure::conflict("preview_stale", "what the change would do has changed; look at the preview again");
const TOO_MANY_TAGS: Failure = Failure::conflict("too_many_tags", "the host would have more than 32 tags");

/// Hosts of a team and what is done to them.
#[derive(Debug, Clone)]
pub struct Change {
    /// Their team.
    pub team_id: TeamId,
    /// The hosts, in order.
    pub hosts: Vec<HostId>,
    /// What is done.
    pub change: HostChange,
}

/// The permission that a change of one host needs.
pub const fn permission(change: &HostChange) -> Permission {
    match change {
        HostChange::Tags { .. } | HostChange::Suspend {} | HostChange::Resume {} => Permission::OperateHosts,
        HostChange::Move { .. } | HostChange::Retire {} => Permission::ManageHosts,
    }
}

/// Refuses what changes nothing, or says two things of one tag.
pub fn check(change: &HostChange) -> Result<(), Failure> {
    let HostChange::Tags { add, remove } = change else { return Ok(()) };
    if add.is_empty() && remove.is_empty() {
        return Err(Failure::invalid("/change/add", "empty"));
    }
    if add.iter().any(|tag| remove.iter().any(|removed| removed == tag)) {
        return Err(Failure::invalid("/change/remove", "duplicate"));
    }
    Ok(())
}

/// What becomes of each host.
pub struct Plan {
    standing: Vec<StandingRow>,
    planned: Vec<Planned>,
    retirements: Vec<Option<RetirementPreview>>,
}

impl Change {
    /// Hosts in whatever order, and what is done to them.
    pub fn new(team_id: TeamId, mut hosts: Vec<HostId>, change: HostChange) -> Self {
        hosts.sort_unstable();
        Self { team_id, hosts, change }
    }

    /// Plans the change on what the transaction reads. `Err` in it: what the team does not have.
    pub fn plan(&self, tx: &mut Tx<'_>) -> Result<Result<Plan, Named>, StoreError> {
        let Self { team_id, hosts, change } = self;
        if let HostChange::Move { site_id } = change
            && tx.site(*team_id, *site_id)?.is_none()
        {
            return Ok(Err(Named::Site(*site_id)));
        }
        let standing = hosts.iter().zip(tx.hosts_standing(*team_id, hosts)?);
        let standing = standing.map(|(host_id, found)| found.ok_or(Named::Host(*host_id)));
        let standing: Vec<StandingRow> = match standing.collect() {
            Ok(standing) => standing,
            Err(absent) => return Ok(Err(absent)),
        };
        let planned: Vec<Planned> = standing.iter().map(|row| plan(&facts(row), change)).collect();
        let retirements = match change {
            HostChange::Retire {} => retirements(tx, &standing)?.into_iter().map(Some).collect(),
            _ => standing.iter().map(|_| None).collect(),
        };
        Ok(Ok(Plan { standing, planned, retirements }))
    }

    /// Does what was previewed under `preview_version`, or nothing.
    pub fn apply(
        &self,
        unit: &mut Unit<'_, '_>,
        app: &App,
        author: &Author,
        preview_version: &str,
    ) -> Result<ChangedHosts, Failure> {
        match &self.change {
            HostChange::Move { .. } | HostChange::Retire {} => retire::lock(unit, self.team_id, &self.hosts)?,
            HostChange::Tags { .. } | HostChange::Suspend {} | HostChange::Resume {} => {
                let locks = self.hosts.iter().map(|id| Lock::exclusive(LockKey::Host(*id)));
                unit.tx.lock(&locks.collect::<Vec<_>>())?;
            }
        }
        let plan = self.plan(unit.tx)?.map_err(|absent| Failure::NotFound.of(absent))?;
        if plan.version(&self.change) != preview_version {
            return Err(STALE);
        }
        self.record(unit, app, &plan, author)?;
        let after = unit.tx.hosts_standing(self.team_id, &self.hosts)?;
        let items =
            after.into_iter().flatten().zip(&plan.planned).map(|(row, planned)| changed(row, planned));
        Ok(ChangedHosts { items: items.collect(), changed: plan.changes() })
    }

    fn record(
        &self,
        unit: &mut Unit<'_, '_>,
        app: &App,
        plan: &Plan,
        author: &Author,
    ) -> Result<(), Failure> {
        let change = plan.standing.iter().zip(&plan.planned);
        let change = change.filter(|(_, planned)| **planned == Planned::Changes);
        let hosts: Vec<&HostRow> = change.map(|(standing, _)| &standing.row).collect();
        match &self.change {
            HostChange::Tags { .. } => self.tag(unit, plan, author),
            HostChange::Suspend {} => hosts.iter().try_for_each(|host| {
                suspend::suspend(unit, (host.team_id, host.id), host.state, author, None)
            }),
            HostChange::Resume {} => hosts.iter().try_for_each(|host| suspend::resume(unit, host, author)),
            HostChange::Move { site_id } => hosts.iter().try_for_each(|host| {
                app.arrivals.comes(*site_id);
                moving::relocate(unit, host, *site_id, author, None)
            }),
            HostChange::Retire {} => retire::retire_locked(unit, &hosts, author, Why::Person),
        }
    }

    /// Writes the tags of all, and tells of each.
    fn tag(&self, unit: &mut Unit<'_, '_>, plan: &Plan, author: &Author) -> Result<(), Failure> {
        let mut added: Vec<(HostId, Tag)> = Vec::new();
        let mut removed: Vec<(HostId, Tag)> = Vec::new();
        for (standing, planned) in plan.standing.iter().zip(&plan.planned) {
            let Planned::Tagged(tags) = planned else { continue };
            let id = standing.row.id;
            added.extend(tags.iter().filter(|tag| !standing.tags.contains(tag)).map(|tag| (id, tag.clone())));
            let gone = standing.tags.iter().filter(|tag| !tags.contains(tag));
            removed.extend(gone.map(|tag| (id, tag.clone())));
            let set = Fact::new(Happening::HostTagsSet, self.team_id, author, id).of_host(id);
            unit.happened(set.changed(["tags"]).details(json!({ "tags": tags })));
        }
        unit.tx.hosts_tags_remove(self.team_id, &removed)?;
        unit.tx.hosts_tags_add(self.team_id, &added)?;
        Ok(())
    }
}

impl Plan {
    /// Shows what becomes of each host; `is_connected` goes into no version.
    pub fn preview(self, change: &HostChange, is_connected: impl Fn(HostId) -> bool) -> HostChangePreview {
        let (preview_version, changes) = (self.version(change), self.changes());
        let mut items = self.items();
        for retirement in items.iter_mut().filter_map(|item| item.retirement.as_mut()) {
            retirement.connected = is_connected(retirement.host_id);
        }
        HostChangePreview { items, changes, preview_version }
    }

    fn changes(&self) -> u32 {
        let changes = self.planned.iter().filter(|planned| outcome(planned).0 == HostOutcome::Changes);
        u32::try_from(changes.count()).unwrap_or(u32::MAX)
    }

    fn version(&self, change: &HostChange) -> String {
        sha256_base64url(json!({ "change": change, "items": self.items() }).to_string().as_bytes())
    }

    fn items(&self) -> Vec<PreviewedHost> {
        let each = self.standing.iter().zip(&self.planned).zip(&self.retirements);
        let items = each.map(|((standing, planned), retirement)| {
            let (outcome, refused) = outcome(planned);
            let tags_after = match planned {
                Planned::Tagged(tags) => Some(tags.clone()),
                Planned::Changes | Planned::Stays | Planned::Refused(_) => None,
            };
            PreviewedHost {
                host_id: standing.row.id,
                name: standing.row.name.clone(),
                state: standing.row.state,
                site_id: standing.row.site_id,
                tags: standing.tags.clone(),
                outcome,
                refused,
                tags_after,
                retirement: retirement.clone(),
            }
        });
        items.collect()
    }
}

/// Lists what retiring each of these hosts would destroy; `connected` is for the caller, who knows the channels.
pub fn retirements(tx: &mut Tx<'_>, hosts: &[StandingRow]) -> Result<Vec<RetirementPreview>, StoreError> {
    let Some(first) = hosts.first() else { return Ok(Vec::new()) };
    let ids: Vec<HostId> = hosts.iter().map(|host| host.row.id).collect();
    let losses = tx.hosts_losses(first.row.team_id, &ids)?;
    let previews = hosts.iter().zip(losses).map(|(host, loss)| {
        let mut preview = RetirementPreview {
            host_id: host.row.id,
            name: host.row.name.clone(),
            connected: false,
            keys: loss.keys,
            secrets: loss.secrets,
            open_jobs: loss.open_jobs,
            open_claims: loss.open_claims,
            preview_version: String::new(),
        };
        let text = json!({ "preview": preview, "state": host.row.state }).to_string();
        preview.preview_version = sha256_base64url(text.as_bytes());
        preview
    });
    Ok(previews.collect())
}

fn facts(row: &StandingRow) -> Standing<'_> {
    Standing {
        state: row.row.state,
        site_id: row.row.site_id,
        tags: &row.tags,
        is_held: row.held_at.is_some(),
        copy_waits: row.copy_waits,
    }
}

fn outcome(planned: &Planned) -> (HostOutcome, Option<HostChangeRefused>) {
    let refused = match planned {
        Planned::Tagged(_) | Planned::Changes => return (HostOutcome::Changes, None),
        Planned::Stays => return (HostOutcome::Stays, None),
        Planned::Refused(NotChanged::NotPossible) => NOT_POSSIBLE,
        Planned::Refused(NotChanged::CopyWaits) => suspend::COPY_WAITS,
        Planned::Refused(NotChanged::TooManyTags) => TOO_MANY_TAGS,
    };
    let told = match refused {
        Failure::Conflict { code, detail } => {
            Some(HostChangeRefused { code: code.to_owned(), detail: detail.to_owned() })
        }
        _ => None,
    };
    (HostOutcome::Refused, told)
}

fn changed(row: StandingRow, planned: &Planned) -> ChangedHost {
    let (outcome, refused) = outcome(planned);
    let (state, site_id) = (row.row.state, row.row.site_id);
    ChangedHost { host_id: row.row.id, outcome, refused, state, site_id, tags: row.tags }
}
