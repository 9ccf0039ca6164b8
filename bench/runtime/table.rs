//! Prints the result as Markdown and as JSON.

use std::fmt::Write;
use std::path::Path;

use crate::figures::Figure;
use crate::json::quote;
use crate::machine::Machine;
use crate::stats::Series;

/// What came of a figure.
pub enum Row {
    /// One value per process, in so many pairs.
    Measured { pairs: usize, system: Series, tested: Series, ratio: Series },
    /// This machine cannot tell.
    Unavailable(String),
    /// The loader under test gets it wrong.
    Failed(String),
}

/// Everything that is reported.
pub struct Table<'a> {
    /// Where it was measured.
    pub machine: Machine,
    /// The loader under test.
    pub loader: &'a Path,
    /// The figures, in order.
    pub rows: Vec<(&'static Figure, Row)>,
}

impl Table<'_> {
    /// A table to paste into a page.
    pub fn markdown(&self) -> String {
        let tested = self.loader.file_name().unwrap_or_default().to_string_lossy();
        let mut out = format!("{}\n\n", self.machine.line());
        _ = writeln!(out, "| what | ld.so | {tested} | ld.so / {tested} (10–90 %) |");
        _ = writeln!(out, "| --- | --: | --: | --: |");
        for (figure, row) in &self.rows {
            _ = match row {
                Row::Measured { system, tested, ratio, .. } => writeln!(
                    out,
                    "| {} | {} | {} | **{:.2}** ({:.2}–{:.2}) |",
                    figure.what,
                    price(system.median(), figure.unit),
                    price(tested.median(), figure.unit),
                    ratio.median(),
                    ratio.quantile(0.1),
                    ratio.quantile(0.9),
                ),
                Row::Unavailable(why) => writeln!(out, "| {} | n/a: {why} | | |", figure.what),
                Row::Failed(why) => writeln!(out, "| {} | | **error**: {why} | |", figure.what),
            };
        }
        out
    }

    /// The same figures for programs, unrounded.
    pub fn json(&self) -> String {
        let rows: Vec<String> = self.rows.iter().map(|(figure, row)| member(figure, row)).collect();
        format!(
            "{{\n{},\n  \"loader\": {},\n  \"figures\": [{}\n  ]\n}}\n",
            self.machine.json(),
            quote(&self.loader.to_string_lossy()),
            rows.join(","),
        )
    }
}

/// A price in a unit that keeps it short.
fn price(value: f64, unit: &str) -> String {
    match unit {
        "ns" if value >= 1e6 => format!("{:.2} ms", value / 1e6),
        "ns" if value >= 1e4 => format!("{:.1} µs", value / 1e3),
        _ if value < 10.0 => format!("{value:.1} {unit}"),
        _ => format!("{value:.0} {unit}"),
    }
}

fn member(figure: &Figure, row: &Row) -> String {
    let head = format!(
        "\n    {{\"name\": {}, \"what\": {}, \"unit\": {}, ",
        quote(figure.name),
        quote(figure.what),
        quote(figure.unit)
    );
    let tail = match row {
        Row::Measured { pairs, system, tested, ratio } => format!(
            "\"pairs\": {pairs}, \"system\": {}, \"tested\": {},\n     \
             \"ratio\": {{\"median\": {}, \"p10\": {}, \"p90\": {}}}}}",
            system.median(),
            tested.median(),
            ratio.median(),
            ratio.quantile(0.1),
            ratio.quantile(0.9),
        ),
        Row::Unavailable(why) => format!("\"unavailable\": {}}}", quote(why)),
        Row::Failed(why) => format!("\"failed\": {}}}", quote(why)),
    };
    head + &tail
}
