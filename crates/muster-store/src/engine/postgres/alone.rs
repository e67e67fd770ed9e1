//! One server at a time: a lock that a connection of its own holds for as long as it lives.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, Error};

use super::line::Line;
use super::session::classify;
use crate::{LockKey, StoreError};

const SERVER: LockKey = LockKey::Named("server");
const TRY_EVERY: Duration = Duration::from_millis(200);
const LOOK_EVERY: Duration = Duration::from_secs(10);
const TAKE_BACK_EVERY: Duration = Duration::from_secs(1);
const REPLY_WITHIN: Duration = Duration::from_secs(5);

/// The lock belongs to a transaction that stays open, so that a pooler in transaction mode keeps the connection for it;
/// it reads nothing and so holds back no cleaning. The server must not end it for its age, and must notice within half
/// a minute when the machine at the other end is gone.
const STAY: &str = "BEGIN ISOLATION LEVEL READ COMMITTED, READ ONLY; \
     SELECT set_config(name, '0', true) FROM pg_settings \
      WHERE name IN ('transaction_timeout', 'idle_in_transaction_session_timeout', 'statement_timeout'); \
     SET LOCAL tcp_keepalives_idle = 10; SET LOCAL tcp_keepalives_interval = 5; SET LOCAL tcp_keepalives_count = 3";

/// Holds the database until it is dropped.
pub(super) struct Alone(JoinHandle<()>);

impl Alone {
    /// Takes the lock. Waits about `patience` for another session to let go of it: that of a killed server may linger.
    pub(super) async fn take(line: Arc<Line>, patience: Duration) -> Result<Self, StoreError> {
        let mut waited = Duration::ZERO;
        let hold = loop {
            match Hold::attempt(&line).await? {
                Some(hold) => break hold,
                None if waited >= patience => return Err(StoreError::Occupied),
                None => sleep(TRY_EVERY).await,
            }
            waited += TRY_EVERY;
        };
        Ok(Self(tokio::spawn(keep(line, hold))))
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// One connection that has the lock.
struct Hold {
    client: Client,
    ended: JoinHandle<Result<(), Error>>,
}

impl Hold {
    /// Makes a connection and takes the lock. `None`: another session has it.
    async fn attempt(line: &Line) -> Result<Option<Self>, StoreError> {
        let (client, ended) = line.connect().await?;
        let hold = Self { client, ended };
        let asked = timeout(REPLY_WITHIN, hold.ask()).await;
        let has_it = asked.map_err(|elapsed| StoreError::Unreachable { source: Arc::new(elapsed) })?;
        Ok(has_it.map_err(|error| classify("take the database", error))?.then_some(hold))
    }

    async fn ask(&self) -> Result<bool, Error> {
        self.client.batch_execute(STAY).await?;
        let row = self.client.query_one("SELECT pg_try_advisory_xact_lock($1)", &[&SERVER.hash64()]).await?;
        row.try_get(0)
    }

    /// Waits until the connection is lost; a connection that answers nothing is.
    async fn lost(&mut self) {
        loop {
            tokio::select! {
                _ = &mut self.ended => return,
                () = sleep(LOOK_EVERY) => {}
            }
            match timeout(REPLY_WITHIN, self.client.batch_execute("SELECT 1")).await {
                Ok(Ok(())) => {}
                _ => return self.ended.abort(),
            }
        }
    }
}

async fn keep(line: Arc<Line>, mut hold: Hold) {
    loop {
        hold.lost().await;
        tracing::error!(
            "the connection that keeps other servers out of the database was lost, making it again"
        );
        drop(hold);
        hold = take_back(&line).await;
        tracing::warn!("other servers are kept out of the database again");
    }
}

async fn take_back(line: &Line) -> Hold {
    let mut said_occupied = false;
    loop {
        match Hold::attempt(line).await {
            Ok(Some(hold)) => return hold,
            Ok(None) if !said_occupied => {
                tracing::error!(
                    "another server took the database while the connection was lost: stop one of the two"
                );
                said_occupied = true;
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "other servers cannot be kept out of the database, trying again")
            }
        }
        sleep(TAKE_BACK_EVERY).await;
    }
}
