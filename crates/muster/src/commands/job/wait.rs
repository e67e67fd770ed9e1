use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use muster_client::api::Answer;
use muster_edge::Clock;
use muster_wire::job::{Job, JobState};

use crate::failure::Failure;
use crate::follow::patiently;
use crate::operator::Operator;
use crate::span::Span;
use crate::words::word;

/// Between two looks at a job.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Looks at the job until it has ended, showing how far it is.
pub(super) async fn until_ended(
    operator: &Operator,
    mut job: Answer<Job>,
    timeout: Option<Span>,
) -> Result<Answer<Job>, Failure> {
    let clock = Clock::system();
    let mut display = Display::new(operator);
    loop {
        display.update(&job);
        if job.state.has_ended() {
            display.end();
            return Ok(job);
        }
        if timeout.is_some_and(|timeout| clock.monotonic() >= Duration::from(timeout)) {
            display.end();
            return Err(Failure::waiting(
                format!("the job has not ended, it is {}", word(&job.state)),
                format!("it goes on; look again with: muster job show {} --wait", job.id),
            ));
        }
        tokio::time::sleep(LOOK_EVERY).await;
        let job_id = job.id;
        job = patiently(async || operator.client.job(job_id).await).await?;
    }
}

/// A bar on a terminal, a line for each state elsewhere, nothing when quiet.
enum Display {
    Bar(ProgressBar),
    Lines { is_quiet: bool, last: Option<JobState> },
}

impl Display {
    fn new(operator: &Operator) -> Self {
        if operator.output.is_table() && io::stderr().is_terminal() {
            let bar = ProgressBar::new(0);
            bar.enable_steady_tick(Duration::from_millis(120));
            return Self::Bar(bar);
        }
        Self::Lines { is_quiet: !operator.output.is_table(), last: None }
    }

    fn update(&mut self, job: &Job) {
        match self {
            Self::Bar(bar) => show_bar(bar, job),
            Self::Lines { is_quiet, last } if *last != Some(job.state) => {
                if !*is_quiet {
                    eprintln!("{}", waiting_for(job.state));
                }
                *last = Some(job.state);
            }
            Self::Lines { .. } => {}
        }
    }

    fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn show_bar(bar: &ProgressBar, job: &Job) {
    let style = |template| ProgressStyle::with_template(template).expect("the templates are well formed");
    match &job.progress {
        Some(progress) if progress.bytes_total > 0 => {
            bar.set_style(style("{spinner} {msg} [{bar:30}] {binary_bytes}/{binary_total_bytes} {eta}"));
            bar.set_length(progress.bytes_total);
            bar.set_position(progress.bytes_done.min(progress.bytes_total));
        }
        _ => bar.set_style(style("{spinner} {msg} {elapsed}")),
    }
    bar.set_message(waiting_for(job.state));
}

fn waiting_for(state: JobState) -> &'static str {
    match state {
        JobState::Queued => "queued: waiting for the host to be connected and to have its secret",
        JobState::Dispatched => "dispatched: waiting for the agent to begin",
        JobState::Running => "running",
        JobState::Succeeded => "succeeded",
        JobState::Failed => "failed",
        JobState::Cancelled => "cancelled",
        JobState::Lost => "lost",
    }
}
