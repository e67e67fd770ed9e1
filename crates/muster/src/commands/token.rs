use clap::{Args, Subcommand};
use muster_client::api::collect;
use muster_ids::Timestamp;
use muster_wire::permission::Permission;
use muster_wire::text::Name;
use muster_wire::token::{ApiToken, CreateApiToken, MintedApiToken, TokenLife};

use super::Most;
use crate::failure::Failure;
use crate::input::wire_text;
use crate::lookup::id;
use crate::operator::Operator;
use crate::output::{record, visible};
use crate::span::Span;
use crate::words::{from_word, joined, moment, optional_moment, relative, word};

const EXAMPLES: &str = "\
Examples:
  muster token create ci --scope see_fleet --scope run_jobs -q > ci-token
  muster token list
  muster token list --everybody
  muster token revoke 0aB1cD2eF3gH";

const CREATE_EXAMPLES: &str = "\
A token may at most what its owner may at the moment it is used, and never more than the token that
makes it. None lives longer than a year; make a new one in time.
Without the scope own_account it is for --token-file alone: `muster login` asks who it is.

Examples:
  muster token create laptop
  muster token create ci --scope see_fleet --scope run_jobs --expires-in 30d -q > ci-token
  muster --team acme token create acme-ci --only-this-team";

/// API tokens: what programs show for a person
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Token {
    /// Make a token of your own, shown once; with -q it is all that is written
    #[command(after_help = CREATE_EXAMPLES)]
    Create(Create),
    /// List your own tokens, or those of everybody in the team
    #[command(after_help = "Examples:\n  muster token list\n  muster --team acme token list --everybody")]
    List {
        /// The tokens of all people of the team
        #[arg(long)]
        everybody: bool,
        #[command(flatten)]
        most: Most,
    },
    /// Revoke a token: nothing is done with it any more
    #[command(
        after_help = "Examples:\n  muster token revoke 0aB1cD2eF3gH\n  muster --team acme token revoke 0aB1cD2eF3gH --of-others"
    )]
    Revoke {
        /// The token's id
        id: String,
        /// It belongs to somebody else of the team
        #[arg(long)]
        of_others: bool,
    },
}

/// What the token is for.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// What it is for
    #[arg(value_parser = wire_text::<Name>)]
    name: Name,
    /// What it may at most, as `muster whoami` names it; repeat for several [default: all you may]
    #[arg(long = "scope", value_name = "PERMISSION", value_parser = permission)]
    scopes: Vec<Permission>,
    /// How long it lives, from 5m to 365d [default: 90d]
    #[arg(long, value_name = "TIME")]
    expires_in: Option<Span>,
    /// It acts in the team of --team and in no other, as an owner would
    #[arg(long)]
    only_this_team: bool,
}

impl Token {
    pub(crate) async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let (client, output) = (&operator.client, operator.output);
        match self {
            Self::Create(create) => create.run(operator).await,
            Self::List { everybody, most } => {
                let read = async |page| {
                    if everybody { client.tokens(&page).await } else { client.own_tokens(&page).await }
                };
                let tokens = collect(most.limit, read).await?;
                let now = operator.now();
                let header = ["ID", "NAME", "OWNER", "STATUS", "SCOPES", "EXPIRES", "LAST USED", "FROM"];
                output.list(
                    &tokens,
                    |token| token.id.to_string(),
                    &header,
                    |token| row(token, now),
                    "no tokens",
                )
            }
            Self::Revoke { id: text, of_others } => {
                let token_id = id("token", &text)?;
                let revoked = if of_others {
                    client.revoke_token(token_id).await?
                } else {
                    let revoked = client.revoke_own_token(token_id).await;
                    let others =
                        "`muster token list` shows your tokens; one of somebody else needs --of-others";
                    revoked.map_err(|error| Failure::from(error).advise("not_found", others))?
                };
                output.show(&revoked, |token| token.id.to_string(), describe)
            }
        }
    }
}

impl Create {
    async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let life = |span: Span| {
            TokenLife::new(span.as_secs())
                .ok_or_else(|| Failure::usage("--expires-in is out of bounds", "choose from 5m to 365d"))
        };
        let team_id = match (self.only_this_team, operator.client.team()) {
            (false, _) => None,
            (true, Some(team_id)) => Some(team_id),
            (true, None) => Some(operator.client.me().await?.team_id),
        };
        let request = CreateApiToken {
            name: self.name,
            scopes: (!self.scopes.is_empty()).then(|| self.scopes.into_iter().collect()),
            expires_in_secs: self.expires_in.map(life).transpose()?,
            team_id,
        };
        let minted = operator.client.create_token(&request).await?;
        operator.output.show(&minted, |minted| minted.token.clone(), describe_minted)?;
        operator
            .output
            .hint("the token is shown this once; a program reads it with: muster --token-file FILE");
        Ok(())
    }
}

fn permission(text: &str) -> Result<Permission, String> {
    from_word(text).ok_or_else(|| {
        let words: Vec<&str> = Permission::ALL.iter().map(|permission| permission.as_str()).collect();
        format!("expected one of {}", words.join(", "))
    })
}

fn scopes(token: &ApiToken) -> String {
    token.scopes.as_ref().map_or("all".to_owned(), joined)
}

fn row(token: &ApiToken, now: Timestamp) -> Vec<String> {
    let relative = |at: Option<Timestamp>| at.map_or("never".to_owned(), |at| relative(at, now));
    vec![
        token.id.to_string(),
        token.name.clone().unwrap_or_default(),
        token.user_name.clone(),
        word(&token.status),
        scopes(token),
        relative(token.expires_at),
        relative(token.last_used_at),
        token.last_used_from.clone().unwrap_or_default(),
    ]
}

fn describe_minted(minted: &MintedApiToken) -> String {
    format!("{}\n\ntoken, shown this once:\n{}", describe(&minted.api_token), visible(&minted.token))
}

fn describe(token: &ApiToken) -> String {
    record(&[
        ("Token", token.id.to_string()),
        ("Name", token.name.clone().unwrap_or_default()),
        ("Owner", format!("{} ({})", token.user_name, token.user_id)),
        ("Status", word(&token.status)),
        ("Scopes", scopes(token)),
        ("Only in team", token.team_id.map(|id| id.to_string()).unwrap_or_default()),
        ("Made", moment(token.created_at)),
        ("Expires", token.expires_at.map_or("never".to_owned(), moment)),
        ("Revoked", optional_moment(token.revoked_at)),
        ("Last used", optional_moment(token.last_used_at)),
        ("Last from", token.last_used_from.clone().unwrap_or_default()),
    ])
}

#[cfg(test)]
mod tests;
