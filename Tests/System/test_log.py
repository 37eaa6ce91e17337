"""The continuous log from outside: read, recomputed and checked by a reader of its own, whatever happens to the servers.

FAIRDRAW_TEST_LOG_SECONDS sets how long servers are killed under load (20); FAIRDRAW_TEST_SEED repeats a run's random choices.
"""

import base64
import contextlib
import http.client
import json
import os
import re
import signal
import sqlite3
import subprocess
import threading
import time
from collections import Counter

import pytest

import postgres
from harness import DRAWS, REPOSITORY, TIMEOUT, Connection, Server, together, unique, wait_until
from log_reader import (
  WIDTH, Checkpoint, Log, Proof, Roots, check_inclusion, commitment_text, entry_of, leaf_of, outcome_text, outcomes_in, reveal_text,
  tile_path)
from ports import free_port
from test_merkle import day_of, into_the_past, published
from test_postgres import Load, cluster, fleet, kill_at_random

__all__ = ["cluster", "fleet"]  # fixtures

SECONDS = float(os.environ.get("FAIRDRAW_TEST_LOG_SECONDS", 20))
COMMIT_LIFETIME = 600_000

needs_postgres = pytest.mark.skipif(postgres.programs() is None, reason="PostgreSQL's server is not installed")


def compact(value):
  return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def drawn(answer, items=None):
  """The text of an answer's outcome."""
  assert answer.status == 200, answer
  return outcome_text(answer.body.decode(), None if items is None else compact(items))


# What is in the log

ITEMS = ["a", "é\u2028\"\\/", 1.5, {"b": [None, True]}, [], "🎲"]
FORMS = [
  ("floats", {}), ("floats", {"count": 3}),
  ("ints", {"min": -5, "max": 5, "count": 3}), ("ints", {"min": -(2**53 - 1), "max": -(2**53 - 1)}),
  ("shuffle", {"items": ITEMS}), ("pick", {"items": ITEMS}), ("pick", {"items": ["a", "b"], "weights": [0.5, 1e-9]}),
  ("bytes", {"count": 5}), ("bytes", {"encoding": "base64"}),
  ("dice", {"notation": "2d6"}), ("dice", {"notation": "3d6 + 4"}),
  ("gaussian", {"mean": -5.5, "stddev": 1e-3}), ("gaussian", {"distribution": "exponential", "lambda": 0.5}),
  ("gaussian", {"distribution": "poisson", "lambda": 100}),
  ("sample", {"count": 3, "min": -5, "max": 994})]
assert {endpoint for endpoint, _ in FORMS} == set(DRAWS)


def live_story(server, key):
  """Everything that is logged, done by one caller: the entries that must come of it, in order, and the outcomes' texts."""
  entries, texts = [], {}

  def draw(text):
    entries.append(entry_of("draw", text))
    texts[text.split(b"\n")[1].decode()] = text

  for endpoint, parameters in FORMS:
    draw(drawn(server.post(f"/api/{endpoint}", compact({"clientSeed": "é/🎲", **parameters}), key=key), parameters.get("items")))
  draw(drawn(server.get("/api/ints", key=key)))

  batch = [{"endpoint": endpoint, "params": parameters} for endpoint, parameters in FORMS]
  batch.insert(3, {"endpoint": "pick", "params": {}})
  answer = server.post("/api/batch", compact({"draws": batch}), key=key)
  outcomes = outcomes_in(answer.body.decode())
  assert answer.status == 200 and len(outcomes) == len(FORMS)
  for outcome, (_, parameters) in zip(outcomes, FORMS):
    draw(outcome_text(outcome, compact(parameters["items"]) if "items" in parameters else None))

  for endpoint, parameters in FORMS:
    commitment = server.post("/api/commit", {}, key=key).json()
    entries.append(entry_of("commit", commitment_text(commitment, COMMIT_LIFETIME)))
    body = {"commitId": commitment["commitId"], "clientSeed": "x", "endpoint": endpoint, "params": parameters}
    answer = server.post("/api/reveal", compact(body), key=key)
    draw(drawn(answer, parameters.get("items")))
    outcome = answer.json()
    entries.append(entry_of("reveal", reveal_text({**outcome, "nonce": 1}, "x", outcome["created"])))
    assert server.post("/api/reveal", compact(body), key=key).status == 409

  for seed in ("é/🎲", "é/🎲", "test"):  # a seed that nothing was drawn from is revealed too
    rotation = server.post("/api/rotate", {"clientSeed": seed}, key=key).json()
    entries.append(entry_of("reveal", reveal_text(rotation["revealed"], seed, rotation["next"]["rotatedAt"])))
  draw(drawn(server.get("/api/ints", {"clientSeed": "é/🎲"}, key=key)))
  return entries, texts


def rehearse(server, key):
  """The same with a test key, of which nothing is logged."""
  for endpoint, parameters in FORMS:
    assert server.post(f"/api/{endpoint}", parameters, key=key).status == 200
    commitment = server.post("/api/commit", {}, key=key).json()
    body = {"commitId": commitment["commitId"], "clientSeed": "x", "endpoint": endpoint, "params": parameters}
    answer = server.post("/api/reveal", body, key=key)
    assert answer.status == 200
  assert server.post("/api/batch", {"draws": [{"endpoint": "ints", "params": {}}]}, key=key).status == 200
  return answer.json()["shortId"]


def read_only(server):
  """What asks, refuses or moves a cursor tells nobody anything new."""
  for path in ("/api/seed", "/api/incrementCursor", "/api/listOutcomes", "/api/ints?count=0", "/api/nothing"):
    server.get(path, {"clientSeed": unique()} if "?" not in path else None)
  assert server.post("/api/rotate", {"clientSeed": unique()}).status == 404


@pytest.fixture(scope="module")
def told(tmp_path_factory):
  """A server that has logged a story, the story's entries, and the texts of its outcomes by their shortIds."""
  with Server(tmp_path_factory.mktemp("told") / "data") as server:
    account = server.account()
    rehearsed = rehearse(server, server.key(account, "test"))
    read_only(server)
    entries, texts = live_story(server, server.key(account))
    for key in (None, server.key(), server.key(account)):
      more, also = live_story(server, key)
      entries += more
      texts |= also
    assert len(entries) > WIDTH
    yield server, entries, texts, rehearsed


def test_everything_is_logged_once_in_order(told):
  server, expected, _, _ = told
  log = Log(server)
  checkpoint = log.grown_to(1 + len(expected))
  assert log.entries(checkpoint) == [log.first_entry(), *expected]
  assert re.fullmatch(rf"{server.host}:{server.port}/log/0", log.key.name)


def test_every_outcome_has_a_proof_now_and_after_further_growth(told):
  server, expected, texts, _ = told
  log = Log(server)
  proofs = {short_id: log.proof(short_id) for short_id in texts}
  for short_id, text in texts.items():
    proofs[short_id].check(text)
    assert proofs[short_id].index == 1 + expected.index(entry_of("draw", text))
  size = log.checkpoint().size
  more = {}
  with server.connect() as connection:
    for _ in range(12):  # more than two full tiles
      batch = connection.post("/api/batch", {"draws": [{"endpoint": "floats", "params": {"clientSeed": "more"}}] * 50})
      for outcome in outcomes_in(batch.body.decode()):
        more[json.loads(outcome)["shortId"]] = outcome_text(outcome)
  grown = log.grown_to(size + len(more))
  entries = log.entries(grown)
  for short_id, text in (texts | more).items():
    proof = log.proof(short_id)
    proof.check(text)
    assert proof.checkpoint == grown and entries[proof.index] == entry_of("draw", text)
    if short_id in proofs:
      assert proofs[short_id].index == proof.index
      with pytest.raises(AssertionError):  # an older proof is no proof under a newer checkpoint
        check_inclusion(entries[proof.index], proof.index, grown.size, proofs[short_id].path, grown.root)


def test_a_proof_is_asked_for_too_early_only_before_the_entry_is_in(serve):
  """What a checkpoint has is never said to be missing afterwards."""
  server = serve()
  log = Log(server)
  missing = {}

  def draw_and_ask(number):
    with server.connect() as connection:
      for count in range(40):
        outcome = connection.get("/api/ints", {"clientSeed": f"{number}-{count % 3}"}).json()
        before = Checkpoint.open(connection.get("/log/0/checkpoint").body.decode(), log.key)
        answer = connection.get(f"/api/proof/{outcome['shortId']}")
        if answer.status == 200:
          assert Proof(answer.body.decode(), log.key).checkpoint.size >= before.size
        else:
          assert (answer.status, answer.code, answer.header("Retry-After")) == (404, "not_logged_yet", "1"), answer
          missing[outcome["shortId"]] = before.size

  together(4, draw_and_ask)
  assert missing
  for short_id, size in missing.items():
    assert log.proof(short_id).index >= size, short_id
  assert server.get(f"/api/proof/{next(iter(missing))}").status == 200


def test_a_published_day_is_logged(serve):
  server = serve()
  outcome = server.draw("ints").json()
  outcome = into_the_past(server, [outcome], days=3)[0]  # and two days without outcomes
  dates = [day_of(outcome["created"] + day * 86_400_000) for day in range(3)]
  roots = [published(server, date) for date in dates]
  log = Log(server)
  entries = log.entries(log.grown_to(5))
  assert entries[2:] == [f"root {root['date']} {root['root'] or '-'} {root['leafCount']}" for root in roots]
  assert [root["leafCount"] for root in roots] == [1, 0, 0]


def test_the_log_goes_on_after_a_restart(serve):
  server = serve()
  first = drawn(server.draw("ints"))
  log = Log(server)
  before = log.entries(log.grown_to(2))
  server.draw("ints", {"clientSeed": "just before the end"})
  server.restart()  # on another port
  again = Log(server)
  assert again.key == log.key, "a log keeps its name and its key"
  assert again.keys["log"]["prefix"] == f"http://{server.host}:{server.port}/log/0"
  assert again.entries(again.grown_to(3))[:2] == before == [log.first_entry(), entry_of("draw", first)]


def test_the_name_follows_from_the_public_url(serve):
  server = serve(FAIRDRAW_PUBLIC_URL="https://draws.example/fair")
  log = Log(server)
  assert log.keys["log"]["origin"] == "draws.example/fair/log/0"
  assert log.keys["log"]["prefix"] == "https://draws.example/fair/log/0"
  assert log.entries(log.grown_to(1)) == [log.first_entry()]


def test_a_long_queue_is_moved_in_steps(serve, rng):
  """More groups than are read at once, one of them larger than what is read at once."""
  server = serve()
  log = Log(server)
  log.grown_to(1)
  server.stop()
  groups = [[rng.randbytes(32) for _ in range(count)] for count in (*[1] * 2100, 50_000, *[20] * 500)]
  with contextlib.closing(sqlite3.connect(server.database)) as connection, connection:
    connection.executemany(
      "INSERT INTO log_queue (entries) VALUES (?)", ((b"".join(b"\2" + digest for digest in group),) for group in groups))
  server.start()
  expected = [f"draw {digest.hex()}" for group in groups for digest in group]
  log = Log(server)
  assert log.entries(log.grown_to(1 + len(expected))) == [log.first_entry(), *expected]
  assert server.sql("SELECT count(*) FROM log_queue") == [(0,)]


def test_a_proof_of_a_large_shuffle(serve):
  server = serve()
  items = [f"{number:04}" + "é" * 990 for number in range(1000)]
  text = drawn(server.post("/api/shuffle", compact({"clientSeed": "large", "items": items}), key=server.key()), items)
  assert 1_900_000 < len(text) < 2 * 1024 * 1024
  Log(server).proof(text.split(b"\n")[1].decode()).check(text)


def test_the_documented_verifiers_accept_what_the_server_proves(told, verifier):
  server, _, texts, _ = told
  log = Log(server)
  key = log.keys["log"]["vkey"]
  for endpoint, parameters in FORMS:
    answer = server.post(f"/api/{endpoint}", compact({"clientSeed": "verified", **parameters}))
    log.proof(answer.json()["shortId"])
    proof = server.get(f"/api/proof/{answer.json()['shortId']}").body.decode()
    items = compact(parameters["items"]) if "items" in parameters else None
    report = verifier.check_log_proof(answer.body.decode(), proof, key=key, items=items)
    assert report["ok"], report
    altered = answer.body.decode().replace('"nonce":', '"nonce":1')
    assert not verifier.check_log_proof(altered, proof, key=key, items=items)["ok"]


# How it is read


def test_every_width_of_the_last_tiles(told):
  server, expected, _, _ = told
  log = Log(server)
  checkpoint = log.grown_to(WIDTH + 1)
  entries = log.entries(checkpoint)
  with server.connect() as connection:
    number = (checkpoint.size - 1) // WIDTH
    rest = entries[WIDTH * number:]
    for width in range(1, min(len(rest), WIDTH - 1) + 1):
      path = tile_path("entries", number, width)
      assert log.fetch(connection, path) == b"".join(len(entry).to_bytes(2, "big") + entry.encode() for entry in rest[:width])
      assert log.fetch(connection, tile_path(0, number, width)) == b"".join(map(leaf_of, rest[:width]))
    # A full tile is there in part too.
    for width in (1, 100, WIDTH - 1):
      assert log.fetch(connection, tile_path(0, 0, width)) == log.fetch(connection, tile_path(0, 0))[:32 * width]
      assert log.fetch(connection, tile_path("entries", 0)).startswith(log.fetch(connection, tile_path("entries", 0, width)))
    for level in (1,):
      width = checkpoint.size // WIDTH
      assert log.fetch(connection, tile_path(level, 0, width)) == b"".join(
        _root(entries[WIDTH * at:WIDTH * (at + 1)]) for at in range(width))


def _root(entries):
  roots = Roots()
  for entry in entries:
    roots.append(leaf_of(entry))
  return roots.root()


def not_there(size):
  """Paths under a log's prefix that name nothing in a log of so many entries, of which there are from 257 to 65 280."""
  last, width = divmod(size, WIDTH)
  yield from ("", "tile", "tile/", "tile/0", "tile/0/", "tile/0/0", "tile/0/00", "tile/0/0000", "tile/0/abc", "tile/0/-01", "tile/0/+01")
  yield from ("tile//000", "tile/00/000", "tile/-1/000", "tile/64/000", "tile/256/000", "tile/x/000", "tile/Entries/000")
  yield from ("tile/0/x000/000", "tile/0/000/000", "tile/0/X001/000", "tile/0/x001/0", "tile/0/x01/000", "tile/0/%30%30%30x")
  for kind in ("0", "entries"):
    for bad in ("0", "256", "257", "1000", "01", "-1", "+1", "", "1/1", "a", "1.5", "99999999999999999999999999"):
      yield f"tile/{kind}/000.p/{bad}"
    yield f"tile/{kind}/000.P/1"
    yield f"tile/{kind}/000.p"
    yield f"tile/{kind}/{last:03}"
    yield f"tile/{kind}/{last:03}.p/{width + 1}"
    yield f"tile/{kind}/{last + 1:03}.p/1"
    yield f"tile/{kind}/x001/000.p/1"
    yield f"tile/{kind}/x999/x999/x999/x999/x999/x999/999"
    yield f"tile/{kind}/x009/x223/x372/x036/x854/x775/807"
    yield f"tile/{kind}/x009/x223/x372/x036/x854/x775/808.p/1"
    yield f"tile/{kind}/{'x001/' * 18}001"
    yield f"tile/{kind}/{'x001/' * 200}001"
  yield f"tile/1/000.p/{last + 1}"
  yield from ("tile/1/000", "tile/2/000.p/1", "tile/8/000.p/1", "tile/63/000.p/1", "tile/63/000")
  yield from ("checkpoints", "Checkpoint", "entries/000", "../checkpoint")


def test_nothing_else_is_there(told):
  server, _, _, _ = told
  log = Log(server)
  checkpoint = log.grown_to(WIDTH + 1)
  assert checkpoint.size % WIDTH and checkpoint.size < WIDTH * 255
  missing = [f"{log.prefix}/{path}" for path in not_there(checkpoint.size)]
  for era in ("1", "00", "-1", "+0", "0.0", "", "x", "9223372036854775807", "9223372036854775808", "1" * 400):
    missing += [f"/log/{era}/{path}" for path in ("checkpoint", "tile/0/000.p/1", "tile/entries/000.p/1")]
  found = []
  with server.connect() as connection:
    for path in missing:
      answer = connection.get(path)
      if answer.status != 404 or answer.header("Content-Type") != "application/json" or answer.header("Cache-Control") != "no-store":
        found.append((path, str(answer)[:80]))
  assert not found, found
  assert server.get(f"{log.prefix}/checkpoint", {"x": 1}).status == 400


def test_proofs_that_there_are_not(told):
  server, _, texts, rehearsed = told
  # Imported outcomes keep their shortIds, which are of other lengths.
  for short_id in ("0000000000", "0000", "0" * 32):
    absent = server.get(f"/api/proof/{short_id}")
    assert absent.status == 404 and absent.code == "not_found" and absent.header("Retry-After") is None, (short_id, absent)
  of_a_test = server.get(f"/api/proof/{rehearsed}")
  assert of_a_test.status == 404 and of_a_test.code == "test_mode_forbidden" and of_a_test.header("Retry-After") is None
  for bad in ("x", "000", "0" * 33, "00000-0000", "%2f" * 10, "é" * 5, "%00" * 10):
    answer = server.raw_get(f"/api/proof/{bad}".encode())
    assert answer.status == 400 and "shortId" in answer.error, (bad, answer)
  short_id = next(iter(texts))
  for path, status in (("/api/proof/", 404), ("/api/proof", 404), (f"/api/proof/{short_id}?x=1", 400)):
    assert server.get(path).status == status, path
  assert server.get(f"/api/proof/{short_id}", key="nonsense").status == 401


CACHED = {
  "/log/0/checkpoint": ("text/plain; charset=utf-8", "public, max-age=1"),
  "/log/0/tile/0/000": ("application/octet-stream", "public, max-age=31536000, immutable"),
  "/log/0/tile/entries/000.p/7": ("application/octet-stream", "public, max-age=31536000, immutable"),
}


@pytest.mark.parametrize("path", [*CACHED, "/api/proof"])
def test_headers(told, path):
  server, _, texts, _ = told
  log = Log(server)
  log.grown_to(WIDTH)
  if path == "/api/proof":
    short_id = next(iter(texts))
    log.proof(short_id)
    path, kind, caching = f"{path}/{short_id}", "text/plain; charset=utf-8", "no-store"
  else:
    kind, caching = CACHED[path]
  get = server.get(path, headers={"Origin": "https://elsewhere.example"})
  assert get.status == 200, get
  assert (get.header("Content-Type"), get.header("Cache-Control")) == (kind, caching)
  assert get.header("Access-Control-Allow-Origin") == "*"
  assert int(get.header("Content-Length")) == len(get.body)
  head = server.request("HEAD", path)
  assert (head.status, head.body, head.header("Content-Length")) == (200, b"", get.header("Content-Length"))
  asked = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "GET"}
  options = server.request("OPTIONS", path, headers=asked)
  assert options.status == 204 and options.header("Access-Control-Allow-Origin") == "*" and "GET" in options.header("Allow")
  for method in ("POST", "PUT", "DELETE"):
    refused = server.request(method, path)
    assert refused.status == 405 and refused.header("Allow") == options.header("Allow"), (method, refused)


def test_reading_is_not_limited(serve):
  """Readers fetch thousands of tiles, most of them from caches; proofs are looked up, and count."""
  server = serve(FAIRDRAW_RATE_LIMIT_PER_MINUTE=1)
  log = Log(server)
  log.grown_to(1)
  for path in ("checkpoint", "tile/entries/000.p/1", "tile/0/000.p/1") * 5:
    assert server.get(f"{log.prefix}/{path}").status == 200
  assert {server.get("/api/proof/0000000000").status for _ in range(4)} >= {429}
  assert server.get(f"{log.prefix}/checkpoint").status == 200


# Damage


def test_an_outcome_that_was_altered_has_no_proof(serve):
  server = serve()
  outcomes = [server.draw("ints", {"clientSeed": "x", "count": 2}).json() for _ in range(4)]
  log = Log(server)
  for outcome in outcomes:
    log.proof(outcome["shortId"])
  server.stop()
  assert server.alter("UPDATE outcomes SET value = CAST('[1,2]' AS BLOB) WHERE nonce = 1") == 1
  assert server.alter("UPDATE outcomes SET created = created - 120000 WHERE nonce = 2") == 1
  server.start()
  intact, value, created, also = (server.get(f"/api/proof/{outcome['shortId']}") for outcome in outcomes)
  assert (intact.status, also.status) == (200, 200)
  assert (created.status, created.code) == (500, "damaged"), created
  # It is as young as one that is not in the log yet.
  assert (value.status, value.code) == (404, "not_logged_yet"), value


def test_damaged_entries_fail_only_what_needs_them(serve):
  server = serve()
  key = server.key()
  outcomes = []
  for _ in range(7):
    outcomes += server.post("/api/batch", {"draws": [{"endpoint": "ints", "params": {}}] * 50}, key=key).json()["results"]
  first, last = outcomes[0]["outcome"]["shortId"], outcomes[-1]["outcome"]["shortId"]
  log = Log(server)
  log.proof(last)
  server.stop()
  assert server.alter("UPDATE log_bundles SET entries = substr(entries, 2) WHERE number = 0") == 1
  server.start()
  for path in (f"/api/proof/{first}", "/log/0/tile/0/000"):
    answer = server.get(path)
    assert (answer.status, answer.code) == (500, "damaged"), answer
  log = Log(server)
  log.proof(last)
  log.proof(server.draw("ints").json()["shortId"])


def test_a_damaged_edge_stops_the_log_and_nothing_else(serve):
  server = serve()
  outcome = server.draw("ints").json()
  Log(server).proof(outcome["shortId"])
  server.stop()
  [(entries,)] = server.sql("SELECT entries FROM log_bundles")
  assert server.alter("UPDATE log_bundles SET entries = substr(entries, 2)") == 1
  server.start()
  for path in (f"/api/proof/{outcome['shortId']}", "/log/0/tile/0/000.p/2"):
    answer = server.get(path)
    assert (answer.status, answer.code) == (500, "damaged"), answer
  text = drawn(server.draw("ints"))
  wait_until(lambda: "The log could not be continued" in server.log_text(), "the server says so")
  assert Log(server).checkpoint().size == 2
  server.stop()
  server.alter("UPDATE log_bundles SET entries = ?", entries)
  server.start()
  Log(server).proof(text.split(b"\n")[1].decode()).check(text)  # what was waiting goes in


# Killing


class Watcher:
  """Collects every checkpoint that servers show, and has them checked in the end."""

  def __init__(self, servers):
    self.servers = servers
    self.notes = set()
    self.failures = []
    self.stopping = threading.Event()

  def __enter__(self):
    self.threads = [threading.Thread(target=self.run, args=(server,)) for server in self.servers]
    for thread in self.threads:
      thread.start()
    return self

  def __exit__(self, *_):
    self.stopping.set()
    for thread in self.threads:
      thread.join(TIMEOUT)

  def run(self, server):
    port = connection = None
    while not self.stopping.wait(0.02):
      try:
        if port != server.port:
          port, connection = server.port, Connection(server)
          connection.http.timeout = 10
        answer = connection.get("/log/0/checkpoint")
        if answer.status == 200:
          self.notes.add(answer.body.decode())
        elif answer.status != 404:
          assert answer.status in (500, 503), answer
      except (OSError, http.client.HTTPException):
        port = None
      except BaseException as failure:  # reported by `check`
        self.failures.append(failure)
        return
    if connection:
      connection.http.close()

  def check(self, log, entries):
    """Each checkpoint is the one of the first so many of the final entries."""
    assert not self.failures, self.failures[0]
    checkpoints = {Checkpoint.open(note, log.key) for note in self.notes.copy()}
    sizes = {checkpoint.size for checkpoint in checkpoints}
    assert len(checkpoints) == len(self.notes) == len(sizes), "two checkpoints of one size"
    roots, of_size = Roots(), {}
    for entry in entries:
      roots.append(leaf_of(entry))
      if roots.size in sizes:
        of_size[roots.size] = roots.root()
    assert {checkpoint.size: checkpoint.root for checkpoint in checkpoints} == of_size
    return len(checkpoints)


def check_log(server, answers, watcher, recorded):
  """That what was acknowledged is in the log once and in order, and everything recorded besides.

  `recorded` gives the number of outcomes in the database.
  """
  log = Log(server)
  texts = {}
  for _, _, answer in answers:
    if answer.status == 200:
      for outcome in outcomes_in(answer.body.decode()):
        texts[json.loads(outcome)["shortId"]] = outcome_text(outcome)
  log.proof(server.draw("ints", {"clientSeed": "the last one"}).json()["shortId"])
  entries = wait_until(lambda: (lambda found: found if len(found) > recorded() else None)(log.entries()), "all is logged")
  kinds = Counter(entry.split(" ")[0] for entry in entries)
  assert kinds == {"keys": 1, "draw": recorded()}
  places = {entry: index for index, entry in enumerate(entries)}
  assert len(places) == len(entries), "an entry is in the log twice"
  chains = {}
  for text in texts.values():
    _, _, _, _, chain, cursor, nonce, *_ = text.decode().split("\n")
    chains.setdefault(chain, []).append((int(cursor), int(nonce), places[entry_of("draw", text)]))
  for chain in chains.values():
    indexes = [index for _, _, index in sorted(chain)]
    assert indexes == sorted(indexes), "an outcome is before one that was drawn before it"
  for short_id in list(texts)[::len(texts) // 50 + 1]:
    log.proof(short_id).check(texts[short_id])
  print(f"{len(entries)} entries, {len(texts)} acknowledged, {watcher.check(log, entries)} checkpoints")


def test_kill_9_at_random_moments(serve, rng):
  server = serve()
  keys = [server.key(server.account("--daily-quota", 10**9)) for _ in range(2)]
  with Watcher([server]) as watcher:
    with Load([server], keys, clients=12, seed=rng.random()) as load:
      kills = kill_at_random([server], rng, SECONDS, longest=1.2)
    print(f"{kills} kills, {len(load.answers)} answers")
    assert kills > 3 and len(load.answers) > 100
    check_log(server, load.answers, watcher, lambda: server.sql("SELECT count(*) FROM outcomes")[0][0])


@needs_postgres
def test_kill_9_of_servers_over_one_database(fleet, rng):
  servers = fleet.start(3)
  keys = [fleet.key(fleet.account("--daily-quota", str(10**9))) for _ in range(2)]
  with Watcher(servers) as watcher:
    with Load(servers, keys, clients=12, seed=rng.random()) as load:
      kills = kill_at_random(servers, rng, SECONDS, longest=1.2)
    print(f"{kills} kills, {len(load.answers)} answers")
    assert kills > 3 and len(load.answers) > 100
    check_log(servers[0], load.answers, watcher, lambda: fleet.number("SELECT count(*) FROM outcomes"))


# One keeper


def metric(server):
  """The size of the last checkpoint that a server itself has signed."""
  with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.metrics_port, timeout=TIMEOUT)) as connection:
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
  return int(float(re.search(r"^fairdraw_log_size (\S+)$", text, re.MULTILINE)[1]))


@pytest.fixture
def pair(fleet):
  """Two servers over one database: the one that keeps the log, and the other."""
  servers = []
  for _ in range(2):
    port = free_port()
    server = fleet.add(FAIRDRAW_METRICS_PORT=port)
    server.metrics_port = port
    servers.append(server.start())
  wait_until(lambda: any(map(metric, servers)), "one keeps the log")
  return sorted(servers, key=metric, reverse=True)


def keeper(fleet):
  return fleet.sql("SELECT encode(keeper, 'hex') FROM logs")


@needs_postgres
def test_another_server_goes_on_when_the_keeper_is_killed(fleet, pair):
  keeping, other = pair
  log = Log(other)
  texts = [drawn(server.draw("ints", {"clientSeed": "x"})) for server in (keeping, other) * 5]
  log.grown_to(11)
  assert (metric(keeping), metric(other)) == (11, 0), "one server keeps the log"
  first = keeper(fleet)
  texts += [drawn(server.draw("ints", {"clientSeed": "x"})) for server in (keeping, other) * 5]
  keeping.kill()
  texts += [drawn(other.draw("ints", {"clientSeed": "x"})) for _ in range(5)]
  entries = log.entries(log.grown_to(26))
  assert entries == [log.first_entry(), *(entry_of("draw", text) for text in texts)]
  assert metric(other) == 26 and keeper(fleet) != first
  keeping.start()
  text = drawn(keeping.draw("ints", {"clientSeed": "x"}))
  assert Log(keeping).entries(log.grown_to(27)) == [*entries, entry_of("draw", text)]
  assert (metric(keeping), metric(other)) == (0, 27), "who has it keeps it"


@needs_postgres
def test_a_keeper_that_was_stopped_for_a_while_does_not_fork_the_log(fleet, pair):
  keeping, other = pair
  with Watcher(pair) as watcher:
    texts = []
    for _ in range(3):
      for server in (keeping, other):
        texts.append(drawn(server.draw("ints", {"clientSeed": "x"})))
      keeping.signal(signal.SIGSTOP)
      try:
        texts.append(drawn(other.draw("ints", {"clientSeed": "y"})))
        Log(other).grown_to(1 + len(texts))
      finally:
        keeping.signal(signal.SIGCONT)
      keeping, other = other, keeping
    log = Log(other)
    texts.append(drawn(keeping.draw("ints", {"clientSeed": "x"})))
    entries = log.entries(log.grown_to(1 + len(texts)))
    assert sorted(entries[1:]) == sorted(entry_of("draw", text) for text in texts)
    watcher.check(log, entries)


@needs_postgres
def test_a_server_that_drew_nothing_for_long(fleet):
  """Servers take their outcomes' numbers in blocks, so one that was idle gives out numbers from long ago."""
  idle, busy = fleet.start(2)
  key = fleet.key(fleet.account("--daily-quota", str(10**9)))
  log = Log(busy)
  log.proof(idle.draw("ints").json()["shortId"])  # takes a block of numbers
  batches = 170  # of each thread: more than 256 bundles

  def draw(number):
    body = {"draws": [{"endpoint": "ints", "params": {"clientSeed": f"busy-{number}"}}] * 50}
    with busy.connect() as connection:
      for _ in range(batches):
        assert connection.post("/api/batch", body, key=key).status == 200

  together(8, draw)
  text = drawn(idle.draw("ints"))
  log.grown_to(1 + 1 + 8 * 50 * batches + 1)
  answer = busy.get(f"/api/proof/{text.split(bytes([10]))[1].decode()}")
  assert answer.status == 200, answer
  Proof(answer.body.decode(), log.key).check(text)


# Another implementation

GO = {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": "", "GOTOOLCHAIN": "local", "GOPROXY": "off"}


@pytest.fixture(scope="module")
def golog(tmp_path_factory):
  """The program in golog, built with Debian's golang.org/x/mod, which is the reader of Go's own checksum database."""
  folder = tmp_path_factory.mktemp("golog")
  program = folder / "golog"
  done = subprocess.run(
    ["go", "build", "-o", program, REPOSITORY / "Tests" / "System" / "golog" / "main.go"], cwd=folder,
    env={**os.environ, **GO, "GOCACHE": str(folder / "cache")}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
  assert done.returncode == 0, done.stderr
  return program


def read_with_go(program, vkey, *arguments):
  return subprocess.run(
    [program, vkey, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT)


def test_gos_own_packages_read_the_log(golog, serve, tmp_path):
  server = serve()
  key = server.key()
  log = Log(server)
  older, proof = tmp_path / "older", tmp_path / "proof"
  log.grown_to(1)
  older.write_text(log.note())
  drawn_first = server.draw("ints").json()["shortId"]
  log.proof(drawn_first)
  proof.write_bytes(server.get(f"/api/proof/{drawn_first}").body)
  for _ in range(14):
    server.post("/api/batch", {"draws": [{"endpoint": "ints", "params": {}}] * 50}, key=key)
  checkpoint = log.grown_to(702)
  prefix = log.keys["log"]["prefix"]
  done = read_with_go(golog, log.keys["log"]["vkey"], prefix, "checkpoint", older, "proof", proof)
  assert done.returncode == 0, done.stderr
  assert done.stdout.splitlines() == [
    f"{checkpoint.size} entries of the tree {base64.b64encode(checkpoint.root).decode()}",
    "a checkpoint of 1 is a prefix", "proof of entry 1 under a checkpoint of 2"]

  # It can say no.
  other = serve(folder="other")
  Log(other).grown_to(1)
  foreign = read_with_go(golog, Log(other).keys["log"]["vkey"], prefix)
  assert foreign.returncode == 1 and "signature" in foreign.stderr, foreign
  forged = tmp_path / "forged"
  forged.write_text(proof.read_text().replace("index 1\n", "index 0\n"))
  done = read_with_go(golog, log.keys["log"]["vkey"], prefix, "proof", forged)
  assert done.returncode == 1 and "proof" in done.stderr, done
  server.stop()
  server.alter("UPDATE log_bundles SET entries = CAST(substr(entries, 1, length(entries) - 1) || x'00' AS BLOB) WHERE number = 1")
  server.start()
  done = read_with_go(golog, log.keys["log"]["vkey"], f"http://{server.host}:{server.port}/log/0")
  assert done.returncode == 1 and "proof" in done.stderr, done
