//! The floor of a heartbeat over HTTP: routing, parsing, an empty answer.

use std::net::SocketAddr;

use axum::extract::Path;
use axum::routing::post;
use axum::{Json, Router};
use http::StatusCode;
use muster_wire::enroll::Heartbeat;
use tokio::net::TcpListener;

pub(super) async fn serve(listen: SocketAddr) -> anyhow::Result<()> {
    let router = Router::new().route("/v1/hosts/{host_id}/heartbeat", post(heartbeat));
    Ok(axum::serve(TcpListener::bind(listen).await?, router).await?)
}

async fn heartbeat(Path(host_id): Path<String>, Json(heartbeat): Json<Heartbeat>) -> StatusCode {
    std::hint::black_box((host_id, heartbeat));
    StatusCode::NO_CONTENT
}
