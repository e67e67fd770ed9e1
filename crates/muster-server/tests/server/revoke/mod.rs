//! Revocation that bites: what is open is cut before the reply, what is cached is gone, every node follows the log, and
//! nobody goes on who cannot see it.

mod cache;
mod cuts;
mod log;
mod sight;
mod unfollowed;

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{Team, World};

/// What is promised at the latest (SECURITY.md, B20).
const PROMISED: Duration = Duration::from_secs(2);

/// A stream of events that somebody has open.
struct Watching(TcpStream);

impl Watching {
    /// Opens it and waits until it is told of.
    async fn open(world: &World, token: &str) -> Self {
        let before = world.app.streams.len();
        let stream = Self::begin(world, token).await;
        crate::world::until("the stream is open", async || world.app.streams.len() > before).await;
        stream
    }

    async fn begin(world: &World, token: &str) -> Self {
        let head = format!(
            "GET /v1/events/stream HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\r\n"
        );
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        Self(stream)
    }

    /// Whether the server has ended it.
    async fn has_ended(mut self) -> bool {
        let mut bytes = Vec::new();
        tokio::time::timeout(PROMISED, self.0.read_to_end(&mut bytes))
            .await
            .is_ok_and(|_| bytes.ends_with(b"0\r\n\r\n"))
    }
}

/// Returns subject and reason of the rows of the log after `after`, and the number of the last one.
async fn logged(world: &World, after: i64) -> (Vec<(String, String)>, i64) {
    let rows = world.app.look(move |tx| tx.revocations_after(after, 1000)).await.unwrap();
    let last = rows.last().map_or(after, |row| row.seq);
    (rows.into_iter().map(|row| (row.subject, row.reason)).collect(), last)
}

/// Asks as the admin in another team, and expects success.
async fn must_in(world: &World, team: &Team, method: &str, path: &str, body: Option<Value>) -> Value {
    let headers = format!("authorization: Bearer {}\r\nmuster-team: {}\r\n", world.admin, team.id);
    let answer = world.ask(method, path, &headers, body).await;
    assert!(answer.status < 300, "{method} {path}: {answer:?}");
    answer.body
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("no {field}: {value}")).to_owned()
}
