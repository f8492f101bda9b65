//! One attempt: a request and its pages, from the gate to the temporary output.
//!
//! What blocks runs on threads for it, a few times for each answer; the rest waits without one. A stop is heard wherever
//! the other side is waited for, and never in the middle of what is done to files.

use super::answer::{self, Page, Position, Seen};
use super::body::{Gathered, Whole, unwritten};
use super::http::{Answer, Client, parse, send};
use super::outgoing::{Parts, has_secrets};
use super::output::{Done, Got, begin_pages, examine, open_output, place_one, write_page};
use super::spec::{Form, Pages};
use super::told::{add, report};
use super::{Fetch, kept};
use crate::clock::{Clock, SystemClock};
use crate::model::action::network::{AnswerFacts, AnswerKey, CachedAnswer, Call, HOST_CLOSED};
use crate::model::action::{BoxFuture, Desk, Level, OutputFile, Progress, Report, SmallOutput, Stop};
use crate::model::failure::NO_HANDLES;
use crate::model::{Failure, FailureClass, JobOrder, Millis};
use bytes::Buf;
use std::fs::File;
use std::future::Future;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use url::Url;

/// A checkpoint is noted after every page; what it says has no more bytes than this, or paging starts from zero.
const STATE_MAX: usize = 60 * 1024;

/// After so many pieces the screen is told how far it is.
const TELL_EVERY: u32 = 32;
/// Most bytes of an answer that is looked at without a thread for it.
const INLINE_MAX: usize = 8 * 1024;

/// Codes of failures that are no word of the host: a retry of them is none of its retries.
const OURS: [&str; 5] = [HOST_CLOSED, NO_HANDLES, "output", "scratch", "body"];

/// Does the work of one job.
pub(super) async fn run(fetch: Arc<Fetch>, order: JobOrder) -> Result<Report, Failure> {
    let Some(input) = order.item.as_deref() else {
        return Err(Failure::permanent("no_url", "fetch needs a URL, and this job has none"));
    };
    let url = parse(input)?;
    let mut job = Job::prepare(fetch, &order).await?;
    let mut call = Call::default();
    let done = match job.fetch.spec.pages.clone() {
        None => job.one(&url, &mut call).await,
        Some(pages) => job.pages(&url, &pages, &mut call).await,
    };
    done.map_err(|failure| job.blame(failure, &url, call))
}

/// An attempt at work.
struct Job {
    fetch: Arc<Fetch>,
    desk: Arc<dyn Desk>,
    client: Client,
    parts: Arc<Parts>,
    target: PathBuf,
    scratch: PathBuf,
    /// In a lock that nobody waits for: it makes the attempt fit to move between threads.
    stop: Mutex<BoxFuture<Stop>>,
}

impl Job {
    /// Reads secrets and makes the client, where that is needed.
    async fn prepare(fetch: Arc<Fetch>, order: &JobOrder) -> Result<Self, Failure> {
        let desk = Arc::clone(&order.desk);
        let read = {
            let (fetch, desk, key) = (Arc::clone(&fetch), Arc::clone(&desk), order.key.clone());
            move || Ok::<_, Failure>((fetch.client()?, Parts::read(&fetch.spec, &key, &*desk)?))
        };
        let (client, parts) = if fetch.client.get().is_some() && !has_secrets(&fetch.spec) {
            read()?
        } else {
            on_thread(&desk, read).await??
        };
        let target = order.base.join(fetch.spec.output.expand_path(&order.vars));
        let stop = Mutex::new(desk.until_stopped());
        if fetch.spec.connection.insecure {
            desk.log(Level::Warn, "certificates are not checked: `insecure = true`");
        }
        Ok(Self { fetch, desk, client, parts: Arc::new(parts), target, scratch: order.scratch.clone(), stop })
    }

    /// One URL, one answer.
    async fn one(&mut self, url: &Url, call: &mut Call) -> Result<Report, Failure> {
        let got = self.get(url, self.fetch.spec.max_bytes, true, call).await?;
        let cached = got.cached;
        let page = match self.small(&got).await? {
            Some(page) => page,
            None => {
                let (fetch, desk) = (Arc::clone(&self.fetch), Arc::clone(&self.desk));
                let (target, parts) = (self.target.clone(), Arc::clone(&self.parts));
                on_thread(&desk.clone(), move || place_one(&fetch, &*desk, &target, &parts, &got)).await??
            }
        };
        Ok(report(call, cached, &page, 1))
    }

    /// Checks a small answer here, and hands over what is wanted of it where the desk takes that: it costs less than a
    /// thread. None: it is not small.
    async fn small(&self, got: &Got) -> Result<Option<Page>, Failure> {
        let Whole::Memory(body) = &got.body else { return Ok(None) };
        if body.len() > INLINE_MAX {
            return Ok(None);
        }
        let spec = &self.fetch.spec;
        let (page, content) = if spec.write.form == Form::Body {
            (examine(spec, &self.parts, got, None)?, body.bytes().to_vec())
        } else {
            let mut made = Vec::new();
            (examine(spec, &self.parts, got, Some(&mut made))?, made)
        };
        let small = SmallOutput { target: self.target.clone(), on_exists: spec.on_exists, content };
        if let Err(SmallOutput { target, on_exists, content }) = self.desk.small_output(small) {
            let desk = Arc::clone(&self.desk);
            let write = move || {
                let mut output = open_output(&*desk, &target, on_exists)?;
                output.file.write_all(&content).map_err(|e| unwritten(&target, &e))
            };
            on_thread(&self.desk, write).await??;
        }
        Ok(Some(page.unwrap_or_default()))
    }

    /// Every page of one URL, one after the other, into one output.
    async fn pages(&mut self, url: &Url, pages: &Pages, call: &mut Call) -> Result<Report, Failure> {
        let spec = Arc::clone(&self.fetch);
        let (desk, target) = (Arc::clone(&self.desk), self.target.clone());
        let on_exists = spec.spec.on_exists;
        let (mut at, file) = on_thread(&desk.clone(), move || begin_pages(&*desk, &target, on_exists)).await??;
        let file = Arc::new(file);
        let first = answer::first(&pages.by, url);
        let mut next = if at.pages == 0 { Some(first.clone()) } else { Some(parse(&at.next)?) };
        let mut seen = Seen::default();
        (call.requests, call.bytes) = (at.requests, at.bytes);
        let mut page = Page::default();
        while let Some(url) = next.take() {
            if at.pages >= pages.max {
                let message = format!("there are more pages than {}, which is the limit of `max`", pages.max);
                return Err(Failure::permanent("pages_max", message));
            }
            let left = spec.spec.max_bytes.saturating_sub(at.bytes);
            let got = self.get(&url, left, false, call).await?;
            let (current, link) = (self.parts.bare(&got.url), got.link.clone());
            let (worker, output, parts) = (Arc::clone(&spec), Arc::clone(&file), Arc::clone(&self.parts));
            let columns = at.columns.take();
            let done = on_thread(&self.desk, move || write_page(&worker, &parts, &got, &output, columns)).await?;
            (page, at.columns, at.written) = done?;
            at.pages += 1;
            at.items += page.items.unwrap_or(0);
            (at.bytes, at.requests) = (call.bytes, call.requests);
            let place =
                Position { first: &first, current: &current, link: link.as_deref(), number: at.pages, items: at.items };
            next = answer::next(&pages.by, &place, &page, &mut seen)?.map(|url| self.parts.bare(&url));
            let progress = Progress { bytes: at.bytes, rows: at.items, ..Progress::default() };
            self.desk.progress(progress);
            if let Some(next) = &next {
                next.as_str().clone_into(&mut at.next);
                self.note(&at).await?;
            }
        }
        page.items = Some(at.items);
        Ok(report(call, false, &page, at.pages))
    }

    /// Notes how far the pages are. A note that fails costs pages after a crash, and nothing now.
    async fn note(&self, at: &Done) -> Result<(), Failure> {
        let state = serde_json::to_vec(at).unwrap_or_default();
        if state.is_empty() || state.len() > STATE_MAX {
            return Ok(());
        }
        let desk = Arc::clone(&self.desk);
        let noted = on_thread(&self.desk, move || desk.checkpoint(&state)).await?;
        if let Err(failure) = noted {
            self.desk.log(Level::Debug, &failure.message);
        }
        Ok(())
    }

    /// A good answer with its body, out of the cache or from the other side.
    async fn get(&mut self, url: &Url, max: u64, direct: bool, call: &mut Call) -> Result<Got, Failure> {
        let fetch = Arc::clone(&self.fetch);
        let spec = &fetch.spec;
        let now = SystemClock.now();
        let key = spec.cache.map(|_| kept::key(spec, &self.parts, url));
        let kept = match key {
            None => None,
            Some(key) => {
                let desk = Arc::clone(&self.desk);
                on_thread(&self.desk, move || desk.answers().get(&key)).await?
            }
        };
        if let (Some(cache), Some(kept)) = (spec.cache, kept.as_ref())
            && kept::is_fresh(cache, kept, now)
        {
            return self.kept_answer(kept, url).await;
        }
        let outgoing = self.parts.outgoing(spec, url, max, kept::validators(kept.as_ref()));
        let hosts = self.desk.hosts();
        let expect = spec.expect.status.clone();
        let good =
            move |status| if expect.is_empty() { (200..300).contains(&status) } else { expect.contains(&status) };
        let client = self.client.clone();
        let redirects = spec.connection.redirects;
        let sending = send(&client, &outgoing, &*hosts, &spec.limits, &spec.statuses, redirects, &good);
        let answer = match self.or_stop(sending).await? {
            Ok(answer) => answer,
            Err(failure) => return self.or_stale(failure, kept, url, now, call).await,
        };
        if answer.status == 304
            && let (Some(kept), Some(key)) = (&kept, key)
        {
            add(call, answer.call());
            let facts = kept::confirmed(kept, &answer, now);
            let desk = Arc::clone(&self.desk);
            // A note that is lost costs a request next time.
            let _ = on_thread(&self.desk, move || desk.answers().confirm(&key, &facts)).await?;
            return self.kept_answer(kept, url).await;
        }
        let facts = key.and_then(|_| kept::facts(&answer, &outgoing, now));
        match self.receive(answer, key.filter(|_| facts.is_some()).zip(facts), direct, call).await {
            Ok(got) => Ok(got),
            Err(failure) => self.or_stale(failure, kept, url, now, call).await,
        }
    }

    /// What stands in for an answer that cannot be had, if anything may.
    async fn or_stale(
        &mut self,
        failure: Failure,
        kept: Option<CachedAnswer>,
        url: &Url,
        now: Millis,
        call: &mut Call,
    ) -> Result<Got, Failure> {
        let may = failure.class.is_retried() && failure.code != HOST_CLOSED && self.desk.stopped().is_none();
        match (self.fetch.spec.cache, kept) {
            (Some(cache), Some(kept)) if may && kept::stands_in(cache, &kept, now) => {
                if let Some(made) = failure.call {
                    add(call, made);
                }
                let line = format!("takes an earlier answer, because of {}: {}", failure.code, failure.message);
                self.desk.log(Level::Warn, &line);
                self.kept_answer(&kept, url).await
            }
            _ => Err(failure),
        }
    }

    async fn kept_answer(&self, kept: &CachedAnswer, url: &Url) -> Result<Got, Failure> {
        let mut body = kept.body.try_clone().map_err(|e| unwritten(&self.target, &e))?;
        let scratch = self.scratch.clone();
        let copied = on_thread(&self.desk, move || {
            let path = spool(&scratch)?;
            let mut file = File::create(&path).map_err(|e| unwritten(&path, &e))?;
            std::io::copy(&mut body, &mut file).map_err(|e| unwritten(&path, &e))?;
            Ok::<_, Failure>(path)
        });
        let path = copied.await??;
        Ok(Got {
            body: Whole::File(path),
            output: None,
            link: kept.facts.link.clone(),
            facts: kept.facts.clone(),
            version: "from the cache",
            url: url.clone(),
            cached: true,
        })
    }

    /// Takes a body in: a small one into memory, a large one into a file as it comes.
    async fn receive(
        &mut self,
        mut answer: Answer,
        keep: Option<(AnswerKey, AnswerFacts)>,
        direct: bool,
        call: &mut Call,
    ) -> Result<Got, Failure> {
        let to_output = direct && self.fetch.spec.write.form == Form::Body;
        let mut gathered = Gathered::default();
        let mut sink: Option<Sink> = None;
        let mut seen = 0_u32;
        let received = loop {
            match self.or_stop(answer.chunk()).await? {
                Ok(None) => break Ok(()),
                Ok(Some(mut piece)) => {
                    while !piece.is_empty() {
                        piece.advance(gathered.push(&piece));
                        if gathered.is_full() {
                            seen += 1;
                            let (open, empty) = self.spill(sink, gathered, to_output).await?;
                            (sink, gathered) = (Some(open), empty);
                            if seen.is_multiple_of(TELL_EVERY) {
                                let bytes = call.bytes + answer.call().bytes;
                                self.desk.progress(Progress { bytes, ..Progress::default() });
                            }
                        }
                    }
                }
                Err(failure) => break Err(failure),
            }
        };
        add(call, answer.call());
        received?;
        if (sink.is_some() || keep.is_some()) && (sink.is_none() || !gathered.is_empty()) {
            sink = Some(self.spill(sink, gathered.take(), to_output).await?.0);
        }
        let link: Vec<&str> = answer.headers.all("link").collect();
        let link = (!link.is_empty()).then(|| link.join(", "));
        let facts = AnswerFacts {
            status: answer.status,
            content_type: answer.headers.get("content-type").map(str::to_owned),
            ..AnswerFacts::default()
        };
        let (body, output) = match sink {
            None => (Whole::Memory(gathered), None),
            Some(Sink::Output(output)) => (Whole::File(output.temp.clone()), Some(output)),
            Some(Sink::Scratch(_, path)) => (Whole::File(path), None),
        };
        if let (Some((key, facts)), Whole::File(path)) = (keep, &body) {
            let (desk, path) = (Arc::clone(&self.desk), path.clone());
            let kept = on_thread(&self.desk, move || desk.answers().put(&key, &facts, &path)).await?;
            if let Err(e) = kept {
                self.desk.log(Level::Warn, &format!("the answer is not kept: {e}"));
            }
        }
        Ok(Got { body, output, facts, version: answer.version, url: answer.url.clone(), link, cached: false })
    }

    /// Writes what has come to the end of its file; the first time it opens one.
    async fn spill(
        &self,
        sink: Option<Sink>,
        gathered: Gathered,
        to_output: bool,
    ) -> Result<(Sink, Gathered), Failure> {
        let (desk, target, scratch) = (Arc::clone(&self.desk), self.target.clone(), self.scratch.clone());
        let on_exists = self.fetch.spec.on_exists;
        on_thread(&self.desk, move || {
            let mut sink = match sink {
                Some(sink) => sink,
                None if to_output => Sink::Output(open_output(&*desk, &target, on_exists)?),
                None => {
                    let path = spool(&scratch)?;
                    let file = File::create(&path).map_err(|e| unwritten(&path, &e))?;
                    Sink::Scratch(file, path)
                }
            };
            let file = match &mut sink {
                Sink::Output(output) => &mut output.file,
                Sink::Scratch(file, _) => file,
            };
            file.write_all(gathered.bytes()).map_err(|e| unwritten(&target, &e))?;
            Ok((sink, gathered.emptied()))
        })
        .await?
    }

    /// What is waited for, or the stop that comes first.
    async fn or_stop<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Failure> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            _ = self.stop.get_mut().unwrap_or_else(PoisonError::into_inner) => Err(Failure::transient("stopped", "stopped on request")),
        }
    }

    /// Adds what is known of the calls, and when a retry may come at the earliest.
    fn blame(&self, mut failure: Failure, url: &Url, mut call: Call) -> Failure {
        if let Some(made) = failure.call {
            // What failed was not added up yet, unless its answer came.
            if made.requests + call.requests > 0 && failure.code.starts_with("http_") {
                add(&mut call, made);
            }
        }
        failure.call = Some(call).filter(|c| c.requests > 0);
        let is_ours = OURS.contains(&failure.code.as_str());
        if !is_ours && failure.class.is_retried() && self.desk.stopped().is_none() {
            let host = super::urls::host_name(url);
            let booked = self.desk.hosts().book_retry(&host, &self.fetch.spec.limits);
            failure.not_before = Some(failure.not_before.map_or(booked, |asked| asked.max(booked)));
        }
        failure
    }
}

/// Where a body goes that does not stay in memory.
enum Sink {
    Output(OutputFile),
    Scratch(File, PathBuf),
}

/// Runs what blocks on a thread for it.
async fn on_thread<T: Send + 'static>(
    desk: &Arc<dyn Desk>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let (tell, told) = tokio::sync::oneshot::channel();
    // Nobody listens any more only where the runtime ends.
    desk.blocking(Box::new(move || drop(tell.send(work()))));
    let panicked =
        |_| Failure::new(FailureClass::Panic, "panic", "writing the answer panicked: this is a fault of the program");
    told.await.map_err(panicked)
}

/// A file of the attempt's own.
fn spool(scratch: &Path) -> Result<PathBuf, Failure> {
    std::fs::create_dir_all(scratch).map_err(|e| Failure::io("scratch", "create", scratch, &e))?;
    Ok(scratch.join("body"))
}
