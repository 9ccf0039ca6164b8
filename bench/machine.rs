//! What the figures were taken on.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::json::{or_null, quote};
use crate::loaders::Loaders;

/// This machine, at one moment.
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
    /// One line for the head of a page.
    pub fn line(&self) -> String {
        let pinned = self.pinned.map_or("not pinned".into(), |cpu| format!("pinned to CPU {cpu}"));
        format!(
            "{}, {} ({} cores), Linux {}, {}, {pinned}.",
            self.date, self.model, self.cores, self.kernel, self.libc
        )
    }

    /// The same as members of a JSON object.
    pub fn json(&self) -> String {
        format!(
            "  \"date\": {},\n  \"cpu\": {},\n  \"cores\": {},\n  \"kernel\": {},\n  \
             \"libc\": {},\n  \"pinned_to_cpu\": {}",
            quote(&self.date),
            quote(&self.model),
            self.cores,
            quote(&self.kernel),
            quote(&self.libc),
            or_null(self.pinned),
        )
    }
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
}
