//! API tokens: none exceeds whoever makes it, in permissions, team or time.

use std::time::Duration;

use muster_ids::{TeamId, Timestamp};
use muster_wire::people::Role;
use muster_wire::permission::Permission;

use crate::permission::{Reach, may};

/// How long a token lives when nobody says.
pub const LIVES_FOR: Duration = Duration::from_secs(90 * 24 * 3600);
/// The same for people who come by a provider: it says who they are at every sign-in, and a token does not ask it.
pub const LIVES_FOR_BY_PROVIDER: Duration = Duration::from_secs(30 * 24 * 3600);
/// Tokens a person may have that are good.
pub const MOST_LIVE: i64 = 50;
/// Tokens a person may make in [`A_DAY`]: those that were revoked count too, for their rows stay.
pub const MOST_A_DAY: i64 = 200;
/// What [`MOST_A_DAY`] counts.
pub const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// Who makes a token: a person with the credential they show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maker {
    /// What they may with it.
    pub reach: Reach,
    /// Their team.
    pub team_id: TeamId,
    /// When the token they show lapses; none for a signed-in session.
    pub expires_at: Option<Timestamp>,
    /// The only team the token they show acts in.
    pub bound_team_id: Option<TeamId>,
    /// Good tokens they have.
    pub live: i64,
    /// Tokens they made in the last [`A_DAY`], whatever became of them.
    pub made_today: i64,
    /// Whether a provider says who they are.
    pub by_provider: bool,
}

/// The token that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What it may at most; everything its owner may when not said.
    pub scopes: Option<Vec<Permission>>,
    /// How long it lives.
    pub lives_for: Option<Duration>,
    /// The only team it acts in; those of its owner when not said.
    pub team_id: Option<TeamId>,
}

/// The token that is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// What it may at most.
    pub scopes: Option<Vec<Permission>>,
    /// When it lapses.
    pub expires_at: Timestamp,
    /// The only team it acts in.
    pub bound_team_id: Option<TeamId>,
}

/// Why a token is not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It could do nothing.
    #[error("no scopes")]
    NoScopes,
    /// It could do more than its maker.
    #[error("beyond the reach of its maker")]
    BeyondReach,
    /// It would act in a team that its maker does not act in.
    #[error("another team")]
    ForeignTeam,
    /// It would outlive the token that makes it.
    #[error("it would outlive its maker")]
    OutlivesMaker,
    /// Its owner has as many as may be.
    #[error("too many")]
    TooMany,
    /// Its owner made as many today as may be.
    #[error("too many today")]
    TooManyToday,
}

/// Decides a token that somebody makes for themselves.
pub fn mint(maker: &Maker, wanted: &Wanted, now: Timestamp) -> Result<Grant, Refusal> {
    let bound_team_id = bind(maker, wanted.team_id)?;
    match &wanted.scopes {
        Some(scopes) if scopes.is_empty() => return Err(Refusal::NoScopes),
        Some(scopes) if !scopes.iter().all(|scope| maker.reach.covers(*scope)) => {
            return Err(Refusal::BeyondReach);
        }
        Some(scopes)
            if bound_team_id.is_some() && !scopes.iter().all(|scope| holds_within_a_team(*scope)) =>
        {
            return Err(Refusal::BeyondReach);
        }
        None if maker.reach.scopes.is_some() => return Err(Refusal::BeyondReach),
        Some(_) | None => {}
    }
    let expires_at = match (wanted.lives_for, maker.expires_at) {
        (Some(lives_for), Some(end)) if now.plus(lives_for) > end => return Err(Refusal::OutlivesMaker),
        (Some(lives_for), _) => now.plus(lives_for),
        (None, end) => {
            let usual = now.plus(if maker.by_provider { LIVES_FOR_BY_PROVIDER } else { LIVES_FOR });
            end.map_or(usual, |end| end.min(usual))
        }
    };
    if maker.live >= MOST_LIVE {
        return Err(Refusal::TooMany);
    }
    if maker.made_today >= MOST_A_DAY {
        return Err(Refusal::TooManyToday);
    }
    Ok(Grant { scopes: wanted.scopes.clone(), expires_at, bound_team_id })
}

/// Returns the team a token is bound to: that of the token which makes it, or what its maker may choose.
fn bind(maker: &Maker, wanted: Option<TeamId>) -> Result<Option<TeamId>, Refusal> {
    match (maker.bound_team_id, wanted) {
        (Some(bound), Some(wanted)) if wanted != bound => Err(Refusal::ForeignTeam),
        (Some(bound), _) => Ok(Some(bound)),
        (None, Some(wanted)) if wanted != maker.team_id && maker.reach.role != Role::Admin => {
            Err(Refusal::ForeignTeam)
        }
        (None, wanted) => Ok(wanted),
    }
}

/// Returns the role somebody has through a token that is bound to one team: an admin acts there as an owner would.
pub const fn role_in_one_team(role: Role) -> Role {
    match role {
        Role::Admin => Role::Owner,
        Role::Owner | Role::Operator | Role::Viewer => role,
    }
}

fn holds_within_a_team(permission: Permission) -> bool {
    may(Role::Owner, permission)
}

#[cfg(test)]
mod tests;
