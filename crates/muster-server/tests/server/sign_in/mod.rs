//! Signing in with login and password, and everything that ends it again.

mod browser;
mod flows;
mod foreign_pages;
mod guesses;
mod hanging_up;
mod password;
mod recover;
mod second_factor;
mod sessions;
mod setup;

use serde_json::json;

use crate::world::{Answer, World};
use browser::Browser;

/// A password that is accepted.
const PASSWORD: &str = "seven green bottles";
/// Another one.
const OTHER: &str = "nine yellow kettles";

/// Gives the admin the login `ada` and a password, by their token.
async fn with_password(world: &World) {
    world.must("PUT", "/v1/me/login", Some(json!({ "login": "Ada" }))).await;
    world.must("PUT", "/v1/me/password", Some(json!({ "new": PASSWORD }))).await;
}

/// Tries to sign in from a browser that has no cookie.
async fn sign_in(world: &World, login: &str, password: &str) -> Answer {
    Browser::new().sign_in(world, json!({ "login": login, "password": password })).await
}

/// Signs the admin in.
async fn signed_in(world: &World) -> Browser {
    let mut browser = Browser::new();
    let answer = browser.sign_in(world, json!({ "login": "ada", "password": PASSWORD })).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    browser
}
