//! Providers of OpenID Connect, and by what people may sign in.

use muster_ids::{TeamId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::{Few, Ordered};
use crate::hidden::Hidden;
use crate::people::Role;
use crate::text::{Line, ProviderName};

/// The secret a provider gave this server.
pub type ClientSecret = Hidden<512>;

/// Who is in `group` becomes `role` in `team_id`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OidcMapping {
    /// The group, as the provider spells it.
    pub group: Line<256>,
    /// The team; the platform's own for admins.
    pub team_id: TeamId,
    /// The role.
    pub role: Role,
}

/// `PUT /v1/oidc/providers/{name}`: the whole provider from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetOidcProvider {
    /// The issuer, to the letter as its discovery document says it; https, or http on loopback.
    pub issuer: Line<256>,
    /// Who this server is to the provider.
    pub client_id: Line<256>,
    /// The secret of this server; may be left out as long as issuer and client id stay what they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<ClientSecret>,
    /// What is asked for beside `openid`.
    #[serde(default = "default_scopes")]
    pub scopes: Few<Line<64>, 16>,
    /// The claim that holds the groups of a person.
    #[serde(default = "default_groups_claim")]
    pub groups_claim: Line<128>,
    /// What groups give; the first that fits counts, and who has none does not get in.
    pub mappings: Ordered<OidcMapping, 256>,
    /// Whether people may sign in with it now.
    #[serde(default = "yes")]
    pub allowed: bool,
}

/// Returns what is asked for beside `openid` when nothing is said.
pub fn default_scopes() -> Few<Line<64>, 16> {
    ["profile", "groups"].iter().filter_map(|scope| Line::parse(scope).ok()).collect()
}

/// Returns the claim that holds the groups when nothing is said.
pub fn default_groups_claim() -> Line<128> {
    Line::parse("groups").expect("a short word is a line")
}

const fn yes() -> bool {
    true
}

/// A provider people sign in with; its client secret is never shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OidcProvider {
    /// Names it, in addresses and on the sign-in page.
    pub name: ProviderName,
    /// The issuer.
    pub issuer: String,
    /// Who this server is to it.
    pub client_id: String,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// The claim that holds the groups of a person.
    pub groups_claim: String,
    /// What groups give; the first that fits counts.
    pub mappings: Vec<OidcMapping>,
    /// Whether people may sign in with it now.
    pub allowed: bool,
    /// The addresses to register at the provider.
    pub redirect_uris: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last set.
    pub updated_at: Timestamp,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OidcFinding {
    /// Whether it is as it must be.
    pub ok: bool,
    /// What was found, in words.
    pub says: String,
}

/// `POST /v1/oidc/providers/{name}/check`: what stands in the way of signing in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OidcCheck {
    /// Whether everything is as it must be.
    pub works: bool,
    /// What was looked at, in order.
    pub findings: Vec<OidcFinding>,
}

/// `POST /v1/oidc/providers/{name}/remove`: what went with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OidcRemoved {
    /// People who signed in with it, and are signed out.
    pub signed_out: u32,
    /// Whether there are more, who follow within moments.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more_follow: bool,
}

/// `GET /v1/sign-in/methods`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignInMethods {
    /// Whether login and password are taken.
    pub password: bool,
    /// The providers to choose from: `GET /v1/oidc/{name}/start`.
    pub oidc: Vec<ProviderName>,
}
