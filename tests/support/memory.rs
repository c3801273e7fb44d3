//! What this process weighs, as the system sees it.

use std::fs;

/// Resident memory now, in bytes.
pub(crate) fn resident_memory() -> u64 {
    field("VmRSS:")
}

/// The most that was resident since the start or since [`forget_peak`], in bytes.
pub(crate) fn peak_memory() -> u64 {
    field("VmHWM:")
}

/// Lets [`peak_memory`] begin anew.
pub(crate) fn forget_peak() {
    // 5 resets the high-water mark (proc(5)).
    fs::write("/proc/self/clear_refs", "5").expect("the kernel can forget the peak");
}

fn field(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {status}"));
    let kib = line[name.len()..].trim().trim_end_matches(" kB").trim();
    kib.parse::<u64>().unwrap_or_else(|_| panic!("'{line}' has a number")) << 10
}
