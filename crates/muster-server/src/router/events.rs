//! The routes of what happened, and of the endpoints that hear of it.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with};

use super::says;
use crate::api::{endpoints, events};
use crate::app::App;

pub(super) fn routes() -> ApiRouter<App> {
    ApiRouter::new()
        .api_route("/v1/events", get_with(events::list, says("Lists what happened, as events tell it")))
        .api_route(
            "/v1/events/stream",
            get_with(events::stream, says("Tells of events as they happen (server-sent events), resumable")),
        )
        .api_route("/v1/event-kinds", get_with(events::kinds, says("Lists the kinds of events")))
        .api_route(
            "/v1/endpoints",
            get_with(endpoints::list, says("Lists who hears of events, without their credentials"))
                .post_with(
                    endpoints::create,
                    says("Makes an endpoint that hears of events; a webhook's signing secret is shown once"),
                ),
        )
        .api_route(
            "/v1/endpoints/test",
            post_with(endpoints::test_target, says("Sends a test message and stores nothing")),
        )
        .api_route(
            "/v1/endpoints/{endpoint_id}",
            get_with(endpoints::get, says("Shows an endpoint without its credentials"))
                .put_with(endpoints::set, says("Changes an endpoint; its target stays when it is not said")),
        )
        .api_route(
            "/v1/endpoints/{endpoint_id}/pause",
            post_with(endpoints::pause, says("Sends nothing to an endpoint until it is resumed")),
        )
        .api_route(
            "/v1/endpoints/{endpoint_id}/resume",
            post_with(endpoints::resume, says("Sends to an endpoint again, first what waited")),
        )
        .api_route(
            "/v1/endpoints/{endpoint_id}/remove",
            post_with(endpoints::remove, says("Removes an endpoint with its credentials and its log")),
        )
        .api_route(
            "/v1/endpoints/{endpoint_id}/test",
            post_with(endpoints::test, says("Sends a test message to an endpoint")),
        )
        .api_route(
            "/v1/endpoints/{endpoint_id}/rotate-secret",
            post_with(
                endpoints::rotate_secret,
                says("Makes another signing secret of a webhook, shown once; both sign for a while"),
            ),
        )
        .api_route(
            "/v1/endpoints/{endpoint_id}/deliveries",
            get_with(
                endpoints::deliveries,
                says("Lists what was delivered to an endpoint, and what was not"),
            ),
        )
        .api_route(
            "/v1/endpoints/{endpoint_id}/deliveries/{delivery_id}/redeliver",
            post_with(endpoints::redeliver, says("Makes a delivery again")),
        )
        .api_route(
            "/v1/endpoints/{endpoint_id}/redeliver",
            post_with(endpoints::redeliver_since, says("Makes deliveries since a time again")),
        )
}
