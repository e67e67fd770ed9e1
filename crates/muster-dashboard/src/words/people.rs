//! Words of people, what they sign in with, and the installation they run.

use muster_wire::invitation::InvitationStatus;
use muster_wire::people::Role;
use muster_wire::permission::Permission;
use muster_wire::server_keys::TlsKind;
use muster_wire::sign_in::SignInMethod;
use muster_wire::token::ApiTokenStatus;

use super::{Tone, Worded};

impl Worded for Role {
    fn word(&self) -> &'static str {
        self.as_str()
    }

    fn tone(&self) -> Tone {
        Tone::Quiet
    }
}

impl Worded for InvitationStatus {
    fn word(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Accepted => "accepted",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    fn tone(&self) -> Tone {
        match self {
            Self::Open => Tone::Busy,
            Self::Accepted => Tone::Good,
            Self::Expired => Tone::Quiet,
            Self::Revoked => Tone::Bad,
        }
    }
}

impl Worded for ApiTokenStatus {
    fn word(&self) -> &'static str {
        match self {
            Self::Live => "good",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    fn tone(&self) -> Tone {
        match self {
            Self::Live => Tone::Good,
            Self::Expired => Tone::Quiet,
            Self::Revoked => Tone::Bad,
        }
    }
}

/// Says what somebody of a role may do.
pub(crate) const fn role_says(role: &Role) -> &'static str {
    match role {
        Role::Admin => "Runs the whole server: every team, every shared host, the settings.",
        Role::Owner => "Runs this team: its people, sites, keys and secrets, and all an operator may.",
        Role::Operator => "Works with the hosts: admits machines, tags and suspends hosts, runs jobs.",
        Role::Viewer => "Looks at the hosts and what happens to them, and changes nothing.",
    }
}

/// Says how somebody signed in.
pub(crate) const fn sign_in_method(method: &SignInMethod) -> &'static str {
    match method {
        SignInMethod::Password => "password",
        SignInMethod::Oidc => "provider",
        SignInMethod::Invitation => "invitation",
    }
}

/// Says what a permission lets somebody do.
pub(crate) const fn permission(permission: &Permission) -> &'static str {
    match permission {
        Permission::OwnAccount => "See and manage the own account and its tokens",
        Permission::ManageTeams => "Make teams and their owners",
        Permission::SeeTeams => "See teams",
        Permission::SeeFleet => "See hosts, sites, claims, tickets and jobs",
        Permission::ManageSites => "Make sites and set how they admit machines",
        Permission::MintTokens => "Make and revoke one-time tokens",
        Permission::ManageSiteKeys => "Make, rotate and revoke site keys",
        Permission::ManageHosts => "Invite, move and retire hosts, and manage their keys",
        Permission::OperateHosts => "Tag, suspend and resume hosts",
        Permission::DecideClaims => "Decide claims",
        Permission::ManageSecrets => "Set secrets of hosts",
        Permission::RunJobs => "Run jobs",
        Permission::ReadAudit => "Read the audit trail",
        Permission::ManageAudit => "Verify the audit trail and set how long it is kept",
        Permission::ReadEvents => "Hear of events",
        Permission::ManageEndpoints => "Set who is told of events",
        Permission::SeePeople => "See the members of the team",
        Permission::ManagePeople => "Invite and remove members and set their roles",
        Permission::ManageInstallation => "Set the settings of the server and its sign-in providers",
    }
}

/// Says where the certificate of the machines' listener comes from.
pub(crate) const fn tls_kind(kind: &TlsKind) -> &'static str {
    match kind {
        TlsKind::Own => "made by this server",
        TlsKind::PinnedFiles => "from files, pinned by the agents",
        TlsKind::PublicFiles => "from files, publicly valid",
        TlsKind::Acme => "ordered from a certificate directory",
        TlsKind::Absent => "shown by something in front of this server",
    }
}

/// Says what that means for the agents.
pub(crate) const fn tls_kind_says(kind: &TlsKind) -> &'static str {
    match kind {
        TlsKind::Own => {
            "Agents know the fingerprint of its key and take no other. They are told of the next key in advance, so \
             that it can take the place of this one at any time."
        }
        TlsKind::PinnedFiles => {
            "Agents know the fingerprint of its key and take no other. To replace it, start the server with \
             --tls-announce and the next one, wait until every host knows it, then replace the files."
        }
        TlsKind::PublicFiles => {
            "Agents check it as a browser does. Replace the files before it ends; they are read again."
        }
        TlsKind::Acme => "Agents check it as a browser does. It is renewed by itself.",
        TlsKind::Absent => "Whoever runs that takes care of its certificate.",
    }
}

/// Says how long to wait.
pub(crate) fn wait(seconds: u64) -> String {
    match seconds {
        0..=90 => format!("{seconds} s"),
        _ => format!("{} min", seconds.div_ceil(60)),
    }
}

/// Names a browser by what it calls itself; what is not known is shown as it is.
pub(crate) fn browser(user_agent: &str) -> String {
    const BROWSERS: &[(&str, &str)] = &[
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ];
    const SYSTEMS: &[(&str, &str)] = &[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ];
    let find = |known: &[(&str, &'static str)]| {
        known.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name)
    };
    match (find(BROWSERS), find(SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        (None, _) if user_agent.trim().is_empty() => "unnamed browser".to_owned(),
        (None, _) => user_agent.to_owned(),
    }
}

/// Says what was refused about people and the installation; empty for what is not about them.
pub(super) fn refusal(code: &str) -> &'static str {
    match code {
        "name_taken" => "That name is taken already. Choose another one.",
        "login_taken" => "Somebody signs in with that login already. Choose another one.",
        "login_set" => "You have a login already, and it stays.",
        "own_role" => "Nobody sets their own role. Ask another owner or admin.",
        "last_admin" => {
            "This is the last admin: nobody could run the server any more. Make another admin first."
        }
        "last_owner" => "This is the last owner of the team. Make another owner first, or ask an admin.",
        "beyond_reach" => {
            "That is more than you may do yourself, so you cannot give it or take it from somebody else."
        }
        "person_removed" => "This person was removed from the team already.",
        "too_many_invitations" => {
            "The team has as many open invitations as may be. Revoke some that nobody needs."
        }
        "too_many_tokens" => "You have as many tokens as may be. Revoke some that you do not need any more.",
        "too_many_tokens_today" => "You made as many tokens within a day as may be. Come back tomorrow.",
        "too_many_providers" => "There are as many providers as may be. Remove one that nobody uses.",
        "wrong_password" => "The password was not right.",
        "wrong_code" => "The code was not right, or was used before. Wait for the next one.",
        "no_password" => "You have no password yet. Set one first.",
        "password_changed" => "The password was changed just now. Try again with the new one.",
        "signs_in_by_provider" => {
            "You sign in with a provider, which says who may. A password would outlive what it says."
        }
        "second_factor_set" => "You have a second factor already. Remove it first.",
        "no_second_factor" => "There is no second factor to do this with. Begin again.",
        "invitation_rejected" => {
            "This invitation is not good: it was used, revoked or lapsed, or not all of it was copied. Ask whoever \
             invited you for another one."
        }
        "wrong_setup_code" => {
            "That is not the setup code. The server prints it when it starts; a server that is started again may have \
             another one."
        }
        "already_configured" => "This server is set up already. Sign in, or ask an admin for an invitation.",
        "no_role" => "The provider knows you, but no group of yours has a role here. Ask an admin.",
        "oidc_failed" => "Signing in with the provider did not work. Try once more from the sign-in page.",
        "already_announced" => "The next key is announced already. Go on with the next step.",
        "not_announced" => "No next key was announced yet. Announce one first.",
        "not_finished" => "The former key still signs. Finish the last replacement first.",
        "not_switched" => "There is no former key any more: the last replacement is finished.",
        "hosts_not_informed" => {
            "Some hosts do not know the next key yet, and would be lost. Wait until they have connected, or leave them \
             behind on purpose."
        }
        _ => "",
    }
}

/// Says why a field about people or the installation does not hold; empty for codes of other fields.
pub(super) fn field_error(code: &str) -> &'static str {
    match code {
        "repeated" => {
            "This repeats a few characters over and over. Take words that nobody else would put together."
        }
        "sequence" => {
            "This is a row of the alphabet, of digits or of the keyboard. Take words that nobody would guess."
        }
        "well_known" => {
            "This is among the passwords that are tried first. Take words that nobody would guess."
        }
        "names_its_owner" => "This is little more than your login, your name or the name of the product.",
        "invisible_character" => "This holds invisible characters. Type it instead of copying it.",
        "surrounding_space" => "There is space before or after it.",
        "does_not_fit_team" | "does_not_fit" => "There is no such role in this team.",
        "outlives_its_maker" => "This would outlive the token it is made with.",
        "unknown" => "This does not exist.",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::words;

    #[test]
    fn browsers_are_named_and_what_is_not_known_is_shown() {
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0 Safari/537.36";
        assert_eq!(browser(chrome), "Chrome on Linux");
        let safari =
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile Safari/604.1";
        assert_eq!(browser(safari), "Safari on iPhone");
        assert_eq!([browser("curl/8.5"), browser(""), browser("odd")], ["curl", "unnamed browser", "odd"]);
    }

    #[test]
    fn every_code_of_a_password_has_words() {
        for code in
            ["too_short", "too_long", "repeated", "sequence", "well_known", "names_its_owner", "empty"]
        {
            let says = words::password_error(code);
            assert!(says.len() > 20 && !says.contains('_'), "{code}: {says}");
        }
        assert!(words::password_error("too_short").contains("15"));
    }

    #[test]
    fn who_tried_too_often_is_told_how_long_to_wait() {
        let says =
            |after| words::refusal(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "slow down", after);
        assert_eq!(says(Some(600)), "Too many failed attempts. Try again in 10 min.");
        assert_eq!(says(None), "Too many failed attempts. Wait a little, then try again.");
    }
}
