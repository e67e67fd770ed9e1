use clap::Args;
use muster_wire::sign_in::SignIn;
use muster_wire::text::Name;
use muster_wire::token::CreateApiToken;
use secrecy::SecretString;

use super::account::{hidden, password};
use super::whoami::{NARROW, describe};
use crate::cli::Global;
use crate::context::{Context, Draft};
use crate::failure::Failure;
use crate::input::{ask_line, ask_secret};
use crate::operator::{Operator, client};

const EXAMPLES: &str = "\
Reads the token from --token-file or standard input, asks the server who it acts as, and writes
both to the context file, which only you can read. Without --url it is the server on this machine.
With --password it asks for login and password, and for a code if you have a second factor, and makes
a token named after this machine; `muster token list` shows it.

Examples:
  muster login
  muster login --token-file ./token
  muster login --url https://muster.example:8643 --pin PIN < token
  muster login --team acme --token-file ./token     # act in team acme from now on
  muster login --password --url https://muster.example:8643 --pin PIN

To log out, delete the context file.";

/// Keep a token for a server, after checking it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Login {
    /// Sign in with login and password, asked for on the terminal, and make a token for this machine
    #[arg(long, conflicts_with = "token_file")]
    password: bool,
    /// The login to sign in with; asked for when not said
    #[arg(long, value_name = "LOGIN", requires = "password")]
    login: Option<String>,
}

impl Login {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let context_path = global.context_path()?;
        let draft = Draft::new(&context_path)?;
        let url = global.url_or_default()?;
        let token = if self.password {
            self.mint_token(global).await?
        } else {
            global.token_source().read_line("token")?
        };
        let client = client(url.clone(), &global.pin, Some(token.clone()))?;
        let mut operator = Operator { client, output: global.output(), context_path };
        let wrong_token =
            "the server does not know this token: copy it again, or ask an admin for another one";
        let known = operator.client.me().await;
        let mut me = known.map_err(|error| {
            Failure::from(error).advise("unauthorized", wrong_token).advise("forbidden", NARROW)
        })?;
        if let Some(team) = &global.team {
            let team_id = operator.team(team).await?;
            operator.client = operator.client.in_team(team_id);
            me = operator.client.me().await?;
        }
        let team = operator.client.team();
        draft.commit(&Context { url, pins: global.pin.clone(), team, token })?;
        operator.output.show(&me, |me| me.user_id.to_string(), |me| describe(me, &operator))?;
        operator.output.hint(&format!("logged in; kept in {}", operator.context_path.display()));
        Ok(())
    }

    /// Signs in, makes a token of this machine, and signs out again.
    async fn mint_token(&self, global: &Global) -> Result<SecretString, Failure> {
        let login = match &self.login {
            Some(login) => SecretString::from(login.as_str()),
            None => SecretString::from(ask_line("login")?),
        };
        let mut request = SignIn { login: hidden(&login)?, password: password("password")?, code: None };
        let client = client(global.url_or_default()?, &global.pin, None)?;
        let wrong = "type login and password again; whoever lost them asks an admin";
        let signed_in = match client.sign_in(&request).await {
            Err(error) if error.code() == Some("second_factor_required") => {
                request.code = Some(hidden(&ask_secret("code of the second factor, or a recovery code")?)?);
                client.sign_in(&request).await
            }
            answer => answer,
        };
        let (_, session) = signed_in.map_err(|error| Failure::from(error).advise("unauthorized", wrong))?;
        let request =
            CreateApiToken { name: this_machine(), scopes: None, expires_in_secs: None, team_id: None };
        let minted = session.create_token(&request).await;
        // The session ends whether or not the token was made; it would lapse by itself.
        let ended = session.sign_out().await;
        let minted = minted?;
        ended?;
        Ok(SecretString::from(minted.into_value().token))
    }
}

/// Names a token after this machine.
fn this_machine() -> Name {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let name = format!("muster on {host}");
    Name::parse(&name).unwrap_or_else(|_| Name::parse("muster").expect("a plain word is a name"))
}
