//! The task of one channel: greets, admits, converses, closes.

use data_encoding::BASE64URL_NOPAD;
use muster_channel::server::{HANDSHAKE_WITHIN, ServerChannel};
use muster_domain::presence::HEARTBEAT_EVERY;
use muster_store::Priority;
use muster_wire::channel::{AgentMessage, HelloClaims, MAX_FRAME_BEFORE_HELLO, close};
use muster_wire::happening::Happening;
use serde_json::json;
use tokio::time::timeout;

use super::connect::{admit, is_ours, verify_hello};
use super::conversation::Conversation;
use super::hub::Waiting;
use super::wire::{End, Heard, Wire};
use crate::app::App;
use crate::auth::Agent;
use crate::failure::Failure;
use crate::unit::Fact;

/// Seconds between heartbeats, as agents are told.
pub const HEARTBEAT_SECS: u32 = HEARTBEAT_EVERY.as_secs() as u32;
const TOO_SLOW: End = End::close(close::POLICY, "the handshake took too long");

/// Runs a channel from its accepted upgrade to its end.
pub(super) async fn run(app: App, agent: Agent, wire: Wire, waiting: Waiting) {
    let end = Box::pin(lead(&app, &agent, wire, waiting)).await;
    if let End::Violation { what, .. } = end {
        report(&app, &agent, what).await;
    }
}

async fn lead(app: &App, agent: &Agent, mut wire: Wire, waiting: Waiting) -> End {
    let challenge = BASE64URL_NOPAD.encode(&app.entropy.bytes::<32>());
    let (mut machine, first) = ServerChannel::open(agent.host_id, challenge, app.clock.now());
    let greeting = async {
        wire.say(&first).await?;
        greet(app, agent, &mut wire, &mut machine).await
    };
    let greeted = match timeout(HANDSHAKE_WITHIN, greeting).await {
        Ok(greeted) => greeted,
        Err(_) => Err(TOO_SLOW),
    };
    let admitted = match greeted {
        Ok(claims) => admit(app, agent, &claims).await,
        Err(end) => Err(end),
    };
    drop(waiting);
    // The place in the hub is dropped after the wire: whoever cuts the channel waits for it.
    let (mut open, generation) = match admitted {
        Ok(admitted) => admitted,
        Err(end) => {
            wire.end(&end).await;
            return end;
        }
    };
    let wire = wire;
    let abort = open.abort.clone();
    let talk = async {
        let mut conversation = Conversation::new(app, agent, wire, machine, &mut open);
        let end = conversation.run(generation).await;
        conversation.close(end).await
    };
    tokio::select! {
        biased;
        () = abort.cancelled() => End::Gone,
        end = Box::pin(talk) => end,
    }
}

async fn greet(
    app: &App,
    agent: &Agent,
    wire: &mut Wire,
    machine: &mut ServerChannel,
) -> Result<HelloClaims, End> {
    loop {
        let Heard::Message(message) = wire.hear(MAX_FRAME_BEFORE_HELLO).await? else { continue };
        let AgentMessage::Hello { proof } = *message else {
            return Err(End::policy("message out of order"));
        };
        let claims = verify_hello(agent, &proof)?;
        machine.hello(&claims, |url| is_ours(app, url))?;
        return Ok(claims);
    }
}

/// Counts a violation and writes it down, within what one host may fill the trail with.
async fn report(app: &App, agent: &Agent, what: &'static str) {
    app.metrics.violations.inc();
    let now = app.clock.now();
    if !app.hub.may_report(agent.host_id, now) {
        return;
    }
    let agent = agent.clone();
    let written = app.change(Priority::Normal, now, move |unit| {
        let fact = Fact::new(Happening::ChannelViolation, agent.team_id, &agent.author(), agent.host_id);
        unit.happened(fact.of_host(agent.host_id).outcome("refused").details(json!({ "what": what })));
        Ok(())
    });
    if let Err(error) = written.await {
        tracing::warn!(%error, "recording a violation failed");
    }
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::ForeignJob => Self::policy("told of a job it was never given"),
            Failure::KeyNotActive => Self::KeyEnded,
            Failure::SecretUnreadable { .. } => Self::goodbye(close::TRY_LATER, "secret_unreadable", 300),
            Failure::Store(error) if error.is_unavailable() => {
                tracing::debug!(%error, "a channel closed because the database was not there");
                Self::goodbye(close::TRY_LATER, "busy", 5)
            }
            error => {
                tracing::error!(%error, "a channel closed because the server failed");
                Self::goodbye(close::TRY_LATER, "failed", 30)
            }
        }
    }
}
