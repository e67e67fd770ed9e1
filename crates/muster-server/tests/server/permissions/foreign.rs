//! What belongs to another team is as absent as what is not there: byte for byte, in path, query and body (B17).

use serde_json::Value;

use crate::permissions::bodies::{Filling, body, names_things};
use crate::permissions::cast::{Caller, Cast};
use crate::permissions::routes::{Route, routes};
use crate::permissions::things::{Ids, Things};
use crate::world::{Answer, World, both};

/// Returns everything of an answer that an attacker could compare.
fn comparable(answer: &Answer) -> String {
    let mut body = answer.body.clone();
    if let Some(fields) = body.as_object_mut() {
        fields.remove("instance");
    }
    let is_own = |line: &&str| {
        let line = line.to_ascii_lowercase();
        !line.starts_with("x-request-id:") && !line.starts_with("date:") && !line.starts_with("set-cookie:")
    };
    let head: Vec<&str> = answer.head.lines().filter(is_own).collect();
    let body = if body == Value::Null { answer.raw_body.clone() } else { body.to_string() };
    format!("{}\n\n{body}", head.join("\n"))
}

async fn as_foreigner(world: &World, cast: &Cast, route: &Route, ids: &Ids, query: &str) -> Answer {
    let path = format!("{}{query}", ids.path(route));
    cast.ask(world, Caller::Foreign, &route.method, &path, body(route, ids, Filling::Sensible)).await
}

/// Asks for a thing of another team and for one that is not there.
async fn compare(world: &World, cast: &Cast, things: &Things, route: &Route, query: impl Fn(&Ids) -> String) {
    let foreign = as_foreigner(world, cast, route, &things.present, &query(&things.present)).await;
    let absent = as_foreigner(world, cast, route, &things.absent, &query(&things.absent)).await;
    assert_eq!(comparable(&foreign), comparable(&absent), "{}", route.name());
    assert!(foreign.status < 500, "{}: {foreign:?}", route.name());
}

both! {
    async fn b17_a_foreign_id_is_an_absent_one(world) {
        let cast = Cast::assemble(&world).await;
        let things = Things::make(&world, &cast).await;
        let before = things.seen(&world, &cast).await;
        for route in routes().iter().filter(|route| is_of_people(route) && !names_ones_own(route)) {
            let names_things = !route.parameters.is_empty() || names_things(route);
            if names_things {
                compare(&world, &cast, &things, route, |_| String::new()).await;
            }
            for name in &route.id_queries {
                compare(&world, &cast, &things, route, |ids| format!("?{name}={}", ids.of(route, name))).await;
            }
        }
        assert_eq!(things.seen(&world, &cast).await, before, "a stranger changed something");
    }

    async fn b17_a_foreign_team_in_the_header_is_an_absent_one(world) {
        let cast = Cast::assemble(&world).await;
        let things = Things::make(&world, &cast).await;
        for route in routes().iter().filter(|route| is_of_people(route)) {
            let ask = async |team: &str| {
                let headers = format!("{}muster-team: {team}\r\n", cast.headers(Caller::Foreign));
                let body = body(route, &things.present, Filling::Sensible);
                world.ask(&route.method, &things.present.path(route), &headers, body).await
            };
            let foreign = ask(&cast.team).await;
            let absent = ask(&things.absent.of(route, "team_id")).await;
            assert_eq!(comparable(&foreign), comparable(&absent), "{}", route.name());
            assert!(matches!(foreign.status, 403 | 404), "{}: {foreign:?}", route.name());
        }
    }
}

/// Whether whoever asks chooses the name, which is nobody's else.
fn names_ones_own(route: &Route) -> bool {
    route.path.starts_with("/v1/me/views/")
}

/// Whether people ask it, with a credential of theirs.
pub(crate) fn is_of_people(route: &Route) -> bool {
    !matches!(route.permission.as_deref(), None | Some("agent" | "ticket" | "invitation"))
}
