//! The `acgs` binary.

use std::process::ExitCode;

/// Small allocations on every request; this one is measured to be faster at them than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    acgs::cli::run()
}
