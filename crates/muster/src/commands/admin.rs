use clap::{Args, Subcommand};
use muster_server::recover::{Means, Recovered, Recovery, recover};
use muster_wire::text::{Line, Name};
use secrecy::ExposeSecret;

use super::place::ServerPlace;
use crate::cli::Global;
use crate::failure::Failure;
use crate::input::wire_text;
use crate::output::record;

const RECOVER_EXAMPLES: &str = "\
Works on the server machine alone, with the server's data folder and master key, while the server is
stopped. Sessions of the admin end and their second factor is removed; API tokens stay. When no admin
is left, one is made. The audit trail tells of it.

Examples:
  systemctl stop muster && muster admin recover --data-dir /var/lib/muster
  muster admin recover --data-dir /var/lib/muster --name ada
  muster admin recover --data-dir /var/lib/muster --name ada --token -q > token";

/// What is done on the server machine itself
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:\n  muster admin recover --data-dir /var/lib/muster")]
pub(crate) enum Admin {
    /// Let an admin in again who lost password, second factor or token
    #[command(after_help = RECOVER_EXAMPLES)]
    Recover(Recover),
}

/// Whom, and where.
#[derive(Debug, Args)]
pub(crate) struct Recover {
    #[command(flatten)]
    place: ServerPlace,
    /// Name of the admin; not needed when there is one
    #[arg(long, value_name = "NAME", value_parser = wire_text::<Name>)]
    name: Option<Name>,
    /// Login they get if they have none [default: their name]
    #[arg(long, value_name = "LOGIN", value_parser = wire_text::<Line<64>>, conflicts_with = "token")]
    login: Option<Line<64>>,
    /// Give them an API token instead of a password
    #[arg(long)]
    token: bool,
}

impl Admin {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        match self {
            Self::Recover(recover) => recover.run(global).await,
        }
    }
}

impl Recover {
    async fn run(self, global: &Global) -> Result<(), Failure> {
        let place = self.place.place()?;
        let means = if self.token {
            Means::Token
        } else {
            Means::Password { login: self.login.map(|login| login.to_string()) }
        };
        let name = self.name.map(|name| name.to_string());
        let recovery = Recovery { place, name, means };
        let recovered = recover(recovery).await.map_err(|error| Failure::plain(format!("{error:#}")))?;
        show(global, &recovered)
    }
}

fn show(global: &Global, recovered: &Recovered) -> Result<(), Failure> {
    let output = global.output();
    let secret = recovered.secret.expose_secret();
    if output.is_json() {
        let kind = if recovered.login.is_some() { "password" } else { "token" };
        let document = serde_json::json!({
            "user_id": recovered.user_id,
            "name": recovered.name,
            "login": recovered.login,
            kind: secret,
            "is_new": recovered.is_new,
            "ended_sessions": recovered.ended_sessions,
            "second_factor_removed": recovered.second_factor_removed,
        });
        return output.line(&document.to_string());
    }
    if !output.is_table() {
        return output.line(secret);
    }
    let kind = if recovered.login.is_some() { "Password" } else { "Token" };
    output.line(&record(&[
        ("User", recovered.user_id.to_string()),
        ("Name", recovered.name.clone()),
        ("Login", recovered.login.clone().unwrap_or_default()),
        (kind, secret.to_owned()),
        ("Ended sessions", recovered.ended_sessions.to_string()),
    ]))?;
    output.hint(match recovered.login {
        Some(_) => {
            "\nnext: start the server, then sign in and set another password; this one is shown this once"
        }
        None => "\nnext: start the server, then run `muster login`; the token is shown this once",
    });
    Ok(())
}
