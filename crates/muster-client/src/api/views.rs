use muster_wire::page::Page;
use muster_wire::saved_view::{SavedView, SetView};

use super::page::segment;
use super::{Answer, ApiError, OperatorClient};

impl OperatorClient {
    /// `GET /v1/me/views`: one's own saved views, all on one page.
    pub async fn views(&self) -> Result<Page<Answer<SavedView>>, ApiError> {
        self.get("/v1/me/views").await
    }

    /// `PUT /v1/me/views/{name}`
    pub async fn set_view(&self, name: &str, view: &SetView) -> Result<Answer<SavedView>, ApiError> {
        self.put(&format!("/v1/me/views/{}", segment(name)), view).await
    }

    /// `POST /v1/me/views/{name}/remove`
    pub async fn remove_view(&self, name: &str) -> Result<Answer<SavedView>, ApiError> {
        self.post_empty(&format!("/v1/me/views/{}/remove", segment(name))).await
    }
}
