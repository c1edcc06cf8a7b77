//! The room as its callers see it. Attacks carry the number of the product's attack list.

mod attacks;
mod authority;
mod home;
mod steps;
