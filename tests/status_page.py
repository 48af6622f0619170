"""Opens the status page in Chromium, as wide as a desktop and as a phone, and sees it update itself.

    python3 status_page.py CHROMIUM URL FOLDER

FOLDER is for the browser's profile. Prints a line for each width: the width of what is shown, the number of requests when
the page was first filled and after an update, the text, and how many errors the browser has reported, with tabs between.
"""

import json
import sys
import time

from browser import Browser

REQUESTS = "[...document.querySelectorAll('#facts dt')].find(dt => dt.textContent == 'Requests')?.nextSibling.firstChild.data"
# Chromium's own complaints, such as of what a content security policy forbids.
ERRORS = ("Log.entryAdded", "Runtime.exceptionThrown")


class Watching(Browser):
    """A browser that counts errors."""

    errors = 0

    def receive(self):
        message = super().receive()
        if message.get("method") in ERRORS:
            self.errors += 1
            print(json.dumps(message), file=sys.stderr)
        return message

    def wait(self, expression, other_than):
        while True:
            value = self.evaluate(expression)
            if value not in (None, other_than):
                return value
            time.sleep(0.05)


def main(chromium, url, folder):
    browser = Watching(chromium, folder)
    browser.ask("Runtime.enable")
    browser.ask("Log.enable")
    for width, mobile in ((1280, False), (390, True)):
        browser.ask("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=mobile)
        browser.load(lambda: browser.ask("Page.navigate", url=url))
        first = browser.wait(REQUESTS, None)
        # Counted with the next update.
        browser.evaluate("fetch('?js').then(reply => reply.text())")
        second = browser.wait(REQUESTS, first)
        shown = browser.evaluate("document.documentElement.scrollWidth")
        text = browser.evaluate("document.body.innerText").replace("\n", " ").replace("\t", " ")
        print(shown, first, second, text, browser.errors, sep="\t")
    browser.end()


if __name__ == "__main__":
    main(*sys.argv[1:])
