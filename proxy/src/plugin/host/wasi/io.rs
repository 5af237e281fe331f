//! `wasi:io`, and the standard streams of `wasi:cli`. A resource's number says all that there is to
//! know of it, so there is no table and nothing to clean up.

use std::time::Duration;

use wasmtime::bail;
use wasmtime::component::{ComponentType, Lift, Linker, LinkerInstance, Lower, Resource};

use super::stdio::Stream;
use super::{Store, interface, resource};
use crate::clock;
use crate::plugin::host::Host;

/// There is none: no operation fails in a way that has more to tell.
struct IoError;
struct InputStream;
struct OutputStream;

/// Its number: [`Pollable::READY`], or when it will be, in the clock's 32 bits of milliseconds.
pub struct Pollable;

#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    #[allow(dead_code, reason = "part of the interface")]
    LastOperationFailed(Resource<IoError>),
    #[component(name = "closed")]
    Closed,
}

type Outcome<T> = Result<T, StreamError>;
type Output = Resource<OutputStream>;
type Input = Resource<InputStream>;

/// What may be written at once.
const MOST_WRITTEN: u64 = 64 << 10;

pub fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    let mut error = interface(linker, "io/error")?;
    resource::<IoError>(&mut error, "error")?;
    error.func_wrap("[method]error.to-debug-string", |_: Store<'_>, (_,): (Resource<IoError>,)| {
        Ok((String::from("an error"),))
    })?;
    add_poll(&mut interface(linker, "io/poll")?)?;
    let mut streams = interface(linker, "io/streams")?;
    add_input(&mut streams)?;
    add_output(&mut streams)?;
    let no_input = |_: Store<'_>, (): ()| Ok((Input::new_own(0),));
    interface(linker, "cli/stdin")?.func_wrap("get-stdin", no_input)?;
    for (name, getter, stream) in
        [("cli/stdout", "get-stdout", Stream::Out), ("cli/stderr", "get-stderr", Stream::Error)]
    {
        let open = move |_: Store<'_>, (): ()| Ok((Output::new_own(stream as u32),));
        interface(linker, name)?.func_wrap(getter, open)?;
    }
    Ok(())
}

/// Always at its end.
fn add_input(streams: &mut LinkerInstance<'_, Host>) -> wasmtime::Result<()> {
    resource::<InputStream>(streams, "input-stream")?;
    for name in ["read", "blocking-read"] {
        let closed = |_: Store<'_>, (_, _): (Input, u64)| Ok((Outcome::<Vec<u8>>::Err(StreamError::Closed),));
        streams.func_wrap(&format!("[method]input-stream.{name}"), closed)?;
    }
    for name in ["skip", "blocking-skip"] {
        let closed = |_: Store<'_>, (_, _): (Input, u64)| Ok((Outcome::<u64>::Err(StreamError::Closed),));
        streams.func_wrap(&format!("[method]input-stream.{name}"), closed)?;
    }
    streams.func_wrap("[method]input-stream.subscribe", |_: Store<'_>, (_,): (Input,)| Ok((Pollable::ready(),)))
}

/// Takes everything, at once, for the log.
fn add_output(streams: &mut LinkerInstance<'_, Host>) -> wasmtime::Result<()> {
    resource::<OutputStream>(streams, "output-stream")?;
    streams.func_wrap("[method]output-stream.check-write", |_: Store<'_>, (_,): (Output,)| {
        Ok((Outcome::Ok(MOST_WRITTEN),))
    })?;
    for name in ["write", "blocking-write-and-flush"] {
        let write = |mut store: Store<'_>, (stream, bytes): (Output, Vec<u8>)| {
            store.data_mut().print(Stream::of(stream.rep()), &bytes);
            Ok((Outcome::Ok(()),))
        };
        streams.func_wrap(&format!("[method]output-stream.{name}"), write)?;
    }
    for name in ["flush", "blocking-flush"] {
        let done = |_: Store<'_>, (_,): (Output,)| Ok((Outcome::Ok(()),));
        streams.func_wrap(&format!("[method]output-stream.{name}"), done)?;
    }
    for name in ["write-zeroes", "blocking-write-zeroes-and-flush"] {
        let done = |_: Store<'_>, (_, _): (Output, u64)| Ok((Outcome::Ok(()),));
        streams.func_wrap(&format!("[method]output-stream.{name}"), done)?;
    }
    for name in ["splice", "blocking-splice"] {
        let closed = |_: Store<'_>, (_, _, _): (Output, Input, u64)| Ok((Outcome::<u64>::Err(StreamError::Closed),));
        streams.func_wrap(&format!("[method]output-stream.{name}"), closed)?;
    }
    streams.func_wrap("[method]output-stream.subscribe", |_: Store<'_>, (_,): (Output,)| Ok((Pollable::ready(),)))
}

/// A worker serves others while a plugin would wait, so it cannot.
fn add_poll(poll: &mut LinkerInstance<'_, Host>) -> wasmtime::Result<()> {
    resource::<Pollable>(poll, "pollable")?;
    poll.func_wrap("[method]pollable.ready", |_: Store<'_>, (pollable,): (Resource<Pollable>,)| {
        Ok((Pollable::is_ready(&pollable),))
    })?;
    poll.func_wrap(
        "[method]pollable.block",
        |_: Store<'_>, (pollable,): (Resource<Pollable>,)| {
            if Pollable::is_ready(&pollable) { Ok(()) } else { cannot_wait() }
        },
    )?;
    poll.func_wrap("poll", |_: Store<'_>, (pollables,): (Vec<Resource<Pollable>>,)| {
        let ready: Vec<u32> = (0..)
            .zip(&pollables)
            .filter(|(_, pollable)| Pollable::is_ready(pollable))
            .map(|(index, _)| index)
            .collect();
        if ready.is_empty() { cannot_wait() } else { Ok((ready,)) }
    })
}

fn cannot_wait<T>() -> wasmtime::Result<T> {
    bail!("it wanted to sleep or wait, which a plugin cannot")
}

impl Pollable {
    const READY: u32 = 0;

    fn ready() -> Resource<Self> {
        Resource::new_own(Self::READY)
    }

    /// On the scale of the monotonic clock. More than three weeks ahead is three weeks.
    pub fn due_at(moment: Duration) -> Resource<Self> {
        const LONGEST: Duration = Duration::from_hours(21 * 24);
        let moment = moment.min(clock::elapsed() + LONGEST);
        if moment <= clock::elapsed() {
            return Self::ready();
        }
        Resource::new_own(clock::millis32_of(moment + Duration::from_millis(1)))
    }

    fn is_ready(pollable: &Resource<Self>) -> bool {
        let due = pollable.rep();
        due == Self::READY || due.wrapping_sub(clock::millis32()).cast_signed() <= 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_in_the_past_is_ready_and_one_ahead_is_not() {
        assert!(Pollable::is_ready(&Pollable::due_at(clock::elapsed())));
        for ahead in [Duration::from_millis(500), Duration::from_hours(1), Duration::from_nanos(u64::MAX)] {
            assert!(!Pollable::is_ready(&Pollable::due_at(clock::elapsed().saturating_add(ahead))), "{ahead:?}");
        }
    }
}
