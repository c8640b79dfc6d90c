//! Several clients write to and ask several daemons at random, while servers fail; and what they saw is checked.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value as Json;

use crate::cells::{self, Shown};
use crate::checker::check;
use crate::harness::{Answer, Request, until};
use crate::history::{Acknowledged, Demand, History, Look, Moment, Stored, Token, Value, Write};
use crate::nodes::{Client, Fleet};
use crate::plan::{self, Progress};
use crate::{operations, seed};

const NODES: usize = 3;
const CLIENTS: usize = 6;
const USERS: usize = 3;
const CELLS: usize = 24;
/// These are written more often than the others, of which a change that was missed would be seen for long.
const HOT: usize = 8;

/// A daemon that does not know an acknowledged change of another one after this time has missed it, since it polls
/// several times a second. It is long because the machine may be busy.
const BOUND: Duration = Duration::from_secs(10);

/// What all clients share.
struct Run<'f> {
    fleet: &'f Fleet,
    began: Instant,
    progress: Progress,
    operations: u64,
    /// The last number given to a write of each cell.
    numbers: [AtomicU32; CELLS],
    /// The newest token given to any client, by version.
    newest: Mutex<Option<Token>>,
    seen: Mutex<History>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    verdicts: AtomicU32,
    unavailable: AtomicU32,
    refused: AtomicU32,
    lost: AtomicU32,
    lost_tokens: AtomicU32,
    unacknowledged: AtomicU32,
}

fn count(counter: &AtomicU32, more: usize) {
    counter.fetch_add(u32::try_from(more).unwrap(), Ordering::Relaxed);
}

impl Run<'_> {
    fn now(&self) -> Moment {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap()
    }
}

#[test]
fn no_verdict_is_older_than_it_may_be_whatever_fails() {
    let folder = tempfile::tempdir().unwrap();
    cells::constitution(folder.path());
    let fleet = Fleet::start(NODES, |nth, setup| {
        let setup = setup.constitution(folder.path());
        // One has hardly any cache of its own, so that it lives on the fleet's.
        if nth == 1 { setup.set("cache.l1.capacity", 8).set("cache.l3.capacity", 0) } else { setup }
    });
    let Some(fleet) = fleet else { return };
    record_what_is_stored(&fleet);
    let run = Run {
        fleet: &fleet,
        began: Instant::now(),
        progress: Progress::default(),
        operations: operations(20_000),
        numbers: [const { AtomicU32::new(0) }; CELLS],
        newest: Mutex::default(),
        seen: Mutex::default(),
        counts: Counts::default(),
    };
    let rounds = 1 + run.operations / 100_000;
    let begin = Barrier::new(CLIENTS + 1);
    let outages = thread::scope(|scope| {
        for nth in 0..CLIENTS {
            let (run, begin) = (&run, &begin);
            scope.spawn(move || {
                begin.wait();
                run.work(nth);
            });
        }
        begin.wait();
        let mut chance = StdRng::seed_from_u64(seed());
        plan::run(&fleet, &run.progress, &mut chance, (rounds, run.operations), || run.now())
    });
    let took = run.began.elapsed();
    let stored = stored(&fleet);
    all_know_in_the_end(&fleet, &stored);
    let history = History { stored, outages: outages.away, losses: outages.losses, ..run.seen.into_inner().unwrap() };
    let outcome = check(&history, BOUND);
    nothing_is_lost_from_the_logs(&fleet, &history);

    let (writes, looks) = (history.writes.len(), history.looks.len());
    println!("seed {}: {writes} writes and {looks} looks at cells in {took:.1?}: {:?}", seed(), run.counts);
    println!("Redis found {} of {}", fleet.redis.info("keyspace_hits"), fleet.redis.info("keyspace_misses"));
    for (what, late) in [("", &outcome.late.0), (" with an outage of the database between", &outcome.late.1)] {
        let at = |share: f64| percentile(late, share);
        println!(
            "from the acknowledgement to the last verdict elsewhere that did not know{what}: {} times, p50 {:.1?}, \
             p99 {:.1?}, at most {:.1?}",
            late.len(),
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }
    assert_eq!(outcome.broken, [].into(), "seed {}", seed());
}

fn percentile(sorted: &[Duration], share: f64) -> Duration {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place")]
    let place = (sorted.len().saturating_sub(1) as f64 * share) as usize;
    sorted.get(place).copied().unwrap_or_default()
}

impl Run<'_> {
    fn work(&self, nth: usize) {
        let mut chance = StdRng::seed_from_u64(seed() << 8 | nth as u64);
        let mut clients: Vec<Client> = (0..self.fleet.count()).map(|node| self.fleet.client(node)).collect();
        let mut seen = History::default();
        while self.progress.done() < self.operations {
            let node = chance.random_range(0..clients.len());
            let client = &mut clients[node];
            let done = if chance.random_bool(0.5) {
                let first = seen.writes.len();
                self.write(client, node, &mut chance, &mut seen);
                seen.writes.len() - first
            } else {
                self.look(client, node, &mut chance, &mut seen)
            };
            self.progress.add(done.max(1) as u64);
        }
        let mut all = self.seen.lock().unwrap();
        all.writes.append(&mut seen.writes);
        all.looks.append(&mut seen.looks);
    }

    fn write(&self, client: &mut Client, node: usize, chance: &mut StdRng, seen: &mut History) {
        let cells = if chance.random_bool(0.97) { 0..HOT } else { HOT..CELLS };
        let cell = chance.random_range(cells);
        let number = |cell: usize| {
            let number = self.numbers[cell].fetch_add(1, Ordering::Relaxed) + 1;
            Some(u16::try_from(number).unwrap())
        };
        let entity = |(cell, value): &(usize, Value)| cells::entity(*cell, (cell + 1) % CELLS, value.unwrap());
        let (values, request) = match chance.random_range(0..100) {
            0..5 => (vec![(cell, None)], Request::delete(&cells::path(cell))),
            5..25 => {
                let both = vec![(cell, number(cell)), ((cell + 1) % CELLS, number((cell + 1) % CELLS))];
                let body = both.iter().map(entity).collect::<Json>();
                (both, Request::post("/v1/entities/batch").json(&body))
            }
            _ => {
                let value = (cell, number(cell));
                let request = Request::put(&cells::path(cell)).json(&entity(&value));
                (vec![value], request)
            }
        };
        let begun = self.now();
        let answer = client.ask(&request);
        let at = self.now();
        let tokens = match &answer {
            // There was nothing to remove.
            Ok(answer) if answer.status == 404 => return,
            // The outcome is not known yet.
            Ok(answer) if answer.status == 202 => vec![None; values.len()],
            Ok(answer) if answer.status < 300 => tokens(answer, values.len()).into_iter().map(Some).collect(),
            Ok(answer) => {
                assert_eq!(answer.status, 503, "{answer}");
                vec![None; values.len()]
            }
            Err(_) => vec![None; values.len()],
        };
        let is_refused = answer.is_ok_and(|answer| answer.status == 503);
        for ((cell, value), token) in values.into_iter().zip(tokens) {
            match token {
                Some(token) => {
                    let mut newest = self.newest.lock().unwrap();
                    *newest = newest.max(Some(token));
                }
                None => count(&self.counts.unacknowledged, 1),
            }
            let acknowledged = token.map(|Token { version, nonce, .. }| Acknowledged { at, version, nonce });
            seen.writes.push(Write { node, cell, value, begun, acknowledged, is_refused });
        }
    }

    fn look(&self, client: &mut Client, node: usize, chance: &mut StdRng, seen: &mut History) -> usize {
        let questions: Vec<(usize, bool)> =
            (0..chance.random_range(1..48)).map(|_| (chance.random_range(0..CELLS), chance.random_bool(0.5))).collect();
        let demand = match chance.random_range(0..100) {
            0..10 => self.newest.lock().unwrap().map_or(Demand::Usual, Demand::AtLeast),
            10..13 => Demand::Full,
            _ => Demand::Usual,
        };
        let user = chance.random_range(0..USERS);
        let asked: Vec<Json> = questions.iter().map(|(cell, through)| cells::question(user, *cell, *through)).collect();
        let request = match demand {
            Demand::Usual => cells::ask(&asked),
            Demand::AtLeast(token) => cells::ask(&asked).header("X-Consistency", &format!("at-least {token}")),
            Demand::Full => cells::ask(&asked).header("X-Consistency", "full"),
        };
        let begun = self.now();
        let answer = client.ask(&request);
        let time = (begun, self.now());
        match answer {
            Ok(answer) if answer.status == 200 => {
                let shown = cells::shown(&answer);
                assert_eq!(shown.len(), questions.len());
                count(&self.counts.verdicts, shown.len());
                for ((cell, through), shown) in questions.into_iter().zip(shown) {
                    let Some(Shown { cell: value, linked }) = shown else {
                        count(&self.counts.unavailable, 1);
                        continue;
                    };
                    seen.looks.push(Look { node, demand, cell, value, time });
                    if let (true, Some(value)) = (through, linked) {
                        seen.looks.push(Look { node, demand, cell: (cell + 1) % CELLS, value, time });
                    }
                }
                return asked.len();
            }
            Ok(answer) => {
                // The token may be one that the database lost: the client continues without it.
                let is_lost = answer.status == 412;
                assert!(answer.status == 503 || (is_lost && matches!(demand, Demand::AtLeast(_))), "{answer}");
                count(if is_lost { &self.counts.lost_tokens } else { &self.counts.refused }, 1);
                if let (true, Demand::AtLeast(token)) = (is_lost, demand) {
                    self.newest.lock().unwrap().take_if(|newest| *newest == token);
                }
            }
            Err(_) => count(&self.counts.lost, 1),
        }
        1
    }
}

/// The tokens of a write.
fn tokens(answer: &Answer, count: usize) -> Vec<Token> {
    let token = Token::parse(answer.header("x-consistency-token").unwrap());
    if count == 1 {
        return vec![token];
    }
    let tag = |item: &Json| item["etag"].as_str().unwrap().trim_matches('"').parse::<i64>().unwrap();
    let versions: Vec<i64> = answer.json()["items"].as_array().unwrap().iter().map(tag).collect();
    assert_eq!((versions.len(), versions.iter().max()), (count, Some(&token.version)), "{answer}");
    versions.into_iter().map(|version| Token { version, ..token }).collect()
}

/// Has the database keep what every version of a cell was, in the same transaction.
fn record_what_is_stored(fleet: &Fleet) {
    fleet.sql(
        "CREATE TABLE was (version BIGINT PRIMARY KEY, nonce BIGINT NOT NULL, id TEXT NOT NULL, attrs TEXT);
         CREATE FUNCTION record() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO was SELECT NEW.version, NEW.nonce, NEW.id, (
                 SELECT attrs FROM entities WHERE type = NEW.type AND id = NEW.id AND version = NEW.version
             );
             RETURN NULL;
         END $$;
         CREATE TRIGGER record AFTER INSERT ON changes FOR EACH ROW WHEN (NEW.type = 'Cell') EXECUTE FUNCTION record();",
    );
}

fn stored(fleet: &Fleet) -> Vec<Stored> {
    let rows = fleet.sql("SELECT version, nonce, id, attrs FROM was ORDER BY version");
    let row = |row: &str| {
        let mut columns = row.splitn(4, '|');
        let mut number = || columns.next().unwrap().parse::<i64>().unwrap();
        let (version, nonce, cell) = (number(), number().cast_unsigned(), usize::try_from(number()).unwrap());
        let attrs = columns.next().unwrap();
        Stored { version, nonce, cell, value: (!attrs.is_empty()).then(|| cells::number_of(attrs)) }
    };
    rows.lines().map(row).collect()
}

/// Every change that a daemon acknowledged is in its log, and each log verifies.
fn nothing_is_lost_from_the_logs(fleet: &Fleet, history: &History) {
    for node in 0..fleet.count() {
        fleet.kill(node);
        fleet.verify_log(node);
        let recorded = fleet.recorded_changes(node);
        let recorded: std::collections::HashSet<u64> = recorded.iter().map(|text| Token::parse(text).nonce).collect();
        let acknowledged =
            history.writes.iter().filter(|write| write.node == node).filter_map(|write| write.acknowledged);
        let missing = acknowledged.filter(|answer| !recorded.contains(&answer.nonce)).count();
        assert_eq!(missing, 0, "node {node} acknowledged what is not in its log");
    }
}

/// When nothing is written any more, every daemon shows what is stored, without being told to look.
fn all_know_in_the_end(fleet: &Fleet, stored: &[Stored]) {
    let last = |cell| stored.iter().rev().find(|stored| stored.cell == cell).and_then(|stored| stored.value);
    let expected: Vec<Value> = (0..CELLS).map(last).collect();
    let questions = |user| (0..CELLS).map(move |cell| cells::question(user, cell, false)).collect::<Vec<Json>>();
    for node in 0..fleet.count() {
        for user in 0..USERS {
            let request = cells::ask(&questions(user));
            until("all is known", || {
                let shown = cells::shown(&fleet.ask(node, &request));
                let shown: Option<Vec<Value>> = shown.into_iter().map(|shown| Some(shown?.cell)).collect();
                shown.as_ref() == Some(&expected)
            });
        }
    }
}
