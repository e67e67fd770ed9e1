use std::time::Duration;

use super::*;

fn name(text: &str) -> Host {
    Host::parse(text).unwrap()
}

/// The servers of `slow.example` answer nobody; all other names are known at once.
fn slowly(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if name.ends_with("slow.example") {
        std::thread::sleep(Duration::from_secs(3));
    }
    Ok(vec![SocketAddr::new([192, 0, 2, 1].into(), port)])
}

#[test]
fn a_domain_is_the_last_two_labels() {
    for (name, expected) in
        [("localhost", "localhost"), ("a.test", "a.test"), ("x.a.test", "a.test"), ("y.x.a.test", "a.test")]
    {
        assert_eq!(domain(name), expected);
    }
}

#[tokio::test]
async fn a_domain_that_does_not_answer_keeps_no_place_from_others() {
    let resolver = Resolver::looking_up(slowly);
    let allowed = Allowed::networks(&["192.0.2.0/24".parse().unwrap()]);
    for n in 0..2 * AT_ONCE {
        let host = name(&format!("n{n}.slow.example"));
        let asked = resolver.checked(&host, 443, &allowed);
        assert!(tokio::time::timeout(Duration::from_millis(5), asked).await.is_err());
    }
    let quick = name("quick.example.org");
    let asked = resolver.checked(&quick, 443, &allowed);
    assert!(tokio::time::timeout(Duration::from_secs(1), asked).await.unwrap().is_ok());
    assert!(resolver.domains.lock().unwrap().len() <= 2);
}
