//! Chromium, without a window: it is driven over a pipe, by the protocol of its developer tools.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A browser with one page.
pub struct Browser {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    _profile: TempDir,
    session: Option<String>,
    last: u64,
    /// What the page complained of: errors, and violations of its policy.
    pub complaints: Vec<String>,
}

// === impl Browser ===

impl Browser {
    pub fn start() -> Self {
        let profile = tempfile::tempdir().expect("a folder must be had");
        // The browser reads from descriptor 3 and writes to 4.
        let script = "exec chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
                      --remote-debugging-pipe --user-data-dir=\"$1\" about:blank 3<&0 4>&1 1>/dev/null 2>/dev/null";
        let mut command = Command::new("bash");
        command.args(["-c", script, "bash"]).arg(profile.path());
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the browser must start");
        let to = child.stdin.take().expect("its input must be piped");
        let from = BufReader::new(child.stdout.take().expect("its output must be piped"));
        let (session, complaints) = (None, Vec::new());
        let mut browser = Self { child, to, from, _profile: profile, session, last: 0, complaints };
        let page = browser.call("Target.createTarget", &json!({"url": "about:blank"}));
        let attach = json!({"targetId": page["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", &attach);
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Log", "Runtime", "Network"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        browser
    }

    /// Opens a page, in a window of this width and in these colours, and waits until all of it is there.
    pub fn open(&mut self, url: &str, width: u32, colours: &str) {
        let size = json!({"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500});
        self.call("Emulation.setDeviceMetricsOverride", &size);
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": colours}]});
        self.call("Emulation.setEmulatedMedia", &media);
        let answer = self.call("Page.navigate", &json!({"url": url}));
        assert_eq!(answer.get("errorText"), None, "{url}");
        self.until(|message| message["method"] == "Page.loadEventFired");
    }

    /// The value of an expression of JavaScript, which the policy of the page does not bind.
    pub fn value(&mut self, expression: &str) -> Value {
        let asked = json!({"expression": expression, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", &asked);
        assert_eq!(answer.get("exceptionDetails"), None, "{expression}");
        answer["result"]["value"].clone()
    }

    /// The value of a promise.
    pub fn awaited(&mut self, expression: &str) -> Value {
        let asked = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.call("Runtime.evaluate", &asked);
        assert_eq!(answer.get("exceptionDetails"), None, "{expression}");
        answer["result"]["value"].clone()
    }

    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.last += 1;
        let id = self.last;
        let mut message = json!({"id": id, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        let sent = self.to.write_all(format!("{message}\0").as_bytes()).and_then(|()| self.to.flush());
        sent.expect("the browser must take it");
        let answer = self.until(|message| message["id"] == id);
        assert_eq!(answer.get("error"), None, "{method}");
        answer["result"].clone()
    }

    /// Reads messages up to one that is asked for.
    fn until(&mut self, is_it: impl Fn(&Value) -> bool) -> Value {
        loop {
            let mut text = Vec::new();
            let read = self.from.read_until(0, &mut text).expect("the browser must be readable");
            assert!(read > 0, "the browser has ended");
            text.pop();
            let message: Value = serde_json::from_slice(&text).expect("a message must be JSON");
            let method = message["method"].as_str().unwrap_or_default();
            if [
                "Log.entryAdded",
                "Runtime.exceptionThrown",
                "Runtime.consoleAPICalled",
                "Page.javascriptDialogOpening",
            ]
            .contains(&method)
            {
                self.complaints.push(message.to_string());
            }
            if is_it(&message) {
                return message;
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It ends with its pipe; what is left of it must not outlive the test.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
