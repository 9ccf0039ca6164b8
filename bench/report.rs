//! Prints the result as Markdown and as JSON.

use std::fmt::Write;
use std::path::Path;

use crate::json::{or_null, quote};
use crate::machine::Machine;
use crate::measure::{Row, Side};
use crate::workload::Skipped;

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
    /// CPU microseconds of exec alone.
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
        let tested = self.loader_name();
        let mut out = format!("{}\n\n", self.machine.line());
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
            "\nTimes are CPU microseconds (user and system) from exec to the entry point; \
             {:.0} of them are exec alone. Pairs of numbers are ld.so's / {tested}'s.",
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
        let rows: Vec<String> = self.rows.iter().map(json_row).collect();
        let skipped: Vec<String> = self.skipped.iter().map(json_skipped).collect();
        format!(
            "{{\n{},\n  \"loader\": {},\n  \"exec_us\": {},\n  \"workloads\": [{}\n  ],\n  \
             \"not_measured\": [{}\n  ]\n}}\n",
            self.machine.json(),
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

#[cfg(test)]
#[allow(unused)] // see unit.rs
mod tests {
    use super::*;

    #[test]
    fn counts_say_what_is_missing() {
        assert_eq!(counts(None, None), "n/a");
        assert_eq!(counts(Some(1_234_567), None), "1235 k / n/a");
    }
}
