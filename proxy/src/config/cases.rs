//! Cases for a plugin, as its author writes them to try it: checked, defaults in place. `file`
//! reads them; `trial` runs them.

use std::net::SocketAddr;
use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method, StatusCode};

use super::{Grant, PluginKind, PluginLimits};
use crate::endpoint::EndpointState;
use crate::plugin::Protocol;

#[derive(Debug, Clone, PartialEq)]
pub struct Cases {
    /// What the file says for all of its cases: one for each kind that may be meant.
    pub setups: Vec<Setup>,
    pub list: Vec<Case>,
}

/// A use of the plugin, as a configuration would have it.
#[derive(Debug, Clone, PartialEq)]
pub struct Setup {
    pub kind: PluginKind,
    /// A JSON object.
    pub settings: String,
    pub grants: Vec<Grant>,
    pub limits: PluginLimits,
    /// The default plugin that this balancer wraps.
    pub then: Option<String>,
    /// What a filter may choose.
    pub upstreams: Arc<[String]>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    pub name: String,
    pub setup: Setup,
    /// What the instance sees before, unchecked.
    pub before: Vec<Step>,
    pub step: Step,
    pub expect: Expect,
}

/// One call of a balancer, or a request and its response for a filter.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub endpoints: Arc<[CaseEndpoint]>,
    /// Addresses, in the order in which they were tried in vain.
    pub tried: Vec<String>,
    /// What a balancer further out left to choose from; none: all.
    pub candidates: Option<Vec<String>>,
    pub request: RequestGiven,
    /// What the endpoint answers; none: it is not asked for.
    pub response: Option<ResponseGiven>,
}

/// Shares are in ten-thousandths.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseEndpoint {
    pub address: String,
    pub weight: u32,
    pub labels: Vec<(String, String)>,
    pub state: EndpointState,
    pub active: u32,
    pub latency_us: u32,
    pub error_rate: u32,
    pub cpu: Option<u32>,
    pub memory: Option<u32>,
}

impl CaseEndpoint {
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            weight: 1,
            labels: Vec::new(),
            state: EndpointState::Healthy,
            active: 0,
            latency_us: 0,
            error_rate: 0,
            cpu: None,
            memory: None,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct RequestGiven {
    pub client: SocketAddr,
    pub protocol: Protocol,
    pub tls: bool,
    /// Lower case.
    pub sni: Option<String>,
    /// None at L4.
    pub head: Option<Head>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    pub method: Method,
    pub path: PathAndQuery,
    pub host: HeaderValue,
    /// One entry for each line.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What filters before noted.
    pub notes: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ResponseGiven {
    pub status: StatusCode,
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Default for RequestGiven {
    fn default() -> Self {
        let client = SocketAddr::from(([192, 0, 2, 1], 40_000));
        Self { client, protocol: Protocol::Http1, tls: false, sni: None, head: Some(Head::default()) }
    }
}

impl Default for Head {
    fn default() -> Self {
        Self {
            method: Method::GET,
            path: PathAndQuery::from_static("/"),
            host: HeaderValue::from_static("www.example.com"),
            headers: Vec::new(),
            notes: Vec::new(),
        }
    }
}

impl Default for ResponseGiven {
    fn default() -> Self {
        Self { status: StatusCode::OK, headers: Vec::new() }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Expect {
    /// No more than that the plugin does not fail.
    Sound,
    /// That it refuses its settings with a message that contains this.
    Refused(String),
    /// One for each pick, one after the other; what is left for the response of the last one.
    Picks(Vec<Wanted>, FieldsWanted),
    Messages(Box<MessagesWanted>),
}

/// Of a filter; none: whatever it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MessagesWanted {
    pub request: Option<RequestWanted>,
    pub answer: Option<AnswerWanted>,
    pub response: Option<ResponseWanted>,
}

/// Any one of these addresses; none stands for nobody. Empty: whoever it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Wanted(pub Vec<Option<String>>);

/// Headers that are wanted; those that are not named may be what they are.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FieldsWanted {
    /// All values of a header, in their order.
    pub values: Vec<(HeaderName, Vec<HeaderValue>)>,
    pub present: Vec<HeaderName>,
    pub absent: Vec<HeaderName>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct RequestWanted {
    pub method: Option<String>,
    pub path: Option<String>,
    pub host: Option<String>,
    /// None in it: the route's own.
    pub upstream: Option<Option<String>>,
    pub fields: FieldsWanted,
    pub notes: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum AnswerWanted {
    Nothing,
    Given(ResponseWanted),
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct ResponseWanted {
    pub status: Option<u16>,
    pub fields: FieldsWanted,
    /// Of an answer only.
    pub body: Option<String>,
}
