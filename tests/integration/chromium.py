"""A headless Chromium, as a payer's browser: what it shows, what it asks for, what it complains about."""

import json
import os
import shutil
import subprocess
import tempfile
import urllib.parse

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from paynotifyd import SLOWNESS
from waiting import wait_for

BINARY, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"  # Debian's; selenium would look for others on the network
WIDE, PHONE = (720, 760), (360, 740)
FLAGS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server",
         "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")


class Chromium:
    """One browser for many tests; begin() makes it forget what the test before did."""

    def __init__(self):
        self.profile = tempfile.mkdtemp(prefix="paynotify-chromium-")
        options = Options()
        options.binary_location = BINARY
        for flag in (*FLAGS, f"--user-data-dir={self.profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        environment = dict(os.environ, HOME=self.profile)
        self.driver = webdriver.Chrome(service=Service(DRIVER, env=environment), options=options)
        self.driver.set_page_load_timeout(60 * SLOWNESS)

    def close(self):
        self.driver.quit()
        shutil.rmtree(self.profile, ignore_errors=True)

    def begin(self):
        self.driver.get("about:blank")
        self.language("en")
        self.size(*WIDE)
        self.scripts(True)
        self.complaints(), self.hosts()

    # ---- who looks

    def _command(self, name, **arguments):
        return self.driver.execute_cdp_cmd(name, arguments)

    def language(self, accept):
        agent = self.driver.execute_script("return navigator.userAgent")
        self._command("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage=accept)

    def size(self, width, height):
        self._command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)

    def scripts(self, run):
        self._command("Emulation.setScriptExecutionDisabled", value=not run)

    # ---- what is there

    def open(self, url):
        self.driver.get(url)

    def all(self, css):
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def one(self, css):
        found = self.all(css)
        assert len(found) == 1, f"{len(found)} × {css} in {self.driver.page_source}"
        return found[0]

    def text(self):
        return self.one("body").text

    def attribute(self, css, name):
        """None while the page is changing or has no such element."""
        try:
            found = self.all(css)
            return found[0].get_attribute(name) if found else None
        except WebDriverException:
            return None

    def state(self):
        return self.attribute("#cashier", "data-state")

    def wait_state(self, state, seconds=60):
        wait_for(lambda: self.state() == state, seconds * SLOWNESS, f"the page to be {state}; it is {self.state()}")

    def press(self, text):
        """Clicks the one button or link with this text."""
        found = [element for element in self.all("button, a") if element.is_displayed() and element.text == text]
        assert len(found) == 1, f"{len(found)} × {text!r} in {self.text()!r}"
        found[0].click()

    def read_code(self):
        """What a phone reads from the code as it is on the screen."""
        with tempfile.NamedTemporaryFile(suffix=".png") as file:
            file.write(self.driver.get_screenshot_as_png())
            file.flush()
            out = subprocess.run(["zbarimg", "--quiet", "--raw", file.name], capture_output=True, text=True, timeout=60, check=True)
        return out.stdout.strip()

    def scrolls_sideways(self):
        return self.driver.execute_script("return document.documentElement.scrollWidth > window.innerWidth")

    def picture(self, name):
        """For the documentation: PN_SCREENSHOTS=doc writes doc/<name>.png."""
        folder = os.environ.get("PN_SCREENSHOTS")
        if folder:
            with open(os.path.join(folder, name + ".png"), "wb") as file:
                file.write(self.driver.get_screenshot_as_png())

    # ---- what it did since the last time it was asked

    def complaints(self):
        """Errors and warnings of the console: scripts, policies, resources that did not load."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]

    def hosts(self):
        """The hosts that were asked for anything."""
        events = (json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance"))
        urls = (event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent")
        return {urllib.parse.urlsplit(url).netloc for url in urls} - {""}
