//! The list of hosts, with its filters.

use std::time::Duration;

use axum::extract::State;
use muster_http::{Problem, Reply, StrictQuery};
use muster_ids::{HostId, SiteId, TeamId, Timestamp};
use muster_store::rows::HostFilter;
use muster_store::{StoreError, Tx};
use muster_wire::bounds::Whole;
use muster_wire::host::{Host, HostKind, HostPresence, HostState, Presence};
use muster_wire::page::{Page, PageLimit};
use muster_wire::text::{Line, Tag};
use muster_wire::when::When;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::page::{limit, next_cursor, open_cursor};
use crate::app::App;
use crate::auth::{Actor, permits};
use crate::host_view::view;

const LIST: &str = "hosts";
/// Rows read at once while hosts are sorted out by what no column holds as it is now.
const CHUNK: i64 = 200;
/// Rows read for one page at most; past it the page is short and says where to go on.
const READ: usize = 200;
/// How long a sign of life may wait to be written down, by far.
const UNFLUSHED: Duration = Duration::from_secs(600);
/// How often the store looks at as many hosts as it does at once, for one page.
const LOOKS: usize = 2;

/// The query of the list of hosts.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct HostQuery {
    /// Only at this site.
    pub site_id: Option<SiteId>,
    /// Only those of exactly this name: however large the fleet, it is found at once.
    pub name: Option<Line<253>>,
    /// Only those that stand here.
    pub state: Option<HostState>,
    /// Only with this tag.
    pub tag: Option<Tag>,
    /// Only those that can be reached like this.
    pub presence: Option<Presence>,
    /// Only those whose name, host name, machine uid (with or without its source) or reported address begins like this, or
    /// that carry a tag of this name.
    pub q: Option<Line<253>>,
    /// Only those that came through this door: 1 one-time token, 2 invitation, 3 site key.
    pub door: Option<Whole<1, 3>>,
    /// Only those whose agent said it has exactly this version.
    pub agent_version: Option<Line<64>>,
    /// Only those that were seen, last before this moment, or last so long ago: `7d`, `1h30m`.
    pub seen_before: Option<When>,
    /// Only those that were seen at this moment or since, or within so long: `12h`.
    pub seen_after: Option<When>,
    /// Only those that are held, or only those that are not.
    pub held: Option<bool>,
    /// Only those of this kind.
    pub kind: Option<HostKind>,
    /// How many items.
    pub limit: Option<PageLimit>,
    /// Where to go on: `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// `GET /v1/hosts`
pub async fn list(
    State(app): State<App>,
    actor: Actor<permits::SeeFleet>,
    StrictQuery(query): StrictQuery<HostQuery>,
) -> Result<Reply<Page<Host>>, Problem> {
    let now = app.clock.now();
    let after = open_cursor(&app, actor.team_id, LIST, query.cursor.as_deref())?;
    let (inner, limit) = (app.clone(), limit(query.limit));
    let now_is = Now::of(&query, now);
    let wanted = Wanted { team_id: actor.team_id, filter: filter(query, &now_is), now_is, limit };
    let (items, goes_on_at) = app.look(move |tx| wanted.read(tx, &inner, after, now)).await?;
    let next_cursor = goes_on_at.map(|id| next_cursor(&app, actor.team_id, LIST, &id)).transpose()?;
    Ok(Reply::new(Page { items, next_cursor }))
}

fn filter(query: HostQuery, now_is: &Now) -> HostFilter {
    HostFilter {
        site_id: query.site_id,
        name: query.name.map(|name| name.to_string()),
        state: query.state,
        tag: query.tag,
        search: query.q.map(|search| search.to_string()),
        door: query.door.and_then(|door| u32::try_from(door.get()).ok()),
        agent_version: query.agent_version.map(|version| version.to_string()),
        seen_before: now_is.before,
        // What this node heard since is not written down yet.
        seen_after: now_is.after.map(|after| after.minus(UNFLUSHED)),
        held: query.held,
        kind: query.kind,
    }
}

/// What no column holds as it is now: this node may have heard of a host since.
struct Now {
    presence: Option<Presence>,
    before: Option<Timestamp>,
    after: Option<Timestamp>,
}

impl Now {
    fn of(query: &HostQuery, now: Timestamp) -> Self {
        Self {
            presence: query.presence,
            before: query.seen_before.map(|when| when.at(now)),
            after: query.seen_after.map(|when| when.at(now)),
        }
    }

    fn sorts_out(&self) -> bool {
        self.presence.is_some() || self.before.is_some() || self.after.is_some()
    }

    fn lets_through(&self, host: &Host) -> bool {
        let HostPresence { status, last_seen_at } = &host.presence;
        self.presence.is_none_or(|wanted| *status == wanted)
            && self.before.is_none_or(|before| last_seen_at.is_some_and(|at| at < before))
            && self.after.is_none_or(|after| last_seen_at.is_some_and(|at| at >= after))
    }
}

struct Wanted {
    team_id: TeamId,
    filter: HostFilter,
    now_is: Now,
    limit: i64,
}

impl Wanted {
    /// Returns one page of hosts and the last host before the next page, if there is one.
    fn read(
        &self,
        tx: &mut Tx<'_>,
        app: &App,
        mut after: Option<HostId>,
        now: Timestamp,
    ) -> Result<(Vec<Host>, Option<HostId>), StoreError> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let chunk = if self.now_is.sorts_out() { CHUNK } else { self.limit + 1 };
        let (mut hosts, mut read, mut looks) = (Vec::new(), 0, 0);
        loop {
            let from = after;
            let rows = tx.hosts_shown(self.team_id, &self.filter, from, chunk)?;
            let is_whole = rows.len() as i64 == chunk;
            read += rows.len();
            for row in rows {
                let host = view(app, row, now);
                if hosts.len() == limit {
                    return Ok((hosts, after));
                }
                after = Some(host.id);
                if self.now_is.lets_through(&host) {
                    hosts.push(host);
                }
            }
            if !is_whole {
                let last = tx.hosts_looked_through(self.team_id, &self.filter, from)?;
                let Some(last) = last else { return Ok((hosts, None)) };
                (after, looks) = (Some(last), looks + 1);
            }
            if read >= READ || looks >= LOOKS {
                return Ok((hosts, after));
            }
        }
    }
}
