//! What daemons with all their caches answer is what one without any answers, over the same stored entities.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::thread;
use std::time::Instant;

use acgs::domain::EntityUid;
use serde_json::{Value, json};

use crate::archive::{self, Chance, Write};
use crate::harness::{Answer, Request};
use crate::history::Token;
use crate::nodes::{Client, Fleet};
use crate::{operations, seed};

/// Daemons with caches; one more has none.
const CACHED: usize = 2;
const CLIENTS: u64 = 4;
/// So many different questions are asked again and again.
const QUESTIONS: usize = 600;
const BATCH: usize = 100;

#[test]
fn an_answer_of_the_caches_is_that_of_a_daemon_without_any() {
    let fleet = Fleet::start(CACHED + 1, |nth, setup| {
        let setup = setup.constitution(&archive::constitution());
        let off = |setup: crate::harness::Setup| setup.set("cache.l1.capacity", 0).set("cache.l3.capacity", 0);
        match nth {
            CACHED => off(setup).set("cache.l2.url", ""),
            // It throws out all the time, so that it has to ask the fleet.
            0 => setup.set("cache.l1.capacity", 50).set("cache.l3.capacity", 16),
            _ => setup,
        }
    });
    let Some(fleet) = fleet else { return };
    let mut chance = Chance::new(seed());
    let question = |_| serde_json::from_str(&format!("{{{}}}", chance.question().canonical())).unwrap();
    let pool: Arc<[Value]> = (0..QUESTIONS).map(question).collect();
    // The token of the newest write. Who compares keeps writers out.
    let newest = RwLock::new(None::<Token>);
    let (compared, permitted, total) = (AtomicU64::new(0), AtomicU64::new(0), operations(10_000));
    let began = Instant::now();
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (fleet, newest, pool, compared, permitted) = (&fleet, &newest, &pool, &compared, &permitted);
            scope.spawn(move || {
                let mut chance = Chance::new(seed() << 8 | client);
                let mut clients: Vec<Client> = (0..=CACHED).map(|node| fleet.client(node)).collect();
                while compared.load(Ordering::Relaxed) < total {
                    if chance.in_ten(2) {
                        let node = chance.below(clients.len());
                        let mut newest = newest.write().unwrap();
                        *newest = write(&mut clients[node], &chance.write()).or(*newest);
                    }
                    let newest = newest.read().unwrap();
                    let batch: Vec<&Value> = (0..BATCH).map(|_| &pool[chance.below(pool.len())]).collect();
                    let semantic = ["execute_all", "execute_all", "deny_on_first_deny", "permit_on_first_permit"];
                    let options = json!({"evaluations_semantic": semantic[chance.below(semantic.len())]});
                    let body = json!({"evaluations": batch, "options": options});
                    let request = Request::post("/access/v1/evaluations").header("Prefer", "return=representation");
                    let request = request.json(&body);
                    let at_least = match *newest {
                        Some(newest) => request.clone().header("X-Consistency", &format!("at-least {newest}")),
                        None => request.clone(),
                    };
                    let cached = decisions(&clients[chance.below(CACHED)].ask(&at_least).unwrap());
                    let fresh = clients[CACHED].ask(&request.header("X-Consistency", "full")).unwrap();
                    let fresh = decisions(&fresh);
                    assert_eq!(cached, fresh, "seed {}, as of {newest:?}: {body}", seed());
                    permitted.fetch_add(
                        fresh.iter().filter(|one| one["decision"] == true).count() as u64,
                        Ordering::Relaxed,
                    );
                    compared.fetch_add(fresh.len() as u64, Ordering::Relaxed);
                }
            });
        }
    });
    let (compared, permitted) = (compared.into_inner(), permitted.into_inner());
    let (hits, misses) = (fleet.redis.info("keyspace_hits"), fleet.redis.info("keyspace_misses"));
    println!("seed {}: {compared} decisions compared in {:.1?}, of which {permitted} permit", seed(), began.elapsed());
    println!(
        "{} writes; Redis had {hits} verdicts, and {misses} not",
        newest.into_inner().unwrap().map_or(0, |newest| newest.version)
    );
    assert!(permitted > compared / 100, "hardly anything was permitted");
}

/// Writes, and answers the token; none where there was nothing to remove.
fn write(client: &mut Client, write: &Write) -> Option<Token> {
    let path = |uid: &EntityUid| format!("/v1/entities/{}/{}", uid.kind, uid.id);
    let request = match write {
        Write::Remove(uid) => Request::delete(&path(uid)),
        Write::Put(entities) => match &entities[..] {
            [one] => Request::put(&path(&one.uid)).json(&json!(one)),
            many => Request::post("/v1/entities/batch").json(&json!(many)),
        },
    };
    let answer = client.ask(&request).unwrap();
    if answer.status == 404 {
        return None;
    }
    assert!(answer.status < 300, "{answer}");
    Some(Token::parse(answer.header("x-consistency-token").unwrap()))
}

/// What was decided, without what each answer has of its own.
fn decisions(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{answer}");
    let mut decisions = answer.json()["evaluations"].as_array().unwrap().clone();
    for context in decisions.iter_mut().filter_map(|decision| decision["context"].as_object_mut()) {
        assert!(context.remove("id").is_some() && context.remove("audit_index").is_some());
    }
    decisions
}
