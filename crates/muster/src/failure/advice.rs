//! What to do about a refusal of the API, by its code. To add one, add a line.

use muster_wire::problem::ProblemBody;

use crate::output::visible;

/// Says what to do next.
pub(super) fn next_step(problem: &ProblemBody, request_id: &str, retry_after_secs: Option<u64>) -> String {
    let of_field = problem.errors.iter().find_map(|error| of_field(&error.pointer, &error.code));
    if let Some(next_step) = of_field.or_else(|| of_code(&problem.code)) {
        return next_step.to_owned();
    }
    match (problem.status, retry_after_secs) {
        (409, _) => "look at its current state with `list` or `show`, then decide again".to_owned(),
        (410, _) => "this cannot be done any more".to_owned(),
        (429 | 503, Some(seconds)) => format!("try again in {seconds} s"),
        (429 | 503, None) => "try again later".to_owned(),
        (500.., _) => {
            format!("look for {} in the server's log, and quote it in a report", visible(request_id))
        }
        _ => "run the command with --help to see what it needs".to_owned(),
    }
}

fn of_field(pointer: &str, code: &str) -> Option<&'static str> {
    Some(match code {
        "unknown_secret" => "give the host its secret first: muster secret set HOST repo --file FILE",
        "does_not_fit_team" => "admin is a role of the platform's team, owner one of any other",
        "outlives_its_maker" => "choose a shorter --expires-in, or make it with a token that lives longer",
        "address_not_allowed" => {
            "name a public address; the server's owner allows others with: muster serve --allow-outbound CIDR"
        }
        "too_short" if is_password(pointer) => "choose a password of at least 15 characters",
        "repeated" | "sequence" | "well_known" | "names_its_owner" if is_password(pointer) => {
            "choose a password nobody can guess: a few words that do not belong together"
        }
        _ => return None,
    })
}

fn is_password(pointer: &str) -> bool {
    matches!(pointer, "/new" | "/password")
}

fn of_code(code: &str) -> Option<&'static str> {
    of_sign_in(code).or_else(|| of_people(code)).or_else(|| of_machines(code)).or_else(|| of_request(code))
}

fn of_sign_in(code: &str) -> Option<&'static str> {
    Some(match code {
        "unauthorized" => "run `muster login` with a valid token, or ask an admin for one",
        "second_factor_required" => "sign in with a code: muster login --password asks for one",
        "limited_token" => "use your first token, or sign in: muster login --password",
        "wrong_password" => "type the password of your account again",
        "wrong_code" => "wait for the next code, or use a recovery code",
        "no_password" => "set one first: muster account set-password",
        "second_factor_set" => "remove the old one first: muster account second-factor remove",
        "no_second_factor" => "set one up: muster account second-factor add",
        "login_taken" => "choose another login",
        "already_configured" => "ask an admin for a token and run `muster login`",
        "wrong_setup_code" => {
            "copy the code that `muster serve` printed, or give its file: muster setup --code-file DATA_DIR/setup-code"
        }
        "login_set" => "`muster account show` names it",
        "password_changed" => "sign in with the new password",
        _ => return None,
    })
}

fn of_people(code: &str) -> Option<&'static str> {
    Some(match code {
        "forbidden" => "`muster whoami` shows your role; ask an admin of this server to do it",
        "invalid_team" => "`muster team list` shows the teams you can act in",
        "beyond_reach" => "`muster whoami` shows what you, and your token, may",
        "own_role" => "ask another admin or owner to do it",
        "last_admin" => "invite another admin first: muster people invite NAME --role admin",
        "last_owner" => "make another owner first: muster people invite NAME --role owner",
        "person_removed" => "invite them anew: muster people invite NAME --role ROLE",
        "too_many_tokens" => "revoke one you do not use: `muster token list`, `muster token revoke`",
        "too_many_invitations" => "revoke one: `muster invitation list`, `muster invitation revoke`",
        "too_many_endpoints" => "remove one: `muster notify list`, `muster notify remove`",
        _ => return None,
    })
}

fn of_machines(code: &str) -> Option<&'static str> {
    Some(match code {
        "claim_stale" => "the evidence changed meanwhile: run `muster claim show`, then decide again",
        "preview_stale" => {
            "what would be destroyed changed meanwhile: run the command again and read the preview"
        }
        "already_rotated" => "`muster ticket show` names the key that took its place",
        "ticket_revoked" => "mint a new one: muster ticket mint-site-key SITE",
        "claim_not_waiting" => "it was decided or has lapsed: `muster claim show` says how",
        "claim_not_rejected" => "`muster claim show` says how it stands",
        "ticket_unusable" => "reject the claim; the machine needs a new ticket",
        "host_not_active" | "not_possible" => "`muster host show` says how the host stands",
        "host_not_invited" => "to give it a new key: muster host registration-token HOST --rejoin",
        "host_retired" => {
            "a retired host is gone for good; admit the machine again with: muster ticket mint-token"
        }
        "too_many_jobs" => "wait for jobs to end: `muster job list`",
        "verdict_not_possible" => "`muster claim show` lists what may be decided",
        "too_many_claims" => "decide waiting claims first: `muster claim list`",
        "host_suspended" => "resume it first: `muster host resume`",
        "key_in_use" => "`muster host list` shows the host that holds this key",
        "already_there" => "`muster host show` names its site",
        "host_has_key_pair" => "to give it a new key: muster host registration-token HOST --rejoin",
        "too_many_keys" => "`muster host keys list` shows them; revoke one with `muster host keys revoke`",
        _ => return None,
    })
}

fn of_request(code: &str) -> Option<&'static str> {
    Some(match code {
        "not_found" => "check the id with `list`; something of another team needs --team",
        "validation" | "bad_request" | "invalid_query" => {
            "correct what is named above; --help shows what each option takes"
        }
        "invalid_cursor" => "run the command again from the beginning",
        "name_taken" => "choose another name, or use the one that exists",
        "body_too_large" => "send less at once",
        "idempotency_key_reused" => {
            "what the list names changed since it was first run: look at what was made, then change the list"
        }
        _ => return None,
    })
}
