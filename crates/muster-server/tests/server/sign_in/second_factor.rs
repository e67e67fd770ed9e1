//! The second factor: codes of which each counts once.

use std::time::Duration;

use muster_store::{Lock, LockKey, Priority, StoreError};
use serde_json::{Value, json};
use totp_rs::{Builder, Secret};

use crate::sign_in::browser::Browser;
use crate::sign_in::{PASSWORD, signed_in, with_password};
use crate::world::{Answer, Backend, World, both};

pub(crate) const STEP: Duration = Duration::from_secs(30);

/// A device that shows codes.
pub(crate) struct Device(String);

impl Device {
    pub(crate) fn code(&self, world: &World) -> String {
        let secret = Secret::try_from_base32(&self.0).unwrap();
        let totp = Builder::new().with_secret(secret).with_account_name("x").build().unwrap();
        totp.generate(u64::try_from(world.app.clock.now().as_millis() / 1000).unwrap()).to_string()
    }
}

/// Sets a second factor up and returns the device and the recovery codes.
pub(crate) async fn set_up(world: &World, browser: &mut Browser) -> (Device, Vec<String>) {
    let begun =
        browser.ask(world, "POST", "/v1/me/second-factor", Some(json!({ "password": PASSWORD }))).await;
    assert_eq!(begun.status, 201, "{begun:?}");
    assert!(begun.text("otpauth_url").starts_with("otpauth://totp/"), "{begun:?}");
    let device = Device(begun.text("secret"));
    let code = json!({ "code": device.code(world) });
    let confirmed = browser.ask(world, "POST", "/v1/me/second-factor/confirm", Some(code)).await;
    assert_eq!(confirmed.status, 201, "{confirmed:?}");
    let codes = confirmed.body["codes"].as_array().unwrap();
    let codes: Vec<String> = codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect();
    assert_eq!(codes.len(), 10);
    (device, codes)
}

pub(crate) async fn enter(world: &World, code: Option<&str>) -> Answer {
    let mut body = json!({ "login": "ada", "password": PASSWORD });
    if let Some(code) = code {
        body["code"] = code.into();
    }
    Browser::new().sign_in(world, body).await
}

/// Returns a code that is wrong.
pub(crate) fn other(code: &str) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000)
}

both! {
    async fn a_code_is_asked_for_and_counts_once(world) {
        with_password(&world).await;
        let mut browser = signed_in(&world).await;
        let (device, _) = set_up(&world, &mut browser).await;
        enter(&world, None).await.problem(401, "second_factor_required");
        enter(&world, Some(&device.code(&world))).await.problem(401, "unauthorized");
        world.clock.advance(STEP);
        let code = device.code(&world);
        enter(&world, Some(&other(&code))).await.problem(401, "unauthorized");
        let spaced = format!("{} {}", &code[..3], &code[3..]);
        assert_eq!(enter(&world, Some(&spaced)).await.status, 200);
        enter(&world, Some(&code)).await.problem(401, "unauthorized");
        world.clock.advance(STEP);
        enter(&world, Some(&code)).await.problem(401, "unauthorized");
        assert_eq!(enter(&world, Some(&device.code(&world))).await.status, 200);
        let wrong = json!({ "login": "ada", "password": "wrong", "code": device.code(&world) });
        Browser::new().sign_in(&world, wrong).await.problem(401, "unauthorized");
        world.audited_times("second_factor.set", 1).await;
    }

    async fn of_two_with_the_same_code_one_gets_in(world) {
        with_password(&world).await;
        let mut browser = signed_in(&world).await;
        let (device, recovery) = set_up(&world, &mut browser).await;
        world.clock.advance(STEP);
        for code in [device.code(&world), recovery[0].clone()] {
            let (one, two) = tokio::join!(enter(&world, Some(&code)), enter(&world, Some(&code)));
            let mut statuses = [one.status, two.status];
            statuses.sort_unstable();
            assert_eq!(statuses, [200, 401]);
        }
    }

    async fn a_recovery_code_is_good_once(world) {
        with_password(&world).await;
        let mut browser = signed_in(&world).await;
        let (_, codes) = set_up(&world, &mut browser).await;
        assert_eq!(enter(&world, Some(&codes[3].to_lowercase())).await.status, 200);
        enter(&world, Some(&codes[3])).await.problem(401, "unauthorized");
        assert_eq!(enter(&world, Some(&codes[4].replace('-', " "))).await.status, 200);
        let account = browser.ask(&world, "GET", "/v1/me/account", None).await;
        assert_eq!(account.body["recovery_codes_left"], 8);
        let used = world.audited_times("second_factor.recovery_code_used", 2).await;
        assert!(!format!("{used:?}").contains(&codes[3]));
    }

    async fn guesses_of_a_code_end_and_a_recovery_code_still_opens(world) {
        with_password(&world).await;
        let mut browser = signed_in(&world).await;
        let (device, recovery) = set_up(&world, &mut browser).await;
        world.clock.advance(STEP);
        let code = device.code(&world);
        for _ in 0..10 {
            enter(&world, Some(&other(&code))).await.problem(401, "unauthorized");
        }
        // The right one is not looked at, and whoever types it has not failed: it locks no address out.
        for _ in 0..15 {
            enter(&world, Some(&code)).await.problem(429, "too_many_requests");
        }
        assert_eq!(enter(&world, Some(&recovery[0])).await.status, 200);
        world.clock.advance(Duration::from_secs(120));
        assert_eq!(enter(&world, Some(&device.code(&world))).await.status, 200);
    }

    async fn it_is_begun_and_removed_with_the_password_again(world) {
        let password = json!({ "password": PASSWORD });
        world.admin("POST", "/v1/me/second-factor", Some(password.clone())).await.problem(409, "no_password");
        with_password(&world).await;
        let mut browser = signed_in(&world).await;
        let wrong = json!({ "password": "wrong" });
        browser.ask(&world, "POST", "/v1/me/second-factor", Some(wrong)).await.problem(403, "wrong_password");
        let confirm = json!({ "code": "123456" });
        let early = browser.ask(&world, "POST", "/v1/me/second-factor/confirm", Some(confirm)).await;
        early.problem(409, "no_second_factor");
        let (device, _) = set_up(&world, &mut browser).await;
        let again = browser.ask(&world, "POST", "/v1/me/second-factor", Some(password)).await;
        again.problem(409, "second_factor_set");
        world.clock.advance(STEP);
        let remove = async |browser: &mut Browser, password: &str, code: &str| {
            let body: Value = json!({ "password": password, "code": code });
            browser.ask(&world, "POST", "/v1/me/second-factor/remove", Some(body)).await
        };
        let code = device.code(&world);
        remove(&mut browser, "wrong", &code).await.problem(403, "wrong_password");
        remove(&mut browser, PASSWORD, &other(&code)).await.problem(403, "wrong_code");
        assert_eq!(remove(&mut browser, PASSWORD, &code).await.status, 200);
        assert_eq!(enter(&world, None).await.status, 200);
        world.audited_times("second_factor.removed", 1).await;
    }

    async fn a_lost_reply_is_had_again_and_nothing_secret_is_kept_in_the_open(world) {
        with_password(&world).await;
        let token = format!("authorization: Bearer {}\r\nidempotency-key: 0123456789\r\n", world.admin);
        let body = json!({ "password": PASSWORD });
        let begin = async || world.ask("POST", "/v1/me/second-factor", &token, Some(body.clone())).await;
        let (first, again) = (begin().await, begin().await);
        assert_eq!((first.status, again.status), (201, 201), "{again:?}");
        assert_eq!(first.raw_body, again.raw_body);
        let code = json!({ "code": Device(first.text("secret")).code(&world) });
        let key = format!("authorization: Bearer {}\r\nidempotency-key: 9876543210\r\n", world.admin);
        let confirm = async || world.ask("POST", "/v1/me/second-factor/confirm", &key, Some(code.clone())).await;
        let (first, again) = (confirm().await, confirm().await);
        assert_eq!((first.status, again.status), (201, 201), "{again:?}");
        assert_eq!(first.raw_body, again.raw_body);
    }
}

/// What is begun and what is confirmed is the same secret: nobody changes it in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_confirms_the_secret_it_was_made_of() {
    let world = World::start(Backend::Postgres).await;
    with_password(&world).await;
    let mut browser = signed_in(&world).await;
    let password = json!({ "password": PASSWORD });
    let begun = browser.ask(&world, "POST", "/v1/me/second-factor", Some(password)).await;
    let code = json!({ "code": Device(begun.text("secret")).code(&world) });
    let user_id = browser.me(&world).await.text("user_id").parse().unwrap();
    // Somebody is in the middle of a change of theirs under the shared lock.
    let (has_it, locked) = tokio::sync::oneshot::channel();
    let has_it = std::sync::Mutex::new(Some(has_it));
    let store = world.app.store.clone();
    let held = tokio::spawn(async move {
        let hold = move |tx: &mut muster_store::Tx<'_>| {
            tx.lock(&[Lock::shared(LockKey::User(user_id))])?;
            if let Some(has_it) = has_it.lock().unwrap().take() {
                has_it.send(()).unwrap();
            }
            std::thread::sleep(Duration::from_secs(1));
            Ok::<_, StoreError>(())
        };
        store.write(Priority::Normal, hold).await
    });
    locked.await.unwrap();
    let confirmed = browser.ask(&world, "POST", "/v1/me/second-factor/confirm", Some(code)).await;
    assert_eq!(confirmed.status, 201, "{confirmed:?}");
    assert!(held.is_finished(), "it was confirmed next to another change");
    held.await.unwrap().unwrap();
}
