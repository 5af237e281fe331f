//! `response` and `reply`: what filters and balancers may do to what goes back.

use super::request_edit::{append, final_status, set};
use super::{Host, Phase, header_name, header_value, spend, text};
use crate::plugin::bindings::jackfield::plugin::edits::EditError;
use crate::plugin::bindings::jackfield::plugin::{reply, response};

impl Host {
    fn response(&self) -> Option<&http::response::Parts> {
        self.exchange.as_ref()?.response.as_ref()
    }

    fn response_mut(&mut self, bytes: usize) -> Result<&mut http::response::Parts, EditError> {
        let exchange = self.during(Phase::Response)?;
        spend(exchange, bytes)?;
        exchange.response.as_mut().ok_or(EditError::Forbidden)
    }
}

impl response::Host for Host {
    fn apply(&mut self, prepared: u32) -> u32 {
        self.make_prepared(prepared, Phase::Response)
    }

    fn status(&mut self) -> u16 {
        self.response().map_or(0, |response| response.status.as_u16())
    }

    fn set_status(&mut self, status: u16) -> Result<(), EditError> {
        let response = self.response_mut(0)?;
        if response.status.is_informational() {
            // 101: the connection is no longer HTTP's.
            return Err(EditError::Forbidden);
        }
        response.status = final_status(status)?;
        Ok(())
    }

    fn header(&mut self, name: String) -> Option<String> {
        text(self.response()?.headers.get(&name)?)
    }

    fn header_bytes(&mut self, name: String) -> Option<Vec<u8>> {
        Some(self.response()?.headers.get(&name)?.as_bytes().to_vec())
    }

    fn header_values(&mut self, name: String) -> Vec<Vec<u8>> {
        let Some(response) = self.response() else { return Vec::new() };
        response.headers.get_all(&name).iter().map(|value| value.as_bytes().to_vec()).collect()
    }

    fn set_header(&mut self, name: String, value: String) -> Result<(), EditError> {
        set(&mut self.response_mut(value.len())?.headers, &name, value)
    }

    fn set_header_bytes(&mut self, name: String, value: Vec<u8>) -> Result<(), EditError> {
        set(&mut self.response_mut(value.len())?.headers, &name, value)
    }

    fn append_header(&mut self, name: String, value: String) -> Result<(), EditError> {
        append(&mut self.response_mut(value.len())?.headers, &name, value)
    }

    fn remove_header(&mut self, name: String) -> Result<(), EditError> {
        self.response_mut(0)?.headers.remove(header_name(&name)?);
        Ok(())
    }
}

impl reply::Host for Host {
    fn append_header(&mut self, name: String, value: String) -> Result<(), EditError> {
        const MAX: usize = 16;
        let (name, value) = (header_name(&name)?, header_value(value)?);
        let exchange = self.during(Phase::Pick)?;
        if exchange.request.is_none() {
            return Err(EditError::Forbidden);
        }
        if exchange.reply.len() >= MAX {
            return Err(EditError::TooMany);
        }
        spend(exchange, value.len())?;
        exchange.reply.push((name, value));
        Ok(())
    }
}
