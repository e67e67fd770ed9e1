use super::*;

fn mode(url: &str) -> SslMode {
    Line::parse(url).unwrap().config.get_ssl_mode()
}

#[test]
fn the_network_is_tls_unless_plain_text_was_asked_for() {
    for host in
        ["db.example", "192.0.2.7", "0.0.0.0", "localhost.example", "[2001:db8::1]", "[::ffff:192.0.2.7]"]
    {
        assert_eq!(mode(&format!("postgres://muster@{host}/muster")), SslMode::Require, "{host}");
        assert_eq!(
            mode(&format!("postgres://muster@{host}/muster?sslmode=prefer")),
            SslMode::Require,
            "{host}"
        );
        assert_eq!(
            mode(&format!("postgres://muster@{host}/muster?sslmode=disable")),
            SslMode::Disable,
            "{host}"
        );
    }
}

#[test]
fn this_machine_is_plain_unless_tls_was_asked_for() {
    for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "[::1]", "%2Frun%2Fpostgresql"] {
        assert_eq!(mode(&format!("postgres://muster@{host}/muster")), SslMode::Disable, "{host}");
        assert_eq!(
            mode(&format!("postgres://muster@{host}/muster?sslmode=require")),
            SslMode::Require,
            "{host}"
        );
    }
}

#[test]
fn one_host_of_the_network_among_several_is_enough() {
    assert_eq!(mode("postgres://muster@localhost,db.example/muster"), SslMode::Require);
    assert_eq!(mode("postgres://muster@%2Frun%2Fpostgresql,db.example/muster"), SslMode::Require);
}

#[test]
fn the_address_counts_and_not_the_name_beside_it() {
    assert_eq!(mode("postgres://muster@localhost/muster?hostaddr=192.0.2.7"), SslMode::Require);
    assert_eq!(mode("postgres://muster@db.example/muster?hostaddr=127.0.0.1"), SslMode::Disable);
}
