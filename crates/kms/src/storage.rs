//! storage

mod error;
mod software;

pub use error::Fault;
pub use error::Refused;
pub use error::StorageError;
pub use software::run_self_tests;
pub use software::self_test_state;
pub use software::verify;
pub use software::verify_der;
