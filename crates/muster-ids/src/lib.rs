//! Typed ids, timestamps and the bearer string format.
//!
//! Pure: this crate must never read a clock, a random source or a socket. To add an id, add one line to
//! [`uuid_ids!`](crate::uuid_id) or [`public_ids!`](crate::public_id).

mod bearer;
mod key;
mod machine_uid;
mod public_id;
mod time;
mod uuid_id;

pub use bearer::{Bearer, BearerKind, SECRET_LEN};
pub use key::{KeyName, KeyThumbprint};
pub use machine_uid::{MachineUid, UidSource};
pub use public_id::{AgentKeyId, InvitationId, PublicId, TicketId, TokenId, WebSessionId};
pub use time::Timestamp;
pub use uuid_id::{
    AuditId, ClaimId, DeliveryId, EndpointId, EventId, HostId, JobId, ParseIdError, RequestId, SecretId,
    SiteId, TeamId, UserId,
};
