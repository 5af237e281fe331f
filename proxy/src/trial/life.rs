//! The life of one instance: its start, then one call after the other, to its first failure.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderName, HeaderValue};

use super::stage::{self, Stage};
use super::subject::Subject;
use crate::config::{PluginKind, RequestGiven, Setup, Step};
use crate::plugin::{Balancer, Decision, Exchange, Failure, Filter};

pub struct Life(State);

enum State {
    Balancer(Box<Balancer>, Stage),
    Filter(Box<Filter>),
}

/// What a balancer decided.
pub struct Picked {
    /// An address; none: nobody.
    pub endpoint: Option<String>,
    /// What it left for the response.
    pub reply: Vec<(HeaderName, HeaderValue)>,
}

/// What came of a step.
pub enum Done {
    Picked(Picked),
    /// Whether the filter answered by itself.
    Passed {
        answered: bool,
    },
}

/// The plugin's message when it refuses the settings of this use.
pub fn refusal(subject: &Subject, setup: &Setup) -> Option<String> {
    let step = Step {
        endpoints: Arc::default(),
        tried: Vec::new(),
        candidates: None,
        request: RequestGiven::default(),
        response: None,
    };
    match Life::start(subject, setup, &step) {
        Err(Fault { failure: Failure::Refused(message), .. }) => Some(message),
        _ => None,
    }
}

/// A failure of the plugin, and in which call.
#[derive(Debug, Clone)]
pub struct Fault {
    pub call: Call,
    pub failure: Failure,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// It is instantiated, `configure` is called, and a balancer gets its first `update`.
    Start,
    Update,
    Pick,
    OnRequest,
    OnResponse,
}

impl Call {
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Update => "update",
            Self::Pick => "pick",
            Self::OnRequest => "on-request",
            Self::OnResponse => "on-response",
        }
    }

    fn fails(self, failure: Failure) -> Fault {
        Fault { call: self, failure }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.call.name(), self.failure)
    }
}

impl Life {
    pub fn start(subject: &Subject, setup: &Setup, first: &Step) -> Result<Self, Fault> {
        let usage = subject.usage(setup);
        let fails = |failure| Call::Start.fails(failure);
        Ok(Self(match setup.kind {
            PluginKind::Balancer => {
                let stage = Stage::new(1, &first.endpoints);
                State::Balancer(Box::new(Balancer::start(&usage, 0, &stage.set).map_err(fails)?), stage)
            }
            PluginKind::HttpFilter => State::Filter(Box::new(Filter::start(&usage, 0).map_err(fails)?)),
        }))
    }

    /// A pick, or a request and its response: what comes of it, unchecked.
    pub fn step(&mut self, step: &Step) -> Result<Done, Fault> {
        if let State::Balancer(..) = self.0 {
            return self.pick(step).map(Done::Picked);
        }
        let exchange = self.on_request(step)?;
        let exchange = self.on_response(exchange, step)?;
        Ok(Done::Passed { answered: exchange.answer.is_some() })
    }

    /// A balancer is told of other endpoints first, where the step has others than the one before.
    pub fn pick(&mut self, step: &Step) -> Result<Picked, Fault> {
        let exchange = stage::exchange(&step.request);
        let State::Balancer(balancer, stage) = &mut self.0 else {
            return Ok(Picked { endpoint: None, reply: Vec::new() });
        };
        if !Arc::ptr_eq(&stage.written, &step.endpoints) {
            *stage = Stage::new(stage.set.generation + 1, &step.endpoints);
            balancer.attempt_update(&stage.set).map_err(|failure| Call::Update.fails(failure))?;
        }
        let begin = Instant::now();
        stage.measure(begin);
        let (exchange, decision) = balancer.attempt(begin, exchange, &mut stage::choice(step), &stage.set);
        let endpoint = match decision.map_err(|failure| Call::Pick.fails(failure))? {
            Decision::Endpoint(index) => Some(stage.address(index)),
            Decision::Nobody | Decision::Failed => None,
        };
        Ok(Picked { endpoint, reply: exchange.reply })
    }

    /// Whether a filter is called for requests, for responses.
    pub fn phases(&self) -> (bool, bool) {
        match &self.0 {
            State::Balancer(..) => (false, false),
            State::Filter(filter) => (filter.wants_request(), filter.wants_response()),
        }
    }

    pub fn on_request(&mut self, step: &Step) -> Result<Box<Exchange>, Fault> {
        let exchange = stage::exchange(&step.request);
        match &mut self.0 {
            State::Filter(filter) if filter.wants_request() => {
                let (exchange, result) = filter.attempt_request(exchange);
                result.map(|()| exchange).map_err(|failure| Call::OnRequest.fails(failure))
            }
            _ => Ok(exchange),
        }
    }

    /// Of the endpoint, or of the filter itself: its own answers pass it too.
    pub fn on_response(&mut self, mut exchange: Box<Exchange>, step: &Step) -> Result<Box<Exchange>, Fault> {
        exchange.response = match &exchange.answer {
            Some(answer) => {
                let (mut parts, ()) = http::Response::new(()).into_parts();
                parts.status = answer.status;
                parts.headers = answer.headers.clone();
                Some(parts)
            }
            None => step.response.as_ref().map(stage::response),
        };
        match &mut self.0 {
            State::Filter(filter) if filter.wants_response() && exchange.response.is_some() => {
                let (exchange, result) = filter.attempt_response(exchange);
                result.map(|()| exchange).map_err(|failure| Call::OnResponse.fails(failure))
            }
            _ => Ok(exchange),
        }
    }
}
