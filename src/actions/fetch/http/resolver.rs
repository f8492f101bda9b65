//! From names to addresses that may be dialled.
//!
//! The policy is asked here, where the address is found that is dialled next, so that a name which answers otherwise a
//! second time gains nothing.

use super::address::Policy;
use hyper_util::client::legacy::connect::dns::Name;
use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tower_service::Service;

/// Longest time for a lookup; a longer one is a failure (`http_timeout`). The system's call goes on behind it until its own
/// time is over.
pub(super) const LOOKUP_MAX: Duration = Duration::from_secs(5);
/// How long the addresses of a name are kept. The system tells no lifetime.
const KEEP: Duration = Duration::from_secs(30);
/// Most names that are kept; when it is reached, all whose time is over go, and if none is, all.
const NAMES_MAX: usize = 1024;
/// Most lookups at once, as each holds a thread for blocking work; others wait within their [`LOOKUP_MAX`].
const LOOKUPS_MAX: usize = 16;
/// Most addresses of one name; the rest is not tried.
const ADDRESSES_MAX: usize = 32;

/// Finds all addresses of a name.
pub(super) type Source = Arc<dyn Fn(String) -> Found + Send + Sync>;
/// What it finds.
pub(super) type Found = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Lookups with their memory, shared by the resolvers of all policies.
pub(super) struct Lookups {
    source: Source,
    known: Mutex<HashMap<String, (Vec<IpAddr>, Instant)>>,
    turns: Semaphore,
    most: Duration,
}

impl Lookups {
    /// Lookups by the system.
    pub(super) fn system() -> Arc<Self> {
        Self::new(Arc::new(|name| {
            Box::pin(async move {
                let found = tokio::net::lookup_host((name, 0)).await?;
                Ok(found.map(|a| a.ip()).take(ADDRESSES_MAX).collect())
            })
        }))
    }

    /// Lookups by this function.
    pub(super) fn new(source: Source) -> Arc<Self> {
        let (known, turns) = (Mutex::default(), Semaphore::new(LOOKUPS_MAX));
        Arc::new(Self { source, known, turns, most: LOOKUP_MAX })
    }

    async fn find(&self, name: &str) -> Result<Vec<IpAddr>, NoAddress> {
        match timeout(self.most, self.find_now(name)).await {
            Ok(found) => found,
            Err(_) => Err(NoAddress::Late(self.most)),
        }
    }

    async fn find_now(&self, name: &str) -> Result<Vec<IpAddr>, NoAddress> {
        if let Some(known) = self.known(name) {
            return Ok(known);
        }
        let _turn = self.turns.acquire().await.ok();
        if let Some(known) = self.known(name) {
            return Ok(known); // somebody else asked while this one waited for its turn
        }
        let found = (self.source)(name.to_owned()).await.map_err(|e| NoAddress::Unknown(e.to_string()))?;
        if found.is_empty() {
            return Err(NoAddress::Unknown("the name has no address".into()));
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= NAMES_MAX {
            known.retain(|_, (_, at)| at.elapsed() < KEEP);
            if known.len() >= NAMES_MAX {
                known.clear();
            }
        }
        known.insert(name.to_owned(), (found.clone(), Instant::now()));
        Ok(found)
    }

    fn known(&self, name: &str) -> Option<Vec<IpAddr>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(name).filter(|(_, at)| at.elapsed() < KEEP).map(|(found, _)| found.clone())
    }
}

/// The resolver of one policy. Cheap to clone.
#[derive(Clone)]
pub(super) struct Resolver {
    lookups: Arc<Lookups>,
    policy: Policy,
    /// The proxy's name, which the configuration gives: it may have any address.
    proxy: Option<Arc<str>>,
}

impl Resolver {
    /// A resolver that hands out what the policy allows.
    pub(super) fn new(lookups: Arc<Lookups>, policy: Policy, proxy: Option<String>) -> Self {
        Self { lookups, policy, proxy: proxy.map(Arc::from) }
    }

    /// The addresses of a name that may be dialled: at least one.
    pub(super) async fn find(&self, name: &str) -> Result<Vec<IpAddr>, NoAddress> {
        let is_proxy = self.proxy.as_ref().is_some_and(|proxy| proxy.eq_ignore_ascii_case(name));
        let policy = if is_proxy { Policy::Any } else { self.policy };
        let mut found = self.lookups.find(name).await?;
        found.retain(|ip| policy.allows(*ip));
        if found.is_empty() { Err(NoAddress::Refused(policy)) } else { Ok(found) }
    }
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = NoAddress;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, NoAddress>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NoAddress>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolver = self.clone();
        Box::pin(async move {
            let found = resolver.find(name.as_str()).await?;
            let found: Vec<_> = found.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect();
            Ok(found.into_iter())
        })
    }
}

/// Why a name has no address that can be dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoAddress {
    /// None of its addresses may be dialled.
    Refused(Policy),
    /// Looking it up took longer than this.
    Late(Duration),
    /// It could not be found.
    Unknown(String),
}

impl fmt::Display for NoAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(policy) => f.write_str(policy.text()),
            Self::Late(_) => f.write_str("the lookup takes too long"),
            Self::Unknown(why) => f.write_str(why),
        }
    }
}

impl Error for NoAddress {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Answers with one of these lists after the other.
    fn scripted(answers: Vec<Vec<&'static str>>) -> (Arc<Lookups>, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let lookups = Lookups::new(Arc::new(move |_| {
            let n = count.fetch_add(1, Ordering::SeqCst);
            let found = answers[n.min(answers.len() - 1)].iter().map(|ip| ip.parse().unwrap()).collect();
            Box::pin(std::future::ready(Ok(found)))
        }));
        (lookups, asked)
    }

    async fn ask(resolver: &Resolver, name: &str) -> Result<Vec<String>, NoAddress> {
        let found = resolver.clone().call(name.parse().unwrap()).await?;
        Ok(found.map(|a| a.ip().to_string()).collect())
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_changes_its_mind_is_checked_again() {
        let (lookups, asked) = scripted(vec![vec!["1.1.1.1", "10.0.0.1"], vec!["169.254.169.254"]]);
        let public = Resolver::new(lookups.clone(), Policy::Public, None);
        assert_eq!(ask(&public, "rebind.example").await.unwrap(), ["1.1.1.1"]);
        assert_eq!(ask(&public, "rebind.example").await.unwrap(), ["1.1.1.1"]);
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        tokio::time::advance(KEEP).await;
        assert_eq!(ask(&public, "rebind.example").await, Err(NoAddress::Refused(Policy::Public)));
        let written = Resolver::new(lookups.clone(), Policy::NoMetadata, None);
        assert_eq!(ask(&written, "rebind.example").await, Err(NoAddress::Refused(Policy::NoMetadata)));
        let proxy = Resolver::new(lookups, Policy::Public, Some("rebind.example".into()));
        assert_eq!(ask(&proxy, "rebind.example").await.unwrap(), ["169.254.169.254"]);
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lookup_that_takes_too_long_is_given_up() {
        let lookups = Lookups::new(Arc::new(|_| Box::pin(std::future::pending())));
        let resolver = Resolver::new(lookups, Policy::Any, None);
        let began = Instant::now();
        assert_eq!(ask(&resolver, "slow.example").await, Err(NoAddress::Late(LOOKUP_MAX)));
        assert!(began.elapsed() < LOOKUP_MAX + Duration::from_millis(10));
    }

    #[tokio::test(start_paused = true)]
    async fn names_are_kept_up_to_a_bound() {
        let (lookups, asked) = scripted(vec![vec!["1.1.1.1"]]);
        let resolver = Resolver::new(lookups.clone(), Policy::Public, None);
        for n in 0..NAMES_MAX + 10 {
            ask(&resolver, &format!("{n}.example")).await.unwrap();
        }
        assert_eq!(asked.load(Ordering::SeqCst), NAMES_MAX + 10);
        assert_eq!(lookups.known.lock().unwrap().len(), 10);
    }

    #[tokio::test]
    async fn a_name_without_addresses_is_unknown() {
        let (lookups, _) = scripted(vec![vec![]]);
        let resolver = Resolver::new(lookups, Policy::Any, None);
        assert!(matches!(ask(&resolver, "none.example").await, Err(NoAddress::Unknown(_))));
    }
}
