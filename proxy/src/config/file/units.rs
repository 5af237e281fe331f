//! Durations and sizes as a user writes them: `250ms`, `64KiB`.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::check::Problem;
use super::value::Value;

const LONGEST: Duration = Duration::from_hours(366 * 24);

/// A length of time above zero; at most a year, so that adding it to a clock cannot overflow.
pub fn duration(value: &Value<'_>) -> Result<Duration, Problem> {
    let length = duration_or_zero(value)?;
    if length.is_zero() {
        return Err(Problem::new(format!("`{}` must be longer than nothing", value.name)));
    }
    Ok(length)
}

pub fn duration_or_zero(value: &Value<'_>) -> Result<Duration, Problem> {
    let help = "a whole number and a unit: \"250ms\", \"2s\", \"5m\", \"1h\"";
    let written = value.as_text().ok_or_else(|| value.mismatch("a duration").help(help))?;
    let length =
        parse_duration(written).ok_or_else(|| Problem::new(format!("`{written}` is not a duration")).help(help))?;
    if length > LONGEST {
        return Err(Problem::new(format!("`{written}` is too long")).help("at most \"8784h\", a year"));
    }
    Ok(length)
}

pub fn parse_duration(written: &str) -> Option<Duration> {
    let (number, unit) = split(written)?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(milliseconds).map(Duration::from_millis)
}

/// A size in bytes: a whole number, or a string with a unit.
pub fn size(value: &Value<'_>, range: RangeInclusive<usize>) -> Result<usize, Problem> {
    let bytes = match value.as_text() {
        Some(written) => parse_size(written).ok_or_else(|| {
            Problem::new(format!("`{written}` is not a size"))
                .help("bytes, or a whole number and a unit: \"64KiB\", \"16MiB\", \"1GiB\"")
        })?,
        None if value.is_integer() => value.integer(*range.start() as u64..=*range.end() as u64)?,
        None => {
            return Err(value.mismatch("a size").help("bytes, or \"64KiB\", \"16MiB\", \"1GiB\""));
        }
    };
    usize::try_from(bytes).ok().filter(|bytes| range.contains(bytes)).ok_or_else(|| {
        let (low, high) = (show_size(*range.start()), show_size(*range.end()));
        Problem::new(format!("`{}` must be from {low} to {high}, found {bytes} bytes", value.name))
    })
}

fn parse_size(written: &str) -> Option<u64> {
    let (number, unit) = split(written)?;
    let bytes = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(bytes)
}

pub fn show_size(bytes: usize) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.iter().find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", bytes / unit),
        None => bytes.to_string(),
    }
}

/// Digits, then a unit, with no more than spaces between.
fn split(written: &str) -> Option<(u64, &str)> {
    let digits = written.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = written.split_at(digits);
    Some((number.parse().ok()?, unit.trim_start_matches(' ')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse_duration("2 s"), Some(Duration::from_secs(2)));
        assert_eq!(parse_duration("5m"), Some(Duration::from_mins(5)));
        assert_eq!(parse_duration("1h"), Some(Duration::from_hours(1)));
        for bad in ["", "5", "s", "-1s", "1.5s", "1d", "1s ", "99999999999999999999s", "18446744073709551615h"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes_are_binary() {
        assert_eq!(parse_size("64KiB"), Some(65536));
        assert_eq!(parse_size("1GiB"), Some(1 << 30));
        assert_eq!(parse_size("12B"), Some(12));
        for bad in ["64", "64KB", "64kb", "KiB", "99999999999GiB"] {
            assert_eq!(parse_size(bad), None, "{bad}");
        }
        assert_eq!(show_size(16 << 20), "16MiB");
        assert_eq!(show_size(8192), "8KiB");
        assert_eq!(show_size(1000), "1000");
    }
}
