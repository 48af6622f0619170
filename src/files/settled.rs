//! Whether the times of a file are reliable.

use super::limits::SETTLED;
use crate::sys::Stat;
use std::time::{SystemTime, UNIX_EPOCH};

/// Whether every later change of a file or folder is sure to show in stat(2).
pub(super) fn is_settled(stat: &Stat) -> bool {
    u64::try_from(stat.ctime.0).unwrap_or(0).saturating_add(SETTLED.as_secs()) <= unix_now()
}

/// The time in Unix seconds.
pub(super) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}
