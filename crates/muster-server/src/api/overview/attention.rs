//! What somebody should look at: what the last census found, and what an index finds now.

use std::time::Duration;

use muster_ids::{HostId, TeamId, Timestamp};
use muster_store::rows::Found;
use muster_store::{StoreError, Tx};
use muster_wire::overview::{ATTENTION_COUNTED, ATTENTION_NAMED, Attention, AttentionItem, AttentionKind};
use muster_wire::permission::Permission;

use crate::app::App;
use crate::auth::Actor;
use crate::census::{Longest, TeamCensus};

const DAY: Duration = Duration::from_secs(24 * 3600);
const LAPSES_SOON: Duration = Duration::from_secs(7 * 24 * 3600);
/// One more than is counted: whether there are more.
const MOST: i64 = ATTENTION_COUNTED as i64 + 1;
const FEW: i64 = ATTENTION_NAMED as i64;

/// Who asks, and what of it they may see.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    team_id: TeamId,
    now: Timestamp,
    sees_endpoints: bool,
    sees_events: bool,
    /// When the certificate lapses, told to who sees the installation.
    certificate_lapses_at: Option<Timestamp>,
}

impl Asked {
    pub(super) fn new<P>(app: &App, actor: &Actor<P>, now: Timestamp) -> Self {
        let lapses_at = app.installation.tls.expires_at();
        Self {
            team_id: actor.team_id,
            now,
            sees_endpoints: actor.reach.covers(Permission::ManageEndpoints),
            sees_events: actor.reach.covers(Permission::ReadEvents),
            certificate_lapses_at: lapses_at.filter(|_| actor.team_is_platform),
        }
    }

    /// Returns every kind about which something is to be said, most pressing first.
    pub(super) fn find(&self, tx: &mut Tx<'_>, team: &TeamCensus) -> Result<Vec<Attention>, StoreError> {
        let mut attention = Vec::new();
        for kind in AttentionKind::ALL {
            attention.extend(self.of_kind(tx, team, *kind)?.filter(|found| found.count > 0));
        }
        Ok(attention)
    }

    fn of_kind(
        &self,
        tx: &mut Tx<'_>,
        team: &TeamCensus,
        kind: AttentionKind,
    ) -> Result<Option<Attention>, StoreError> {
        let (team_id, now) = (self.team_id, self.now);
        let found = match kind {
            AttentionKind::HostsHeld => tx.hosts_held(team_id, MOST, FEW)?,
            AttentionKind::ClaimsWaiting => tx.claims_waiting(team_id, MOST, FEW)?,
            AttentionKind::JobsFailed => tx.jobs_gone_wrong(team_id, now.minus(DAY), MOST, FEW)?,
            AttentionKind::SiteKeysExpiring => {
                tx.site_keys_lapsing(team_id, now, now.plus(LAPSES_SOON), MOST, FEW)?
            }
            AttentionKind::EndpointsFailing if self.sees_endpoints => {
                tx.endpoints_failing(team_id, MOST, FEW)?
            }
            AttentionKind::SecretsUnreadable if self.sees_events => {
                tx.secrets_unreadable(team_id, now.minus(DAY), MOST, FEW)?
            }
            AttentionKind::EndpointsFailing | AttentionKind::SecretsUnreadable => return Ok(None),
            AttentionKind::HostsUnreachable => self.named(tx, &team.unreachable)?,
            AttentionKind::ConfigDrifted => self.named(tx, &team.drifted)?,
            AttentionKind::SecretsExposed => self.named(tx, &team.exposed)?,
            AttentionKind::CertificateExpiring => self.certificate(),
        };
        Ok(Some(shown(kind, found)))
    }

    /// Names the hosts of a census.
    fn named(&self, tx: &mut Tx<'_>, longest: &Longest) -> Result<Found, StoreError> {
        let hosts: Vec<HostId> = longest.items.iter().map(|(_, host_id, _)| *host_id).collect();
        let names = tx.host_names(self.team_id, &hosts)?;
        let items = longest.items.iter().zip(names).filter_map(|((since, host_id, what), name)| {
            let name = match what {
                Some(what) => format!("{}: {what}", name?),
                None => name?,
            };
            Some((host_id.to_string(), name, *since))
        });
        Ok(Found { count: longest.count, items: items.collect() })
    }

    fn certificate(&self) -> Found {
        let soon = self.certificate_lapses_at.filter(|lapses_at| *lapses_at <= self.now.plus(LAPSES_SOON));
        let item = |at| ("certificate".to_owned(), "certificate of the machines' listener".to_owned(), at);
        Found { count: u64::from(soon.is_some()), items: soon.map(item).into_iter().collect() }
    }
}

fn shown(kind: AttentionKind, found: Found) -> Attention {
    let is_of_census = matches!(
        kind,
        AttentionKind::HostsUnreachable | AttentionKind::ConfigDrifted | AttentionKind::SecretsExposed
    );
    let more = !is_of_census && found.count > ATTENTION_COUNTED;
    let items = found.items.into_iter().map(|(id, name, since)| AttentionItem { id, name, since });
    let count = if more { ATTENTION_COUNTED } else { found.count };
    Attention { kind, count, more, items: items.collect() }
}
