//! Bearer strings: `<kind>_<id>_<secret><check>` (DESIGN §3).

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::PublicId;

/// Length of the secret half, in bytes.
pub const SECRET_LEN: usize = 32;
const SECRET_CHARS: usize = 43;
const CHECK_CHARS: usize = 8;

/// What a bearer string is for; the kind of ticket is the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BearerKind {
    /// `mse`: one-time enrolment token, door 1.
    EnrolmentToken,
    /// `msr`: registration token of an invited host, door 2.
    RegistrationToken,
    /// `mss`: site key, door 3.
    SiteKey,
    /// `msa`: agent key of a machine without a key pair.
    AgentKey,
    /// `mso`: operator's API token.
    OperatorToken,
    /// `msv`: one-use token of a terminal viewer.
    ViewerToken,
    /// `msi`: invitation of a user.
    Invitation,
    /// `msw`: signed-in session of a browser, in its cookie.
    WebSession,
}

impl BearerKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::EnrolmentToken,
        Self::RegistrationToken,
        Self::SiteKey,
        Self::AgentKey,
        Self::OperatorToken,
        Self::ViewerToken,
        Self::Invitation,
        Self::WebSession,
    ];

    /// The three letters on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EnrolmentToken => "mse",
            Self::RegistrationToken => "msr",
            Self::SiteKey => "mss",
            Self::AgentKey => "msa",
            Self::OperatorToken => "mso",
            Self::ViewerToken => "msv",
            Self::Invitation => "msi",
            Self::WebSession => "msw",
        }
    }

    /// Parses the three letters.
    pub fn from_prefix(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A bearer string taken apart. Its secret is wiped on drop and never printed.
#[derive(Clone)]
pub struct Bearer {
    /// What it is for.
    pub kind: BearerKind,
    /// The public half: the database key.
    pub id: PublicId,
    secret: Zeroizing<[u8; SECRET_LEN]>,
}

impl Bearer {
    /// Puts a bearer string together from fresh random bytes.
    pub fn new(kind: BearerKind, id: PublicId, secret: [u8; SECRET_LEN]) -> Self {
        Self { kind, id, secret: Zeroizing::new(secret) }
    }

    /// Parses the text form; `None` for anything that is not exactly one well-formed bearer string.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once('_')?;
        let (id, tail) = rest.split_once('_')?;
        if tail.len() != SECRET_CHARS + CHECK_CHARS || !tail.is_ascii() {
            return None;
        }
        let (secret, check) = tail.split_at(SECRET_CHARS);
        let body = &text[..text.len() - CHECK_CHARS];
        if check != format!("{:08x}", crc32fast::hash(body.as_bytes())) {
            return None;
        }
        let mut bytes = Zeroizing::new([0; SECRET_LEN]);
        let written = BASE64URL_NOPAD.decode_mut(secret.as_bytes(), bytes.as_mut()).ok()?;
        (written == SECRET_LEN).then_some(())?;
        Some(Self { kind: BearerKind::from_prefix(kind)?, id: id.parse().ok()?, secret: bytes })
    }

    /// Returns the secret half, for the keyed hash.
    pub fn secret(&self) -> &[u8; SECRET_LEN] {
        &self.secret
    }

    /// Returns the text form, which is a credential.
    pub fn expose(&self) -> SecretString {
        let body = Zeroizing::new(format!(
            "{}_{}_{}",
            self.kind.as_str(),
            self.id,
            BASE64URL_NOPAD.encode(self.secret.as_ref())
        ));
        SecretString::from(format!("{}{:08x}", *body, crc32fast::hash(body.as_bytes())))
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}_[redacted]", self.kind.as_str(), self.id)
    }
}
