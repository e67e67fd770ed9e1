use muster_ids::{HostId, JobId};
use muster_wire::job::{CreateJob, Job, JobState, LogLine, WorkKind};
use muster_wire::page::Page;

use super::page::{path, word};
use super::{Answer, ApiError, OperatorClient, PageRequest};

/// Which jobs to list; everything left out matches all.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// Only jobs of this host.
    pub host_id: Option<HostId>,
    /// Only jobs in one of these states; none: in any.
    pub states: Vec<JobState>,
    /// Only jobs of this kind of work.
    pub kind: Option<WorkKind>,
}

impl OperatorClient {
    /// `POST /v1/hosts/{host_id}/jobs`
    pub async fn create_job(&self, host_id: HostId, job: &CreateJob) -> Result<Answer<Job>, ApiError> {
        self.post(&format!("/v1/hosts/{host_id}/jobs"), job).await
    }

    /// `GET /v1/jobs`
    pub async fn jobs(&self, filter: &JobFilter, page: &PageRequest) -> Result<Page<Answer<Job>>, ApiError> {
        let states: Vec<String> = filter.states.iter().filter_map(|state| word(*state)).collect();
        let filters = [
            ("host_id", filter.host_id.map(|id| id.to_string())),
            ("state", (!states.is_empty()).then(|| states.join(","))),
            ("kind", filter.kind.and_then(word)),
        ];
        self.get(&path("/v1/jobs", page, &filters)).await
    }

    /// `GET /v1/jobs/{job_id}`
    pub async fn job(&self, job_id: JobId) -> Result<Answer<Job>, ApiError> {
        self.get(&format!("/v1/jobs/{job_id}")).await
    }

    /// `POST /v1/jobs/{job_id}/cancel`: a job that waits.
    pub async fn cancel_job(&self, job_id: JobId) -> Result<Answer<Job>, ApiError> {
        self.post_empty(&format!("/v1/jobs/{job_id}/cancel")).await
    }

    /// `GET /v1/jobs/{job_id}/log`
    pub async fn job_log(
        &self,
        job_id: JobId,
        page: &PageRequest,
    ) -> Result<Page<Answer<LogLine>>, ApiError> {
        self.get(&path(&format!("/v1/jobs/{job_id}/log"), page, &[])).await
    }
}
