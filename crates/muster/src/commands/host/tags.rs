use std::collections::BTreeSet;

use clap::{ArgGroup, Args};
use muster_wire::bounds::Few;
use muster_wire::text::Tag;

use crate::failure::Failure;
use crate::input::wire_text;

/// Most tags of a host.
const MOST: usize = 32;

/// What to change about the tags of a host.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("change").required(true).multiple(true).args(["add", "remove", "set", "clear"]))]
pub(crate) struct Change {
    /// The host, by name or id
    host: String,
    /// Add tags
    #[arg(long, value_name = "TAG", value_delimiter = ',', value_parser = wire_text::<Tag>)]
    add: Vec<Tag>,
    /// Remove tags
    #[arg(long, value_name = "TAG", value_delimiter = ',', value_parser = wire_text::<Tag>)]
    remove: Vec<Tag>,
    /// Replace all tags by these
    #[arg(long, value_name = "TAG", value_delimiter = ',', value_parser = wire_text::<Tag>, conflicts_with_all = ["add", "remove", "clear"])]
    set: Vec<Tag>,
    /// Remove all tags
    #[arg(long, conflicts_with_all = ["add", "remove"])]
    clear: bool,
}

impl Change {
    /// Returns the host that is meant.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Returns the tags after the change.
    pub(super) fn apply(&self, before: impl Iterator<Item = Tag>) -> Result<Few<Tag, MOST>, Failure> {
        let mut tags: BTreeSet<Tag> = match (self.clear, self.set.is_empty()) {
            (true, _) => BTreeSet::new(),
            (false, false) => self.set.iter().cloned().collect(),
            (false, true) => before.collect(),
        };
        tags.extend(self.add.iter().cloned());
        for tag in &self.remove {
            tags.remove(tag);
        }
        if tags.len() > MOST {
            return Err(Failure::usage(
                format!("{} tags are too many", tags.len()),
                format!("a host takes {MOST}"),
            ));
        }
        Ok(tags.into_iter().collect())
    }
}

#[cfg(test)]
mod tests;
