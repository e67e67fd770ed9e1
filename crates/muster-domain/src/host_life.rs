//! The life of a host: `invited → active ⇄ suspended → retired`.

use muster_ids::SiteId;
use muster_wire::host::HostState;

/// The step is not possible from where the host stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a host that is {from:?} cannot be {step}")]
pub struct NotPossible {
    /// Where it stands.
    pub from: HostState,
    /// What was asked.
    pub step: &'static str,
}

/// The steps of a host's life.
pub trait Life: Sized {
    /// An active host is suspended.
    fn suspend(self) -> Result<Self, NotPossible>;
    /// A suspended host resumes.
    fn resume(self) -> Result<Self, NotPossible>;
    /// Any living host is retired, for good.
    fn retire(self) -> Result<Self, NotPossible>;
}

impl Life for HostState {
    fn suspend(self) -> Result<Self, NotPossible> {
        match self {
            Self::Active => Ok(Self::Suspended),
            from => Err(NotPossible { from, step: "suspended" }),
        }
    }

    fn resume(self) -> Result<Self, NotPossible> {
        match self {
            Self::Suspended => Ok(Self::Active),
            from => Err(NotPossible { from, step: "resumed" }),
        }
    }

    fn retire(self) -> Result<Self, NotPossible> {
        match self {
            Self::Invited | Self::Active | Self::Suspended => Ok(Self::Retired),
            from @ Self::Retired => Err(NotPossible { from, step: "retired" }),
        }
    }
}

/// Why a host does not move to another site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotMoved {
    /// It is retired.
    #[error("a retired host stands at no site any more")]
    Retired,
    /// It stands there.
    #[error("the host stands at this site")]
    AlreadyThere,
}

/// Decides whether a host moves from site to site: any living one does, as it is.
pub fn relocate(state: HostState, from: SiteId, to: SiteId) -> Result<(), NotMoved> {
    match state {
        HostState::Retired => Err(NotMoved::Retired),
        _ if from == to => Err(NotMoved::AlreadyThere),
        HostState::Invited | HostState::Active | HostState::Suspended => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use HostState::{Active, Invited, Retired, Suspended};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn every_step_from_every_state() {
        let table = [
            (Invited, [None, None, Some(Retired)]),
            (Active, [Some(Suspended), None, Some(Retired)]),
            (Suspended, [None, Some(Active), Some(Retired)]),
            (Retired, [None, None, None]),
        ];
        for (from, [suspended, resumed, retired]) in table {
            assert_eq!(from.suspend().ok(), suspended, "{from:?}");
            assert_eq!(from.resume().ok(), resumed, "{from:?}");
            assert_eq!(from.retire().ok(), retired, "{from:?}");
        }
    }

    #[test]
    fn a_living_host_moves_to_every_other_site() {
        let [here, there] = [1, 2].map(|n| SiteId::from_uuid(Uuid::from_u128(n)));
        for state in [Invited, Active, Suspended] {
            assert_eq!(relocate(state, here, there), Ok(()), "{state:?}");
            assert_eq!(relocate(state, here, here), Err(NotMoved::AlreadyThere), "{state:?}");
        }
        for to in [here, there] {
            assert_eq!(relocate(Retired, here, to), Err(NotMoved::Retired));
        }
    }
}
