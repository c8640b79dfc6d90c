//! The audit log: its queue, its only writer, its checkpoints, and its search index.

pub mod archiving;
pub mod change_recorder;
pub mod checkpoint_error;
pub mod checkpointer;
pub mod checkpoints;
pub mod committer;
pub mod denial_sampler;
pub mod entity_recorder;
pub mod index_batch;
pub mod index_entry;
pub mod index_status;
pub mod indexer;
pub mod journal;
pub mod log_health;
pub mod log_size;
pub mod logger;
pub mod pacer;
pub mod queue;
pub mod reader;
pub mod rollback;
pub mod searcher;
#[cfg(test)]
pub(super) mod testing;
pub mod witnesses;
