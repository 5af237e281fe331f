//! `expect = {...}` of a case.

use std::sync::Arc;

use super::super::check::{Check, Problem};
use super::super::table::Table;
use super::super::value::Value;
use super::{message, one_or_more, step};
use crate::config::{
    AnswerWanted, CaseEndpoint, Expect, FieldsWanted, MessagesWanted, PluginKind, RequestWanted, ResponseWanted, Wanted,
};

/// How an expectation says that there is nothing.
const NONE: &str = "none";

pub fn expect(table: &mut Table<'_, '_>, kind: PluginKind, endpoints: &Arc<[CaseEndpoint]>) -> Option<Expect> {
    let check = table.check;
    let before = check.errors();
    let Some(value) = table.take("expect") else { return Some(Expect::Sound) };
    let mut table = value.table(check, "in what a case expects")?;
    let refused = table.text("refused").map(str::to_owned);
    let expect = match (kind, refused) {
        (_, Some(text)) => {
            let others = ["endpoint", "sequence", "reply", "request", "answer", "response"];
            table.refuse(&others, "`refused`: a plugin that refuses its settings is not called");
            Expect::Refused(text)
        }
        (PluginKind::Balancer, None) => {
            table.refuse(&["request", "answer", "response"], "a balancer: only a filter changes messages");
            picks(&mut table, endpoints)
        }
        (PluginKind::HttpFilter, None) => {
            table.refuse(&["endpoint", "sequence", "reply"], "a filter: only a balancer chooses endpoints");
            Expect::Messages(Box::new(MessagesWanted {
                request: table.take("request").and_then(|value| request(check, &value)),
                answer: table.take("answer").and_then(|value| answer(check, &value)),
                response: table.take("response").and_then(|value| response(check, &value)),
            }))
        }
    };
    table.finish();
    (check.errors() == before).then_some(expect)
}

fn picks(table: &mut Table<'_, '_>, endpoints: &Arc<[CaseEndpoint]>) -> Expect {
    let check = table.check;
    let known: Vec<String> = endpoints.iter().map(|endpoint| endpoint.address.clone()).collect();
    let one = table.take("endpoint").and_then(|value| wanted(check, &value, &known));
    if one.is_some() {
        table.refuse(&["sequence"], "`endpoint`: it is the list of several picks");
    }
    let help = "name an endpoint for each pick: `sequence = [\"10.0.0.1:80\", \"10.0.0.2:80\"]`";
    let list = table.read("sequence", |value| value.nonempty_list(help)).unwrap_or_default();
    let sequence: Vec<Wanted> = list.iter().filter_map(|value| wanted(check, value, &known)).collect();
    let fields = table.take("reply").map(|value| message::fields(check, &value)).unwrap_or_default();
    let reply = FieldsWanted { values: fields, ..FieldsWanted::default() };
    let sequence = if sequence.is_empty() { vec![one.unwrap_or_default()] } else { sequence };
    Expect::Picks(sequence, reply)
}

fn wanted(check: &Check<'_>, value: &Value<'_>, known: &[String]) -> Option<Wanted> {
    let one = |value: &Value<'_>| {
        if value.as_text() == Some(NONE) {
            return Some(None);
        }
        check.accept(value.place, step::address(value, known)).map(Some)
    };
    let list = one_or_more(check, value)?;
    if list.is_empty() {
        let problem = Problem::new(format!("`{}` is empty", value.name));
        return check.accept(value.place, Err(problem.help("for no endpoint at all write \"none\"")));
    }
    list.iter().map(one).collect::<Option<Vec<_>>>().map(Wanted)
}

fn request(check: &Check<'_>, value: &Value<'_>) -> Option<RequestWanted> {
    let mut table = value.table(check, "in the expected request")?;
    let text = |value: Option<&str>| value.map(str::to_owned);
    let notes = table.read("notes", Value::entries).unwrap_or_default();
    let wanted = RequestWanted {
        method: text(table.text("method")),
        path: text(table.text("path")),
        host: text(table.text("host")),
        upstream: table.text("upstream").map(|name| Some(name.to_owned()).filter(|name| name != NONE)),
        fields: fields(&mut table),
        notes: notes
            .iter()
            .filter_map(|note| {
                let text = check.accept(note.value.place, note.value.text())?;
                Some((note.key.to_owned(), text.to_owned()))
            })
            .collect(),
    };
    table.finish();
    Some(wanted)
}

fn answer(check: &Check<'_>, value: &Value<'_>) -> Option<AnswerWanted> {
    if value.as_text() == Some(NONE) {
        return Some(AnswerWanted::Nothing);
    }
    if !value.is_table() {
        return check.accept(value.place, Err(value.mismatch("a table, or \"none\"")));
    }
    let mut table = value.table(check, "in the expected answer")?;
    let body = table.text("body").map(str::to_owned);
    let wanted = ResponseWanted { status: status(&mut table), fields: fields(&mut table), body };
    table.finish();
    Some(AnswerWanted::Given(wanted))
}

fn response(check: &Check<'_>, value: &Value<'_>) -> Option<ResponseWanted> {
    let mut table = value.table(check, "in the expected response")?;
    let wanted = ResponseWanted { status: status(&mut table), fields: fields(&mut table), body: None };
    table.finish();
    Some(wanted)
}

fn status(table: &mut Table<'_, '_>) -> Option<u16> {
    table.read("status", |value| value.integer(101..=599)).map(|status| status as u16)
}

fn fields(table: &mut Table<'_, '_>) -> FieldsWanted {
    let check = table.check;
    FieldsWanted {
        values: table.take("headers").map(|value| message::fields(check, &value)).unwrap_or_default(),
        present: table.take("present").map(|value| message::names(check, &value)).unwrap_or_default(),
        absent: table.take("absent").map(|value| message::names(check, &value)).unwrap_or_default(),
    }
}
