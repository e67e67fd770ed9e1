//! `/v1/tickets/{ticket_id}/leak`: what a leaked ticket admitted, shown and then suspended.

use axum::extract::State;
use muster_http::{Problem, Reply, StrictJson, StrictPath};
use muster_ids::{HostId, KeyName, TeamId, TicketId};
use muster_keyring::OwnerKind;
use muster_store::rows::AdmittedRow;
use muster_store::{StoreError, Tx};
use muster_wire::leak::{LeakPreview, LeakReported, LeakedHost, PreviewLeak, ReportLeak};

use super::TicketPath;
use crate::api::page::{limit, open_cursor, page};
use crate::app::App;
use crate::auth::{Actor, permits};
use crate::enrol::leak::{Admitted, follow, report, start};
use crate::enrol::mint::view;
use crate::failure::Failure;

const LIST: &str = "leak";

/// `POST /v1/tickets/{ticket_id}/leak/preview`
pub async fn preview(
    State(app): State<App>,
    actor: Actor<permits::ManageSiteKeys>,
    StrictPath(path): StrictPath<TicketPath>,
    StrictJson(request): StrictJson<PreviewLeak>,
) -> Result<Reply<LeakPreview>, Problem> {
    let (team_id, ticket_id, since) = (actor.team_id, path.ticket_id, request.since);
    let cursor = request.cursor.as_ref().map(|cursor| cursor.as_str());
    // A cursor of another ticket, or of another time, would show a part as if it were the whole.
    let list = format!("{LIST} {ticket_id} {}", start(since).as_millis());
    let after: Option<HostId> = open_cursor(&app, team_id, &list, cursor)?;
    let limit = limit(request.limit);
    let found = app
        .look(move |tx| {
            if tx.ticket_shown(team_id, &ticket_id)?.is_none() {
                return Ok(None);
            }
            let admitted = Admitted::load(tx, team_id, &ticket_id, since)?;
            let rows = tx.hosts_admitted(team_id, &ticket_id, start(since), after, limit + 1)?;
            let rows = rows.into_iter().map(|row| Holding::load(tx, team_id, &ticket_id, row));
            Ok(Some((admitted, rows.collect::<Result<Vec<_>, StoreError>>()?)))
        })
        .await?;
    let (admitted, rows) = found.ok_or(Failure::NotFound)?;
    let key = |holding: &Holding| holding.row.host_id;
    let hosts = page(&app, team_id, &list, rows, limit, key, |holding| host(&app, holding))?;
    Ok(Reply::new(LeakPreview {
        ticket_id,
        since,
        admitted: admitted.hosts(),
        active: admitted.active(),
        waiting_claims: admitted.waiting_claims(),
        hosts,
        preview: admitted.digest().to_owned(),
    }))
}

/// A host with what it holds.
struct Holding {
    row: AdmittedRow,
    /// The last key the ticket admitted.
    key: Option<KeyName>,
    secrets: Vec<String>,
}

impl Holding {
    fn load(
        tx: &mut Tx<'_>,
        team_id: TeamId,
        ticket_id: &TicketId,
        row: AdmittedRow,
    ) -> Result<Self, StoreError> {
        let keys = tx.host_keys(row.host_id)?.into_iter().filter(|key| key.ticket_id == Some(*ticket_id));
        let key = keys.max_by_key(|key| key.created_at).map(|key| key.name);
        let owned = tx.secrets_owned(team_id, OwnerKind::Host.as_str(), &row.host_id.to_string())?;
        Ok(Self { row, key, secrets: owned.into_iter().map(|secret| secret.name).collect() })
    }
}

fn host(app: &App, holding: Holding) -> LeakedHost {
    let Holding { row, key, secrets } = holding;
    LeakedHost {
        host_id: row.host_id,
        name: row.name,
        state: row.state,
        key,
        admitted_at: row.admitted_at,
        last_seen_at: row.seen_at.max(app.presences.of(row.host_id).map(|sign| sign.seen_at)),
        secrets,
    }
}

/// `POST /v1/tickets/{ticket_id}/leak`
pub async fn create(
    State(app): State<App>,
    actor: Actor<permits::ManageSiteKeys>,
    StrictPath(path): StrictPath<TicketPath>,
    StrictJson(request): StrictJson<ReportLeak>,
) -> Result<Reply<LeakReported>, Problem> {
    let (team_id, ticket_id) = (actor.team_id, path.ticket_id);
    let first = report(&app, actor, ticket_id, request).await?;
    let done = follow(&app, ticket_id, first).await;
    let shown = app.look(move |tx| tx.ticket_shown(team_id, &ticket_id)).await?.ok_or(Failure::NotFound)?;
    let ticket = view(shown, app.clock.now());
    Ok(Reply::new(LeakReported { ticket, suspended: done.suspended, remaining: done.remaining }))
}
