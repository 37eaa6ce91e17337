"""A real browser: Debian's Chromium, headless, driven through its own driver."""

import base64
import pathlib

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

from harness import TIMEOUT

DRIVER = "/usr/bin/chromedriver"


class Browser:
  """One window. `phone` and `desktop` are the widths that pages are looked at in."""

  PHONE, DESKTOP = 360, 1440

  def __init__(self, profile):
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in (
      "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run", "--hide-scrollbars",
      f"--user-data-dir={profile}", "--lang=en-GB",
    ):
      options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    self.driver = webdriver.Chrome(service=Service(DRIVER), options=options)
    self.driver.set_page_load_timeout(TIMEOUT)
    self.driver.set_script_timeout(TIMEOUT)
    self.base = None
    self.resize(self.DESKTOP)
    self.scheme("light")

  def close(self):
    self.driver.quit()

  def cdp(self, command, **arguments):
    return self.driver.execute_cdp_cmd(command, arguments)

  # What the window is like

  def resize(self, width, height=900):
    self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

  def scheme(self, name):
    """Light or dark; and without motion, so that nothing is looked at half-way."""
    self.cdp("Emulation.setEmulatedMedia", features=[
      {"name": "prefers-color-scheme", "value": name}, {"name": "prefers-reduced-motion", "value": "reduce"}])

  # Looking

  def open(self, path):
    self.driver.get(self.base + path)
    return self

  def run(self, script, *arguments):
    return self.driver.execute_script(script, *arguments)

  def find(self, selector):
    return self.driver.find_element(By.CSS_SELECTOR, selector)

  def all(self, selector):
    return self.driver.find_elements(By.CSS_SELECTOR, selector)

  def wait(self, selector, text=""):
    """Awaits an element that is shown and has this text in it."""
    def found(_):
      for element in self.all(selector):
        if element.is_displayed() and text in element.text:
          return element
      return None
    return WebDriverWait(self.driver, TIMEOUT, ignored_exceptions=[Exception]).until(found, f"no {selector} with {text!r}")

  @property
  def text(self):
    return self.find("body").text

  def complaints(self):
    """What the console has said since it was last asked: errors of scripts, of loading, of the content policy."""
    return [entry for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]

  # Doing

  def fill(self, selector, value):
    """Sets a field to exactly this value; typing cannot produce every character."""
    self.run(
      "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input', {bubbles: true}));"
      "arguments[0].dispatchEvent(new Event('change', {bubbles: true}))", self.find(selector), value)

  def choose(self, selector, value):
    Select(self.find(selector)).select_by_value(value)

  def click(self, selector):
    element = self.find(selector)
    self.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
    element.click()

  def follow(self, selector):
    """Clicks what leads to another page, and awaits that page. The click alone may return while the old one is shown."""
    self.run("window.isOld = true")
    self.click(selector)
    def arrived(_):
      return self.run("return !window.isOld && document.readyState === 'complete'")
    WebDriverWait(self.driver, TIMEOUT, ignored_exceptions=[Exception]).until(arrived, f"{selector} led nowhere")

  def screenshot(self, file, until=None):
    """The whole page, however long, as a PNG; or its part above an element, which is the XPath `until`."""
    size = self.run("return [document.documentElement.clientWidth, document.documentElement.scrollHeight]")
    if until:
      size[1] = self.driver.find_element(By.XPATH, until).location["y"] - 20
    shot = self.cdp(
      "Page.captureScreenshot", format="png", captureBeyondViewport=True,
      clip={"x": 0, "y": 0, "width": size[0], "height": min(size[1], 12000), "scale": 1})
    pathlib.Path(file).write_bytes(base64.b64decode(shot["data"]))
