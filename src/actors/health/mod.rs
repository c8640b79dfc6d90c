//! Watches over the disk, the files and the clock.

pub mod clock_monitor;
pub mod file_monitor;
pub mod watchdog;
