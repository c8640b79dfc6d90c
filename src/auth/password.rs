//! Passwords, and the argon2id hashes that are kept of them.
