//! What a browser asks of the dashboard, with the cookie of somebody who signed in. Each request has a connection of its
//! own, as the first one of a visit has it.

use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, COOKIE, SET_COOKIE};
use http::request::Builder;
use http::{HeaderMap, HeaderName, Request};
use muster_client::Download;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::scenario::Over;
use crate::stage::{Door, Stage};

const LOGIN: &str = "swarm";
const PASSWORD: &str = "seven green bottles";
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// A browser whose owner is signed in as the owner of the team.
pub(super) struct Browser {
    door: Door,
    cookie: String,
}

/// What came of a request that a browser made.
pub(super) struct Visit {
    /// From before the connection was opened to the first byte of the body.
    pub(super) first_byte: Duration,
    /// Head and body as they came, but for the line with the status and the framing.
    pub(super) bytes: usize,
}

impl Browser {
    /// Gives the owner of the team a login and a password, and signs in with them.
    pub(super) async fn sign_in(stage: &Stage) -> anyhow::Result<Self> {
        let _: Value = stage.owner.put("/v1/me/login", &json!({ "login": LOGIN })).await?;
        let _: Value = stage.owner.put("/v1/me/password", &json!({ "new": PASSWORD })).await?;
        let door = stage.door(Over::Plain)?;
        let form = json!({ "login": LOGIN, "password": PASSWORD }).to_string();
        let request = own_page(Request::post("/v1/sign-in")).header(CONTENT_TYPE, "application/json");
        let answer = door.dialer.request(request.body(form.into())?, &door.url).await?;
        let cookie = answer.headers.get(SET_COOKIE).context("nobody was signed in")?.to_str()?;
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        Ok(Self { door, cookie })
    }

    /// Asks for a page or a file, compressed as browsers want it, and reads it to its end.
    pub(super) async fn visit(&self, path: &str) -> anyhow::Result<Visit> {
        let began = Instant::now();
        let headers = [(ACCEPT, "text/html,*/*;q=0.8"), (ACCEPT_ENCODING, "gzip, deflate")];
        let mut answer = self.open(path, &headers).await?;
        let first = answer.next().await?.context("an answer without a body")?;
        let first_byte = began.elapsed();
        let mut bytes = head_len(&answer.headers) + first.len();
        while let Some(piece) = answer.next().await? {
            bytes += piece.len();
        }
        Ok(Visit { first_byte, bytes })
    }

    /// Reads a page as it is, not compressed.
    pub(super) async fn read(&self, path: &str, headers: &[(HeaderName, &str)]) -> anyhow::Result<String> {
        let mut answer = self.open(path, headers).await?;
        let mut page = Vec::new();
        while let Some(piece) = answer.next().await? {
            page.extend_from_slice(&piece);
        }
        Ok(String::from_utf8(page)?)
    }

    /// Asks for something that is read as it comes.
    pub(super) async fn open(&self, path: &str, headers: &[(HeaderName, &str)]) -> anyhow::Result<Download> {
        let request = own_page(Request::get(path)).header(COOKIE, &self.cookie);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, *value));
        match self.door.dialer.download(request.body(Bytes::new())?, &self.door.url).await? {
            Ok(answer) => Ok(answer),
            Err(refused) => {
                bail!("{path}: {} {}", refused.status, String::from_utf8_lossy(&refused.body))
            }
        }
    }
}

fn own_page(request: Builder) -> Builder {
    request.header(SEC_FETCH_SITE, "same-origin")
}

fn head_len(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum()
}
