//! Streams that people have open on this node: server-sent events, and whatever else outlives its request.
//!
//! Whoever loses a right to act loses their streams before the reply says so. To add a kind of stream, register it
//! here, end when [`Stream::cut`] is cancelled, and drop the [`Stream`] last.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use muster_ids::UserId;
use tokio_util::sync::CancellationToken;

use crate::auth::Credential;
use crate::effects::Ended;

/// Streams one person may have open.
const PER_PERSON: usize = 32;
/// Streams of everybody.
const ALTOGETHER: usize = 4096;
/// How long a stream may take to close.
const END_WITHIN: Duration = Duration::from_secs(2);

#[derive(Debug, Clone)]
struct Opened {
    user_id: UserId,
    credential: Credential,
    cut: CancellationToken,
    closed: CancellationToken,
}

impl Opened {
    fn is_of(&self, ended: Ended) -> bool {
        match ended {
            Ended::Person(user_id) => self.user_id == user_id,
            Ended::Token(id) => self.credential == Credential::Token(id),
            Ended::WebSession(id) => self.credential == Credential::WebSession(id),
            Ended::Invitation(_) | Ended::Key(_) | Ended::Host(_) | Ended::Ticket(_) | Ended::Endpoint(_) => {
                false
            }
        }
    }
}

#[derive(Debug, Default)]
struct Registry {
    last: u64,
    is_closed: bool,
    opened: HashMap<u64, Opened>,
}

/// The open streams of this node. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Streams(Arc<Mutex<Registry>>);

/// The place of an open stream; dropping it says that the stream is closed.
#[derive(Debug)]
pub struct Stream {
    streams: Streams,
    number: u64,
    cut: CancellationToken,
    closed: CancellationToken,
}

impl Stream {
    /// Cancelled when the stream must end.
    pub fn cut(&self) -> &CancellationToken {
        &self.cut
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.streams.lock().opened.remove(&self.number);
        self.closed.cancel();
    }
}

impl Streams {
    /// Registers a stream. `None`: this person, or everybody together, has as many as may be.
    pub fn open(&self, user_id: UserId, credential: Credential) -> Option<Stream> {
        let mut registry = self.lock();
        let own = registry.opened.values().filter(|opened| opened.user_id == user_id).count();
        if registry.is_closed || own >= PER_PERSON || registry.opened.len() >= ALTOGETHER {
            return None;
        }
        registry.last += 1;
        let number = registry.last;
        let (cut, closed) = (CancellationToken::new(), CancellationToken::new());
        let opened = Opened { user_id, credential, cut: cut.clone(), closed: closed.clone() };
        registry.opened.insert(number, opened);
        Some(Stream { streams: self.clone(), number, cut, closed })
    }

    /// Cuts the streams of those whose right ended, and returns when they are closed.
    pub async fn end(&self, ended: &[Ended]) {
        if ended.is_empty() {
            return;
        }
        let found: Vec<Opened> = {
            let registry = self.lock();
            let is_of = |opened: &&Opened| ended.iter().any(|ended| opened.is_of(*ended));
            registry.opened.values().filter(is_of).cloned().collect()
        };
        join_all(found.into_iter().map(|opened| async move {
            opened.cut.cancel();
            if tokio::time::timeout(END_WITHIN, opened.closed.cancelled()).await.is_err() {
                tracing::error!(user.id = %opened.user_id, "a stream that was cut did not close in time");
            }
        }))
        .await;
    }

    /// Cuts every stream; their readers come back.
    pub fn cut_all(&self) {
        self.lock().opened.values().for_each(|opened| opened.cut.cancel());
    }

    /// Cuts every stream, for a restart; none is opened any more.
    pub fn end_all(&self) {
        self.lock().is_closed = true;
        self.cut_all();
    }

    /// How many streams are open here.
    pub fn len(&self) -> usize {
        self.lock().opened.len()
    }

    /// Whether no stream is open here.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
