use clap::Args;

use super::whoami::describe;
use crate::cli::Global;
use crate::context::{Context, Draft};
use crate::failure::Failure;
use crate::operator::{Operator, client};

const EXAMPLES: &str = "\
Reads the token from --token-file or standard input, asks the server who it acts as, and writes
both to the context file, which only you can read. Without --url it is the server on this machine.

Examples:
  muster login
  muster login --token-file ./token
  muster login --url https://muster.example:8643 --pin PIN < token
  muster login --team acme --token-file ./token    act in team acme from now on

To log out, delete the context file.";

/// Keep a token for a server, after checking it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Login {}

impl Login {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let context_path = global.context_path()?;
        let draft = Draft::new(&context_path)?;
        let token = global.token_source().read_line("token")?;
        let url = global.url_or_default()?;
        let client = client(url.clone(), &global.pin, Some(token.clone()))?;
        let mut operator = Operator { client, output: global.output(), context_path };
        let wrong_token =
            "the server does not know this token: copy it again, or ask an admin for another one";
        let known = operator.client.me().await;
        let mut me = known.map_err(|error| Failure::from(error).advise("unauthorized", wrong_token))?;
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
}
