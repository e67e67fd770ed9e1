//! The callers: one of every kind, each with a credential of their own.

use muster_store::{Priority, params};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{Answer, Machine, World, ask};

/// Somebody, or something, that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    Nobody,
    Expired,
    Revoked,
    Agent,
    Foreign,
    Viewer,
    Operator,
    Owner,
    /// An owner's token with the one scope `see_fleet`.
    Scoped,
    /// An owner in a browser that is signed in.
    SignedIn,
    Admin,
}

impl Caller {
    /// In the order of the table.
    pub(crate) const ALL: [Self; 11] = [
        Self::Nobody,
        Self::Expired,
        Self::Revoked,
        Self::Agent,
        Self::Foreign,
        Self::Viewer,
        Self::Operator,
        Self::Owner,
        Self::Scoped,
        Self::SignedIn,
        Self::Admin,
    ];

    pub(crate) fn heading(self) -> &'static str {
        match self {
            Self::Nobody => "none",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Agent => "agent",
            Self::Foreign => "foreign owner",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Owner => "owner",
            Self::Scoped => "owner's token, scope `see_fleet`",
            Self::SignedIn => "owner, signed in",
            Self::Admin => "admin",
        }
    }
}

/// Everybody's credentials. `team` is the team everything of `Things` belongs to.
pub(crate) struct Cast {
    pub(crate) team: String,
    admin: String,
    owner: String,
    operator: String,
    viewer: String,
    foreign: String,
    expired: String,
    revoked: String,
    /// The agent key of a host of the team.
    agent: String,
    scoped: String,
    /// The cookie of an owner's session.
    cookie: String,
}

impl Cast {
    pub(crate) async fn assemble(world: &World) -> Self {
        let (team, owner) = team(world, "workshop").await;
        let (_, foreign) = team_of_another(world).await;
        let operator = person(world, &team, "operator").await;
        let viewer = person(world, &team, "viewer").await;
        let expired = person(world, &team, "owner").await;
        change(world, "UPDATE operator_token SET expires_at = 1 WHERE id = $1", &expired).await;
        let revoked = person(world, &team, "owner").await;
        change(world, "UPDATE operator_token SET revoked_at = 1 WHERE id = $1", &revoked).await;
        let agent = agent(world, &owner).await;
        let scoped = scoped(world, &owner).await;
        let cookie = signed_in(world, &owner).await;
        let admin = world.admin.clone();
        Self { team, admin, owner, operator, viewer, foreign, expired, revoked, agent, scoped, cookie }
    }

    /// Returns the header lines of a caller. The admin acts in the team of the things.
    pub(crate) fn headers(&self, caller: Caller) -> String {
        let token = match caller {
            Caller::Nobody => return String::new(),
            Caller::Expired => &self.expired,
            Caller::Revoked => &self.revoked,
            Caller::Agent => &self.agent,
            Caller::Foreign => &self.foreign,
            Caller::Viewer => &self.viewer,
            Caller::Operator => &self.operator,
            Caller::Owner => &self.owner,
            Caller::Scoped => &self.scoped,
            Caller::SignedIn => {
                return format!("cookie: {}\r\norigin: http://localhost\r\n", self.cookie);
            }
            Caller::Admin => {
                return format!("authorization: Bearer {}\r\nmuster-team: {}\r\n", self.admin, self.team);
            }
        };
        format!("authorization: Bearer {token}\r\n")
    }

    pub(crate) async fn ask(
        &self,
        world: &World,
        caller: Caller,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let headers = self.headers(caller);
        if path.split('?').next().is_some_and(|path| path.ends_with("/stream")) {
            let begun = begin(world, path, &headers).await;
            if begun.status == 200 {
                return begun;
            }
        }
        world.ask(method, path, &headers, body).await
    }
}

/// Returns the head of a reply that does not end.
async fn begin(world: &World, path: &str, headers: &str) -> Answer {
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    while !bytes.windows(4).any(|four| four == b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "the reply has a head");
    }
    let text = String::from_utf8(bytes).unwrap();
    let head = text.split("\r\n\r\n").next().unwrap_or_default().to_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, head, body: Value::Null, raw_body: String::new() }
}

async fn team(world: &World, name: &str) -> (String, String) {
    let team = world.must("POST", "/v1/teams", Some(json!({ "name": name }))).await;
    let team = team["id"].as_str().unwrap().to_owned();
    let owner = world.must("POST", &format!("/v1/teams/{team}/owners"), Some(json!({ "name": "Oda" }))).await;
    (team, owner["token"].as_str().unwrap().to_owned())
}

async fn team_of_another(world: &World) -> (String, String) {
    team(world, "elsewhere").await
}

/// Makes a person of a role with a token that may whatever the role may.
async fn person(world: &World, team: &str, role: &'static str) -> String {
    let name = format!("{role} {}", world.app.entropy.public_id());
    let made = world.must("POST", &format!("/v1/teams/{team}/owners"), Some(json!({ "name": name }))).await;
    let user_id: muster_ids::UserId = made["user_id"].as_str().unwrap().parse().unwrap();
    let changed = world.app.store.write(Priority::Urgent, move |tx| {
        tx.execute("UPDATE person SET role = $1 WHERE id = $2", params![role, user_id])
    });
    assert_eq!(changed.await.unwrap(), 1);
    made["token"].as_str().unwrap().to_owned()
}

async fn scoped(world: &World, owner: &str) -> String {
    let headers = format!("authorization: Bearer {owner}\r\n");
    let wanted = json!({ "name": "dashboard on the wall", "scopes": ["see_fleet"] });
    world.ask("POST", "/v1/me/tokens", &headers, Some(wanted)).await.text("token")
}

/// Invites an owner, who accepts and is signed in by it.
async fn signed_in(world: &World, owner: &str) -> String {
    let headers = format!("authorization: Bearer {owner}\r\n");
    let wanted = json!({ "name": "Olga", "role": "owner" });
    let invited = world.ask("POST", "/v1/invitations", &headers, Some(wanted)).await;
    let headers = format!("authorization: Bearer {}\r\n", invited.text("token"));
    let wanted = json!({ "login": "olga", "password": "seventeen wooden chairs" });
    let accepted = world.ask("POST", "/v1/invitations/accept", &headers, Some(wanted)).await;
    let cookie = accepted.header("set-cookie").unwrap_or_else(|| panic!("{accepted:?}"));
    cookie.split(';').next().unwrap().to_owned()
}

async fn change(world: &World, sql: &'static str, token: &str) {
    let id: muster_ids::TokenId = token.split('_').nth(1).unwrap().parse().unwrap();
    let changed =
        world.app.store.write(Priority::Urgent, move |tx| tx.execute(sql, params![id])).await.unwrap();
    assert_eq!(changed, 1);
}

/// Joins a machine without a key pair and returns its bearer string.
async fn agent(world: &World, owner: &str) -> String {
    let headers = format!("authorization: Bearer {owner}\r\n");
    let minted = world.ask("POST", "/v1/enrolment-tokens", &headers, Some(json!({}))).await;
    let ticket = minted.text("token");
    let secret: [u8; 32] = muster_edge::Entropy.bytes();
    let mut request = Machine::new("bearer-machine").request();
    request["agent_secret"] = json!(data_encoding::BASE64URL_NOPAD.encode(&secret));
    let headers = format!("authorization: Bearer {ticket}\r\n");
    let joined = ask(world.address, "POST", "/v1/enroll", &headers, Some(request.to_string())).await;
    assert_eq!(joined.status, 201, "{joined:?}");
    world.app.keyring.agent_key(&secret).expose().expose_secret().to_owned()
}
