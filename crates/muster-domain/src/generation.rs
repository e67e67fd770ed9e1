//! Generations: which of two holders of one identity is the newer (DESIGN §5).

/// A place in the sequence of connections of a host: ordered by epoch, then counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation {
    /// Counts restores of the server.
    pub epoch: u32,
    /// Counts acknowledged connections.
    pub counter: u64,
}

impl Generation {
    /// The generation before the first connection.
    pub const ZERO: Self = Self { epoch: 0, counter: 0 };

    /// Returns the generation of the next connection: always a later one, whatever the server's epoch came to be.
    #[must_use]
    pub const fn next(self, epoch: u32) -> Self {
        let epoch = if epoch > self.epoch { epoch } else { self.epoch };
        Self { epoch, counter: self.counter + 1 }
    }
}

/// What the server knows of a host's generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The last one the agent acknowledged.
    pub committed: Generation,
    /// One that was issued and not yet acknowledged.
    pub issued: Option<Generation>,
}

/// What a presented generation means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// The holder is current; issue this one, which is the same again until it is acknowledged.
    Current {
        /// What the holder proved to have on disk: becomes the committed one.
        holds: Generation,
        /// What to issue.
        issue: Generation,
    },
    /// The server lost state: accepted, and an installation-wide event.
    ServerLostState {
        /// What the holder proved to have on disk: becomes the committed one.
        holds: Generation,
        /// What to issue.
        issue: Generation,
    },
    /// The holder is a copy or a restored state: it gets nothing.
    Stale,
}

/// Judges the generation an agent presents; its MAC was verified, `None` is an agent that holds none.
pub fn judge(presented: Option<Generation>, known: &Known, epoch: u32) -> Judgement {
    let presented = presented.unwrap_or(Generation::ZERO);
    if presented == known.committed {
        // What was issued before a restore may have been acknowledged after the backup: it is not issued again.
        let issued = known.issued.filter(|issued| issued.epoch >= epoch);
        let issue = issued.unwrap_or_else(|| known.committed.next(epoch));
        return Judgement::Current { holds: presented, issue };
    }
    if known.issued == Some(presented) {
        return Judgement::Current { holds: presented, issue: presented.next(epoch) };
    }
    if presented > known.committed && known.issued.is_none_or(|issued| presented > issued) {
        return Judgement::ServerLostState { holds: presented, issue: presented.next(epoch) };
    }
    Judgement::Stale
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(counter: u64) -> Generation {
        Generation { epoch: 0, counter }
    }

    #[track_caller]
    fn check(presented: Option<u64>, committed: u64, issued: Option<u64>, expected: Judgement) {
        let known = Known { committed: at(committed), issued: issued.map(at) };
        assert_eq!(judge(presented.map(at), &known, 0), expected);
    }

    #[test]
    fn every_row() {
        use Judgement::{Current, ServerLostState, Stale};
        check(None, 0, None, Current { holds: at(0), issue: at(1) });
        check(None, 0, Some(1), Current { holds: at(0), issue: at(1) });
        check(Some(1), 0, Some(1), Current { holds: at(1), issue: at(2) });
        check(Some(5), 5, None, Current { holds: at(5), issue: at(6) });
        check(Some(5), 5, Some(6), Current { holds: at(5), issue: at(6) });
        check(Some(6), 5, Some(6), Current { holds: at(6), issue: at(7) });
        check(Some(9), 5, Some(6), ServerLostState { holds: at(9), issue: at(10) });
        check(Some(4), 5, None, Stale);
        check(Some(4), 5, Some(6), Stale);
        check(None, 5, None, Stale);
    }

    #[test]
    fn a_restored_server_does_not_issue_again_what_it_had_issued_before() {
        let known = Known { committed: at(5), issued: Some(at(6)) };
        let anew = Judgement::Current { holds: at(5), issue: Generation { epoch: 1, counter: 6 } };
        assert_eq!(judge(Some(at(5)), &known, 1), anew);
        let went_on = Judgement::Current { holds: at(6), issue: Generation { epoch: 1, counter: 7 } };
        assert_eq!(judge(Some(at(6)), &known, 1), went_on);
    }

    #[test]
    fn a_server_whose_epoch_went_back_issues_no_earlier_generation() {
        let holds = Generation { epoch: 9, counter: 7 };
        let known = Known { committed: at(5), issued: None };
        let expected = Judgement::ServerLostState { holds, issue: Generation { epoch: 9, counter: 8 } };
        assert_eq!(judge(Some(holds), &known, 3), expected);
    }

    #[test]
    fn a_restored_server_goes_on_in_its_new_epoch() {
        let known = Known { committed: at(5), issued: None };
        let expected = Judgement::Current { holds: at(5), issue: Generation { epoch: 1, counter: 6 } };
        assert_eq!(judge(Some(at(5)), &known, 1), expected);
    }
}
