//! A PKCS#11 module that stands between a program and a real module and makes it fail on demand.
//!
//! `PKCS11_FAULT_MODULE` names the real module, `PKCS11_FAULT_SCRIPT` a file with lines of
//!
//! ```text
//! FUNCTION WHICH ACTION [ARGUMENT]
//!
//! FUNCTION   C_Sign, …, or * for every call
//! WHICH      7, 3-12, or *: the calls of that function (or of all), counted from 1
//! ACTION     error 0x32     the call is not made, this is returned
//!            after 0x32     the call is made, and this is returned all the same
//!            delay 500      the call is made after so many milliseconds
//!            hang           nothing is ever returned
//!            crash          the process ends
//!            corrupt        C_Sign: one bit of the signature is turned
//!            other-key      C_SignInit: another private key is used
//! ```
//!
//! The file is read at each call, so that a test can change its mind. Calls are counted beside it, in
//! files that outlive the process: the n-th call is the n-th also when the module was loaded anew.

mod script;

use std::ffi::c_void;
use std::ptr;
use std::sync::OnceLock;

use cryptoki_sys as sys;
use libloading::Library;
use libloading::Symbol;

use crate::script::Action;
use crate::script::fault_at;

/// The module behind this one.
struct Real {
    list: sys::CK_FUNCTION_LIST,
    _library: Library,
}

static REAL: OnceLock<Real> = OnceLock::new();
static OURS: OnceLock<Table> = OnceLock::new();

/// The table that is handed out.
struct Table(sys::CK_FUNCTION_LIST);

// SAFETY: a table of function pointers, written once.
unsafe impl Sync for Table {}
// SAFETY: the same.
unsafe impl Send for Table {}
// SAFETY: the same, and a library that is never unloaded.
unsafe impl Sync for Real {}
// SAFETY: the same.
unsafe impl Send for Real {}

/// Passes a call on, or does what the script says instead; `$changed` may change its arguments before
/// and its results after.
macro_rules! through {
    ($($name:ident($($arg:ident: $type:ty),*);)+) => {
        $(
            #[expect(non_snake_case, reason = "the name in the standard")]
            unsafe extern "C" fn $name($($arg: $type),*) -> sys::CK_RV {
                let action = match before(stringify!($name)) {
                    Ok(action) => action,
                    Err(value) => return value,
                };
                let Some(real) = REAL.get().and_then(|real| real.list.$name) else {
                    return sys::CKR_FUNCTION_NOT_SUPPORTED;
                };
                // SAFETY: the caller's arguments, as the caller gave them.
                let value = unsafe { real($($arg),*) };
                after(action, value)
            }
        )+
    };
}

through! {
    C_Initialize(args: *mut c_void);
    C_Finalize(reserved: *mut c_void);
    C_GetInfo(info: *mut sys::CK_INFO);
    C_GetSlotList(present: sys::CK_BBOOL, list: *mut sys::CK_SLOT_ID, count: *mut sys::CK_ULONG);
    C_GetTokenInfo(slot: sys::CK_SLOT_ID, info: *mut sys::CK_TOKEN_INFO);
    C_GetMechanismList(slot: sys::CK_SLOT_ID, list: *mut sys::CK_MECHANISM_TYPE, count: *mut sys::CK_ULONG);
    C_GetMechanismInfo(slot: sys::CK_SLOT_ID, kind: sys::CK_MECHANISM_TYPE, info: *mut sys::CK_MECHANISM_INFO);
    C_OpenSession(slot: sys::CK_SLOT_ID, flags: sys::CK_FLAGS, app: *mut c_void, notify: sys::CK_NOTIFY, session: *mut sys::CK_SESSION_HANDLE);
    C_CloseSession(session: sys::CK_SESSION_HANDLE);
    C_Login(session: sys::CK_SESSION_HANDLE, user: sys::CK_USER_TYPE, pin: *mut sys::CK_UTF8CHAR, length: sys::CK_ULONG);
    C_FindObjectsInit(session: sys::CK_SESSION_HANDLE, template: *mut sys::CK_ATTRIBUTE, count: sys::CK_ULONG);
    C_FindObjects(session: sys::CK_SESSION_HANDLE, found: *mut sys::CK_OBJECT_HANDLE, most: sys::CK_ULONG, count: *mut sys::CK_ULONG);
    C_FindObjectsFinal(session: sys::CK_SESSION_HANDLE);
    C_GetAttributeValue(session: sys::CK_SESSION_HANDLE, object: sys::CK_OBJECT_HANDLE, template: *mut sys::CK_ATTRIBUTE, count: sys::CK_ULONG);
    C_CreateObject(session: sys::CK_SESSION_HANDLE, template: *mut sys::CK_ATTRIBUTE, count: sys::CK_ULONG, object: *mut sys::CK_OBJECT_HANDLE);
    C_DestroyObject(session: sys::CK_SESSION_HANDLE, object: sys::CK_OBJECT_HANDLE);
    C_GenerateKeyPair(session: sys::CK_SESSION_HANDLE, how: *mut sys::CK_MECHANISM, public: *mut sys::CK_ATTRIBUTE, publics: sys::CK_ULONG, private: *mut sys::CK_ATTRIBUTE, privates: sys::CK_ULONG, public_key: *mut sys::CK_OBJECT_HANDLE, private_key: *mut sys::CK_OBJECT_HANDLE);
    C_DecryptInit(session: sys::CK_SESSION_HANDLE, how: *mut sys::CK_MECHANISM, key: sys::CK_OBJECT_HANDLE);
    C_Decrypt(session: sys::CK_SESSION_HANDLE, data: *mut sys::CK_BYTE, length: sys::CK_ULONG, out: *mut sys::CK_BYTE, out_length: *mut sys::CK_ULONG);
}

#[expect(non_snake_case, reason = "the name in the standard")]
unsafe extern "C" fn C_SignInit(
    session: sys::CK_SESSION_HANDLE,
    how: *mut sys::CK_MECHANISM,
    key: sys::CK_OBJECT_HANDLE,
) -> sys::CK_RV {
    let action = match before("C_SignInit") {
        Ok(action) => action,
        Err(value) => return value,
    };
    let Some(real) = REAL.get() else { return sys::CKR_CRYPTOKI_NOT_INITIALIZED };
    let key = match action {
        Some(Action::OtherKey) => other_key(real, session, key).unwrap_or(key),
        _ => key,
    };
    let Some(call) = real.list.C_SignInit else { return sys::CKR_FUNCTION_NOT_SUPPORTED };
    // SAFETY: the caller's arguments, but for the key, which is a handle of the same session.
    let value = unsafe { call(session, how, key) };
    after(action, value)
}

#[expect(non_snake_case, reason = "the name in the standard")]
unsafe extern "C" fn C_Sign(
    session: sys::CK_SESSION_HANDLE,
    data: *mut sys::CK_BYTE,
    length: sys::CK_ULONG,
    out: *mut sys::CK_BYTE,
    out_length: *mut sys::CK_ULONG,
) -> sys::CK_RV {
    let action = match before("C_Sign") {
        Ok(action) => action,
        Err(value) => return value,
    };
    let Some(call) = REAL.get().and_then(|real| real.list.C_Sign) else {
        return sys::CKR_FUNCTION_NOT_SUPPORTED;
    };
    // SAFETY: the caller's arguments, as the caller gave them.
    let value = unsafe { call(session, data, length, out, out_length) };
    if matches!(action, Some(Action::Corrupt)) && value == sys::CKR_OK && !out.is_null() {
        // SAFETY: the module has just written a signature of at least one byte there.
        unsafe { *out ^= 1 };
    }
    after(action, value)
}

/// Gives the table out, which is the real one with the calls above in it.
///
/// # Safety
/// As the standard says: `list` is where a pointer can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn C_GetFunctionList(list: *mut *mut sys::CK_FUNCTION_LIST) -> sys::CK_RV {
    let Some(real) = real() else { return sys::CKR_GENERAL_ERROR };
    let ours = OURS.get_or_init(|| Table(with_ours(real.list)));
    // SAFETY: the caller's pointer; the table lives for ever.
    unsafe { *list = ptr::from_ref(&ours.0).cast_mut() };
    sys::CKR_OK
}

fn with_ours(real: sys::CK_FUNCTION_LIST) -> sys::CK_FUNCTION_LIST {
    sys::CK_FUNCTION_LIST {
        C_Initialize: Some(C_Initialize),
        C_Finalize: Some(C_Finalize),
        C_GetInfo: Some(C_GetInfo),
        C_GetFunctionList: Some(C_GetFunctionList),
        C_GetSlotList: Some(C_GetSlotList),
        C_GetTokenInfo: Some(C_GetTokenInfo),
        C_GetMechanismList: Some(C_GetMechanismList),
        C_GetMechanismInfo: Some(C_GetMechanismInfo),
        C_OpenSession: Some(C_OpenSession),
        C_CloseSession: Some(C_CloseSession),
        C_Login: Some(C_Login),
        C_FindObjectsInit: Some(C_FindObjectsInit),
        C_FindObjects: Some(C_FindObjects),
        C_FindObjectsFinal: Some(C_FindObjectsFinal),
        C_GetAttributeValue: Some(C_GetAttributeValue),
        C_CreateObject: Some(C_CreateObject),
        C_DestroyObject: Some(C_DestroyObject),
        C_GenerateKeyPair: Some(C_GenerateKeyPair),
        C_DecryptInit: Some(C_DecryptInit),
        C_Decrypt: Some(C_Decrypt),
        C_SignInit: Some(C_SignInit),
        C_Sign: Some(C_Sign),
        ..real
    }
}

fn real() -> Option<&'static Real> {
    if let Some(real) = REAL.get() {
        return Some(real);
    }
    let path = std::env::var_os("PKCS11_FAULT_MODULE")?;
    // SAFETY: a PKCS#11 module that the test names; it is never unloaded.
    let library = unsafe { Library::new(path) }.ok()?;
    let list = {
        // SAFETY: the symbol has this type in every PKCS#11 module.
        let get: Symbol<'_, unsafe extern "C" fn(*mut *mut sys::CK_FUNCTION_LIST) -> sys::CK_RV> =
            unsafe { library.get(b"C_GetFunctionList") }.ok()?;
        let mut list = ptr::null_mut();
        // SAFETY: `list` is where a pointer can be written.
        if unsafe { get(&raw mut list) } != sys::CKR_OK || list.is_null() {
            return None;
        }
        // SAFETY: the module wrote a pointer to its table there.
        unsafe { *list }
    };
    Some(REAL.get_or_init(|| Real { list, _library: library }))
}

/// What the script says to this call: an action, or a value to return at once.
fn before(function: &str) -> Result<Option<Action>, sys::CK_RV> {
    match fault_at(function) {
        Some(Action::Error(value)) => Err(value),
        Some(Action::Delay(time)) => {
            std::thread::sleep(time);
            Ok(None)
        }
        Some(Action::Hang) => loop {
            std::thread::park();
        },
        Some(Action::Crash) => std::process::abort(),
        other => Ok(other),
    }
}

fn after(action: Option<Action>, value: sys::CK_RV) -> sys::CK_RV {
    match action {
        Some(Action::After(instead)) => instead,
        _ => value,
    }
}

/// Another private key than `key`, if there is one.
fn other_key(
    real: &Real,
    session: sys::CK_SESSION_HANDLE,
    key: sys::CK_OBJECT_HANDLE,
) -> Option<sys::CK_OBJECT_HANDLE> {
    let mut class = sys::CKO_PRIVATE_KEY;
    let mut template = sys::CK_ATTRIBUTE {
        type_: sys::CKA_CLASS,
        pValue: (&raw mut class).cast(),
        ulValueLen: size_of::<sys::CK_OBJECT_CLASS>() as sys::CK_ULONG,
    };
    let mut found = [0; 16];
    let mut count = 0;
    // SAFETY: pointers to locals that outlive the calls, and the length of `found`.
    unsafe {
        (real.list.C_FindObjectsInit?)(session, &raw mut template, 1);
        (real.list.C_FindObjects?)(session, found.as_mut_ptr(), 16, &raw mut count);
        (real.list.C_FindObjectsFinal?)(session);
    }
    found.into_iter().take(count as usize).find(|handle| *handle != key)
}
