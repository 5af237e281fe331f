//! Runs cases, and tells what came of them: a line for each, and for one that failed what was
//! expected, what came instead, and what the plugin logged.

use std::io::{self, Write};

use super::journal::Journal;
use super::judge;
use super::life::{Fault, Life};
use super::subject::Subject;
use crate::config::{Case, Expect, FieldsWanted, MessagesWanted, Wanted};
use crate::plugin::Failure;

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Score {
    pub passed: usize,
    pub failed: usize,
}

/// Runs those cases whose name contains `part`.
pub fn run(subject: &Subject, cases: &[Case], part: &str, journal: &Journal, out: &mut dyn Write) -> io::Result<Score> {
    let mut score = Score::default();
    for case in cases.iter().filter(|case| case.name.contains(part)) {
        journal.take();
        let differences = differences(subject, case);
        if differences.is_empty() {
            score.passed += 1;
            writeln!(out, "ok      {}", case.name)?;
            continue;
        }
        score.failed += 1;
        writeln!(out, "FAILED  {}", case.name)?;
        let logged = journal.take().into_iter().map(|line| format!("log: {line}"));
        for line in differences.into_iter().chain(logged) {
            writeln!(out, "        {line}")?;
        }
    }
    let cases = if score.passed + score.failed == 1 { "case" } else { "cases" };
    writeln!(out, "{} {cases}: {} passed, {} failed", score.passed + score.failed, score.passed, score.failed)?;
    Ok(score)
}

/// What is not as expected; empty: the case has passed.
fn differences(subject: &Subject, case: &Case) -> Vec<String> {
    let first = case.before.first().unwrap_or(&case.step);
    match (Life::start(subject, &case.setup, first), &case.expect) {
        (Err(Fault { failure: Failure::Refused(message), .. }), Expect::Refused(text)) if message.contains(text) => {
            Vec::new()
        }
        (Err(Fault { failure: Failure::Refused(message), .. }), Expect::Refused(text)) => {
            vec![format!("refused: expected a message that contains {text:?}, got {message:?}")]
        }
        (Err(fault), _) => told(&fault),
        (Ok(_), Expect::Refused(text)) => {
            vec![format!("refused: expected a message that contains {text:?}, got no refusal")]
        }
        (Ok(mut life), expect) => {
            let outcome = case.before.iter().try_for_each(|step| life.step(step).map(|_| ()));
            outcome.and_then(|()| calls(&mut life, case, expect)).unwrap_or_else(|fault| told(&fault))
        }
    }
}

fn calls(life: &mut Life, case: &Case, expect: &Expect) -> Result<Vec<String>, Fault> {
    match expect {
        Expect::Sound | Expect::Refused(_) => life.step(&case.step).map(|_| Vec::new()),
        Expect::Picks(sequence, reply) => picks(life, case, sequence, reply),
        Expect::Messages(wanted) => messages(life, case, wanted),
    }
}

fn picks(life: &mut Life, case: &Case, sequence: &[Wanted], reply: &FieldsWanted) -> Result<Vec<String>, Fault> {
    let (mut differences, mut left) = (Vec::new(), Vec::new());
    for (number, wanted) in (1..).zip(sequence) {
        let picked = life.pick(&case.step)?;
        let what = if sequence.len() == 1 { "endpoint".to_owned() } else { format!("pick {number}") };
        differences.extend(judge::pick(&what, wanted, picked.endpoint.as_ref()));
        left = picked.reply;
    }
    let left = left.into_iter().collect();
    differences.extend(judge::fields("reply", reply, &left));
    Ok(differences)
}

fn messages(life: &mut Life, case: &Case, wanted: &MessagesWanted) -> Result<Vec<String>, Fault> {
    let mut differences = Vec::new();
    let exchange = life.on_request(&case.step)?;
    if let Some(wanted) = &wanted.request {
        differences.extend(judge::request(wanted, &exchange, &case.setup.upstreams));
    }
    if let Some(wanted) = &wanted.answer {
        differences.extend(judge::answer(wanted, exchange.answer.as_ref()));
    }
    let exchange = life.on_response(exchange, &case.step)?;
    if let Some(wanted) = &wanted.response {
        differences.extend(judge::response(wanted, exchange.response.as_ref()));
    }
    Ok(differences)
}

/// A failure of the plugin itself, and where in it.
fn told(fault: &Fault) -> Vec<String> {
    let place = fault.failure.backtrace().map(|frames| format!("in: {frames}"));
    std::iter::once(fault.to_string()).chain(place).collect()
}
