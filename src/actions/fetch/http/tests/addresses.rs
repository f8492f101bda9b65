//! Addresses that may not be dialled.

use super::*;
use crate::actions::fetch::spec::Networks;
use crate::model::FailureClass;

/// A client for URLs out of data.
fn of_data(connection: &Connection) -> Client {
    client_of(Trust::Data, connection, &Deadlines::default())
}

#[tokio::test]
async fn urls_out_of_data_reach_public_addresses_alone() {
    let site = Site::http(|_| reply(200, &[], "inside")).await;
    let (client, port) = (of_data(&Connection::default()), site.addr.port());
    for host in [
        "127.0.0.1",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "[::1]",
        "0",
        "127.0.0.1.",
    ] {
        let gate = Gate::default();
        let failure = call(&client, &gate, &get(&format!("http://{host}:{port}/"))).await.unwrap_err();
        assert_eq!(
            (failure.code.as_str(), failure.class),
            ("http_address", FailureClass::Permanent),
            "{host}: {failure}"
        );
        assert!(failure.message.starts_with("address refused, only public addresses may be dialled: "), "{failure}");
        assert!(gate.endings().is_empty(), "{host}: no turn was taken");
    }
    let gate = Gate::default();
    let failure = call(&client, &gate, &get(&format!("http://localhost:{port}/secret/path"))).await.unwrap_err();
    assert_eq!(failure.code, "http_address", "{failure}");
    assert_eq!(failure.message, format!("address refused, only public addresses may be dialled: localhost:{port}"));
    assert_eq!(gate.ending(), Ending::Abandoned, "the host is not to blame");
    assert!(site.seen().is_empty());
}

#[tokio::test]
async fn a_connection_of_a_written_url_is_not_used_for_one_out_of_data() {
    let site = Site::http(|_| reply(200, &[], "inside")).await;
    let url = format!("http://localhost:{}/", site.addr.port());
    assert_eq!(fetch(&client(), &Gate::default(), &get(&url)).await.unwrap(), b"inside");
    let failure = call(&of_data(&Connection::default()), &Gate::default(), &get(&url)).await.unwrap_err();
    assert_eq!(failure.code, "http_address");
    assert_eq!(site.seen().len(), 1);
}

#[tokio::test]
async fn no_redirect_leads_to_a_metadata_service() {
    for location in [
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:169.254.169.254]/",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://[fe80::1]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://100.100.100.200/",
    ] {
        let site = Site::http(move |_| reply(302, &[("location", location)], "")).await;
        let gate = Gate::default();
        let failure = call(&client(), &gate, &get(&site.url("/"))).await.unwrap_err();
        assert_eq!(failure.code, "http_address", "{location}: {failure}");
        assert!(failure.message.contains("link-local and metadata addresses"), "{failure}");
        assert!(is_good(gate.ending()));
    }
}

#[tokio::test]
async fn the_configuration_may_open_or_close_networks() {
    let site = Site::http(|_| reply(200, &[], "inside")).await;
    let of = |networks| Connection { networks, ..Connection::default() };
    assert!(fetch(&of_data(&of(Networks::Any)), &Gate::default(), &get(&site.url("/"))).await.is_ok());
    let closed = client_with(&of(Networks::Public), &Deadlines::default());
    let failure = call(&closed, &Gate::default(), &get(&site.url("/"))).await.unwrap_err();
    assert_eq!(failure.code, "http_address");
}

#[tokio::test]
async fn a_proxy_is_used_if_it_is_written_down_and_never_named_by_data() {
    let proxy = Site::http(|seen| reply(200, &[], seen.headers["host"].as_bytes().to_vec())).await;
    let written = format!("http://user:canary@localhost:{}", proxy.addr.port());
    let client = of_data(&Connection { proxy: Some(written), ..Connection::default() });
    let body = fetch(&client, &Gate::default(), &get("http://somewhere.example/x")).await.unwrap();
    assert_eq!(body, b"somewhere.example");
    assert!(proxy.seen()[0].has("proxy-authorization"));
    let failure = call(&client, &Gate::default(), &get("http://localhost:9/")).await.unwrap_err();
    assert_eq!(failure.code, "http_address");
    assert!(!format!("{client:?}").contains("canary"));
    let bad = Connection { proxy: Some("ftp://user:canary@x".into()), ..Connection::default() };
    let failure = Client::new(&bad, &Deadlines::default(), 1, Trust::Data).unwrap_err();
    assert!(!failure.message.contains("canary"), "{failure}");
}
