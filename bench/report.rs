//! Prints the result as Markdown and as JSON.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::loaders::Loaders;
use crate::measure::{Row, Side};
use crate::workload::Skipped;

/// What the figures were taken on.
pub struct Machine {
    date: String,
    model: String,
    cores: usize,
    kernel: String,
    libc: String,
    pinned: Option<usize>,
}

impl Machine {
    /// This machine, now.
    pub fn this(loaders: &Loaders, pinned: Option<usize>) -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let values = |key: &'static str| {
            cpuinfo
                .lines()
                .filter_map(|line| line.split_once(':'))
                .filter(move |(name, _)| name.trim_end() == key)
                .map(|(_, value)| value.trim().to_owned())
        };
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        Self {
            date: date(now),
            model: values("model name").next().unwrap_or_else(|| "unknown CPU".into()),
            cores: values("processor").count(),
            kernel: kernel.trim().to_owned(),
            libc: loaders.system_version(),
            pinned,
        }
    }
}

/// Everything that is reported.
pub struct Report<'a> {
    /// Where it was measured.
    pub machine: Machine,
    /// The loader under test.
    pub loader: &'a Path,
    /// Whether valgrind was asked to count.
    pub callgrind: bool,
    /// Why there is no hardware counter, if there is none.
    pub no_counter: Option<String>,
    /// CPU microseconds of exec and exit alone.
    pub floor: f64,
    /// The workloads measured.
    pub rows: Vec<Row>,
    /// The others.
    pub skipped: Vec<Skipped>,
}

impl Report<'_> {
    /// The name of the loader under test.
    fn loader_name(&self) -> String {
        self.loader.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// A table to paste into a page.
    pub fn markdown(&self) -> String {
        let (m, tested) = (&self.machine, self.loader_name());
        let mut out = String::new();
        let pinned = m.pinned.map_or("not pinned".into(), |cpu| format!("pinned to CPU {cpu}"));
        _ = writeln!(
            out,
            "{}, {} ({} cores), Linux {}, {}, {pinned}.\n",
            m.date, m.model, m.cores, m.kernel, m.libc
        );
        let mut head = format!(
            "| workload | pairs | ld.so min | ld.so median | {tested} min | {tested} median \
             | ld.so / {tested} | 10–90 % | minor faults | user instructions |"
        );
        let mut rule =
            String::from("| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |");
        if self.callgrind {
            head.push_str(" by callgrind |");
            rule.push_str(" --: |");
        }
        _ = writeln!(out, "{head}\n{rule}");
        for row in &self.rows {
            let (s, t) = (&row.system, &row.tested);
            _ = write!(
                out,
                "| {} | {} | {:.0} | {:.0} | {:.0} | {:.0} | **{:.2}** | {:.2}–{:.2} | {} / {} \
                 | {} |",
                row.name,
                row.rounds,
                s.min,
                s.median,
                t.min,
                t.median,
                row.ratio.median(),
                row.ratio.quantile(0.1),
                row.ratio.quantile(0.9),
                s.faults.round(),
                t.faults.round(),
                counts(s.instructions, t.instructions),
            );
            if self.callgrind {
                _ = write!(out, " {} |", counts(s.callgrind, t.callgrind));
            }
            out.push('\n');
        }
        _ = writeln!(
            out,
            "\nTimes are CPU microseconds (user and system) from exec to the entry point and exit; \
             {:.0} of them are exec and exit alone. Pairs of numbers are ld.so's / {tested}'s.",
            self.floor
        );
        if let Some(why) = &self.no_counter {
            _ = writeln!(out, "No instruction counts: {why}.");
        }
        if !self.skipped.is_empty() {
            _ = writeln!(out, "\nNot measured:\n");
        }
        for skipped in &self.skipped {
            _ = match skipped {
                Skipped::Unavailable { name, why } => writeln!(out, "- {name}: {why}"),
                Skipped::Failed { name, why } => writeln!(out, "- {name}: {tested} failed: {why}"),
            };
        }
        out
    }

    /// The same figures for programs, unrounded.
    pub fn json(&self) -> String {
        let m = &self.machine;
        let rows: Vec<String> = self.rows.iter().map(json_row).collect();
        let skipped: Vec<String> = self.skipped.iter().map(json_skipped).collect();
        format!(
            "{{\n  \"date\": {},\n  \"cpu\": {},\n  \"cores\": {},\n  \"kernel\": {},\n  \
             \"libc\": {},\n  \"pinned_to_cpu\": {},\n  \"loader\": {},\n  \
             \"exec_exit_us\": {},\n  \"workloads\": [{}\n  ],\n  \"not_measured\": [{}\n  ]\n}}\n",
            quote(&m.date),
            quote(&m.model),
            m.cores,
            quote(&m.kernel),
            quote(&m.libc),
            or_null(m.pinned),
            quote(&self.loader.to_string_lossy()),
            self.floor,
            rows.join(","),
            skipped.join(","),
        )
    }
}

fn json_row(row: &Row) -> String {
    format!(
        "\n    {{\"name\": {}, \"pairs\": {}, \"ratio\": {{\"median\": {}, \"p10\": {}, \
         \"p90\": {}}},\n     \"system\": {},\n     \"tested\": {}}}",
        quote(&row.name),
        row.rounds,
        row.ratio.median(),
        row.ratio.quantile(0.1),
        row.ratio.quantile(0.9),
        json_side(&row.system),
        json_side(&row.tested),
    )
}

fn json_side(side: &Side) -> String {
    format!(
        "{{\"cpu_min_us\": {}, \"cpu_median_us\": {}, \"minor_faults\": {}, \
         \"user_instructions\": {}, \"callgrind_instructions\": {}}}",
        side.min,
        side.median,
        side.faults,
        or_null(side.instructions),
        or_null(side.callgrind),
    )
}

fn json_skipped(skipped: &Skipped) -> String {
    let (Skipped::Unavailable { name, why } | Skipped::Failed { name, why }) = skipped;
    format!(
        "\n    {{\"name\": {}, \"failed\": {}, \"why\": {}}}",
        quote(name),
        skipped.is_failure(),
        quote(why)
    )
}

fn or_null(value: Option<impl ToString>) -> String {
    value.map_or("null".into(), |v| v.to_string())
}

/// A JSON string (RFC 8259, section 7).
fn quote(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => _ = write!(out, "\\u{:04x}", c as u32),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn counts(system: Option<u64>, tested: Option<u64>) -> String {
    let one = |n: Option<u64>| n.map_or("n/a".into(), thousands);
    if system.is_none() && tested.is_none() {
        "n/a".into()
    } else {
        [one(system), one(tested)].join(" / ")
    }
}

/// A count in thousands, rounded.
fn thousands(n: u64) -> String {
    format!("{} k", n.saturating_add(500) / 1000)
}

/// Seconds since 1970 as a date and time in UTC.
fn date(seconds: u64) -> String {
    let (mut day, minute) = (seconds / 86400, seconds % 86400 / 60);
    let leap = |y: u64| y.is_multiple_of(4) && !y.is_multiple_of(100) || y.is_multiple_of(400);
    let mut year = 1970;
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    format!("{year}-{month:02}-{:02} {:02}:{:02} UTC", day + 1, minute / 60, minute % 60)
}

#[cfg(test)]
#[allow(unused)] // see unit.rs
mod tests {
    use super::*;

    #[test]
    fn dates_agree_with_the_calendar() {
        assert_eq!(date(0), "1970-01-01 00:00 UTC");
        assert_eq!(date(951_827_696), "2000-02-29 12:34 UTC");
        assert_eq!(date(1_735_689_599), "2024-12-31 23:59 UTC");
        assert_eq!(date(4_107_542_400), "2100-03-01 00:00 UTC");
    }

    #[test]
    fn json_strings_are_escaped() {
        assert_eq!(quote("a\"b\\\n"), r#""a\"b\\\u000a""#);
    }

    #[test]
    fn counts_say_what_is_missing() {
        assert_eq!(counts(None, None), "n/a");
        assert_eq!(counts(Some(1_234_567), None), "1235 k / n/a");
    }
}
