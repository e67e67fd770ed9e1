use clap::Subcommand;
use muster_client::api::collect;
use muster_wire::people::{CreateOwner, CreateTeam, Team as View};
use muster_wire::text::Name;

use super::Most;
use crate::failure::Failure;
use crate::input::wire_text;
use crate::operator::Operator;
use crate::output::record;
use crate::words::moment;

const EXAMPLES: &str = "\
Examples:
  muster team create acme
  muster team owner acme ada -q > ada-token
  muster --team acme host list";

/// Teams: tenants with their own sites, hosts and owners
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Team {
    /// List the teams you can act in
    #[command(after_help = "Examples:\n  muster team list\n  muster team list -q")]
    List(Most),
    /// Make a team
    #[command(after_help = "Examples:\n  muster team create acme")]
    Create {
        /// What people call it; unique on the server
        #[arg(value_parser = wire_text::<Name>)]
        name: Name,
    },
    /// Make an owner of a team and show their first token, once
    #[command(
        after_help = "Examples:\n  muster team owner acme ada\n  muster team owner acme ada -q > ada-token"
    )]
    Owner {
        /// The team, by name or id
        #[arg(value_name = "TEAM")]
        of_team: String,
        /// The owner's name
        #[arg(value_parser = wire_text::<Name>)]
        name: Name,
    },
}

impl Team {
    pub(crate) async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let (client, output) = (&operator.client, operator.output);
        match self {
            Self::List(most) => {
                let teams = collect(most.limit, async |page| client.teams(&page).await).await?;
                let row = |team: &View| vec![team.name.clone(), team.id.to_string(), moment(team.created_at)];
                output.list(&teams, |team| team.id.to_string(), &["NAME", "ID", "MADE"], row, "no teams")
            }
            Self::Create { name } => {
                let team = client.create_team(&CreateTeam { name }).await?;
                let table = |team: &View| {
                    record(&[
                        ("Team", team.id.to_string()),
                        ("Name", team.name.clone()),
                        ("Made", moment(team.created_at)),
                    ])
                };
                output.show(&team, |team| team.id.to_string(), table)?;
                output.hint("next: muster team owner NAME PERSON, or act in it yourself with --team NAME");
                Ok(())
            }
            Self::Owner { of_team, name } => {
                let team_id = operator.team(&of_team).await?;
                let whose = name.to_string();
                let minted = client.create_owner(team_id, &CreateOwner { name }).await?;
                operator.show_token(&minted, &whose)
            }
        }
    }
}
