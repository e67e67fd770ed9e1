//! The task of one channel: greets, admits, converses, closes.

use data_encoding::BASE64URL_NOPAD;
use muster_channel::server::{HANDSHAKE_WITHIN, ServerChannel};
use muster_domain::presence::HEARTBEAT_EVERY;
use muster_store::Priority;
use muster_wire::channel::{AgentMessage, HelloClaims, MAX_FRAME_BEFORE_HELLO, Protocol, close};
use muster_wire::happening::Happening;
use muster_wire::parting::GoodbyeReason;
use serde_json::json;
use tokio::time::timeout;

use super::connect::{admit, is_ours, verify_hello};
use super::conversation::Conversation;
use super::hub::{HELD_RETRY_SECS, Waiting};
use super::wire::{End, Heard, Wire};
use crate::app::App;
use crate::auth::Agent;
use crate::failure::Failure;
use crate::unit::Fact;

/// Seconds between heartbeats, as agents are told.
pub const HEARTBEAT_SECS: u32 = HEARTBEAT_EVERY.as_secs() as u32;
const TOO_SLOW: End = End::close(close::POLICY, "the handshake took too long");

/// Runs a channel from its accepted upgrade to its end.
pub(super) async fn run(app: App, agent: Agent, protocol: Protocol, wire: Wire, waiting: Waiting) {
    let end = Box::pin(lead(&app, &agent, protocol, wire, waiting)).await;
    if let End::Violation { what, .. } = end {
        Box::pin(report(&app, &agent, what)).await;
    }
}

async fn lead(app: &App, agent: &Agent, protocol: Protocol, mut wire: Wire, waiting: Waiting) -> End {
    let challenge = BASE64URL_NOPAD.encode(&app.entropy.bytes::<32>());
    let (mut machine, first) = ServerChannel::open(agent.host_id, protocol, challenge, app.clock.now());
    // What is needed once is boxed, here and below: an idle channel keeps nothing of it.
    let admitted = Box::pin(async {
        let greeting = async {
            wire.say(&first).await?;
            greet(app, agent, &mut wire, &mut machine).await
        };
        match timeout(HANDSHAKE_WITHIN, greeting).await {
            Ok(Ok(claims)) => admit(app, agent, &claims, &mut wire).await,
            Ok(Err(end)) => Err(end),
            Err(_) => Err(TOO_SLOW),
        }
    })
    .await;
    drop((waiting, first));
    // The place in the hub is dropped after the wire: whoever cuts the channel waits for it.
    let (mut open, generation) = match admitted {
        Ok(admitted) => admitted,
        Err(end) => {
            Box::pin(wire.end(&end)).await;
            return end;
        }
    };
    let wire = wire;
    let abort = open.abort.clone();
    // Boxed where it is made: a future that is moved into its box leaves its room behind.
    let talk = Box::pin(async {
        let mut conversation = Conversation::new(app, agent, wire, machine, &mut open);
        let end = conversation.run(generation).await;
        Box::pin(conversation.close(end)).await
    });
    tokio::select! {
        biased;
        () = abort.cancelled() => End::Gone,
        end = talk => end,
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
            Failure::HostHeld => Self::goodbye(GoodbyeReason::Held, HELD_RETRY_SECS),
            Failure::SecretUnreadable { .. } => Self::goodbye(GoodbyeReason::SecretUnreadable, 300),
            Failure::RevocationsUnseen => Self::goodbye(GoodbyeReason::Busy, 5),
            Failure::Store(error) if error.is_unavailable() => {
                tracing::debug!(%error, "a channel closed because the database was not there");
                Self::goodbye(GoodbyeReason::Busy, 5)
            }
            error => {
                tracing::error!(%error, "a channel closed because the server failed");
                Self::goodbye(GoodbyeReason::Failed, 30)
            }
        }
    }
}
