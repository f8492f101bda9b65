//! Proxies: what they are told, and what goes through them.

use super::tls::{acceptor, site as secure_site};
use super::*;
use crate::model::FailureClass;
use tokio::io::{AsyncWriteExt as _, copy_bidirectional};

/// What proxies were told.
type Told = Arc<Mutex<Vec<String>>>;

fn told(told: &Told) -> Vec<String> {
    told.lock().unwrap().clone()
}

async fn head<S: AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap().to_ascii_lowercase()
}

/// Notes who wants to go where, and leads to this place whatever was said.
async fn tunnel<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, to: SocketAddr, told: Told) {
    let head = head(&mut stream).await;
    told.lock().unwrap().push(head);
    stream.write_all(b"HTTP/1.1 200 Go on\r\n\r\n").await.unwrap();
    if let Ok(mut there) = TcpStream::connect(to).await {
        let _ = copy_bidirectional(&mut stream, &mut there).await;
    }
}

/// A proxy of HTTP, under TLS if there is an acceptor.
async fn http(to: SocketAddr, acceptor: Option<TlsAcceptor>) -> (Site, Told) {
    let all = Told::default();
    let seen = all.clone();
    let site = Site::raw(move |_, stream| {
        let (acceptor, seen) = (acceptor.clone(), seen.clone());
        async move {
            match acceptor {
                None => tunnel(stream, to, seen).await,
                Some(acceptor) => {
                    let stream = acceptor.accept(stream).await.unwrap();
                    assert_eq!(stream.get_ref().1.alpn_protocol(), None, "a tunnel is made with HTTP/1.1");
                    tunnel(stream, to, seen).await;
                }
            }
        }
    });
    (site.await, all)
}

/// A proxy of SOCKS that leads to this place whatever was said.
async fn socks(to: SocketAddr, password: Option<&'static str>) -> (Site, Told) {
    let all = Told::default();
    let seen = all.clone();
    let site = Site::raw(move |_, mut stream| {
        let seen = seen.clone();
        async move {
            let mut greeting = [0; 3];
            stream.read_exact(&mut greeting).await.unwrap();
            assert_eq!(greeting, [5, 1, if password.is_some() { 2 } else { 0 }]);
            stream.write_all(&[5, greeting[2]]).await.unwrap();
            if let Some(password) = password {
                let mut said = vec![0; 3 + "me".len() + password.len()];
                stream.read_exact(&mut said).await.unwrap();
                let is_right = said == [b"\x01\x02me", &[password.len() as u8][..], password.as_bytes()].concat();
                stream.write_all(&[1, u8::from(!is_right)]).await.unwrap();
            }
            let mut request = [0; 4];
            if stream.read_exact(&mut request).await.is_err() {
                return;
            }
            let length = if request[3] == 3 { stream.read_u8().await.unwrap() } else { 4 };
            let mut place = vec![0; usize::from(length) + 2];
            stream.read_exact(&mut place).await.unwrap();
            let port = u16::from_be_bytes([place[place.len() - 2], place[place.len() - 1]]);
            place.truncate(place.len() - 2);
            let name = if request[3] == 3 { String::from_utf8(place).unwrap() } else { format!("{place:?}") };
            seen.lock().unwrap().push(format!("{name} {port}"));
            stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
            let _ = copy_bidirectional(&mut stream, &mut TcpStream::connect(to).await.unwrap()).await;
        }
    });
    (site.await, all)
}

fn by(proxy: String) -> Client {
    client_with(&Connection { proxy: Some(proxy), insecure: true, ..Connection::default() }, &Deadlines::default())
}

#[tokio::test]
async fn a_plain_request_names_its_whole_url_to_the_proxy() {
    let (site, seen) = http("127.0.0.1:9".parse().unwrap(), None).await;
    let client = by(format!("http://me:canary@{}", site.addr));
    let _ = call(&client, &Gate::default(), &get("http://a.example/x?y")).await; // it answers as if to a tunnel
    let head = told(&seen).remove(0);
    assert!(head.starts_with("get http://a.example/x?y http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nhost: a.example\r\n") && head.contains("\r\nproxy-authorization: basic "), "{head}");
}

#[tokio::test]
async fn the_proxy_is_told_no_more_than_the_host_of_what_is_encrypted() {
    let (target, _) = secure_site(&["a.example"]).await;
    for acceptor in [None, Some(acceptor(&["127.0.0.1"]).0)] {
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let (site, seen) = http(target.addr, acceptor).await;
        let client = by(format!("{scheme}://me:canary@{}", site.addr));
        let answer = call(&client, &Gate::default(), &get("https://a.example/secret")).await.unwrap();
        assert_eq!(answer.version, "HTTP/2", "agreed upon with the host");
        assert_eq!(read(answer).await.unwrap(), b"secure");
        let head = told(&seen).remove(0);
        assert!(head.starts_with("connect a.example:443 http/1.1\r\n"), "{head}");
        assert!(head.contains("proxy-authorization: basic ") && !head.contains("secret"), "{head}");
    }
    assert!(target.seen().iter().all(|s| !s.has("proxy-authorization")));
}

#[tokio::test]
async fn a_plain_request_to_a_proxy_under_tls() {
    let (proxy, _) = secure_site(&["127.0.0.1"]).await;
    let client = by(format!("https://me:canary@{}", proxy.addr));
    let answer = call(&client, &Gate::default(), &get("http://a.example/x")).await.unwrap();
    assert_eq!((answer.version, &read(answer).await.unwrap()[..]), ("HTTP/1.1", &b"secure"[..]));
    assert!(proxy.seen()[0].has("proxy-authorization"));
}

#[tokio::test]
async fn a_proxy_of_socks_is_told_a_name_or_an_address() {
    let (plain, (secure, _)) = (Site::http(|_| reply(200, &[], "plain")).await, secure_site(&["localhost"]).await);
    for (scheme, name) in [("socks5", "[127, 0, 0, 1]"), ("socks5h", "localhost")] {
        for password in [None, Some("canary")] {
            let user = if password.is_some() { "me:canary@" } else { "" };
            let (site, seen) = socks(plain.addr, password).await;
            let client = by(format!("{scheme}://{user}{}", site.addr));
            assert_eq!(fetch(&client, &Gate::default(), &get("http://localhost/")).await.unwrap(), b"plain");
            let (site, also_seen) = socks(secure.addr, password).await;
            let client = by(format!("{scheme}://{user}{}", site.addr));
            assert_eq!(fetch(&client, &Gate::default(), &get("https://localhost/")).await.unwrap(), b"secure");
            let (seen, also_seen) = (told(&seen), told(&also_seen));
            assert_eq!((&seen[0], &also_seen[0]), (&format!("{name} 80"), &format!("{name} 443")));
        }
    }
    assert!(plain.seen().iter().all(|s| s.path == "/" && !s.has("proxy-authorization")));
}

#[tokio::test]
async fn a_name_is_looked_up_here_by_the_rules_for_names() {
    let (site, seen) = socks("127.0.0.1:9".parse().unwrap(), None).await;
    let connection = Connection { proxy: Some(format!("socks5://{}", site.addr)), ..Connection::default() };
    let client = client_of(Trust::Data, &connection, &Deadlines::default());
    let failure = call(&client, &Gate::default(), &get("http://localhost/")).await.unwrap_err();
    assert_eq!(failure.code, "http_address", "{failure}");
    assert!(told(&seen).is_empty());
}

#[tokio::test]
async fn a_proxy_that_does_not_lead_there_is_no_connection() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refusing = Site::raw(|_, mut stream| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await;
    })
    .await;
    let (careful, _) = socks(free, Some("other")).await;
    for (proxy, reason) in [
        (format!("http://me:canary@{free}"), "refused"),
        (format!("socks5h://me:canary@{free}"), "refused"),
        (format!("http://me:canary@{}", refusing.addr), "proxy authorization required"),
        (format!("socks5h://me:canar@{}", careful.addr), "credentials not accepted"),
    ] {
        let gate = Gate::default();
        let failure = call(&by(proxy), &gate, &post("https://a.example/x")).await.unwrap_err();
        let expected = ("http_connect", FailureClass::Transient);
        assert_eq!((failure.code.as_str(), failure.class), expected, "nothing was sent: {failure}");
        assert!(failure.message.to_lowercase().contains(reason), "{failure}");
        assert!(!format!("{failure:?}").contains("canar"), "{failure:?}");
        assert_eq!(gate.ending(), Ending::Bad);
    }
}
