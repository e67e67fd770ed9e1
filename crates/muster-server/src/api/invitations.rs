//! `/v1/invitations`: how people become members, by a link.

mod accept;

use std::time::Duration;

use axum::extract::State;
use muster_domain::membership::{self, MOST_INVITATIONS, invitation_status};
use muster_http::{Created, Problem, Reply, StrictPath, StrictQuery};
use muster_ids::{Bearer, BearerKind, InvitationId, Timestamp};
use muster_store::rows::InvitationRow;
use muster_store::{Lock, LockKey};
use muster_wire::happening::Happening;
use muster_wire::invitation::{CreateInvitation, Invitation, MintedInvitation};
use muster_wire::page::Page;
use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::json;

use super::page::{OrderedPageQuery, in_order, limit, open_cursor, page};
use crate::app::App;
use crate::auth::{Actor, Credential, permits};
use crate::effects::Ended;
use crate::failure::Failure;
use crate::idempotency::Once;
use crate::unit::{Fact, Unit};

pub use accept::accept;

const LIST: &str = "invitations";
/// Held by whoever counts invitations before they make one.
const INVITATIONS: LockKey = LockKey::Named("invitations");
/// The page that takes an invitation.
const PAGE: &str = "/invitation";

/// The invitation of a path.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct InvitationPath {
    /// The invitation.
    pub invitation_id: InvitationId,
}

/// `POST /v1/invitations`
pub async fn create(
    State(app): State<App>,
    actor: Actor<permits::ManagePeople>,
    body: Once<CreateInvitation>,
) -> Result<Created<MintedInvitation>, Problem> {
    let now = app.clock.now();
    let (request, asked) = body.into_parts();
    let inner = app.clone();
    let minted =
        asked.change_as(&app, actor, now, move |unit, actor| invite(unit, &inner, actor, &request)).await?;
    Ok(Created::new(minted))
}

fn invite(
    unit: &mut Unit<'_, '_>,
    app: &App,
    actor: &Actor<permits::ManagePeople>,
    request: &CreateInvitation,
) -> Result<MintedInvitation, Failure> {
    let now = unit.now;
    membership::invite(&actor.reach, request.role, actor.team_is_platform)?;
    if unit.tx.member_is_named(actor.team_id, request.name.as_str())? {
        return Err(Failure::conflict("name_taken", "the team has a person of this name"));
    }
    unit.tx.lock(&[Lock::exclusive(INVITATIONS)])?;
    if unit.tx.invitations_open(actor.team_id, now)? >= MOST_INVITATIONS {
        return Err(Failure::conflict("too_many_invitations", "the team has too many open invitations"));
    }
    let bearer = Bearer::new(BearerKind::Invitation, unit.draw.public_id(), unit.draw.bytes());
    let lives_for = request.expires_in_secs.map(|secs| Duration::from_secs(secs.get()));
    let expires_at = membership::invited_until(lives_for, actor.token_ends, now)?;
    let row = InvitationRow {
        id: InvitationId::new(bearer.id),
        team_id: actor.team_id,
        name: request.name.to_string(),
        role: request.role,
        verifier: app.keyring.verifier(&bearer).to_vec(),
        created_by: actor.user_id.to_string(),
        minted_with: match actor.credential {
            Credential::Token(id) => Some(id),
            Credential::WebSession(_) => None,
        },
        created_at: now,
        expires_at,
        revoked_at: None,
        accepted_at: None,
        accepted_by: None,
    };
    unit.tx.invitation_insert(&row)?;
    let created = Fact::new(Happening::InvitationCreated, actor.team_id, &actor.author(), row.id);
    let details = json!({ "name": row.name, "role": row.role, "expires_at": row.expires_at });
    unit.happened(created.details(details));
    let token = bearer.expose().expose_secret().to_owned();
    Ok(MintedInvitation { url: link(app, &token)?, token, invitation: view(row, now) })
}

/// Returns the link of an invitation: the secret stands in the fragment, which browsers keep to themselves.
fn link(app: &App, token: &str) -> Result<String, Failure> {
    let public = app.installation.public_urls().into_iter().next();
    let base = public.or_else(|| app.installation.loopback_urls.first().cloned());
    let mut url = base.ok_or_else(|| Failure::internal("the server has no url"))?;
    url.set_path(PAGE);
    url.set_fragment(Some(token));
    Ok(url.to_string())
}

/// `GET /v1/invitations`
pub async fn list(
    State(app): State<App>,
    actor: Actor<permits::ManagePeople>,
    StrictQuery(query): StrictQuery<OrderedPageQuery>,
) -> Result<Reply<Page<Invitation>>, Problem> {
    let now = app.clock.now();
    let order = query.order.unwrap_or_default();
    let list = in_order(LIST, order);
    let after = open_cursor(&app, actor.team_id, &list, query.cursor.as_deref())?;
    let limit = limit(query.limit);
    let rows = app.look(move |tx| tx.invitations(actor.team_id, order, after, limit + 1)).await?;
    let key = |row: &InvitationRow| (row.created_at, row.id);
    Ok(Reply::new(page(&app, actor.team_id, &list, rows, limit, key, |row| view(row, now))?))
}

/// `POST /v1/invitations/{invitation_id}/revoke`
///
/// One that is not open any more stays as it is.
pub async fn revoke(
    State(app): State<App>,
    actor: Actor<permits::ManagePeople>,
    StrictPath(path): StrictPath<InvitationPath>,
) -> Result<Reply<Invitation>, Problem> {
    let now = app.clock.now();
    let invitation = actor
        .change(&app, now, move |unit, actor| {
            if unit.tx.invitation_revoke(actor.team_id, &path.invitation_id, now)? {
                let author = actor.author();
                let id = path.invitation_id;
                unit.end(actor.team_id, Ended::Invitation(id), "revoked")?;
                unit.happened(Fact::new(Happening::InvitationRevoked, actor.team_id, &author, id));
            }
            let row = unit.tx.invitation(actor.team_id, &path.invitation_id)?;
            Ok(view(row.ok_or(Failure::NotFound)?, now))
        })
        .await?;
    Ok(Reply::new(invitation))
}

fn view(row: InvitationRow, now: Timestamp) -> Invitation {
    Invitation {
        id: row.id,
        team_id: row.team_id,
        name: row.name,
        role: row.role,
        status: invitation_status(row.accepted_at, row.revoked_at, row.expires_at, now),
        created_by: row.created_by,
        created_at: row.created_at,
        expires_at: row.expires_at,
        accepted_at: row.accepted_at,
        accepted_by: row.accepted_by,
        // What time ended was ended when it lapsed.
        revoked_at: row.revoked_at.filter(|at| *at != row.expires_at),
    }
}
