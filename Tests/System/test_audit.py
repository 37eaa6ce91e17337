"""`fairdraw audit log` from outside and beside a database, and audits of several days.

Everything is tampered with as somebody would who has the database and the program that serves it.
"""

import base64
import hashlib
import http.server
import json
import shutil
import sqlite3
import subprocess
import threading
from contextlib import closing

import pytest

import postgres
from harness import BINARY, TIMEOUT, Server, cli, environment, unique, wait_until
from log_reader import Log, tile_path
from test_cosigning import URL, Watched, address, policy
from test_log import live_story
from test_merkle import day_before, day_of, draw_some, published, shift, stop_time
from test_postgres import Load, cluster, fleet
from test_witness import Witness

__all__ = ["cluster", "fleet"]  # fixtures

needs_postgres = pytest.mark.skipif(postgres.programs() is None, reason="PostgreSQL's server is not installed")


def base(server):
  return f"http://{server.host}:{server.port}"


def audit_log(*arguments, **rest):
  """The command's end, and what fails, by its subject."""
  done = cli("audit", "log", *arguments, **rest)
  faults = {}
  for line in done.stdout.splitlines():
    if line.startswith("FAIL"):
      subject, _, text = line[5:].partition("  ")
      faults[subject.strip()] = text.strip()
  assert (done.returncode == 1) == bool(faults), done
  assert (done.returncode == 0) == ("\nverified: " in done.stdout), done
  return done, faults


# From outside


@pytest.fixture
def outside(serve):
  """A server with a few entries, and how to audit it."""
  server = serve()
  for number in range(5):
    server.draw("ints", {"clientSeed": f"outside-{number}"})
  log = Log(server)
  log.grown_to(6)
  return server, log, ["--url", base(server), "--key", log.keys["log"]["vkey"]]


def test_a_log_is_followed_as_it_grows(outside, tmp_path):
  server, log, where = outside
  state = tmp_path / "state"
  done, _ = audit_log(*where, "--state", state)
  assert done.returncode == 0 and "6 were read, and all 6 give the root" in done.stdout, done
  kept = json.loads(state.read_text())
  assert kept["size"] == 6 and state.stat().st_mode & 0o777 == 0o600
  key = server.key()
  for _ in range(12):
    server.post("/api/batch", {"draws": [{"endpoint": "ints", "params": {}}] * 50}, key=key)
  log.grown_to(606)
  done, _ = audit_log(*where, "--state", state)
  assert done.returncode == 0 and "600 were read, and all 606 give the root" in done.stdout, done
  assert "it continues the 6 entries" in done.stdout
  done, _ = audit_log("--url", base(server) + "/log/0/", *where[2:], "--state", state)
  assert done.returncode == 0 and "\n" in done.stdout and "0 were read" in done.stdout, done
  assert "\r" not in done.stderr  # a progress bar is for terminals


class Liar:
  """Stands before a server and answers some paths otherwise."""

  def __init__(self, server, lies):
    liar = self

    class Handler(http.server.BaseHTTPRequestHandler):
      protocol_version = "HTTP/1.1"

      def do_GET(self):
        liar.asked.append(self.path)
        answer = server.get(self.path)
        status, body = answer.status, answer.body
        if self.path in lies:
          status, body = lies[self.path](status, body)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

      def log_message(self, *_):
        pass

    self.asked = []
    self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    self.url = f"http://127.0.0.1:{self.http.server_address[1]}"

  def __enter__(self):
    threading.Thread(target=self.http.serve_forever, daemon=True).start()
    return self

  def __exit__(self, *_):
    self.http.shutdown()
    self.http.server_close()


def put(body):
  return lambda *_: (200, body)


def test_an_entry_that_was_changed_is_named(outside):
  server, log, (_, _, *key) = outside
  entries = server.get("/log/0/tile/entries/000.p/6").body
  altered = bytearray(entries)
  altered[-1] = ord("0") if altered[-1] != ord("0") else ord("1")
  with Liar(server, {"/log/0/tile/entries/000.p/6": put(bytes(altered))}) as liar:
    done, faults = audit_log("--url", liar.url, *key)
  assert faults.keys() == {"entries"} and "entry 5 is not the one whose hash" in faults["entries"], done
  with Liar(server, {"/log/0/tile/entries/000.p/6": put(entries.replace(b"draw ", b"drew ", 1))}) as liar:
    done, faults = audit_log("--url", liar.url, *key)
  assert faults.keys() == {"entries"} and "entry 1 is not an entry" in faults["entries"], done


def test_another_key_or_signature_is_refused(outside, serve, tmp_path):
  server, log, where = outside
  other = Log(serve(folder="other"))
  vkey = other.keys["log"]["vkey"]
  done, faults = audit_log("--url", base(server), "--key", vkey)
  assert faults.keys() == {"checkpoint"} and "is trusted" in faults["checkpoint"], done
  note = log.note()
  forged = note[:-10] + ("A" if note[-10] != "A" else "B") + note[-9:]
  with Liar(server, {"/log/0/checkpoint": put(forged.encode())}) as liar:
    done, faults = audit_log("--url", liar.url, *where[2:])
  assert faults.keys() == {"checkpoint"}, done
  keys = json.loads(server.get("/api/keys").body)
  keys["vrf"]["publicKey"] = other.keys["vrf"]["publicKey"]
  with Liar(server, {"/api/keys": put(json.dumps(keys).encode())}) as liar:
    done, faults = audit_log("--url", liar.url, *where[2:])
  assert faults.keys() == {"keys"} and "other keys" in faults["keys"], done
  rules = tmp_path / "policy"
  rules.write_text(f"log {where[3]}\nquorum none\n")
  assert audit_log("--url", base(server), "--policy", rules)[0].returncode == 0
  rules.write_text(f"log {where[3]}\nwitness w {witness_key()}\nquorum w\n")
  done, faults = audit_log("--url", base(server), "--policy", rules)
  assert faults.keys() == {"quorum"} and "cosignatures of w" in faults["quorum"], done


def witness_key():
  """A witness's key that has cosigned nothing."""
  public = hashlib.sha256(b"nobody").digest()
  data = b"\4" + public
  key_id = hashlib.sha256(b"witness.example\n" + data).digest()[:4].hex()
  return f"witness.example+{key_id}+{base64.b64encode(data).decode()}"


def test_a_quorum_may_have_cosigned_an_older_checkpoint(tmp_path):
  """Under load the newest checkpoint has no cosignatures yet, and a witness may be down."""
  with Server(tmp_path / "data", FAIRDRAW_PUBLIC_URL=URL) as server:
    watched = Watched(server)
    with Witness(tmp_path / "witness", "--name", "steady", logs=[watched.key]) as steady:
      watched.with_witnesses(address(steady))
      watched.cosigned_by(steady, outcome=watched.draw())
      (tmp_path / "policy").write_text(policy(watched.key, [steady], 1))
    arguments = ["--url", base(server), "--policy", tmp_path / "policy", "--state", tmp_path / "state"]
    done, _ = audit_log(*arguments)
    assert done.returncode == 0 and "2 entries, cosigned by steady" in done.stdout, done
    watched.draw(3)
    wait_until(lambda: watched.note().split("\n")[1] == "5", "the draws are in the log")
    done, _ = audit_log(*arguments)
    assert done.returncode == 0 and "2 entries, cosigned by steady" in done.stdout and "all 5 give the root" in done.stdout, done
    # An older checkpoint that nobody cosigned is not enough.
    with Liar(server, {"/log/0/cosigned": put(server.get("/log/0/checkpoint").body)}) as liar:
      done, faults = audit_log("--url", liar.url, *arguments[2:])
    assert faults.keys() == {"quorum"} and "asks for the cosignatures" in faults["quorum"], done


def test_a_log_that_shrank_or_forked_is_named(outside, tmp_path):
  """The server goes back to a copy of its database, and draws on."""
  server, log, where = outside
  state = tmp_path / "state"
  server.stop()
  copy = server.database.read_bytes()
  server.start()
  where[1] = base(server)
  server.draw("ints", {"clientSeed": "lost"})
  log = Log(server)
  log.grown_to(7)
  assert audit_log(*where, "--state", state)[0].returncode == 0
  before = state.read_text()
  server.stop()
  server.database.write_bytes(copy)
  for file in server.data.glob("*checkpoint*"):  # what may be kept beside the database, against just this
    file.unlink()
  server.start()
  where[1] = base(server)
  log = Log(server)
  log.grown_to(6)
  done, faults = audit_log(*where, "--state", state)
  assert faults.keys() == {"growth"} and "it has 6 entries" in faults["growth"] and "7 entries was signed before" in faults["growth"], done
  assert state.read_text() == before and "keep " in done.stdout
  server.draw("ints", {"clientSeed": "another"})
  log.grown_to(7)
  done, faults = audit_log(*where, "--state", state)
  assert faults.keys() == {"growth"} and "forked" in faults["growth"], done
  server.draw("ints", {"clientSeed": "another"})
  log.grown_to(8)
  done, faults = audit_log(*where, "--state", state)
  assert faults.keys() == {"growth"} and "does not continue the tree of 7 entries" in faults["growth"], done
  assert json.loads(state.read_text())["verified"] == json.loads(before)["verified"]
  assert audit_log(*where)[0].returncode == 0, "for itself, the new log is sound"


def test_an_audit_that_is_killed_goes_on(outside, tmp_path):
  server, log, where = outside
  state = tmp_path / "state"
  key = server.key()
  for _ in range(30):
    server.post("/api/batch", {"draws": [{"endpoint": "ints", "params": {}}] * 50}, key=key)
  log.grown_to(1506)
  released = threading.Event()

  def hang(status, body):
    released.wait(TIMEOUT)
    return status, body

  last = "/" + "log/0/" + tile_path("entries", 5, 1506 - 5 * 256)
  with Liar(server, {last: hang}) as liar:
    arguments = [BINARY, "audit", "log", "--url", liar.url, *where[2:], "--state", str(state)]
    running = subprocess.Popen(arguments, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
      wait_until(state.exists, "some entries are read")
    finally:
      running.kill()
      running.communicate()
      released.set()
  size = json.loads(state.read_text())["size"]
  assert 0 < size < 1506 and size % 256 == 0
  with Liar(server, {}) as liar:
    done, _ = audit_log("--url", liar.url, *where[2:], "--state", state)
    assert done.returncode == 0 and f"{1506 - size} were read, and all 1506" in done.stdout, done
    assert f"/log/0/{tile_path('entries', size // 256 - 1)}" not in liar.asked and last in liar.asked


def test_what_is_not_answered_is_another_status_than_what_is_wrong(outside, tmp_path):
  server, _, where = outside
  done, _ = audit_log("--url", "http://127.0.0.1:1", *where[2:])
  assert done.returncode == 2 and "the connection was refused" in done.stderr, done
  for path in ("/log/0/checkpoint", "/log/0/tile/entries/000.p/6", "/api/keys"):
    with Liar(server, {path: lambda *_: (503, b"busy")}) as liar:
      done, _ = audit_log("--url", liar.url, *where[2:])
    assert done.returncode == 2 and "503" in done.stderr, (path, done)
  state = tmp_path / "state"
  state.write_text("{}")
  done = cli("audit", "log", *where, "--state", state)
  assert done.returncode == 1 and "is damaged, or is another program's file" in done.stderr, done
  for arguments, why in (
    (["--url", base(server)], "needs the log's --key"), (["--url", "example.com", *where[2:]], "--url must be"),
    (["--key", where[3]], "go with --url"), (["--outcomes", "x"], "go with --url")):
    done = cli("audit", "log", *arguments)
    assert done.returncode == 64 and why in done.stderr, (arguments, done)


def test_ones_own_outcomes_are_looked_for(serve, tmp_path):
  server = serve()
  account = server.account()
  key, test_key = server.key(account), server.key(account, "test")
  entries, _ = live_story(server, key)
  server.draw("ints", {"clientSeed": "a"}, key=test_key)
  server.draw("ints", {"clientSeed": "ints alone"}, key=key)
  log = Log(server)
  log.grown_to(2 + len(entries))
  where = ["--url", base(server), "--key", log.keys["log"]["vkey"]]
  export = tmp_path / "export"
  export.write_text(server.cli("account", "export", account, check=True).stdout)
  drawn = 1 + sum(entry.startswith("draw") for entry in entries)
  done, faults = audit_log(*where, "--outcomes", export)
  assert done.returncode == 0 and f"all {drawn} are in the log" in done.stdout and "1 of the outcomes are of test keys" in done.stdout, done
  altered = export.read_text().replace('"nonce":2,', '"nonce":3,', 1)
  export.write_text(altered)
  done, faults = audit_log(*where, "--outcomes", export)
  assert faults.keys() == {"outcomes"} and f"1 of {drawn} are not in the log" in faults["outcomes"], done
  listed = tmp_path / "list"
  listed.write_bytes(server.get("/api/listOutcomes", {"clientSeed": "ints alone"}, key=key).body)
  done, _ = audit_log(*where, "--outcomes", listed)
  assert done.returncode == 0 and "it is in the log" in done.stdout, done
  listed.write_bytes(server.get("/api/listOutcomes", {"clientSeed": "é/🎲"}, key=key).body)
  done, _ = audit_log(*where, "--outcomes", listed)
  assert done.returncode == 2 and "have no items in the file" in done.stdout, done
  listed.write_text("{nonsense")
  done = cli("audit", "log", *where, "--outcomes", listed)
  assert done.returncode == 1 and "line 1 is not JSON" in done.stderr, done

  listed.write_bytes(b"x" * (65 << 20))
  done = cli("audit", "log", *where, "--outcomes", listed)
  assert done.returncode == 1 and "more than 64 MiB" in done.stderr, done


# Days


@pytest.fixture
def days(serve):
  """A server with three published days: the dates, the first one first."""
  server = serve()
  draw_some(server, 3)
  created = stop_time(server)
  (last,) = server.sql("SELECT max(id) FROM outcomes")[0]
  shift(server, 3, f"id <= {last // 2}")
  shift(server, 1, f"id > {last // 2}")
  server.start()
  dates = [day_of(created - days * 86_400_000) for days in (3, 2, 1)]
  published(server, dates[-1])
  return server, dates


def test_several_days_and_roots_that_were_kept(days, tmp_path):
  server, dates = days
  kept = tmp_path / "kept"
  lines = [server.get(f"/api/merkle/{date}").body.decode() for date in dates]
  kept.write_text("\n".join(lines))
  span = ["--from", dates[0], "--to", dates[-1], "--url", base(server)]
  for source in (span, [*span[:4], "--data", server.data]):
    done = cli("audit", *source, "--roots", kept)
    assert done.returncode == 0 and "3 days" in done.stdout.splitlines()[-1], done
    assert done.stdout.count("it is the root that you kept") == 3 and done.stdout.count("the day before has it") == 2
  kept.write_text(server.get("/api/merkle").body.decode())
  assert cli("audit", *span, "--roots", kept).stdout.count("it is the root that you kept") == 3
  roots = [json.loads(line) for line in lines]
  kept.write_text("".join(f"{root['date']} {root['root'] or '-'}\n" for root in roots))
  assert cli("audit", *span, "--roots", kept).stdout.count("it is the root that you kept") == 3
  other = "ab" * 32
  kept.write_text(f"{dates[0]} {roots[0]['root']}\n{dates[2]} {other}\n")
  done = cli("audit", *span, "--roots", kept)
  assert done.returncode == 1 and f"you kept the root {other}" in done.stdout and roots[2]["root"] in done.stdout, done
  assert "1 of " in done.stdout.splitlines()[-1] and f"no root of {dates[1]} is among" in done.stdout
  done = cli("audit", "--day", dates[2], "--url", base(server), "--roots", kept)
  assert done.returncode == 1 and other in done.stdout, done


def test_days_that_are_missing_are_named(days, tmp_path):
  server, dates = days
  today = day_before(dates[-1], -1)
  done = cli("audit", "--from", dates[1], "--to", today, "--url", base(server))
  assert done.returncode == 1 and "404" in done.stdout and "NOT verified: 1 of " in done.stdout, done
  kept = tmp_path / "kept"
  kept.write_text(f"{today} {'ab' * 32}")
  done = cli("audit", "--day", today, "--url", base(server), "--roots", kept)
  assert done.returncode == 1 and "none is published now" in done.stdout, done
  for arguments, why in (
    (["--from", dates[0]], "several with --from and --to"), (["--from", dates[1], "--to", dates[0]], "must not be after"),
    (["--day", dates[0], "--from", dates[0], "--to", dates[1]], "several with --from and --to"),
    (["--from", "2010-01-01", "--to", dates[1]], "3660 days"), (["--from", "2026-02-30", "--to", dates[1]], "--from must be a day"),
    (["--from", dates[0], "--to", dates[1], "--outcomes", "x"], "of one --day"), ([], "--day")):
    done = cli("audit", *arguments, "--url", base(server))
    assert done.returncode == 64 and why in done.stderr, (arguments, done)
  kept.write_text("nonsense")
  done = cli("audit", "--day", dates[0], "--url", base(server), "--roots", kept)
  assert done.returncode == 1 and "line 1 is neither JSON" in done.stderr, done


def test_a_daily_root_that_is_not_what_was_logged_is_named(days):
  server, dates = days
  server.stop()
  assert server.alter("UPDATE merkle_days SET root = zeroblob(32) WHERE root IS NOT NULL AND day = (SELECT min(day) FROM merkle_days)") == 1
  faults = audit_log("--data", server.data)[1]
  assert "leaves was logged, and " + "00" * 32 in faults[f"the root of {dates[0]}"], faults


# Beside a database


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
  """The folder of a server that has recorded everything there is to record, over several bundles, and was stopped."""
  with Server(tmp_path_factory.mktemp("recorded") / "data") as server:
    account = server.account()
    key = server.key(account)
    entries, _ = live_story(server, key)
    entries += live_story(server, None)[0]
    draws = {"draws": [{"endpoint": "ints", "params": {"clientSeed": "many", "max": 10**9}}] * 50}
    for _ in range(11):
      assert server.post("/api/batch", draws, key=key).status == 200
    server.post("/api/commit", {}, key=key)
    server.post("/api/commit", {}, key=server.key(account, "test"))
    Log(server).grown_to(1 + len(entries) + 550 + 1)
    assert server.stop() == 0
    yield server, account


@pytest.fixture
def tampered(recorded, tmp_path):
  """Copies the folder, changes its database, and audits that: what fails."""
  server, _ = recorded

  def tamper(*statements):
    folder = tmp_path / unique("copy")
    shutil.copytree(server.data, folder)
    with closing(sqlite3.connect(folder / "fairdraw.db")) as database, database:
      for statement in statements:
        assert database.execute(statement).rowcount > 0, statement
    return audit_log("--data", folder)

  return tamper


def test_a_database_that_was_left_alone_passes(recorded, tmp_path):
  server, account = recorded
  folder = tmp_path / "copy"
  shutil.copytree(server.data, folder)
  done, _ = audit_log("--data", folder)
  assert done.returncode == 0, done
  checks = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("ok")]
  assert checks == ["log", "outcomes", "seeds", "commitments"], done
  [(outcomes,)] = server.sql("SELECT count(*) FROM outcomes")
  assert f"{outcomes} are in the log" in done.stdout and "0 were recomputed" not in done.stdout
  # What may vanish, and what stays when an account is deleted.
  with closing(sqlite3.connect(folder / "fairdraw.db")) as database, database:
    assert database.execute("DELETE FROM commitments WHERE revealed IS NULL").rowcount == 2
    assert database.execute("DELETE FROM idempotency").rowcount >= 0
  cli("account", "delete", account, "--yes", data=folder, check=True)
  assert audit_log("--data", folder)[0].returncode == 0


SHUFFLE, PICK = 3, 4
REVEALED = "chain_id IN (SELECT chain_id FROM revealed_seeds) AND epoch = 0"
ROTATED = "epoch = 1 AND chain_id = (SELECT min(chain_id) FROM revealed_seeds WHERE epoch = 1)"
ONE = {
  "a drawn value": (
    f"UPDATE outcomes SET value = CAST('[0.5]' AS BLOB) WHERE id = (SELECT min(id) FROM outcomes WHERE endpoint = 1 AND {REVEALED})",
    "outcome ", "its value was changed from ["),
  "a drawn value whose seed is secret": (
    "UPDATE outcomes SET value = CAST('[1]' AS BLOB) WHERE id = (SELECT max(id) FROM outcomes)",
    "outcome ", "its value was changed from ["),
  "an item of a shuffle": (
    f"UPDATE outcomes SET items = CAST(replace(CAST(items AS TEXT), '\"a\"', '\"z\"') AS BLOB)"
    f" WHERE id = (SELECT min(id) FROM outcomes WHERE endpoint = {SHUFFLE})", "outcome ", "its items were changed"),
  "an item of a pick": (
    f"UPDATE outcomes SET items = CAST(replace(CAST(items AS TEXT), '\"a\"', '\"z\"') AS BLOB)"
    f" WHERE id = (SELECT max(id) FROM outcomes WHERE endpoint = {PICK})", "outcome ", "its items were changed"),
  "the order of a shuffle": (
    f"UPDATE outcomes SET value = x'000000010002000300040005' WHERE id = (SELECT min(id) FROM outcomes WHERE endpoint = {SHUFFLE}"
    " AND value <> x'000000010002000300040005')", "outcome ", "its value was changed from ["),
  "a parameter": (
    "UPDATE outcomes SET fields = CAST(replace(CAST(fields AS TEXT), '\"max\":1000000000', '\"max\":2') AS BLOB)"
    " WHERE id = (SELECT max(id) - 5 FROM outcomes)", "outcome ", "a parameter was changed"),
  "the count, which only the values tell": (
    "UPDATE outcomes SET fields = CAST(replace(CAST(fields AS TEXT), '\"count\":1', '\"count\":2') AS BLOB)"
    " WHERE id = (SELECT max(id) FROM outcomes)", "outcome ", "number of values"),
  "a time": (
    f"UPDATE outcomes SET created = created + 1000 WHERE id = (SELECT min(id) + 20 FROM outcomes)", "outcome ", "its time was changed: it was drawn at"),
  "an earlier time": (
    f"UPDATE outcomes SET created = created - 86400000 WHERE id = (SELECT min(id) + 20 FROM outcomes)", "outcome ", "its time was changed: it was drawn at"),
  "a nonce": (
    "UPDATE outcomes SET nonce = nonce + 70 WHERE id = (SELECT max(id) - 100 FROM outcomes)", "outcome ", "its nonce was changed: it was"),
  "a cursor": (
    "UPDATE outcomes SET cursor = 3 WHERE id = (SELECT max(id) - 100 FROM outcomes)", "outcome ", "its cursor was changed: it was 0"),
  "the seed of an outcome": (
    "UPDATE outcomes SET epoch = 1 WHERE id = (SELECT min(o.id) FROM outcomes o JOIN revealed_seeds r ON r.chain_id = o.chain_id"
    " AND r.epoch = 1 WHERE o.epoch = 0)", "outcome ", "its server seed was changed: its hash was"),
  "the era of a seed": (
    f"UPDATE revealed_seeds SET era = 1 WHERE {ROTATED}",
    "the server seed of chain ", "in era 1"),
  "the hash of a seed": (
    f"UPDATE revealed_seeds SET server_hash = zeroblob(32) WHERE {ROTATED}", "the server seed of chain ", "its hash was changed: it was"),
  "a seed that was revealed": (
    f"UPDATE revealed_seeds SET server_seed = CAST(replace(CAST(server_seed AS TEXT), 'a', 'b') AS BLOB) WHERE {ROTATED}",
    "the server seed of chain ", "the seed was changed"),
  "the nonce of a reveal": (
    f"UPDATE revealed_seeds SET nonce = nonce + 1 WHERE {ROTATED}", "the server seed of chain ", "its nonce was changed: it was"),
  "the time of a reveal": (
    f"UPDATE revealed_seeds SET revealed = revealed + 1 WHERE {ROTATED}", "the server seed of chain ", "the time, the cursor or the nonce"),
  "the next hash of a chain": (
    "UPDATE chains SET era = 1 WHERE owner_id = 0 AND client_seed = CAST('test' AS BLOB)", "chain ", "in era 1"),
  "a tile": (
    "UPDATE log_tiles SET hashes = CAST(zeroblob(32) || substr(hashes, 33) AS BLOB) WHERE level = 8",
    "tile 0 of level 1 of era 0", "its hash 0 is not what the entries give"),
  "another hash of a tile": (
    "UPDATE log_tiles SET hashes = CAST(substr(hashes, 1, 32) || zeroblob(32) || substr(hashes, 65) AS BLOB) WHERE level = 8",
    "tile 0 of level 1 of era 0", "its hash 1 is not"),
  "a tile that is gone": ("DELETE FROM log_tiles WHERE level = 8", "tile 0 of level 1 of era 0", "its hash 0 is not"),
  "a bundle that is gone": ("DELETE FROM log_bundles WHERE number = 1", "the entries 256 to 511 of era 0", "they are not there"),
  "a commitment": (
    "UPDATE commitments SET expires = expires + 1 WHERE rowid = (SELECT min(rowid) FROM commitments)", "commitment ", "it is not what was logged"),
  "a commitment's hash": (
    "UPDATE commitments SET server_hash = zeroblob(32) WHERE rowid = (SELECT min(rowid) FROM commitments)", "commitment ", "its server hash is not"),
  "an outcome that is gone": ("DELETE FROM outcomes WHERE id = (SELECT max(id) - 100 FROM outcomes)", "outcome ", "it is not recorded any more"),
  "the newest outcome": ("DELETE FROM outcomes WHERE id = (SELECT max(id) FROM outcomes)", "outcome ", "it is not recorded any more"),
  "an outcome that was added": (
    "INSERT INTO outcomes SELECT id + 1, chain_id, previous, jump, epoch, cursor, nonce + 1, endpoint, value, fields, items, created"
    " FROM outcomes WHERE id = (SELECT max(id) FROM outcomes)", "outcome ", "it was added afterwards"),
}


@pytest.mark.parametrize("what", ONE)
def test_one_thing_that_was_changed_is_named(recorded, tampered, what):
  statement, subject, text = ONE[what]
  done, faults = tampered(statement)
  named = {name: fault for name, fault in faults.items() if name.startswith(subject)}
  assert any(text in fault for fault in named.values()), done
  if subject == "outcome ":
    assert len(named) == 1, done
    # By the name that it has for everybody else.
    server, _ = recorded
    short_id = next(iter(named)).removeprefix("outcome ")
    assert len(short_id) == 10, done
    if "gone" not in what and "newest" not in what and "added" not in what:
      assert cli("verify", short_id, data=server.data).returncode in (0, 1, 2)
    others = set(faults) - set(named)
    assert others <= {"the log"} and ("the log" not in faults or "gone" in what or "newest" in what), done
  elif "bundle" not in what and "commitment" not in subject and "of a seed" not in what:
    assert len(faults) == 1, done


def changing(number, place):
  """What changes the last byte of an entry, counted from a bundle's end."""
  end = 33 * (place - 1)
  return (
    f"UPDATE log_bundles SET entries = CAST(substr(entries, 1, length(entries) - {end + 1}) || x'00'"
    f" || substr(entries, length(entries) - {end} + 1) AS BLOB) WHERE number = {number}")


@pytest.mark.parametrize("place", (1, 2, 17))
@pytest.mark.parametrize("bundle", (0, 1, "(SELECT max(number) FROM log_bundles)"))
def test_an_entry_that_was_changed_is_not_blamed_on_the_outcome(recorded, tampered, bundle, place):
  server, _ = recorded
  [(size,)], [(last,)] = server.sql("SELECT size FROM logs"), server.sql("SELECT max(number) FROM log_bundles")
  entry = f"entry {(size if isinstance(bundle, str) or bundle == last else 256 * (bundle + 1)) - place} of era 0"
  done, faults = tampered(changing(bundle, place))
  assert faults.keys() == {entry, "the checkpoint of era 0"}, done
  assert "it was changed" in faults[entry]


def test_several_entries_that_were_changed(tampered):
  done, faults = tampered(changing(0, 3), changing(1, 5))
  assert faults.keys() == {"entry 253 of era 0", "entry 507 of era 0", "the checkpoint of era 0"}, done
  done, faults = tampered(changing(1, 3), changing(1, 5))
  assert {"the entries 256 to 511 of era 0", "the checkpoint of era 0"} <= faults.keys(), done
  assert "some were changed" in faults["the entries 256 to 511 of era 0"]


def test_a_log_that_was_rewritten_throughout_is_named(tampered):
  """Entry and tile are changed together; the signature gives it away, and so does the outcome."""
  done, faults = tampered(
    "UPDATE logs SET checkpoint = replace(checkpoint, substr(checkpoint, instr(checkpoint, char(10)) + 5, 4), 'AAAA')")
  assert faults.keys() == {"the checkpoint of era 0"}, done


def test_records_that_are_gone_with_what_they_hang_on(tampered):
  done, faults = tampered("DELETE FROM commitments WHERE rowid = (SELECT min(rowid) FROM commitments WHERE revealed IS NOT NULL)")
  assert faults.keys() == {"the commitments"} and "1 that were revealed" in faults["the commitments"], done
  done, faults = tampered("DELETE FROM revealed_seeds WHERE (chain_id, epoch) = (SELECT chain_id, epoch FROM revealed_seeds WHERE epoch = 1)")
  assert "a revealed server seed that is not recorded any more" in faults["the log"], done


def test_many_changes_at_once(tampered):
  done, faults = tampered(
    "UPDATE outcomes SET value = CAST('[7]' AS BLOB) WHERE id > (SELECT max(id) - 300 FROM outcomes)",
    "UPDATE revealed_seeds SET nonce = nonce + 1 WHERE epoch = 1")
  assert sum(name.startswith("outcome ") for name in faults) == 300, done
  assert sum("its value was changed from" in fault for fault in faults.values()) >= 200


def test_beside_a_server_that_draws(serve, tmp_path):
  server = serve()
  key = server.key(server.account("--daily-quota", 10**9))
  server.draw("ints")
  with Load([server], [key], clients=4) as load:
    for _ in range(4):
      count = len(load.answers)
      wait_until(lambda: len(load.answers) > count + 50, "more is drawn")
      done, _ = audit_log("--data", server.data)
      assert done.returncode == 0, done


def test_an_audit_of_a_database_that_is_killed_goes_on(serve, tmp_path):
  server = serve()
  key = server.key(server.account("--daily-quota", 10**9))
  draws = {"draws": [{"endpoint": "ints", "params": {"clientSeed": "many"}}] * 50}
  with server.connect() as connection:
    for _ in range(400):
      assert connection.post("/api/batch", draws, key=key).status == 200
  Log(server).grown_to(20_001)
  server.stop()
  state = tmp_path / "state"
  arguments = [BINARY, "audit", "log", "--data", str(server.data), "--state", str(state)]
  for _ in range(50):
    running = subprocess.Popen(arguments, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: state.exists() or running.poll() is not None, "it has begun", pause=0.001)
    running.kill()
    running.communicate()
    if state.exists():
      break
  assert state.exists(), "it was never caught"
  kept = json.loads(state.read_text())
  assert 0 < kept["counts"]["entries"] <= 20_001
  # What was read before it was killed is not read again: it would notice.
  server.alter(changing(0, 1))
  done, _ = audit_log("--data", server.data, "--state", state)
  assert done.returncode == 0 and "20000 are in the log" in done.stdout and not state.exists(), done
  assert "entry 255 of era 0" in audit_log("--data", server.data)[1]
  server.alter("UPDATE outcomes SET value = CAST('[7]' AS BLOB) WHERE id > 18000")
  done, faults = audit_log("--data", server.data)
  assert len(faults) == 1001 and "more faults were found" in faults["more"], done


@needs_postgres
def test_on_postgresql(fleet):
  one, two = fleet.start(2)
  account = fleet.account("--daily-quota", str(10**9))
  key = fleet.key(account)

  def audit():
    where = {"FAIRDRAW_DATABASE": fleet.url, "FAIRDRAW_MASTER_KEY_FILE": str(fleet.key_file)}
    return audit_log(data=fleet.folder / "cli", env=where)

  entries = live_story(one, key)[0] + live_story(two, None)[0]
  Log(one).grown_to(1 + len(entries))
  with Load([one, two], [key], clients=4) as load:
    for _ in range(3):
      count = len(load.answers)
      wait_until(lambda: len(load.answers) > count + 30, "more is drawn")
      done, _ = audit()
      assert done.returncode == 0, done
  one.stop()
  two.stop()
  assert audit()[0].returncode == 0
  for statement, undo, subject, text in (
    ("UPDATE outcomes SET value = '[0.5]'::bytea WHERE id = (SELECT min(id) FROM outcomes WHERE endpoint = 1)", None, "outcome ", "its value was changed"),
    ("UPDATE outcomes SET created = created + 500 WHERE id = (SELECT min(id) + 4 FROM outcomes)",
     "UPDATE outcomes SET created = created - 500 WHERE id = (SELECT min(id) + 4 FROM outcomes)", "outcome ", "its time was changed"),
    ("UPDATE commitments SET expires = expires + 1 WHERE chain_id = (SELECT min(chain_id) FROM commitments)",
     "UPDATE commitments SET expires = expires - 1 WHERE chain_id = (SELECT min(chain_id) FROM commitments)", "commitment ", "not what was logged"),
    ("UPDATE revealed_seeds SET nonce = nonce + 1 WHERE epoch = 1", "UPDATE revealed_seeds SET nonce = nonce - 1 WHERE epoch = 1",
     "the server seed of chain ", "its nonce was changed"),
    ("UPDATE log_bundles SET entries = substr(entries, 1, length(entries) - 1) || decode('00', 'hex') WHERE number = 0", None,
     "entry ", "it was changed")):
    fleet.sql(statement)
    done, faults = audit()
    assert any(name.startswith(subject) and text in fault for name, fault in faults.items()), (statement, done)
    if undo:
      fleet.sql(undo)
