//! Who owns state and keeps order. What they do is in the layers below.

pub mod database;
mod mailbox;

pub use mailbox::Mailbox;
