//! Counts instructions with Valgrind: those of some repetitions less those of fewer, so that the preparation of an
//! operation does not count.

use std::env;
use std::error::Error;
use std::process::Command;

/// The argument with which this program repeats an operation, under Valgrind.
pub const REPEAT: &str = "repeat";
/// The argument with which it tells what processor it sees there.
pub const PROCESSOR: &str = "processor";

/// Instructions of one repetition of an operation, on average over `times`.
pub fn instructions(operation: &str, times: u64) -> Result<u64, Box<dyn Error>> {
    let few = total(operation, times / 10)?;
    let many = total(operation, times / 10 + times)?;
    Ok(many.saturating_sub(few) / times)
}

/// The processor as programs under Valgrind see it.
pub fn processor() -> Result<Vec<String>, Box<dyn Error>> {
    let ran = Command::new("valgrind").args(["--tool=none", "-q"]).arg(env::current_exe()?).arg(PROCESSOR).output()?;
    Ok(String::from_utf8(ran.stdout)?.split_whitespace().map(ToOwned::to_owned).collect())
}

/// The processor as this process sees it.
pub fn own_processor() -> Vec<&'static str> {
    let mut found = vec![env::consts::ARCH];
    #[cfg(target_arch = "x86_64")]
    {
        macro_rules! extensions {
            ($($name:tt)*) => { [$(($name, is_x86_feature_detected!($name))),*] };
        }
        let known =
            extensions!("adx" "aes" "avx" "avx2" "avx512f" "bmi1" "bmi2" "pclmulqdq" "sha" "sse4.1" "sse4.2" "ssse3");
        found.extend(known.into_iter().filter_map(|(name, is_there)| is_there.then_some(name)));
    }
    found
}

/// Instructions of a process that prepares an operation and repeats it.
fn total(operation: &str, times: u64) -> Result<u64, Box<dyn Error>> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]);
    valgrind.arg(env::current_exe()?).args([REPEAT, operation, &times.to_string()]);
    let ran = valgrind.output().map_err(|cause| format!("valgrind cannot be run: {cause}; install it"))?;
    let printed = String::from_utf8_lossy(&ran.stderr);
    if !ran.status.success() {
        return Err(format!("`{operation}` failed under valgrind: {printed}").into());
    }
    let count =
        printed.lines().find_map(|line| line.split_once("refs:")).map(|(_, count)| count.trim().replace(',', ""));
    let count = count.ok_or_else(|| format!("valgrind printed no count of instructions: {printed}"))?;
    Ok(count.parse()?)
}
