//! The list of hosts, with its filters.

use axum::extract::State;
use muster_http::{Problem, Reply, StrictQuery};
use muster_ids::{HostId, SiteId, TeamId, Timestamp};
use muster_store::rows::HostFilter;
use muster_store::{StoreError, Tx};
use muster_wire::host::{Host, HostState, Presence};
use muster_wire::page::{Page, PageLimit};
use muster_wire::text::{Line, Tag};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::page::{limit, next_cursor, open_cursor};
use crate::app::App;
use crate::auth::{Actor, permits};
use crate::host_view::view;

const LIST: &str = "hosts";
/// Rows read at once while hosts are sorted out by presence, which no column holds.
const CHUNK: i64 = 200;
/// Rows read for one page at most; past it the page is short and says where to go on.
const READ: usize = 200;
/// How often the store looks at as many hosts as it does at once, for one page.
const LOOKS: usize = 2;

/// The query of the list of hosts.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct HostQuery {
    /// Only at this site.
    pub site_id: Option<SiteId>,
    /// Only those that stand here.
    pub state: Option<HostState>,
    /// Only with this tag.
    pub tag: Option<Tag>,
    /// Only those that can be reached like this.
    pub presence: Option<Presence>,
    /// Only those whose name or host name begins like this.
    pub q: Option<Line<253>>,
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
    let filter = HostFilter {
        site_id: query.site_id,
        state: query.state,
        tag: query.tag,
        prefix: query.q.map(|prefix| prefix.to_string()),
    };
    let wanted = Wanted { team_id: actor.team_id, filter, presence: query.presence, limit };
    let (items, goes_on_at) = app.look(move |tx| wanted.read(tx, &inner, after, now)).await?;
    let next_cursor = goes_on_at.map(|id| next_cursor(&app, actor.team_id, LIST, &id)).transpose()?;
    Ok(Reply::new(Page { items, next_cursor }))
}

struct Wanted {
    team_id: TeamId,
    filter: HostFilter,
    presence: Option<Presence>,
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
        let chunk = if self.presence.is_some() { CHUNK } else { self.limit + 1 };
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
                if self.presence.is_none_or(|wanted| host.presence.status == wanted) {
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
