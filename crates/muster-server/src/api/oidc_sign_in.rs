//! `/v1/oidc/{name}/start` and `/v1/oidc/callback`: to a provider and back, signed in. What protects them is said in
//! [`crate::oidc`].

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue, StatusCode};
use muster_domain::oidc::is_local_path;
use muster_http::{ClientAddress, ConnectInfo, ListenerKind, Problem, SeeOther, StrictPath, StrictQuery};
use muster_ids::{Bearer, Timestamp};
use muster_store::rows::OidcProviderRow;
use muster_wire::text::ProviderName;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::oidc::ProviderPath;
use crate::app::App;
use crate::auth::{failed, web_session};
use crate::failed_attempts::AttemptKind;
use crate::failure::Failure;
use crate::oidc::{
    Arrived, Callback, Entrance, Freshness, Pending, Refused, Unavailable, arrive, authorize, clear_cookie,
    exchange, of_request, open_pending, redirect_uri, seal_pending, set_cookie,
};
use crate::problems::too_many_failures;
use crate::sign_in::{self, Former};

/// How long to stay away from a provider that does not answer.
const COME_BACK_AFTER: Duration = Duration::from_secs(10);

/// Where to go on to.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct StartQuery {
    /// A path of this server; `/` when not said.
    pub return_to: Option<String>,
}

/// What a provider sends a browser back with (RFC 6749, section 4.1.2); what is not named here is left out of account.
#[derive(Debug, Clone, JsonSchema)]
pub struct CallbackQuery {
    /// The code.
    pub code: Option<String>,
    /// What the browser was sent with.
    pub state: Option<String>,
    /// Who answers (RFC 9207).
    pub iss: Option<String>,
    /// Why there is no code.
    pub error: Option<String>,
}

impl<'de> Deserialize<'de> for CallbackQuery {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Through a map: providers add what they like, and a client must not mind.
        let mut said = BTreeMap::<String, String>::deserialize(deserializer)?;
        let mut take = |name: &str| said.remove(name);
        Ok(Self { code: take("code"), state: take("state"), iss: take("iss"), error: take("error") })
    }
}

/// `GET /v1/oidc/{name}/start`
pub async fn start(
    State(app): State<App>,
    connection: ConnectInfo,
    headers: HeaderMap,
    StrictPath(path): StrictPath<ProviderPath>,
    StrictQuery(query): StrictQuery<StartQuery>,
) -> Result<SeeOther, Problem> {
    let now = app.clock.now();
    let return_to = query.return_to.unwrap_or_else(|| "/".to_owned());
    if !is_local_path(&return_to) {
        let detail = "return_to must be a path of this server";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "invalid_return_to", detail));
    }
    let provider = allowed_provider(&app, &path.name).await?.ok_or(Failure::NotFound)?;
    let listener = connection.listener;
    let uri = redirect_uri(&app.installation, listener, &headers)
        .ok_or_else(|| Failure::internal("no public URL speaks TLS"))?;
    let metadata =
        app.oidc.metadata(&app, &provider.issuer, Freshness::Believed).await.map_err(unavailable)?;
    let named = (provider.name.clone(), provider.issuer.clone());
    let pending = Pending::new(named, uri, return_to, app.entropy, now);
    let location = HeaderValue::try_from(authorize(&metadata, &provider, &pending).as_str());
    let sealed = seal_pending(&pending, listener, &app.keyring, app.entropy);
    let cookie = set_cookie(listener, &sealed).ok_or_else(|| Failure::internal("no cookie of a sign-in"))?;
    Ok(SeeOther::new(location.map_err(Failure::internal)?).cookie(cookie))
}

/// `GET /v1/oidc/callback`
pub async fn callback(
    State(app): State<App>,
    source: ClientAddress,
    connection: ConnectInfo,
    headers: HeaderMap,
    StrictQuery(query): StrictQuery<CallbackQuery>,
) -> Result<SeeOther, Problem> {
    muster_http::to_the_end(come_back(app, source, connection.listener, headers, query)).await
}

async fn come_back(
    app: App,
    source: ClientAddress,
    listener: ListenerKind,
    headers: HeaderMap,
    query: CallbackQuery,
) -> Result<SeeOther, Problem> {
    let now = app.clock.now();
    let done = clear_cookie(listener).ok_or_else(|| Failure::internal("no cookie of a sign-in"))?;
    let sealed = of_request(&headers, listener);
    let Some(pending) = sealed.and_then(|sealed| open_pending(sealed, listener, &app.keyring, now)) else {
        // A page of another site can send anybody here: nothing was tried, and nothing is counted.
        tracing::debug!(%source, "the browser has no sign-in pending here");
        return Err(did_not_work().append_header(SET_COOKIE, done));
    };
    let former = web_session::of_request(&headers, listener);
    let former = Former::find(&app, former.as_ref()).await?;
    let entrance = Entrance { listener, source, user_agent: sign_in::user_agent(&headers), former };
    match come_in(&app, &pending, query, entrance, now).await {
        Ok(session) => {
            let location = HeaderValue::try_from(pending.return_to).map_err(Failure::internal)?;
            let cookie = sign_in::cookie(listener, &session)?;
            Ok(SeeOther::new(location).cookie(cookie).cookie(done))
        }
        Err(ended) => Err(refusal(&app, source, ended)?.append_header(SET_COOKIE, done)),
    }
}

/// Why nobody is signed in.
enum Ended {
    Failed(String),
    TooOften(Duration),
    Unavailable(Unavailable),
    NoRole,
    Failure(Failure),
}

async fn come_in(
    app: &App,
    pending: &Pending,
    query: CallbackQuery,
    entrance: Entrance,
    now: Timestamp,
) -> Result<Bearer, Ended> {
    let source = entrance.source.bucket();
    let _flight = app.budgets.vouched.begin(source).map_err(Ended::Failure)?;
    let charged = app.limits.charge_vouched(source, app.clock.monotonic()).map_err(Ended::TooOften)?;
    let _place = app.budgets.providers.take().await.map_err(Ended::Failure)?;
    let gone = || Ended::Failed("the provider was removed, or nobody may sign in with it".to_owned());
    let name = pending.provider.parse().map_err(|_| gone())?;
    let provider = allowed_provider(app, &name).await.map_err(Ended::Failure)?.ok_or_else(gone)?;
    let CallbackQuery { code, state, iss, error } = query;
    let callback = Callback { code, state, iss, error };
    let comer = exchange(app, &provider, pending, &callback, now).await.map_err(|refused| match refused {
        Refused::Unavailable(why) => Ended::Unavailable(why),
        Refused::Failed(why) => Ended::Failed(why),
    })?;
    app.limits.give_back_vouched(charged);
    match arrive(app, comer, entrance, now).await.map_err(Ended::Failure)? {
        Arrived::SignedIn(session) => Ok(session),
        Arrived::NoRole => Err(Ended::NoRole),
        Arrived::ProviderGone => Err(gone()),
    }
}

async fn allowed_provider(app: &App, name: &ProviderName) -> Result<Option<OidcProviderRow>, Failure> {
    let name = name.to_string();
    let row = app.look(move |tx| tx.oidc_provider(&name)).await?;
    Ok(row.filter(|row| row.allowed))
}

/// The one 401 of everything that may be wrong with what came back; which it was, the log says.
fn refusal(app: &App, source: ClientAddress, ended: Ended) -> Result<Problem, Problem> {
    Ok(match ended {
        Ended::Failed(why) => {
            if let Some(unsaid) = app.oidc.says_why(app.clock.monotonic()) {
                let why = why.escape_debug();
                tracing::warn!(%source, %why, unsaid, "a sign-in by a provider failed");
            }
            failed(app, AttemptKind::Oidc, source.bucket(), None, did_not_work())
        }
        Ended::TooOften(wait) => too_many_failures(wait),
        Ended::Unavailable(why) => unavailable(why),
        Ended::NoRole => {
            let detail =
                "the provider knows you, but no group of yours has a role here; ask an administrator";
            Failure::Forbidden { code: "no_role", detail }.into()
        }
        Ended::Failure(failure) => return Err(failure.into()),
    })
}

fn did_not_work() -> Problem {
    let detail = "signing in with the provider did not work; start again";
    Problem::new(StatusCode::UNAUTHORIZED, "oidc_failed", detail)
}

fn unavailable(why: Unavailable) -> Problem {
    let detail = "the sign-in provider does not answer as it should; try again later, or sign in another way";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "oidc_unavailable", detail)
        .retry_after(COME_BACK_AFTER)
        .caused_by(why)
}
