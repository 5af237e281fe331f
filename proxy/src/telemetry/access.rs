//! The access log: a line for each request and each L4 connection. Workers hand over batches of
//! entries and never wait; a thread formats and writes. When the output is slower than the
//! traffic, lines are dropped and counted.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderValue, Method, Uri};

use super::line;
use crate::config::LogFormat;
use crate::endpoint::Endpoint;

/// What a line tells. Made on the data path: nothing in it is formatted or copied, the parts are
/// shared.
#[derive(Debug, Clone)]
pub struct Entry {
    /// When it ended.
    pub at: SystemTime,
    pub client: SocketAddr,
    /// `HTTP/1.1`, `HTTP/2`, `tcp`, `udp`.
    pub protocol: &'static str,
    pub subject: Subject,
    pub upstream: Option<Arc<str>>,
    pub endpoint: Option<Arc<Endpoint>>,
    /// Wall time spent in plugins.
    pub plugin_time: Duration,
    pub total_time: Duration,
    /// Bytes from the client; of the body, for a request.
    pub received: u64,
    /// Bytes to the client; of the body, for a request.
    pub sent: u64,
    /// Why it did not end well.
    pub error: Option<Cow<'static, str>>,
}

#[derive(Debug, Clone)]
pub enum Subject {
    Request {
        method: Method,
        /// The `Host` header; an authority in `uri` takes precedence.
        host: Option<HeaderValue>,
        /// As the client sent it.
        uri: Uri,
        status: u16,
        /// Wall time that plugins waited for replies to requests of their own.
        plugin_wait: Duration,
        id: Option<Box<str>>,
    },
    Connection {
        listener: SocketAddr,
        sni: Option<Arc<str>>,
    },
}

/// The writer's side, one for the process.
#[derive(Debug)]
pub struct AccessLog {
    batches: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
    ended: Receiver<()>,
}

/// A worker's side.
#[derive(Debug)]
pub struct AccessLogger {
    entries: RefCell<Vec<Entry>>,
    batches: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Message {
    Batch(Vec<Entry>),
    End,
}

const BATCH: usize = 64;
/// Batches that may wait: with [`BATCH`], 16,384 lines.
const QUEUE: usize = 256;

impl AccessLog {
    /// `dropped` counts the lines that were not written.
    pub fn start(format: LogFormat, out: Box<dyn Write + Send>, dropped: Arc<AtomicU64>) -> io::Result<Self> {
        let (batches, queue) = sync_channel(QUEUE);
        let (end, ended) = sync_channel(0);
        let writer = Writer { format, out, dropped: Arc::clone(&dropped), failing: false };
        std::thread::Builder::new().name("access-log".to_owned()).spawn(move || {
            writer.run(&queue);
            drop(end);
        })?;
        Ok(Self { batches, dropped, ended })
    }

    pub fn logger(&self) -> AccessLogger {
        AccessLogger {
            entries: RefCell::new(Vec::with_capacity(BATCH)),
            batches: self.batches.clone(),
            dropped: Arc::clone(&self.dropped),
        }
    }

    /// Writes what was handed over, or gives up after `limit`: an output that nobody reads holds up
    /// no shutdown. Loggers should have been flushed before.
    pub fn finish(self, limit: Duration) {
        let until = Instant::now() + limit;
        while let Err(TrySendError::Full(_)) = self.batches.try_send(Message::End) {
            if Instant::now() >= until {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let left = until.saturating_duration_since(Instant::now());
        if self.ended.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the access log's output is stuck; some lines are lost");
        }
    }
}

impl AccessLogger {
    pub fn record(&self, entry: Entry) {
        let mut entries = self.entries.borrow_mut();
        entries.push(entry);
        if entries.len() >= BATCH {
            let full = std::mem::replace(&mut *entries, Vec::with_capacity(BATCH));
            self.hand_over(full);
        }
    }

    /// Hands over what is there. Called every 100 ms, so that a quiet proxy's lines appear too.
    pub fn flush(&self) {
        let entries = std::mem::take(&mut *self.entries.borrow_mut());
        if !entries.is_empty() {
            self.hand_over(entries);
        }
    }

    fn hand_over(&self, entries: Vec<Entry>) {
        if let Err(TrySendError::Full(Message::Batch(lost)) | TrySendError::Disconnected(Message::Batch(lost))) =
            self.batches.try_send(Message::Batch(entries))
        {
            self.dropped.fetch_add(lost.len() as u64, Relaxed);
        }
    }
}

impl Drop for AccessLogger {
    fn drop(&mut self) {
        self.flush();
    }
}

struct Writer {
    format: LogFormat,
    out: Box<dyn Write + Send>,
    dropped: Arc<AtomicU64>,
    failing: bool,
}

impl Writer {
    fn run(mut self, queue: &Receiver<Message>) {
        let mut text = Vec::new();
        while let Ok(Message::Batch(entries)) = queue.recv() {
            text.clear();
            for entry in &entries {
                line::write(&mut text, self.format, entry);
            }
            let written = self.out.write_all(&text).and_then(|()| self.out.flush());
            if let Err(error) = &written {
                self.dropped.fetch_add(entries.len() as u64, Relaxed);
                if !self.failing {
                    tracing::warn!(%error, "the access log cannot be written");
                }
            }
            self.failing = written.is_err();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Mutex, mpsc};

    fn entry() -> Entry {
        Entry {
            at: SystemTime::UNIX_EPOCH,
            client: "127.0.0.1:5".parse().unwrap(),
            protocol: "tcp",
            subject: Subject::Connection { listener: "127.0.0.1:6".parse().unwrap(), sni: None },
            upstream: None,
            endpoint: None,
            plugin_time: Duration::ZERO,
            total_time: Duration::ZERO,
            received: 0,
            sent: 0,
            error: None,
        }
    }

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_line_is_written_in_the_end() {
        let (memory, dropped) = (Memory::default(), Arc::default());
        let log = AccessLog::start(LogFormat::Text, Box::new(memory.clone()), Arc::clone(&dropped)).unwrap();
        let logger = log.logger();
        (0..1000).for_each(|_| logger.record(entry()));
        drop(logger);
        log.finish(Duration::from_secs(10));
        let lines = String::from_utf8(memory.0.lock().unwrap().clone()).unwrap().lines().count();
        assert_eq!((lines, dropped.load(Relaxed)), (1000, 0));
    }

    /// Blocks until the other end of the channel is dropped.
    struct Stuck(mpsc::Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_output_costs_lines_and_stops_nobody() {
        let (release, stuck) = mpsc::channel();
        let dropped = Arc::default();
        let log = AccessLog::start(LogFormat::Text, Box::new(Stuck(stuck)), Arc::clone(&dropped)).unwrap();
        let logger = log.logger();
        let lines = BATCH * (QUEUE + 10);
        (0..lines).for_each(|_| logger.record(entry()));
        let lost = dropped.load(Relaxed);
        assert!(lost >= 9 * BATCH as u64 && lost < lines as u64, "{lost}");
        log.finish(Duration::from_millis(50));
        drop(release);
    }
}
