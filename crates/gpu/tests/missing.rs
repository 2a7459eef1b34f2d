//! What a machine without a GPU is told.

use looped_gpu::{Device, Error};

#[test]
fn a_machine_without_a_driver_gets_one_plain_message() {
    match Device::open(0) {
        Err(error @ Error::Missing { .. }) => {
            let text = error.to_string();
            assert!(text.contains(" is not on this machine: none of "), "{text}");
            assert!(!text.contains('\n'), "{text}");
        }
        Err(Error::NoDevice { found, .. }) => assert_eq!(found, 0),
        // A machine with a GPU: then it opens, or says why not.
        Ok(device) => assert!(!device.name().is_empty()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
