//! A browser: keeps its cookie, and says that our own page sent it.

use serde_json::Value;

use crate::world::{Answer, World};

/// What browsers send along when one of our own pages asks.
pub(crate) const OWN_PAGE: &str = "sec-fetch-site: same-origin\r\nuser-agent: Lynx/2.9\r\n";

#[derive(Debug, Clone, Default)]
pub(crate) struct Browser {
    /// `name=value`, if it has one.
    pub(crate) cookie: Option<String>,
}

impl Browser {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Asks as one of our own pages.
    pub(crate) async fn ask(
        &mut self,
        world: &World,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let cookie = self.cookie.as_ref().map(|cookie| format!("cookie: {cookie}\r\n")).unwrap_or_default();
        let answer = world.ask(method, path, &format!("{OWN_PAGE}{cookie}"), body).await;
        if let Some(set) = answer.header("set-cookie") {
            let pair = set.split(';').next().unwrap();
            self.cookie = (!pair.ends_with('=')).then(|| pair.to_owned());
        }
        answer
    }

    pub(crate) async fn sign_in(&mut self, world: &World, body: Value) -> Answer {
        self.ask(world, "POST", "/v1/sign-in", Some(body)).await
    }

    pub(crate) async fn me(&mut self, world: &World) -> Answer {
        self.ask(world, "GET", "/v1/me", None).await
    }

    /// Whether it is signed in.
    pub(crate) async fn is_in(&mut self, world: &World) -> bool {
        let answer = self.me(world).await;
        assert!(matches!(answer.status, 200 | 401), "{answer:?}");
        answer.status == 200
    }

    /// The bearer string in its cookie.
    pub(crate) fn bearer(&self) -> &str {
        self.cookie.as_ref().unwrap().split_once('=').unwrap().1
    }
}
