//! The Trace Event Format, which Perfetto and Chrome's tracing show.
//!
//! Times are microseconds there; ours have three decimals and start at the trace's first line, so that none is rounded.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::record::{Dlopen, Event, Map, Record, Relocate};
use super::trace::{Process, Span, Trace};

/// So many steps has a counter's curve at most: more cannot be seen.
const STEPS: usize = 500;

pub fn write(trace: &Trace, out: &mut dyn Write) -> io::Result<()> {
    let mut events = Events { begin: trace.begin(), first: true, out };
    events.out.write_all(b"{\"displayTimeUnit\":\"ns\",\"traceEvents\":[")?;
    for process in &trace.processes {
        events.process(process)?;
    }
    events.out.write_all(b"\n]}\n")
}

struct Events<'o> {
    begin: u64,
    first: bool,
    out: &'o mut dyn Write,
}

impl Events<'_> {
    fn add(&mut self, event: &Value) -> io::Result<()> {
        self.out.write_all(if self.first { b"\n" } else { b",\n" })?;
        self.first = false;
        serde_json::to_writer(&mut *self.out, event).map_err(io::Error::from)
    }

    #[expect(clippy::cast_precision_loss, reason = "104 days fit 53 bits")]
    fn time(&self, t: u64) -> f64 {
        t.saturating_sub(self.begin) as f64 / 1000.0
    }

    fn process(&mut self, process: &Process) -> io::Result<()> {
        let pid = process.pid;
        let name = process.name();
        self.add(
            &json!({ "ph": "M", "pid": pid, "name": "process_name", "args": { "name": name } }),
        )?;
        let end = process.end();
        for span in process.spans() {
            self.span(pid, end, &span)?;
        }
        let is_binding = |record: &&Record| matches!(record.event, Event::Binding(_));
        let step = process.records.iter().filter(is_binding).count().div_ceil(STEPS).max(1);
        let mut bindings = 0;
        for record in &process.records {
            if let Some((name, category, arguments)) = instant(&record.event) {
                self.add(&json!({
                    "ph": "i", "s": "t", "pid": pid, "tid": record.tid, "ts": self.time(record.t),
                    "name": name, "cat": category, "args": arguments,
                }))?;
            }
            if is_binding(&record) {
                bindings += 1;
                if bindings % step == 0 {
                    self.add(&json!({
                        "ph": "C", "pid": pid, "ts": self.time(record.t), "name": "bindings",
                        "args": { "bindings": bindings },
                    }))?;
                }
            }
        }
        Ok(())
    }

    fn span(&mut self, pid: u32, end: u64, span: &Span<'_>) -> io::Result<()> {
        let Span { kind, t, tid, duration, object, event, .. } = span;
        let arguments = match event {
            Event::Search(it) => json!({ "requester": it.requester, "found": it.found }),
            Event::Relocate(Relocate { rela, relr, plt, lazy, .. }) => {
                json!({ "rela": rela, "relr": relr, "plt": plt, "lazy": lazy })
            }
            Event::Map(Map { address, size, .. }) => json!({ "address": address, "size": size }),
            Event::Dlopen(Dlopen { object, error, .. }) => {
                json!({ "object": object, "error": error })
            }
            Event::Begin(_) => json!({ "ended": false }),
            _ => json!({}),
        };
        let duration = duration.unwrap_or_else(|| end.saturating_sub(*t));
        self.add(&json!({
            "ph": "X", "pid": pid, "tid": tid, "ts": self.time(*t), "dur": self.time(self.begin + duration),
            "name": format!("{} {object}", kind.name()), "cat": kind.name(), "args": arguments,
        }))
    }
}

/// What happens at one moment: name, category, arguments.
fn instant(event: &Event) -> Option<(String, &'static str, Value)> {
    Some(match event {
        Event::Attempt(it) => {
            let name = format!("{} {}", if it.found { "found" } else { "not" }, it.path);
            let arguments = json!({ "rule": it.rule, "of": it.of, "why": it.why });
            (name, "attempt", arguments)
        }
        Event::Version(it) => {
            let arguments = json!({ "object": it.object, "of": it.of });
            (it.version.clone(), "version", arguments)
        }
        Event::Binding(it) => {
            let arguments =
                json!({ "from": it.from, "to": it.to, "version": it.version, "how": it.how });
            (it.symbol.clone(), "binding", arguments)
        }
        Event::Entry { address } => ("entry".into(), "entry", json!({ "address": address })),
        Event::Unload { object } => (format!("unload {object}"), "unload", json!({})),
        Event::Error { text } => (text.clone(), "error", json!({})),
        _ => return None,
    })
}
