//! The routes of people: their accounts, how they sign in, their teams, invitations and API tokens.

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with, put_with};

use super::says;
use crate::api::account::{login, password, second_factor, sessions, views};
use crate::api::{account, invitations, me, people, setup, sign_in, teams, tokens};
use crate::app::App;

pub(super) fn routes() -> ApiRouter<App> {
    ApiRouter::new()
        .api_route(
            "/v1/setup",
            get_with(setup::status, says("Says whether the first admin exists"))
                .post_with(setup::create, says("Makes the first admin with the one-time setup code")),
        )
        .api_route("/v1/me", get_with(me::get, says("Says who the token acts as")))
        .api_route(
            "/v1/sign-in",
            post_with(sign_in::create, says("Signs a browser in with login and password")),
        )
        .api_route("/v1/sign-out", post_with(sign_in::end, says("Ends the session that asks")))
        .api_route(
            "/v1/me/account",
            get_with(account::get, says("Shows what a person signs in with, never its secrets")),
        )
        .api_route("/v1/me/login", put_with(login::set, says("Takes a login, for a person who has none")))
        .api_route(
            "/v1/me/password",
            put_with(password::set, says("Sets the own password and ends every other session")),
        )
        .api_route(
            "/v1/me/second-factor",
            post_with(second_factor::create, says("Begins a second factor, whose secret is shown once")),
        )
        .api_route(
            "/v1/me/second-factor/confirm",
            post_with(
                second_factor::confirm,
                says("Confirms the second factor, with recovery codes that are shown once"),
            ),
        )
        .api_route(
            "/v1/me/second-factor/remove",
            post_with(second_factor::remove, says("Removes the own second factor")),
        )
        .api_route("/v1/me/sessions", get_with(sessions::list, says("Lists the own signed-in sessions")))
        .api_route(
            "/v1/me/sessions/end-others",
            post_with(sessions::end_all_others, says("Ends every other session of the person")),
        )
        .api_route(
            "/v1/me/sessions/{web_session_id}/end",
            post_with(sessions::end, says("Ends one of the own sessions")),
        )
        .api_route(
            "/v1/me/views",
            get_with(views::list, says("Lists one's own saved views of the list of hosts")),
        )
        .api_route(
            "/v1/me/views/{name}",
            put_with(views::set, says("Saves a view: filters of the list of hosts, under a name")),
        )
        .api_route("/v1/me/views/{name}/remove", post_with(views::remove, says("Removes a saved view")))
        .api_route(
            "/v1/teams",
            get_with(teams::list, says("Lists teams")).post_with(teams::create, says("Makes a team")),
        )
        .api_route(
            "/v1/teams/{team_id}/owners",
            post_with(
                teams::create_owner,
                says("Makes an owner of a team, with an API token that is shown once"),
            ),
        )
        .api_route("/v1/people", get_with(people::list, says("Lists the members of the team")))
        .api_route(
            "/v1/people/{user_id}",
            get_with(people::get, says("Shows a member, also one who was removed")),
        )
        .api_route(
            "/v1/people/{user_id}/role",
            put_with(people::set_role, says("Sets the role of a member and ends their sessions")),
        )
        .api_route(
            "/v1/people/{user_id}/remove",
            post_with(people::remove, says("Removes a member with everything they sign in with")),
        )
        .api_route(
            "/v1/invitations",
            get_with(invitations::list, says("Lists invitations without their secrets"))
                .post_with(invitations::create, says("Invites a person by a link that is shown once")),
        )
        .api_route(
            "/v1/invitations/accept",
            post_with(invitations::accept, says("Accepts an invitation and signs its person in")),
        )
        .api_route(
            "/v1/invitations/{invitation_id}/revoke",
            post_with(invitations::revoke, says("Revokes an invitation nobody accepted")),
        )
        .api_route(
            "/v1/me/tokens",
            get_with(tokens::list_own, says("Lists one's own API tokens without their secrets"))
                .post_with(tokens::create, says("Makes an API token of one's own, shown once")),
        )
        .api_route(
            "/v1/me/tokens/{token_id}/revoke",
            post_with(tokens::revoke_own, says("Revokes an API token of one's own")),
        )
        .api_route(
            "/v1/tokens",
            get_with(tokens::list, says("Lists the API tokens of the team's people, without their secrets")),
        )
        .api_route(
            "/v1/tokens/{token_id}/revoke",
            post_with(tokens::revoke, says("Revokes an API token of somebody of the team")),
        )
}
