//! Who may do what: the one table. Deny by default; every route names the permission it needs.

use muster_wire::people::Role;
use muster_wire::permission::Permission;

/// Returns the roles that hold a permission.
///
/// Hosts of the platform's own team are of kind `shared`: nobody but an admin is owner there.
pub const fn roles(permission: Permission) -> &'static [Role] {
    use Role::{Admin, Operator, Owner, Viewer};
    match permission {
        Permission::OwnAccount
        | Permission::SeeTeams
        | Permission::SeeFleet
        | Permission::SeePeople
        | Permission::ReadEvents => &[Admin, Owner, Operator, Viewer],
        Permission::MintTokens
        | Permission::OperateHosts
        | Permission::DecideClaims
        | Permission::RunJobs => &[Admin, Owner, Operator],
        Permission::ManageSites
        | Permission::ManageSiteKeys
        | Permission::ManageHosts
        | Permission::ManageSecrets
        | Permission::ReadAudit
        | Permission::ManageEndpoints
        | Permission::ManagePeople => &[Admin, Owner],
        Permission::ManageTeams | Permission::ManageAudit | Permission::ManageInstallation => &[Admin],
    }
}

/// Whether `role` holds `permission`.
pub fn may(role: Role, permission: Permission) -> bool {
    roles(permission).contains(&role)
}

/// What somebody's credential lets them do: their role, and no more than the scopes of the token they show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// The role of its owner now, not when it was made.
    pub role: Role,
    /// Without scopes: everything the role may.
    pub scopes: Option<Vec<Permission>>,
}

impl Reach {
    /// Whether it covers `permission`.
    pub fn covers(&self, permission: Permission) -> bool {
        may(self.role, permission) && self.scopes.as_ref().is_none_or(|scopes| scopes.contains(&permission))
    }

    /// Whether it covers everything `role` may: nobody makes, or changes, somebody mightier than they are.
    pub fn covers_role(&self, role: Role) -> bool {
        Permission::ALL
            .iter()
            .filter(|permission| may(role, **permission))
            .all(|permission| self.covers(*permission))
    }
}

/// Whether somebody of `role` may stand in a team: admins in the platform's own alone, owners in every other.
pub fn role_fits_team(role: Role, team_is_platform: bool) -> bool {
    match role {
        Role::Admin => team_is_platform,
        Role::Owner => !team_is_platform,
        Role::Operator | Role::Viewer => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_may_what_the_next_one_may() {
        for pair in Role::ALL.windows(2) {
            let weaker = Permission::ALL.iter().filter(|permission| may(pair[1], **permission));
            assert!(weaker.into_iter().all(|permission| may(pair[0], *permission)), "{pair:?}");
        }
    }

    #[test]
    fn a_viewer_changes_nothing_but_their_own_account() {
        let held: Vec<&str> = Permission::ALL
            .iter()
            .filter(|permission| may(Role::Viewer, **permission))
            .map(|permission| permission.as_str())
            .collect();
        assert_eq!(held, ["own_account", "see_teams", "see_fleet", "read_events", "see_people"]);
    }

    #[test]
    fn an_owner_never_manages_teams_and_an_admin_holds_everything() {
        assert!(!may(Role::Owner, Permission::ManageTeams));
        assert!(Permission::ALL.iter().all(|permission| may(Role::Admin, *permission)));
    }

    #[test]
    fn scopes_take_away_and_never_give() {
        let reach =
            Reach { role: Role::Viewer, scopes: Some(vec![Permission::SeeFleet, Permission::RunJobs]) };
        assert!(reach.covers(Permission::SeeFleet));
        assert!(!reach.covers(Permission::RunJobs), "a scope the role does not hold gives nothing");
        assert!(!reach.covers(Permission::ReadEvents), "what is not in the scopes is not covered");
        assert!(!reach.covers_role(Role::Viewer));
        assert!(Reach { role: Role::Owner, scopes: None }.covers_role(Role::Operator));
    }
}
