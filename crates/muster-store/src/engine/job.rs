//! Work on its way to a thread, and its answer on the way back.

use tokio::sync::oneshot;

use super::Work;
use crate::tx::Session;
use crate::{StoreError, WriteError};

/// What to do with the changes a job made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Keep,
    Undo,
}

/// A unit of work of any type. It may run several times; it is settled once.
pub(super) trait Job: Send {
    /// The name for a log line.
    fn name(&self) -> &'static str;
    /// Runs the work and keeps its answer.
    fn run(&mut self, session: &mut dyn Session) -> Verdict;
    /// Gives the answer, or the error that made it void: also a refusal may rest on changes that were lost.
    fn settle(self: Box<Self>, outcome: Result<(), StoreError>);
}

struct Pending<T, E> {
    work: Work<T, E>,
    answer: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

/// Makes a job and the place where its answer arrives.
pub(super) fn pending<T, E>(work: Work<T, E>) -> (Box<dyn Job>, oneshot::Receiver<Result<T, E>>)
where
    T: Send + 'static,
    E: WriteError + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    (Box::new(Pending { work, answer: None, reply }), answer)
}

impl<T: Send, E: WriteError + Send> Job for Pending<T, E> {
    fn name(&self) -> &'static str {
        self.work.name
    }

    fn run(&mut self, session: &mut dyn Session) -> Verdict {
        let answer = self.work.run(session);
        let verdict = if answer.is_ok() { Verdict::Keep } else { Verdict::Undo };
        self.answer = Some(answer);
        verdict
    }

    fn settle(self: Box<Self>, outcome: Result<(), StoreError>) {
        let answer = match (outcome, self.answer) {
            (Ok(()), Some(answer)) => answer,
            (Ok(()), None) => Err(StoreError::Busy.into()),
            (Err(error), _) => Err(error.into()),
        };
        // Nobody waits for the answer when the caller was cancelled: the transaction stands all the same.
        let _ = self.reply.send(answer);
    }
}
