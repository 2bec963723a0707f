//! Headless Chromium that a test uses as a person would: it opens pages, types and presses buttons. The test talks to it in
//! the Chrome DevTools Protocol, over a pipe.

#![allow(clippy::unwrap_used, dead_code, reason = "test support; each test uses its part of it")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use super::browser::Browser;
use super::ingester::eventually;

/// The longest time for an answer on a slow machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// A browser with one tab.
pub struct Tab {
    child: Child,
    /// Dropped to end the browser.
    input: Option<ChildStdin>,
    messages: Receiver<Value>,
    session: String,
    calls: u64,
    /// The password that its user gives to whoever asks.
    password: String,
    /// The number of times that it was asked for.
    pub asked: usize,
}

impl Tab {
    /// Starts a browser; `password` is what its user answers when a site asks to log in.
    pub fn open(browser: &Browser, password: &str) -> Tab {
        // The protocol's pipes are the descriptors 3 and 4.
        let redirect = "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1";
        let mut child = browser
            .command(&["sh", "-c", redirect, "sh"], &["--remote-debugging-pipe", "about:blank"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            while output.read_until(0, &mut bytes).is_ok_and(|read| read > 0) {
                let message = serde_json::from_slice(bytes.strip_suffix(&[0]).unwrap_or(&bytes)).unwrap();
                if sender.send(message).is_err() {
                    return;
                }
                bytes.clear();
            }
        });
        let (session, password, input) = (String::new(), password.to_owned(), child.stdin.take());
        let mut tab = Tab { child, input, messages, session, calls: 0, password, asked: 0 };
        let target = tab.call("Target.createTarget", &json!({ "url": "about:blank" }))["targetId"].clone();
        let attached = tab.call("Target.attachToTarget", &json!({ "targetId": target, "flatten": true }));
        tab.session = attached["sessionId"].as_str().unwrap().to_owned();
        tab.call("Page.enable", &json!({}));
        tab.call("Fetch.enable", &json!({ "handleAuthRequests": true }));
        tab
    }

    /// Opens a page and waits until it is there.
    pub fn visit(&mut self, url: &str) {
        let done = self.call("Page.navigate", &json!({ "url": url }));
        assert!(done.get("errorText").is_none(), "{url}: {done}");
        self.until(&format!("{url} is there"), "document.readyState === 'complete' && location.href !== 'about:blank'");
    }

    /// Returns the value of an expression in the page.
    pub fn value(&mut self, expression: &str) -> Value {
        let answer = self.call("Runtime.evaluate", &json!({ "expression": expression, "returnByValue": true }));
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression in the page is true.
    pub fn until(&mut self, what: &str, expression: &str) {
        let asked = format!("(() => {{ try {{ return {expression} }} catch {{ return false }} }})()");
        eventually(what, || (self.value(&asked) == json!(true)).then_some(()));
    }

    /// Presses the mouse button in the middle of an element.
    pub fn press(&mut self, selector: &str) {
        let place = self.value(&format!(
            "(() => {{ const one = document.querySelector({selector:?}); one.scrollIntoView(); \
             const box = one.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2] }})()"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let mouse = json!({ "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", &mouse);
        }
    }

    /// Types a text into the element that was pressed last.
    pub fn write(&mut self, text: &str) {
        self.call("Input.insertText", &json!({ "text": text }));
    }

    fn send(&mut self, method: &str, parameters: &Value) -> u64 {
        self.calls += 1;
        let mut message = json!({ "id": self.calls, "method": method, "params": parameters });
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        let input = self.input.as_mut().unwrap();
        input.write_all(format!("{message}\0").as_bytes()).unwrap();
        self.calls
    }

    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        let id = self.send(method, parameters);
        loop {
            let message = self.messages.recv_timeout(DEADLINE).unwrap_or_else(|error| panic!("{method}: {error}"));
            if message["id"] == json!(id) {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].clone();
            }
            self.answer(&message);
        }
    }

    /// Answers what the browser asks its user.
    fn answer(&mut self, message: &Value) {
        let request = &message["params"]["requestId"];
        match message["method"].as_str() {
            Some("Fetch.requestPaused") => {
                self.send("Fetch.continueRequest", &json!({ "requestId": request }));
            }
            Some("Fetch.authRequired") => {
                self.asked += 1;
                let login = json!({ "response": "ProvideCredentials", "username": "me", "password": self.password });
                self.send("Fetch.continueWithAuth", &json!({ "requestId": request, "authChallengeResponse": login }));
            }
            Some(_) | None => {}
        }
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.wait();
    }
}
