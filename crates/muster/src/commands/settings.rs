use clap::Subcommand;
use muster_wire::settings::{SetSettings, SettingName};

use crate::failure::Failure;
use crate::operator::Operator;
use crate::words::optional_moment;

const EXAMPLES: &str = "\
Examples:
  muster settings list
  muster settings set audit_keep_days 730";

/// Settings of the whole installation; for admins
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Settings {
    /// List the settings with their bounds
    #[command(after_help = "Examples:\n  muster settings list\n  muster settings list -o json")]
    List,
    /// Set a setting
    #[command(after_help = "Examples:\n  muster settings set audit_keep_days 730")]
    Set {
        /// The name, as `muster settings list` shows it
        #[arg(value_name = "NAME")]
        name: SettingName,
        /// The new value
        #[arg(value_name = "VALUE")]
        value: u64,
    },
}

const HEADER: [&str; 6] = ["NAME", "VALUE", "DEFAULT", "BOUNDS", "CHANGED", "MEANING"];

impl Settings {
    pub(crate) async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let page = match self {
            Self::List => operator.client.settings().await?,
            Self::Set { name, value } => {
                let mut settings = SetSettings::default();
                if !settings.name(name, value) {
                    let (least, most) = name.bounds();
                    let cause = format!("{name} takes values from {least} to {most}");
                    return Err(Failure::usage(cause, "choose a value within these bounds"));
                }
                operator.client.set_settings(&settings).await?
            }
        };
        let row = |setting: &muster_wire::settings::Setting| {
            vec![
                setting.name.clone(),
                setting.value.to_string(),
                setting.default.to_string(),
                format!("{} to {}", setting.least, setting.most),
                optional_moment(setting.changed_at),
                setting.says.clone(),
            ]
        };
        operator.output.list(&page, |setting| setting.name.clone(), &HEADER, row, "there are no settings")
    }
}
