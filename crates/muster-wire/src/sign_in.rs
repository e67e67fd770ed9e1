//! Signing in, and one's own account: password, second factor, sessions.

use std::fmt;

use muster_ids::{TeamId, Timestamp, UserId, WebSessionId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::hidden::Hidden;
use crate::people::Role;
use crate::text::Line;

/// A password as it is typed: bounded far above what is accepted, so that the rule says why.
pub type Password = Hidden<512>;
/// What is typed as a login, whatever it is: a password typed in the wrong place is not shown either.
pub type TypedLogin = Hidden<256>;
/// A code of the second factor, or a recovery code.
pub type Code = Hidden<64>;

/// How somebody signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignInMethod {
    /// Login and password.
    Password,
    /// An OpenID Connect provider.
    Oidc,
    /// The link of an invitation, accepted just now.
    Invitation,
}

/// `POST /v1/sign-in`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// The login; case, width and surrounding space do not count.
    pub login: TypedLogin,
    /// The password.
    pub password: Password,
    /// A code of the second factor, or a recovery code, when the account has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
}

/// Who signed in; the session itself is in the cookie alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignedIn {
    /// The person.
    pub user_id: UserId,
    /// Their name.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Their team.
    pub team_id: TeamId,
    /// That team's name.
    pub team_name: String,
    /// Names the session.
    pub web_session_id: WebSessionId,
    /// When it ends in any case.
    pub expires_at: Timestamp,
}

/// The answer of a change that shows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Done {
    /// How many sessions ended with it.
    pub ended_sessions: u32,
}

/// A signed-in session, as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WebSession {
    /// Names it.
    pub id: WebSessionId,
    /// Whether it is the one that asks.
    pub current: bool,
    /// How its owner signed in.
    pub method: SignInMethod,
    /// The address they signed in from.
    pub source: String,
    /// What the browser called itself.
    pub user_agent: String,
    /// When they signed in.
    pub created_at: Timestamp,
    /// When it was last used.
    pub seen_at: Timestamp,
    /// When it ends in any case.
    pub expires_at: Timestamp,
}

/// `PUT /v1/me/password`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetPassword {
    /// The password as it is; needed when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<Password>,
    /// The password as it shall be.
    pub new: Password,
}

/// `PUT /v1/me/login`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetLogin {
    /// The login to sign in with.
    pub login: Line<64>,
}

/// What somebody signs in with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Account {
    /// The login; none for people who have only tokens, or come by a provider.
    pub login: Option<String>,
    /// When the password was set; none without one.
    pub password_changed_at: Option<Timestamp>,
    /// When the second factor was confirmed; none without one.
    pub second_factor_confirmed_at: Option<Timestamp>,
    /// Recovery codes that are left.
    pub recovery_codes_left: u32,
}

/// `POST /v1/me/second-factor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BeginSecondFactor {
    /// The password, again.
    pub password: Password,
}

/// The shared secret of a second factor (RFC 6238), shown once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecondFactorSecret {
    /// Base32, to be typed in.
    pub secret: String,
    /// The `otpauth` URL, to be scanned.
    pub otpauth_url: String,
}

impl fmt::Debug for SecondFactorSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecondFactorSecret([redacted])")
    }
}

/// `POST /v1/me/second-factor/confirm`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmSecondFactor {
    /// A code the new factor shows.
    pub code: Code,
}

/// Recovery codes, shown once; each is good once, in place of a code of the second factor.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecoveryCodes {
    /// The codes.
    pub codes: Vec<String>,
}

impl fmt::Debug for RecoveryCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCodes([redacted])")
    }
}

/// `POST /v1/me/second-factor/remove`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveSecondFactor {
    /// The password, again.
    pub password: Password,
    /// A code of the second factor, or a recovery code.
    pub code: Code,
}
