//! Attacks on a whole home, each with the safe behaviour it meets.

mod access;
