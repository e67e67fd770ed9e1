//! The things that an address names.

use axum::extract::{FromRequestParts, Path};
use http::StatusCode;
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::refusal::{Refusal, Refused};

/// The id in the address, or a tuple of them; what is none is as absent as a thing that is not there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let named = Path::<T>::from_request_parts(parts, state).await;
        named.map(|Path(id)| Self(id)).map_err(|_| Refusal::of(StatusCode::NOT_FOUND).into())
    }
}
