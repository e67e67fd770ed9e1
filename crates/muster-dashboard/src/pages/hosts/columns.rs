//! The columns of the table of hosts: which there are, and which the address asks for.

use crate::query::Query;

/// A column beside the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Presence,
    State,
    Site,
    Tags,
    System,
    Agent,
    Seen,
    Address,
    Door,
    Kind,
    Hardware,
    Joined,
}

impl Column {
    pub(crate) const ALL: [Self; 12] = [
        Self::Presence,
        Self::State,
        Self::Site,
        Self::Tags,
        Self::System,
        Self::Agent,
        Self::Seen,
        Self::Address,
        Self::Door,
        Self::Kind,
        Self::Hardware,
        Self::Joined,
    ];
    /// Shown when the address does not say.
    const USUAL: [Self; 7] =
        [Self::Presence, Self::State, Self::Site, Self::Tags, Self::System, Self::Agent, Self::Seen];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Presence => "presence",
            Self::State => "state",
            Self::Site => "site",
            Self::Tags => "tags",
            Self::System => "system",
            Self::Agent => "agent",
            Self::Seen => "seen",
            Self::Address => "address",
            Self::Door => "door",
            Self::Kind => "kind",
            Self::Hardware => "hardware",
            Self::Joined => "joined",
        }
    }

    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Presence => "Presence",
            Self::State => "State",
            Self::Site => "Site",
            Self::Tags => "Tags",
            Self::System => "System",
            Self::Agent => "Agent",
            Self::Seen => "Last seen",
            Self::Address => "Address",
            Self::Door => "Came by",
            Self::Kind => "Whose",
            Self::Hardware => "Hardware id",
            Self::Joined => "Joined",
        }
    }

    /// Returns the columns of an address, in their order; unknown words are passed over.
    pub(crate) fn of(query: &Query) -> Vec<Self> {
        let words: Vec<String> =
            query.all("columns").iter().flat_map(|words| words.split('.').map(str::to_owned)).collect();
        let chosen = Self::ALL.into_iter().filter(|column| words.iter().any(|word| word == column.word()));
        let chosen: Vec<Self> = chosen.collect();
        if chosen.is_empty() { Self::USUAL.to_vec() } else { chosen }
    }

    /// Returns the query in which they stand as one word, or not at all when they are the usual ones.
    pub(crate) fn told_in(query: &Query) -> Query {
        let chosen = Self::of(query);
        let plain = query.without("columns");
        if chosen == Self::USUAL {
            return plain;
        }
        let words: Vec<&str> = chosen.iter().map(|column| column.word()).collect();
        plain.and("columns", &words.join("."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_that_were_ticked_become_one_short_word() {
        let told = |text: &str| Column::told_in(&Query::parse(text)).on("/hosts");
        assert_eq!(told("columns=site&columns=presence&q=a"), "/hosts?q=a&columns=presence.site");
        assert_eq!(told("columns=presence.site"), "/hosts?columns=presence.site");
        assert_eq!(told("columns=nothing"), "/hosts");
        let usual = "columns=presence&columns=state&columns=site&columns=tags&columns=system&columns=agent&columns=seen";
        assert_eq!(told(usual), "/hosts");
    }
}
