//! One message to one receiver: how each kind of endpoint is spoken to.
//!
//! A module here makes a message of events and sends it, once; when it goes, what is gathered into it and what follows a
//! failure is the deliverer's. Errors are this server's words: nothing a receiver answers is stored or shown. To add a
//! kind, add its target to `muster_wire::endpoint`, a module here, and a line in [`send`].

use std::borrow::Cow;
use std::time::Duration;

use muster_ids::{EndpointId, TeamId, Timestamp};
use muster_outbound::{OutboundError, Response};
use muster_store::rows::EventRow;
use muster_wire::endpoint::EndpointTarget;
use muster_wire::event::TEST_KIND;
use serde::{Deserialize, Serialize};

use crate::app::App;
use text::Message;

pub mod chat;
pub mod email;
pub mod ntfy;
mod post;
pub mod text;
mod told;
pub mod webhook;

/// What is sealed of an endpoint: where it is, and what its messages are signed with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedEndpoint {
    /// Where it is, with its credentials.
    pub target: EndpointTarget,
    /// What webhooks are signed with, the newest first.
    #[serde(default)]
    pub signing: Vec<webhook::SigningSecret>,
}

/// An endpoint that was opened to send to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenEndpoint {
    /// Names it; `None` in a test before it is saved.
    pub id: Option<EndpointId>,
    /// Its team.
    pub team_id: TeamId,
    /// What the team is called.
    pub team_name: String,
    /// What people call it.
    pub name: String,
    /// Where it is, with its credentials.
    pub sealed: SealedEndpoint,
}

/// A receiver took a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Its status, if its protocol has one.
    pub status: Option<u16>,
}

/// A receiver did not take a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendFailure {
    /// Its status, if it gave one.
    pub status: Option<u16>,
    /// Why, in this server's words: lower case, no secret, nothing the receiver said.
    pub error: Cow<'static, str>,
    /// When it wants to be asked again.
    pub retry_after: Option<Duration>,
}

impl SendFailure {
    /// Makes a failure of this server's words.
    pub fn new(error: impl Into<Cow<'static, str>>) -> Self {
        Self { status: None, error: error.into(), retry_after: None }
    }

    /// Says which status came with it.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }
}

impl From<OutboundError> for SendFailure {
    fn from(error: OutboundError) -> Self {
        let status = match &error {
            OutboundError::TooLarge { status, .. } => Some(status.as_u16()),
            _ => None,
        };
        Self { status, error: error.to_string().into(), retry_after: None }
    }
}

/// Judges the answer of a receiver that speaks HTTP: a 2xx is taken, everything else is not, redirects included.
pub fn judge(answer: Result<Response, OutboundError>) -> Result<Sent, SendFailure> {
    let (status, headers) = match answer {
        Ok(response) => (response.status, Some(response.headers)),
        // What is said after a 2xx is of no interest, however long it is.
        Err(OutboundError::TooLarge { status, .. }) if status.is_success() => (status, None),
        Err(error) => return Err(error.into()),
    };
    if status.is_success() {
        return Ok(Sent { status: Some(status.as_u16()) });
    }
    let error = if status.is_redirection() {
        "the receiver redirects, which is not followed"
    } else {
        "the receiver did not take it"
    };
    let asked = headers.as_ref().and_then(|headers| headers.get(http::header::RETRY_AFTER));
    let retry_after = asked.and_then(|secs| secs.to_str().ok()?.parse().ok()).map(Duration::from_secs);
    Err(SendFailure { status: Some(status.as_u16()), error: error.into(), retry_after })
}

/// Sends one message that tells of these events, of which there is at least one, in the order of their positions.
///
/// A message that is sent again, because nobody knows whether it arrived, has the same events and so the same name.
pub async fn send(
    app: &App,
    endpoint: &OpenEndpoint,
    events: &[EventRow],
    now: Timestamp,
) -> Result<Sent, SendFailure> {
    match &endpoint.sealed.target {
        EndpointTarget::Webhook(config) => webhook::send(app, endpoint, config, events, now).await,
        target => {
            let message = message(app, endpoint, events).await?;
            send_message(app, target, &message, now).await
        }
    }
}

/// Makes the message that tells people of events.
async fn message(app: &App, endpoint: &OpenEndpoint, events: &[EventRow]) -> Result<Message, SendFailure> {
    let link = app.installation.public_urls().first().map(ToString::to_string);
    if let [event] = events
        && event.kind == TEST_KIND
    {
        return Ok(Message::test(&endpoint.name, event.at, link, name_of(events)));
    }
    let told = told::with_names(app, endpoint.team_id, events).await;
    let told = told.map_err(|error| {
        tracing::warn!(%error, "reading the names for a message failed");
        SendFailure::new("the database cannot be read")
    })?;
    Ok(Message::of(&told, link, name_of(events)))
}

async fn send_message(
    app: &App,
    target: &EndpointTarget,
    message: &Message,
    now: Timestamp,
) -> Result<Sent, SendFailure> {
    let gate = &app.outbound;
    match target {
        EndpointTarget::Webhook(_) => Err(SendFailure::new("a webhook carries one event")),
        EndpointTarget::Email(config) => email::send(gate, config, message, now).await,
        EndpointTarget::Ntfy(config) => ntfy::send(gate, config, message).await,
        EndpointTarget::Slack(config) => chat::send_slack(gate, config, message).await,
        EndpointTarget::Teams(config) => chat::send_teams(gate, config, message).await,
        EndpointTarget::Matrix(config) => chat::send_matrix(gate, config, message).await,
    }
}

/// Names a message after all it tells of: with one event more or less it is another message.
fn name_of(events: &[EventRow]) -> String {
    match events {
        [] => String::new(),
        [only] => only.id.to_string(),
        [first, .., last] => format!("{}-{}-{}", first.id, events.len(), last.id),
    }
}
