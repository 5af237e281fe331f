//! Holding a body until all of it is there, for the filters that want it whole.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use hyper::body::Body;

use super::desk::Desk;
use super::passing::{Passing, Stage};
use crate::body::{Held, Refusal};
use crate::plugin::Holding;

/// A body that was seen by all who want it whole.
pub struct Seen<B> {
    pub body: B,
    /// Those who see it as it passes.
    pub later: Vec<Stage>,
}

/// Why the head does not go on.
pub enum Stop<E> {
    Body(E),
    Refused(Refusal),
    /// Longer than this plugin's use may have held.
    TooLong(Arc<str>),
    /// With the bodies of others.
    TooMuch(Arc<str>),
    /// Not there in time.
    Late,
}

/// Has each filter that wants the body whole see it, one after the other; those before it see pieces
/// on the way.
pub async fn see_whole<B>(desk: &Rc<Desk>, stages: Vec<Stage>, body: B) -> Result<Seen<B>, Stop<B::Error>>
where
    B: Body<Data = Bytes, Error: From<Refusal> + Unpin> + From<Held> + Unpin,
{
    let mut seen = Seen { body, later: stages };
    while let Some(position) = seen.later.iter().position(Stage::is_whole) {
        let mut rest = seen.later.split_off(position);
        let mut whole = rest.remove(0);
        let mut room = Room { limit: whole.limit(), plugin: whole.plugin(), holding: whole.holding() };
        let mut held = hold(desk, seen.body, seen.later, &mut room).await?;
        held.data = match whole.see(desk, held.data, true) {
            Ok(bytes) => bytes,
            // Its answer says why.
            Err(Refusal::Aborted(_)) if desk.has_answer() => Bytes::new(),
            Err(refusal) => return Err(Stop::Refused(refusal)),
        };
        if desk.has_answer() {
            let Some(body) = desk.take_answer() else {
                // To a request: later filters are spared.
                return Ok(Seen { body: Held::default().into(), later: Vec::new() });
            };
            held = Held { data: body, trailers: None };
        }
        seen = Seen { body: held.into(), later: rest };
    }
    Ok(seen)
}

async fn hold<B>(desk: &Rc<Desk>, body: B, before: Vec<Stage>, room: &mut Room) -> Result<Held, Stop<B::Error>>
where
    B: Body<Data = Bytes, Error: From<Refusal> + Unpin> + Unpin,
{
    if before.is_empty() {
        return collect(body, room).await;
    }
    collect(Passing::new(body, before, Rc::clone(desk)), room).await
}

/// For a body that a plugin wants whole.
struct Room {
    limit: usize,
    plugin: Arc<str>,
    holding: Holding,
}

async fn collect<B>(mut body: B, room: &mut Room) -> Result<Held, Stop<B::Error>>
where
    B: Body<Data = Bytes> + Unpin,
{
    let (limit, plugin) = (room.limit, &room.plugin);
    // Before the client is asked for it, where the length is told.
    if body.size_hint().lower() > limit as u64 {
        return Err(Stop::TooLong(Arc::clone(plugin)));
    }
    let (mut bytes, mut trailers) = (BytesMut::new(), None);
    while !body.is_end_stream() {
        let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await else { break };
        match frame.map_err(Stop::Body)?.into_data() {
            Ok(data) if bytes.len() + data.len() > limit => return Err(Stop::TooLong(Arc::clone(plugin))),
            Ok(data) if !room.holding.grow(data.len()) => return Err(Stop::TooMuch(Arc::clone(plugin))),
            Ok(data) if bytes.is_empty() && body.is_end_stream() => return Ok(Held { data, trailers }),
            Ok(data) => bytes.extend_from_slice(&data),
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    Ok(Held { data: bytes.freeze(), trailers })
}
