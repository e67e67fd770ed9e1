//! Signing in from the command line, and the way back in on the server machine.

use serde_json::Value;

use crate::cli::Terminal;
use crate::harness::{Backend, Server, both};

const PASSWORD: &str = "seven green bottles";

both! {
    async fn whoever_has_a_password_makes_a_token_for_their_machine(backend: Backend) {
        let server = Server::start(backend).await;
        let url = server.operators_url().to_string();
        let code_file = server.data.join("setup-code");
        let admin = Terminal::new(&server, "admin");
        let setup = ["setup", "--url", &url, "--code-file", code_file.to_str().unwrap(), "--login", "ada"];
        let twice = format!("{PASSWORD}\n{PASSWORD}\n");
        let differs = admin.run(&setup, Some(&format!("{PASSWORD}\nanother\n"))).await;
        assert_ne!(differs.code, 0);
        admin.run(&setup, Some(&twice)).await.succeeded();

        let laptop = Terminal::new(&server, "laptop");
        let login = ["login", "--url", &url, "--password"];
        let wrong = laptop.run(&login, Some("ada\nnot the password\n")).await;
        assert!(wrong.code != 0 && wrong.err.contains("next: type login and password again"), "{}", wrong.said());
        let right = laptop.run(&login, Some(&format!("ADA\n{PASSWORD}\n"))).await;
        assert!(!right.succeeded().contains(PASSWORD));
        assert_eq!(laptop.json(&["whoami"]).await["role"], "admin");
        let tokens = laptop.json(&["token", "list"]).await.to_string();
        assert!(tokens.contains("muster on "), "{tokens}");
        let sessions = laptop.json(&["account", "session", "list"]).await;
        assert_eq!(sessions["items"], Value::Array(Vec::new()), "the session was for the token alone");

        let change = format!("{PASSWORD}\nnine yellow kettles\nnine yellow kettles\n");
        laptop.run(&["account", "set-password"], Some(&change)).await.succeeded();
        let old = laptop.run(&login, Some(&format!("ada\n{PASSWORD}\n"))).await;
        assert_ne!(old.code, 0);
    }

    async fn the_way_back_in_needs_the_server_stopped(backend: Backend) {
        let mut server = Server::start(backend).await;
        let url = server.operators_url().to_string();
        let code_file = server.data.join("setup-code");
        let admin = Terminal::new(&server, "admin");
        let setup = ["setup", "--url", &url, "--code-file", code_file.to_str().unwrap()];
        admin.run(&setup, None).await.succeeded();

        let data = server.data.to_str().unwrap().to_owned();
        let database = server.database.as_ref().map(|database| database.url().to_owned());
        let mut recover = vec!["admin", "recover", "--data-dir", &data, "-q"];
        if let Some(database) = &database {
            recover.extend(["--database", database]);
        }
        let running = admin.run(&recover, None).await;
        assert!(running.code != 0 && running.err.contains("stop the server"), "{}", running.said());
        let elsewhere = admin.run(&["admin", "recover", "--data-dir", server.folder().to_str().unwrap()], None).await;
        assert!(elsewhere.err.contains("no master key"), "{}", elsewhere.said());
        assert!(!server.folder().join("muster.db").exists(), "nothing is made in the wrong folder");

        assert_eq!(server.stop().await, 0);
        let password = admin.run(&recover, None).await.succeeded().trim().to_owned();
        server.launch().await;
        let laptop = Terminal::new(&server, "laptop");
        let login = ["login", "--url", &url, "--password", "--login", "admin"];
        laptop.run(&login, Some(&format!("{password}\n"))).await.succeeded();
        let trail = laptop.json(&["audit", "list", "--action", "person.recovered"]).await.to_string();
        assert!(trail.contains(r#""actor":"recover""#) && !trail.contains(&password), "{trail}");
    }
}
