//! All findings, each with the programs that have it.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt;

use rld::text::Text;
use serde::Serialize;

use super::Outcome;
use super::finding::{Finding, Kind, Severity};
use crate::inspect::output::{Bytes, Out, counted};
use crate::inspect::start::Environment;
use crate::inspect::{Failure, Verdict};

/// As many programs as are named with a finding.
const NAMED: usize = 3;
/// As many findings of one kind as are shown of an object, for people.
const ALIKE: usize = 10;

pub struct Report {
    /// By object, the object with the worst first; each with its programs.
    findings: Vec<(Finding, Vec<Vec<u8>>)>,
    skipped: Vec<(Vec<u8>, String)>,
    /// The least severity that is shown.
    least: Severity,
    /// Findings that are not shown.
    hidden: usize,
    programs: usize,
    libraries: usize,
}

impl Report {
    pub fn new(
        environment: &Environment,
        operands: &[OsString],
        outcomes: Vec<Outcome>,
        least: Severity,
    ) -> Self {
        let mut all: BTreeMap<Finding, Vec<Vec<u8>>> = BTreeMap::new();
        let mut of_objects: HashSet<Finding> = HashSet::new();
        let mut users: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
        let (mut skipped, mut programs, mut paths) = (Vec::new(), 0, HashSet::new());
        for (operand, outcome) in operands.iter().zip(outcomes) {
            let program = environment.root.operand(operand).into_vec();
            match outcome {
                Outcome::Skipped(words) => skipped.push((program, words)),
                Outcome::Failed(finding) => all.entry(finding).or_default().push(program),
                Outcome::Checked { findings, of_objects: new, libraries } => {
                    programs += 1;
                    of_objects.extend(new);
                    for library in libraries {
                        users.entry(library.clone()).or_default().push(program.clone());
                        paths.insert(library);
                    }
                    users.entry(program.clone()).or_default().push(program.clone());
                    for finding in findings {
                        all.entry(finding).or_default().push(program.clone());
                    }
                }
            }
        }
        for finding in of_objects {
            let programs = users.get(&finding.object).cloned().unwrap_or_default();
            all.insert(finding, programs);
        }
        if programs == 0 {
            // Whoever names nothing but scripts has not asked what they wanted to.
            for (path, words) in skipped.drain(..) {
                let about = (Severity::Error, Kind::Unreadable);
                let finding = Finding::whole(&path, about, words);
                all.entry(finding).or_default().push(path);
            }
        }
        let count = all.len();
        let mut findings: Vec<_> =
            all.into_iter().filter(|(finding, _)| finding.severity <= least).collect();
        let hidden = count - findings.len();
        let mut worst: BTreeMap<Vec<u8>, Severity> = BTreeMap::new();
        for (finding, programs) in &mut findings {
            programs.dedup();
            let worst = worst.entry(finding.object.clone()).or_insert(finding.severity);
            *worst = finding.severity.min(*worst);
        }
        findings.sort_by_cached_key(|(finding, _)| {
            (worst.get(&finding.object).copied(), finding.clone())
        });
        Self { findings, skipped, least, hidden, programs, libraries: paths.len() }
    }

    pub fn verdict(&self) -> Verdict {
        match self.findings.iter().map(|(finding, _)| finding.severity).min() {
            Some(Severity::Error) => Verdict::Bad,
            Some(Severity::Warning) => Verdict::Doubtful,
            Some(Severity::Note) | None => Verdict::Good,
        }
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|(finding, _)| finding.severity == severity).count()
    }

    pub fn write(&self, out: &mut Out<'_>) -> Result<(), Failure> {
        if out.json {
            return out.document("check", Document::new(self));
        }
        let same = |a: &Finding, b: &Finding| {
            (&a.object, a.severity, a.kind) == (&b.object, b.severity, b.kind)
        };
        let mut object = None;
        for group in self.findings.chunk_by(|(a, _), (b, _)| same(a, b)) {
            let shown = group.get(..ALIKE).unwrap_or(group);
            for (finding, programs) in shown {
                if object != Some(&finding.object) {
                    writeln!(out, "{}", out.paint().strong(Text(&finding.object)))?;
                    object = Some(&finding.object);
                }
                self.write_finding(finding, programs, out)?;
            }
            if let Some((finding, _)) = group.get(ALIKE) {
                let (more, kind) = (group.len() - ALIKE, finding.kind);
                writeln!(out, "  … and {more} more [{kind}]")?;
            }
        }
        self.write_summary(out)?;
        Ok(())
    }

    fn write_finding(
        &self,
        finding: &Finding,
        programs: &[Vec<u8>],
        out: &mut Out<'_>,
    ) -> io::Result<()> {
        let paint = out.paint();
        let Finding { severity, kind, message, details, .. } = finding;
        let name = match severity {
            Severity::Error => paint.bad(severity.name()),
            Severity::Warning => paint.doubtful(severity.name()),
            Severity::Note => paint.aside(severity.name()),
        };
        writeln!(out, "  {name}: {message} {}", paint.dim(format_args!("[{kind}]")))?;
        for line in details {
            writeln!(out, "      {line}")?;
        }
        let others: Vec<_> =
            programs.iter().filter(|program| **program != finding.object).collect();
        if others.is_empty() || self.programs < 2 {
            return Ok(());
        }
        let shown = others.iter().take(NAMED).map(|program| Text(program).to_string());
        let shown = shown.collect::<Vec<_>>().join(", ");
        match others.len().saturating_sub(NAMED) {
            0 => writeln!(out, "      in {shown}"),
            more => writeln!(out, "      in {shown} and {more} more"),
        }
    }

    fn write_summary(&self, out: &mut Out<'_>) -> io::Result<()> {
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, words) in &self.skipped {
            *reasons.entry(words).or_default() += 1;
        }
        let shown = Severity::ALL.into_iter().filter(|severity| *severity <= self.least);
        let counts = shown.map(|severity| counted(self.count(severity), severity.name()));
        let counts = counts.collect::<Vec<_>>().join(", ");
        let programs = counted(self.programs, "program");
        let libraries = match self.libraries {
            1 => "1 library".into(),
            many => format!("{many} libraries"),
        };
        write!(out, "{programs} with {libraries}: {counts}")?;
        match self.hidden {
            0 => writeln!(out)?,
            hidden => writeln!(out, "; {hidden} less severe, see --severity")?,
        }
        for (reason, count) in reasons {
            writeln!(out, "{count} passed over: {reason}")?;
        }
        Ok(())
    }
}

/// All as JSON.
#[derive(Serialize)]
struct Document<'d> {
    findings: Vec<Entry<'d>>,
    skipped: Vec<Skipped<'d>>,
    summary: Summary,
}

#[derive(Serialize)]
struct Entry<'e> {
    severity: Severity,
    kind: Kind,
    object: Bytes<'e>,
    subject: Option<Bytes<'e>>,
    message: &'e str,
    details: &'e [String],
    programs: Vec<Bytes<'e>>,
}

#[derive(Serialize)]
struct Skipped<'s> {
    path: Bytes<'s>,
    reason: &'s str,
}

#[derive(Serialize)]
struct Summary {
    programs: usize,
    libraries: usize,
    errors: usize,
    warnings: usize,
    notes: usize,
    /// Findings that are less severe than what was asked for.
    hidden: usize,
}

impl<'d> Document<'d> {
    fn new(report: &'d Report) -> Self {
        let findings = report.findings.iter().map(|(finding, programs)| Entry {
            severity: finding.severity,
            kind: finding.kind,
            object: Bytes(&finding.object),
            subject: finding.subject.as_deref().map(Bytes),
            message: &finding.message,
            details: &finding.details,
            programs: programs.iter().map(|program| Bytes(program)).collect(),
        });
        let skipped = report.skipped.iter();
        let skipped = skipped.map(|(path, reason)| Skipped { path: Bytes(path), reason });
        Self {
            findings: findings.collect(),
            skipped: skipped.collect(),
            summary: Summary {
                programs: report.programs,
                libraries: report.libraries,
                errors: report.count(Severity::Error),
                warnings: report.count(Severity::Warning),
                notes: report.count(Severity::Note),
                hidden: report.hidden,
            },
        }
    }
}
