//! Kryoptic's PKCS#11 entry points, exported from a library of our own.

#![expect(non_snake_case, reason = "the names in the standard")]

use kryoptic_lib::fns::general;
use kryoptic_lib::pkcs11;

/// `C_GetFunctionList`.
#[unsafe(no_mangle)]
pub extern "C" fn C_GetFunctionList(list: pkcs11::CK_FUNCTION_LIST_PTR_PTR) -> pkcs11::CK_RV {
    general::fn_get_function_list(list)
}

/// `C_GetInterface`.
#[unsafe(no_mangle)]
pub extern "C" fn C_GetInterface(
    name: pkcs11::CK_UTF8CHAR_PTR,
    version: pkcs11::CK_VERSION_PTR,
    interface: pkcs11::CK_INTERFACE_PTR_PTR,
    flags: pkcs11::CK_FLAGS,
) -> pkcs11::CK_RV {
    general::fn_get_interface(name, version, interface, flags)
}
