//! Against the providers' own Python packages: a running receiver takes what they sign, in every form. `make interop`
//! runs it; `INTEROP_PYTHON` names a Python that has the packages.

use std::path::Path;
use std::process::Command;

use crate::support::receiver::{NOW, TestReceiver};

#[tokio::test]
#[ignore = "needs the providers' packages: `make interop`"]
async fn what_the_providers_packages_sign_is_taken_and_stored() {
    let python = std::env::var("INTEROP_PYTHON").expect("INTEROP_PYTHON names a Python, see `make interop`");
    let receiver = TestReceiver::start().await;
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/interop.py"));
    command.arg(env!("CARGO_BIN_EXE_memberflow")).arg(format!("http://{}", receiver.address));
    command.arg(NOW.unix_timestamp().to_string());
    let status = tokio::task::spawn_blocking(move || command.status()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
    // One event of Stripe's and one hook, however many secrets signed them; a message for each kind of request and token.
    let kept = receiver.wait_for_pending(18).await;
    let texts = kept.iter().filter(|event| event.source == "twilio");
    assert_eq!(texts.count(), 16, "{kept:?}");
}
