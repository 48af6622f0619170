"""Drives Chromium through its DevTools pipe: loads the example site, uploads a file in its form, sees the status page.

    python3 browser.py CHROMIUM URL FILE FOLDER

FOLDER is for the browser's profile. Prints a line for each page: its title, a tab, its text (or, for the status page, the
number of its drawings).
"""

import json
import os
import subprocess
import sys


class Browser:
    """A browser and a page of it; it reads its commands on descriptor 3 and answers on 4, each ended by a NUL."""

    def __init__(self, chromium, folder):
        commands, self.commands = os.pipe()
        self.answers, answers = os.pipe()

        def put_in_place():
            # By way of numbers that are neither 3 nor 4.
            read, write = os.dup2(commands, 10), os.dup2(answers, 11)
            os.dup2(read, 3)
            os.dup2(write, 4)

        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                 "--ignore-certificate-errors", "--remote-debugging-pipe", f"--user-data-dir={folder}", "about:blank"]
        self.process = subprocess.Popen([chromium, *flags], preexec_fn=put_in_place, close_fds=False,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(commands)
        os.close(answers)
        self.buffer, self.number, self.session = b"", 0, None
        self.loads = 0
        pages = [t for t in self.ask("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        target = pages[0]["targetId"] if pages else self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.ask("Page.enable")

    def ask(self, method, **params):
        self.number += 1
        command = {"id": self.number, "method": method, "params": params}
        if self.session:
            command["sessionId"] = self.session
        os.write(self.commands, json.dumps(command).encode() + b"\0")
        number = self.number
        while True:
            message = self.receive()
            if message.get("id") == number:
                if "error" in message:
                    sys.exit(f"{method}: {message['error']}")
                return message["result"]

    def receive(self):
        while b"\0" not in self.buffer:
            piece = os.read(self.answers, 65536)
            if not piece:
                sys.exit("the browser has gone")
            self.buffer += piece
        message, self.buffer = self.buffer.split(b"\0", 1)
        message = json.loads(message)
        self.loads += message.get("method") == "Page.loadEventFired"
        return message

    def load(self, start):
        """Does what leads to another page, and waits until that is there."""
        before = self.loads
        start()
        while self.loads == before:
            self.receive()

    def evaluate(self, expression):
        result = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        return result["result"].get("value")

    def end(self):
        self.session = None
        self.ask("Browser.close")
        self.process.wait()


def main(chromium, url, upload, folder):
    browser = Browser(chromium, folder)
    browser.load(lambda: browser.ask("Page.navigate", url=url))
    print(browser.evaluate("document.title"), browser.evaluate("document.styleSheets.length"), sep="\t")

    document = browser.ask("DOM.getDocument")["root"]["nodeId"]
    field = browser.ask("DOM.querySelector", nodeId=document, selector="input[type=file]")["nodeId"]
    browser.ask("DOM.setFileInputFiles", nodeId=field, files=[upload])
    browser.load(lambda: browser.evaluate("document.querySelector('form[method=post] button').click()"))
    print(browser.evaluate("document.title"), browser.evaluate("document.body.innerText").replace("\n", " "), sep="\t")

    browser.load(lambda: browser.ask("Page.navigate", url=url + "cgi-bin/status"))
    print(browser.evaluate("document.title"), browser.evaluate("document.querySelectorAll('svg').length"), sep="\t")
    browser.end()


if __name__ == "__main__":
    main(*sys.argv[1:])
