//! The routers of `scripts/run --example`.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Runs lines of shell with the functions of `scripts/lib/bmp.sh`, and decodes what the router `edge1` has sent.
fn decoded(lines: &str) -> Vec<Value> {
    let file = std::env::temp_dir().join(format!("rib-ingester-example-{}.bmp", std::process::id()));
    let script = format!(
        ". scripts/lib/bmp.sh\nexec {{fd}}>'{}'\nROUTER_FD[edge1]=$fd ROUTER_ID[edge1]=192.0.2.1 ROUTER_AS[edge1]=64496\n{lines}",
        file.display()
    );
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let made = Command::new("bash").args(["-euc", &script]).current_dir(root).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let output = Command::new(env!("CARGO_BIN_EXE_rib-ingester")).arg("decode").arg(&file).output().unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn routers_of_examples_speak_bmp() {
    let messages = decoded(
        "router_peer_up edge1 198.51.100.7 64500
         router_announce edge1 198.51.100.7 64500 '64500 65551' 203.0.113.0/24
         router_end_of_rib edge1 198.51.100.7 64500
         router_peer_up edge1 fe80::64:501 65551
         router_announce edge1 fe80::64:501 65551 65551 2001:db8:7::/48
         router_withdraw edge1 fe80::64:501 65551 2001:db8:7::/48
         router_withdraw edge1 198.51.100.7 64500 203.0.113.0/24
         router_peer_down edge1 198.51.100.7 64500 6 2 'until 06:00 UTC'",
    );
    println!("{messages:#?}");
    assert_eq!(messages.len(), 9);
    let all = messages.iter().map(Value::to_string).collect::<Vec<_>>();
    for (message, text) in [
        (0, "\"198.51.100.7\""),
        (1, "\"64500 65551\""),
        (1, "\"203.0.113.0/24\""),
        (4, "\"fe80::64:501\""),
        (5, "\"2001:db8:7::/48\""),
        (6, "\"2001:db8:7::/48\""),
        (7, "\"203.0.113.0/24\""),
        (8, "\"remote_notification\""),
    ] {
        assert!(all[message].contains(text), "{text} is missing in {}", all[message]);
    }
    assert!(all.iter().all(|message| !message.contains("malformed") && !message.contains("error")), "{all:#?}");
}
