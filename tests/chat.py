"""Drives Chromium on the page of examples/chat.rs, as a phone in the dark.

    python3 chat.py CHROMIUM URL FOLDER

FOLDER is for the browser's profile. Prints what the page shows, a line for each thing; then reads a line, and goes on.
"""

import sys
import time

from browser import Browser

WIDTH = 360


def wait(browser, expression, wanted):
    """Until the page has it."""
    end = time.monotonic() + 30
    while True:
        value = browser.evaluate(expression)
        if value is not None and wanted in value:
            return value
        if time.monotonic() > end:
            sys.exit(f"{expression}: {value!r}, not {wanted!r}")
        time.sleep(0.02)


def step(*words):
    print(*words, sep="\t", flush=True)
    sys.stdin.readline()


def main(chromium, url, folder):
    browser = Browser(chromium, folder)
    browser.ask("Emulation.setDeviceMetricsOverride", width=WIDTH, height=640, deviceScaleFactor=2, mobile=True)
    browser.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    browser.load(lambda: browser.ask("Page.navigate", url=url))
    state, said = "document.querySelector('#state').value", "document.querySelector('#said').innerText"
    wait(browser, state, "connected")
    assert browser.evaluate("document.documentElement.scrollWidth") <= WIDTH, "wider than the phone"
    # The colour of text in the dark is light.
    color = browser.evaluate("getComputedStyle(document.body).color")
    assert color == "rgb(255, 255, 255)", color
    browser.evaluate("document.querySelector('#name').value = 'page'")
    browser.evaluate("document.querySelector('#text').value = '<b>hello</b> grün'")
    browser.evaluate("document.querySelector('button').click()")
    step("said", wait(browser, said, "hello").splitlines()[-1])
    step("heard", wait(browser, said, "<i>").splitlines()[-1])
    assert browser.evaluate("document.querySelectorAll('#said b, #said i').length") == 0, "text became markup"
    step("stopped", wait(browser, state, "stopped"))
    browser.load(lambda: browser.ask("Page.navigate", url="about:blank"))
    browser.end()


main(*sys.argv[1:])
