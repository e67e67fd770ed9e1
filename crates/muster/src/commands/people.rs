use clap::{Args, Subcommand};
use muster_client::api::collect;
use muster_wire::invitation::{CreateInvitation, InvitationLife};
use muster_wire::people::{Person, Role, SetRole};
use muster_wire::text::Name;

use super::Most;
use super::invitation::describe_minted;
use crate::failure::Failure;
use crate::input::{ask, wire_text, wire_word};
use crate::operator::Operator;
use crate::output::record;
use crate::span::Span;
use crate::words::{moment, optional_moment, relative, word, yes};

const EXAMPLES: &str = "\
Examples:
  muster people list
  muster people invite Grace --role operator
  muster people role Grace viewer
  muster --team acme people remove Grace";

const ROLES: &[&str] = &["admin", "owner", "operator", "viewer"];

/// People: the members of a team and what they may do
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum People {
    /// List the members of the team
    #[command(after_help = "Examples:\n  muster people list\n  muster --team acme people list -o json")]
    List(Most),
    /// Invite a person by a link, shown once; with -q it is all that is written
    #[command(
        after_help = "Whoever has the link becomes the person: hand it over in private.\n\nExamples:\n  muster people invite Grace --role operator\n  muster --team acme people invite Ada --role owner --expires-in 24h -q > link"
    )]
    Invite(Invite),
    /// Set the role of a member; their sessions end
    #[command(after_help = "Examples:\n  muster people role Grace viewer")]
    Role {
        /// The person, by name or id
        person: String,
        /// What they shall be: admin in the platform's team, owner in any other, operator, viewer
        #[arg(value_parser = wire_word::<Role>(ROLES))]
        role: Role,
    },
    /// Remove a member: their tokens, sessions and password end at once
    #[command(
        after_help = "Asks first.\n\nExamples:\n  muster people remove Grace\n  muster people remove Grace --yes"
    )]
    Remove {
        /// The person, by name or id
        person: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// Who is invited.
#[derive(Debug, Args)]
pub(crate) struct Invite {
    /// The name they will have
    #[arg(value_parser = wire_text::<Name>)]
    name: Name,
    /// What they will be: admin in the platform's team, owner in any other, operator, viewer
    #[arg(long, value_name = "ROLE", value_parser = wire_word::<Role>(ROLES))]
    role: Role,
    /// How long the link may be used, from 5m to 30d [default: 72h]
    #[arg(long, value_name = "TIME")]
    expires_in: Option<Span>,
}

impl People {
    pub(crate) async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let (client, output) = (&operator.client, operator.output);
        match self {
            Self::List(most) => {
                let people = collect(most.limit, async |page| client.people(&page).await).await?;
                let now = operator.now();
                let row = |person: &Person| {
                    vec![
                        person.name.clone(),
                        person.id.to_string(),
                        word(&person.role),
                        person.login.clone().unwrap_or_default(),
                        person.has_second_factor.map_or_else(String::new, yes),
                        person.signed_in_at.map_or("never".to_owned(), |at| relative(at, now)),
                    ]
                };
                let header = ["NAME", "ID", "ROLE", "LOGIN", "SECOND FACTOR", "SIGNED IN"];
                output.list(&people, |person| person.id.to_string(), &header, row, "no people")
            }
            Self::Invite(invite) => invite.run(operator).await,
            Self::Role { person, role } => {
                let user_id = operator.person(&person).await?;
                let person = client.set_role(user_id, &SetRole { role }).await?;
                output.show(&person, |person| person.id.to_string(), describe)
            }
            Self::Remove { person, yes } => {
                let person = client.person(operator.person(&person).await?).await?;
                if !yes && !confirmed(&person)? {
                    return Err(Failure::plain("not removed: you did not say yes"));
                }
                let removed = client.remove_person(person.id).await?;
                output.show(&removed, |person| person.id.to_string(), describe)
            }
        }
    }
}

impl Invite {
    async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let life = |span: Span| {
            InvitationLife::new(span.as_secs())
                .ok_or_else(|| Failure::usage("--expires-in is out of bounds", "choose from 5m to 30d"))
        };
        let expires_in_secs = self.expires_in.map(life).transpose()?;
        let request = CreateInvitation { name: self.name, role: self.role, expires_in_secs };
        let minted = operator.client.invite(&request).await?;
        operator.output.show(&minted, |minted| minted.url.clone(), describe_minted)?;
        operator.output.hint("whoever opens the link becomes this person: hand it over in private");
        Ok(())
    }
}

fn confirmed(person: &Person) -> Result<bool, Failure> {
    eprintln!("{}\n", describe(person));
    ask("remove this person with all their tokens and sessions?")?.ok_or_else(|| {
        Failure::usage(
            "nobody can be asked: this is no terminal",
            "look at the person above, then repeat with --yes",
        )
    })
}

fn describe(person: &Person) -> String {
    record(&[
        ("User", person.id.to_string()),
        ("Name", person.name.clone()),
        ("Role", word(&person.role)),
        ("Login", person.login.clone().unwrap_or_default()),
        ("Second factor", person.has_second_factor.map_or_else(String::new, yes)),
        ("Member since", moment(person.created_at)),
        ("Signed in", optional_moment(person.signed_in_at)),
        ("Removed", optional_moment(person.removed_at)),
    ])
}
