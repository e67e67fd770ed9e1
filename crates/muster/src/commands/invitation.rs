use clap::Subcommand;
use muster_client::api::collect;
use muster_wire::invitation::{Invitation as View, InvitationStatus, MintedInvitation};

use super::Most;
use crate::failure::Failure;
use crate::lookup::id;
use crate::operator::Operator;
use crate::output::{record, visible};
use crate::words::{moment, optional_moment, relative, word};

const EXAMPLES: &str = "\
Examples:
  muster invitation list
  muster invitation revoke 0aB1cD2eF3gH
  muster people invite Grace --role operator";

/// Invitations: links by which people become members
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Invitation {
    /// List invitations, the accepted and the revoked ones too
    #[command(
        after_help = "Examples:\n  muster invitation list\n  muster --team acme invitation list -o json"
    )]
    List(Most),
    /// Revoke an invitation nobody accepted: its link leads nowhere
    #[command(
        after_help = "Exits with 1 when somebody accepted it.\n\nExamples:\n  muster invitation revoke 0aB1cD2eF3gH"
    )]
    Revoke {
        /// The invitation's id
        invitation: String,
    },
}

impl Invitation {
    pub(crate) async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let (client, output) = (&operator.client, operator.output);
        match self {
            Self::List(most) => {
                let invitations = collect(most.limit, async |page| client.invitations(&page).await).await?;
                let now = operator.now();
                let row = |invitation: &View| {
                    vec![
                        invitation.id.to_string(),
                        invitation.name.clone(),
                        word(&invitation.role),
                        word(&invitation.status),
                        relative(invitation.expires_at, now),
                        invitation.created_by.clone(),
                    ]
                };
                let header = ["ID", "NAME", "ROLE", "STATUS", "EXPIRES", "INVITED BY"];
                let name = |invitation: &View| invitation.id.to_string();
                output.list(&invitations, name, &header, row, "no invitations")
            }
            Self::Revoke { invitation } => {
                let invitation = client.revoke_invitation(id("invitation", &invitation)?).await?;
                output.show(&invitation, |invitation| invitation.id.to_string(), describe)?;
                stands_revoked(&invitation)
            }
        }
    }
}

/// An invitation that is not open stays as it is: that nothing was taken back must not be overlooked.
fn stands_revoked(invitation: &View) -> Result<(), Failure> {
    match invitation.status {
        InvitationStatus::Accepted => Err(Failure::failed(
            "not revoked: somebody accepted this invitation",
            format!("to lock them out: muster people remove '{}'", visible(&invitation.name)),
        )),
        InvitationStatus::Open | InvitationStatus::Expired | InvitationStatus::Revoked => Ok(()),
    }
}

/// Lays out an invitation that was just made, its link on a line of its own.
pub(super) fn describe_minted(minted: &MintedInvitation) -> String {
    let invitation = describe(&minted.invitation);
    format!("{invitation}\n\nlink, shown this once:\n{}", visible(&minted.url))
}

fn describe(invitation: &View) -> String {
    record(&[
        ("Invitation", invitation.id.to_string()),
        ("Name", invitation.name.clone()),
        ("Role", word(&invitation.role)),
        ("Status", word(&invitation.status)),
        ("Team", invitation.team_id.to_string()),
        ("Invited by", invitation.created_by.clone()),
        ("Made", moment(invitation.created_at)),
        ("Expires", moment(invitation.expires_at)),
        ("Accepted", optional_moment(invitation.accepted_at)),
        ("Person", invitation.accepted_by.map(|id| id.to_string()).unwrap_or_default()),
        ("Revoked", optional_moment(invitation.revoked_at)),
    ])
}
