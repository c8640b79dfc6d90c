//! Metrics of the process, with the names that Prometheus' client libraries use.

use std::fs;

use rustix::process::{Resource, getrlimit};

use super::exposition::Family;

/// What the system says about this process; `None` where it says nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ProcessStat {
    /// User and system CPU time spent, in seconds.
    pub cpu_s: Option<f64>,
    /// Resident memory, in bytes.
    pub resident_bytes: Option<f64>,
    /// Open file descriptors.
    pub open_files: Option<f64>,
    virtual_bytes: Option<f64>,
    threads: Option<f64>,
    /// In seconds after the boot of the host.
    started_s: Option<f64>,
}

impl ProcessStat {
    /// The present state.
    #[must_use]
    pub fn now() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The second field, a name in parentheses, may contain spaces; `fields` begins with the third.
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        #[expect(clippy::cast_precision_loss, reason = "these numbers are small")]
        let (ticks, page) = (rustix::param::clock_ticks_per_second() as f64, rustix::param::page_size() as f64);
        let open = fs::read_dir("/proc/self/fd").ok().map(Iterator::count);
        Self {
            cpu_s: field(14).zip(field(15)).map(|(user, system)| (user + system) / ticks),
            resident_bytes: field(24).map(|pages| pages * page),
            open_files: open.and_then(|open| u32::try_from(open).ok()).map(f64::from),
            virtual_bytes: field(23),
            threads: field(20),
            started_s: field(22).map(|since_boot| since_boot / ticks),
        }
    }
}

/// The metrics of this process; those that the system does not tell are left out.
#[must_use]
pub fn families() -> Vec<Family> {
    let stat = ProcessStat::now();
    let started = stat.started_s.zip(boot_time()).map(|(since_boot, boot)| boot + since_boot);
    [
        stat.cpu_s.map(|cpu| {
            let help = "User and system CPU time spent, in seconds.";
            Family::counter("process_cpu_seconds", help, [(Vec::new(), cpu)])
        }),
        value("process_resident_memory_bytes", "Resident memory, in bytes.", stat.resident_bytes),
        value("process_virtual_memory_bytes", "Virtual memory, in bytes.", stat.virtual_bytes),
        value("process_open_fds", "Open file descriptors.", stat.open_files),
        value("process_max_fds", "The limit on open file descriptors.", max_files()),
        value("process_threads", "Threads.", stat.threads),
        value("process_start_time_seconds", "When the process started, in seconds since 1970.", started),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn value(name: &'static str, help: &'static str, value: Option<f64>) -> Option<Family> {
    value.map(|value| Family::value(name, help, value))
}

/// When the host booted, in seconds since 1970.
fn boot_time() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

fn max_files() -> Option<f64> {
    let limit = getrlimit(Resource::Nofile).current?;
    #[expect(clippy::cast_precision_loss, reason = "no host has that many files")]
    let limit = limit as f64;
    Some(limit)
}

#[cfg(test)]
mod tests {
    use super::super::exposition::{Format, render};
    use super::*;

    #[test]
    fn the_process_is_described() {
        let text = render(families(), Format::Prometheus).unwrap();
        let value = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
        };
        assert!(value("process_resident_memory_bytes") > 1e6 && value("process_open_fds") >= 3.0, "{text}");
        assert!(value("process_cpu_seconds_total") >= 0.0 && value("process_threads") >= 1.0);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        let started = value("process_start_time_seconds");
        assert!((now - 3_600.0..=now + 2.0).contains(&started), "{started} at {now}");
        assert!(value("process_max_fds") >= value("process_open_fds"));
        assert!(value("process_virtual_memory_bytes") >= value("process_resident_memory_bytes"));
    }
}
