//! The clock on the wall.

use std::mem::MaybeUninit;

/// Hour, minute and second in the time zone of the user. Zeros if the C library can't tell.
pub fn time_of_day() -> (i32, i32, i32) {
    let mut broken = MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: `time` takes NULL, and `localtime_r` two pointers to memory that lives through the call. The environment,
    // which names the zone, is not changed by any thread.
    unsafe {
        let now = libc::time(std::ptr::null_mut());
        libc::localtime_r(&raw const now, broken.as_mut_ptr());
    }
    // SAFETY: a `tm` of zeros is valid, and the call has only written to it.
    let broken = unsafe { broken.assume_init() };
    (broken.tm_hour, broken.tm_min, broken.tm_sec)
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_a_time() {
        let (hour, minute, second) = super::time_of_day();
        assert!((0..24).contains(&hour) && (0..60).contains(&minute) && (0..=60).contains(&second));
    }
}
