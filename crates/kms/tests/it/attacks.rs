//! Attacks on a whole home, each with the safe behaviour it meets.

mod access;
mod clock;
mod crash;
mod disk;
mod files;
mod log;
mod race;
mod secrets;
mod signing;
