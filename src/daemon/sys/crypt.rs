//! crypt(3).

use std::ffi::{CStr, CString, c_char};
use std::sync::{Mutex, PoisonError};

// musl has it in libc itself; glibc in a library of its own.
#[cfg_attr(target_env = "gnu", link(name = "crypt"))]
unsafe extern "C" {
    fn crypt(key: *const c_char, salt: *const c_char) -> *mut c_char;
}

/// The C library's hash of `key` by the scheme and the salt in `salt`, which may be a hash itself.
///
/// `None` if the library refuses: it returns NULL, or text that is not a hash, such as `*0`.
pub fn hash(key: &CStr, salt: &CStr) -> Option<CString> {
    // The result lies in memory that the next call overwrites.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: both texts end in NUL and live through the call, and the lock keeps other calls away.
    let result = unsafe { crypt(key.as_ptr(), salt.as_ptr()) };
    if result.is_null() {
        return None;
    }
    // SAFETY: crypt answers NULL or a text that ends in NUL and stays until the next call: the lock is still held.
    let result = unsafe { CStr::from_ptr(result) };
    result.to_bytes().starts_with(b"$").then(|| result.to_owned())
}
