//! Root of the host wants another history: what is done to the audit log, and what tells.
//!
//! Every attack is made on a copy of a log that the daemon wrote. `acgs audit verify` reads the whole of it and names
//! the record where it is found out; a start reads the end of it. What neither can tell without a checkpoint that was
//! kept elsewhere is shown both ways.

mod archive;
pub mod archiving;
mod case;
mod checkpoint;
mod disk_faults;
mod format;
mod keys;
mod kills;
mod many_records;
mod records;
mod rollback;
mod search_index;
mod tiles;
mod unsigned;
