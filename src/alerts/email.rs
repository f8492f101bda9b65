//! A message as mail: a table with the colour of its severity and the same as plain text, over one connection that is
//! opened for it and closed after it.
//!
//! Its Message-ID comes from the outbox, so a mail that is sent twice, because nobody lived to note the first, is one
//! for whoever shows it.

mod body;

use super::delivery::{CONNECT, Hands, Parcel, Undelivered, said};
use crate::model::alert::channel::{Mail, MailTls};
use crate::model::text;
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use std::time::{Duration, UNIX_EPOCH};

/// Largest file with certificates, in bytes; a larger one is refused.
const CA_MAX: u64 = 4 * 1024 * 1024;

pub async fn send(mail: &Mail, parcel: &Parcel<'_>, hands: &dyn Hands) -> Result<(), Undelivered> {
    let message = build(mail, parcel)?;
    let login = match &mail.login {
        Some(login) => {
            let password = hands.secret(&login.password).await.map_err(|f| Undelivered::later(f.message))?;
            Some((login.user.clone(), password))
        }
        None => None,
    };
    let hide = login.as_ref().map(|(_, password)| password.clone()).unwrap_or_default();
    let failed = |doing: &str, e: &Error| undelivered(mail, doing, e, &hide);
    let hello = ClientId::Domain(domain(&parcel.message.host));
    let tls = match mail.tls {
        MailTls::None => None,
        MailTls::StartTls | MailTls::Implicit => Some(parameters(mail)?),
    };
    let (at_once, later) = if mail.tls == MailTls::Implicit { (tls, None) } else { (None, tls) };
    let server = (mail.host.as_str(), mail.port);
    let mut connection = AsyncSmtpConnection::connect_tokio1(server, Some(CONNECT), &hello, at_once, None)
        .await
        .map_err(|e| failed("connect", &e))?;
    if let Some(tls) = later {
        if !connection.can_starttls() {
            let why = format!("{}:{} offers no STARTTLS; nothing was sent", text::escape(&mail.host), mail.port);
            return Err(Undelivered::later(why));
        }
        connection.starttls(tls, &hello).await.map_err(|e| failed("protect the connection", &e))?;
    }
    if let Some((user, password)) = login {
        let credentials = Credentials::new(user, password);
        let sent = connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await;
        // A password that is wrong today may be put right without a new configuration.
        sent.map_err(|e| Undelivered::later(failed("log in", &e).why().to_owned()))?;
    }
    let sent = hand_over(&mut connection, &message).await.map_err(|(doing, e)| failed(doing, &e));
    // What was taken was taken; how the connection ends does not matter.
    let _ = tokio::time::timeout(Duration::from_secs(5), connection.quit()).await;
    sent
}

/// Envelope and content. One address that the server does not know does not keep the mail from the others.
async fn hand_over(
    connection: &mut AsyncSmtpConnection,
    message: &lettre::Message,
) -> Result<(), (&'static str, Error)> {
    let envelope = message.envelope();
    let from = MailFrom::new(envelope.from().cloned(), vec![]);
    connection.command(from).await.map_err(|e| ("name the sender", e))?;
    let mut refused = None;
    let mut taken = 0;
    for to in envelope.to() {
        match connection.command(Rcpt::new(to.clone(), vec![])).await {
            Ok(_) => taken += 1,
            Err(e) if e.is_permanent() => refused = Some(e),
            Err(e) => return Err(("name a recipient", e)),
        }
    }
    match refused {
        Some(e) if taken == 0 => return Err(("name a recipient", e)),
        _ => {}
    }
    connection.command(Data).await.map_err(|e| ("begin the content", e))?;
    connection.message(&message.formatted()).await.map_err(|e| ("send the content", e))?;
    Ok(())
}

fn parameters(mail: &Mail) -> Result<TlsParameters, Undelivered> {
    let mut builder = TlsParameters::builder(mail.host.clone());
    if let Some(path) = &mail.ca {
        let unusable = |why: String| Undelivered::later(format!("the certificates in {}: {why}", text::path(path)));
        let size = std::fs::metadata(path).map_err(|e| unusable(e.to_string()))?.len();
        if size > CA_MAX {
            return Err(unusable("larger than 4 MiB".into()));
        }
        let pem = std::fs::read(path).map_err(|e| unusable(e.to_string()))?;
        builder = builder.add_root_certificate(Certificate::from_pem(&pem).map_err(|e| unusable(chain(&e)))?);
    }
    builder.build_rustls().map_err(|e| Undelivered::later(format!("cannot protect the connection: {}", chain(&e))))
}

/// A name that may stand in EHLO and in a Message-ID.
pub(super) fn domain(host: &str) -> String {
    let safe: String = host.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-')).take(200).collect();
    if safe.is_empty() { "localhost".into() } else { safe }
}

fn build(mail: &Mail, parcel: &Parcel<'_>) -> Result<lettre::Message, Undelivered> {
    let bad = |what: &str, address: &str| {
        Undelivered::Refused(format!("not an address to send {what}: {}", text::escape(address)))
    };
    let message = parcel.message;
    let from: Mailbox = mail.from.parse().map_err(|_| bad("from", &mail.from))?;
    let at = UNIX_EPOCH + Duration::from_millis(u64::try_from(message.at.0).unwrap_or(0));
    let subject = format!("[{}] {}", message.severity.name(), text::escape(&message.subject));
    let mut builder = lettre::Message::builder()
        .from(from)
        .date(at)
        .subject(subject)
        .message_id(Some(format!("<{}@{}>", parcel.id, domain(&message.host))))
        .user_agent(concat!("shiftboss/", env!("CARGO_PKG_VERSION")).to_owned());
    for to in &mail.to {
        builder = builder.to(to.parse().map_err(|_| bad("to", to))?);
    }
    let parts = MultiPart::alternative_plain_html(body::plain(message), body::html(message));
    builder.multipart(parts).map_err(|e| Undelivered::Refused(format!("no mail can be made of it: {e}")))
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut out = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !out.contains(&cause_text) {
            out = format!("{out}: {cause_text}");
        }
        source = cause.source();
    }
    out
}

fn undelivered(mail: &Mail, doing: &str, error: &Error, hide: &str) -> Undelivered {
    let why = format!("cannot {doing} at {}:{}: {}", text::escape(&mail.host), mail.port, said(&chain(error), &[hide]));
    if error.is_permanent() { Undelivered::Refused(why) } else { Undelivered::later(why) }
}
