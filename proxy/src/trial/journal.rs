//! What is logged during a trial, kept instead of written: it is shown with the case that failed.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// The target of what plugins log.
const PLUGIN: &str = "plugin";

/// The last lines. Cheap to clone: all clones are the same journal.
#[derive(Debug, Clone, Default)]
pub struct Journal(Arc<Mutex<VecDeque<String>>>);

impl Journal {
    const MOST_LINES: usize = 200;

    /// For the whole process, in the place of a log.
    pub fn install() -> Self {
        let journal = Self::default();
        let subscriber = tracing_subscriber::registry().with(journal.clone());
        if tracing::subscriber::set_global_default(subscriber).is_err() {
            // A log that was there before goes on; this journal stays empty.
            tracing::debug!("a log is there already");
        }
        journal
    }

    /// What was logged since the last time.
    pub fn take(&self) -> Vec<String> {
        self.lines().drain(..).collect()
    }

    fn lines(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    /// All that plugins say; of the host what is wrong.
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target() == PLUGIN || *metadata.level() <= Level::WARN
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        let level = event.metadata().level().as_str().to_ascii_lowercase();
        let text = if event.metadata().target() == PLUGIN {
            format!("{level}: {}{}", line.message, line.dropped)
        } else {
            format!("{level} (host): {}{}", line.message, line.fields)
        };
        let mut lines = self.lines();
        if lines.len() == Self::MOST_LINES {
            lines.pop_front();
        }
        lines.push_back(text);
    }
}

#[derive(Default)]
struct Line {
    message: String,
    /// Said where it is not nothing.
    dropped: String,
    fields: String,
}

impl Visit for Line {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "dropped" {
            if value > 0 {
                self.dropped = format!(" ({value} lines before it were too many and are lost)");
            }
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            name => self.fields = format!("{} {name}={value:?}", self.fields),
        }
    }
}
