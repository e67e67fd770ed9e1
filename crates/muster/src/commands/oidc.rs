use std::str::FromStr;

use clap::{Args, Subcommand};
use muster_client::ApiError;
use muster_wire::oidc::{
    ClientSecret, OidcCheck, OidcMapping, OidcProvider, OidcRemoved, SetOidcProvider, default_groups_claim,
    default_scopes,
};
use muster_wire::people::Role;
use muster_wire::text::{Line, ProviderName};
use secrecy::ExposeSecret;

use crate::failure::Failure;
use crate::input::{Source, wire_text};
use crate::operator::Operator;
use crate::output::record;
use crate::words::{joined, moment, word, yes};

const EXAMPLES: &str = "\
Examples:
  muster oidc set corp --issuer https://login.example --client-id muster \\
    --secret-file corp-secret \\
    --map platform-admins=admin@platform --map backup-team=operator@acme
  muster oidc check corp
  muster oidc list";

const SET_HELP: &str = "\
What is not named stays as it is; --map names all mappings anew, and the first that fits a person counts.
Who is in no mapped group cannot sign in, and loses what they were here at their next attempt.
The secret is asked for again when the issuer or the client id changes.

Examples:
  muster oidc set corp --issuer https://login.example --client-id muster \\
    --secret-file corp-secret \\
    --map platform-admins=admin@platform --map backup-team=operator@acme
  muster oidc set corp --map backup-team=owner@acme
  muster oidc set corp --allowed false";

/// Providers of OpenID Connect that people sign in with
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Oidc {
    /// List the providers
    #[command(after_help = "Examples:\n  muster oidc list\n  muster oidc list -o json")]
    List,
    /// Make a provider, or change one
    #[command(after_help = SET_HELP)]
    Set {
        /// What it is called on the sign-in page: a word in lower case
        #[arg(value_parser = wire_text::<ProviderName>)]
        name: ProviderName,
        #[command(flatten)]
        change: Box<Change>,
    },
    /// Remove a provider, and sign out everybody who came by it
    #[command(after_help = "Examples:\n  muster oidc remove corp")]
    Remove {
        /// The provider
        #[arg(value_parser = wire_text::<ProviderName>)]
        name: ProviderName,
    },
    /// Ask a provider for its documents and say what stands in the way of signing in
    #[command(after_help = "Exits with 1 when something does.\n\nExamples:\n  muster oidc check corp")]
    Check {
        /// The provider
        #[arg(value_parser = wire_text::<ProviderName>)]
        name: ProviderName,
    },
}

/// What to change about a provider.
#[derive(Debug, Args)]
pub(crate) struct Change {
    /// Its issuer, to the letter as its discovery document says it
    #[arg(long, value_name = "URL", value_parser = wire_text::<Line<256>>)]
    issuer: Option<Line<256>>,
    /// What it calls this server
    #[arg(long, value_name = "ID", value_parser = wire_text::<Line<256>>)]
    client_id: Option<Line<256>>,
    /// File with the secret it gave this server; - reads standard input
    #[arg(long, value_name = "FILE")]
    secret_file: Option<Source>,
    /// A scope to ask for beside `openid`; all of them are named anew [new providers: profile, groups]
    #[arg(long = "scope", value_name = "SCOPE", value_parser = wire_text::<Line<64>>)]
    scopes: Vec<Line<64>>,
    /// The claim that holds the groups of a person [new providers: groups]
    #[arg(long, value_name = "CLAIM", value_parser = wire_text::<Line<128>>)]
    groups_claim: Option<Line<128>>,
    /// Who is in GROUP becomes ROLE (admin, owner, operator, viewer) in TEAM, by name or id
    #[arg(long = "map", value_name = "GROUP=ROLE@TEAM")]
    mappings: Vec<Mapping>,
    /// Whether people may sign in with it now [new providers: true]
    #[arg(long, value_name = "true|false")]
    allowed: Option<bool>,
}

/// A mapping as it is typed: a group may hold what it likes, a role neither `=` nor `@`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mapping {
    group: Line<256>,
    role: Role,
    team: String,
}

impl FromStr for Mapping {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "expected GROUP=ROLE@TEAM, for example backup-team=operator@acme";
        let (group, role, team) = Role::ALL
            .iter()
            .find_map(|role| {
                let (group, team) = text.split_once(&format!("={}@", role.as_str()))?;
                Some((group, *role, team))
            })
            .ok_or(FORM)?;
        if team.is_empty() {
            return Err(FORM);
        }
        Ok(Self { group: group.parse().map_err(|_| FORM)?, role, team: team.to_owned() })
    }
}

impl Oidc {
    pub(crate) async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let (client, output) = (&operator.client, operator.output);
        match self {
            Self::List => {
                let providers = client.oidc_providers().await?;
                let header = ["NAME", "ISSUER", "CLIENT", "MAPPINGS", "ALLOWED", "SET"];
                output.list(&providers, |provider| provider.name.to_string(), &header, row, "no providers")
            }
            Self::Set { name, change } => {
                let known = client.oidc_providers().await?;
                let known = known.items.iter().find(|provider| provider.name == name);
                let settings = change.settings(operator, known.map(|provider| &**provider)).await?;
                let set = client.set_oidc_provider(&name, &settings).await?;
                output.show(&set, |provider| provider.name.to_string(), describe)?;
                output.hint(&format!("next: muster oidc check {name}"));
                Ok(())
            }
            Self::Remove { name } => {
                let removed = client.remove_oidc_provider(&name).await.map_err(unknown)?;
                let table = |removed: &OidcRemoved| {
                    let more = if removed.more_follow { ", more follow" } else { "" };
                    format!("removed {name}; {} people were signed out{more}", removed.signed_out)
                };
                output.show(&removed, |_| name.to_string(), table)
            }
            Self::Check { name } => {
                let checked = client.check_oidc_provider(&name).await.map_err(unknown)?;
                output.show(&checked, |_| String::new(), findings)?;
                if checked.works {
                    return Ok(());
                }
                let next = format!("put it right at the provider, or with muster oidc set {name}");
                Err(Failure::failed("signing in with this provider does not work", next))
            }
        }
    }
}

impl Change {
    /// Puts together what a provider is from now on.
    async fn settings(
        self,
        operator: &Operator,
        known: Option<&OidcProvider>,
    ) -> Result<SetOidcProvider, Failure> {
        let missing = |option: &str| {
            Failure::usage(format!("a new provider needs {option}"), "muster help oidc set shows an example")
        };
        let kept = |text: &str| Line::parse(text).ok();
        let issuer = self.issuer.or_else(|| kept(&known?.issuer)).ok_or_else(|| missing("--issuer"))?;
        let client_id = self.client_id.or_else(|| known.and_then(|known| Line::parse(&known.client_id).ok()));
        let client_id = client_id.ok_or_else(|| missing("--client-id"))?;
        let client_secret = match &self.secret_file {
            Some(source) => Some(secret(source)?),
            None if known.is_none() => return Err(missing("--secret-file")),
            None => None,
        };
        let scopes = match (self.scopes.is_empty(), known) {
            (false, _) => self.scopes.into_iter().collect(),
            (true, Some(known)) => known.scopes.iter().filter_map(|scope| Line::parse(scope).ok()).collect(),
            (true, None) => default_scopes(),
        };
        let claim =
            self.groups_claim.or_else(|| known.and_then(|known| Line::parse(&known.groups_claim).ok()));
        let mut mappings = Vec::with_capacity(self.mappings.len());
        for Mapping { group, role, team } in self.mappings {
            mappings.push(OidcMapping { group, role, team_id: operator.team(&team).await? });
        }
        if mappings.is_empty() {
            mappings = known.map(|known| known.mappings.clone()).unwrap_or_default();
        }
        Ok(SetOidcProvider {
            issuer,
            client_id,
            client_secret,
            scopes,
            groups_claim: claim.unwrap_or_else(default_groups_claim),
            mappings: mappings.into_iter().collect(),
            allowed: self.allowed.or(known.map(|known| known.allowed)).unwrap_or(true),
        })
    }
}

fn unknown(error: ApiError) -> Failure {
    Failure::from(error).advise("not_found", "`muster oidc list` shows the providers")
}

fn secret(source: &Source) -> Result<ClientSecret, Failure> {
    let line = source.read_line("client secret")?;
    ClientSecret::parse(line.expose_secret())
        .map_err(|_| Failure::usage(format!("{source} does not hold a client secret"), "name the right file"))
}

fn row(provider: &OidcProvider) -> Vec<String> {
    vec![
        provider.name.to_string(),
        provider.issuer.clone(),
        provider.client_id.clone(),
        provider.mappings.len().to_string(),
        yes(provider.allowed),
        moment(provider.updated_at),
    ]
}

fn describe(provider: &OidcProvider) -> String {
    let mapping =
        |mapping: &OidcMapping| format!("{}={}@{}", mapping.group, word(&mapping.role), mapping.team_id);
    record(&[
        ("Provider", provider.name.to_string()),
        ("Issuer", provider.issuer.clone()),
        ("Client", provider.client_id.clone()),
        ("Scopes", joined(&provider.scopes)),
        ("Groups in", provider.groups_claim.clone()),
        ("Mappings", joined(provider.mappings.iter().map(mapping))),
        ("Allowed", yes(provider.allowed)),
        ("Register", joined(&provider.redirect_uris)),
        ("Made", moment(provider.created_at)),
        ("Set", moment(provider.updated_at)),
    ])
}

fn findings(checked: &OidcCheck) -> String {
    let line = |ok: bool, says: &str| {
        format!("{}  {}", if ok { "ok   " } else { "WRONG" }, crate::output::visible(says))
    };
    let lines: Vec<String> = checked.findings.iter().map(|finding| line(finding.ok, &finding.says)).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_read_whatever_the_group_is_called() {
        let read = |text: &str| text.parse::<Mapping>().ok().map(|m| (m.group.to_string(), m.role, m.team));
        let expected = |group: &str, role, team: &str| Some((group.to_owned(), role, team.to_owned()));
        assert_eq!(read("ops=operator@acme"), expected("ops", Role::Operator, "acme"));
        assert_eq!(read("cn=ops,dc=a=viewer@The Team"), expected("cn=ops,dc=a", Role::Viewer, "The Team"));
        assert_eq!(read("ops@example=admin@platform"), expected("ops@example", Role::Admin, "platform"));
        for wrong in
            ["", "ops", "ops=operator", "ops=operator@", "ops=king@acme", "=operator@acme", "ops@acme"]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
