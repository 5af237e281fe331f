//! A body that passes filters piece by piece, at the pace of whoever reads it. Each filter has at most
//! what came of one piece of the one before it; nothing is read ahead.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body, Frame, SizeHint};

use super::desk::Desk;
use crate::body::{Held, Refusal};
use crate::config::UseIndex;
use crate::plugin::{Delivery, Holding, Usage, Verdict};

/// A filter on a body's way.
pub struct Stage {
    index: UseIndex,
    usage: Arc<Usage>,
    delivery: Delivery,
    /// It failed, and the rest goes on without it.
    is_passed_by: bool,
}

pub struct Passing<B: Body> {
    source: B,
    lanes: Vec<Lane>,
    desk: Rc<Desk>,
    /// What was asked for before the head went on.
    ahead: Bytes,
    trailers: Option<HeaderMap>,
    state: State<B::Error>,
    /// Calls, and the time in them, since others had their turn.
    calls: u32,
    busy: Duration,
}

/// What became of a body before its head goes on.
pub enum Begun<B: Body> {
    All(Held),
    Passing(Box<Passing<B>>),
}

/// A filter, and what it has not seen yet of what lies before it.
struct Lane {
    stage: Stage,
    input: Bytes,
    input_ended: bool,
}

enum State<E> {
    Passing,
    /// Told when what came before it has had a chance to go out.
    Failing(E),
    /// But for trailers.
    Ended,
    Broken,
}

/// A piece, and whether it is the last one.
type Piece = (Bytes, bool);

impl Stage {
    pub fn new(index: UseIndex, usage: &Arc<Usage>, delivery: Delivery) -> Self {
        Self { index, usage: Arc::clone(usage), delivery, is_passed_by: false }
    }

    /// The longest body that is held for it.
    pub fn limit(&self) -> usize {
        self.usage.config.limits.body
    }

    pub fn holding(&self) -> Holding {
        Holding::of(&self.usage)
    }

    pub fn is_whole(&self) -> bool {
        self.delivery == Delivery::Whole
    }

    pub fn plugin(&self) -> Arc<str> {
        Arc::clone(&self.usage.config.plugin)
    }

    /// What goes on in the place of `bytes`.
    pub fn see(&mut self, desk: &Desk, bytes: Bytes, end: bool) -> Result<Bytes, Refusal> {
        if self.is_passed_by {
            return Ok(bytes);
        }
        match desk.ask(self.index, &bytes, end) {
            Verdict::Pass => Ok(bytes),
            Verdict::Replace(others) => Ok(others),
            Verdict::Abort => Err(Refusal::Aborted(self.plugin())),
            Verdict::Failed => Err(Refusal::Failed(self.plugin())),
            Verdict::Open => {
                self.is_passed_by = true;
                Ok(bytes)
            }
        }
    }
}

impl<B> Passing<B>
where
    B: Body<Data = Bytes, Error: From<Refusal>> + Unpin,
{
    /// A filter is handed at most so much at once.
    const MOST_AT_ONCE: usize = 64 << 10;
    /// After so many calls, or so long in them, others have their turn: there may be a piece for each byte.
    const MOST_CALLS: u32 = 64;
    const LONGEST: Duration = Duration::from_millis(1);

    /// Of a body that is none the filters see the end at once: one of which they make nothing stays
    /// none, for whoever is told with the head that there is no body.
    pub async fn begin(source: B, stages: Vec<Stage>, desk: Rc<Desk>) -> Result<Begun<B>, B::Error> {
        let is_none = source.is_end_stream();
        let mut passing = Box::new(Self::new(source, stages, desk));
        let all = if is_none { passing.look_ahead().await? } else { None };
        Ok(all.map_or(Begun::Passing(passing), Begun::All))
    }

    pub fn new(source: B, stages: Vec<Stage>, desk: Rc<Desk>) -> Self {
        let lane = |stage| Lane { stage, input: Bytes::new(), input_ended: false };
        let lanes = stages.into_iter().map(lane).collect();
        Self {
            source,
            lanes,
            desk,
            ahead: Bytes::new(),
            trailers: None,
            state: State::Passing,
            calls: 0,
            busy: Duration::ZERO,
        }
    }

    pub fn source(&mut self) -> &mut B {
        &mut self.source
    }

    /// Waits for the first piece. Answers the body when that is all of it; otherwise the piece stays.
    async fn look_ahead(&mut self) -> Result<Option<Held>, B::Error> {
        let (data, end) = poll_fn(|context| self.poll_piece(context, self.lanes.len())).await?;
        if end {
            return Ok(Some(Held { data, trailers: self.trailers.take() }));
        }
        self.ahead = data;
        Ok(None)
    }

    /// What comes out behind so many lanes. Never empty, but at the end.
    fn poll_piece(&mut self, context: &mut Context<'_>, behind: usize) -> Poll<Result<Piece, B::Error>> {
        let Some(position) = behind.checked_sub(1) else { return self.poll_source(context) };
        loop {
            if self.lanes[position].is_hungry() {
                let (input, ended) = ready!(self.poll_piece(context, position))?;
                let lane = &mut self.lanes[position];
                (lane.input, lane.input_ended) = (input, ended);
            }
            if self.calls == Self::MOST_CALLS || self.busy >= Self::LONGEST {
                (self.calls, self.busy) = (0, Duration::ZERO);
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.calls += 1;
            let begin = Instant::now();
            let lane = &mut self.lanes[position];
            let bytes = lane.input.split_to(lane.input.len().min(Self::MOST_AT_ONCE));
            let end = lane.input_ended && lane.input.is_empty();
            let bytes = lane.stage.see(&self.desk, bytes, end)?;
            self.busy += begin.elapsed();
            if !bytes.is_empty() || end {
                return Poll::Ready(Ok((bytes, end)));
            }
        }
    }

    fn poll_source(&mut self, context: &mut Context<'_>) -> Poll<Result<Piece, B::Error>> {
        loop {
            let Some(frame) = ready!(Pin::new(&mut self.source).poll_frame(context)?) else {
                return Poll::Ready(Ok((Bytes::new(), true)));
            };
            match frame.into_data() {
                Ok(data) => {
                    let end = self.source.is_end_stream();
                    if !data.is_empty() || end {
                        return Poll::Ready(Ok((data, end)));
                    }
                }
                Err(frame) => {
                    self.trailers = frame.into_trailers().ok();
                    return Poll::Ready(Ok((Bytes::new(), true)));
                }
            }
        }
    }
}

impl Lane {
    fn is_hungry(&self) -> bool {
        self.input.is_empty() && !self.input_ended
    }
}

impl<B> Body for Passing<B>
where
    B: Body<Data = Bytes, Error: From<Refusal> + Unpin> + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match std::mem::replace(&mut self.state, State::Broken) {
            State::Broken => return Poll::Ready(None),
            State::Failing(error) => return Poll::Ready(Some(Err(error))),
            state => self.state = state,
        }
        if !self.ahead.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.ahead)))));
        }
        if let State::Passing = self.state {
            let lanes = self.lanes.len();
            match ready!(self.poll_piece(context, lanes)) {
                Ok((bytes, end)) => {
                    if end {
                        self.state = State::Ended;
                    }
                    if !bytes.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(bytes))));
                    }
                }
                Err(error) => {
                    self.state = State::Failing(error);
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Ended) && self.trailers.is_none()
    }

    /// Nobody knows what filters make of it.
    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
