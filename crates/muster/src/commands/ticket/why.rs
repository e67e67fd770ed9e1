use clap::Args;
use muster_client::api::collect;
use muster_ids::TicketId;
use muster_wire::refusal::{RefusedRequest, TicketRefusal};

use crate::commands::Most;
use crate::failure::Failure;
use crate::lookup::id;
use crate::operator::Operator;
use crate::words::moment;

/// What to say why about.
#[derive(Debug, Args)]
pub(crate) struct Why {
    /// The ticket's id
    #[arg(required_unless_present = "request", conflicts_with = "request")]
    ticket: Option<String>,
    /// The request id a machine quotes
    #[arg(long, value_name = "REQUEST")]
    request: Option<String>,
    #[command(flatten)]
    most: Most,
}

impl Why {
    pub(super) async fn run(self, operator: &Operator) -> Result<(), Failure> {
        match (self.request, self.ticket) {
            (Some(request), _) => of_request(operator, &request).await,
            (None, ticket) => {
                of_ticket(operator, id("ticket", &ticket.unwrap_or_default())?, self.most).await
            }
        }
    }
}

async fn of_ticket(operator: &Operator, ticket_id: TicketId, most: Most) -> Result<(), Failure> {
    let client = &operator.client;
    let refusals = collect(most.limit, async |page| client.ticket_refusals(ticket_id, &page).await).await?;
    let row = |refusal: &TicketRefusal| {
        vec![
            refusal.cause.to_string(),
            refusal.count.to_string(),
            moment(refusal.first_at),
            moment(refusal.last_at),
            refusal.last_source.clone(),
            refusal.last_request_id.clone(),
            refusal.cause.says().to_owned(),
        ]
    };
    let header = ["CAUSE", "COUNT", "FIRST", "LAST", "LAST FROM", "LAST REQUEST", "MEANS"];
    let name = |refusal: &TicketRefusal| refusal.cause.to_string();
    operator.output.list(&refusals, name, &header, row, "nobody was refused with this ticket")
}

async fn of_request(operator: &Operator, request: &str) -> Result<(), Failure> {
    let found = operator.client.refused_requests(request).await?;
    let row = |found: &RefusedRequest| {
        vec![
            moment(found.at),
            found.ticket_id.to_string(),
            found.cause.to_string(),
            found.source.clone(),
            found.cause.says().to_owned(),
        ]
    };
    let header = ["AT", "TICKET", "CAUSE", "FROM", "MEANS"];
    let none = "nothing is known of this request: the ticket it showed is none of this team, \
                or many others came after it";
    operator.output.list(&found, |found| found.cause.to_string(), &header, row, none)
}
