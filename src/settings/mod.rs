//! Settings: TOML and environment into checked structs.
