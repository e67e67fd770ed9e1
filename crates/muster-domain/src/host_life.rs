//! The life of a host: `invited → active ⇄ suspended → retired`.

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

#[cfg(test)]
mod tests {
    use HostState::{Active, Invited, Retired, Suspended};

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
}
