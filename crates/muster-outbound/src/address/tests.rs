use super::*;

fn judged(ip: &str, allowed: &[&str]) -> Result<(), Unreachable> {
    let networks: Vec<IpNet> = allowed.iter().map(|network| network.parse().unwrap()).collect();
    judge(ip.parse().unwrap(), &Allowed::networks(&networks))
}

#[track_caller]
fn check(ips: &[&str], expected: Result<(), Unreachable>) {
    for ip in ips {
        assert_eq!(judged(ip, &[]), expected, "{ip}");
    }
}

#[test]
fn public_addresses_are_reached() {
    let v4 = ["1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255"];
    check(&v4, Ok(()));
    check(&["172.32.0.0", "192.0.1.1", "198.17.255.255", "198.20.0.0", "223.255.255.255"], Ok(()));
    check(&["2606:4700:4700::1111", "2a00:1450::1", "2001:200::1", "3ffe::1"], Ok(()));
    check(&["64:ff9b::1.1.1.1", "2002:101:101::1", "::ffff:1.1.1.1"], Ok(()));
}

#[test]
fn what_only_this_machine_reaches_is_refused() {
    check(&["127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1"], Err(Unreachable::Loopback));
    check(&["64:ff9b::127.0.0.1", "2002:7f00:1::"], Err(Unreachable::Loopback));
    check(&["0.0.0.0", "0.1.2.3", "::", "::ffff:0.0.0.0"], Err(Unreachable::Unspecified));
    let private =
        ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd12::1", "fec0::1"];
    check(&private, Err(Unreachable::Private));
    check(&["::ffff:10.0.0.1", "64:ff9b::192.168.0.1", "2002:a00:1::1"], Err(Unreachable::Private));
    check(&["169.254.169.254", "fe80::1", "febf::1", "::ffff:a9fe:a9fe"], Err(Unreachable::LinkLocal));
    check(&["64:ff9b::169.254.169.254", "2002:a9fe:a9fe::"], Err(Unreachable::LinkLocal));
    check(&["100.64.0.1", "100.127.255.255"], Err(Unreachable::SharedByCarrier));
    check(&["224.0.0.1", "239.255.255.255", "ff02::1"], Err(Unreachable::Multicast));
    check(&["192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1"], Err(Unreachable::Documentation));
    check(&["2001:db8::1", "3fff::1", "3fff:fff::1"], Err(Unreachable::Documentation));
    check(&["192.0.0.1", "192.88.99.1", "240.0.0.1", "255.255.255.255"], Err(Unreachable::Reserved));
    // IPv4-compatible, local NAT64, Teredo, and what nobody was given.
    let reserved = ["::127.0.0.1", "::1.1.1.1", "64:ff9b:1::1", "2001::1", "2001:20::1", "4000::1", "100::1"];
    check(&reserved, Err(Unreachable::Reserved));
}

#[test]
fn a_listed_network_is_reached_and_nothing_beside_it() {
    assert_eq!(judged("10.1.2.3", &["10.1.0.0/16"]), Ok(()));
    assert_eq!(judged("::ffff:10.1.2.3", &["10.1.0.0/16"]), Ok(()));
    assert_eq!(judged("10.2.0.1", &["10.1.0.0/16"]), Err(Unreachable::Private));
    assert_eq!(judged("fd12::1", &["fd12::/64"]), Ok(()));
    assert_eq!(judged("127.0.0.1", &["::1/128", "127.0.0.2/32"]), Err(Unreachable::Loopback));
    // The list names addresses, not what lies behind a translator.
    assert_eq!(judged("64:ff9b::10.1.2.3", &["10.1.0.0/16"]), Err(Unreachable::Private));
}

#[test]
fn an_address_of_this_machine_is_known_by_where_its_packets_come_from() {
    assert!(is_of_this_machine("127.0.0.1".parse().unwrap()));
    assert!(!is_of_this_machine("192.0.2.1".parse().unwrap()));
}
