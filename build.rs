//! Rebuilds when a migration is added: `embed_migrations!` notices only changes of the files that it has seen.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
