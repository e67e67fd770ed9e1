use std::path::PathBuf;

use muster_client::api::Answer;
use muster_client::{Endpoint, OperatorClient, Timeouts};
use muster_edge::Clock;
use muster_ids::Timestamp;
use muster_wire::people::MintedToken;
use secrecy::SecretString;
use url::Url;

use crate::cli::Global;
use crate::context::{self, Context, DEFAULT_URL};
use crate::failure::Failure;
use crate::input::Source;
use crate::output::Output;

/// A person at the terminal: who they are to which server, and how they want to read.
#[derive(Debug)]
pub(crate) struct Operator {
    /// Calls the API.
    pub client: OperatorClient,
    /// Writes results.
    pub output: Output,
    /// Where the credential is kept.
    pub context_path: PathBuf,
}

impl Operator {
    /// Makes the operator that the options, the environment and the context file describe.
    pub(crate) async fn connect(global: &Global) -> Result<Self, Failure> {
        let context_path = global.context_path()?;
        let context = Context::load(&context_path)?;
        let place = Place::choose(global, context)?;
        let token = match (&global.token_file, place.token) {
            (Some(file), _) => file.read_line("token")?,
            (None, Some(token)) => token,
            (None, None) => {
                let cause = format!("there is no token for {}", address(&place.url));
                return Err(Failure::failed(
                    cause,
                    "run `muster login`, or `muster setup` on a new server; or name a file: --token-file FILE",
                ));
            }
        };
        let client = client(place.url, &place.pins, Some(token))?;
        let operator = Self { client, output: global.output(), context_path };
        match (&global.team, place.team) {
            (Some(team), _) => {
                let team_id = operator.team(team).await?;
                Ok(Self { client: operator.client.in_team(team_id), ..operator })
            }
            (None, Some(team_id)) => Ok(Self { client: operator.client.in_team(team_id), ..operator }),
            (None, None) => Ok(operator),
        }
    }

    /// Returns the present moment.
    pub(crate) fn now(&self) -> Timestamp {
        Clock::system().now()
    }

    /// Writes a person's first token: alone when quiet.
    pub(crate) fn show_token(&self, minted: &Answer<MintedToken>, whose: &str) -> Result<(), Failure> {
        let table = |minted: &MintedToken| {
            crate::output::record(&[
                ("User", minted.user_id.to_string()),
                ("Team", minted.team_id.to_string()),
                ("Token", minted.token.clone()),
            ])
        };
        self.output.show(minted, |minted| minted.token.clone(), table)?;
        self.output.hint(&format!(
            "the token is shown this once; {whose} stores it with: muster login --url {} --token-file FILE",
            address(self.client.base())
        ));
        Ok(())
    }
}

/// Writes a server's address the way people do.
pub(crate) fn address(url: &Url) -> &str {
    url.as_str().trim_end_matches('/')
}

/// Makes a client of a server.
pub(crate) fn client(
    url: Url,
    pins: &[String],
    token: Option<SecretString>,
) -> Result<OperatorClient, Failure> {
    let endpoint = Endpoint { urls: vec![url.clone()], pins: pins.to_vec() };
    Ok(OperatorClient::new(endpoint.dialer(Timeouts::default())?, url, token, None))
}

/// Which server, and what is known of it.
#[derive(Debug)]
struct Place {
    url: Url,
    pins: Vec<String>,
    team: Option<muster_ids::TeamId>,
    token: Option<SecretString>,
}

impl Place {
    /// Takes the URL from the options, else from the context. A token is never sent to another server than its own.
    fn choose(global: &Global, context: Option<Context>) -> Result<Self, Failure> {
        let context = context.filter(|context| global.url.as_ref().is_none_or(|url| *url == context.url));
        Ok(match context {
            Some(context) => {
                let pins = if global.pin.is_empty() { context.pins } else { global.pin.clone() };
                Self { url: context.url, pins, team: context.team, token: Some(context.token) }
            }
            None => Self { url: global.url_or_default()?, pins: global.pin.clone(), team: None, token: None },
        })
    }
}

impl Global {
    /// Returns the URL that was named, else the one of a server on this machine.
    pub(crate) fn url_or_default(&self) -> Result<Url, Failure> {
        match &self.url {
            Some(url) => Ok(url.clone()),
            None => Url::parse(DEFAULT_URL).map_err(|error| Failure::plain(error.to_string())),
        }
    }

    /// Returns where the context file is.
    pub(crate) fn context_path(&self) -> Result<PathBuf, Failure> {
        match &self.context {
            Some(path) => Ok(path.clone()),
            None => context::default_path(|name| std::env::var_os(name).map(PathBuf::from)),
        }
    }

    /// Returns how results are written.
    pub(crate) fn output(&self) -> Output {
        Output::new(self.format, self.quiet)
    }

    /// Returns where the token comes from when it is to be kept: a file, else standard input.
    pub(crate) fn token_source(&self) -> Source {
        self.token_file.clone().unwrap_or(Source::Stdin)
    }
}

#[cfg(test)]
mod tests;
