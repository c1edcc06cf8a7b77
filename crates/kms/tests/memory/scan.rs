//! All memory of a process that can be read at all.

use std::fs;
use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::needles::Needles;

/// Every place of the process `pid` where a needle lies. Memory that nobody can read is fine.
pub(crate) fn memory(pid: u32, needles: &Needles, leave_out_locked: bool) -> Vec<String> {
    const PIECE: usize = 1 << 20;
    const OVERLAP: usize = 4096;
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut piece = vec![0; PIECE];
    let mut places = Vec::new();
    let mut scanned = 0;
    for region in regions(pid) {
        if region.constant || (leave_out_locked && region.undumped) {
            continue;
        }
        let mut at = region.start;
        while at < region.end {
            let len = PIECE.min(region.end - at);
            let Ok(read) = memory.read_at(&mut piece[..len], at as u64) else { break };
            scanned += read;
            places.extend(needles.places_in(&format!("{at:x} {}", region.name), &piece[..read]));
            at +=
                if read > OVERLAP && at + read < region.end { read - OVERLAP } else { read.max(1) };
        }
    }
    assert!(scanned > 1 << 20, "only {scanned} bytes of process {pid} could be read");
    places.sort();
    places.dedup();
    places
}

struct Region {
    start: usize,
    end: usize,
    name: String,
    /// Code and constants of a file: never written to.
    constant: bool,
    /// Not to stand in dumps: memory for secrets.
    undumped: bool,
}

fn regions(pid: u32) -> Vec<Region> {
    let mut regions: Vec<Region> = Vec::new();
    for line in fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap().lines() {
        let first = line.split(' ').next().unwrap();
        if let Some((start, end)) = first.split_once('-') {
            let [start, end] = [start, end].map(|hex| usize::from_str_radix(hex, 16).unwrap());
            // The page of the kernel's own at the top of memory is out of reach of offsets.
            if i64::try_from(end).is_ok() {
                let of_a_file = line.contains('/')
                    && line.split(' ').nth(1).is_some_and(|rights| !rights.contains('w'));
                let name = line.to_owned();
                regions.push(Region { start, end, name, constant: of_a_file, undumped: false });
            }
        } else if let (Some(flags), Some(region)) =
            (line.strip_prefix("VmFlags:"), regions.last_mut())
        {
            region.undumped = flags.split(' ').any(|flag| flag == "dd");
        }
    }
    regions
}
