//! Who may do what: the one table. Deny by default; every route names the permission it needs.

use muster_wire::people::Role;

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident: [$($role:ident),+];)+) => {
        /// Something a person may be allowed to do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Permission {
            $($(#[$doc])* $name,)+
        }

        impl Permission {
            /// Every permission.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The roles that hold it.
            pub const fn roles(self) -> &'static [Role] {
                match self {
                    $(Self::$name => &[$(Role::$role),+],)+
                }
            }
        }
    };
}

permissions! {
    /// See who one is.
    SeeSelf: [Admin, Owner];
    /// Make teams and their owners.
    ManageTeams: [Admin];
    /// See teams.
    SeeTeams: [Admin, Owner];
    /// See sites, hosts, claims, tickets, jobs and the names of secrets.
    SeeFleet: [Admin, Owner];
    /// Make sites and set their policies.
    ManageSites: [Admin, Owner];
    /// Mint and revoke tickets, invite hosts.
    ManageTickets: [Admin, Owner];
    /// Retire, suspend, resume and tag hosts.
    ManageHosts: [Admin, Owner];
    /// Decide claims.
    DecideClaims: [Admin, Owner];
    /// Set secrets.
    ManageSecrets: [Admin, Owner];
    /// Make jobs.
    RunJobs: [Admin, Owner];
    /// Read the audit trail.
    ReadAudit: [Admin, Owner];
}

/// Whether `role` holds `permission`.
pub fn may(role: Role, permission: Permission) -> bool {
    permission.roles().contains(&role)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_never_manages_teams() {
        assert!(may(Role::Admin, Permission::ManageTeams));
        assert!(!may(Role::Owner, Permission::ManageTeams));
    }

    #[test]
    fn an_admin_holds_every_permission() {
        assert!(Permission::ALL.iter().all(|permission| may(Role::Admin, *permission)));
    }
}
