//! What a crash leaves in a home, and what the next start makes of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::home::Home;

#[test]
fn next_start_removes_what_writes_cut_off_left_behind() {
    let home = Home::development();
    let parts = ["", "state", "keystore", "keystore/orphans", "audit"];
    let left = parts.map(|part| home.path().join(part).join(".tmp-0123456789abcdef"));
    for file in &left {
        fs::write(file, "half a file").unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    home.open().unwrap().close().unwrap();
    let remaining = left.iter().filter(|file| file.exists());
    assert_eq!(remaining.count(), 0);
}
