"""Signing in, and the dashboard: over HTTP as a browser and as somebody hostile would, and in a real Chromium."""

import hashlib
import html
import http.cookies
import itertools
import json
import re
import secrets
import sqlite3
import subprocess
import sys
import time
import urllib.parse
from contextlib import closing

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from browser import Browser
from harness import TIMEOUT, Server, together, unique, wait_until
from test_pages import CONTRAST, CONTROLS, STRUCTURE
from test_webhooks import Receiver

PASSWORD = "correct horse battery staple"
FORM = "application/x-www-form-urlencoded"
MARKUP = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>\"'"
PAGES = [
  "/dashboard", "/dashboard/keys", "/dashboard/keys/new", "/dashboard/usage", "/dashboard/usage?by=generator", "/dashboard/outcomes", "/dashboard/webhooks",
  "/dashboard/webhooks/new", "/dashboard/deliveries", "/dashboard/account", "/dashboard/account/delete",
]

_addresses = itertools.count(1)


# Webhooks without what deliveries change at any time.
HOOKS = "SELECT id, account_id, url, sealed_secret, sealed_old_secret, events, disabled, deleted FROM webhook_endpoints ORDER BY id"


class Person:
  """Somebody with a browser of their own, behind an address of their own: cookies, forms, and no JavaScript."""

  def __init__(self, server, origin=None):
    self.server = server
    self.origin = origin or f"http://{server.host}:{server.port}"
    number = next(_addresses)
    self.address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    self.cookies = {}
    self.name = self.email = None
    self.password = PASSWORD

  def request(self, method, path, body=None, **headers):
    sent = {"Accept": "text/html", "X-Forwarded-For": self.address}
    if self.cookies:
      sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
    if body is not None:
      sent |= {"Content-Type": FORM, "Origin": self.origin}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    sent = {name: value for name, value in sent.items() if value is not None}
    answer = self.server.request(method, path, body=body, headers=sent)
    for line in answer.headers.get_all("Set-Cookie") or []:
      for name, morsel in http.cookies.SimpleCookie(line).items():
        self.cookies[name] = morsel.value
        if morsel["max-age"] == "0":
          del self.cookies[name]
    return answer

  def get(self, path, **headers):
    return self.request("GET", path, **headers)

  def post(self, path, fields=None, **headers):
    """Sends a form as it is given: a dictionary, a list of pairs, or bytes."""
    fields = fields or {}
    body = fields if isinstance(fields, bytes) else urllib.parse.urlencode(fields).encode()
    return self.request("POST", path, body, **headers)

  def form(self, page):
    """The hidden fields of a page's form."""
    text = self.get(page).body.decode()
    found = {name: html.unescape(value) for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', text)}
    assert "token" in found, text
    return found

  def send(self, page, action=None, **fields):
    """Opens a page, fills its form in and sends it."""
    return self.post(action or page, {**self.form(page), **fields})

  @property
  def token(self):
    return self.form("/dashboard")["token"]

  @property
  def session(self):
    return next((value for name, value in self.cookies.items() if name.endswith("fairdraw")), None)

  # What people do

  def sign_up(self, name=None):
    self.name, self.email = name or unique("person"), f"{unique('someone')}@example.com"
    answer = self.send("/sign-up", name=self.name, email=self.email, password=self.password, again=self.password)
    assert (answer.status, answer.header("Location")) == (303, "/dashboard"), answer
    return self

  def arrive(self, name=None):
    """An account without a password, and a session as signing in makes one: passwords are slow to check, on purpose."""
    self.name = self.server.account(name=name or unique("person"))
    token, now = secrets.token_hex(32), int(time.time() * 1000)
    with closing(sqlite3.connect(self.server.database, timeout=TIMEOUT)) as connection, connection:
      connection.execute(
        "INSERT INTO sessions (digest, account_id, created, expires) SELECT ?, id, ?, ? FROM accounts WHERE name = ?",
        (hashlib.sha256(token.encode()).digest(), now, now + 86_400_000, self.name))
    self.cookies["fairdraw"] = token
    return self

  def sign_in(self, email=None, password=None, **more):
    if self.get("/sign-in").status == 303:
      self.cookies = {}  # whoever is signed in is not shown the form
    return self.send("/sign-in", email=email or self.email, password=password or self.password, **more)

  def is_signed_in(self):
    return self.get("/dashboard").status == 200

  def make_key(self, mode="live", **fields):
    """The new key; its number is the latest's."""
    answer = self.send("/dashboard/keys/new", "/dashboard/keys", mode=mode, **fields)
    assert answer.status == 200, answer
    return re.search(r'<code id="key">([^<]+)</code>', answer.body.decode())[1]

  def key_id(self):
    return max(int(number) for number in re.findall(r"/dashboard/keys/(\d+)/revoke", self.get("/dashboard/keys").body.decode()))

  def make_webhook(self, url):
    answer = self.send("/dashboard/webhooks/new", "/dashboard/webhooks", url=url)
    assert answer.status == 200, answer
    text = answer.body.decode()
    return int(re.search(r"/dashboard/webhooks/(\d+)", text)[1]), html.unescape(re.search(r'<code id="secret">([^<]+)', text)[1])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
  """A server that lets people sign up, and says from where requests come as it is told."""
  with Server(
    tmp_path_factory.mktemp("site") / "data", FAIRDRAW_SIGN_UP="true", FAIRDRAW_TRUSTED_PROXIES="127.0.0.1",
    FAIRDRAW_ALLOW_PRIVATE_WEBHOOKS="true",
  ) as server:
    yield server


@pytest.fixture
def person(site):
  return Person(site)


@pytest.fixture(scope="module")
def _alice(site):
  return Person(site).sign_up()


@pytest.fixture(scope="module")
def _mallory(site):
  return Person(site).arrive()


@pytest.fixture
def alice(_alice):
  """Somebody who is signed in; tests leave the account as it was, but for what it owns."""
  return _alice


@pytest.fixture
def mallory(_mallory):
  return _mallory


def said(answer):
  """What a page says is wrong."""
  found = re.search(r'role="alert"><p>(.*?)</p>', answer.body.decode(), re.DOTALL)
  return html.unescape(found[1]) if found else None


def shown(answer):
  """A page's text, as it is read."""
  return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.body.decode())).split())


def draw(server, key, client_seed="hello", **parameters):
  return server.draw("ints", {"clientSeed": client_seed, **parameters}, key=key)


# The way in


def test_pages_are_for_those_who_signed_in(person):
  for page in [*PAGES, "/dashboard/keys/1/revoke", "/dashboard/webhooks/1", "/dashboard/account/export?format=json"]:
    answer = person.get(page)
    assert answer.status == 303, page
    place, _, query = answer.header("Location").partition("?")
    assert place == "/sign-in"
    assert urllib.parse.parse_qs(query).get("next", ["/dashboard"]) == [page]
    assert answer.header("Cache-Control") == "no-store" and answer.header("Vary") == "Cookie"
  assert person.post("/dashboard/keys", {"mode": "live"}).header("Location") == "/sign-in"


def test_signing_up_in_and_out(person):
  person.sign_up()
  assert person.name in shown(person.get("/dashboard"))
  answer = person.post("/sign-out", {"token": person.token})
  assert (answer.status, answer.header("Location")) == (303, "/") and person.session is None
  assert not person.is_signed_in()

  answer = person.sign_in(email=person.email.upper())
  assert (answer.status, answer.header("Location")) == (303, "/dashboard")
  assert person.is_signed_in()
  assert person.get("/sign-in").header("Location") == "/dashboard"


def test_signing_out_ends_the_session_and_not_just_the_cookie(person):
  session = person.sign_up().session
  person.post("/sign-out", {"token": person.token})
  person.cookies = {"fairdraw": session}
  assert not person.is_signed_in()


def test_the_cookies_attributes(person):
  def attributes(answer, name):
    [line] = [line for line in answer.headers.get_all("Set-Cookie") if line.startswith(f"{name}=")]
    value, *rest = line.split("; ")
    return value.partition("=")[2], set(rest)

  page = person.get("/sign-up")
  assert attributes(page, "fairdraw-form")[1] == {"Path=/", "Max-Age=86400", "HttpOnly", "SameSite=Lax"}
  token = person.form("/sign-up")["token"]
  assert token not in person.cookies.values()
  name = unique("cookie")
  answer = person.send("/sign-up", name=name, email=f"{name}@example.com", password=PASSWORD, again=PASSWORD)
  value, rest = attributes(answer, "fairdraw")
  assert re.fullmatch("[0-9a-f]{64}", value) and rest == {"Path=/", f"Max-Age={30 * 86400}", "HttpOnly", "SameSite=Lax"}
  assert "Max-Age=0" in attributes(answer, "fairdraw-form")[1]


def test_over_https_cookies_are_secure_and_the_public_origin_counts(serve):
  server = serve(FAIRDRAW_PUBLIC_URL="https://draws.example.com", FAIRDRAW_SIGN_UP="true")
  person = Person(server, origin="https://draws.example.com")
  page = person.get("/sign-up")
  assert "__Host-fairdraw-form=" in page.header("Set-Cookie") and "; Secure" in page.header("Set-Cookie")
  plain = Person(server)
  assert plain.send("/sign-up", name="a", email="a@example.com", password=PASSWORD, again=PASSWORD).status == 403
  person.sign_up()
  assert person.session and "__Host-fairdraw" in person.cookies
  assert person.is_signed_in()
  assert "https://draws.example.com/api/ints" in shown(person.get("/dashboard"))


def test_a_session_token_is_new_at_each_sign_in(person):
  """Whoever planted a cookie before holds nothing afterwards."""
  first = person.sign_up().session
  planted = "0" * 64
  person.cookies = {"fairdraw": planted}
  assert person.sign_in().status == 303
  assert person.session not in (first, planted)
  second = person.session
  del person.cookies["fairdraw"]
  person.sign_in()
  assert person.session != second
  other = Person(person.server)
  for session, good in [(planted, False), (second, True), (first, True)]:
    other.cookies = {"fairdraw": session}
    assert other.is_signed_in() == good


def test_only_hashes_of_passwords_and_sessions_are_kept(site, person):
  person.password = "a password that is nowhere else 17"
  person.sign_up()
  key = person.make_key()
  _, secret = person.make_webhook("http://127.0.0.1:9/" + unique("hook"))
  draw(site, key)
  Person(site).sign_in(person.email, "a wrong one that is secret")
  stored = b"".join(path.read_bytes() for path in site.data.iterdir() if path.name.startswith("fairdraw.db"))
  for secret_text in (person.password, person.session, key, secret, "a wrong one that is secret"):
    assert secret_text.encode() not in stored
    assert secret_text not in site.settled_log()
  assert person.email.encode() in stored
  assert person.email not in site.settled_log() and person.name not in site.settled_log()


def test_a_session_ends_by_itself(site, person):
  person.sign_up()
  created, expires = site.sql("SELECT created, expires FROM sessions ORDER BY created DESC LIMIT 1")[0]
  assert expires - created == 30 * 86_400_000


# Who may not come in


def test_an_unknown_address_and_a_wrong_password_are_told_the_same(person, alice):
  wrong = person.sign_in(email=alice.email, password="not the password")
  unknown = person.sign_in(email=f"{unique('nobody')}@example.com", password="not the password")
  no_address = person.sign_in(email="nobody", password="not the password")
  assert wrong.status == unknown.status == no_address.status == 422
  assert said(wrong) == said(unknown) == said(no_address) == "The email address or the password is wrong."
  assert not person.is_signed_in()


def test_passwords_of_any_length_are_answered(person, alice):
  for password in ("x", "x" * 513, "x" * 10_000):
    assert person.sign_in(email=alice.email, password=password).status == 422


def test_guessing_is_slowed_down_and_a_success_clears_it(site, alice):
  guesser, owner = Person(site), Person(site).sign_up()
  for _ in range(4):
    assert guesser.sign_in(email=owner.email, password="wrong wrong").status == 422
  assert owner.sign_in().status == 303, "the owner comes in, and the count begins anew"
  for _ in range(5):
    assert guesser.sign_in(email=owner.email, password="wrong wrong").status == 422
  stopped = guesser.sign_in(email=owner.email, password=PASSWORD)
  assert stopped.status == 429 and 1 <= int(stopped.header("Retry-After")) <= 15
  assert stopped.header("RateLimit-Policy") == '"attempts";q=5'
  assert stopped.header("RateLimit") == f'"attempts";r=0;t={stopped.header("Retry-After")}'
  assert said(stopped).startswith("Too many attempts. Try again in ")
  assert not guesser.is_signed_in()
  assert Person(site).sign_in(email=owner.email, password=PASSWORD).status == 429, "from anywhere"
  assert Person(site).sign_in(email=alice.email, password=PASSWORD).status == 303, "others do not wait"


def test_guesses_from_elsewhere_do_not_stop_a_browser_that_has_signed_in_before(site, mallory):
  owner = Person(site).sign_up()
  owner.post("/sign-out", {"token": owner.token})
  [device] = [name for name in owner.cookies if "device" in name]
  guesser = Person(site)
  statuses = [guesser.sign_in(email=owner.email, password="wrong wrong").status for _ in range(6)]
  assert statuses == [422] * 5 + [429]
  assert owner.sign_in(password="mistyped too").status == 422
  assert owner.sign_in().status == 303 and owner.is_signed_in()
  assert guesser.sign_in(email=owner.email, password=PASSWORD).status == 429, "the guesser still waits"

  owner.post("/sign-out", {"token": owner.token})
  cookie = owner.cookies[device]
  for forged in (cookie[:-6] + "AAAAA=", "A" * len(cookie), ""):
    guesser.cookies[device] = forged
    assert guesser.sign_in(email=owner.email, password=PASSWORD).status == 429, "a cookie that was not made here"
  other = Person(site).sign_up()
  [others] = [name for name in other.cookies if "device" in name]
  guesser.cookies |= {device: other.cookies[others], others: other.cookies[others]}
  assert guesser.sign_in(email=owner.email, password=PASSWORD).status == 429, "another account's cookie"

  # The browser waits for its own failures, and nobody else waits for them.
  assert [owner.sign_in(password="wrong wrong").status for _ in range(6)] == [422] * 5 + [429]
  assert owner.sign_in().status == 429


def test_guesses_at_once_are_counted_at_once(site, alice):
  email = f"{unique('crowd')}@example.com"
  people = [Person(site) for _ in range(12)]
  forms = [person.form("/sign-in") for person in people]
  answers = together(12, lambda at: people[at].post("/sign-in", {**forms[at], "email": email, "password": "wrong wrong"}))
  assert sorted(answer.status for answer in answers) == [422] * 5 + [429] * 7


def test_many_addresses_from_one_place_are_slowed_down_too(site):
  guesser = Person(site)
  form = guesser.form("/sign-in")
  statuses = [
    guesser.post("/sign-in", {**form, "email": f"{unique('spray')}@example.com", "password": "x" * 513}).status for _ in range(21)]
  assert statuses == [422] * 20 + [429]
  assert Person(site).sign_in(email="somebody@example.com", password="x" * 600).status == 422


def test_making_accounts_is_slowed_down(site):
  person = Person(site)
  for _ in range(5):
    person.sign_up()
    person.cookies = {}
  answer = person.send("/sign-up", name=unique("n"), email=f"{unique('e')}@example.com", password=PASSWORD, again=PASSWORD)
  assert answer.status == 429 and answer.header("Retry-After")


def test_signing_up_is_closed_unless_it_is_opened(server):
  person = Person(server)
  assert person.get("/sign-up").status == 404
  assert person.post("/sign-up", {"name": "x"}).status == 404
  assert "/sign-up" not in person.get("/sign-in").body.decode()


def test_what_signing_up_refuses(site, person, alice):
  good = {"name": unique("name"), "email": f"{unique('e')}@example.com", "password": PASSWORD, "again": PASSWORD}
  for fields, status, words in [
    ({"name": ""}, 422, "A name is one line"), ({"name": "a\nb"}, 422, "A name is one line"), ({"name": "x" * 101}, 422, "A name"),
    ({"email": "nobody"}, 422, "not an email address"), ({"password": "short", "again": "short"}, 422, "10 characters"),
    ({"password": "x" * 513, "again": "x" * 513}, 422, "512 bytes"), ({"again": PASSWORD + "!"}, 422, "The two passwords differ"),
    ({"name": alice.name}, 409, "this name"), ({"email": alice.email.title()}, 409, "this email address"),
  ]:
    answer = person.send("/sign-up", **{**good, **fields})
    assert answer.status == status and words in said(answer), (fields, answer)
    kept = {**good, **fields}
    assert f'value="{html.escape(kept["email"])}"' in answer.body.decode(), "what was filled in stays"
    assert PASSWORD not in answer.body.decode()
  assert site.sql("SELECT count(*) FROM accounts WHERE name = ?", good["name"]) == [(0,)]


# Forms from elsewhere


def forgeries(person, token):
  """Every way a form should not come: what to change of it, by its name."""
  return {
    "no token": ({"token": None}, {}),
    "an empty token": ({"token": ""}, {}),
    "a wrong token": ({"token": "0" * 64}, {}),
    "the session's token itself": ({"token": person.session or "0" * 64}, {}),
    "another site": ({}, {"Origin": "https://evil.example"}),
    "another site, by the browser's word": ({}, {"Origin": None, "Sec-Fetch-Site": "cross-site"}),
    "a sibling site": ({}, {"Sec-Fetch-Site": "same-site"}),
    "nowhere": ({}, {"Origin": "null"}),
    "nowhere, and elsewhere by the browser's word": ({}, {"Origin": "null", "Sec-Fetch-Site": "cross-site"}),
    "nowhere, with a wrong token": ({"token": "0" * 64}, {"Origin": "null", "Sec-Fetch-Site": "same-origin"}),
    "who knows where": ({}, {"Origin": None}),
    "another port": ({}, {"Origin": f"http://{person.server.host}:1"}),
  }


def test_a_forged_form_changes_nothing(site, person):
  person.sign_up()
  key = person.make_key()
  key_id = person.key_id()
  hook, _ = person.make_webhook("http://127.0.0.1:9/" + unique("forged"))
  draw(site, key, "forged")
  posts = [
    ("/sign-out", {}), ("/dashboard/keys", {"mode": "live", "form": "0" * 64}), (f"/dashboard/keys/{key_id}/revoke", {}),
    (f"/dashboard/outcomes/rotate?clientSeed=forged", {"serverHash": site.seed("forged", key)["serverHash"]}),
    ("/dashboard/webhooks", {"url": "http://127.0.0.1:9/other", "form": "0" * 64}), (f"/dashboard/webhooks/{hook}/test", {}),
    (f"/dashboard/webhooks/{hook}/disable", {}), (f"/dashboard/webhooks/{hook}/enable", {}),
    (f"/dashboard/webhooks/{hook}/secret", {"form": "0" * 64}), (f"/dashboard/webhooks/{hook}/delete", {}),
    (f"/dashboard/webhooks/{hook}/events", {"day.published": "1"}),
    (f"/dashboard/webhooks/{hook}/resend", {"from": "2020-01-01", "until": "2999-01-01", "state": "delivered"}),
    ("/dashboard/account/sessions", {}),
    ("/dashboard/account/password", {"current": PASSWORD, "new": "another password", "again": "another password"}),
    ("/dashboard/account/delete", {"name": person.name, "password": PASSWORD}),
  ]

  def state():
    return [site.sql(f"SELECT * FROM {table} ORDER BY 1") for table in ("accounts", "api_keys", "sessions", "sign_ins")] + [site.sql(HOOKS)] + [site.seed("forged", key)["serverHash"]]

  other = Person(site)
  other.email = person.email
  other.sign_in()
  before, token = state(), person.token
  deliveries = site.sql("SELECT count(*) FROM deliveries WHERE outcome_id IS NULL")
  for path, fields in posts:
    for name, (change, headers) in forgeries(person, token).items():
      sent = {key: value for key, value in {**fields, "token": token, **change}.items() if value is not None}
      answer = person.post(path, sent, **headers)
      assert answer.status == 403 and b"<h1>" in answer.body, (path, name, answer)
  assert state() == before
  assert site.sql("SELECT count(*) FROM deliveries WHERE outcome_id IS NULL") == deliveries
  assert person.is_signed_in() and draw(site, key, "forged").status == 200


def test_a_browser_may_keep_its_origin_to_itself(site, person):
  """As some do, for privacy. It says then that the form comes from this site, and no page can make it say so."""
  person.sign_up()
  private = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
  answer = person.post("/dashboard/keys", {**person.form("/dashboard/keys/new"), "mode": "live"}, **private)
  assert answer.status == 200 and b'id="key"' in answer.body
  answer = person.post("/sign-out", {"token": person.token}, **private)
  assert (answer.status, answer.header("Location")) == (303, "/")


def test_a_forged_sign_in_lets_nobody_in(site, alice):
  for path, fields in [
    ("/sign-in", {"email": alice.email, "password": PASSWORD}),
    ("/sign-up", {"name": unique("x"), "email": f"{unique('x')}@example.com", "password": PASSWORD, "again": PASSWORD}),
  ]:
    person = Person(site)
    token = person.form(path)["token"]
    for name, (change, headers) in forgeries(person, token).items():
      sent = {key: value for key, value in {**fields, "token": token, **change}.items() if value is not None}
      answer = person.post(path, sent, **headers)
      assert answer.status == 403 and person.session is None, (path, name, answer)
    assert Person(site).post(path, {**fields, "token": token}).status == 403, "a token without its cookie"


def test_the_token_of_one_session_is_no_good_in_another(alice, mallory):
  assert mallory.post("/dashboard/keys", {"mode": "live", "form": "0" * 64, "token": alice.token}).status == 403


def test_on_to_no_other_site_after_signing_in(site, alice):
  for where in (
      "https://evil.example", "//evil.example", "/\\evil.example", "/dashboard//evil.example", "/sign-up", "javascript:alert(1)",
      "/dashboard/../sign-up", "/dashboard/%2e%2E/api/ints", "/dashboard/.."):
    person = Person(site)
    page = person.get("/sign-in?" + urllib.parse.urlencode({"next": where}))
    assert '<input type="hidden" name="next" value="/dashboard">' in page.body.decode()
    assert person.sign_in(alice.email, PASSWORD, next=where).header("Location") == "/dashboard"
  person = Person(site)
  assert person.sign_in(alice.email, PASSWORD, next="/dashboard/usage").header("Location") == "/dashboard/usage"


def test_forms_count_against_what_an_account_may_store_at_no_cost(site):
  person, other = Person(site).arrive(), Person(site).arrive()
  hooks = {who: who.make_webhook("http://127.0.0.1:9/" + unique("hook"))[0] for who in (person, other)}
  key = site.key(person.name)
  with site.connect() as connection:
    statuses = [connection.post("/api/commit", key=key).status for _ in range(1500)]
  # Ten more are allowed in each second.
  assert statuses[:500] == [200] * 500 and 429 in statuses
  token = person.token
  for path in (f"/dashboard/webhooks/{hooks[person]}/test", "/dashboard/keys", "/dashboard/account/password"):
    answers = (person.post(path, {"token": token}) for _ in range(300))
    refusal = next((answer for answer in answers if answer.status == 429), None)
    assert refusal, path
    assert int(refusal.header("Retry-After")) >= 1 and "too many requests that cost no quota" in refusal.body.decode()
  assert person.get("/dashboard/webhooks").status == 200
  assert other.post(f"/dashboard/webhooks/{hooks[other]}/test", {"token": other.token}).status == 303


# What is another's


def test_what_is_anothers_is_as_if_it_were_not_there(site, alice, mallory):
  key = alice.make_key(name="alice's")
  key_id = alice.key_id()
  hook, _ = alice.make_webhook("http://127.0.0.1:9/" + unique("alices"))
  draw(site, key, "alices-chain")
  alice.post(f"/dashboard/webhooks/{hook}/test", {"token": alice.token})
  delivery = site.sql("SELECT max(id) FROM deliveries")[0][0]
  rotate = "/dashboard/outcomes/rotate?clientSeed=alices-chain"
  token, nothing = mallory.token, 999_999_999

  def state():
    return [site.sql("SELECT * FROM api_keys ORDER BY id"), site.sql(HOOKS),
            site.seed("alices-chain", key)["serverHash"], site.sql("SELECT count(*) FROM deliveries")]

  before = state()
  for path, theirs, fields in [
    ("/dashboard/keys/{}/revoke", key_id, {}), ("/dashboard/webhooks/{}/test", hook, {}), ("/dashboard/webhooks/{}/disable", hook, {}),
    ("/dashboard/webhooks/{}/enable", hook, {}), ("/dashboard/webhooks/{}/secret", hook, {"form": "0" * 64}),
    ("/dashboard/webhooks/{}/delete", hook, {}), ("/dashboard/deliveries/{}/resend", delivery, {}),
    ("/dashboard/webhooks/{}/events", hook, {"day.published": "1"}),
    ("/dashboard/webhooks/{}/resend", hook, {"from": "2020-01-01", "until": "2999-01-01", "state": "delivered"}),
    (rotate, key_id, {"serverHash": before[2]}),
  ]:
    answers = [mallory.post(path.format(number), {**fields, "token": token}) for number in (theirs, nothing)]
    assert [answer.status for answer in answers] == [404, 404], path
    assert re.sub("<title>.*", "", answers[0].body.decode()) == re.sub("<title>.*", "", answers[1].body.decode()), path
  for path, theirs in [
    ("/dashboard/keys/{}/revoke", key_id), ("/dashboard/webhooks/{}", hook), ("/dashboard/webhooks/{}/delete", hook),
    ("/dashboard/webhooks/{}/secret", hook), ("/dashboard/deliveries?webhook={}", hook), (rotate, key_id),
    ("/dashboard/outcomes/chain?clientSeed=alices-chain", key_id),
  ]:
    assert [mallory.get(path.format(number)).status for number in (theirs, nothing)] == [404, 404], path
  assert state() == before
  assert "alices-chain" not in shown(mallory.get("/dashboard/outcomes?clientSeed=alices"))
  assert "alice's" not in shown(mallory.get("/dashboard/keys"))
  assert mallory.get("/dashboard/deliveries").body.decode().count("/resend") == 0


@pytest.mark.parametrize("number", ["0", "-1", "9" * 18, "9" * 30, "1e3", "+1", "%31", "x", "..", "1%00", "１"])
def test_numbers_in_addresses_are_numbers(alice, number):
  for path in ("/dashboard/keys/{}/revoke", "/dashboard/webhooks/{}", "/dashboard/webhooks/{}/secret"):
    assert alice.get(path.format(urllib.parse.quote(number, safe="%"))).status in (400, 404)


# Hostile input


def test_text_stays_text_everywhere(site, person):
  person.arrive(name=MARKUP[:100])
  key = person.make_key(name=MARKUP[:100])
  draw(site, key, MARKUP)
  person.send("/dashboard/webhooks/new", "/dashboard/webhooks", url="http://127.0.0.1:9/" + urllib.parse.quote(MARKUP))
  query = urllib.parse.urlencode({"clientSeed": MARKUP})
  pages = [*PAGES, f"/dashboard/outcomes?{query}", f"/dashboard/outcomes/chain?{query}",
           f"/dashboard/outcomes/rotate?{query}", f"/dashboard/keys/{person.key_id()}/revoke"]
  answers = [person.get(page) for page in pages]
  answers += [
    person.send("/dashboard/keys/new", "/dashboard/keys", mode="live", name=MARKUP[:100], networks=MARKUP, referers=MARKUP),
    person.send("/dashboard/webhooks/new", "/dashboard/webhooks", url=MARKUP),
    person.send("/dashboard/account/delete", name=MARKUP, password=MARKUP),
    person.get("/dashboard/outcomes?" + urllib.parse.urlencode({"shortId": MARKUP})),
    person.sign_in(email=MARKUP, password=MARKUP),
  ]
  for answer in answers:
    text = answer.body.decode()
    assert "<img" not in text and "<script>" not in text and "onerror=\"d" not in text, text
  assert MARKUP[:40] in shown(answers[1]) and MARKUP in shown(answers[len(PAGES)])


def test_bad_forms_are_refused_by_the_fields_name(alice):
  token = alice.token
  for body, status, words in [
    (b"token=%zz", 400, "token has a %"), (b"name=%ff", 400, "name is not valid UTF-8"), (b"name=\xff\xfe", 400, "name is not valid UTF-8"),
    (b"name=a%00b", 400, "name must not contain NUL"), (b"name=a\x00b", 400, "name must not contain NUL"),
    (f"token={token}&token={token}".encode(), 400, "token must be given once"), (b"&".join(b"f%d=" % n for n in range(100)), 400, "fields"),
    (b"name=" + b"x" * 70_000, 413, "65536 bytes"),
  ]:
    answer = alice.post("/dashboard/keys", body)
    assert answer.status == status and words in shown(answer), (body[:40], answer)
  for kind in ("application/json", "multipart/form-data; boundary=x", "text/plain"):
    assert alice.post("/dashboard/keys", {"token": token}, Content_Type=kind).status == 415
  for query in ("?done=%ff", "?done=%00", "?done=a&done=b"):
    assert alice.get("/dashboard/keys" + query).status == 400


def test_long_fields_are_refused_and_kept(site, alice):
  long = "x" * 10_000
  for page, action, fields in [
    ("/dashboard/keys/new", "/dashboard/keys", {"mode": "live", "name": long}),
    ("/dashboard/keys/new", "/dashboard/keys", {"mode": long}),
    ("/dashboard/keys/new", "/dashboard/keys", {"mode": "live", "networks": long}),
    ("/dashboard/keys/new", "/dashboard/keys", {"mode": "live", "referers": long}),
    ("/dashboard/webhooks/new", "/dashboard/webhooks", {"url": "http://example.com/" + long}),
    ("/dashboard/account", "/dashboard/account/password", {"current": PASSWORD, "new": long, "again": long}),
    ("/dashboard/account/delete", None, {"name": long, "password": long}),
  ]:
    before = site.sql("SELECT count(*) FROM api_keys"), site.sql("SELECT count(*) FROM webhook_endpoints")
    answer = alice.send(page, action, **fields)
    assert answer.status == 422 and said(answer), (page, fields.keys(), answer)
    assert (site.sql("SELECT count(*) FROM api_keys"), site.sql("SELECT count(*) FROM webhook_endpoints")) == before
  assert alice.get("/dashboard/outcomes?clientSeed=" + "x" * 300).status == 422


def test_pages_are_guarded_and_kept_by_nobody(alice):
  for page in [*PAGES, "/sign-in", "/sign-up"]:
    answer = (Person(alice.server) if page.startswith("/sign") else alice).get(page)
    assert answer.status == 200, page
    assert answer.header("Cache-Control") == "no-store" and answer.header("Vary") == "Cookie"
    assert "script-src 'self'" in answer.header("Content-Security-Policy") and answer.header("X-Frame-Options") == "DENY"
    assert answer.header("Referrer-Policy") == "same-origin", "with no-referrer, forms would not say where they come from"
    text = answer.body.decode()
    assert not re.search(r"<[^>]+\s(?:style|on\w+)=", text) and "<style" not in text
    assert not re.search(r'(?:src|href|action)="(?:https?:)?//', text)
    assert alice.request("HEAD", page).body == b""


# Keys


def test_a_key_is_made_shown_once_and_revoked(site, alice):
  key = alice.make_key(name="Raffle", networks="127.0.0.0/8\n10.0.0.0/8, ::1", referers="")
  listed = shown(alice.get("/dashboard/keys"))
  assert "Raffle" in listed and key[:16] in listed and key not in listed and "127.0.0.0/8" in listed
  assert draw(site, key).status == 200
  assert "key=" not in site.settled_log()

  key_id = alice.key_id()
  asked = alice.get(f"/dashboard/keys/{key_id}/revoke")
  assert "cannot be undone" in shown(asked) and draw(site, key).status == 200
  answer = alice.post(f"/dashboard/keys/{key_id}/revoke", {"token": alice.token})
  assert (answer.status, answer.header("Location")) == (303, "/dashboard/keys?done=revoked")
  assert "is revoked" in shown(alice.get("/dashboard/keys?done=revoked"))
  wait_until(lambda: draw(site, key).status == 401, "the key is turned away")


def test_a_form_that_is_sent_twice_makes_one_key(site, alice):
  form = {**alice.form("/dashboard/keys/new"), "mode": "live", "name": unique("once")}
  first = alice.post("/dashboard/keys", form)
  assert first.status == 200
  again = alice.post("/dashboard/keys", form)
  assert (again.status, again.header("Location")) == (303, "/dashboard/keys?done=sent-before")
  assert site.sql("SELECT count(*) FROM api_keys WHERE name = ?", form["name"]) == [(1,)]
  answers = together(6, lambda _: alice.post("/dashboard/keys", {**form, "name": form["name"] + "!"}).status)
  assert site.sql("SELECT count(*) FROM api_keys WHERE name = ?", form["name"] + "!") == [(1,)]
  assert answers.count(200) == 1 and set(answers) <= {200, 303, 503}
  assert alice.post("/dashboard/keys", {**form, "form": ""}).status == 400


def test_a_form_that_is_sent_to_two_servers_makes_one_key_and_one_secret(serve):
  first, second = serve(FAIRDRAW_ALLOW_PRIVATE_WEBHOOKS="true"), serve(FAIRDRAW_ALLOW_PRIVATE_WEBHOOKS="true")
  person = Person(first).arrive()

  def at(server, page, form):
    person.server, person.origin = server, f"http://{server.host}:{server.port}"
    return person.post(page, form)

  form = {**person.form("/dashboard/keys/new"), "mode": "live"}
  assert at(first, "/dashboard/keys", form).status == 200
  assert at(second, "/dashboard/keys", form).header("Location") == "/dashboard/keys?done=sent-before"
  assert first.sql("SELECT count(*) FROM api_keys") == [(1,)]

  hook, _ = person.make_webhook("http://127.0.0.1:9/x")
  page = f"/dashboard/webhooks/{hook}/secret"
  form = person.form(page)
  answers = [at(server, page, form) for server in (first, second, first)]
  assert len({re.search(r'<code id="secret">([^<]+)', answer.body.decode())[1] for answer in answers}) == 1


def test_what_keys_refuse(alice):
  for fields, words in [
    ({"mode": ""}, "live or for test"), ({"mode": "both"}, "live or for test"), ({"mode": "live", "networks": "10.0.0.0/33"}, "not a CIDR block"),
    ({"mode": "live", "referers": "https://a.example/path"}, "not an origin"), ({"mode": "live", "name": "a\r\nb"}, "one line"),
    ({"mode": "live", "networks": "\n".join(f"10.0.0.{n}" for n in range(51))}, "50 networks"),
  ]:
    answer = alice.send("/dashboard/keys/new", "/dashboard/keys", **fields)
    assert answer.status == 422 and words in said(answer), (fields, answer)
    for value in fields.values():
      if value not in ("", "both", "live") and "\r" not in value:
        assert html.escape(value).replace("&#x27;", "&#39;") in answer.body.decode(), "what was filled in stays"


# Usage


def test_usage_is_told_in_a_chart_and_in_numbers(site, person):
  person.arrive()
  assert "No draw yet" in shown(person.get("/dashboard/usage"))
  key = person.make_key()
  for _ in range(3):
    draw(site, key)
  site.draw("dice", {"clientSeed": "u", "notation": "1d6"}, key=key)
  rehearsal = person.make_key(mode="test")
  assert draw(site, rehearsal).status == 200
  text = person.get("/dashboard/usage?by=generator").body.decode()
  assert re.search(r"<strong>4</strong> of 10\W000 draws", text), text
  assert re.search(r'<svg class="chart"[^>]*aria-label="Draws on each of 60 days[^"]*: 4 in all, at most 4 on one day', text)

  def table(text):
    days = text.partition('id="days"')[2]
    [row] = re.findall(r'<tr><th scope="row">\d{4}-\d\d-\d\d</th>(.*?)</tr>', days)
    return re.findall(r'<th scope="col">([^<]+)</th>', days), re.findall(r"<td>(\d+)</td>", row)

  assert table(text) == (["Day", "All", "ints", "dice"], ["4", "3", "1"]) and "url(#fill-dice)" in text
  # One hue, until somebody asks for more.
  plain = person.get("/dashboard/usage").body.decode()
  assert table(plain) == (["Day", "All"], ["4"]) and "url(#" not in plain and "<pattern" not in plain
  hours = plain.partition('id="hours"')[2].partition("</section>")[0]
  assert re.search(r'aria-label="Draws in each hour of today, UTC: 4 in all', hours), hours
  # The hour may have ended between two draws.
  counts = [int(count) for count in re.findall(r'<tr><th scope="row">\d\d:00</th><td>(\d+)</td></tr>', hours)]
  assert sum(counts) == 4 and len(counts) <= 2 and hours.count("<rect") == len(counts)


def test_a_key_has_a_quota_of_its_own(site):
  person = Person(site).arrive()
  key = person.make_key(quota="2")
  address = f"/dashboard/keys/{person.key_id()}/quota"
  assert [draw(site, key).status for _ in range(3)] == [200, 200, 429]
  assert "2 of 2" in shown(person.get("/dashboard/keys"))
  for wrong in ("-1", "x", "1.5", "2147483648"):
    refused = person.send(address, address, quota=wrong)
    assert refused.status == 422 and "from 0 to 2147483647" in shown(refused)
    assert person.send("/dashboard/keys/new", "/dashboard/keys", mode="live", quota=wrong).status == 422
  assert person.send("/dashboard/keys/new", "/dashboard/keys", mode="test", quota="3").status == 422
  assert draw(site, key).status == 429, "nothing was changed"
  assert person.send(address, address, quota="3").header("Location").endswith("/dashboard/keys?done=quota")
  assert [draw(site, key).status for _ in range(2)] == [200, 429] and 'value="3"' in person.get(address).body.decode()
  assert person.send(address, address, quota="").status == 303 and draw(site, key).status == 200
  assert "The account’s" in shown(person.get("/dashboard/keys"))
  stranger = Person(site).arrive()
  assert stranger.get(address).status == 404 and stranger.send("/dashboard/keys/new", address, quota="0").status == 404
  assert draw(site, key).status == 200


def test_a_spent_quota_is_said(serve):
  server = serve(FAIRDRAW_DAILY_QUOTA=1)
  person = Person(server).arrive()
  key = person.make_key()
  assert draw(server, key).status == 200 and draw(server, key).status == 429
  assert "The quota is spent" in shown(person.get("/dashboard"))
  server.cli("account", "set", person.name, "--daily-quota", 5, check=True)
  page = shown(person.get("/dashboard"))
  assert "The quota is spent" not in page and "1 of 5" in page and draw(server, key).status == 200


# Outcomes


def test_outcomes_are_found_by_how_their_seed_begins(site, person):
  person.arrive()
  key = person.make_key()
  for number in range(27):
    draw(site, key, f"find:{number:02}")
  draw(site, key, "other")
  first = person.get("/dashboard/outcomes?clientSeed=find:").body.decode()
  assert first.count('class="row-link"') == 25 and "other" not in first
  [more] = re.findall(r'<a class="button" href="([^"]+)">More', first)
  second = person.get(html.unescape(more)).body.decode()
  assert second.count('class="row-link"') == 2 and "find:26" in second
  assert "begins with this" in shown(person.get("/dashboard/outcomes?clientSeed=FIND"))


def test_a_chains_outcomes_are_paged_and_lead_to_their_pages(site, person):
  person.arrive()
  key = person.make_key()
  seed = "a b/ä\n%&\"<" + "\u202e"
  ids = [draw(site, key, seed).json()["shortId"] for _ in range(30)]
  found = person.get("/dashboard/outcomes").body.decode()
  [address] = re.findall(r'class="row-link" href="([^"]+)"', found)
  page = person.get(html.unescape(address)).body.decode()
  assert re.findall(r'class="row-link" href="/o/(\w+)"', page) == ids[:4:-1]
  [older] = re.findall(r'<a class="button" href="([^"]+)">Older', page)
  page = person.get(html.unescape(older)).body.decode()
  assert re.findall(r'class="row-link" href="/o/(\w+)"', page) == ids[4::-1]
  assert person.get(f"/o/{ids[0]}").status == 200
  assert person.get("/dashboard/outcomes?shortId=" + ids[0]).header("Location") == f"/o/{ids[0]}"
  assert person.get("/dashboard/outcomes?shortId=//evil.example").status == 404


def test_what_became_of_a_request_is_found_by_its_key(site, person, mallory):
  person.arrive()
  live, test = person.make_key(), person.make_key(mode="test")

  def look(key, who=person, **more):
    return who.get("/dashboard/requests?" + urllib.parse.urlencode({"key": key, **more}))

  name = unique("order") + '/<b>&?"'
  items = ["Béla", {"name": "陈"}]
  drawn = site.draw("shuffle", {"clientSeed": "é", "items": items}, key=live, headers={"Idempotency-Key": name}).json()
  for spelt in (name, f" {name} ", '"' + name.replace('"', '\\"') + '"'):
    found = look(spelt)
    assert found.status == 200, found
    text = shown(found)
    assert f"Idempotency key {name} " in text and "/api/shuffle , with a live key" in text and " Status 200 " in text
    assert "Béla" in text and "陈" in text and "\\u00e9" not in text
    assert re.findall(r'href="/o/(\w{10})"', found.body.decode()) == [drawn["shortId"]]
    assert "<b>" not in found.body.decode()
  assert draw(site, live).status == 200, "looking draws nothing"
  assert site.seed("é", live)["nonce"] == 1

  batch = {"draws": [{"endpoint": "ints", "params": {}}, {"endpoint": "ints", "params": {"count": 0}}, {"endpoint": "bytes", "params": {"count": 1024}}] * 15}
  results = site.post("/api/batch", batch, key=live, headers={"Idempotency-Key": "batch"}).json()["results"]
  found = look("batch")
  assert re.findall(r'href="/o/(\w{10})"', found.body.decode()) == [result["outcome"]["shortId"] for result in results if result["ok"]]
  assert "This is its beginning" in shown(found) and len(found.body) < 60_000
  assert site.get("/api/ints", {"count": 0}, key=live, headers={"Idempotency-Key": "refused"}).status == 400
  assert " Status 400 " in shown(look("refused")) and "Draws None" in shown(look("refused"))
  # A test key's requests are others, and so are another account's.
  assert draw(site, test, "t").status == 200
  site.draw("ints", {"clientSeed": "t"}, key=test, headers={"Idempotency-Key": "rehearsed"})
  assert look("rehearsed", mode="test").status == 200 and "with a test key" in shown(look("rehearsed", mode="test"))
  for missing in (look("rehearsed"), look("batch", mode="test"), look("batch", mallory), look("none")):
    assert missing.status == 404 and said(missing).startswith("No response is stored under this idempotency key"), missing
  for bad in ("", "a b", "é", "x" * 256, "\x7f"):
    answer = look(bad)
    assert answer.status == 422 and said(answer) == "An idempotency key has 1 to 255 visible ASCII characters."
    assert f'value="{html.escape(bad.strip())}"' in answer.body.decode(), "what was filled in stays"


def test_rotating_reveals_the_seed_once(site, person):
  person.arrive()
  key = person.make_key()
  outcome = draw(site, key, "turn").json()
  address = f"/dashboard/outcomes/rotate?clientSeed=turn"
  form = person.form(address)
  assert form["serverHash"] == outcome["serverHash"]
  first = person.post(address, form)
  assert first.status == 200
  text = shown(first)
  [seed] = re.findall(r'<code id="revealed">([0-9a-f]{64})</code>', first.body.decode())
  after = site.seed("turn", key)
  assert outcome["serverHash"] in text and after["serverHash"] in text
  assert site.get("/api/verifyShortId", {"shortId": outcome["shortId"]}).json()["serverSeed"] == seed

  again = person.post(address, form)
  assert again.status == 200 and seed in shown(again), "sent again, it is the same answer"
  assert site.seed("turn", key)["serverHash"] == after["serverHash"]
  stale = person.post(address, {**form, "serverHash": "0" * 64})
  assert stale.status == 409 and "was rotated after you opened" in said(stale)
  assert site.seed("turn", key)["serverHash"] == after["serverHash"]
  assert person.post(address, {**form, "serverHash": "x"}).status == 400


def test_a_chain_outlives_the_key_it_was_begun_with(site, person):
  person.arrive()
  outcome = draw(site, person.make_key(), "late").json()
  address = "/dashboard/outcomes/rotate?clientSeed=late"
  form = person.form(address)
  person.post(f"/dashboard/keys/{person.key_id()}/revoke", {"token": form["token"]})
  assert outcome["shortId"] in shown(person.get("/dashboard/outcomes/chain?clientSeed=late"))
  assert person.post(address, form).status == 200
  assert site.get("/api/verifyShortId", {"shortId": outcome["shortId"]}).json()["verified"] is True


# Webhooks


@pytest.fixture
def receiver(tmp_path):
  running = Receiver(tmp_path)
  yield running
  running.stop()


def test_a_webhook_from_its_making_to_its_end(site, person, receiver):
  person.arrive()
  hook, secret = person.make_webhook(receiver.url("/ok"))
  page = f"/dashboard/webhooks/{hook}"
  assert secret.startswith("whsec_") and secret not in shown(person.get(page))
  token = person.token

  def post(action):
    return person.post(f"{page}/{action}", {"token": token})

  assert post("test").header("Location") == f"{page}?done=tested"
  wait_until(lambda: 'class="tag delivered"' in person.get(page).body.decode(), "the test event is delivered")
  delivery = int(re.search(r"/deliveries/(\d+)/resend", person.get(page).body.decode())[1])
  answer = person.post(f"/dashboard/deliveries/{delivery}/resend", {"token": token, "webhook": hook})
  assert answer.header("Location") == f"/dashboard/deliveries?webhook={hook}&done=resent"
  wait_until(lambda: len(receiver.received()) == 2, "it is sent again")
  wait_until(lambda: "2 attempts" in shown(person.get("/dashboard/deliveries?state=delivered")), "both attempts are shown")
  assert "200" in shown(person.get(page)) and '{"status":200}' in shown(person.get(page))

  assert "1 webhook " in shown(person.get("/dashboard"))
  assert post("disable").status == 303 and "disabled" in shown(person.get(page))
  overview = shown(person.get("/dashboard"))
  assert "A webhook is disabled" in overview and "0 webhooks " in overview
  refused = post("test")
  assert refused.status == 409 and "Enable it first" in said(refused)
  assert post("enable").status == 303
  assert post("delete").header("Location") == "/dashboard/webhooks?done=deleted"
  assert person.get(page).status == 404 and "No webhook yet" in shown(person.get("/dashboard/webhooks"))


def test_a_secret_that_is_replaced_is_shown_once_and_both_sign(site, person, receiver):
  person.arrive()
  hook, secret = person.make_webhook(receiver.url("/ok"))
  page = f"/dashboard/webhooks/{hook}/secret"
  form = person.form(page)
  answer = person.post(page, form)
  new = html.unescape(re.search(r'<code id="secret">([^<]+)', answer.body.decode())[1])
  assert new != secret and "24 hours" in shown(answer)
  assert person.post(page, form).status == 200, "a reload changes nothing:"
  person.post(f"/dashboard/webhooks/{hook}/test", {"token": form["token"]})
  [event] = wait_until(receiver.received, "the test event comes")
  assert len(event["headers"]["webhook-signature"].split(" ")) == 4
  from receiver import signatures_hold
  for each in (secret, new):
    assert signatures_hold(each, event["headers"], event["body"].encode())["standard"]


def test_what_a_key_may_do_is_chosen(site, person):
  person.arrive()
  key = person.make_key(scopes="read")
  assert site.get("/api/usage", key=key).status == 200 and site.get("/api/ints", key=key).code == "insufficient_scope"
  manager = person.make_key(scopes="draw,read,manage")
  assert site.get("/api/webhooks", key=manager).json() == {"webhooks": []}
  assert "draw, read, manage" in person.get("/dashboard/keys").body.decode()
  assert site.get("/api/ints", key=person.make_key()).status == 200
  for fields in ({"mode": "live", "scopes": "write"}, {"mode": "live", "scopes": ""}, {"mode": "test", "scopes": "manage"}):
    assert person.send("/dashboard/keys/new", "/dashboard/keys", **fields).status == 422


def test_a_webhooks_events_are_chosen_and_its_dead_deliveries_sent_again(site, person, tmp_path):
  person.arrive()
  key, url = person.make_key(scopes="draw,read,manage"), "http://127.0.0.1:9/" + unique("chosen")
  made = person.send("/dashboard/webhooks/new", "/dashboard/webhooks", url=url, **{"outcome.created": "1", "quota.reached": "1"})
  assert made.status == 200
  [hook] = site.get("/api/webhooks", key=key).json()["webhooks"]
  assert hook["events"] == ["outcome.created", "quota.reached"]
  page = person.get(f"/dashboard/webhooks/{hook['id']}").body.decode()
  assert "outcome.created, quota.reached" in page and html.escape(hook["publicKey"]) in page
  person.make_webhook(url + "/all")
  assert [len(hook["events"]) for hook in site.get("/api/webhooks", key=key).json()["webhooks"]] == [2, 5]
  again, form = f"/dashboard/webhooks/{hook['id']}/resend", person.form("/dashboard/webhooks/new")
  for days in ({}, {"from": "2026-02-30", "until": "2999-01-01"}, {"from": "2026-02-03", "until": "2026-02-02"}):
    assert person.post(again, {"token": form["token"], **days}).status == 422
  site.draw("ints", key=key)
  wait_until(lambda: [d for d in site.get(f"/api/webhooks/{hook['id']}/deliveries", key=key).json()["deliveries"] if d["attempts"]], "it was tried")

  def state():
    return site.get(f"/api/webhooks/{hook['id']}/deliveries", key=key).json()["deliveries"][0]["state"]

  # A delivery that is still tried is not sent again; one that is dead is, and so is one that was delivered.
  for state_before, said_state in (("dead", 3), ("delivered", 2)):
    fields = {"token": form["token"], "from": "2020-01-01T00:00", "until": "2999-01-01", "state": state_before}
    answer = person.post(again, fields)
    assert answer.status == 409 and f"is {state_before}. Nothing was sent." in said(answer) and state() == "pending"
    assert 'value="2020-01-01T00:00"' in answer.body.decode(), "what was filled in stays"
    with closing(sqlite3.connect(site.database, timeout=TIMEOUT)) as connection, connection:
      connection.execute("UPDATE deliveries SET state = ?, due = NULL, claim = NULL WHERE endpoint_id = ?", (said_state, hook["id"]))
    assert person.post(again, {**fields, "from": "2998-01-01T00:00"}).status == 409 and state() == state_before, "not of another time"
    answer = person.post(again, fields)
    assert answer.header("Location") == f"/dashboard/deliveries?webhook={hook['id']}&done=resent-all" and state() == "pending"
  assert "The deliveries are due" in shown(person.get(answer.header("Location")))


def test_a_webhooks_events_are_changed(site, person):
  person.arrive()
  key = person.make_key(scopes="draw,read,manage")
  hook, _ = person.make_webhook("http://127.0.0.1:9/" + unique("events"))
  page = f"/dashboard/webhooks/{hook}"

  def change(*names):
    answer = person.post(f"{page}/events", {"token": person.token, **{name: "1" for name in names}})
    assert answer.header("Location") == f"{page}?done=events"
    return site.get(f"/api/webhooks/{hook}", key=key).json()["events"]

  assert change("chain.rotated", "outcome.created", "no.such") == ["outcome.created", "chain.rotated"]
  text = person.get(page).body.decode()
  assert "outcome.created, chain.rotated" in text
  assert re.findall(r'name="([a-z.]+)" value="1" checked', text) == ["outcome.created", "chain.rotated"]
  assert "outcome.created, chain.rotated" in person.get("/dashboard/webhooks").body.decode()
  assert len(change()) == 5 and 'value="1" checked' not in person.get(page).body.decode()


def test_what_webhooks_refuse(site, person):
  person.arrive()
  for url in ("ftp://example.com", "example.com", "", "https://user@example.com", "https://example.com/#x", "javascript:alert(1)"):
    answer = person.send("/dashboard/webhooks/new", "/dashboard/webhooks", url=url)
    assert answer.status == 422 and "not valid for a webhook" in said(answer), url
  url = "http://127.0.0.1:9/" + unique("double")
  form = {**person.form("/dashboard/webhooks/new"), "url": url}
  assert [person.post("/dashboard/webhooks", form).status for _ in range(2)] == [200, 409]
  assert site.sql("SELECT count(*) FROM webhook_endpoints WHERE url = ?", url) == [(1,)]
  for number in range(9):
    person.make_webhook(f"{url}/{number}")
  full = person.send("/dashboard/webhooks/new", "/dashboard/webhooks", url=url + "/more")
  assert full.status == 409 and "10 webhooks" in said(full)


def test_private_addresses_are_refused_at_once(serve):
  server = serve()
  person = Person(server).arrive()
  for host in ("127.0.0.1", "[::1]", "10.1.2.3", "169.254.169.254", "[::ffff:127.0.0.1]"):
    answer = person.send("/dashboard/webhooks/new", "/dashboard/webhooks", url=f"http://{host}/x")
    assert answer.status == 422 and "private address" in said(answer), host


def test_a_receivers_answer_is_shown_as_text(site, person, tmp_path):
  """Also one that would like to be a page."""
  program = tmp_path / "hostile.py"
  program.write_text(
    "import http.server\n"
    "class Handler(http.server.BaseHTTPRequestHandler):\n"
    "  def do_POST(self):\n"
    f"    body = {MARKUP!r}.encode() + b'\\xff\\x00\\x1b[31m'\n"
    "    self.send_response(500); self.send_header('Content-Length', str(len(body))); self.end_headers(); self.wfile.write(body)\n"
    "server = http.server.HTTPServer(('127.0.0.1', 0), Handler)\n"
    "print(server.server_port, flush=True); server.serve_forever()\n")
  with subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
    try:
      person.arrive()
      hook, _ = person.make_webhook(f"http://127.0.0.1:{int(process.stdout.readline())}/")
      person.post(f"/dashboard/webhooks/{hook}/test", {"token": person.token})
      page = f"/dashboard/webhooks/{hook}"
      wait_until(lambda: "1 attempt" in shown(person.get(page)), "it is attempted")
      text = person.get(page).body.decode()
      assert html.escape(MARKUP).replace("&#x27;", "&#39;") in text and "<img" not in text
    finally:
      process.kill()


# The account


def test_a_password_is_changed_and_other_sessions_end(site, person):
  person.sign_up()
  other = Person(site)
  other.email = person.email
  other.sign_in()
  assert other.is_signed_in()
  page, new = "/dashboard/account", "a new and better one"

  def change(current, fresh, again):
    return person.send(page, f"{page}/password", current=current, new=fresh, again=again)

  assert said(change("wrong wrong wrong", new, new)) == "The password is wrong."
  assert said(change(PASSWORD, "short", "short")) == "A password must have at least 10 characters."
  assert said(change(PASSWORD, new, new + "r")) == "The two passwords differ."
  assert other.is_signed_in()
  assert change(PASSWORD, new, new).header("Location") == "/dashboard/account?done=password"
  assert person.is_signed_in() and not other.is_signed_in()
  assert other.sign_in().status == 422 and other.sign_in(password=new).status == 303


def test_other_browsers_are_signed_out(site, person, alice):
  person.sign_up()
  assert "No other browser is signed in." in shown(person.get("/dashboard/account"))
  others = [Person(site) for _ in range(2)]
  for other in others:
    other.email = person.email
    other.sign_in()
  page = person.get("/dashboard/account")
  assert shown(page).count("signed in 20") == 2, page
  assert all(other.is_signed_in() for other in others)
  answer = person.post("/dashboard/account/sessions", {"token": person.token})
  assert answer.header("Location") == "/dashboard/account?done=signed-out"
  after = shown(person.get("/dashboard/account?done=signed-out"))
  assert "All other sessions were signed out." in after and "No other browser is signed in." in after
  assert not any(other.is_signed_in() for other in others) and alice.is_signed_in()
  assert others[0].sign_in().status == 303, "the password is as it was"


def test_guessing_ones_own_password_is_slowed_down(person):
  person.sign_up()
  statuses = [
    person.send("/dashboard/account/delete", name=person.name, password="wrong wrong").status for _ in range(3)]
  statuses += [
    person.send("/dashboard/account", "/dashboard/account/password", current="wrong wrong", new="x" * 12, again="x" * 12).status
    for _ in range(3)]
  assert statuses == [422] * 5 + [429]
  assert person.send("/dashboard/account/delete", name=person.name, password=PASSWORD).status == 429


def test_an_account_is_deleted_and_its_draws_stay(site, person):
  person.sign_up()
  key = person.make_key()
  outcome = draw(site, key).json()
  other = Person(site)
  other.email = person.email
  other.sign_in()
  page = "/dashboard/account/delete"
  assert "not the exact name of the account" in said(person.send(page, name=person.name.upper(), password=PASSWORD))
  assert said(person.send(page, name=person.name, password="wrong wrong")) == "The password is wrong."
  assert draw(site, key).status == 200
  answer = person.send(page, name=person.name, password=PASSWORD)
  assert (answer.status, answer.header("Location")) == (303, "/sign-in?done=deleted")
  assert "is deleted" in shown(person.get("/sign-in?done=deleted"))
  assert person.session is None and not other.is_signed_in()
  assert person.sign_in().status == 422
  wait_until(lambda: draw(site, key).status == 401, "the key is turned away")
  assert site.get(f"/o/{outcome['shortId']}").status == 200
  person.sign_up(person.name)


def test_everything_can_be_taken_along(site, person):
  person.sign_up()
  key = person.make_key(name="exported")
  ids = {draw(site, key, f"export:{number % 3}").json()["shortId"] for number in range(10)}
  answer = person.get("/dashboard/account/export?format=json")
  assert answer.header("Content-Type") == "application/json" and answer.header("Cache-Control") == "no-store"
  assert re.fullmatch(r'attachment; filename="fairdraw-\d{4}-\d\d-\d\d\.json"', answer.header("Content-Disposition"))
  everything = answer.json()
  assert everything["account"]["email"] == person.email and everything["keys"][0]["name"] == "exported"
  assert {entry["outcome"]["shortId"] for entry in everything["outcomes"]} == ids
  assert key not in answer.body.decode() and PASSWORD not in answer.body.decode()
  table = person.get("/dashboard/account/export?format=csv")
  assert table.header("Content-Type").startswith("text/csv") and table.body.count(b"\r\n") == 11
  assert person.get("/dashboard/account/export?format=xml").status == 400
  assert person.get("/dashboard/account/export").status == 400


# When the database is away


def test_a_database_that_fails_is_a_page_that_says_so(serve):
  server = serve()
  person = Person(server).arrive()
  with closing(sqlite3.connect(server.database)) as connection, connection:
    connection.execute("ALTER TABLE sessions RENAME TO hidden")
  answer = person.get("/dashboard")
  assert answer.status == 503 and answer.header("Retry-After") and b"<h1>" in answer.body and b"sessions" not in answer.body
  assert Person(server).get("/").status == 200


# In a browser


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
  window = Browser(tmp_path_factory.mktemp("dashboard-profile"))
  yield window
  window.close()


@pytest.fixture
def browser(chromium, site):
  """The window, signed out, as wide as a desktop's and light. A test must leave its console empty."""
  chromium.base = f"http://{site.host}:{site.port}"
  chromium.resize(Browser.DESKTOP)
  chromium.scheme("light")
  chromium.open("/robots.txt")
  chromium.driver.delete_all_cookies()
  chromium.complaints()
  yield chromium
  assert chromium.complaints() == []


def enter(browser, person, path="/dashboard"):
  """Opens a page with the person's own session."""
  browser.open("/robots.txt")
  browser.driver.add_cookie({"name": "fairdraw", "value": person.session, "path": "/"})
  browser.open(path)
  browser.wait(".who")


def test_a_day_with_the_dashboard(browser, site, person):
  person.sign_up()
  browser.open("/")
  browser.follow("header nav a[href='/dashboard']")
  browser.wait("h1", "Sign in")
  for text in (person.email, Keys.TAB, person.password, Keys.ENTER):
    if text == person.email:
      browser.find("#email").click()
    ActionChains(browser.driver).send_keys(text).perform()
  browser.wait("h1", "Overview")
  assert "0 of" in browser.find(".quota").text

  browser.follow("a[href='/dashboard/keys/new']")
  browser.fill("#name", "Browser")
  browser.follow("form.panel button")
  key = browser.wait("#key").text
  assert browser.find("button[aria-label='Copy the key']").get_attribute("data-copy") == key
  command = browser.find("pre code").text
  done = subprocess.run(["bash", "-c", command.replace("curl", "curl -sS")], capture_output=True, text=True)
  assert json.loads(done.stdout)["mode"] == "live", done
  browser.driver.refresh()
  browser.wait(".verdict", "was already sent")
  assert browser.text.count(key[:16]) == 1 and key not in browser.text

  assert draw(site, key, "in a browser").status == 200
  browser.follow(".side a[href='/dashboard/usage']")
  browser.wait("h1", "Usage")
  assert "2 of" in browser.find(".quota").text
  assert [cell.text for cell in browser.all("table:not(.hours) tbody td")] == ["2"]
  assert browser.find("#days ~ figure svg.chart .bars rect").size["height"] > 100
  browser.follow("a[href='/dashboard/usage?by=generator']")
  assert [cell.text for cell in browser.all("table:not(.hours) tbody td")] == ["2", "2"]
  assert browser.find("svg.chart rect[fill='url(#fill-ints)']").size["height"] > 100

  browser.follow(".side a[href='/dashboard/outcomes']")
  browser.fill("#clientSeed", "in a")
  browser.follow(".search button")
  browser.follow(".rows a")
  browser.wait("h1", "in a browser")
  browser.follow("a[href^='/dashboard/outcomes/rotate']")
  browser.follow("form.row button")
  seed = browser.wait("#revealed").text
  assert re.fullmatch("[0-9a-f]{64}", seed)
  browser.follow("a.button")
  browser.wait(".rows a", "seed revealed")
  browser.follow(".rows a")
  browser.wait(".verdict", "Verified")
  assert seed in browser.text

  browser.open("/dashboard/keys")
  browser.follow("a[aria-label^='Revoke']")
  browser.follow("button.danger")
  browser.wait(".verdict", "The key is revoked")
  wait_until(lambda: draw(site, key).status == 401, "the key is turned away")
  browser.follow(".side button")
  wait_until(lambda: urllib.parse.urlsplit(browser.driver.current_url).path == "/", "it is signed out")
  browser.open("/dashboard")
  browser.wait("h1", "Sign in")


def test_a_webhook_in_the_browser(browser, site, person, receiver):
  person.arrive()
  enter(browser, person, "/dashboard/webhooks")
  browser.follow("a[href='/dashboard/webhooks/new']")
  browser.fill("#url", receiver.url("/status/500"))
  browser.follow("form.panel button")
  assert browser.wait("#secret").text.startswith("whsec_")
  browser.follow("a.button")
  browser.follow("form[action$='/test'] button")
  browser.wait(".verdict", "A test event is on its way")

  def attempted():
    browser.driver.refresh()
    return "1 attempt" in browser.text

  wait_until(attempted, "the attempt is shown", pause=0.1)
  browser.click(".items summary")
  assert "500" in browser.wait(".attempts").text and '{"status":500}' in browser.find(".answer").text
  browser.follow("form[action$='/resend'] button")
  browser.wait(".verdict", "The delivery is due")
  wait_until(lambda: len(receiver.received()) == 2, "it is sent again")


def test_a_form_is_not_sent_twice_by_an_impatient_finger(browser, site, person):
  person.arrive()
  enter(browser, person, "/dashboard/keys/new")
  browser.fill("#name", "impatient")
  browser.run("const button = document.querySelector('form.panel button'); button.click(); button.click(); button.click()")
  browser.wait("#key")
  assert site.sql("SELECT count(*) FROM api_keys WHERE name = 'impatient'") == [(1,)]


@pytest.fixture(scope="module")
def furnished(site):
  """Somebody who has some of everything, and addresses of pages that show it."""
  person = Person(site).arrive()
  key = person.make_key(name="漢字" * 20)
  for number in range(30):
    draw(site, key, "x" * 256 if number % 2 else "short")
  person.make_key(mode="test", networks="\n".join(f"2001:db8:{n:x}:ffff:ffff:ffff:ffff:ffff/128" for n in range(20)))
  hook, _ = person.make_webhook("http://127.0.0.1:9/" + "long/" * 100)
  person.post(f"/dashboard/webhooks/{hook}/test", {"token": person.token})
  page = f"/dashboard/webhooks/{hook}"
  wait_until(lambda: "attempt" in shown(person.get(page)), "it is attempted")
  key_id = min(int(number) for number in re.findall(r"/keys/(\d+)/revoke", person.get("/dashboard/keys").body.decode()))
  chain = f"clientSeed={'x' * 256}"
  return person, [
    *PAGES, page, f"{page}/secret", f"{page}/delete", f"/dashboard/keys/{key_id}/revoke", f"/dashboard/outcomes/chain?{chain}",
    f"/dashboard/outcomes/rotate?{chain}"]


def test_no_page_scrolls_sideways(browser, furnished):
  person, pages = furnished
  for width in (320, Browser.PHONE, 768, Browser.DESKTOP):
    browser.resize(width)
    for path in ("/sign-in", "/sign-up"):
      browser.open(path)
      assert browser.run("return document.documentElement.scrollWidth") <= width, (path, width)
  enter(browser, person)
  for width in (320, Browser.PHONE, 768, Browser.DESKTOP):
    browser.resize(width)
    for path in pages:
      browser.open(path)
      assert browser.run("return document.documentElement.scrollWidth") <= width, (path, width)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_and_can_be_read_aloud(browser, furnished, scheme):
  person, pages = furnished
  browser.scheme(scheme)
  for path in ("/sign-in", "/sign-up"):
    browser.open(path)
    assert browser.run(CONTRAST) == [] and browser.run(STRUCTURE) == [], path
  enter(browser, person)
  for path in pages:
    browser.open(path)
    assert browser.run(CONTRAST) == [], path
    assert browser.run(STRUCTURE) == [], path


@pytest.mark.parametrize("path", ["/sign-in", "/dashboard", "/dashboard/keys/new", "/dashboard/usage", "/dashboard/account"])
def test_every_control_is_reached_with_the_keyboard_and_seen(browser, furnished, path):
  if path == "/sign-in":
    browser.open(path)
  else:
    enter(browser, furnished[0], path)
  controls = browser.run(CONTROLS)
  reached = set()
  for _ in range(len(controls) + 2):
    ActionChains(browser.driver).send_keys(Keys.TAB).perform()
    stop, outline = browser.run(
      "const at = document.activeElement; return [at.dataset.stop ?? null, getComputedStyle(at).outlineStyle]")
    if stop is not None:
      reached.add(int(stop))
      assert outline != "none", controls[int(stop)]
  assert reached == set(range(len(controls))), [control for at, control in enumerate(controls) if at not in reached]


def test_it_works_without_javascript(browser, site, person):
  person.sign_up()
  browser.cdp("Emulation.setScriptExecutionDisabled", value=True)
  try:
    browser.open("/sign-in")
    browser.find("#email").send_keys(person.email)
    browser.find("#password").send_keys(person.password, Keys.ENTER)
    browser.wait("h1", "Overview")
    browser.open("/dashboard/keys/new")
    browser.find("#name").send_keys("plain", Keys.ENTER)
    key = browser.wait("#key").text
    assert draw(site, key).status == 200
  finally:
    browser.cdp("Emulation.setScriptExecutionDisabled", value=False)
