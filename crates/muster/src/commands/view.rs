use clap::Subcommand;
use muster_wire::saved_view::{SavedView, SetView};
use muster_wire::text::{Line, Name};

use crate::failure::Failure;
use crate::input::wire_text;
use crate::operator::Operator;
use crate::output::record;
use crate::words::moment;

const EXAMPLES: &str = "\
Examples:
  muster view list
  muster view set stale 'state=active&seen_before=7d'
  muster host list --view stale
  muster view remove stale";

/// Saved views: filters of the list of hosts, under names of your own
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum View {
    /// List your views in this team
    #[command(after_help = "Examples:\n  muster view list")]
    List,
    /// Save a view, or change it
    #[command(
        after_help = "The query is one of GET /v1/hosts without limit and cursor. seen_before and seen_after also take how\nlong ago it is, as in 7d: such a view goes with the time. See it with: muster host list --view NAME\n\nExamples:\n  muster view set web 'state=active&tag=web'\n  muster view set stale 'state=active&seen_before=7d'"
    )]
    Set {
        /// What you call it
        #[arg(value_parser = wire_text::<Name>)]
        name: Name,
        /// The query, for example state=active&tag=web
        #[arg(value_parser = wire_text::<Line<512>>)]
        query: Line<512>,
    },
    /// Remove a view
    #[command(after_help = "Examples:\n  muster view remove web")]
    Remove {
        /// The view, by name
        #[arg(value_parser = wire_text::<Name>)]
        name: Name,
    },
}

impl View {
    pub(crate) async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let (client, output) = (&operator.client, operator.output);
        match self {
            Self::List => {
                let views = client.views().await?;
                let row =
                    |view: &SavedView| vec![view.name.clone(), view.query.clone(), moment(view.updated_at)];
                output.list(&views, |view| view.name.clone(), &["NAME", "QUERY", "CHANGED"], row, "no views")
            }
            Self::Set { name, query } => {
                let view = client.set_view(name.as_str(), &SetView { query }).await?;
                output.show(&view, |view| view.name.clone(), describe)
            }
            Self::Remove { name } => {
                let view = client.remove_view(name.as_str()).await?;
                output.show(&view, |view| view.name.clone(), describe)
            }
        }
    }
}

fn describe(view: &SavedView) -> String {
    record(&[
        ("View", view.name.clone()),
        ("Query", view.query.clone()),
        ("Changed", moment(view.updated_at)),
    ])
}
