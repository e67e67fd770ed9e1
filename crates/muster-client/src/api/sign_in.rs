use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue, Method};
use muster_ids::WebSessionId;
use muster_wire::page::Page;
use muster_wire::sign_in::{
    Account, BeginSecondFactor, ConfirmSecondFactor, Done, RecoveryCodes, RemoveSecondFactor,
    SecondFactorSecret, SetLogin, SetPassword, SignIn, SignedIn, WebSession,
};

use super::{Answer, ApiError, OperatorClient, parse, write};

impl OperatorClient {
    /// `POST /v1/sign-in`: returns who signed in, and a client that acts in their session.
    pub async fn sign_in(&self, sign_in: &SignIn) -> Result<(Answer<SignedIn>, Self), ApiError> {
        let body = Some(write(sign_in)?);
        let response = self.send(Method::POST, "/v1/sign-in", body, HeaderMap::new()).await?;
        let cookie = response.headers.get(SET_COOKIE).and_then(|value| value.to_str().ok());
        let cookie = cookie.and_then(|cookie| cookie.split(';').next());
        let cookie = cookie.and_then(|pair| HeaderValue::from_str(pair).ok());
        let mut session = cookie.ok_or(ApiError::Answer(None))?;
        session.set_sensitive(true);
        let client = Self { token: None, session: Some(session), ..self.clone() };
        Ok((parse(&response)?, client))
    }

    /// `POST /v1/sign-out`: ends the session this client acts in.
    pub async fn sign_out(&self) -> Result<Answer<Done>, ApiError> {
        self.post_empty("/v1/sign-out").await
    }

    /// `GET /v1/me/account`: what one signs in with.
    pub async fn account(&self) -> Result<Answer<Account>, ApiError> {
        self.get("/v1/me/account").await
    }

    /// `PUT /v1/me/login`: takes a login, for who has none.
    pub async fn set_login(&self, login: &SetLogin) -> Result<Answer<Account>, ApiError> {
        self.put("/v1/me/login", login).await
    }

    /// `PUT /v1/me/password`: ends every other session.
    pub async fn set_password(&self, password: &SetPassword) -> Result<Answer<Done>, ApiError> {
        self.put("/v1/me/password", password).await
    }

    /// `POST /v1/me/second-factor`
    pub async fn begin_second_factor(
        &self,
        begin: &BeginSecondFactor,
    ) -> Result<Answer<SecondFactorSecret>, ApiError> {
        self.mint("/v1/me/second-factor", begin).await
    }

    /// `POST /v1/me/second-factor/confirm`
    pub async fn confirm_second_factor(
        &self,
        confirm: &ConfirmSecondFactor,
    ) -> Result<Answer<RecoveryCodes>, ApiError> {
        self.mint("/v1/me/second-factor/confirm", confirm).await
    }

    /// `POST /v1/me/second-factor/remove`
    pub async fn remove_second_factor(&self, remove: &RemoveSecondFactor) -> Result<Answer<Done>, ApiError> {
        self.post("/v1/me/second-factor/remove", remove).await
    }

    /// `GET /v1/me/sessions`: where one is signed in.
    pub async fn own_sessions(&self) -> Result<Page<Answer<WebSession>>, ApiError> {
        self.get("/v1/me/sessions").await
    }

    /// `POST /v1/me/sessions/{web_session_id}/end`
    pub async fn end_session(&self, id: WebSessionId) -> Result<Answer<Done>, ApiError> {
        self.post_empty(&format!("/v1/me/sessions/{id}/end")).await
    }

    /// `POST /v1/me/sessions/end-others`
    pub async fn end_other_sessions(&self) -> Result<Answer<Done>, ApiError> {
        self.post_empty("/v1/me/sessions/end-others").await
    }
}
