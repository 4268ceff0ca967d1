//! Chromium, steered by chromedriver over WebDriver: what somebody in front of it does and sees.

use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::driver::Driver;

/// The name under which WebDriver hands out elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Debian's Chromium without all that only a window needs, which fits Debian's chromedriver: it starts in less time and
/// shows the same.
const SHELL: &str = "/usr/lib/chromium/chromium-headless-shell";

/// Keys without a character, as WebDriver calls them.
pub const ENTER: &str = "\u{e007}";
pub const ESCAPE: &str = "\u{e00c}";
pub const TAB: &str = "\u{e004}";

/// Longer than anything here may take, also on a busy machine.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// What a telephone shows, in CSS pixels.
pub const TELEPHONE_WIDTH: i64 = 390;

/// An open Chromium, with a profile of its own.
pub struct Chromium {
    client: reqwest::Client,
    session: String,
    /// Ends with this value.
    driver: Driver,
}

impl Chromium {
    /// Opens an empty window.
    pub async fn open() -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let driver = Driver::start();
        let client = reqwest::Client::builder().no_proxy().timeout(ANSWER_LIMIT).build().unwrap();
        let mut chromium = Self { client, session: driver.url(), driver };
        let made = chromium.post("/session", capabilities(&chromium.driver)).await;
        let id = made["sessionId"].as_str().unwrap();
        chromium.session = format!("{}/session/{id}", chromium.session);
        chromium
    }

    /// What chromedriver answers; its refusal as text.
    async fn ask(&self, method: Method, path: &str, body: &Value) -> Result<Value, String> {
        let request = self.client.request(method.clone(), format!("{}{path}", self.session));
        let request = if method == Method::POST { request.json(body) } else { request };
        let answer = request.send().await.map_err(|error| format!("{error:?}"))?;
        let is_fine = answer.status().is_success();
        let mut answer: Value = answer.json().await.map_err(|error| format!("{error:?}"))?;
        let value = answer["value"].take();
        if is_fine { Ok(value) } else { Err(value["message"].to_string()) }
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> Value {
        let answer = self.ask(method.clone(), path, body).await;
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.call(Method::POST, path, &body).await
    }

    /// A command of Chromium's own protocol.
    async fn devtools(&self, command: &str, params: Value) {
        self.post("/goog/cdp/execute", json!({"cmd": command, "params": params})).await;
    }

    /// Goes to `url` and waits until the page is there.
    pub async fn go(&self, url: &str) {
        self.post("/url", json!({"url": url})).await;
    }

    /// Goes back to the page before, as the button does.
    pub async fn back(&self) {
        self.post("/back", json!({})).await;
    }

    /// What `script` returns, run in the page: the policy against inline scripts does not bind it.
    pub async fn run(&self, script: &str, arguments: Value) -> Value {
        self.post("/execute/sync", json!({"script": script, "args": arguments})).await
    }

    /// The same as text.
    async fn text_of(&self, script: &str, argument: &str) -> String {
        self.run(script, json!([argument])).await.as_str().unwrap_or_default().to_owned()
    }

    /// Path and query of the page.
    pub async fn path(&self) -> String {
        self.text_of("return location.pathname + location.search", "").await
    }

    /// What a reader sees of the first element that `selector` names; nothing where there is none.
    pub async fn text(&self, selector: &str) -> String {
        self.text_of("return document.querySelector(arguments[0])?.innerText", selector).await
    }

    /// How many elements `selector` names that can be seen.
    pub async fn count(&self, selector: &str) -> usize {
        let script = "return [...document.querySelectorAll(arguments[0])]
                          .filter((it) => it.checkVisibility({ visibilityProperty: true })).length";
        let count = self.run(script, json!([selector])).await.as_u64().unwrap();
        usize::try_from(count).unwrap()
    }

    /// Waits until `condition`, a script's expression, holds: in this page or in the one that is being opened.
    pub async fn wait_until(&self, condition: &str) {
        let script = json!({"script": format!("return Boolean({condition})"), "args": []});
        let deadline = Instant::now() + ANSWER_LIMIT;
        while self.ask(Method::POST, "/execute/sync", &script).await != Ok(Value::Bool(true)) {
            #[expect(clippy::manual_assert, reason = "the text is awaited")]
            if Instant::now() > deadline {
                panic!(
                    "waited in vain for {condition} at {}:\n{}",
                    self.path().await,
                    self.text("body").await
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until `text` can be read in what `selector` names.
    pub async fn wait_for(&self, selector: &str, text: &str) {
        let (selector, text) = (json!(selector), json!(text));
        let seen = format!("document.querySelector({selector})?.innerText.includes({text})");
        self.wait_until(&seen).await;
    }

    /// Waits until the page at `path` is there, with what its scripts set up.
    pub async fn wait_for_path(&self, path: &str) {
        let is_there = "document.readyState === 'complete' && location.pathname + location.search";
        self.wait_until(&format!("{is_there} === {}", json!(path))).await;
    }

    async fn element(&self, using: &str, value: &str) -> String {
        let found = self.post("/element", json!({"using": using, "value": value})).await;
        format!("/element/{}", found[ELEMENT].as_str().unwrap())
    }

    /// Clicks where the element is; refused where something lies over it.
    pub async fn click(&self, selector: &str) {
        let element = self.element("css selector", selector).await;
        self.post(&format!("{element}/click"), json!({})).await;
    }

    /// Clicks the link or button that says `text`, in what `selector` names.
    pub async fn click_on(&self, selector: &str, text: &str) {
        let find = "return [...document.querySelector(arguments[0]).querySelectorAll('a, button')]
                        .find((it) => it.innerText.trim() === arguments[1])";
        let found = self.run(find, json!([selector, text])).await;
        let Some(element) = found[ELEMENT].as_str() else {
            panic!("{text:?} is not in {selector}:\n{}", self.text(selector).await)
        };
        self.post(&format!("/element/{element}/click"), json!({})).await;
    }

    /// Chooses what is called `option`.
    pub async fn choose(&self, name: &str, option: &str) {
        let path = format!("//select[@name='{name}']/option[normalize-space()='{option}']");
        let element = self.element("xpath", &path).await;
        self.post(&format!("{element}/click"), json!({})).await;
    }

    /// Types `text` into the field, instead of what stands there.
    pub async fn fill(&self, selector: &str, text: &str) {
        let element = self.element("css selector", selector).await;
        self.post(&format!("{element}/clear"), json!({})).await;
        self.post(&format!("{element}/value"), json!({"text": text})).await;
    }

    /// Presses `keys`, one after the other.
    pub async fn press(&self, keys: &[&str]) {
        let strokes: Vec<Value> = keys
            .iter()
            .flat_map(|key| {
                [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})]
            })
            .collect();
        self.post("/actions", json!({"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]}))
            .await;
    }

    /// Puts the window out of sight, or back.
    pub async fn set_hidden(&self, is_hidden: bool) {
        if is_hidden {
            self.post("/window/minimize", json!({})).await;
        } else {
            self.post("/window/rect", json!({"width": 1280, "height": 900})).await;
        }
        self.wait_until(&format!("document.hidden === {is_hidden}")).await;
    }

    /// From the next page on, runs `script` before those of the pages.
    pub async fn run_before_pages(&self, script: &str) {
        self.devtools("Page.addScriptToEvaluateOnNewDocument", json!({"source": script})).await;
    }

    /// As the reader's system says: `light` or `dark`.
    pub async fn set_scheme(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.devtools("Emulation.setEmulatedMedia", json!({"features": features})).await;
    }

    /// A telephone's screen, or the window again.
    pub async fn set_narrow(&self, is_narrow: bool) {
        if is_narrow {
            let screen =
                json!({"width": TELEPHONE_WIDTH, "height": 844, "deviceScaleFactor": 1, "mobile": true});
            self.devtools("Emulation.setDeviceMetricsOverride", screen).await;
        } else {
            self.devtools("Emulation.clearDeviceMetricsOverride", json!({})).await;
        }
    }

    /// Where the reader is.
    pub async fn set_timezone(&self, name: &str) {
        self.devtools("Emulation.setTimezoneOverride", json!({"timezoneId": name})).await;
    }

    /// From the next page on, pages' scripts do not run.
    pub async fn forbid_scripts(&self) {
        self.devtools("Emulation.setScriptExecutionDisabled", json!({"value": true})).await;
    }

    /// Forgets who is signed in.
    pub async fn delete_cookies(&self) {
        self.call(Method::DELETE, "/cookie", &Value::Null).await;
    }

    /// What the browser has logged since it was asked last: faults of scripts, refused resources, broken policies.
    pub async fn log(&self) -> Vec<String> {
        let lines = self.post("/se/log", json!({"type": "browser"})).await;
        lines.as_array().unwrap().iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect()
    }

    /// Checks that it has logged nothing, `at` some point.
    pub async fn assert_quiet(&self, at: &str) {
        assert_eq!(self.log().await, [""; 0], "{at}");
    }

    /// Closes the window and ends Chromium.
    pub async fn close(&self) {
        self.call(Method::DELETE, "", &Value::Null).await;
    }
}

fn capabilities(driver: &Driver) -> Value {
    let profile = format!("--user-data-dir={}", driver.profile().display());
    let arguments = [
        "--headless=new",
        // Root has no sandbox, and many containers have none; the pages are our own.
        "--no-sandbox",
        // Containers give shared memory of 64 MB.
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--window-size=1280,900",
        // No pixel of a scroll bar, as on a telephone.
        "--hide-scrollbars",
        // Chromium ends when the pipe does, so that it does not outlive a chromedriver that was killed.
        "--remote-debugging-pipe",
        // Nothing of a test leaves this machine.
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        &profile,
    ];
    let (mut browser, mut options) = ("chrome", json!({"args": arguments}));
    if Path::new(SHELL).exists() {
        browser = "chrome-headless-shell";
        options["binary"] = json!(SHELL);
    }
    json!({"capabilities": {"alwaysMatch": {
        "browserName": browser,
        // Below it are hints for who makes the page.
        "goog:loggingPrefs": {"browser": "WARNING"},
        "goog:chromeOptions": options,
    }}})
}
