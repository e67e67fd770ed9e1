//! Ids of 12 base62 characters: the public half of a bearer string and its database key.

use std::fmt;
use std::str::FromStr;

use crate::uuid_id::{ParseIdError, text_form};

const LEN: usize = 12;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Twelve base62 characters: public, never a credential.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicId([u8; LEN]);

impl PublicId {
    /// Makes an id from random (or keyed-hash) bytes; the bias of the reduction is below 2^-57.
    pub fn from_entropy(bytes: [u8; 16]) -> Self {
        let mut value = u128::from_be_bytes(bytes);
        Self(std::array::from_fn(|_| {
            let digit = (value % 62) as usize;
            value /= 62;
            ALPHABET[digit]
        }))
    }

    /// Returns the twelve characters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("base62 is ASCII")
    }
}

impl fmt::Display for PublicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for PublicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for PublicId {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let bytes: [u8; LEN] = text.as_bytes().try_into().map_err(|_| ParseIdError)?;
        if bytes.iter().all(u8::is_ascii_alphanumeric) { Ok(Self(bytes)) } else { Err(ParseIdError) }
    }
}

text_form!(PublicId, "^[0-9A-Za-z]{12}$");

macro_rules! public_id {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(PublicId);

        impl $name {
            /// Wraps the public half of a bearer string.
            pub const fn new(id: PublicId) -> Self {
                Self(id)
            }
            /// Returns the public id.
            pub const fn public_id(self) -> PublicId {
                self.0
            }
            /// Returns the twelve characters.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                text.parse().map(Self)
            }
        }

        text_form!($name, "^[0-9A-Za-z]{12}$");
    )+};
}

public_id! {
    /// Names a ticket: enrolment token, registration token or site key.
    TicketId;
    /// Names an operator's API token.
    TokenId;
    /// Names an agent key.
    AgentKeyId;
    /// Names the signed-in session of a browser.
    WebSessionId;
    /// Names an invitation of a person.
    InvitationId;
}
