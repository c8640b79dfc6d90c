//! What a token says, checked against what is expected of it.
