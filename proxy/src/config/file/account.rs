//! `user` and `group`: whom the process becomes when root starts it.

use nix::unistd::{Group, User};

use super::check::Problem;
use super::table::Table;
use super::value::Value;

pub fn accounts(table: &mut Table<'_, '_>) -> (Option<String>, Option<String>) {
    let user = table.read("user", |value| named(value, "user", |name| Ok(User::from_name(name)?.is_some())));
    let group = table.read("group", |value| named(value, "group", |name| Ok(Group::from_name(name)?.is_some())));
    if group.is_some() && !table.has("user") {
        table.report(Problem::new("`group` without `user`").help("add `user = \"jackfield\"`, or leave `group` out"));
    }
    (user, group)
}

fn named(value: &Value<'_>, kind: &str, exists: impl Fn(&str) -> nix::Result<bool>) -> Result<String, Problem> {
    let name = value.text()?;
    match exists(name) {
        Ok(true) => Ok(name.to_owned()),
        Ok(false) => Err(Problem::new(format!("there is no {kind} `{name}` on this machine"))
            .help(format!("create it (`{kind}add --system {name}`), or leave the key out"))),
        Err(error) => Err(Problem::new(format!("whether there is a {kind} `{name}` cannot be told: {error}"))),
    }
}
