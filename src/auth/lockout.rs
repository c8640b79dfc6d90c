//! How long those wait who guess passwords.
