//! A receiver of webhooks, whose address has secrets in it.

use std::ops::Deref;

use muster_testkit::receiver::Received;

use crate::world::until;

/// The subject of the event a request tells of.
pub(crate) fn subject(got: &Received) -> String {
    got.json()["data"]["subject"].as_str().unwrap().to_owned()
}

/// A receiver.
pub(crate) struct Receiver(muster_testkit::receiver::Receiver);

impl Deref for Receiver {
    type Target = muster_testkit::receiver::Receiver;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        Self(muster_testkit::receiver::Receiver::start().await.unwrap())
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/hook/s3cret-path?token=s3cret-query", self.0.url())
    }

    /// Answers with this status from now on.
    pub(crate) fn answers(&self, status: u16) {
        self.0.answers(status, "");
    }

    pub(crate) fn subjects(&self) -> Vec<String> {
        self.received().iter().map(subject).collect()
    }

    /// Waits until so many requests came.
    pub(crate) async fn received_times(&self, times: usize) -> Vec<Received> {
        until(&format!("{times} requests came"), async || self.received().len() >= times).await;
        self.received()
    }
}
