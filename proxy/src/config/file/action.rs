//! What a route does: forward, redirect or respond.

use std::collections::BTreeSet;

use http::{HeaderName, HeaderValue, StatusCode};

use super::check::{Check, Problem};
use super::table::Table;
use super::value::{Entry, Value};
use super::{listener, matcher};
use crate::config::{PathMatch, Rewrite, RouteAction, RouteMatch};

const ACTIONS: [&str; 3] = ["upstream", "redirect", "respond"];
const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];
const PLACEHOLDERS: [&str; 4] = ["scheme", "host", "path", "query"];
/// The body's length and the connection are the proxy's own business.
const FRAMING: [&str; 6] = ["connection", "content-length", "keep-alive", "te", "transfer-encoding", "upgrade"];

/// `matches` is nothing if it was wrong.
pub fn action(table: &mut Table<'_, '_>, matches: Option<&RouteMatch>) -> Option<RouteAction> {
    let check = table.check;
    exactly_one(table);
    let upstream = listener::upstream(table);
    let redirect = table.take("redirect").and_then(|value| redirect(check, &value));
    let respond = table.take("respond").and_then(|value| respond(check, &value));
    let rewrite = if table.has("upstream") {
        table.take("rewrite").and_then(|value| rewrite(check, &value, matches))
    } else {
        table.refuse(&["rewrite"], "a route without `upstream`");
        None
    };
    upstream.map(|upstream| RouteAction::Forward { upstream, rewrite }).or(redirect).or(respond)
}

fn exactly_one(table: &Table<'_, '_>) {
    let written: Vec<String> = ACTIONS.iter().filter(|key| table.has(key)).map(|key| format!("`{key}`")).collect();
    let problem = match written.as_slice() {
        [_] => return,
        [] => Problem::new("a route needs `upstream`, `redirect` or `respond`, found none"),
        several => {
            let several = several.join(" and ");
            Problem::new(format!("a route has one of `upstream`, `redirect` and `respond`, found {several}"))
        }
    };
    table.report(problem);
}

fn redirect(check: &Check<'_>, value: &Value<'_>) -> Option<RouteAction> {
    if value.as_text().is_some() {
        let location = check.accept(value.place, location(value))?;
        return Some(RouteAction::Redirect { status: StatusCode::PERMANENT_REDIRECT, location });
    }
    if !value.is_table() {
        return check.accept(value.place, Err(value.mismatch("a location, or a table with `location`")));
    }
    let mut table = value.table(check, "in `redirect`")?;
    let status = table.read("status", redirect_status);
    let location_value = table.require("location", "\"https://{host}{path}{query}\"");
    table.finish();
    let location_value = location_value?;
    let location = check.accept(location_value.place, location(&location_value))?;
    Some(RouteAction::Redirect { status: status.unwrap_or(StatusCode::PERMANENT_REDIRECT), location })
}

fn redirect_status(value: &Value<'_>) -> Result<StatusCode, Problem> {
    let status = value.integer(0..=u64::MAX)?;
    REDIRECTS
        .iter()
        .find(|known| u64::from(**known) == status)
        .and_then(|known| StatusCode::from_u16(*known).ok())
        .ok_or_else(|| {
            Problem::new(format!("{status} is not the status of a redirect")).help("301, 302, 303, 307 or 308")
        })
}

fn location(value: &Value<'_>) -> Result<String, Problem> {
    let written = value.text()?;
    let wrong = || Problem::new(format!("`{written}` is not a location"));
    let mut rest = written;
    while let Some((_, after)) = rest.split_once('{') {
        let name = after.split('}').next().unwrap_or_default();
        if !PLACEHOLDERS.contains(&name) {
            let help = "what may stand in braces: {scheme}, {host}, {path}, {query}";
            return Err(Problem::new(format!("unknown `{{{name}}}` in a location")).help(help));
        }
        rest = &after[name.len()..];
    }
    if written.is_empty() || !written.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(wrong().help("a URL or a path, percent-encoded: \"https://{host}{path}{query}\""));
    }
    Ok(written.to_owned())
}

fn respond(check: &Check<'_>, value: &Value<'_>) -> Option<RouteAction> {
    let mut table = value.table(check, "in `respond`")?;
    let status = table.integer("status", 200, 200..=599);
    let body = table.text("body").unwrap_or_default();
    if [204, 304].contains(&status) && !body.is_empty() {
        table.report(Problem::new(format!("an answer with status {status} has no body")));
    }
    let headers = table.read("headers", Value::entries).unwrap_or_default();
    let headers = headers.iter().filter_map(|entry| header(check, entry)).collect();
    table.finish();
    let status = StatusCode::from_u16(status as u16).ok()?;
    Some(RouteAction::Respond { status, headers, body: body.to_owned() })
}

pub fn header(check: &Check<'_>, entry: &Entry<'_>) -> Option<(HeaderName, HeaderValue)> {
    let name = matcher::header_name(entry).and_then(|name| {
        if FRAMING.contains(&name.as_str()) {
            return Err(Problem::new(format!("`{name}` is set by the proxy itself")));
        }
        Ok(name)
    });
    let name = check.accept(entry.key_place, name);
    let value = entry.value.text().and_then(|written| {
        HeaderValue::from_str(written).map_err(|_| {
            Problem::new(format!("`{}` is not the value of a header", written.escape_debug()))
                .help("no line ends or other control characters")
        })
    });
    Some((name?, check.accept(entry.value.place, value)?))
}

fn rewrite(check: &Check<'_>, value: &Value<'_>, matches: Option<&RouteMatch>) -> Option<Rewrite> {
    let mut table = value.table(check, "in `rewrite`")?;
    let rewrite = if table.has("regex") || table.has("replacement") {
        table.refuse(&["prefix"], "`regex`");
        regex_rewrite(&mut table)
    } else {
        let prefix = table.require("prefix", "\"/v2/\"");
        // Known, for the list of an unknown key's message.
        table.refuse(&["regex", "replacement"], "`prefix`");
        prefix.and_then(|value| check.accept(value.place, prefix_rewrite(&value, matches)))
    };
    table.finish();
    rewrite
}

fn prefix_rewrite(value: &Value<'_>, matches: Option<&RouteMatch>) -> Result<Rewrite, Problem> {
    let written = value.text()?;
    if !written.starts_with('/')
        || !written.ends_with('/')
        || written.contains(['?', '#'])
        || !written.bytes().all(|b| b.is_ascii_graphic())
    {
        let problem = Problem::new(format!("`{written}` is not a prefix"));
        return Err(problem.help("begin and end with `/`, percent-encoded: \"/v2/\""));
    }
    if matches.is_some_and(|matches| !matches!(matches.path, PathMatch::Prefix(_))) {
        return Err(Problem::new("`prefix` replaces a prefix, and the `path` of this route is not one")
            .help("end `path` with `/`, or write `rewrite = { regex = \"…\", replacement = \"…\" }`"));
    }
    Ok(Rewrite::Prefix(written.to_owned()))
}

fn regex_rewrite(table: &mut Table<'_, '_>) -> Option<Rewrite> {
    let check = table.check;
    let pattern = table.require("regex", "\"^/users/([0-9]+)\"");
    let replacement = table.require("replacement", "\"/u/$1\"");
    let pattern = pattern?;
    let compiled = check.accept(pattern.place, pattern.text().and_then(matcher::regex));
    let replacement = replacement?;
    let (compiled, pattern) = (compiled?, pattern.as_text()?);
    let replacement = check.accept(replacement.place, replacement_groups(&replacement, &compiled))?;
    Some(Rewrite::Regex { pattern: pattern.to_owned(), replacement })
}

/// `regex` replaces an unknown group by nothing; `$1x` is the group `1x` there. Better said than served.
fn replacement_groups(value: &Value<'_>, pattern: &regex::Regex) -> Result<String, Problem> {
    let written = value.text()?;
    let names: BTreeSet<&str> = pattern.capture_names().flatten().collect();
    let mut rest = written;
    while let Some((_, after)) = rest.split_once('$') {
        rest = after.strip_prefix('$').unwrap_or(after);
        if rest.len() < after.len() {
            continue;
        }
        let group = group_name(after);
        let known = match group.parse::<usize>() {
            Ok(number) => number < pattern.captures_len(),
            Err(_) => group.is_empty() || names.contains(group),
        };
        if !known {
            return Err(Problem::new(format!("`{written}` uses the group `{group}`, which the pattern does not have"))
                .help("set a number or name apart with braces: \"${1}x\"; \"$$\" is a dollar sign"));
        }
    }
    Ok(written.to_owned())
}

fn group_name(after_dollar: &str) -> &str {
    if let Some((name, _)) = after_dollar.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        return name;
    }
    let end = after_dollar.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
    &after_dollar[..end]
}
