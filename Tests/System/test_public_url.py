"""A public URL with a path: behind a proxy that removes it, nothing on the site may lead out of it."""

import html
import http.client
import http.server
import json
import re
import threading
import urllib.parse

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from browser import Browser
from harness import TIMEOUT, Response, Server, cli, unique, wait_until
from test_dashboard import PAGES, PASSWORD, Person
from test_pages import FIXED, HTML

BASE = "/y/fairdraw"


class Proxy(http.server.ThreadingHTTPServer):
  """Passes on what is under BASE, without it, to `target`; for everything else there is nothing."""

  daemon_threads = True
  target = None

  def __init__(self):
    super().__init__(("127.0.0.1", 0), Handler)
    self.strays = []
    threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
  protocol_version = "HTTP/1.1"

  def answer(self):
    body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
    if self.path != BASE and not self.path.startswith(BASE + "/"):
      self.server.strays.append(self.path)
      self.send_response(404)
      self.send_header("Content-Length", "0")
      self.end_headers()
      return
    upstream = http.client.HTTPConnection(*self.server.target, timeout=TIMEOUT)
    forwarded = self.headers.get("X-Forwarded-For")
    headers = [(name, value) for name, value in self.headers.items() if name.lower() not in ("connection", "x-forwarded-for", "content-length")]
    upstream.putrequest(self.command, self.path[len(BASE):] or "/", skip_host=True, skip_accept_encoding=True)
    for name, value in headers:
      upstream.putheader(name, value)
    upstream.putheader("X-Forwarded-For", ", ".join(filter(None, [forwarded, f"{self.client_address[0]}:{self.client_address[1]}"])))
    upstream.putheader("Content-Length", str(len(body)))
    upstream.endheaders(body)
    answer = upstream.getresponse()
    content = answer.read()
    self.send_response(answer.status)
    for name, value in answer.getheaders():
      if name.lower() not in ("content-length", "connection", "date", "transfer-encoding"):
        self.send_header(name, value)
    self.send_header("Content-Length", answer.getheader("Content-Length", str(len(content))))
    self.end_headers()
    self.wfile.write(content)
    upstream.close()

  do_GET = do_HEAD = do_POST = do_OPTIONS = answer

  def log_message(self, *_):
    pass


class Site:
  """The server as it is reached through the proxy; a stand-in for it in ``Person``."""

  def __init__(self, server, proxy):
    self.server, self.proxy = server, proxy
    self.host, self.port = proxy.server_address
    self.url = f"http://{self.host}:{self.port}{BASE}"

  def request(self, method, path, query=None, body=None, headers=None):
    connection = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT)
    connection.request(method, path, body=body, headers=headers or {})
    answer = connection.getresponse()
    response = Response(answer.status, answer.headers, answer.read(), method)
    connection.close()
    return response

  def get(self, path, headers=None):
    return self.request("GET", path, headers=headers)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
  proxy = Proxy()
  url = f"http://127.0.0.1:{proxy.server_address[1]}{BASE}"
  with Server(
    tmp_path_factory.mktemp("path") / "data", FAIRDRAW_PUBLIC_URL=url + "/", FAIRDRAW_SIGN_UP="true", FAIRDRAW_TRUSTED_PROXIES="127.0.0.1",
  ) as server:
    proxy.target = (server.host, server.port)
    yield Site(server, proxy)
  proxy.shutdown()
  proxy.server_close()


class Visitor(Person):
  """Whose browser follows what pages say: forms are sent to the address they name, and redirects to theirs."""

  def send_form(self, page, **fields):
    text = self.get(page).body.decode()
    [(action, rest)] = [
      (action, rest) for action, rest in re.findall(r'<form [^>]*method="post" action="([^"]*)">(.*?)</form>', text, re.DOTALL)
      if all(f'name="{name}"' in rest for name in fields)]
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', rest))
    return self.post(html.unescape(action), {**{name: html.unescape(value) for name, value in hidden.items()}, **fields})


def links(answer, attributes="href|src|action"):
  return [html.unescape(link) for link in re.findall(rf'\s(?:{attributes})="([^"]*)"', answer.body.decode())]


def test_every_link_stays_under_the_path_and_leads_somewhere(site):
  shuffled = site.request("POST", BASE + "/api/shuffle", body=json.dumps({"clientSeed": unique("path"), "items": ["a", "b"]})).json()
  queue, seen = [BASE + path for path in FIXED] + [f"{BASE}/o/{shuffled['shortId']}", BASE, f"{BASE}/nowhere"], set()
  while queue:
    path = queue.pop().split("#")[0]
    if not path or path in seen:
      continue
    seen.add(path)
    answer = site.get(path, headers=HTML)
    assert answer.status == (404 if path.endswith("/nowhere") else 303 if path.startswith(BASE + "/dashboard") else 200), (path, answer)
    if answer.status == 303:
      assert answer.header("Location").startswith(BASE + "/sign-in")
    elif answer.header("Content-Type").startswith("text/html"):
      for link in links(answer):
        assert link.startswith((BASE + "/", "#", "http://", "https://")), (path, link)
      queue += [link for link in links(answer, "href|src") if link.startswith(BASE)]
  assert site.proxy.strays == [] and len(seen) > len(FIXED)


def test_what_is_told_of_addresses_has_the_path(site):
  drawn = site.get(f"{BASE}/api/ints?clientSeed=path").json()
  assert drawn["permalink"] == f"{site.url}/o/{drawn['shortId']}"
  page = site.get(f"{BASE}/o/{drawn['shortId']}", headers=HTML).body.decode()
  assert f'<meta property="og:url" content="{site.url}/o/{drawn["shortId"]}">' in page
  assert site.get(urllib.parse.urlsplit(drawn["permalink"]).path + "/og.png").header("Content-Type") == "image/png"
  assert site.get(f"{BASE}/openapi.json").json()["servers"] == [{"url": site.url}]
  assert f"Disallow: {BASE}/api/" in site.get(f"{BASE}/robots.txt").body.decode()
  assert any(site.url in line for line in site.server.banner)


def test_signing_up_in_and_out_under_the_path(site):
  person = Visitor(site)
  asked = person.get(f"{BASE}/dashboard/usage")
  assert asked.status == 303 and asked.header("Location").startswith(f"{BASE}/sign-in?next=")
  email = f"{unique('path')}@example.com"
  answer = person.send_form(f"{BASE}/sign-up", name=unique("path"), email=email, password=PASSWORD, again=PASSWORD)
  assert (answer.status, answer.header("Location")) == (303, f"{BASE}/dashboard"), answer
  for line in answer.headers.get_all("Set-Cookie"):
    assert re.search(rf"; Path={BASE}(/sign-in)?;", line), line
  for page in PAGES:
    answer = person.get(BASE + page)
    assert answer.status == 200, page
    for link in links(answer):
      assert link.startswith((BASE + "/", "#", "http://", "https://")), (page, link)
  assert person.send_form(f"{BASE}/dashboard/keys/new", mode="live").status == 200
  answer = person.send_form(f"{BASE}/dashboard")
  assert (answer.status, answer.header("Location")) == (303, f"{BASE}/")
  answer = person.send_form(asked.header("Location"), email=email, password=PASSWORD)
  assert (answer.status, answer.header("Location")) == (303, f"{BASE}/dashboard/usage")
  assert person.get(answer.header("Location")).status == 200
  assert site.proxy.strays == []


@pytest.fixture
def browser(site, tmp_path):
  window = Browser(tmp_path / "profile")
  window.base = f"http://{site.host}:{site.port}"
  yield window
  assert window.complaints() == []
  window.close()


def test_a_draw_and_a_sign_in_in_the_browser(site, browser):
  browser.open(BASE + "/")
  browser.click("#draw button")
  browser.wait("#result ol.steps > li", "Drawn")
  browser.follow("#result a[href*='/o/']")
  browser.wait("dl, table, .drawing")
  browser.follow("main a[href*='/verify?shortId=']")
  browser.wait("#result .verdict", "Committed, not revealed yet")
  browser.open(BASE + "/api-docs")
  browser.click("form.run[data-path='/api/floats'] button")
  browser.wait("form.run[data-path='/api/floats'] .status", "200")

  person = Visitor(site)
  email = f"{unique('path')}@example.com"
  person.send_form(f"{BASE}/sign-up", name=unique("path"), email=email, password=PASSWORD, again=PASSWORD)
  browser.open(BASE + "/dashboard/account")
  browser.wait("h1", "Sign in")
  browser.find("#email").click()
  for text in (email, Keys.TAB, PASSWORD, Keys.ENTER):
    ActionChains(browser.driver).send_keys(text).perform()
  browser.wait("h1", "Account")
  assert browser.run("return location.pathname") == f"{BASE}/dashboard/account"
  assert {cookie["path"] for cookie in browser.driver.get_cookies()} == {BASE}
  browser.follow("a[href$='/dashboard/keys']")
  browser.wait("h1", "Keys")
  assert [path for path in site.proxy.strays if path != "/favicon.ico"] == []


# What is no public URL, and what is one that nobody can use


@pytest.mark.parametrize("url", [
  "example.com", "ftp://example.com", "https://", "https://u@example.com", "https://u:p@example.com/", "https://example.com/a?b", "https://example.com/#a",
  "https://example.com/a//b", "https://example.com/a/../b", "https://example.com/./a", "https://example.com/a;b", "https://example.com/a%20b",
  "https://example.com/a b", "https://example.com/\u00e9", "https://example.com/a'b",
])
def test_what_is_no_public_url(tmp_path, url):
  done = cli("serve", "--port", "0", "--public-url", url, data=tmp_path / "data")
  assert done.returncode == 64 and "--public-url" in done.stderr, done


@pytest.mark.parametrize("host, settings, warned", [
  ("0.0.0.0", {}, True), ("::", {}, True), ("127.0.0.1", {"FAIRDRAW_PUBLIC_URL": "http://0.0.0.0:8080"}, True),
  ("127.0.0.1", {"FAIRDRAW_PUBLIC_URL": "http://[::]/x"}, True), ("127.0.0.1", {}, False),
  ("127.0.0.1", {"FAIRDRAW_PUBLIC_URL": "https://draws.example"}, False),
])
def test_permalinks_that_nobody_can_open_are_warned_of(tmp_path, host, settings, warned):
  if host != "127.0.0.1":
    # Nothing in these tests listens beyond this machine: the port is taken, so the start fails after it has warned.
    with Server(tmp_path / "other") as other:
      done = cli("serve", "--host", host, "--port", str(other.port), data=tmp_path / "data")
      assert done.returncode == 1 and "cannot listen" in done.stderr
      lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
  else:
    with Server(tmp_path / "data", **settings) as server:
      assert server.get("/api/health").status == 200
      server.stop()
      lines = server.log_lines()
  assert [line["level"] for line in lines if line["message"].startswith("permalinks begin with")] == (["warning"] if warned else [])


def test_over_https_answers_say_so(tmp_path):
  with Server(tmp_path / "data", FAIRDRAW_PUBLIC_URL="https://example.com/draws", FAIRDRAW_SIGN_UP="true") as server:
    for path in ("/api/ints", "/api/nowhere", "/", "/nowhere", "/sign-in", "/openapi.json"):
      assert server.get(path).header("Strict-Transport-Security") == "max-age=31536000", path
    assert server.raw(b"nonsense\r\n\r\n").header("Strict-Transport-Security")
    person = Visitor(server, origin="https://example.com")
    page = person.get("/sign-up")
    assert "__Secure-fairdraw-form=" in page.header("Set-Cookie") and "; Path=/draws;" in page.header("Set-Cookie")
    assert person.send("/sign-up", name="a", email="a@example.com", password=PASSWORD, again=PASSWORD).header("Location") == "/draws/dashboard"
    assert person.is_signed_in()
