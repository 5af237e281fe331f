//! Why a request fails, and whose fault it is: one table turns it into a status and a short body.

use std::io;
use std::sync::Arc;

use http::StatusCode;
use rustix::io::Errno;

use crate::body::Refusal;
use crate::upstream::{DownloadError, NoEndpoint};

#[derive(Debug, thiserror::Error)]
pub enum Fault {
    // The client's.
    #[error("bad request: {0}")]
    BadRequest(&'static str),
    #[error("the client's body ended early")]
    BrokenBody,
    #[error("the client's body did not come in time")]
    SlowBody,
    #[error("the client's body is longer than plugin {0} takes it whole")]
    BodyTooLong(Arc<str>),
    #[error("too many bodies are held for plugin {0}")]
    TooMuchHeld(Arc<str>),
    #[error("no route for this request")]
    NoRoute,
    #[error("method not supported")]
    Method,
    #[error("transfer coding not supported")]
    Coding,
    #[error("the target is too long")]
    TargetTooLong,
    #[error("the head is too large, or has too many lines")]
    HeadTooLarge,
    #[error("the head did not come in time")]
    SlowHead,
    // The upstream's.
    #[error("no endpoint could be connected: {0}")]
    Connect(io::Error),
    #[error("the endpoint broke off before it answered: {0}")]
    BrokenOff(DownloadError),
    #[error("the endpoint switched protocols unasked")]
    SwitchedUnasked,
    #[error("the endpoint's body is longer than plugin {0} takes it whole")]
    AnswerTooLong(Arc<str>),
    #[error("no answer in time")]
    Timeout,
    #[error("{0}")]
    NoEndpoint(#[from] NoEndpoint),
    // A plugin's, and the operator's.
    #[error("plugin {0} failed")]
    Plugin(String),
    #[error("plugin {0} does not let the request's body pass")]
    Refused(Arc<str>),
    #[error("plugin {0} does not let the response's body pass")]
    Withheld(Arc<str>),
    #[error("the rewritten path is not valid")]
    Rewrite,
    #[error("the proxy is starting or stopping")]
    NotServing,
}

impl Fault {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) | Self::BrokenBody => StatusCode::BAD_REQUEST,
            Self::SlowBody | Self::SlowHead => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Refused(_) => StatusCode::FORBIDDEN,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::Method | Self::Coding => StatusCode::NOT_IMPLEMENTED,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Connect(_)
            | Self::BrokenOff(_)
            | Self::SwitchedUnasked
            | Self::AnswerTooLong(_)
            | Self::Withheld(_) => StatusCode::BAD_GATEWAY,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Self::NoEndpoint(_) | Self::Plugin(_) | Self::TooMuchHeld(_) | Self::NotServing => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Rewrite => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What it means that a filter lets nothing more pass of a request's body.
    pub fn of_request(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Failed(plugin) => Self::Plugin(plugin.to_string()),
            Refusal::Aborted(plugin) => Self::Refused(plugin),
        }
    }

    /// The same of a response's.
    pub fn of_response(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Failed(plugin) => Self::Plugin(plugin.to_string()),
            Refusal::Aborted(plugin) => Self::Withheld(plugin),
        }
    }

    /// Whether it speaks against the endpoint that was tried.
    pub fn is_upstreams(&self) -> bool {
        match self {
            Self::Connect(error) => !is_ours(error),
            Self::BrokenOff(_) | Self::Timeout => true,
            _ => false,
        }
    }

    /// Nobody knows where the next request would begin, or whether there is an honest one.
    pub fn ends_connection(&self) -> bool {
        matches!(
            self,
            Self::BadRequest(_)
                | Self::BrokenBody
                | Self::SlowBody
                | Self::BodyTooLong(_)
                | Self::SlowHead
                | Self::Method
                | Self::Coding
                | Self::TargetTooLong
                | Self::HeadTooLarge
        )
    }

    /// What the client is told: the status and no more, for what lies behind is not its business.
    pub fn body(&self) -> String {
        let status = self.status();
        format!("{} {}\n", status.as_u16(), status.canonical_reason().unwrap_or("error"))
    }
}

/// Out of file descriptors, ports or memory: no endpoint is to blame that it could not be connected
/// to, and another one would not help.
pub fn is_ours(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::ADDRNOTAVAIL)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_run_out_of_does_not_speak_against_an_endpoint() {
        for (errno, is_upstreams) in [(Errno::CONNREFUSED, true), (Errno::MFILE, false), (Errno::NFILE, false)] {
            assert_eq!(Fault::Connect(errno.into()).is_upstreams(), is_upstreams, "{errno}");
        }
        assert!(Fault::Connect(io::ErrorKind::TimedOut.into()).is_upstreams());
    }
}
