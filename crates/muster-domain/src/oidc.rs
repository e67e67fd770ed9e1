//! Who somebody is that comes by a provider of OpenID Connect: a function of their groups and of what the admins
//! made of these, at every sign-in anew.
//!
//! The provider is the authority: a role somebody set here by hand lasts until the next sign-in, and who is in no
//! mapped group any more is removed, with sessions and tokens. Whoever moves to another team is removed from the old
//! one and made anew in the new one, so that no token minted in one team ever acts in another.

use std::collections::BTreeSet;
use std::time::Duration;

use muster_ids::TeamId;
use muster_wire::oidc::OidcMapping;
use muster_wire::people::Role;
use muster_wire::text::Name;

use crate::permission::role_fits_team;

/// How long somebody may be at their provider.
pub const PENDING_FOR: Duration = Duration::from_secs(600);
/// How far a provider's clock may be ahead.
pub const CLOCK_LEEWAY: Duration = Duration::from_secs(300);
/// How long a provider's documents are believed.
pub const METADATA_FOR: Duration = Duration::from_secs(3600);
/// How often they may be fetched because of a key nobody knows, or of a provider that did not answer.
pub const REFETCH_EVERY: Duration = Duration::from_secs(60);
/// Most providers of an installation.
pub const MOST_PROVIDERS: usize = 32;
/// Longest path to return to, in bytes.
const LONGEST_PATH: usize = 1024;
const LONGEST_NAME: usize = 64;

/// A role in a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The team.
    pub team_id: TeamId,
    /// What they are there.
    pub role: Role,
}

/// What signing in makes of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// They are new, or were removed since.
    Make(Place),
    /// They are what they were.
    Stay,
    /// They have another role from now on: what they had open with the old one ends.
    SetRole(Role),
    /// They are removed from their team, and made anew in another.
    Move(Place),
    /// No group of theirs gives anything any more: they are removed.
    Remove,
    /// Nobody knows them, and no group of theirs gives anything.
    Refuse,
}

/// Returns what groups give: the first mapping that fits. Admins stand in the platform's own team alone.
pub fn place<'m>(
    groups: &BTreeSet<String>,
    mappings: impl IntoIterator<Item = &'m OidcMapping>,
    platform: TeamId,
) -> Option<Place> {
    let mut fitting = mappings.into_iter().filter(|mapping| {
        groups.contains(mapping.group.as_str()) && role_fits_team(mapping.role, mapping.team_id == platform)
    });
    fitting.next().map(|mapping| Place { team_id: mapping.team_id, role: mapping.role })
}

/// Decides what becomes of somebody who signs in; `known`: what they are so far.
pub fn arrive(known: Option<Place>, given: Option<Place>) -> Arrival {
    match (known, given) {
        (None, None) => Arrival::Refuse,
        (None, Some(place)) => Arrival::Make(place),
        (Some(_), None) => Arrival::Remove,
        (Some(known), Some(given)) if known == given => Arrival::Stay,
        (Some(known), Some(given)) if known.team_id == given.team_id => Arrival::SetRole(given.role),
        (Some(_), Some(given)) => Arrival::Move(given),
    }
}

/// Returns the name of a new person, made fit to be shown; it says nothing about who they are.
pub fn name(preferred_username: Option<&str>, name: Option<&str>) -> String {
    let fit = |text: &str| {
        let is_visible = |c: &char| c.is_whitespace() || Name::parse(c.encode_utf8(&mut [0; 4])).is_ok();
        let visible: String = text.chars().filter(is_visible).collect();
        let words: Vec<&str> = visible.split_whitespace().collect();
        let short: String = words.join(" ").chars().take(LONGEST_NAME).collect();
        Name::parse(short.trim_end()).ok().map(|name| name.to_string())
    };
    let mut fitting = [preferred_username, name].into_iter().flatten().filter_map(fit);
    fitting.next().unwrap_or_else(|| "person".to_owned())
}

/// Returns the `n`th name to try when others of the team have the ones before: `ada`, `ada 2`, `ada 3`, …
pub fn numbered(name: &str, n: u32) -> String {
    if n < 2 {
        return name.to_owned();
    }
    let suffix = format!(" {n}");
    let head: String = name.chars().take(LONGEST_NAME - suffix.len()).collect();
    format!("{}{suffix}", head.trim_end())
}

/// Whether a text is a path of this server and can be nothing else, in any browser.
pub fn is_local_path(text: &str) -> bool {
    text.len() <= LONGEST_PATH
        && text.starts_with('/')
        && !text.starts_with("//")
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

/// Whether a text is a scope (RFC 6749, section 3.3).
pub fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
}
