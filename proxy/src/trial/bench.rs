//! What a call costs, and what an instance takes: the median of several rounds, and the fastest.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, header};

use super::life::{Call, Fault, Life};
use super::stage;
use super::stage::Stage;
use super::subject::Subject;
use crate::config::{CaseEndpoint, Head, PluginKind, RequestGiven, ResponseGiven, Setup, Step};
use crate::plugin::{Balancer, Choice, Exchange, Failure, Filter};

const ROUNDS: usize = 11;
const ROUND: Duration = Duration::from_millis(20);
const STARTS: usize = 15;
/// Requests that are made ready before the clock runs.
const BATCH: usize = 32;
const SIZES: [u32; 3] = [10, 100, 1000];

/// Prints a row for each measure; false where the plugin failed.
pub fn bench(subject: &Subject, setup: &Setup, out: &mut dyn Write) -> io::Result<bool> {
    let compile = subject
        .compiled_in
        .map_or_else(|| "from the cache".to_owned(), |took| format!("{:.1} ms", took.as_secs_f64() * 1000.0));
    writeln!(out, "bench of {}, a use as {}", subject.plugin.name, kind(setup.kind))?;
    writeln!(out, "  {:<22}{compile}", "compile")?;
    match rows(subject, setup, out)? {
        Ok(()) => Ok(true),
        Err(fault) => {
            writeln!(out, "  FAILED  {fault}")?;
            Ok(false)
        }
    }
}

fn kind(kind: PluginKind) -> &'static str {
    match kind {
        PluginKind::Balancer => "balancer",
        PluginKind::HttpFilter => "http-filter",
    }
}

/// Median and fastest.
struct Sample(Duration, Duration);

impl Sample {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort();
        Self(times.get(times.len() / 2).copied().unwrap_or_default(), times.first().copied().unwrap_or_default())
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>10} ns median, {:>10} ns fastest", self.0.as_nanos(), self.1.as_nanos())
    }
}

type Rows = Result<(), Fault>;

fn rows(subject: &Subject, setup: &Setup, out: &mut dyn Write) -> io::Result<Rows> {
    match start_time(subject, setup) {
        Ok(Sample(median, fastest)) => {
            let (median, fastest) = (median.as_micros(), fastest.as_micros());
            writeln!(out, "  {:<22}{median:>10} µs median, {fastest:>10} µs fastest", "start")?;
        }
        Err(fault) => return Ok(Err(fault)),
    }
    match setup.kind {
        PluginKind::Balancer => picks(subject, setup, out),
        PluginKind::HttpFilter => messages(subject, setup, out),
    }
}

/// With its settings, and ten endpoints.
fn start_time(subject: &Subject, setup: &Setup) -> Result<Sample, Fault> {
    let step = Step {
        endpoints: endpoints(SIZES[0]),
        tried: Vec::new(),
        candidates: None,
        request: request(),
        response: None,
    };
    let start = |_| {
        let begin = Instant::now();
        Life::start(subject, setup, &step).map(|_| begin.elapsed())
    };
    (0..STARTS).map(start).collect::<Result<_, _>>().map(Sample::of)
}

/// Weights from 1 to 3, all of them healthy, some of them busy.
fn endpoints(count: u32) -> Arc<[CaseEndpoint]> {
    let endpoint = |number: u32| CaseEndpoint {
        weight: 1 + number % 3,
        active: number % 5,
        latency_us: 500 + number % 100,
        cpu: Some(number % 10_000),
        memory: Some(number % 10_000),
        ..CaseEndpoint::new(format!("10.0.{}.{}:80", number / 256, number % 256))
    };
    (0..count).map(endpoint).collect()
}

/// Such as browsers send.
fn request() -> RequestGiven {
    let lines = [
        (header::USER_AGENT, "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        (header::ACCEPT, "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        (header::ACCEPT_LANGUAGE, "en-GB,en;q=0.5"),
        (header::ACCEPT_ENCODING, "gzip, deflate, br, zstd"),
        (header::COOKIE, "theme=dark; session=0123456789abcdef"),
    ];
    let headers = lines.into_iter().map(line).collect();
    let path = PathAndQuery::from_static("/api/items?page=2");
    RequestGiven { head: Some(Head { path, headers, ..Head::default() }), ..RequestGiven::default() }
}

fn response() -> ResponseGiven {
    let lines = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::SERVER, "origin/1.0"),
        (header::CACHE_CONTROL, "private, max-age=0"),
    ];
    ResponseGiven { headers: lines.into_iter().map(line).collect(), ..ResponseGiven::default() }
}

fn line((name, value): (HeaderName, &'static str)) -> (HeaderName, HeaderValue) {
    (name, HeaderValue::from_static(value))
}

fn picks(subject: &Subject, setup: &Setup, out: &mut dyn Write) -> io::Result<Rows> {
    let fails = |failure| Fault { call: Call::Pick, failure };
    let (mut memory, mut calls) = (Memory::default(), 0);
    for count in SIZES {
        let stage = Stage::new(1, &endpoints(count));
        let mut balancer = match Balancer::start(&subject.usage(setup), 0, &stage.set) {
            Ok(balancer) => balancer,
            Err(failure) => return Ok(Err(Fault { call: Call::Start, failure })),
        };
        let before = balancer.memory();
        let mut exchange = Some(stage::exchange(&request()));
        let sample = rounds(|| {
            let now = exchange.take().unwrap_or_else(|| stage::exchange(&request()));
            let begin = Instant::now();
            let (mut back, decision) = balancer.attempt(begin, now, &mut Choice::default(), &stage.set);
            let took = begin.elapsed();
            back.reply.clear();
            // What plugins may write into one request is bounded.
            calls += 1;
            exchange = (calls % BATCH != 0).then_some(back);
            decision.map(|_| took)
        });
        match sample {
            Ok(sample) => writeln!(out, "  {:<22}{sample}", format!("pick, {count} endpoints"))?,
            Err(failure) => return Ok(Err(fails(failure))),
        }
        memory.note(before, balancer.memory());
    }
    writeln!(out, "  {:<22}{memory} in {calls} picks", "memory")?;
    Ok(Ok(()))
}

/// One of a filter's two calls.
type Attempt = fn(&mut Filter, Box<Exchange>) -> (Box<Exchange>, Result<(), Failure>);

fn messages(subject: &Subject, setup: &Setup, out: &mut dyn Write) -> io::Result<Rows> {
    let mut filter = match Filter::start(&subject.usage(setup), 0) {
        Ok(filter) => filter,
        Err(failure) => return Ok(Err(Fault { call: Call::Start, failure })),
    };
    let (before, mut calls) = (filter.memory(), 0);
    let phases: [(Call, bool, Attempt); 2] = [
        (Call::OnRequest, filter.wants_request(), Filter::attempt_request),
        (Call::OnResponse, filter.wants_response(), Filter::attempt_response),
    ];
    for (call, wanted, attempt) in phases {
        if !wanted {
            writeln!(out, "  {:<22}not called with these settings", call.name())?;
            continue;
        }
        let mut ready: Vec<Box<Exchange>> = Vec::new();
        let sample = rounds(|| {
            let exchange = ready.pop().unwrap_or_else(|| {
                ready.extend((1..BATCH).map(|_| message(call)));
                message(call)
            });
            calls += 1;
            let begin = Instant::now();
            let (_exchange, result) = attempt(&mut filter, exchange);
            let took = begin.elapsed();
            result.map(|()| took)
        });
        match sample {
            Ok(sample) => writeln!(out, "  {:<22}{sample}", call.name())?,
            Err(failure) => return Ok(Err(Fault { call, failure })),
        }
    }
    let mut memory = Memory::default();
    memory.note(before, filter.memory());
    writeln!(out, "  {:<22}{memory} in {calls} calls", "memory")?;
    Ok(Ok(()))
}

fn message(call: Call) -> Box<Exchange> {
    let mut exchange = stage::exchange(&request());
    if call == Call::OnResponse {
        exchange.response = Some(stage::response(&response()));
    }
    exchange
}

/// Time for one call, in each of several rounds; the first calls do not count.
fn rounds(mut call: impl FnMut() -> Result<Duration, Failure>) -> Result<Sample, Failure> {
    let round = |calls: u32, call: &mut dyn FnMut() -> Result<Duration, Failure>| {
        let mut sum = Duration::ZERO;
        for _ in 0..calls {
            sum += call()?;
        }
        Ok::<_, Failure>(sum / calls)
    };
    let warm = round(BATCH as u32, &mut call)?;
    let calls = (ROUND.as_nanos() / warm.as_nanos().max(1)).clamp(8, 200_000) as u32;
    (0..ROUNDS).map(|_| round(calls, &mut call)).collect::<Result<_, _>>().map(Sample::of)
}

/// Of an instance, in bytes.
#[derive(Default)]
struct Memory {
    most: usize,
    grown: usize,
}

impl Memory {
    fn note(&mut self, before: usize, after: usize) {
        self.most = self.most.max(after);
        self.grown = self.grown.max(after.saturating_sub(before));
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>10} KiB, grown by {} KiB", self.most >> 10, self.grown >> 10)
    }
}
