//! Many who ask the same kind of thing at once are answered together: one transaction instead of one each.
//!
//! Nobody waits for company. Whoever asks while nobody answers is answered at once; those who ask meanwhile are the
//! next ones, together.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use crate::app::App;
use crate::failure::Failure;

/// Answers many questions, each with an answer, in their order.
pub type Answer<Q, A> = fn(App, Vec<Q>) -> BoxFuture<'static, Vec<Result<A, Failure>>>;

struct Waiting<Q, A> {
    questions: VecDeque<(Q, oneshot::Sender<Result<A, Failure>>)>,
    is_answered: bool,
}

/// Questions of one kind.
pub struct Gathered<Q, A> {
    waiting: Arc<Mutex<Waiting<Q, A>>>,
    at_once: usize,
    answer: Answer<Q, A>,
}

impl<Q, A> fmt::Debug for Gathered<Q, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gathered").field("at_once", &self.at_once).finish_non_exhaustive()
    }
}

impl<Q: Send + 'static, A: Send + 'static> Gathered<Q, A> {
    /// Answers at most `at_once` questions together.
    pub fn new(at_once: usize, answer: Answer<Q, A>) -> Self {
        let waiting = Waiting { questions: VecDeque::new(), is_answered: false };
        Self { waiting: Arc::new(Mutex::new(waiting)), at_once, answer }
    }

    /// Asks, alone or with whoever asks meanwhile.
    pub async fn ask(&self, app: &App, question: Q) -> Result<A, Failure> {
        let (sender, answer) = oneshot::channel();
        let begins = {
            let mut waiting = lock(&self.waiting);
            waiting.questions.push_back((question, sender));
            !std::mem::replace(&mut waiting.is_answered, true)
        };
        if begins {
            let round =
                Round { waiting: Arc::clone(&self.waiting), at_once: self.at_once, answer: self.answer };
            tokio::spawn(round.run(app.clone()));
        }
        answer.await.map_err(Failure::internal)?
    }
}

/// Answers until nobody waits.
struct Round<Q, A> {
    waiting: Arc<Mutex<Waiting<Q, A>>>,
    at_once: usize,
    answer: Answer<Q, A>,
}

impl<Q, A> Round<Q, A> {
    async fn run(self, app: App) {
        loop {
            let (questions, askers): (Vec<_>, Vec<_>) = {
                let mut waiting = lock(&self.waiting);
                let next = waiting.questions.len().min(self.at_once);
                if next == 0 {
                    waiting.is_answered = false;
                    return;
                }
                waiting.questions.drain(..next).unzip()
            };
            let answers = (self.answer)(app.clone(), questions).await;
            for (asker, answer) in askers.into_iter().zip(answers) {
                // Whoever asked may be gone.
                let _ = asker.send(answer);
            }
        }
    }
}

/// A round that ends by a panic leaves nobody waiting for ever: the next one who asks begins another.
impl<Q, A> Drop for Round<Q, A> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut waiting = lock(&self.waiting);
            waiting.is_answered = false;
            waiting.questions.clear();
        }
    }
}

fn lock<Q, A>(waiting: &Mutex<Waiting<Q, A>>) -> MutexGuard<'_, Waiting<Q, A>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
