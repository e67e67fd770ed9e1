//! Every route as every caller: the permission table decides, and nothing else.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use muster_domain::permission::may;
use muster_wire::people::Role;
use muster_wire::permission::Permission;

use crate::permissions::bodies::{Filling, body, names_things};
use crate::permissions::cast::{Caller, Cast};
use crate::permissions::foreign::is_of_people;
use crate::permissions::routes::{Route, routes};
use crate::permissions::things::Things;
use crate::world::{World, both};

/// Routes whose effect would end the caller's own credential.
const NOT_TRIED_AS_ALLOWED: &[&str] = &["POST /v1/sign-out", "POST /v1/me/sessions/end-others"];

fn table() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/permissions.md")
}

/// Returns the word of a cell. What changes something is asked of things that are not there, so that nothing happens:
/// who is let through learns that they are absent, who is not learns nothing.
async fn cell(world: &World, cast: &Cast, things: &Things, route: &Route, caller: Caller) -> String {
    let of_people = is_of_people(route);
    let is_let_in = of_people && may_be_let_in(caller);
    if is_let_in && expected(route, caller) == "yes" && NOT_TRIED_AS_ALLOWED.contains(&route.name().as_str())
    {
        return "yes".to_owned();
    }
    let is_harmless = !route.changes_state() || (of_people && caller == Caller::Foreign);
    let ids = if is_harmless { &things.present } else { &things.absent };
    let filling = if is_let_in { Filling::Senseless } else { Filling::Sensible };
    let path = ids.path(route);
    let answer = cast.ask(world, caller, &route.method, &path, body(route, ids, filling)).await;
    let code = answer.body["code"].as_str().unwrap_or_default();
    match answer.status {
        0 | 500..=502 => panic!("{} as {caller:?}: {answer:?}", route.name()),
        // Any other refusal is the handler's own: whoever reads it was let through.
        401 | 403 if !of_people || matches!(code, "unauthorized" | "forbidden") => answer.status.to_string(),
        _ if !of_people => "yes".to_owned(),
        404 if caller == Caller::Foreign => "404".to_owned(),
        404 if !route.changes_state() && is_let_in => panic!("{} as {caller:?}: {answer:?}", route.name()),
        _ if caller == Caller::Foreign => "own".to_owned(),
        _ => "yes".to_owned(),
    }
}

fn may_be_let_in(caller: Caller) -> bool {
    !matches!(caller, Caller::Nobody | Caller::Expired | Caller::Revoked | Caller::Agent | Caller::Foreign)
}

/// Returns what the permission table says of a cell.
fn expected(route: &Route, caller: Caller) -> &'static str {
    let permission = match route.permission.as_deref() {
        // Public routes, and those of machines, judge what is shown to them themselves.
        None | Some("ticket" | "invitation") => return "",
        Some("agent") => return if caller == Caller::Agent { "" } else { "401" },
        Some(word) => Permission::ALL.iter().copied().find(|permission| permission.as_str() == word),
    };
    let permission = permission.unwrap_or_else(|| panic!("{}: no such permission", route.name()));
    let of = |role| if may(role, permission) { "yes" } else { "403" };
    match caller {
        Caller::Nobody | Caller::Expired | Caller::Revoked | Caller::Agent => "401",
        Caller::Viewer => of(Role::Viewer),
        Caller::Operator => of(Role::Operator),
        Caller::Owner | Caller::SignedIn => of(Role::Owner),
        Caller::Scoped if permission == Permission::SeeFleet => "yes",
        Caller::Scoped => "403",
        Caller::Admin => of(Role::Admin),
        Caller::Foreign if !may(Role::Owner, permission) => "403",
        Caller::Foreign if !route.parameters.is_empty() || names_things(route) => "404",
        Caller::Foreign => "own",
    }
}

async fn row(world: &World, cast: &Cast, things: &Things, route: &Route) -> String {
    let permission = route.permission.as_deref().unwrap_or("public");
    let mut row = format!("| `{}` | {permission} |", route.name());
    for caller in Caller::ALL {
        let word = cell(world, cast, things, route, caller).await;
        let expected = expected(route, caller);
        let is_own_account = permission == "own_account" && caller == Caller::Foreign;
        assert!(
            expected.is_empty() || word == expected || (is_own_account && word == "own"),
            "{} as {caller:?}: {word}, the permission table says {expected}",
            route.name()
        );
        write!(row, " {word} |").unwrap();
    }
    row
}

async fn matrix(world: &World) -> String {
    let cast = Cast::assemble(world).await;
    let things = Things::make(world, &cast).await;
    let mut text = String::from(HEAD);
    let headings: Vec<&str> = Caller::ALL.iter().map(|caller| caller.heading()).collect();
    writeln!(text, "| route | permission | {} |", headings.join(" | ")).unwrap();
    writeln!(text, "|---|---|{}", "---|".repeat(Caller::ALL.len())).unwrap();
    for route in routes() {
        if route.path == "/v1/agent/connect" {
            // An upgrade: judged by the tests of the channel.
            continue;
        }
        writeln!(text, "{}", row(world, &cast, &things, &route).await).unwrap();
    }
    text
}

const HEAD: &str = "# Who may do what\n\n\
Written by the tests from the answers of the server (`make permissions`), every route as every kind of caller.\n\
`yes`: let through; `401`: the credential does not hold here; `403`: the role does not hold the permission; `404`: the\n\
thing belongs to another team and is as absent as one that is not there; `own`: acts in the caller's own team.\n\n\
Routes of `public`, `ticket` and `agent` judge what is in the request itself: a password, an invitation, a ticket, a\n\
proof by a host's key. The callers of this table show none of them there.\n\n";

both! {
    async fn every_route_lets_through(world) {
        let text = matrix(&world).await;
        if std::env::var_os("MUSTER_WRITE_PERMISSIONS").is_some() {
            fs::write(table(), &text).unwrap();
        }
        let stored = fs::read_to_string(table()).unwrap_or_default();
        assert!(stored == text, "docs/permissions.md differs: run `make permissions` and look at the difference\n{text}");
    }
}
