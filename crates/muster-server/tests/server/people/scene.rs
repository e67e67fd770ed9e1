//! People to begin with: all of them came by an invitation.

use serde_json::{Value, json};

use crate::world::{Answer, World};

pub(crate) const PASSWORD: &str = "gravel Tundra 41 lantern";

/// Somebody with an API token, and the team they act in.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) token: String,
    /// The cookie of the session they began with.
    pub(crate) cookie: String,
    /// Named in every request; none: their own.
    pub(crate) team: Option<String>,
}

impl Person {
    pub(crate) fn with(token: &str) -> Self {
        Self { id: String::new(), token: token.to_owned(), cookie: String::new(), team: None }
    }

    pub(crate) fn in_team(&self, team_id: &str) -> Self {
        Self { team: Some(team_id.to_owned()), ..self.clone() }
    }

    /// Asks with their token.
    pub(crate) async fn ask(&self, world: &World, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.ask_once(world, method, path, body, "").await
    }

    /// Asks with their token and an idempotency key.
    pub(crate) async fn ask_once(
        &self,
        world: &World,
        method: &str,
        path: &str,
        body: Option<Value>,
        key: &str,
    ) -> Answer {
        let mut headers = format!("authorization: Bearer {}\r\n", self.token);
        if let Some(team) = &self.team {
            headers.push_str(&format!("muster-team: {team}\r\n"));
        }
        if !key.is_empty() {
            headers.push_str(&format!("idempotency-key: {key}\r\n"));
        }
        world.ask(method, path, &headers, body).await
    }

    /// Asks with their token and expects success.
    #[track_caller]
    pub(crate) fn must<'a>(
        &'a self,
        world: &'a World,
        method: &'a str,
        path: &'a str,
        body: Option<Value>,
    ) -> impl Future<Output = Value> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let answer = self.ask(world, method, path, body).await;
            assert!(answer.status < 300, "{caller}: {method} {path}: {answer:?}");
            answer.body
        }
    }

    /// Asks with the cookie of their session, as their own page would.
    pub(crate) async fn browse(
        &self,
        world: &World,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let headers = format!("cookie: {}\r\nsec-fetch-site: same-origin\r\n", self.cookie);
        world.ask(method, path, &headers, body).await
    }

    /// Makes a token of theirs and returns them with it.
    pub(crate) async fn with_scopes(&self, world: &World, scopes: &[&str]) -> Self {
        let body = json!({ "name": "scoped", "scopes": scopes });
        let minted = self.must(world, "POST", "/v1/me/tokens", Some(body)).await;
        Self { token: minted["token"].as_str().unwrap().to_owned(), ..self.clone() }
    }
}

/// The admin of a world.
pub(crate) async fn admin(world: &World) -> Person {
    let me = world.must("GET", "/v1/me", None).await;
    Person { id: me["user_id"].as_str().unwrap().to_owned(), ..Person::with(&world.admin) }
}

/// Invites somebody and returns the bearer string of the invitation.
pub(crate) async fn invite(world: &World, by: &Person, name: &str, role: &str) -> String {
    let body = json!({ "name": name, "role": role });
    let minted = by.must(world, "POST", "/v1/invitations", Some(body)).await;
    minted["token"].as_str().unwrap().to_owned()
}

/// Accepts an invitation.
pub(crate) async fn accept(world: &World, invitation: &str, login: &str, key: &str) -> Answer {
    accept_with(world, invitation, login, PASSWORD, key).await
}

pub(crate) async fn accept_with(
    world: &World,
    invitation: &str,
    login: &str,
    password: &str,
    key: &str,
) -> Answer {
    let mut headers = format!("authorization: Bearer {invitation}\r\n");
    if !key.is_empty() {
        headers.push_str(&format!("idempotency-key: {key}\r\n"));
    }
    let body = json!({ "login": login, "password": password });
    world.ask("POST", "/v1/invitations/accept", &headers, Some(body)).await
}

/// The cookie an answer sets, as it is sent back.
pub(crate) fn cookie(answer: &Answer) -> String {
    let header = answer.header("set-cookie").unwrap_or_else(|| panic!("no cookie: {answer:?}"));
    header.split(';').next().unwrap().to_owned()
}

/// Makes somebody by invitation, with a token of their own.
pub(crate) async fn join(world: &World, by: &Person, name: &str, role: &str) -> Person {
    let invitation = invite(world, by, name, role).await;
    let login = name.to_lowercase();
    let accepted = accept(world, &invitation, &login, "").await;
    assert_eq!(accepted.status, 201, "{accepted:?}");
    let mut person = Person { id: accepted.text("user_id"), cookie: cookie(&accepted), ..Person::with("") };
    let minted = person.browse(world, "POST", "/v1/me/tokens", Some(json!({ "name": "first" }))).await;
    assert_eq!(minted.status, 201, "{minted:?}");
    person.token = minted.text("token");
    person
}

/// A team with its owner.
pub(crate) struct Team {
    pub(crate) id: String,
    pub(crate) owner: Person,
}

/// Makes a team whose owner is called like it.
pub(crate) async fn team(world: &World, name: &str) -> Team {
    let made = world.team(name).await;
    let owner = Person { id: made.owner_id.clone(), ..Person::with(&made.token) };
    Team { id: made.id.to_string(), owner }
}

/// Sets a role.
pub(crate) async fn set_role(world: &World, by: &Person, whom: &Person, role: &str) -> Answer {
    let path = format!("/v1/people/{}/role", whom.id);
    by.ask(world, "PUT", &path, Some(json!({ "role": role }))).await
}

/// Removes somebody.
pub(crate) async fn remove(world: &World, by: &Person, whom: &Person) -> Answer {
    by.ask(world, "POST", &format!("/v1/people/{}/remove", whom.id), None).await
}

/// Returns the items of a page.
pub(crate) fn items(page: &Value) -> Vec<Value> {
    page["items"].as_array().unwrap().clone()
}

/// Reads a list page by page of one item, and returns the ids.
pub(crate) async fn ids_of(world: &World, by: &Person, list: &str, order: &str) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("{list}?limit=1&order={order}{cursor}");
        let page = by.must(world, "GET", &path, None).await;
        ids.extend(items(&page).iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next_cursor"].as_str() else { return ids };
        cursor = format!("&cursor={next}");
    }
}

/// Everything a stranger can tell answers apart by, but the name of the request and the time.
pub(crate) fn seen(answer: &Answer) -> (u16, String, String) {
    let instance = answer.body["instance"].as_str().expect("a problem names its request");
    let request_id = instance.rsplit(':').next().unwrap_or_default();
    let is_date = |line: &&str| line.to_lowercase().starts_with("date:");
    let head: Vec<&str> = answer.head.lines().filter(|line| !is_date(line)).collect();
    let blank = |text: &str| text.replace(request_id, "-");
    (answer.status, blank(&head.join("\n")), blank(&answer.raw_body))
}

/// Returns the audit entries of an action in somebody's team, once they are sealed.
pub(crate) async fn audited(world: &World, by: &Person, action: &str) -> Vec<Value> {
    world.seal().await;
    items(&by.must(world, "GET", &format!("/v1/audit?limit=200&action={action}"), None).await)
}
