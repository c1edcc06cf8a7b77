//! The library from outside.

mod layers;
