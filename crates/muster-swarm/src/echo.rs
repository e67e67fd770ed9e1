//! Clients of the WebSocket floors: the same socket and the same bytes as clients of the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use futures_util::{SinkExt, StreamExt};
use http::HeaderMap;
use muster_client::WebSocket;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use crate::client::{AT_A_TIME, heartbeat};
use crate::figures::per_second;
use crate::stage::Door;

const CONNECTING: usize = 128;
const HEARD_WITHIN: Duration = Duration::from_secs(60);

async fn open(door: &Door) -> anyhow::Result<WebSocket> {
    Ok(door.dialer.websocket(&door.channel, HeaderMap::new()).await?)
}

/// Sends heartbeats to the echo, as many at a time as clients of the server do, over so many sockets; returns how many a second.
pub(crate) async fn load(door: &Door, sockets: usize, lasts: Duration) -> anyhow::Result<f64> {
    let text = serde_json::to_string(&heartbeat())?;
    let mut opened = Vec::with_capacity(sockets);
    for _ in 0..sockets {
        opened.push(open(door).await?);
    }
    let began = Instant::now();
    let until = began + lasts;
    let mut lanes = JoinSet::new();
    for mut socket in opened {
        let text = text.clone();
        lanes.spawn(async move {
            let mut echoes = 0;
            while Instant::now() < until {
                for _ in 0..AT_A_TIME {
                    socket.feed(Message::text(text.clone())).await?;
                }
                socket.flush().await?;
                for _ in 0..AT_A_TIME {
                    let echo = socket.next().await.context("the echo closed")??;
                    ensure!(echo.is_text(), "the echo sent {echo:?}");
                }
                echoes += AT_A_TIME;
            }
            Ok(echoes)
        });
    }
    let mut echoes = 0;
    while let Some(lane) = lanes.join_next().await {
        echoes += lane??;
    }
    Ok(per_second(echoes, began.elapsed()))
}

/// Clients that count what a fan-out sends them.
pub(crate) struct Listeners {
    heard: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Listeners {
    /// Opens so many sockets.
    pub(crate) async fn open(door: &Door, clients: usize) -> anyhow::Result<Self> {
        let (heard, mut tasks, mut opening) = (Arc::new(AtomicUsize::new(0)), JoinSet::new(), JoinSet::new());
        let places = Arc::new(Semaphore::new(CONNECTING));
        for _ in 0..clients {
            let place = Arc::clone(&places).acquire_owned().await?;
            let door = door.clone();
            opening.spawn(async move {
                let socket = open(&door).await;
                drop(place);
                socket
            });
        }
        while let Some(socket) = opening.join_next().await {
            let (mut socket, heard) = (socket??, Arc::clone(&heard));
            tasks.spawn(async move {
                while let Some(Ok(message)) = socket.next().await {
                    heard.fetch_add(usize::from(message.is_text()), Ordering::Relaxed);
                }
            });
        }
        Ok(Self { heard, _tasks: tasks })
    }

    /// Waits until so many messages were heard in all.
    pub(crate) async fn heard(&self, count: usize) -> anyhow::Result<()> {
        let until = Instant::now() + HEARD_WITHIN;
        while self.heard.load(Ordering::Relaxed) < count {
            ensure!(Instant::now() < until, "{} of {count} were heard", self.heard.load(Ordering::Relaxed));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }
}
