//! Idle priority for threads that follow the log, in favour of the threads that serve decisions.

use thread_priority::{
    NormalThreadSchedulePolicy, ThreadId, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id,
};

/// Lets this thread run only where a processor has nothing else to do: `SCHED_IDLE`, see sched(7).
///
/// A processor that runs such a thread counts as free, so a worker that wakes up is put there and runs at once. The
/// daemon's other threads wait for the disk often enough that this one gets its share however much is asked. Beside
/// other programs that use every processor it gets hardly any, so debug builds do without, for tests on busy machines.
pub(super) fn set_idle_priority() {
    set_idle_priority_of(thread_native_id());
}

/// The same for another thread, which must not have ended.
pub(super) fn set_idle_priority_of(thread: ThreadId) {
    if cfg!(all(debug_assertions, not(test))) {
        return;
    }
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let outcome = set_thread_priority_and_policy(thread, ThreadPriority::Min, idle);
    // Priority matters only under load; a system that refuses to set it is no reason to stop.
    if let Err(error) = outcome {
        tracing::debug!(?error, "a thread in the background runs with normal priority");
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::thread::JoinHandleExt as _;

    use thread_priority::thread_schedule_policy;

    use super::*;

    #[test]
    fn a_thread_in_the_background_runs_where_nothing_else_does() {
        let policy = std::thread::spawn(|| {
            set_idle_priority();
            thread_schedule_policy().unwrap()
        });
        assert_eq!(policy.join().unwrap(), ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle));
    }

    #[test]
    fn a_thread_is_made_one_of_the_background_by_another() {
        let (go_on, told) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            told.recv().unwrap_err();
            thread_schedule_policy().unwrap()
        });
        set_idle_priority_of(thread.as_pthread_t());
        drop(go_on);
        assert_eq!(thread.join().unwrap(), ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle));
    }
}
