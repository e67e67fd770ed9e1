//! Signing in with a provider of OpenID Connect (Core 1.0): authorization code, PKCE (RFC 7636), state and nonce.
//!
//! Two GETs belong to it, and a page of another site can make a browser ask for either. `start` changes nothing: what
//! is pending is a sealed cookie of the browser, bound to one listener and one provider, good for ten minutes.
//! `callback` signs in, which no other GET does; it is protected by that cookie, which only the browser that started
//! has, by the state in it, by the nonce in the signed token, and by the PKCE verifier, without which a code is worth
//! nothing. So nobody is signed in as somebody else by a link.
//!
//! A person is known by issuer and subject, never by a name or an e-mail address. Who they are is decided anew at every
//! sign-in by `muster_domain::oidc`. The provider is asked through [`muster_outbound`] only: checked addresses, no
//! redirects, bounded answers. `Host` never decides where the provider sends a browser: it can only choose among the
//! configured addresses.

mod arrival;
mod check;
mod cookie;
mod exchange;
mod pending;
mod providers;
mod redirect_uri;
pub mod sign_out;

use muster_ids::{TeamId, UserId};
use muster_outbound::OutboundError;
use muster_store::LockKey;
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreClaimName, CoreClaimType, CoreClientAuthMethod,
    CoreErrorResponseType, CoreGenderClaim, CoreGrantType, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm, CoreJwsSigningAlgorithm, CoreResponseMode, CoreResponseType,
    CoreRevocableToken, CoreRevocationErrorResponse, CoreSubjectIdentifierType,
    CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AdditionalClaims, AdditionalProviderMetadata, Client, EmptyExtraTokenFields, EndpointMaybeSet,
    EndpointNotSet, EndpointSet, IdTokenFields, ProviderMetadata, StandardErrorResponse,
    StandardTokenResponse,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use arrival::{Arrived, Entrance, arrive};
pub use check::check;
pub use cookie::{clear_cookie, cookie_name, of_request, set_cookie};
pub(crate) use exchange::secret_place;
pub use exchange::{Callback, authorize, exchange};
pub use pending::{Pending, open_pending, seal_pending};
pub use providers::{Freshness, Providers, is_spoken_to};
pub use redirect_uri::{redirect_uri, redirect_uris};

/// Providers are few: whoever changes one waits for whoever changes another, and for who comes in by one.
pub(crate) const PROVIDERS: LockKey = LockKey::Named("oidc providers");

/// What a provider says beside what the library knows of.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Said {
    /// Whether every answer names its issuer (RFC 9207).
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    /// The ways of PKCE it knows.
    #[serde(default)]
    code_challenge_methods_supported: Vec<String>,
}

impl AdditionalProviderMetadata for Said {}

/// Claims beside the standard ones: the groups are among them, under a name of the provider's.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct OtherClaims(Map<String, Value>);

impl AdditionalClaims for OtherClaims {}

/// A provider's discovery document, with its keys.
pub type Metadata = ProviderMetadata<
    Said,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

type Tokens = StandardTokenResponse<
    IdTokenFields<
        OtherClaims,
        EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;

type RelyingParty = Client<
    OtherClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// The algorithms an id token may be signed with. None of them is symmetric, and `none` is not among them.
pub const ALGORITHMS: [CoreJwsSigningAlgorithm; 4] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Why a provider cannot be used now; written for operators, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);

impl Unavailable {
    fn outbound(what: &str, error: &OutboundError) -> Self {
        let mut words = format!("{what}: {error}");
        let mut source = std::error::Error::source(error);
        while let Some(error) = source {
            words.push_str(&format!(": {error}"));
            source = error.source();
        }
        Self(words)
    }
}

/// Why somebody who came back from a provider is not signed in.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The provider does not answer.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// What came back does not hold; the words are for the log.
    #[error("{0}")]
    Failed(String),
}

/// Somebody a provider vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comer {
    /// The provider's name here.
    pub provider: String,
    /// Who vouches.
    pub issuer: String,
    /// For whom; with the issuer, the only thing that says who they are.
    pub subject: String,
    /// The groups they are in.
    pub groups: std::collections::BTreeSet<String>,
    /// What a new person is called.
    pub name: String,
}

/// Who signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Person {
    /// The person.
    pub user_id: UserId,
    /// Their team.
    pub team_id: TeamId,
    /// What they are.
    pub role: muster_wire::people::Role,
}
