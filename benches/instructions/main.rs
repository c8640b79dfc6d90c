//! Counts the instructions of what each decision does, and compares them with `benches/baseline.json`: unlike times,
//! they depend neither on the machine's speed nor on what else it does.
//!
//! `cargo bench --bench instructions` exits with 1 if anything takes over 8 % more instructions than in the baseline.
//! `cargo bench --bench instructions -- --save` writes the baseline: for a change that is worth its cost, or that made
//! something cheaper. Needs `valgrind`. Counts are of one compiler, and of processors with the same extensions, by which
//! libraries choose their code: with others, it says so and compares nothing.

#[path = "../figures/bundles.rs"]
mod bundles;
mod counting;
mod operations;

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

use serde::{Deserialize, Serialize};

use operations::OPERATIONS;

/// By how many percent a count may exceed that of the baseline: random seeds of hash maps, and how the compiler divides
/// the crate, change it by less.
const TOLERANCE_PERCENT: f64 = 8.0;

/// What was counted before, and under which conditions.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Baseline {
    /// The compiler, as `rustc --version` prints it.
    compiler: String,
    /// The processor's architecture, and those of its extensions that Valgrind lets programs use.
    processor: Vec<String>,
    /// Instructions of one operation, by its name.
    instructions: BTreeMap<String, u64>,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    // Cargo adds `--bench` to what the caller says.
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => compare(&count()?),
        ["--save"] => {
            let text = serde_json::to_string_pretty(&count()?)? + "\n";
            fs::write(baseline_path(), text)?;
            Ok(ExitCode::SUCCESS)
        }
        [counting::PROCESSOR] => {
            println!("{}", counting::own_processor().join(" "));
            Ok(ExitCode::SUCCESS)
        }
        [counting::REPEAT, name, times] => {
            operations::repeat(name, times.parse()?)?;
            Ok(ExitCode::SUCCESS)
        }
        _ => Err("usage: cargo bench --bench instructions [-- --save]".into()),
    }
}

fn baseline_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/baseline.json")
}

/// Counts the instructions of every operation.
fn count() -> Result<Baseline, Box<dyn Error>> {
    let mut instructions = BTreeMap::new();
    for operation in OPERATIONS {
        let counted = counting::instructions(operation.name, operation.times)?;
        println!("{:9} {:48} {counted:>10} instructions", operation.name, operation.what);
        instructions.insert(operation.name.to_owned(), counted);
    }
    let compiler = Command::new("rustc").arg("--version").output()?;
    let compiler = String::from_utf8(compiler.stdout)?.trim().to_owned();
    Ok(Baseline { compiler, processor: counting::processor()?, instructions })
}

/// Compares with the baseline, and says what differs.
fn compare(counted: &Baseline) -> Result<ExitCode, Box<dyn Error>> {
    let baseline: Baseline = serde_json::from_str(&fs::read_to_string(baseline_path())?)?;
    if baseline.compiler != counted.compiler {
        return Err(format!(
            "the baseline is of {}, this is {}: save one with this compiler from what the baseline was made from",
            baseline.compiler, counted.compiler
        )
        .into());
    }
    if baseline.processor != counted.processor {
        eprintln!(
            "NOT COMPARED: the baseline is of a processor with `{}`, this one has `{}`",
            baseline.processor.join(" "),
            counted.processor.join(" ")
        );
        return Ok(ExitCode::SUCCESS);
    }
    if !baseline.instructions.keys().eq(counted.instructions.keys()) {
        return Err("the baseline has other operations than are counted: save a new one".into());
    }
    let mut outcome = ExitCode::SUCCESS;
    for ((name, was), is) in baseline.instructions.iter().zip(counted.instructions.values()) {
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let change = (*is as f64 / *was as f64 - 1.0) * 100.0;
        println!("{name}: {is}, in the baseline {was}: {change:+.2} %");
        if change > TOLERANCE_PERCENT {
            eprintln!(
                "`{name}` takes {change:.1} % more instructions than in benches/baseline.json: make it cheaper, or, if \
                 it is worth its cost, save a new baseline (cargo bench --bench instructions -- --save)"
            );
            outcome = ExitCode::FAILURE;
        } else if change < -TOLERANCE_PERCENT {
            eprintln!("`{name}` became cheaper: save a new baseline, so that this is kept");
        }
    }
    Ok(outcome)
}
