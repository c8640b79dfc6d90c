//! The `acgs` binary.

fn main() {}
