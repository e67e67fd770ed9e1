//! What makes a copy a question, and how often.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use muster_wire::channel::close;
use muster_wire::claim::CopyCause;
use serde_json::json;

use crate::clones::scene::{
    Copied, all_of, claims, decide, is_held, is_stale, joined, knock, repo, says_goodbye, the_claim, written,
};
use crate::world::{both, until};

both! {
    async fn c10_a_copy_with_an_older_state_gets_nothing_and_is_one_question_for_each_start(world) {
        let (host, first, _) = joined(&world).await;
        let before = all_of(&world, host.host_id).await;
        for _ in 0..3 {
            is_stale(&world, &host, Some(&first), "boot-a").await;
        }
        let claim = the_claim(&world, &host).await;
        assert_eq!(claim["verdicts"], json!(["reject"]), "it has no key of its own");
        assert_eq!(claim["machine"]["key"], claim["machine"]["former_key"]);
        assert_eq!(claim["machine"]["ticket_id"], json!(null));
        let seen = &claim["sighting"];
        assert_eq!((&seen["cause"], &seen["consequence"]), (&json!("generation_stale"), &json!("works_on")));
        assert_eq!((&seen["boot_id"], &seen["holder_boot_id"]), (&json!("boot-a"), &json!("boot-1")));
        assert_eq!((&seen["shown"]["counter"], &seen["known"]["counter"]), (&json!(1), &json!(2)));
        assert!(seen["source"].as_str().unwrap().starts_with("127.0.0.1"), "{seen}");
        assert_eq!(world.events("clone.suspected").await.len(), 1);
        assert_eq!(world.events("claim.opened").await.len(), 1);
        let counted = written(&world).await;
        is_stale(&world, &host, Some(&first), "boot-a").await;
        assert_eq!(written(&world).await, counted, "asking again writes nothing");
        is_stale(&world, &host, None, "boot-b").await;
        assert_eq!(claims(&world, &host, "waiting").await.len(), 2, "another start, another question");
        assert_eq!(all_of(&world, host.host_id).await, before, "nothing of the host changed");
    }

    async fn b16_a_fork_takes_over_the_claim_of_its_start(world) {
        let (host, first, second) = joined(&world).await;
        is_stale(&world, &host, Some(&first), "boot-a").await;
        let bare = the_claim(&world, &host).await;
        let copy = Copied::holding(&first, "boot-a");
        let claim_id = copy.waits(&world, &host).await;
        assert_eq!(bare["id"], json!(claim_id), "the same question");
        let claim = the_claim(&world, &host).await;
        assert_eq!(claim["verdicts"], json!(["replace", "new", "reject"]));
        assert_ne!(claim["machine"]["key"], claim["machine"]["former_key"]);
        assert_ne!(claim["evidence_version"], bare["evidence_version"], "the person must look again");
        assert_eq!(claim["machine"]["hostname"], "copy", "what it says of itself now");
        world.audited_times("claim.forked", 1).await;
        // Between the two it may show its old state again: that is no other question.
        is_stale(&world, &host, Some(&first), "boot-a").await;
        assert_eq!(claims(&world, &host, "waiting").await.len(), 1);
        let (_socket, _) = host.connect(&world, Some(second)).await;
    }

    /// Two machines may say the same start: clones of a running machine, containers, a thief who saw it.
    async fn b16_a_claim_that_is_taken_over_shows_where_its_key_came_from(world) {
        let (host, first, _) = joined(&world).await;
        is_stale(&world, &host, Some(&first), "boot-a").await;
        let bare = the_claim(&world, &host).await;
        assert!(bare["machine"]["source_address"].as_str().unwrap().starts_with("127.0.0.1"), "{bare}");
        let thief = Copied { uid: crate::clones::scene::uid("thief"), ..Copied::holding(&first, "boot-a") };
        let elsewhere = Ipv4Addr::new(127, 0, 0, 2);
        assert_eq!(json!(thief.waits_from(elsewhere, &world, &host).await), bare["id"]);
        let taken = the_claim(&world, &host).await;
        assert_eq!(taken["machine"]["key"], json!(thief.key_name()));
        for shown in [&taken["machine"]["source_address"], &taken["sighting"]["source"]] {
            assert!(shown.as_str().unwrap().starts_with("127.0.0.2"), "{taken}");
        }
        assert_ne!(taken["evidence_version"], bare["evidence_version"], "the person must look again");
        // The machine that was sent away is another question, with an address of its own.
        let genuine = Copied::holding(&first, "boot-a");
        let claim_id = genuine.waits(&world, &host).await;
        assert_ne!(json!(claim_id), bare["id"]);
        let claim = world.must("GET", &format!("/v1/claims/{claim_id}"), None).await;
        assert!(claim["machine"]["source_address"].as_str().unwrap().starts_with("127.0.0.1"), "{claim}");
    }

    async fn b16_polls_write_nothing_and_a_lost_reply_costs_nothing(world) {
        let (host, first, _) = joined(&world).await;
        let copy = Copied::holding(&first, "boot-a");
        let claim_id = copy.waits(&world, &host).await;
        let counted = written(&world).await;
        for _ in 0..5 {
            assert_eq!(copy.waits(&world, &host).await, claim_id);
        }
        assert_eq!(written(&world).await, counted);
        let decided = decide(&world, &claim_id, "new", false).await;
        assert_eq!(decided.status, 200, "{decided:?}");
        let counted = written(&world).await;
        for _ in 0..3 {
            let answer = copy.asks(&world, &host).await;
            assert_eq!((answer.status, &answer.body["disposition"]), (201, &json!("new")), "{answer:?}");
            assert_eq!(answer.body["host_id"], decided.body["result_host_id"]);
        }
        assert_eq!(written(&world).await, counted);
    }

    async fn a_machine_that_finds_out_by_itself_asks_before_it_ever_connects(world) {
        let (host, _, second) = joined(&world).await;
        world.clock.advance(Duration::from_secs(48 * 3600));
        let copy = Copied { cause: CopyCause::MachineUidDiffers, ..Copied::holding(&second, "boot-a") };
        copy.waits(&world, &host).await;
        let claim = the_claim(&world, &host).await;
        assert_eq!(claim["sighting"]["cause"], "machine_uid_differs");
        assert!(!is_held(&world, &host).await, "nobody went on with a newer state: there is no question who is genuine");
        let (_socket, _) = host.connect(&world, Some(second)).await;
    }

    async fn c10_the_newcomer_is_the_question_when_the_first_connection_answers(world) {
        let host = world.join("alpha", repo()).await;
        let (mut first, generation) = host.connect(&world, None).await;
        let before = all_of(&world, host.host_id).await;
        for _ in 0..2 {
            let mut copy = knock(&world, &host, Some(&generation), "boot-a").await;
            // Listening answers pings.
            let (told, ()) = tokio::join!(
                first.within(Duration::from_secs(1)),
                says_goodbye(&mut copy, "fenced", close::FENCED)
            );
            assert_eq!(told, None, "the first connection is not disturbed");
        }
        let claim = the_claim(&world, &host).await;
        let seen = &claim["sighting"];
        assert_eq!((&seen["cause"], &seen["holder_connected"]), (&json!("fenced"), &json!(true)));
        assert!(seen["holder_source"].as_str().unwrap().starts_with("127.0.0.1"), "{seen}");
        first.heartbeat().await;
        assert!(world.app.hub.is_connected(host.host_id));
        let copy = Copied { cause: CopyCause::Fenced, ..Copied::holding(&generation, "boot-a") };
        assert_eq!(json!(copy.waits(&world, &host).await), claim["id"]);
        assert_eq!(all_of(&world, host.host_id).await, before);
    }

    /// Whoever stands in for the server may have told it so; this server never did.
    async fn b23_a_machine_with_the_current_state_is_sent_back_to_its_channel(world) {
        let (host, first, second) = joined(&world).await;
        let counted = written(&world).await;
        for cause in [CopyCause::GenerationStale, CopyCause::Fenced] {
            let told = Copied { cause, ..Copied::holding(&second, "boot-1") };
            told.asks(&world, &host).await.problem(409, "not_a_copy");
        }
        assert_eq!(written(&world).await, counted);
        // What is left of the connection it had is nobody else.
        let (_deaf, third) = host.connect(&world, Some(second)).await;
        let told = Copied { cause: CopyCause::Fenced, ..Copied::holding(&third, "boot-1") };
        told.asks(&world, &host).await.problem(409, "not_a_copy");
        assert!(!world.app.hub.is_connected(host.host_id));
        let (_socket, _) = host.connect(&world, Some(third)).await;
        assert_eq!(claims(&world, &host, "waiting").await.len(), 0);
        Copied::holding(&first, "boot-1").waits(&world, &host).await;
    }

    /// Whoever learns that it was found out from how its connection ends need not say a word more.
    async fn c10_a_copy_of_another_start_that_answers_no_ping_is_a_question_all_the_same(world) {
        let (host, first, second) = joined(&world).await;
        let waiting = async |count: usize| {
            until("the copy is a question", async || claims(&world, &host, "waiting").await.len() == count).await;
        };
        // Nobody reads here, so nobody answers.
        let _silent = knock(&world, &host, Some(&first), "boot-a").await;
        waiting(1).await;
        drop(knock(&world, &host, Some(&first), "boot-b").await);
        waiting(2).await;
        // The machine itself gave up, and came back at the same start: nobody is behind its older connection.
        drop(knock(&world, &host, Some(&first), "boot-1").await);
        let (mut holder, current) = host.connect(&world, Some(second)).await;
        let copy = knock(&world, &host, Some(&current), "boot-c").await;
        let enough = async {
            waiting(3).await;
            drop(copy);
        };
        tokio::select! {
            // Listening answers pings.
            told = holder.next() => panic!("the holder was disturbed: {told:?}"),
            () = enough => {}
        }
        assert_eq!(world.events("clone.suspected").await.len(), 3);
        let waiting = claims(&world, &host, "waiting").await;
        let starts: BTreeSet<_> =
            waiting.iter().map(|claim| claim["sighting"]["boot_id"].as_str().unwrap()).collect();
        assert_eq!(starts, BTreeSet::from(["boot-a", "boot-b", "boot-c"]));
    }

    async fn c11_a_first_connection_that_is_silent_is_no_alarm(world) {
        let host = world.join("alpha", repo()).await;
        let (_deaf, generation) = host.connect(&world, None).await;
        let (_second, _) = host.connect(&world, Some(generation)).await;
        assert_eq!(claims(&world, &host, "waiting").await.len(), 0);
        assert!(world.events("clone.suspected").await.is_empty());
    }
}
