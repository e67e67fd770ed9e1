use std::collections::BTreeMap;

use muster_ids::SiteId;
use muster_wire::host::InviteHost;
use muster_wire::text::{Line, Name};

use crate::commands::ticket::many::{Files, List, Minted, Row, sites, write};
use crate::failure::Failure;
use crate::input::wire_text;
use crate::operator::Operator;

pub(super) const HELP: &str = "\
The first line of the file names its columns, all but `name` optional:
  name             what people call the host
  tags             its tags, separated by spaces
  site             site it will stand at, by name or id [default: the site `default`]
  provider, zone   who runs the hardware, and where
  expires          how long its registration token may be used [default: 1h]
  require-key      true: refuse machines that cannot hold a key pair
  ephemeral-hours  retire the host after so many hours without contact

Nothing is made unless every line holds. Run again with the same file within a day, after a crash or a lost
connection, the same hosts come out. Join strings are written to the one file alone, readable by you only.

Examples:
  muster host invite-many --csv branch.csv --out join-strings.csv";

const RUN_AGAIN: &str = "run the same command again: what was made is not made twice, for a day";

/// Invites the hosts of a list and writes their join strings.
pub(super) async fn run(operator: &Operator, files: &Files) -> Result<(), Failure> {
    let columns = ["name", "tags", "site", "provider", "zone", "expires", "require-key", "ephemeral-hours"];
    let mut list = List::read(files, &columns)?;
    let sites = sites(operator, &mut list).await?;
    let requests = list.each(|row, _| Ok((invitation(row, &sites)?, Vec::new())));
    list.check()?;
    let mut minted = Vec::new();
    for (line, request) in requests {
        let answer = operator.client.invite_host_once(&request, &list.key("host", line)).await;
        let invited = answer.map_err(|error| Failure::from(error).at(&format!("line {line}"), RUN_AGAIN))?;
        let name = request.name.to_string();
        minted.push(Minted { name, ticket: invited.into_value().registration });
    }
    write(operator, files.out(), &minted)
}

fn invitation(row: &Row, sites: &BTreeMap<String, SiteId>) -> Result<InviteHost, String> {
    Ok(InviteHost {
        name: row.read("name", wire_text::<Name>)?.ok_or("name is missing")?,
        site_id: row.text("site").and_then(|name| sites.get(name).copied()),
        provider: row.read("provider", wire_text::<Line<64>>)?,
        zone: row.read("zone", wire_text::<Line<64>>)?,
        tags: row.tags()?,
        expires_in_secs: row.life()?,
        require_key: row.require_key()?,
        ephemeral_hours: row.ephemeral_hours()?,
    })
}
