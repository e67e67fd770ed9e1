//! The commands that look and change nothing: `doctor` and `support`.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use muster_client::{DialError, ProxyRules};

use super::{Output, Source, parse, say};
use crate::doctor::{self, Outcome};
use crate::error::{AgentError, Exit};
use crate::machine::Machine;
use crate::support;

const DOCTOR_EXAMPLES: &str = "\
Examples:
  muster-agent doctor                      on a machine that joined, or tries to
  muster-agent doctor --stdin < join.txt   before it joins: the ticket is not presented
  muster-agent doctor -o json              for programs

It exits with 1 if anything failed; a warning alone does not count. A running agent goes on.";
const SUPPORT_EXAMPLES: &str = "\
Examples:
  muster-agent support muster-support.json
  muster-agent support - | less            read it before you give it away

It holds what `doctor` and `status` say, facts of the machine, and names, sizes and dates of the state's files.
It holds no ticket, key, secret, or password, and no content of a file.";

#[derive(Debug, Subcommand)]
pub(super) enum Look {
    /// Look at everything between this machine and its server, and say what to do; changes nothing.
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor {
        #[command(flatten)]
        source: Source,
        /// How it is shown.
        #[arg(short = 'o', long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Write what helps others to help, without any secret, as one JSON document.
    #[command(after_help = SUPPORT_EXAMPLES)]
    Support {
        /// A file that does not exist yet; `-` is standard output.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

impl Look {
    /// Looks, and says what it found; a proxy that cannot be used is among it.
    pub(super) async fn carry_out(
        self,
        folder: &Path,
        policy: PathBuf,
        restic: PathBuf,
    ) -> Result<Exit, AgentError> {
        let (proxy, setting) = match ProxyRules::from_env() {
            Ok(proxy) => (proxy, None),
            Err(cause) => (ProxyRules::none(), Some(DialError::from(cause))),
        };
        let machine = Machine::behind(proxy, policy, restic);
        match self {
            Self::Doctor { source, output } => {
                let join = source.read()?.map(|text| parse(&text)).transpose()?;
                let report = doctor::examine(&machine, setting.as_ref(), folder, join.as_ref()).await;
                match output {
                    Output::Text => say(&report.to_string())?,
                    Output::Json => {
                        say(&serde_json::to_string_pretty(&report).expect("a report has string keys"))?;
                    }
                }
                Ok(if report.outcome == Outcome::Fail { Exit::Failed } else { Exit::Done })
            }
            Self::Support { file } => {
                let bundle = support::collect(&machine, setting.as_ref(), folder).await;
                support::write(&bundle, &file)?;
                Ok(Exit::Done)
            }
        }
    }
}
