use super::*;

fn peer(address: &str) -> SocketAddr {
    SocketAddr::new(address.parse().expect("an address"), 40_000)
}

fn sources(most: usize, most_of_loopback: usize) -> Sources {
    let proxies = "198.51.100.0/24".parse().expect("a network");
    Sources::new(most, most_of_loopback, Arc::new(proxies))
}

#[test]
fn one_source_takes_its_places_only() {
    let sources = sources(2, 3);
    let mut held: Vec<_> = (0..2).map(|_| sources.take(peer("192.0.2.1")).expect("a place")).collect();
    assert!(sources.take(peer("192.0.2.1")).is_none());
    assert!(sources.take(peer("::ffff:192.0.2.1")).is_none(), "the same address in another spelling");
    assert!(sources.take(peer("192.0.2.2")).is_some(), "a neighbour is not touched");
    held.pop();
    assert!(sources.take(peer("192.0.2.1")).is_some());
    drop(held);
    assert!(sources.open().is_empty());
}

#[test]
fn an_ipv6_network_of_64_bits_is_one_source() {
    let sources = sources(1, 1);
    let _held = sources.take(peer("2001:db8:0:1::1")).expect("a place");
    assert!(sources.take(peer("2001:db8:0:1:ffff::2")).is_none());
    assert!(sources.take(peer("2001:db8:0:2::1")).is_some());
}

#[test]
fn who_speaks_for_others_is_counted_apart() {
    let sources = sources(0, 2);
    assert!(sources.take(peer("198.51.100.7")).is_some(), "a trusted proxy");
    let held = [peer("127.0.0.1"), peer("127.0.0.1"), peer("::1")].map(|peer| sources.take(peer));
    assert!(held.iter().all(Option::is_some));
    assert!(sources.take(peer("127.0.0.1")).is_none());
}
