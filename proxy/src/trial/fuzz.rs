//! Random lives for a plugin: what it fails at, made small, once for each way of failing.

mod dice;
mod finding;
mod make;
mod message;
mod shrink;
mod tally;
mod words;
mod write;

use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::life::{Done, Fault, Life};
use super::subject::Subject;
use crate::config::{Case, DEFAULT_BALANCER, Expect, PluginKind, Setup, Step};
use dice::Dice;
use finding::Finding;
use shrink::Script;
use tally::Tally;
use words::Words;

/// What is asked for.
pub struct Order<'o> {
    pub length: Duration,
    pub seed: u64,
    /// The uses there may be of the plugin, as [`setups`] makes them: the subject is prepared for them.
    pub setups: &'o [Setup],
    pub cases: &'o [Case],
}

/// More ways to fail than this are for the next run.
const MOST_FINDINGS: usize = 12;

/// Tells what was tried and what was found; answers how much was found.
pub fn fuzz(subject: &Subject, order: &Order<'_>, out: &mut dyn Write) -> io::Result<usize> {
    let mut words = Words::of(order.setups, order.cases);
    let mut dice = Dice::new(order.seed);
    let (mut tally, mut findings): (_, Vec<Finding>) = (Tally::default(), Vec::new());
    let until = Instant::now() + order.length;
    writeln!(out, "fuzz for {:?} with seed {}", order.length, order.seed)?;
    while Instant::now() < until && findings.len() < MOST_FINDINGS {
        // In turn: a plugin that is slow gets few lives, and each use is to have some of them.
        let setup = order.setups[tally.instances as usize % order.setups.len()].clone();
        let steps = make::script(&mut dice, setup.kind, &words);
        let script = Script { setup, steps };
        if let Err((steps, fault)) = live(subject, &script, until, &mut words, &mut tally) {
            match findings.iter_mut().find(|finding| finding.is(&fault)) {
                Some(known) => known.seen += 1,
                None => findings.push(Finding::new(subject, script, steps, fault)),
            }
        }
    }
    writeln!(out, "{tally}")?;
    let name_kind = subject.plugin.kinds().len() > 1;
    for finding in &findings {
        finding.tell(order.seed, name_kind, out)?;
    }
    if !findings.is_empty() {
        writeln!(out)?;
    }
    match findings.len() {
        0 => writeln!(out, "nothing found")?,
        MOST_FINDINGS => writeln!(out, "{MOST_FINDINGS} ways to fail found; stopped there")?,
        1 => writeln!(out, "1 way to fail found")?,
        count => writeln!(out, "{count} ways to fail found")?,
    }
    Ok(findings.len())
}

/// Each that the file or one of its cases names, balancers with and without a delegate.
pub fn setups(of_file: &[Setup], cases: &[Case]) -> Vec<Setup> {
    let good = cases.iter().filter(|case| !matches!(case.expect, Expect::Refused(_)));
    let mut named: Vec<Setup> = good.map(|case| case.setup.clone()).collect();
    if named.is_empty() || of_file.iter().any(|setup| setup.settings != "{}") {
        named.extend_from_slice(of_file);
    }
    let mut setups: Vec<Setup> = Vec::new();
    for setup in named {
        let delegates: &[Option<&str>] = match setup.kind {
            PluginKind::Balancer => &[None, Some(DEFAULT_BALANCER)],
            PluginKind::HttpFilter => &[None],
        };
        for delegate in delegates {
            let setup = Setup { then: delegate.map(str::to_owned), ..setup.clone() };
            if !setups.contains(&setup) {
                setups.push(setup);
            }
        }
    }
    setups
}

/// One life to its end, to the end of the time, or to a failure: that of the step with this number.
fn live(
    subject: &Subject,
    script: &Script,
    until: Instant,
    words: &mut Words,
    tally: &mut Tally,
) -> Result<(), (usize, Fault)> {
    let Some(first) = script.steps.first() else { return Ok(()) };
    tally.instances += 1;
    let mut life = Life::start(subject, &script.setup, first).map_err(|fault| (0, fault))?;
    if script.setup.kind == PluginKind::HttpFilter && life.phases() == (false, false) {
        tally.idle = true;
        return Ok(());
    }
    let mut before: Option<&Step> = None;
    for (number, step) in script.steps.iter().enumerate() {
        if Instant::now() >= until {
            break;
        }
        tally.count(&script.setup, before, step);
        tally.calls += calls(&life, step);
        let done = life.step(step).map_err(|fault| (number, fault))?;
        tally.count_outcome(step, &done);
        if let Done::Picked(picked) = &done {
            words.learn(&picked.reply);
        }
        before = Some(step);
    }
    Ok(())
}

fn calls(life: &Life, step: &Step) -> u64 {
    match life.phases() {
        (false, false) => 1,
        (request, response) => u64::from(request) + u64::from(response && step.response.is_some()),
    }
}

#[cfg(test)]
mod tests {
    use super::shrink::Shrinker;
    use super::*;
    use crate::config::{Cases, Grant, PluginLimits, Source, parse_cases};
    use crate::plugin::Library;

    fn setup(kind: PluginKind) -> Setup {
        let settings = r#"{"cookie":"route","odd \"key\"":[1,2.5,true,{}],"x":{"y":"é\n"}}"#.to_owned();
        let then = (kind == PluginKind::Balancer).then(|| DEFAULT_BALANCER.to_owned());
        let grants = vec![Grant::Clock];
        Setup { kind, settings, grants, limits: PluginLimits::default(), then, upstreams: [].into() }
    }

    fn read(text: &str, kind: PluginKind) -> Cases {
        let source = Source { name: "cases.toml".to_owned(), text: text.to_owned(), folder: ".".into() };
        let cases = parse_cases(source, &[kind], Library::defaults());
        cases.unwrap_or_else(|errors| panic!("{errors}\n{text}"))
    }

    /// Whatever chance makes can be written down as a case that says the same.
    #[test]
    fn a_script_is_read_back_as_it_was_written() {
        for kind in [PluginKind::Balancer, PluginKind::HttpFilter] {
            let setup = setup(kind);
            let words = Words::of(std::slice::from_ref(&setup), &[]);
            let mut dice = Dice::new(7);
            for _ in 0..60 {
                let script = Script { setup: setup.clone(), steps: make::script(&mut dice, kind, &words) };
                let cases = read(&write::case("a \"name\"", &script, false), kind);
                let case = &cases.list[0];
                let (last, before) = script.steps.split_last().unwrap();
                assert_eq!(case.name, "a \"name\"");
                assert_eq!(case.setup, script.setup);
                // Which line of which header came first is not told by a table of names.
                let sorted = |step: &Step| {
                    let mut step = step.clone();
                    let lists = step.request.head.iter_mut().map(|head| &mut head.headers);
                    for list in lists.chain(step.response.iter_mut().map(|response| &mut response.headers)) {
                        list.sort_by(|one, other| one.0.as_str().cmp(other.0.as_str()));
                    }
                    step
                };
                assert_eq!(sorted(&case.step), sorted(last));
                assert_eq!(
                    case.before.iter().map(sorted).collect::<Vec<_>>(),
                    before.iter().map(sorted).collect::<Vec<_>>()
                );
            }
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_lives() {
        let words = Words::of(&[setup(PluginKind::Balancer)], &[]);
        let lives = |seed| {
            let mut dice = Dice::new(seed);
            (0..20).map(|_| make::script(&mut dice, PluginKind::Balancer, &words)).collect::<Vec<_>>()
        };
        assert_eq!(lives(1), lives(1));
        assert_ne!(lives(1), lives(2));
    }

    /// Fails when an endpoint is labelled `bad` and a header holds a byte 0xff, in the second call.
    #[test]
    fn what_fails_becomes_as_small_as_it_can_be() {
        let is_bad = |step: &Step| {
            let labelled = step.endpoints.iter().any(|endpoint| endpoint.labels.iter().any(|label| label.0 == "bad"));
            let head = step.request.head.as_ref();
            labelled && head.is_some_and(|head| head.headers.iter().any(|(_, value)| value.as_bytes().contains(&0xff)))
        };
        let mut settings = setup(PluginKind::Balancer);
        settings.settings = r#"{"label":"bad"}"#.to_owned();
        let words = Words::of(std::slice::from_ref(&settings), &[]);
        let mut dice = Dice::new(3);
        let script = std::iter::repeat_with(|| make::script(&mut dice, PluginKind::Balancer, &words))
            .find_map(|steps| {
                let bad = steps.iter().skip(1).position(is_bad)?;
                Some(Script { setup: settings.clone(), steps: steps[..bad + 2].to_vec() })
            })
            .unwrap();
        let mut fails = |script: &Script| script.steps.len() > 1 && script.steps.last().is_some_and(is_bad);
        let smallest = Shrinker::new(&mut fails).shrink(script);
        assert_eq!(smallest.steps.len(), 2);
        let last = &smallest.steps[1];
        assert_eq!((last.endpoints.len(), last.tried.len(), &last.candidates), (1, 0, &None));
        let headers = &last.request.head.as_ref().unwrap().headers;
        assert_eq!(headers.iter().map(|(_, value)| value.as_bytes()).collect::<Vec<_>>(), [[0xff]]);
        assert_eq!(smallest.setup.then, None);
        assert_eq!(last.endpoints[0].address, "10.0.0.1:80");
    }
}
