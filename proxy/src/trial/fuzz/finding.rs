//! One way in which the plugin fails, and the smallest input that shows it.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::super::life::{Call, Fault, Life};
use super::super::subject::Subject;
use super::shrink::{Script, Shrinker};
use super::write;
use crate::plugin::Failure;

pub struct Finding {
    key: String,
    fault: Fault,
    script: Script,
    /// How often it failed in the same way when it was repeated.
    repeats: Repeats,
    /// Of the shrinker.
    tries: usize,
    /// How long the life was in which it was found.
    steps: usize,
    pub seen: u64,
}

#[derive(Clone, Copy)]
struct Repeats {
    failed: usize,
    of: usize,
}

impl Finding {
    /// Shrinks the life up to the step with this number, in which it failed.
    pub fn new(subject: &Subject, mut script: Script, failed: usize, fault: Fault) -> Self {
        script.steps.truncate(failed + 1);
        let (key, steps) = (key(&fault), script.steps.len());
        let mut finding = Self { key, fault, script, repeats: Repeats { failed: 0, of: 0 }, tries: 0, steps, seen: 1 };
        finding.repeat(subject);
        if finding.repeats.failed == 0 {
            // Nobody could make use of what came before.
            finding.script.steps.drain(..finding.script.steps.len() - 1);
            return finding;
        }
        // What fails by chance is given enough chances, or it would shrink to what does not fail.
        let chances = if finding.repeats.is_certain() { 1 } else { 6 * finding.repeats.of / finding.repeats.failed };
        let mut fails = |script: &Script| (0..chances).any(|_| finding.fails(subject, script).is_some());
        let mut shrinker = Shrinker::new(&mut fails);
        let script = shrinker.shrink(finding.script.clone());
        finding.tries = shrinker.tries;
        finding.script = script;
        finding.repeat(subject);
        finding
    }

    /// Whether a failure is of this kind.
    pub fn is(&self, fault: &Fault) -> bool {
        self.key == key(fault)
    }

    /// The failure of this kind, if there is one, and the step in which it was.
    fn fails(&self, subject: &Subject, script: &Script) -> Option<(usize, Fault)> {
        first_fault(subject, script).filter(|(_, fault)| self.is(fault))
    }

    /// Counts how often it fails. What fails early needs no more than that.
    fn repeat(&mut self, subject: &Subject) {
        const MOST: usize = 20;
        const LONGEST: Duration = Duration::from_secs(2);
        let begin = Instant::now();
        self.repeats = Repeats { failed: 0, of: 0 };
        while self.repeats.of < MOST && (self.repeats.of < 2 || begin.elapsed() < LONGEST) {
            self.repeats.of += 1;
            if let Some((step, fault)) = self.fails(subject, &self.script) {
                self.repeats.failed += 1;
                self.script.steps.truncate(step + 1);
                self.fault = fault;
            }
        }
    }

    pub fn tell(&self, seed: u64, name_kind: bool, out: &mut dyn Write) -> io::Result<()> {
        let Self { fault, script, repeats, .. } = self;
        writeln!(out, "\nFOUND  {fault} ({})", count(self.seen as usize, "time"))?;
        if let Some(frames) = fault.failure.backtrace() {
            writeln!(out, "       in: {frames}")?;
        }
        let (before, after) = (count(self.steps, "step"), count(script.steps.len(), "step"));
        let tries = if self.tries == 1 { "1 try".to_owned() } else { format!("{} tries", self.tries) };
        writeln!(
            out,
            "       found after {before} of a life, made smaller in {tries} to {after}; {}:",
            repeats.told()
        )?;
        let limits = write::limits(script.setup.limits);
        if !limits.is_empty() {
            write!(out, "       (with these lines at the top of the file)\n\n{limits}")?;
        }
        let name = format!("fuzz {seed}: {} {}", fault.call.name(), ending(fault));
        write!(out, "\n{}", write::case(&name, script, name_kind))
    }
}

impl Repeats {
    fn is_certain(self) -> bool {
        self.failed == self.of
    }

    fn told(self) -> String {
        let Self { failed, of } = self;
        match failed {
            0 => format!("repeated {of} times it did not fail again (chance, time?); what came last"),
            _ if failed == of => "this case shows it".to_owned(),
            _ => format!("this case shows it {failed} times of {of}"),
        }
    }
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// The failure in which a script ends, and the number of its step.
fn first_fault(subject: &Subject, script: &Script) -> Option<(usize, Fault)> {
    let mut life = match Life::start(subject, &script.setup, script.steps.first()?) {
        Ok(life) => life,
        Err(fault) => return Some((0, fault)),
    };
    (0..).zip(&script.steps).find_map(|(number, step)| life.step(step).err().map(|fault| (number, fault)))
}

/// What two failures of the same kind have in common: the call, how it ended, and where.
fn key(fault: &Fault) -> String {
    let what = match &fault.failure {
        Failure::Deadline(..) => "deadline".to_owned(),
        Failure::Memory(..) => "memory".to_owned(),
        Failure::OutOfRange { .. } => "out of range".to_owned(),
        Failure::NotAllowed(_) => "not allowed".to_owned(),
        Failure::Refused(_) => "refused".to_owned(),
        Failure::Trap(message, _) => {
            let message: String = message.chars().filter(|letter| !letter.is_ascii_digit()).collect();
            // A stack overflows wherever it happens to end.
            let place = if message.contains("stack") { "" } else { fault.failure.backtrace().unwrap_or_default() };
            format!("{message} {place}")
        }
    };
    format!("{} {what}", fault.call.name())
}

fn ending(fault: &Fault) -> &'static str {
    match (&fault.failure, fault.call) {
        (Failure::Deadline(..), _) => "overruns its deadline",
        (Failure::Memory(..), _) => "reaches its memory limit",
        (Failure::OutOfRange { .. }, _) => "answers out of range",
        (Failure::NotAllowed(_), _) => "answers what is not allowed",
        (Failure::Refused(_), _) => "refuses its settings",
        (Failure::Trap(..), Call::Start) => "traps, and there is no instance",
        (Failure::Trap(..), _) => "traps",
    }
}
