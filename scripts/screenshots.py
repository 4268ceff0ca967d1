#!/usr/bin/env python3
"""Makes the README's pictures of the console: docs/screenshots/*.png, from what `memberflow dev` shows.

Usage: scripts/screenshots.py ADDRESS, with the sign-in link that `make run` prints. Needs chromium and chromedriver
(Debian: chromium, chromium-driver) and nothing else: it speaks WebDriver by itself.
"""

import base64
import json
import pathlib
import subprocess
import sys
import time
import urllib.request

PORT = 9515
FOLDER = pathlib.Path(__file__).resolve().parent.parent / "docs" / "screenshots"
# The page, and the link on it that is followed first, if any.
PICTURES = {
    "overview": ("/console", None),
    "members": ("/console/members?sort=mrr", None),
    "event": ("/console/events?type=customer.subscription.updated", "[data-row]"),
}
OPTIONS = {"args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1200,860"]}


def call(method, path, body=None):
    """What chromedriver answers."""
    data = json.dumps(body or {}).encode() if method == "POST" else None
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}{path}", data, method=method)
    request.add_header("content-type", "application/json")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["value"]


def wait_until(holds, what):
    for _ in range(100):
        try:
            if holds():
                return
        except OSError:
            pass
        time.sleep(0.1)
    sys.exit(f"{what} did not happen within 10 s")


def run(session, script):
    return call("POST", f"{session}/execute/sync", {"script": script, "args": []})


def pictures(session, link):
    call("POST", f"{session}/url", {"url": link})
    run(session, "document.querySelector('form').requestSubmit()")
    wait_until(lambda: run(session, "return location.pathname") == "/console", "signing in")
    home = link.split("/console")[0]
    for name, (path, follow) in PICTURES.items():
        call("POST", f"{session}/url", {"url": home + path})
        if follow:
            before = run(session, "return location.href")
            run(session, f"document.querySelector('{follow}').click()")
            wait_until(lambda: run(session, "return location.href") != before, f"opening {name}")
        image = base64.b64decode(call("GET", f"{session}/screenshot"))
        (FOLDER / f"{name}.png").write_bytes(image)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    FOLDER.mkdir(exist_ok=True)
    driver = subprocess.Popen(["chromedriver", f"--port={PORT}"], stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: call("GET", "/status")["ready"], "chromedriver's start")
        made = call("POST", "/session", {"capabilities": {"alwaysMatch": {"goog:chromeOptions": OPTIONS}}})
        session = f"/session/{made['sessionId']}"
        try:
            pictures(session, sys.argv[1])
        finally:
            call("DELETE", session)
    finally:
        driver.terminate()


main()
