use clap::Args;
use muster_wire::people::Me;
use muster_wire::permission::Permission;

use crate::failure::Failure;
use crate::operator::{Operator, address};
use crate::output::record;
use crate::words::word;

const EXAMPLES: &str = "\
Examples:
  muster whoami
  muster whoami --url https://muster.example:8643 --token-file ./token";

/// What to do with a token that is good and may not ask who it is.
pub(super) const NARROW: &str = "the server knows this token, but its scopes leave out own_account: give it to \
                                 programs with --token-file, or make one that has it: muster token create";

/// Show who your token acts as and what it may do, and check that it works
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Whoami {}

impl Whoami {
    pub(crate) async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let known = operator.client.me().await;
        let me = known.map_err(|error| Failure::from(error).advise("forbidden", NARROW))?;
        operator.output.show(&me, |me| me.user_id.to_string(), |me| describe(me, operator))
    }
}

/// Lays out a person.
pub(super) fn describe(me: &Me, operator: &Operator) -> String {
    let acting_in = operator.client.team().filter(|team_id| *team_id != me.team_id);
    record(&[
        ("Name", me.name.clone()),
        ("User", me.user_id.to_string()),
        ("Role", word(&me.role)),
        ("Team", format!("{} ({})", me.team_name, me.team_id)),
        ("Acting in", acting_in.map(|team_id| team_id.to_string()).unwrap_or_default()),
        ("Token", me.token_id.map(|id| id.to_string()).unwrap_or_default()),
        ("Session", me.web_session_id.map(|id| id.to_string()).unwrap_or_default()),
        ("May", me.permissions.iter().map(Permission::to_string).collect::<Vec<_>>().join(", ")),
        ("Server", address(operator.client.base()).to_owned()),
    ])
}
