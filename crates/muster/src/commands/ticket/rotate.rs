use clap::Args;
use muster_wire::ticket::{Overlap, RotateSiteKey};

use super::{describe_minted, hint_at_agent, max_uses, out_of_bounds, site_key_life};
use crate::failure::Failure;
use crate::lookup::id;
use crate::operator::Operator;
use crate::span::Span;
use crate::words::moment;

/// How a site key is rotated.
#[derive(Debug, Args)]
pub(crate) struct Rotate {
    /// The site key's id; only the newest of a site's chain can be rotated
    ticket: String,
    /// How long the former key still admits, up to 30d [default: 7d]
    #[arg(long, value_name = "TIME")]
    overlap: Option<Span>,
    /// How long the new key may be used, from 5m [default: as long as the former one was made for]
    #[arg(long, value_name = "TIME")]
    expires_in: Option<Span>,
    /// How many hosts the new key may make or re-key [default: as many as the former one]
    #[arg(long, value_name = "N")]
    max_uses: Option<u64>,
}

impl Rotate {
    pub(super) async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let overlap =
            |span: Span| Overlap::new(span.as_secs()).ok_or_else(|| out_of_bounds("--overlap", "0s to 30d"));
        let rotation = RotateSiteKey {
            overlap_secs: self.overlap.map(overlap).transpose()?,
            expires_in_secs: self.expires_in.map(site_key_life).transpose()?,
            max_uses: self.max_uses.map(max_uses).transpose()?,
        };
        let former = id("ticket", &self.ticket)?;
        let minted = operator.client.rotate_site_key(former, &rotation).await?;
        operator.output.show(&minted, |minted| minted.join_string.clone(), describe_minted)?;
        hint_at_agent(operator);
        let former = operator.client.ticket(former).await?;
        if let Some(rotation) = former.rotation {
            let until = moment(rotation.both_admit_until);
            operator.output.hint(&format!("the former key {} admits until {until}", former.id));
        }
        Ok(())
    }
}
