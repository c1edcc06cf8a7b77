//! The worker alone, for the tests beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    let _ = kms_secret::protect_process(); // as the product's binary does first of all
    kms_pkcs11::worker_main()
}
