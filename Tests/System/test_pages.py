"""The pages, in a real Chromium: what a person can see, click, read aloud and trust."""

import html
import json
import re
import sqlite3
import subprocess
import urllib.parse
from contextlib import closing

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from browser import Browser
from harness import DRAWS, REPOSITORY, REQUIRED, Server, together, unique, wait_until
from test_cosigning import KEYS, fakes
from test_log_proofs import LOG_VKEY, OTHER_VKEY, WITNESS_VKEYS, canonical_text, log_proof, vkey

__all__ = ["fakes"]  # a fixture

VECTORS = [json.loads(line) for line in (REPOSITORY / "Tests" / "FairnessTests" / "vectors.jsonl").read_text().splitlines()]
DOCUMENTS = {file.stem: file.resolve() for file in (REPOSITORY / "Sources" / "Website" / "Guides").glob("*.md")}
GUIDES = sorted(DOCUMENTS)
FIXED = ["/", "/verify", "/seed", "/transparency", "/api-docs", "/docs", *(f"/docs/{name}" for name in GUIDES)]
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}

# Client seeds that would break a page which took any of them for anything but text.
HOSTILE = {
  "markup": "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>",
  "quotes": "\"'`\" autofocus onfocus=\"document.title='owned'\" '",
  "accented quote": "\"\u0301 onmouseover=\u0301\"document.title='owned'\"",
  "mustache": "{{title}} {{{body}}} {{>layout}}",
  "entities": "&lt;b&gt; &amp;amp; &#39; &copy",
  "reordering": "invoice-\u202egnp.exe\u2066 \u2069\u202c",
  "controls": "a\tb\nc\rd\u0001\u0085\u2028e",
  "right to left": "مرحبا بالعالم",
  "path": "../../etc/passwd?a=b#c",
  "long": "ß" * 128,
  "long and wide": "漢" * 85,
}
LARGEST = {
  "shuffle": {"items": ["漢字" * 40 + str(number) for number in range(1000)]},
  "pick": {"items": ["漢字" * 40 + str(number) for number in range(1000)], "weights": [1] * 1000},
  "dice": {"notation": "100d6"},
  "gaussian": {"count": 100, "mean": -1e-300, "stddev": 1e-300},
  "floats": {"count": 100},
  "ints": {"count": 100, "min": -(2**53 - 1), "max": -(2**53 - 1) + 2**32 - 1},
  "bytes": {"count": 1024},
  "sample": {"count": 1000, "min": -(2**53 - 1), "max": -(2**53 - 1) + 2**32 - 1},
}


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
  window = Browser(tmp_path_factory.mktemp("profile"))
  yield window
  window.close()


@pytest.fixture
def browser(chromium, server):
  """The window, as wide as a desktop's and light, on the shared server. A test must leave its console empty."""
  chromium.base = f"http://{server.host}:{server.port}"
  chromium.resize(Browser.DESKTOP)
  chromium.scheme("light")
  chromium.open("/robots.txt")
  chromium.complaints()
  yield chromium
  assert chromium.complaints() == []


def drawn(server, endpoint="ints", client_seed=None, key=None, **parameters):
  answer = server.draw(endpoint, {"clientSeed": client_seed or unique("page"), **parameters}, method="POST", key=key)
  assert answer.status == 200, answer
  return answer.json()


def revealed(server, client_seed):
  answer = server.post("/api/rotate", {"clientSeed": client_seed})
  assert answer.status == 200, answer
  return answer.json()["revealed"]["serverSeed"]


def steps(browser):
  """The steps of a result: title and state, in order."""
  return [
    (item.find_element("css selector", "h3").text, item.get_attribute("class") or "")
    for item in browser.all("#result ol.steps > li")
  ]


# From a draw to its verification


@pytest.mark.parametrize("endpoint", DRAWS)
def test_draw_follow_the_permalink_reveal_and_verify(browser, endpoint):
  browser.open("/")
  browser.choose("#endpoint", endpoint)
  browser.click("#draw button")
  browser.wait("#result .steps a")
  assert [state for _, state in steps(browser)] == ["good", "good", ""]
  link = browser.find("#result a[href^='/o/']").get_attribute("href")
  assert browser.all("#result .drawing"), "the draw is shown as on its page"

  browser.open(urllib.parse.urlsplit(link).path)
  assert "Committed, not revealed yet" in browser.find(".verdict").text
  browser.follow("main a[href^='/verify']")
  browser.wait("#result .verdict", "Committed, not revealed yet")

  browser.open("/")
  browser.choose("#endpoint", endpoint)
  browser.click("#draw button")
  browser.wait("#result ol.steps button")
  browser.click("#result ol.steps button")
  browser.wait("#result a.button", "Verify it")
  browser.follow("#result a.button")
  assert "Verified" in browser.wait("#result .verdict").text
  assert [state for _, state in steps(browser)] == ["good"] * 5

  browser.follow("#result a[href^='/o/']")
  assert browser.wait(".verdict strong").text == "Verified"
  assert re.fullmatch("[0-9a-f]{64}", browser.find("button[aria-label='Copy the server seed']").get_attribute("data-copy"))


def test_rotation_is_seen_by_the_page(browser, server):
  seed = unique("rotate")
  draw = drawn(server, client_seed=seed)
  browser.open(f"/verify?shortId={draw['shortId']}")
  browser.wait("#result .verdict", "Committed")
  server_seed = revealed(server, seed)
  browser.open(f"/verify?shortId={draw['shortId']}")
  browser.wait("#result .verdict", "Verified")
  assert server_seed in browser.text
  assert json.dumps(draw["outcome"]) in browser.text


def test_a_hash_that_was_noted_is_compared(browser, server):
  seed = unique("noted")
  noted = server.seed(seed)["serverHash"]
  draw = drawn(server, client_seed=seed)

  def verdict(given):
    browser.open("/verify")
    browser.fill("#shortId", draw["shortId"])
    browser.fill("#noted", given)
    browser.click("#by-id button")
    return browser.wait("#result .verdict").text

  # A browser cannot know what a server keeps: until the seed is revealed, only the two hashes can be compared.
  assert "Committed, not revealed yet" in verdict("")
  assert "good" not in dict(steps(browser)).values()
  assert "Committed, not revealed yet" in verdict(f" {noted.upper()} ")
  assert steps(browser) == [("The hash that you noted", "good"), ("The server seed's hash", ""), ("The values", "")]
  assert "The hash that you noted is not the hash of the draw" in verdict("0" * 64)
  assert steps(browser) == [("The hash that you noted", "bad"), ("The server seed's hash", ""), ("The values", "")]
  assert "A server hash is 64 hex digits" in verdict("abc")

  revealed(server, seed)
  assert "The seed has the hash that you noted" in verdict(noted)
  assert [state for _, state in steps(browser)] == ["good"] * 6
  words = verdict("0" * 64)
  assert "Not verified" in words and "the noted hash is wrong" in words.lower()
  assert [state for _, state in steps(browser)] == ["bad", "", "", "", "", ""]


@pytest.mark.parametrize("endpoint", DRAWS)
def test_verify_by_pasting_the_draws_json(browser, server, endpoint):
  seed = unique("paste")
  draw = drawn(server, endpoint, seed)
  draw = {**draw, "serverSeed": revealed(server, seed), "items": REQUIRED.get(endpoint, {}).get("items")}
  browser.open("/verify")
  browser.click("input[value=by-seeds]")
  browser.click("#by-seeds summary")
  browser.fill("#json", json.dumps(draw))
  browser.click("#by-seeds button")
  browser.wait("#result .verdict", "Verified")
  assert [state for _, state in steps(browser)] == ["good"] * 4


def paste(browser, case, **changes):
  """Checks a vector as if it were a draw's JSON, with some members changed, or left out where the change is None."""
  draw = {**case, **case["params"], "outcome": case["expected"], **changes}
  draw = {name: value for name, value in draw.items() if value is not None}
  browser.open("/verify")
  browser.click("input[value=by-seeds]")
  browser.click("#by-seeds summary")
  browser.fill("#json", json.dumps(draw))
  browser.click("#by-seeds button")
  return browser.wait("#result .verdict").text


def test_the_step_that_fails_is_named(browser):
  case = next(case for case in VECTORS if case["endpoint"] == "ints")
  wrong = ("0" if case["serverSeed"][0] != "0" else "1") + case["serverSeed"][1:]

  assert "The hash of the server seed is wrong" in paste(browser, case, serverSeed=wrong)
  assert [state for _, state in steps(browser)] == ["bad", "", "", "bad"], "nothing that rests on a wrong seed is good"

  words = paste(browser, case, outcome=[*case["expected"][:-1], case["expected"][-1] + 1])
  assert "The values are wrong" in words and "hash" not in words
  assert dict(steps(browser)) == {
    "The server seed's hash": "good", "Blocks of bytes": "good", "Numbers from the bytes": "good", "The values": "bad"}

  words = paste(browser, case, nonce=case["nonce"] + 1)
  assert "The values are wrong" in words

  assert "The inputs fail: serverSeed must be 64 hex digits" in paste(browser, case, serverSeed="abc")
  assert steps(browser) == [("The inputs", "bad")]
  assert "The inputs fail: count must be an integer from 1 to 100" in paste(browser, case, count=101)
  assert "Computed" in paste(browser, case, outcome=None, serverHash=None)


def test_the_only_possible_seed_is_a_step_of_its_own(browser, verifier):
  made = [json.loads(line) for line in (REPOSITORY / "Tests" / "FairnessTests" / "seed-vectors.jsonl").read_text().splitlines()]
  one = next(case for case in made if case["scope"] == "account:1" and case["era"] == 1)
  other = next(case for case in made if case["publicKey"] != one["publicKey"])
  proof = {"suite": "vrf-r255", **{name: one[name] for name in ("publicKey", "scope", "era", "epoch", "proof")}}
  params = {"count": 3, "min": 1, "max": 10**6}
  case = {name: one[name] for name in ("serverSeed", "serverHash", "clientSeed")}
  case |= {"endpoint": "ints", "nonce": 5, "cursor": 0, "params": params}
  case["expected"] = verifier.derive("ints", one["serverSeed"], one["clientSeed"], 5, 0, params)

  def step(**changes):
    words = paste(browser, case, **changes)
    return dict(steps(browser)).get("The only possible seed"), words

  assert step()[0] is None, "a record without a proof has no such step"
  state, words = step(seedProof=proof)
  assert state == "good" and "Verified" in words
  assert "The record names this key" in browser.text and one["publicKey"] in browser.text
  for changed, says in (
    ({"epoch": 3}, "it is for epoch 2, and the record says 3"), ({"era": 2}, "it is for era 1, and the record says 2"),
    ({"scope": "anonymous"}, "it is for scope account:1, and the record says anonymous"), ({"epoch": 99}, "one of those five is wrong"),
    ({"publicKey": "0" * 64}, "seedProof.publicKey must be"), ({"proof": one["proof"][2:]}, "seedProof.proof must be"),
    ({"suite": "x"}, "seedProof.suite must be vrf-r255"),
  ):
    state, words = step(seedProof={**proof, **changed})
    assert state == "bad" and "Not verified" in words and "The seed proof is wrong: " in words and says in words, words

  for key, expected, says in ((one["publicKey"].upper(), "good", "This is the key that you noted"), (other["publicKey"], "bad", "not with the key that you noted")):
    paste(browser, case, seedProof=proof)
    browser.fill("#seedKey", key)
    browser.click("#by-seeds button")
    browser.wait("#result .verdict", "Verified" if expected == "good" else "Not verified")
    assert dict(steps(browser))["The only possible seed"] == expected and says in browser.text


def logged(server, endpoint, items=None):
  """A draw as it was answered, and its proof in a log that the test keeps."""
  answer = server.draw(endpoint, {"clientSeed": unique("lögged")}).body.decode()
  return answer, log_proof(canonical_text(answer, items), cosigners=[0])


def check_log_proof(browser, drawn, proof, **more):
  browser.open("/verify")
  browser.click("input[value=by-proof]")
  browser.click("#by-proof summary")
  for field, value in {"drawn": drawn, "proof": proof, "logKey": LOG_VKEY, **more}.items():
    browser.fill(f"#{field}", value)
  browser.click("#by-proof button")
  return browser.wait("#result .verdict").text


@pytest.mark.parametrize("endpoint", DRAWS)
def test_verify_by_a_log_proof(browser, server, endpoint):
  items = '["a","b","c"]' if endpoint in ("shuffle", "pick") else None
  drawn, proof = logged(server, endpoint, items)
  assert "In the log" in check_log_proof(browser, drawn, proof)
  assert [state for _, state in steps(browser)] == ["good"] * 4
  assert ("by its hash only" in browser.text) is (items is not None)
  # With the items and a witness; with whatever white space a copy and a file bring along.
  policy = f"witness W {WITNESS_VKEYS[0]}\nquorum W\n"
  assert "In the log" in check_log_proof(browser, f" {drawn}\n", proof + "\n", givenItems=items or "", policy=policy)
  assert [name for name, _ in steps(browser)] == ["The logged text", "The entry", "The tree", "The log’s signature", "Witnesses"]
  assert "cosigned at 2026-11-26T22:56:52Z" in browser.text and "by its hash only" not in browser.text


def test_verify_by_a_log_proof_from_files(browser, server, tmp_path):
  browser.open("/verify")
  browser.click("input[value=by-proof]")
  for name, text in zip(("drawn", "proof"), logged(server, "ints")):
    (tmp_path / name).write_text(text)
    browser.find(f"#{name}-file").send_keys(str(tmp_path / name))
    wait_until(lambda: browser.find(f"#{name}").get_attribute("value") == text, "the file is read")
  browser.fill("#logKey", LOG_VKEY)
  browser.click("#by-proof button")
  browser.wait("#result .verdict", "In the log")


def test_the_step_of_a_log_proof_that_fails_is_named(browser, server):
  drawn, proof = logged(server, "ints")

  def states(title, *given, **more):
    words = check_log_proof(browser, *given, **more)
    assert "Not verified" in words
    assert [name for name, state in steps(browser) if state == "bad"] == [title]
    return words

  other = drawn.replace('"nonce":0', '"nonce":1').replace('"max":100', '"max":99')
  assert "nonce, parameters" in states("The logged text", other, proof)
  assert "root" in states("The tree", drawn, proof.replace("\nindex 3\n", "\nindex 2\n"))
  assert "signature" in states("The log’s signature", drawn, proof, logKey=OTHER_VKEY)
  assert "key" in states("The log’s signature", drawn, proof, logKey="x")
  assert "quorum" in states("Witnesses", drawn, proof, policy=f"witness W {WITNESS_VKEYS[1]}\nquorum W\n")
  assert "policy, line 1" in states("Witnesses", drawn, proof, policy="quorum W\n")
  assert "proof" in states("The files", drawn, "{}")
  assert "outcome" in states("The files", "{", proof)
  # The server is asked for its key where none is given; this log is not the server's.
  assert "In the log" not in check_log_proof(browser, drawn, proof, logKey="")


def test_verify_by_client_seed_and_hash(browser, server):
  seed = unique("by hash")
  draw = drawn(server, client_seed=seed)
  browser.open("/verify")
  browser.click("input[value=by-hash]")
  browser.fill("#hash-clientSeed", seed)
  browser.fill("#hash-serverHash", draw["serverHash"])
  browser.click("#by-hash button")
  browser.wait("#result .verdict", "Known")
  browser.wait(f"#result a[href='/verify?shortId={draw['shortId']}']")
  browser.fill("#hash-serverHash", "0" * 64)
  browser.click("#by-hash button")
  browser.wait("#result .verdict", "Unknown")


def test_every_vector_in_the_browser(browser):
  browser.open("/verify")
  source = browser.find("script[type=module]").get_attribute("src").replace("/verify.js", "/fairdraw-verify.js")
  values = browser.driver.execute_async_script(
    """
    const [source, cases, done] = arguments;
    import(source).then(async ({ derive }) => {
      const values = [];
      for (const one of cases) values.push(JSON.stringify(await derive(one)));
      done(values);
    }).catch((error) => done(String(error)));
    """, source, VECTORS)
  assert isinstance(values, list), values
  for case, value in zip(VECTORS, values, strict=True):
    value, expected = json.loads(value), case["expected"]
    if isinstance(expected, dict):
      value = {name: value[name] for name in expected}
    assert value == expected, case


def test_the_verifiers_that_pages_serve_are_the_published_ones(server):
  text = "".join(server.get(path).body.decode() for path in ("/verify", "/docs/verifying", "/docs/verifiers", "/docs/derivation"))
  [path] = set(re.findall(r'"(/assets/[0-9a-f]+)/', text))
  for name in ("fairdraw-verify.js", "fairdraw_verify.py"):
    assert server.get(f"{path}/{name}").body == (REPOSITORY / "docs" / "verifiers" / name).read_bytes()


# The daily roots


@pytest.fixture(scope="module")
def yesterday(tmp_path_factory):
  """A server whose draws were made the day before, and are published."""
  with Server(tmp_path_factory.mktemp("log") / "data") as server:
    draws = [drawn(server, client_seed=f"day:{number % 3}<b>") for number in range(11)]
    server.stop()
    server.alter("UPDATE outcomes SET created = created - 86400000")
    server.start()
    [root] = wait_until(lambda: server.get("/api/merkle").json()["roots"], "the day is published")
    yield server, draws, root


@pytest.fixture
def log_browser(browser, yesterday):
  browser.base = f"http://{yesterday[0].host}:{yesterday[0].port}"
  return browser


def test_roots_are_listed_with_their_signatures(log_browser, yesterday):
  _, _, root = yesterday
  log_browser.open("/transparency")
  log_browser.click("details.day summary")
  assert root["root"] in log_browser.text and root["signature"] in log_browser.text
  assert log_browser.wait(".checked", "signature").text == "✓ the signature is the server’s"


def test_an_inclusion_proof_is_checked_step_by_step(log_browser, yesterday):
  server, draws, root = yesterday
  log_browser.open(f"/o/{draws[4]['shortId']}")
  log_browser.follow("main a[href^='/transparency']")
  log_browser.click("#by-draw button")
  log_browser.wait("#result .verdict", "Included")
  assert steps(log_browser) == [(name, "good") for name in ("The leaf", "The path", "The root", "The signature")]
  assert root["root"] in log_browser.find("#result").text
  assert log_browser.all("main b") == []


def test_a_tampered_proof_is_told_by_its_step(log_browser, yesterday):
  server, draws, root = yesterday
  proof = server.get(f"/api/merkle/{root['date']}/proof/{draws[0]['shortId']}").json()

  def check(changed, noted=""):
    log_browser.open("/transparency")
    log_browser.click("#paste summary")
    log_browser.fill("#proof", json.dumps(changed))
    log_browser.fill("#root", noted)
    log_browser.click("#by-proof button")
    words = log_browser.wait("#result .verdict").text
    states = [state for _, state in steps(log_browser)]
    assert "bad" not in states or "good" not in states[states.index("bad"):], "what rests on a wrong step is not good"
    return words.splitlines()[0], [name for name, state in steps(log_browser) if state == "bad"]

  assert check(proof) == ("Included", [])
  assert check(proof, root["root"]) == ("Included", [])
  assert check(proof, "0" * 64) == ("Not included", ["The root"])
  assert check({**proof, "siblings": proof["siblings"][1:]}) == ("Not included", ["The path"])
  forged = [{**proof["siblings"][0], "hash": "0" * 64}, *proof["siblings"][1:]]
  assert check({**proof, "siblings": forged}) == ("Not included", ["The root"])
  assert "The leaf" in check({**proof, "leaf": {**proof["leaf"], "timestamp": 1}})[1]


# The log as it is now


@pytest.fixture
def log_pages(chromium, tmp_path, fakes):
  """A server whose log one witness cosigns and another does not, and a window on it."""
  address = [f"http://127.0.0.1:{fakes.server_port}/{kind}={vkey(kind, 4, KEYS[kind])}" for kind in ("good", "refusing")]
  with Server(tmp_path / "data", FAIRDRAW_WITNESS=" ".join(address), FAIRDRAW_WITNESS_INTERVAL=1) as server:
    chromium.base = f"http://{server.host}:{server.port}"
    chromium.complaints()
    yield server, chromium
    assert chromium.complaints() == []


def proof_of(server, draw, *witnesses):
  """Awaits the proof of a draw that these witnesses cosigned: its index, and the signers of its checkpoint."""
  def found():
    answer = server.get(f"/api/proof/{draw['shortId']}")
    text = answer.body.decode()
    names = [line.split(" ")[1] for line in text.splitlines() if line.startswith("\u2014")][1:]
    return answer.status == 200 and names == list(witnesses) and text
  text = wait_until(found, "the log has it")
  return int(re.search(r"^index (\d+)$", text, re.MULTILINE)[1])


def test_the_log_is_shown_as_it_is_now(log_pages):
  server, browser = log_pages
  draws = [drawn(server) for _ in range(7)]
  proof_of(server, draws[-1], "good")

  def shown(selector):
    browser.open("/transparency")
    return browser.find(selector).text

  wait_until(lambda: shown("#log-size") == "8", "the page shows all entries", pause=0.3)
  wait_until(lambda: shown("#log-cosigned") == "good As text", "the page shows who has cosigned the newest", pause=0.3)
  checkpoint = server.get("/log/0/checkpoint").body.decode().split("\n")
  assert checkpoint[1] == "8" and checkpoint[2] in browser.text
  plot = browser.find("svg[aria-label^='Entries in each of the last 60 minutes: 8 in all']")
  assert 1 <= len(plot.find_elements("css selector", "rect")) <= 2  # a minute may have ended meanwhile
  keys = server.get("/api/keys").json()
  for key in (keys["vrf"]["publicKey"], keys["daily"]["publicKey"], keys["log"]["vkey"], *keys["witnesses"]):
    assert key in browser.text
  assert len(keys["witnesses"]) == 2
  for path in ("/log/0/checkpoint", "/log/0/cosigned"):
    assert len(browser.all(f"main a[href='{path}']")) == 1
  for width in (Browser.PHONE, Browser.DESKTOP):
    browser.resize(width)
    assert browser.run("return document.documentElement.scrollWidth") <= width


def test_a_log_without_witnesses_says_so(browser, server):
  proof_of(server, drawn(server))

  def nobody():
    browser.open("/transparency")
    return browser.all("#log-cosigned") and browser.find("#log-cosigned").text == "Nobody: this server asks no witnesses."

  wait_until(nobody, "the page says so", pause=0.3)


def test_an_outcomes_page_says_where_it_is_in_the_log(log_pages):
  server, browser = log_pages
  draw = drawn(server)
  index = proof_of(server, draw, "good")
  browser.open(f"/o/{draw['shortId']}")
  words = browser.find("#logged").text
  assert re.fullmatch(
    rf"In the log at index {index}, (less than a second|\d+ s) after it was drawn, seen by 1 witness\. The proof", words), words
  assert server.get(browser.find("#logged a").get_attribute("href").removeprefix(browser.base)).status == 200
  test = drawn(server, key=server.key(mode="test"))
  browser.open(f"/o/{test['shortId']}")
  assert browser.all("#logged") == []

  # What was changed is not what the log has. A moment after a draw that could not be told.
  assert server.stop() == 0
  server.alter("UPDATE outcomes SET created = created - 61000")
  server.start()
  browser.base = f"http://{server.host}:{server.port}"
  browser.open(f"/o/{draw['shortId']}")
  assert browser.find("#logged.bad-text").text.startswith("The log has no entry for this outcome as it is recorded.")


# Text stays text


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_client_seed_is_shown_as_text_on_every_page(browser, server, name):
  seed = HOSTILE[name]
  draw = drawn(server, client_seed=seed)
  pick = drawn(server, "pick", client_seed=seed, items=[seed, {seed: seed}])
  visible = re.sub(
    "[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]", lambda found: f"U+{ord(found[0]):04X}", seed)

  def holds(what):
    assert browser.driver.title != "owned"
    assert browser.all("main img, main script, main b, main [onfocus], main [onmouseover]") == []
    texts = browser.run("return [...document.querySelectorAll('main bdi')].map((one) => one.textContent)")
    assert any(visible in text for text in texts), (what, texts)
    assert browser.run("return document.documentElement.scrollWidth") <= Browser.PHONE, what

  browser.resize(Browser.PHONE)
  for shown in (draw, pick):
    browser.open(f"/o/{shown['shortId']}")
    holds("outcome")
    copied = browser.find("button[aria-label='Copy the client seed']").get_attribute("data-copy")
    assert copied == seed
  assert "owned" not in (server.get(f"/o/{draw['shortId']}/og.png").header("Content-Type"))
  revealed(server, seed)
  browser.open(f"/verify?shortId={pick['shortId']}")
  browser.wait("#result .verdict", "Verified")
  holds("verification")
  browser.open("/verify?" + urllib.parse.urlencode({"clientSeed": seed, "serverHash": draw["serverHash"]}))
  if not re.search("[\r\n]", seed):  # a one-line field cannot hold them
    browser.wait("#result .verdict", "Known")
    holds("by hash")
    browser.open("/")
    browser.fill("#clientSeed", seed)
    browser.click("#draw button")
    browser.wait("#result .steps a")
    holds("first page")


IDS = {
  "markup": "<script>document.title='owned'</script>", "quotes": "\"><img src=x onerror=alert(1)>", "up": "../../../etc/passwd", "up, encoded": "%2e%2e%2f",
  "10 kB": "A" * 10_000, "unknown": "0000000000", "short": "abc", "not UTF-8": "%ff%fe", "dot": ".", "NUL": "%00", "full-width": "０１２３４５６７８９", "template": "{{title}}",
}


@pytest.mark.parametrize("name", IDS)
def test_a_hostile_id_finds_nothing(browser, server, name):
  quoted = urllib.parse.quote(IDS[name], safe="%") if name != "up" else IDS[name]
  answer = server.get(f"/o/{quoted}", headers=HTML)
  assert answer.status == 404, answer
  assert answer.header("Content-Type") == "text/html; charset=utf-8"
  assert b"<h1>Not found</h1>" in answer.body and b"<script>d" not in answer.body
  picture = server.get(f"/o/{quoted}/og.png", headers=HTML)
  assert picture.header("Content-Type") == "image/png" if picture.status == 200 else picture.status in (400, 404), picture
  browser.open("/verify?" + urllib.parse.urlencode({"shortId": IDS[name]}))
  browser.wait("#result .verdict")
  assert browser.driver.title != "owned" and browser.all("#result img") == []
  if name == "unknown":
    [complaint] = browser.complaints()
    assert "404" in complaint["message"], "which is the browser's own note of the API's answer"


# Errors


def test_errors_are_pages_for_browsers_and_json_for_programs(server):
  for path, status in [("/nowhere", 404), ("/o/0000000000", 404), ("/assets/0/none", 404), ("/docs/none", 404)]:
    page, plain = server.get(path, headers=HTML), server.get(path)
    assert page.status == plain.status == status
    assert page.header("Content-Type") == "text/html; charset=utf-8" and page.header("Cache-Control") == "no-store"
    assert plain.header("Content-Type") == "application/json" and plain.error
  for path in ("/api/nowhere", "/api/ints?count=0", "/api"):
    answer = server.get(path, headers=HTML)
    assert answer.header("Content-Type") == "application/json" and answer.error
  wrong = server.post("/verify", {}, headers=HTML)
  assert wrong.status == 405 and wrong.header("Allow") == "GET, HEAD, OPTIONS" and b"<h1>" in wrong.body
  assert server.raw_get(b"/" + b"x" * 70_000, b"Accept: text/html\r\n").status == 414
  head = server.request("HEAD", "/nowhere", headers=HTML)
  assert head.status == 404 and head.body == b""


def test_a_database_that_fails_is_a_page_too(serve):
  server = serve()
  draw = drawn(server)
  with closing(sqlite3.connect(server.database)) as connection, connection:
    connection.execute("ALTER TABLE outcomes RENAME TO hidden")
  answer = server.get(f"/o/{draw['shortId']}", headers=HTML)
  assert answer.status == 503 and answer.header("Retry-After") and b"<h1>" in answer.body
  assert answer.header("X-Request-Id") in answer.body.decode() and b"outcomes" not in answer.body


# How pages are served


def pages(server):
  return [*FIXED, f"/o/{drawn(server)['shortId']}"]


def test_every_page_is_guarded(server):
  paths = [*pages(server), "/nowhere"]
  [style] = re.findall(r'href="(/assets/[^"]+\.css)"', server.get("/").body.decode())
  for path in [*paths, style, paths[-2] + "/og.png"]:
    answer = server.get(path, headers=HTML)
    policy = dict(part.split(" ", 1) for part in answer.header("Content-Security-Policy").split("; "))
    assert policy == {
      "default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self' data:", "connect-src": "'self'",
      "form-action": "'self'", "base-uri": "'none'", "frame-ancestors": "'none'"}
    assert answer.header("X-Content-Type-Options") == "nosniff" and answer.header("Referrer-Policy") == "no-referrer"
    assert answer.header("X-Frame-Options") == "DENY"


def test_nothing_is_loaded_from_elsewhere(server):
  for path in pages(server):
    text = server.get(path).body.decode()
    # A guide may point elsewhere; that loads nothing.
    assert not re.search(r'<(?!a )[^>]*\s(?:src|href|action)="(?:https?:)?//', text), path
    assert not re.search(r"<[^>]+\s(?:style|on\w+)=", re.sub(r"<pre.*?</pre>", "", text, flags=re.S)), path
    assert "<style" not in text


def test_files_are_kept_for_good_and_pages_are_asked_for_again(server):
  page = server.get("/")
  assert page.header("Cache-Control") == "no-cache"
  again = server.get("/", headers={"If-None-Match": page.header("ETag")})
  assert (again.status, again.body) == (304, b"") and again.header("ETag") == page.header("ETag")
  assert server.get("/", headers={"If-None-Match": f'"x", W/{page.header("ETag")}'}).status == 304
  assert server.get("/", headers={"If-None-Match": '"other"'}).status == 200
  for path in re.findall(r'"(/assets/[^"]+)"', page.body.decode()):
    asset = server.get(path)
    assert asset.status == 200 and asset.header("Cache-Control") == "public, max-age=31536000, immutable"
    stale = server.get(re.sub("/assets/[0-9a-f]+/", "/assets/0123456789abcdef/", path))
    assert stale.body == asset.body and stale.header("Cache-Control") == "no-cache"
    assert server.get(path, headers={"If-None-Match": asset.header("ETag")}).status == 304
  head = server.request("HEAD", "/")
  assert head.status == 200 and head.body == b"" and head.header("Content-Length") == str(len(page.body))


# A player without a key


def seed_page(server, **query):
  return server.get("/seed", query)


def test_whoever_holds_both_seeds_name_sees_every_draw(serve):
  server = serve()
  key = server.key()
  drawn = [server.draw("ints", {"clientSeed": "é <b>"}, key=key).json() for _ in range(105)]
  hash = drawn[0]["serverHash"]
  first = seed_page(server, clientSeed="é <b>", serverHash=hash).body.decode()
  assert re.findall(r'/o/(\w{10})"', first) == [outcome["shortId"] for outcome in drawn[:4:-1]] and 'class="gap' not in first
  assert "&lt;b&gt;" in first and "<b>" not in first
  older = server.get(html.unescape(re.search(r'href="(/seed[^"]*before=5)"', first)[1])).body.decode()
  assert re.findall(r'/o/(\w{10})"', older) == [outcome["shortId"] for outcome in drawn[4::-1]] and "Older" not in older
  # One hash of the chain shows nothing of the next.
  server.post("/api/rotate", {"clientSeed": "é <b>"}, key=key)
  after = server.draw("ints", {"clientSeed": "é <b>"}, key=key).json()
  for shown, expected in ((hash, drawn[::-1][:100]), (after["serverHash"], [after])):
    page = seed_page(server, clientSeed="é <b>", serverHash=shown).body.decode()
    assert re.findall(r'/o/(\w{10})"', page) == [outcome["shortId"] for outcome in expected]
  # Neither does another client seed, nor a hash that is somebody else's.
  for query, status in (
    ({"clientSeed": "e", "serverHash": hash}, 404), ({"clientSeed": "é <b>", "serverHash": "0" * 64}, 404),
    ({"clientSeed": "é <b>"}, 400), ({"serverHash": hash}, 400), ({"clientSeed": "x" * 257, "serverHash": hash}, 400),
    ({"clientSeed": "é <b>", "serverHash": "x"}, 400), ({"clientSeed": "é <b>", "serverHash": hash, "before": "-1"}, 400), ({}, 200),
  ):
    answer = seed_page(server, **query)
    assert answer.status == status and "/o/" not in answer.body.decode(), query


def test_a_missing_nonce_is_marked(serve):
  server = serve()
  drawn = [server.draw("ints", {"clientSeed": "gaps"}).json() for _ in range(6)]
  server.stop()
  # As an operator who wants to hide draws might: by linking past them.
  for gone, newer in ((1, 2), (4, 5)):
    server.alter("UPDATE outcomes SET previous = ?, jump = ? WHERE nonce = ?", gone, gone, newer)
  server.start()
  page = seed_page(server, clientSeed="gaps", serverHash=drawn[0]["serverHash"]).body.decode()
  assert "Nonce 4 is missing" in page and "Nonce 1 is missing" in page and page.count('class="gap') == 2


def test_a_draws_page_tells_the_next_commitment(server, client_seed):
  key = server.key()
  outcome = server.draw("ints", {"clientSeed": client_seed}, key=key).json()
  for _ in range(2):
    pinned = server.seed(client_seed, key)
    next = {name: pinned[name] for name in ("serverHash", "cursor", "nonce")}
    assert server.get("/api/verifyShortId", {"shortId": outcome["shortId"]}).json()["next"] == next
    assert pinned["serverHash"] in server.get(f"/o/{outcome['shortId']}").body.decode()
    server.post("/api/rotate", {"clientSeed": client_seed}, key=key)


def test_a_page_says_what_it_proves_and_what_not(server, client_seed):
  def proven(outcome):
    page = server.get(f"/o/{outcome['shortId']}").body.decode()
    return html.unescape(re.search(r'id="proven".*?</section>', page, re.S)[0])
  outcome = drawn(server, client_seed=client_seed)
  assert "is committed to its seed" in proven(outcome) and "to the last bit" not in proven(outcome)
  revealed(server, client_seed)
  assert "to the last bit" in proven(outcome) and "the only one that this chain could have had" in proven(outcome)
  page = server.get(f"/o/{outcome['shortId']}").body.decode()
  assert "for <code>anonymous</code>, era 0, epoch 0" in page and server.get("/api/keys").json()["vrf"]["publicKey"] in page
  commit_id = server.post("/api/commit").json()["commitId"]
  told = server.post("/api/reveal", {"commitId": commit_id, "clientSeed": client_seed, "endpoint": "ints"}).json()
  assert "before it got the client seed" in proven(told) and "the only one" not in proven(told)
  rehearsed = drawn(server, client_seed=client_seed, key=server.key(None, "test"))
  assert "Anything" in proven(rehearsed) and "to the last bit" not in proven(rehearsed)



def test_coordinates_are_named_one_by_one(server, client_seed):
  for _ in range(2):
    outcome = drawn(server, client_seed=client_seed)
    server.get("/api/incrementCursor", {"clientSeed": client_seed})
  page = server.get(f"/o/{outcome['shortId']}").body.decode()
  facts = [(name, re.sub(r"<[^>]+>|Copy", "", value).strip()) for name, value in re.findall(r"<dt>([^<]+)</dt>\s*<dd[^>]*>(.*?)</dd>", page, re.S)]
  assert facts[:4] == [("Server hash", outcome["serverHash"]), ("Client seed", client_seed), ("Cursor", "1"), ("Nonce", "1")]


@pytest.mark.parametrize("endpoint", ["shuffle", "pick", "sample"])
def test_all_of_a_long_outcome_is_reached_from_its_page(browser, server, endpoint):
  items = [f"item {number}" for number in range(1000)]
  parameters = {"count": 1000, "min": 1, "max": 1000} if endpoint == "sample" else {"items": items}
  outcome = drawn(server, endpoint, key=server.key(), **parameters)
  expected = {"shuffle": outcome["outcome"], "pick": items, "sample": [str(number) for number in outcome["outcome"]]}[endpoint]
  seen, pages = [], 0
  browser.open(f"/o/{outcome['shortId']}")
  while True:
    texts = [part.text for part in browser.all(".drawing ol.order .name, .drawing ul.choices .name, .drawing ol.values li")]
    # The picked item is shown at the end of the first page too.
    seen += texts[:-1] if endpoint == "pick" and pages == 0 and texts[-1] == outcome["outcome"] and len(texts) - 1 < outcome["index"] else texts
    pages += 1
    assert browser.run("return document.documentElement.outerHTML.length") < 40_000
    more = browser.all(".drawing a[href*='from=']")
    if not more:
      break
    assert more[0].text == f"{1000 - len(seen)} more"
    browser.follow(".drawing a[href*='from=']")
  assert seen == expected and pages > 3
  browser.follow(".drawing p a")
  assert urllib.parse.urlsplit(browser.driver.current_url).query == ""
  for bad in ("-1", "1000", "x", "", "1.5", "%31%30%30%30", "%EF%BC%91"):
    answer = server.get(f"/o/{outcome['shortId']}?from={bad}")
    assert answer.status == 400 and "from must be a whole number from 0 to 999" in answer.error, bad


def test_json_is_shown_as_it_reads(browser, server):
  body = b'{"clientSeed":"B\\u00e9la-%s","items":["\\u00e9",{"name":"\\ud83c\\udfb2 \\u202e \\u0022"}]}' % unique("json").encode()
  outcome = server.post("/api/shuffle", body).json()
  browser.open(f"/o/{outcome['shortId']}")
  text = browser.find("#raw ~ pre").text
  assert "Béla-" in text and '"é"' in text and "🎲 U+202E \\u0022" in text and "\\u00e9" not in text
  assert "🎲" in browser.find("ol.order").text
  browser.open("/api-docs")
  browser.fill("form[data-path='/api/shuffle'] input[name=items]", '["\\u00e9",{"a":"\\ud83c\\udfb2\\ud83c\\\\u00e9"}]')
  browser.click("form[data-path='/api/shuffle'] button")
  text = browser.wait("form[data-path='/api/shuffle'] .body").text
  assert '"é"' in text and '"🎲\\ud83c\\\\u00e9"' in text


def test_the_first_page_ends_in_something_to_do(browser, server):
  browser.open("/")
  [*_, last] = browser.all("main section")
  command = last.find_element("css selector", "pre").text
  assert last.find_element("css selector", "button.copy").get_attribute("data-copy") == command
  done = subprocess.run(["bash", "-c", command.replace("curl", "curl -sS")], capture_output=True, text=True)
  assert json.loads(done.stdout)["endpoint"] == "dice", done
  links = [link.get_attribute("href") for link in last.find_elements("css selector", "a.button")]
  assert [urllib.parse.urlsplit(link).path for link in links] == ["/dashboard", "/api-docs"]


def test_an_outcomes_page_changes_when_its_seed_is_revealed(server):
  seed = unique("etag")
  path = f"/o/{drawn(server, client_seed=seed)['shortId']}"
  tag = server.get(path).header("ETag")
  assert server.get(path, headers={"If-None-Match": tag}).status == 304
  revealed(server, seed)
  assert server.get(path, headers={"If-None-Match": tag}).status == 200


def test_a_test_keys_draw_says_that_it_is_a_rehearsal(server, test_key):
  draw = server.get("/api/ints", {"clientSeed": unique("rehearsal")}, key=test_key).json()
  text = server.get(f"/o/{draw['shortId']}").body.decode()
  assert "A test draw" in text and "Verify in this browser" not in text and "/transparency?" not in text


def test_preview_pictures(server):
  for endpoint in DRAWS:
    draw = drawn(server, endpoint)
    page = server.get(f"/o/{draw['shortId']}").body.decode()
    [image] = re.findall(r'<meta property="og:image" content="([^"]+)">', page)
    assert image == draw["permalink"] + "/og.png"
    picture = server.get(f"/o/{draw['shortId']}/og.png")
    assert picture.status == 200 and picture.header("Content-Type") == "image/png"
    assert picture.body[:8] == b"\x89PNG\r\n\x1a\n" and picture.body[16:24] == bytes([0, 0, 4, 176, 0, 0, 2, 118])
    assert server.get(f"/o/{draw['shortId']}/og.png", headers={"If-None-Match": picture.header("ETag")}).status == 304


def test_an_unknown_draw_has_a_picture_that_says_so(server):
  pictures = [server.get(f"/o/{name}/og.png") for name in ("0000000000", "abc", "zzzzzzzzzz")]
  assert len({picture.body for picture in pictures}) == 1
  for picture in pictures:
    assert picture.status == 200 and picture.header("Content-Type") == "image/png" and picture.header("Cache-Control") == "public, max-age=60"
    assert picture.body[:8] == b"\x89PNG\r\n\x1a\n" and picture.body[16:24] == bytes([0, 0, 4, 176, 0, 0, 2, 118])


def test_many_pictures_at_once_are_made_or_put_off(server):
  ids = [drawn(server, "dice")["shortId"] for _ in range(40)]
  answers = together(40, lambda index: server.get(f"/o/{ids[index]}/og.png"))
  assert {answer.status for answer in answers} <= {200, 503}
  assert sum(answer.status == 200 for answer in answers) >= 16
  assert all(answer.header("Retry-After") for answer in answers if answer.status == 503)
  assert server.get(f"/o/{ids[0]}/og.png").status == 200


# What a page weighs


@pytest.mark.parametrize("endpoint", DRAWS)
def test_an_outcomes_page_is_under_50_kb_in_all(browser, server, endpoint):
  for parameters in ({}, LARGEST[endpoint]):
    draw = drawn(server, endpoint, key=server.key(), **parameters)
    browser.cdp("Network.clearBrowserCache")
    browser.open(f"/o/{draw['shortId']}")
    sizes = browser.run(
      """return [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
           .map((entry) => [entry.name, entry.decodedBodySize])""")
    assert len(sizes) >= 3 and sum(size for _, size in sizes) < 50_000, sizes


# Every page, at every width, in both schemes


@pytest.fixture(scope="module")
def every_page(server):
  paths = list(FIXED) + ["/o/0000000000", "/docs/search?q=seed", "/docs/search?q=" + "x" * 101]
  key = server.key()  # without one, items are limited in size
  for endpoint in DRAWS:
    for parameters in ({}, LARGEST[endpoint]):
      paths.append(f"/o/{drawn(server, endpoint, key=key, **parameters)['shortId']}")
  return paths


def test_no_page_scrolls_sideways(browser, every_page):
  for width in (320, Browser.PHONE, 768, Browser.DESKTOP):
    browser.resize(width)
    for path in every_page:
      browser.open(path)
      assert browser.run("return document.documentElement.scrollWidth") <= width, (path, width)
  browser.complaints()  # the page that is not there


CONTRAST = """
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const background = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = channels(getComputedStyle(at).backgroundColor);
      if (color.length < 4 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const element of document.querySelectorAll("body *")) {
    if (element.closest("svg") || element.disabled) continue;
    if (![...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
    if (!element.checkVisibility() || element.closest(".skip, .unseen")) continue;
    const [a, b] = [channels(getComputedStyle(element).color), background(element)].map(luminance);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push([element.outerHTML.slice(0, 120), ratio]);
  }
  return poor;
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(browser, every_page, scheme):
  browser.scheme(scheme)
  for path in every_page:
    browser.open(path)
    assert browser.run(CONTRAST) == [], path
    [brightness] = browser.run("return [getComputedStyle(document.documentElement).backgroundColor.match(/\\d+/g).reduce((a, b) => a + +b, 0)]")
    assert (brightness > 600) == (scheme == "light")
  browser.complaints()  # the page that is not there


STRUCTURE = """
  const wrong = [];
  const visible = (element) => element.checkVisibility();
  for (const field of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
    if (!field.labels.length && !field.ariaLabel) wrong.push("no label: " + field.outerHTML);
  }
  for (const button of document.querySelectorAll("button, a[href], summary")) {
    if (!(button.ariaLabel ?? button.textContent).trim()) wrong.push("no name: " + button.outerHTML);
  }
  for (const image of document.querySelectorAll("img, svg")) {
    if (!image.alt && !image.ariaLabel && image.ariaHidden !== "true") wrong.push("no text: " + image.outerHTML.slice(0, 80));
  }
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  if (new Set(ids).size !== ids.length) wrong.push("an id twice: " + ids.filter((id, at) => ids.indexOf(id) !== at));
  for (const element of document.querySelectorAll("[aria-labelledby]")) {
    if (!document.getElementById(element.getAttribute("aria-labelledby"))) wrong.push("labelled by nothing: " + element.outerHTML.slice(0, 80));
  }
  if (document.querySelectorAll("h1").length !== 1) wrong.push("not one h1");
  const levels = [...document.querySelectorAll("h1, h2, h3, h4")].filter(visible).map((heading) => +heading.tagName[1]);
  levels.forEach((level, at) => { if (at && level > levels[at - 1] + 1) wrong.push("a level left out: " + levels); });
  for (const name of ["main", "header", "footer", "nav"]) if (!document.querySelector(name)) wrong.push("no " + name);
  if (document.documentElement.lang !== "en") wrong.push("no language");
  if (!document.querySelector("meta[name=description]").content) wrong.push("no description");
  return wrong;
"""


def test_pages_can_be_read_aloud(browser, every_page):
  for path in every_page:
    browser.open(path)
    assert browser.run(STRUCTURE) == [], path
    assert len(browser.driver.title) > 5
  browser.complaints()  # the page that is not there


CONTROLS = """
  return [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")]
    .filter((element) => element.checkVisibility() && !element.disabled && (element.type !== "radio" || element.checked))
    .map((element, at) => { element.dataset.stop = at; return element.outerHTML.slice(0, 100); });
"""


@pytest.mark.parametrize("path", ["/", "/verify", "/transparency", "/docs/verifying", "outcome"])
def test_every_control_is_reached_with_the_keyboard_and_seen(browser, server, path):
  browser.open(f"/o/{drawn(server, 'dice')['shortId']}" if path == "outcome" else path)
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


def test_the_skip_link_comes_first_and_skips(browser):
  browser.open("/docs/api")
  ActionChains(browser.driver).send_keys(Keys.TAB).perform()
  assert browser.run("return document.activeElement.textContent") == "Skip to the content"
  ActionChains(browser.driver).send_keys(Keys.ENTER).perform()
  assert browser.run("return document.activeElement.id") == "content"


def test_a_draw_moves_nothing_above_it(browser):
  browser.open("/")
  place = "return document.querySelector('#draw').getBoundingClientRect().top + scrollY"
  before = browser.run(place)
  browser.click("#draw button")
  browser.wait("#result .steps a")
  assert browser.run(place) == before


# The reference and the guides


def test_every_link_leads_somewhere(server):
  seen, anchors = {}, {}
  queue = list(FIXED)
  while queue:
    path = queue.pop()
    if path in seen:
      continue
    answer = server.get(path, headers=HTML)
    seen[path] = answer.status
    if path == "/dashboard":  # which is for those who signed in
      assert (answer.status, answer.header("Location")) == (303, "/sign-in")
      continue
    assert answer.status == 200, path
    if not answer.header("Content-Type").startswith("text/html"):
      continue
    text = answer.body.decode()
    anchors[path] = (set(re.findall(r'id="([^"]+)"', text)), re.findall(r'href="([^"#]*)#([^"]+)"', text))
    queue += [link.split("#")[0].replace("&amp;", "&") for link in re.findall(r'href="(/[^"]*)"', text)]
  for path, (_, links) in anchors.items():
    for target, anchor in links:
      if (target or path) in anchors:
        assert anchor in anchors[target or path][0], (path, target, anchor)
  assert len(anchors) == len(FIXED)


def test_every_document_is_a_guide():
  """What is missing belongs into Sources/Website/Guides and GuidePages.guides."""
  documents = {*(REPOSITORY / "docs").glob("*.md"), REPOSITORY / "docs" / "verifiers" / "README.md"}
  assert {file.resolve() for file in documents} == set(DOCUMENTS.values())


@pytest.mark.parametrize("name", GUIDES)
def test_a_guide_is_its_document(browser, name):
  """Word for word, and with nothing of its Markdown left."""
  source = DOCUMENTS[name].read_text()
  browser.open(f"/docs/{name}")
  shown = browser.run("return document.querySelector('article').textContent")
  for syntax in (r"^```.*$", r"^\|[-|]+$", r"^\d+\. ", r"\]\([^)\s]*\)"):
    source = re.sub(syntax, "", source, flags=re.MULTILINE)
  assert re.sub(r"\W+", "", shown) == re.sub(r"\W+", "", source)
  prose = browser.run(
    "const copy = document.querySelector('article').cloneNode(true);"
    "copy.querySelectorAll('pre, code').forEach((code) => code.remove()); return copy.textContent")
  for mark in ("](", "**", "`", "|-", "\n#", "\n- "):
    assert mark not in prose


@pytest.mark.parametrize("name", GUIDES)
def test_a_guides_links_to_guides_are_links(server, name):
  source = re.sub(r"^```.*?^```", "", DOCUMENTS[name].read_text(), flags=re.MULTILINE | re.DOTALL)
  article = re.search(r"<article>.*</article>", server.get(f"/docs/{name}").body.decode(), re.S)[0]
  links = set(re.findall(r'href="/docs/(\w+)', article))
  for target in re.findall(r"\]\((?:\.\./)?(\w+)\.md[)#]", source):
    assert target in links or target not in DOCUMENTS, target


@pytest.mark.parametrize("guide, folder", [("proxies", "proxies"), ("ha", "ha")])
def test_the_files_that_guides_refer_to_are_there(server, guide, folder):
  article = re.search(r"<article>.*</article>", server.get(f"/docs/{guide}").body.decode(), re.S)[0]
  links = re.findall(rf'<a href="(/assets/[0-9a-f]+/{folder}-([^"]+))"', article)
  assert {name for _, name in links} == {file.name for file in (REPOSITORY / "docs" / folder).iterdir()}
  for address, name in links:
    answer = server.get(address)
    assert answer.body == (REPOSITORY / "docs" / folder / name).read_bytes()
    assert answer.header("Content-Type") == "text/plain; charset=utf-8"


def found(server, query):
  """The status of a search, the addresses found, and the page's text."""
  answer = server.get("/docs/search", {"q": query}, headers=HTML)
  text = answer.body.decode()
  listed = re.search(r'<ol class="found">.*?</ol>', text, re.S)
  return answer.status, re.findall(r'<li><p><a href="([^"]+)"', listed[0] if listed else ""), text


def test_the_guides_and_the_reference_are_searched(server):
  for query, place in [
    ("postgres", "/docs/postgresql#on-postgresql"), ("WebHook sign", "/docs/webhooks"), ("idempotency_in_flight", "/docs/errors"),
    ("post batch", "/api-docs#"), ("verifyShortId", "/api-docs#verifyShortId"),
  ]:
    status, links, text = found(server, query)
    assert status == 200 and any(link.startswith(place) for link in links), (query, links)
    assert f'value="{query}"' in text
    # Each leads to a heading that is there.
    for link in links:
      path, _, anchor = link.partition("#")
      assert f'id="{anchor}"' in server.get(path).body.decode(), link
  assert 1 <= len(found(server, "the")[1]) <= 20 and "These are the best matches" in found(server, "the")[2]
  assert found(server, "xyzzy")[:2] == (200, []) and "No section has all of these words" in found(server, "xyzzy")[2]
  assert found(server, "")[:2] == (200, []) and "No section" not in found(server, "")[2]
  for name, text in HOSTILE.items():
    status, _, page = found(server, text)
    assert status == (200 if len(text.encode()) <= 100 else 400), name
    assert "<img" not in page and "<script>d" not in page and "{{" not in page.replace(html.escape(text).replace("&#x27;", "&#39;"), "")
  assert found(server, "é" * 50)[0] == 200
  status, _, page = found(server, "é" * 50 + "x")
  assert status == 400 and "q must have at most 100 bytes" in page
  assert server.get("/docs/search?q=a&q=b").status == 400 and server.get("/docs/search?q=%ff").status == 400


def test_a_search_in_the_browser(browser):
  for path, width in (("/docs", Browser.DESKTOP), ("/docs/api", Browser.DESKTOP), ("/api-docs", Browser.PHONE)):
    browser.resize(width)
    browser.open(path)
    if width == Browser.PHONE:
      browser.click(".fold summary")
    field = next(field for field in browser.all("input[name=q]") if field.is_displayed())
    field.send_keys("shortId", Keys.ENTER)
    browser.wait("ol.found a").click()
    wait_until(lambda: browser.run("return location.hash !== '' && document.querySelector(':target') !== null"), "it leads there")


@pytest.mark.parametrize("path", ["/api-docs", "/docs/verifying", "/docs/api"])
def test_on_a_phone_a_long_page_begins_with_its_content(browser, path):
  top = "return [...document.querySelectorAll('h1')].map((one) => one.getBoundingClientRect().top)[0]"
  shown = "return [...document.querySelectorAll(\"main nav a[href^='#']\")].filter((link) => link.checkVisibility())"
  browser.resize(Browser.PHONE)
  browser.open(path)
  assert browser.run(top) < 300
  assert browser.run(shown) == []
  browser.click(".fold summary")
  links = browser.run(shown)
  assert len(links) >= 5
  browser.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", links[-1])
  links[-1].click()
  assert browser.run("return document.querySelector(':target') !== null")
  browser.resize(Browser.DESKTOP)
  browser.open(path)
  assert browser.run(top) < 300 and not browser.find(".fold").is_displayed()
  assert len(browser.run(shown)) == len(links)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_wide_table_shows_that_there_is_more(browser, scheme):
  """The edge where more is to come is darker than the edge where the table ends."""
  browser.scheme(scheme)
  browser.resize(Browser.PHONE)
  browser.open("/docs/operations")
  wide = "[...document.querySelectorAll('.scroll')].find((one) => one.scrollWidth > one.clientWidth + 50)"
  browser.run(f"{wide}.scrollIntoView({{block: 'start', behavior: 'instant'}})")

  def edges():
    """The brightness of the left and the right edge, in a row between two lines of text."""
    box = browser.run(f"const box = {wide}.getBoundingClientRect(); return [box.left, box.top, box.right]")
    return browser.driver.execute_async_script(
      """
      const [source, [left, top, right], done] = arguments;
      const image = new Image();
      image.onload = () => {
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [image.width, image.height];
        const context = canvas.getContext("2d", {willReadFrequently: true});
        context.drawImage(image, 0, 0);
        const at = (x) => context.getImageData(Math.round(x), Math.round(top) + 3, 1, 1).data.slice(0, 3).reduce((a, b) => a + b, 0);
        done([at(left + 1), at(right - 2), at((left + right) / 2)]);
      };
      image.src = source;
      """, "data:image/png;base64," + browser.driver.get_screenshot_as_base64(), box)

  left, right, middle = edges()
  assert left == middle and right < middle - (60 if scheme == "light" else 10), (left, right, middle)
  browser.run(f"const one = {wide}; one.scrollLeft = one.scrollWidth")
  left, right, middle = edges()
  assert right == middle and left < middle - (60 if scheme == "light" else 10), (left, right, middle)


def test_the_reference_has_every_operation_and_runs_them(browser, server):
  document = json.loads(server.get("/openapi.json").body)
  operations = [
    (path, method.upper()) for path, item in document["paths"].items() for method in item if method in ("get", "post", "patch", "delete")]
  browser.open("/api-docs")
  shown = [tuple(reversed(heading.split("\n"))) if "\n" in heading else heading for heading in browser.run(
    "return [...document.querySelectorAll('.endpoint h3')].map((one) => [...one.childNodes].map((node) => node.textContent).join('\\n'))")]
  assert set(shown) == set(operations) and len(shown) == len(operations)

  for path, needed in [("/api/health", "HTTP 200"), ("/api/dice", "HTTP 200"), ("/api/shuffle", "HTTP 200"), ("/api/seed", "HTTP 200")]:
    form = f"form[data-path='{path}']"
    browser.click(f"{form} button")
    assert browser.wait(f"{form} .status").text.startswith(needed)
    assert "x-request-id: " in browser.find(f"{form} .status").text
    json.loads(browser.find(f"{form} .body").text)
  browser.fill("form[data-path='/api/ints'] input[name=count]", "0")
  browser.click("form[data-path='/api/ints'] button")
  assert browser.wait("form[data-path='/api/ints'] .status").text.startswith("HTTP 400")
  [complaint] = browser.complaints()
  assert "400" in complaint["message"]
