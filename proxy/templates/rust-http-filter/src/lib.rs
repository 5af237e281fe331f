//! Every response says in `x-served-by` who passed it on: `{"value": "TEXT"}`.

wit_bindgen::generate!({ path: "wit", world: "http-filter" });

use std::cell::Cell;

use exports::jackfield::plugin::filtering::{FilterContext, Guest, Phases};
use jackfield::plugin::prepared_edits::{self, Action, Edit, Value};
use jackfield::plugin::response;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default = "jackfield")]
    value: String,
}

fn jackfield() -> String {
    "jackfield".to_owned()
}

// Calls never overlap: this is a plain global variable. What was prepared has a number.
thread_local!(static EDITS: Cell<u32> = const { Cell::new(0) });

struct Plugin;

impl Guest for Plugin {
    fn configure(settings: String) -> Result<Phases, String> {
        let edits = prepare(&settings).ok_or_else(|| r#"{{name}} has one setting: {"value": "TEXT"}"#.to_owned())?;
        EDITS.set(edits);
        Ok(Phases::RESPONSE)
    }

    fn on_request(_: FilterContext) {}

    fn on_response(_: FilterContext) {
        response::apply(EDITS.get());
    }
}

fn prepare(settings: &str) -> Option<u32> {
    let Settings { value } = serde_json::from_str(settings).ok()?;
    let edit = Edit { name: "x-served-by".to_owned(), action: Action::Set(Value::Text(value)) };
    prepared_edits::prepare(&[edit]).ok()
}

export!(Plugin);
