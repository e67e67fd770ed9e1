use clap::Subcommand;
use muster_client::api::collect;
use muster_ids::HostId;
use muster_wire::bounds::Ordered;
use muster_wire::secret::{PushSecret, PushedSecret, PushedTo, SecretMetadata};
use muster_wire::text::SecretName;

use super::Most;
use crate::failure::Failure;
use crate::input::{Source, wire_text};
use crate::operator::Operator;
use crate::output::{record, table};
use crate::words::{joined, moment, yes};

const EXAMPLES: &str = "\
Examples:
  muster secret set web-1 repo --file repo.json
  muster secret list web-1";

const SET_EXAMPLES: &str = r#"The document is merged into the secret (RFC 7396): fields it does not name stay, fields it
sets to null go.

Examples:
  muster secret set web-1 repo --file repo.json
  echo '{"http_password": null}' | muster secret set web-1 repo --file -

The secret `repo` is where the host backs up to:
  {"url": "rest:https://backup.example/web-1/", "user": "web-1",
   "http_password": "…", "password": "…"}"#;

const PUSH_EXAMPLES: &str = r#"The document is merged into the secret of each host (RFC 7396), as `muster secret set` does it.

Examples:
  muster secret push api --host web-1 --host web-2 --file api.json
  echo '{"token": "…"}' | muster secret push api --host web-1 --host web-2 --file -"#;

/// Secrets: named JSON documents, sealed on the server, delivered to their host, never shown again
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Secret {
    /// Set fields of a secret and push it to its host
    #[command(after_help = SET_EXAMPLES)]
    Set {
        /// The host, by name or id
        host: String,
        /// The secret's name
        #[arg(value_parser = wire_text::<SecretName>)]
        name: SecretName,
        /// File with a JSON object; - reads standard input
        #[arg(long, short, value_name = "FILE")]
        file: Source,
    },
    /// Set fields of a secret of many hosts at once, and push it to each: to all of them, or to none
    #[command(after_help = PUSH_EXAMPLES)]
    Push {
        /// The secret's name
        #[arg(value_parser = wire_text::<SecretName>)]
        name: SecretName,
        /// A host, by name or id; repeat for several, at most 100
        #[arg(long = "host", value_name = "HOST", required = true)]
        hosts: Vec<String>,
        /// File with a JSON object; - reads standard input
        #[arg(long, short, value_name = "FILE")]
        file: Source,
    },
    /// List the secrets of a host: names, versions, deliveries, never values
    #[command(after_help = "Examples:\n  muster secret list web-1")]
    List {
        /// The host, by name or id
        host: String,
        #[command(flatten)]
        most: Most,
    },
}

impl Secret {
    pub(crate) async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let (client, output) = (&operator.client, operator.output);
        match self {
            Self::Set { host, name, file } => {
                let document = file.read_document()?;
                let host_id = operator.host(&host).await?;
                let secret = client.set_secret(host_id, &name, &document).await?;
                output.show(&secret, |secret| secret.id.to_string(), describe)
            }
            Self::Push { name, hosts, file } => {
                let document = file.read_document()?;
                let hosts = many_hosts(operator, &hosts).await?;
                let pushed = client.push_secret(&name, &PushSecret { hosts, document }).await?;
                output.show(&pushed, |_| name.to_string(), describe_pushed)
            }
            Self::List { host, most } => {
                let host_id = operator.host(&host).await?;
                let secrets = collect(most.limit, async |page| client.secrets(host_id, &page).await).await?;
                let header = ["NAME", "VERSION", "FIELDS", "CHANGED", "DELIVERED", "EXPOSED"];
                output.list(&secrets, |secret| secret.name.clone(), &header, row, "no secrets")?;
                if secrets.items.iter().any(|secret| secret.exposed) {
                    output.hint("exposed: a key that is no longer trusted received the value; change it where it is used, then `muster secret set`");
                }
                Ok(())
            }
        }
    }
}

/// Finds several hosts, in their order; one that is named twice is one.
pub(super) async fn many_hosts<const MOST: usize>(
    operator: &Operator,
    names: &[String],
) -> Result<Ordered<HostId, MOST>, Failure> {
    let mut hosts = Vec::new();
    for name in names {
        let host_id = operator.host(name).await?;
        if !hosts.contains(&host_id) {
            hosts.push(host_id);
        }
    }
    if hosts.len() > MOST {
        return Err(Failure::usage(
            format!("{} hosts are too many", hosts.len()),
            format!("name at most {MOST} at once"),
        ));
    }
    Ok(hosts.into_iter().collect())
}

fn describe_pushed(pushed: &PushedSecret) -> String {
    let row = |one: &PushedTo| vec![one.host_id.to_string(), one.version.to_string(), joined(&one.fields)];
    table(&["HOST", "VERSION", "FIELDS"], pushed.items.iter().map(row))
}

fn delivered(secret: &SecretMetadata) -> String {
    let last = secret.deliveries.iter().max_by_key(|delivery| (delivery.version, delivery.delivered_at));
    match last {
        None => "no".to_owned(),
        Some(last) if last.version == secret.version => moment(last.delivered_at),
        Some(last) => format!("version {} only", last.version),
    }
}

fn row(secret: &SecretMetadata) -> Vec<String> {
    vec![
        secret.name.clone(),
        secret.version.to_string(),
        joined(&secret.fields),
        moment(secret.updated_at),
        delivered(secret),
        yes(secret.exposed),
    ]
}

fn describe(secret: &SecretMetadata) -> String {
    record(&[
        ("Secret", secret.id.to_string()),
        ("Name", secret.name.clone()),
        ("Version", secret.version.to_string()),
        ("Fields", joined(&secret.fields)),
        ("Changed", moment(secret.updated_at)),
        ("Delivered", delivered(secret)),
        ("Exposed", yes(secret.exposed)),
    ])
}

#[cfg(test)]
mod tests;
