//! Tests of the authenticator.

use super::*;

mod cost;
mod rotation;
