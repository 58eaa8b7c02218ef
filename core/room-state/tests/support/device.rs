//! What a device publishes, for all that play one.

use serde_json::{Value, json};
use vodozemac::{Curve25519PublicKey, Curve25519SecretKey, Ed25519Keypair};

/// Its keys, and its signature under them, in the form in which the page hands devices on.
pub fn published(
    user: &str,
    id: &str,
    curve25519: &str,
    ed25519: &str,
    sign: impl Fn(&[u8]) -> String,
) -> Value {
    let mut device = json!({"algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
        "keys": {format!("curve25519:{id}"): curve25519, format!("ed25519:{id}"): ed25519}});
    let mut signed = device.clone();
    signed["device_id"] = json!(id);
    signed["user_id"] = json!(user);
    device["signature"] = json!(sign(signed.to_string().as_bytes()));
    device["deviceId"] = json!(id);
    // As the page's crypto says of somebody who signs no devices.
    device["standing"] = json!("plain");
    device["curve25519"] = json!(curve25519);
    device["ed25519"] = json!(ed25519);
    device
}

/// The same with new keys.
#[allow(dead_code, reason = "the simulator makes its keys by its seed")]
pub fn device(user: &str, id: &str) -> Value {
    let curve25519 = Curve25519PublicKey::from(&Curve25519SecretKey::new()).to_base64();
    let key = Ed25519Keypair::new();
    published(user, id, &curve25519, &key.public_key().to_base64(), |signed| {
        key.sign(signed).to_base64()
    })
}
