//! Everything that is written down or told of: the words of the audit trail and of events, once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who learns of a happening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// The audit trail alone.
    Audit,
    /// Events alone: nobody did it.
    Event,
    /// Both.
    AuditAndEvent,
}

macro_rules! happenings {
    ($($(#[doc = $says:literal])+ $name:ident = $word:literal: $reach:ident;)+) => {
        /// Something that happened: an action of the audit trail, the kind of an event, or both.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum Happening {
            $($(#[doc = $says])+ #[serde(rename = $word)] $name,)+
        }

        impl Happening {
            /// Every one, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The word: `host.enrolled`, `claim.decided`, …
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// What it means, in one sentence.
            pub const fn says(self) -> &'static str {
                match self { $(Self::$name => concat!($($says,)+).trim_ascii(),)+ }
            }

            /// Who learns of it.
            pub const fn reach(self) -> Reach {
                match self { $(Self::$name => Reach::$reach,)+ }
            }
        }
    };
}

happenings! {
    /// A machine became a host, or came back as the host it is.
    HostEnrolled = "host.enrolled": AuditAndEvent;
    /// A host got another key: a rejoin, an installation anew, or a claim that was decided so.
    HostRekeyed = "host.rekeyed": AuditAndEvent;
    /// A host was made before its machine came.
    HostInvited = "host.invited": Audit;
    /// A host was retired for good.
    HostRetired = "host.retired": AuditAndEvent;
    /// A host was suspended.
    HostSuspended = "host.suspended": AuditAndEvent;
    /// A suspended host may work again.
    HostResumed = "host.resumed": AuditAndEvent;
    /// A host was moved to another site.
    HostMoved = "host.moved": AuditAndEvent;
    /// The tags of a host were set.
    HostTagsSet = "host.tags_set": AuditAndEvent;
    /// A host missed three heartbeats without a goodbye.
    HostUnreachable = "host.unreachable": Event;
    /// A host that could not be reached is back.
    HostBack = "host.back": Event;
    /// More than a fifth of a site was lost within a minute.
    SiteUnreachable = "site.unreachable": Event;
    /// A site was made.
    SiteCreated = "site.created": Audit;
    /// How a site admits machines was set.
    SitePolicySet = "site.policy_set": Audit;
    /// More new machines came to a site within an hour than its policy lets in.
    SiteSurge = "site.surge": Event;
    /// A machine named the uid of a host that stands at another site.
    SiteConflict = "site.conflict": AuditAndEvent;
    /// A claim was opened: a person must decide.
    ClaimOpened = "claim.opened": AuditAndEvent;
    /// A claim was decided, or closed because its ground fell away.
    ClaimDecided = "claim.decided": AuditAndEvent;
    /// Nobody decided a claim in time.
    ClaimExpired = "claim.expired": AuditAndEvent;
    /// A rejected claim was cleared, so that its machine may ask again.
    ClaimCleared = "claim.cleared": Audit;
    /// A site has, or a host is contested by, as many claims as it may.
    ClaimsFull = "claims.full": Event;
    /// A copy of a host is suspected.
    CloneSuspected = "clone.suspected": AuditAndEvent;
    /// A copy whose claim waits made itself a key of its own.
    ClaimForked = "claim.forked": Audit;
    /// A host is held: it, or the machine that came, is a copy, and a person must say which.
    HostHeld = "host.held": AuditAndEvent;
    /// A host is no longer held.
    HostFreed = "host.freed": AuditAndEvent;
    /// A ticket was minted.
    TicketMinted = "ticket.minted": AuditAndEvent;
    /// A ticket was revoked.
    TicketRevoked = "ticket.revoked": AuditAndEvent;
    /// A site key was rotated: another one takes its place.
    TicketRotated = "ticket.rotated": AuditAndEvent;
    /// A ticket is said to be leaked: it is revoked, what it admitted is suspended.
    TicketLeaked = "ticket.leaked": AuditAndEvent;
    /// A second key showed a one-time ticket that was spent.
    TicketSecondKey = "token.presented_by_second_key": AuditAndEvent;
    /// Machines were refused with a ticket, counted.
    TicketRefused = "ticket.refused": Audit;
    /// The secrets of a ticket that opens no door any more were destroyed.
    TicketSecretsDestroyed = "ticket.secrets_destroyed": Audit;
    /// An agent key was minted.
    KeyMinted = "key.minted": AuditAndEvent;
    /// A key of a host was revoked.
    KeyRevoked = "key.revoked": AuditAndEvent;
    /// A key of a host took the place of another.
    KeyRotated = "key.rotated": AuditAndEvent;
    /// A host is to replace its key pair.
    KeyRotationAsked = "key.rotation_asked": Audit;
    /// A host made its next key pair.
    KeyNextStored = "key.next_stored": Audit;
    /// Somebody used a key that was replaced or revoked.
    KeyFormerUsed = "key.former_used": AuditAndEvent;
    /// A secret was set.
    SecretSet = "secret.set": AuditAndEvent;
    /// A host confirmed that it has a secret.
    SecretDelivered = "secret.delivered": AuditAndEvent;
    /// A sealed record does not open at its place.
    SecretUnreadable = "secret.unreadable": Event;
    /// A job was made.
    JobCreated = "job.created": Audit;
    /// A job succeeded.
    JobSucceeded = "job.succeeded": AuditAndEvent;
    /// A job failed.
    JobFailed = "job.failed": AuditAndEvent;
    /// A job was cancelled.
    JobCancelled = "job.cancelled": AuditAndEvent;
    /// It is not known how a job ended.
    JobLost = "job.lost": AuditAndEvent;
    /// An agent told of a job it was never given.
    JobUnknown = "job.unknown": Audit;
    /// A host confirmed that it has its configuration.
    HostConfigApplied = "host_config.applied": Audit;
    /// An agent left its role; its channel was closed.
    ChannelViolation = "channel.violation": Audit;
    /// A team was made.
    TeamCreated = "team.created": Audit;
    /// A person was made.
    PersonCreated = "person.created": AuditAndEvent;
    /// The role of a person was changed.
    PersonRoleSet = "person.role_set": AuditAndEvent;
    /// A person was removed.
    PersonRemoved = "person.removed": AuditAndEvent;
    /// The way back in was used on the server machine.
    PersonRecovered = "person.recovered": AuditAndEvent;
    /// A person took the login they sign in with.
    LoginSet = "login.set": Audit;
    /// The password of a person was set.
    PasswordSet = "password.set": Audit;
    /// A second factor was set up.
    SecondFactorSet = "second_factor.set": Audit;
    /// A second factor was removed.
    SecondFactorRemoved = "second_factor.removed": AuditAndEvent;
    /// A recovery code was used in place of the second factor.
    RecoveryCodeUsed = "second_factor.recovery_code_used": AuditAndEvent;
    /// A person was invited.
    InvitationCreated = "invitation.created": Audit;
    /// An invitation was revoked.
    InvitationRevoked = "invitation.revoked": Audit;
    /// An invitation was accepted.
    InvitationAccepted = "invitation.accepted": AuditAndEvent;
    /// An API token was made.
    TokenMinted = "token.minted": Audit;
    /// An API token was revoked.
    TokenRevoked = "token.revoked": Audit;
    /// A person signed in.
    SignedIn = "person.signed_in": Audit;
    /// A person signed out.
    SignedOut = "person.signed_out": Audit;
    /// A signed-in session was ended.
    WebSessionEnded = "web_session.ended": Audit;
    /// Attempts to sign in, or to use a token, failed; counted.
    LoginFailed = "login.failed": Audit;
    /// Attempts to sign in as one person, or from one address, failed again and again.
    LoginFailedRepeatedly = "login.failed_repeatedly": Event;
    /// A provider people sign in with was set.
    OidcSet = "oidc.set": Audit;
    /// A provider people sign in with was removed.
    OidcRemoved = "oidc.removed": Audit;
    /// An endpoint that hears of events was made.
    EndpointCreated = "endpoint.created": Audit;
    /// An endpoint was changed.
    EndpointChanged = "endpoint.changed": Audit;
    /// An endpoint was removed.
    EndpointRemoved = "endpoint.removed": Audit;
    /// Deliveries to an endpoint were given up.
    EndpointFailing = "endpoint.failing": AuditAndEvent;
    /// Deliveries were asked for again.
    DeliveryAskedAgain = "delivery.asked_again": Audit;
    /// A test message was sent to an endpoint.
    EndpointTested = "endpoint.tested": Audit;
    /// The audit trail does not end where it was left: it was changed behind the server's back.
    AuditBroken = "audit.broken": AuditAndEvent;
    /// The audit trail was read out whole.
    AuditExported = "audit.exported": Audit;
    /// Old rows of the audit trail were dropped; the chain goes on.
    AuditPruned = "audit.pruned": Audit;
    /// A setting of the installation was changed.
    SettingChanged = "setting.changed": Audit;
    /// The server was restored from a backup: a new epoch began, open tickets are void.
    InstallationRestored = "installation.restored": AuditAndEvent;
    /// The next key that signs instructions was announced to the hosts.
    InstructionKeyAnnounced = "instruction_key.announced": AuditAndEvent;
    /// The next key signs instructions from now on.
    InstructionKeySwitched = "instruction_key.switched": AuditAndEvent;
    /// The former key that signed instructions was destroyed.
    InstructionKeyFinished = "instruction_key.finished": AuditAndEvent;
    /// The server shows, or announces, other keys to those who connect.
    ServerPinsChanged = "server.pins_changed": AuditAndEvent;
    /// The database is older than what hosts have seen of it.
    InstallationStateLost = "installation.state_lost": Event;
}

impl Happening {
    /// Whether it is written to the audit trail.
    pub const fn is_audited(self) -> bool {
        matches!(self.reach(), Reach::Audit | Reach::AuditAndEvent)
    }

    /// Whether an event tells of it.
    pub const fn is_told(self) -> bool {
        matches!(self.reach(), Reach::Event | Reach::AuditAndEvent)
    }

    /// Returns the happening of a word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|happening| happening.as_str() == word)
    }
}

impl std::fmt::Display for Happening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_there_once_and_is_found_again() {
        for happening in Happening::ALL {
            assert_eq!(Happening::of_word(happening.as_str()), Some(*happening));
            assert!(!happening.says().is_empty());
        }
    }
}
