//! A real mail server for tests, on a port of its own: STARTTLS with a certificate of its own, login by PLAIN and LOGIN,
//! and every way to fail that a mail server knows.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

/// How the server behaves from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// It takes mail.
    Well,
    /// It closes every connection at once.
    Down,
    /// It says "later" to every sender.
    Busy,
    /// It refuses every recipient for good.
    Refusing,
    /// It takes the content, and ends the connection before it says so; then it is well.
    DyingOnce,
}

/// A mail as it came.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Recipients of the envelope.
    pub to: Vec<String>,
    /// The content.
    pub data: Vec<u8>,
    /// Whether the connection was protected.
    pub is_secure: bool,
    /// Who had logged in, and by which password.
    pub login: Option<(String, String)>,
    /// Whether the server said that it took it.
    pub is_answered: bool,
}

struct Inner {
    mood: Mutex<Mood>,
    taken: Mutex<Vec<Taken>>,
    tries: Mutex<u64>,
    tls: TlsAcceptor,
    /// Whether every connection is protected from its first byte on, and login is by LOGIN alone.
    is_implicit: bool,
}

/// A running server.
pub struct Smtp {
    inner: Arc<Inner>,
    address: SocketAddr,
    pem: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Smtp {
    /// Starts one.
    pub fn start() -> Self {
        Self::start_as(false)
    }

    /// Starts one that is protected from the first byte on, and takes a login by LOGIN alone.
    pub fn start_implicit() -> Self {
        Self::start_as(true)
    }

    fn start_as(is_implicit: bool) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap();
        let inner = Arc::new(Inner {
            mood: Mutex::new(Mood::Well),
            taken: Mutex::default(),
            tries: Mutex::default(),
            tls: TlsAcceptor::from(Arc::new(config)),
            is_implicit,
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let (ready, address) = std::sync::mpsc::sync_channel(1);
        let served = Arc::clone(&inner);
        let thread = std::thread::Builder::new()
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async move {
                    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                    ready.send(listener.local_addr().unwrap()).unwrap();
                    let accepting = async {
                        loop {
                            let (stream, _) = listener.accept().await.unwrap();
                            let inner = Arc::clone(&served);
                            tokio::spawn(async move { drop(session(inner, stream).await) });
                        }
                    };
                    tokio::select! {
                        () = accepting => {}
                        _ = stopped => {}
                    }
                });
            })
            .unwrap();
        let address = address.recv().unwrap();
        Self { inner, address, pem: certificate.pem(), stop: Some(stop), thread: Some(thread) }
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Its certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Makes it behave otherwise.
    pub fn mood(&self, mood: Mood) {
        *self.inner.mood.lock().unwrap() = mood;
    }

    /// The mails that came whole, also those that it did not answer.
    pub fn taken(&self) -> Vec<Taken> {
        self.inner.taken.lock().unwrap().clone()
    }

    /// Connections so far.
    pub fn tries(&self) -> u64 {
        *self.inner.tries.lock().unwrap()
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

async fn session(inner: Arc<Inner>, stream: tokio::net::TcpStream) -> std::io::Result<()> {
    *inner.tries.lock().unwrap() += 1;
    if *inner.mood.lock().unwrap() == Mood::Down {
        return Ok(());
    }
    if inner.is_implicit {
        let mut secure = BufReader::new(inner.tls.accept(stream).await?);
        secure.write_all(b"220 mail.example.com\r\n").await?;
        return talk(&inner, &mut secure, true).await.map(drop);
    }
    let mut plain = BufReader::new(stream);
    plain.write_all(b"220 mail.example.com\r\n").await?;
    if !talk(&inner, &mut plain, false).await? {
        return Ok(());
    }
    let mut secure = BufReader::new(inner.tls.accept(plain.into_inner()).await?);
    talk(&inner, &mut secure, true).await?;
    Ok(())
}

async fn line<S: AsyncBufRead + Unpin>(stream: &mut S) -> std::io::Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    Ok(line.trim_end().to_owned())
}

fn decoded(text: &str) -> String {
    String::from_utf8(STANDARD.decode(text).unwrap_or_default()).unwrap_or_default()
}

/// Talks until the end; true: the other side wants to go on protected.
async fn talk<S: Stream>(inner: &Inner, stream: &mut BufReader<S>, is_secure: bool) -> std::io::Result<bool> {
    let (mut to, mut login) = (Vec::new(), None);
    loop {
        let said = line(stream).await?;
        let mood = *inner.mood.lock().unwrap();
        let upper = said.to_ascii_uppercase();
        let answer = if said.is_empty() {
            return Ok(false);
        } else if upper.starts_with("EHLO") {
            let more = match (is_secure, inner.is_implicit) {
                (false, _) => "250 STARTTLS",
                (true, false) => "250 AUTH PLAIN LOGIN",
                (true, true) => "250 AUTH LOGIN",
            };
            format!("250-mail.example.com\r\n250-8BITMIME\r\n{more}")
        } else if upper == "STARTTLS" {
            stream.write_all(b"220 go on\r\n").await?;
            return Ok(true);
        } else if let Some(plain) = said.strip_prefix("AUTH PLAIN ") {
            let text = decoded(plain);
            let mut parts = text.split('\0').skip(1).map(str::to_owned);
            login = parts.next().zip(parts.next());
            "235 welcome".into()
        } else if upper == "AUTH LOGIN" {
            stream.write_all(b"334 VXNlcm5hbWU6\r\n").await?;
            let user = decoded(&line(stream).await?);
            stream.write_all(b"334 UGFzc3dvcmQ6\r\n").await?;
            login = Some((user, decoded(&line(stream).await?)));
            "235 welcome".into()
        } else if upper.starts_with("MAIL FROM") && mood == Mood::Busy {
            "451 come back later".into()
        } else if upper.starts_with("RCPT TO") && mood == Mood::Refusing {
            "550 no such user".into()
        } else if let Some(address) = said.strip_prefix("RCPT TO:") {
            to.push(address.trim_matches(['<', '>']).to_owned());
            "250 ok".into()
        } else if upper == "DATA" {
            stream.write_all(b"354 go on\r\n").await?;
            let mut data = Vec::new();
            loop {
                let from = data.len();
                stream.read_until(b'\n', &mut data).await?;
                if &data[from..] == b".\r\n" {
                    data.truncate(from);
                    break;
                }
                if data.len() == from {
                    return Ok(false);
                }
            }
            let is_answered = mood != Mood::DyingOnce;
            let mail = Taken { to: to.clone(), data, is_secure, login: login.clone(), is_answered };
            inner.taken.lock().unwrap().push(mail);
            if !is_answered {
                *inner.mood.lock().unwrap() = Mood::Well;
                return Ok(false);
            }
            "250 taken".into()
        } else if upper == "QUIT" {
            stream.write_all(b"221 bye\r\n").await?;
            return Ok(false);
        } else {
            "250 ok".into()
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
}
