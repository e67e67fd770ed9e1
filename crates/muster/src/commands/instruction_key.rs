use clap::Subcommand;
use muster_wire::server_keys::{HostsInformed, InstructionKeys};

use super::informed;
use crate::failure::Failure;
use crate::operator::Operator;
use crate::output::record;
use crate::words::optional_moment;

const EXAMPLES: &str = "\
It signs what makes an agent give up its key, and what tells agents of the server's next keys;
agents know it by its thumbprint from the join string. To replace it, take these steps in order:

  muster instruction-key announce      # every agent is told of the next key
  muster instruction-key show          # until all hosts know it
  muster instruction-key switch        # the next key signs
  muster instruction-key finish        # the former key is destroyed

Between the last two each agent gets the signature it accepts; join strings made before the switch
are good until the last step.";

/// The key that signs instructions to agents; for admins
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum InstructionKey {
    /// Show the keys, and how many hosts know the next one
    #[command(after_help = "Examples:\n  muster instruction-key show\n  muster instruction-key show -o json")]
    Show,
    /// Make the next key and tell every agent of it
    #[command(after_help = "Examples:\n  muster instruction-key announce")]
    Announce,
    /// Let the next key sign from now on
    #[command(after_help = "Examples:\n  muster instruction-key switch")]
    Switch {
        /// Also when some hosts do not know it yet
        #[arg(long)]
        force: bool,
    },
    /// Destroy the former key: hosts that do not know the one in use need a new join string
    #[command(after_help = "Examples:\n  muster instruction-key finish")]
    Finish {
        /// Also when some hosts do not know the key in use
        #[arg(long)]
        force: bool,
    },
}

impl InstructionKey {
    pub(crate) async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let (client, output) = (&operator.client, operator.output);
        let keys = match self {
            Self::Show => client.instruction_key().await?,
            Self::Announce => client.announce_instruction_key().await?,
            Self::Switch { force } => client.switch_instruction_key(force).await?,
            Self::Finish { force } => client.finish_instruction_key(force).await?,
        };
        output.show(&keys, |keys| keys.current.to_string(), describe)
    }
}

fn describe(keys: &InstructionKeys) -> String {
    let InstructionKeys { current, next, former, announced_at, switched_at, hosts } = keys;
    let optional =
        |key: &Option<muster_ids::KeyThumbprint>| key.map(|key| key.to_string()).unwrap_or_default();
    record(&[
        ("Signs", current.to_string()),
        ("Next", optional(next)),
        ("Former", optional(former)),
        ("Announced", optional_moment(*announced_at)),
        ("Switched", optional_moment(*switched_at)),
        ("Hosts", step(keys, *hosts)),
    ])
}

fn step(keys: &InstructionKeys, hosts: HostsInformed) -> String {
    match (&keys.next, &keys.former) {
        (Some(_), _) => informed(hosts, "know the next key"),
        (None, Some(_)) => informed(hosts, "know the key in use"),
        (None, None) => hosts.hosts.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use muster_ids::{KeyThumbprint, Timestamp};

    use super::*;

    fn keys() -> InstructionKeys {
        let key = |n| KeyThumbprint::from_digest([n; 32]);
        InstructionKeys {
            current: key(1),
            next: Some(key(2)),
            former: None,
            announced_at: Some(Timestamp::from_millis(1_800_000_000_000)),
            switched_at: None,
            hosts: HostsInformed { hosts: 3, informed: 2 },
        }
    }

    #[test]
    fn each_stage_says_what_is_waited_for() {
        let announced = describe(&keys());
        assert!(announced.contains("2 of 3 know the next key"), "{announced}");
        let switched = InstructionKeys { next: None, former: keys().next, ..keys() };
        assert!(describe(&switched).contains("2 of 3 know the key in use"));
        let settled = describe(&InstructionKeys { next: None, announced_at: None, ..keys() });
        assert!(!settled.contains(" of 3"), "{settled}");
    }
}
