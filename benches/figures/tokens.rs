//! What it costs to know who is calling.

use tempfile::TempDir;

use crate::closed_loop::{self, Requests, median};
use crate::daemon::{Daemon, scratch};
use crate::open_loop::{self, Target};
use crate::rows::{spread, warm};
use crate::{Effort, Outcome, bundles};

/// Decisions that need a token against decisions that are open, in turn; and introspection at a constant rate.
pub fn tokens(effort: Effort) -> Outcome {
    let bundle = bundles::write(3, 0)?;
    let open = Daemon::start(bundle.path())?;
    let data = TempDir::new_in(scratch())?;
    let closed = Daemon::start_with(data, bundle.path(), &[("ACGS_AUTH__DECISIONS", "token")])?;
    let token = closed.token("agent")?;
    warm(&open)?;
    closed_loop::run_as(&token, closed.address(), Requests::Distinct, 64, 2)?;
    for (requests, connections) in [(Requests::Same, 64), (Requests::Distinct, 64), (Requests::Same, 16)] {
        let (mut shares, mut rates) = (Vec::new(), Vec::new());
        for _ in 0..effort.rounds {
            let one = closed_loop::run(open.address(), requests, connections, effort.seconds)?;
            let other = closed_loop::run_as(&token, closed.address(), requests, connections, effort.seconds)?;
            shares.push(other.rate / one.rate);
            rates.push((one.rate, other.rate));
        }
        let open = median(rates.iter().map(|(open, _)| *open).collect());
        let closed = median(rates.iter().map(|(_, closed)| *closed).collect());
        let name = requests.name();
        println!(
            "{name}, {connections} connections: open {open:.0}/s, token {closed:.0}/s, share {}",
            spread(&shares, "")
        );
    }
    let address = closed.address();
    let head = format!(
        "POST /oauth2/introspect HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Authorization: Bearer {token}\r\n"
    );
    let target = Target { address, head };
    for _ in 0..effort.rounds {
        let run = open_loop::run(&target, 1_000, effort.open_loop(), |_| format!("token={token}"))?;
        println!("introspection, 1000/s: {}", run.latencies);
    }
    Ok(())
}
