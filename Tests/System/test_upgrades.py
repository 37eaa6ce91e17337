"""The databases of all versions from 0.1.0 on, as keep_version.py has kept them: opened by this one, everything that clients
were told still holds, and the ledger goes on.

A kept database gets old, so nothing here depends on today's date.
"""

import gzip
import hashlib
import json
import shutil
import sqlite3
import time
from contextlib import closing

import pytest

import postgres
import preload
from harness import Server, cli, exact, unique, wait_until
from keep_version import KEPT
from log_reader import (
  Checkpoint, Log, Proof, VerifierKey, elements, entry_of, leaf_of, members, outcomes_in, root_of)
from receiver import signatures_hold
from test_audit import audit_log, base
from test_dashboard import Person
from test_doctor import doctor, running
from test_postgres import cluster
from test_webhooks import receiver

__all__ = ["cluster", "receiver"]  # fixtures

needs_postgres = pytest.mark.skipif(postgres.programs() is None, reason="PostgreSQL's server is not installed")

VERSIONS = sorted((folder.name for folder in KEPT.iterdir()), key=lambda name: [int(number) for number in name.split(".")])
NEWER = "its tables are those of a newer version of Fairdraw"


def unpacked(version, name):
  return gzip.decompress((KEPT / version / f"{name}.gz").read_bytes())


class Upgraded:
  """A copy of what a version has kept, and a server that was not started yet."""

  def __init__(self, version, way, folder, cluster=None):
    self.cluster, self.name = cluster, None
    self.told = json.loads(unpacked(version, "told-postgres.json" if way == "postgres" else "told-sqlite.json"))
    data = folder / "data"
    data.mkdir(mode=0o700, parents=True)
    shutil.copy(KEPT / version / "master.key", data)
    (data / "master.key").chmod(0o600)
    settings = self.told["settings"]
    if way != "postgres":
      for file in (KEPT / version).glob("log-*.checkpoint"):
        shutil.copy(file, data)
        (data / file.name).chmod(0o600)
      (data / "fairdraw.db").write_bytes(unpacked(version, "fairdraw.db"))
      (data / "fairdraw.db").chmod(0o600)
    if way != "sqlite":
      self.name = unique("db").replace("-", "_")
      if way == "postgres":
        cluster.restore(self.name, unpacked(version, "postgres.sql").decode())
      else:
        cluster.psql("postgres", f"CREATE DATABASE {self.name}")
        done = cli("migrate", "--from", f"sqlite:{data / 'fairdraw.db'}", "--to", cluster.url(self.name))
        assert done.returncode == 0, done
      settings = {**settings, "FAIRDRAW_DATABASE": cluster.url(self.name)}
    self.server = Server(data, **settings)

  def command(self, *arguments):
    return cli(*arguments, data=self.server.data, env=self.server.env)

  def key(self, name):
    return self.told["keys"].get(name)

  def number(self, query):
    return int(self.cluster.psql(self.name, query)[0][0]) if self.name else self.server.sql(query)[0][0]

  def rows(self):
    """Everything in the database, except what a server's start may change: who writes the log, numbers that are set aside."""
    own = ("logs", "log_growth", "counters")
    if self.name:
      return self.cluster.dump(self.name, *(f"--exclude-table-data={table}" for table in own))
    with closing(sqlite3.connect(self.server.database)) as connection:
      return [row for row in connection.iterdump() if not row.startswith(tuple(f'INSERT INTO "{table}"' for table in own))]


@pytest.fixture(params=VERSIONS)
def version(request):
  return request.param


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=needs_postgres), pytest.param("moved", marks=needs_postgres)])
def upgraded(request, version, tmp_path):
  cluster = None if request.param == "sqlite" else request.getfixturevalue("cluster")
  made = Upgraded(version, request.param, tmp_path, cluster)
  yield made
  made.server.kill()


def assert_still_said(now, told):
  """That JSON has all that it had. There may be more in it."""
  if isinstance(told, dict):
    assert now.keys() >= told.keys()
    for name, value in told.items():
      assert_still_said(now[name], value)
  elif isinstance(told, list):
    assert len(now) == len(told)
    for one, other in zip(now, told):
      assert_still_said(one, other)
  else:
    assert now == told


def documents(printed):
  """What a command prints: one document, or one a line."""
  try:
    return [exact(printed)]
  except json.JSONDecodeError:
    return [exact(line) for line in printed.splitlines()]


# What was told


def check_replays(upgraded):
  for told in upgraded.told["answers"]:
    response = upgraded.server.request(
      told["method"], told["path"], told["query"], body=told["body"], key=upgraded.key(told["key"]), idempotency=told["idempotency"])
    assert response.replayed and response.status == 200, (told, response)
    assert response.body.decode() == told["response"]
    assert told["headers"].items() <= dict(response.headers).items(), (told, response)


def check_outcomes(upgraded):
  """That every outcome is found by its name and its place, is in its account's list, and is drawn from the seed that it names."""
  drawn = {"all": [], "test": []}
  for told in upgraded.told["answers"]:
    if '"shortId"' not in told["response"]:
      continue
    for text in outcomes_in(told["response"]):
      drawn[told["key"]].append(text)
      outcome = json.loads(text)
      checked = upgraded.server.get("/api/verifyShortId", {"shortId": outcome["shortId"]})
      assert checked.status == 200 and checked.json()["verified"], checked
      for name, value in members(text).items():
        if name != "commitId":
          assert members(checked.body.decode())[name] == value, (text, checked)
      if told["key"] == "all" and "commitId" not in outcome:
        place = {name: outcome[name] for name in ("clientSeed", "cursor", "nonce")}
        assert upgraded.server.get("/api/outcome", place, key=upgraded.key("all")).body.decode() == text
      assert upgraded.server.get(f"/o/{outcome['shortId']}").status == 200
  response = upgraded.server.get("/api/outcomes", {"after": 0, "limit": 1000}, key=upgraded.key("all"))
  assert elements(members(response.body.decode())["outcomes"]) == drawn["all"]


def check_readings(upgraded):
  for told in upgraded.told["readings"]:
    response = upgraded.server.get(told["path"], told["query"], key=upgraded.key(told["key"]))
    assert response.status == 200, response
    assert_still_said(exact(response.body), exact(told["response"]))
  for chain in upgraded.told["chains"]:
    seed = upgraded.server.seed(chain["clientSeed"], upgraded.key(chain["key"]))
    assert seed.items() >= {name: value for name, value in chain.items() if name != "key"}.items()


def test_what_was_told_still_holds(upgraded):
  for told in upgraded.told["commands"]:
    done = upgraded.command(*told["arguments"])
    assert done.returncode == 0, done
    assert_still_said(documents(done.stdout), documents(told["printed"]))
  with upgraded.server as server:
    check_readings(upgraded)
    check_replays(upgraded)
    check_outcomes(upgraded)
    check_readings(upgraded)  # nothing was drawn
    days_are_published(upgraded)
    assert server.stop() == 0
    before = upgraded.rows()
    server.start()
    assert server.get("/api/health").json()["status"] == "ok"
    assert server.stop() == 0
    assert upgraded.rows() == before


def days_are_published(upgraded, now=None):
  """Awaits all days up to yesterday: their roots and entries are all that a server makes by itself."""
  yesterday = time.strftime("%Y-%m-%d", time.gmtime((now or time.time()) - 86_400))
  wait_until(lambda: upgraded.server.get(f"/api/merkle/{yesterday}").status == 200, "yesterday is published", timeout=600)
  wait_until(lambda: upgraded.number("SELECT count(*) FROM log_queue") == 0, "its entry is logged")


# How it goes on


def test_the_ledger_goes_on(upgraded, receiver, tmp_path):
  with upgraded.server as server:
    told = upgraded.told
    hook = f"/api/webhooks/{told['webhook']['id']}"
    assert server.request("PATCH", hook, body={"url": receiver.url("/ok")}, key=upgraded.key("all")).status == 200
    check_chains(upgraded)
    check_limits(upgraded)
    events = lambda: [entry for entry in receiver.received("/ok") if entry["headers"]["x-provable-event"] == "outcome.created"]
    wait_until(events, "a draw is told")
    assert all(signatures_hold(told["webhook"]["secret"], events()[0]["headers"], events()[0]["body"].encode()).values())
    check_rotation(upgraded)
    refused = reveal(server, upgraded)
    expected = {200} if time.time() * 1000 < told["open"]["expiresAt"] else {404, 410}
    assert refused.status in expected, refused
    assert Person(server, told["settings"]["FAIRDRAW_PUBLIC_URL"]).sign_in(told["email"], told["password"]).header("Location") == "/dashboard"
    check_log(upgraded, tmp_path)
    code, lines = doctor(data=server.data, **{**server.env, **running(server)})
    assert code == 0, [line for line in lines if line[0] != "ok"]
    assert server.stop() == 0
    done = upgraded.command("audit", "log")
    assert done.returncode == 0 and "FAIL" not in done.stdout, done


def reveal(server, upgraded):
  body = {"commitId": upgraded.told["open"]["commitId"], "clientSeed": "at last", "endpoint": "ints"}
  return server.post("/api/reveal", body, key=upgraded.key("all"))


def check_chains(upgraded):
  for chain in upgraded.told["chains"]:
    drawn = upgraded.server.draw("ints", {"clientSeed": chain["clientSeed"]}, key=upgraded.key(chain["key"]))
    assert drawn.status == 200, drawn
    assert drawn.json().items() >= {name: chain[name] for name in ("clientSeed", "serverHash", "cursor", "nonce")}.items(), chain


def check_limits(upgraded):
  """What a key may, and how often."""
  server = upgraded.server
  for key in ("bounded", "small"):
    assert [server.draw("ints", key=upgraded.key(key)).status for _ in range(3)] == [200, 200, 429], key
  for key, status in (("read", 403), ("revoked", 401)):
    assert server.draw("ints", key=upgraded.key(key)).status == status, key
  assert server.get("/api/usage", key=upgraded.key("read")).status == 200


def check_rotation(upgraded):
  """A seed whose hash was told before is revealed now, and everything that was drawn from it follows from it."""
  server, seed = upgraded.server, "kept é/🎲"
  revealed = server.post("/api/rotate", {"clientSeed": seed}, key=upgraded.key("all")).json()["revealed"]
  answers = [json.loads(answer["response"]) for answer in upgraded.told["answers"] if answer["key"] == "all"]
  drawn = [answer for answer in answers if "shortId" in answer and answer["clientSeed"] == seed]
  assert drawn and {outcome["serverHash"] for outcome in drawn} == {revealed["serverHash"]}
  assert hashlib.sha256(revealed["serverSeed"].encode()).hexdigest() == revealed["serverHash"]
  public = next(json.loads(r["response"]) for r in upgraded.told["readings"] if r["path"] == "/api/keys")["vrf"]["publicKey"]
  for outcome in drawn:
    found = server.get("/api/verifyShortId", {"shortId": outcome["shortId"]})
    done = cli("verify", "-", "--seed-key", public, typed=found.body.decode())
    assert done.returncode == 0, (done, found)


def check_log(upgraded, tmp_path):
  """The log has only grown since, and what was proved of it can be proved again."""
  server, told = upgraded.server, upgraded.told
  key = VerifierKey.parse(told["log"]["vkey"])
  kept = Checkpoint.open(told["log"]["checkpoint"], key)
  log = Log(server)
  assert log.key == key
  entries = log.entries(log.grown_to(kept.size + 1))
  assert root_of(map(leaf_of, entries[:kept.size])) == kept.root
  for short_id, text in told["proofs"].items():
    then, now = Proof(text, key), log.proof(short_id)
    for proof in (then, now):
      proof.check(then.extra)
    assert now.index == then.index and entries[now.index] == entry_of("draw", then.extra)
  audit_log("--url", base(server), "--key", told["log"]["vkey"])


# When it is opened


def at(moment, version, folder):
  """A kept file, and a server whose clock shows a time in Unix seconds when it starts."""
  upgraded = Upgraded(version, "sqlite", folder)
  upgraded.server.env |= {"LD_PRELOAD": preload.library("clock", folder), "TEST_CLOCK_SHIFT": int(moment - time.time())}
  return upgraded


def test_a_commitment_is_revealed_in_its_time(version, tmp_path):
  told = json.loads(unpacked(version, "told-sqlite.json"))
  upgraded = at(told["time"] / 1000 + 60, version, tmp_path)
  with upgraded.server as server:
    response = reveal(server, upgraded)
    assert response.status == 200 and response.json()["serverHash"] == upgraded.told["open"]["serverHash"], response
    assert reveal(server, upgraded).code == "commitment_used"


def test_years_later_all_days_between_are_published(version, tmp_path):
  later = time.time() + 3 * 366 * 86_400
  upgraded = at(later, version, tmp_path)
  with upgraded.server as server:
    assert server.draw("ints", key=upgraded.key("all")).status == 200  # it does not wait for them
    days_are_published(upgraded, later)
    check_readings(upgraded)
    assert server.stop() == 0
  days = "SELECT count(*), max(day) - min(day) + 1 FROM merkle_days WHERE published IS NOT NULL"
  [(count, span)] = upgraded.server.sql(days)
  assert count == span > 1000
  done = upgraded.command("audit", "log")
  assert done.returncode == 0, done


# A newer version's


def test_a_newer_versions_file_is_refused(tmp_path):
  upgraded = Upgraded(VERSIONS[-1], "sqlite", tmp_path)
  backup = tmp_path / "before the upgrade"
  assert upgraded.command("backup", backup).returncode == 0
  upgraded.server.alter("INSERT INTO grdb_migrations VALUES ('of a newer version')")
  before = upgraded.server.database.read_bytes()
  for arguments in (["serve", "--port", "0"], ["account", "create", "somebody"]):
    done = upgraded.command(*arguments)
    assert (done.returncode, done.stdout) == (1, "") and NEWER in done.stderr, done
  done = cli("migrate", "--from", f"sqlite:{upgraded.server.database}", "--to", "postgres://127.0.0.1:1/none")
  assert done.returncode == 1 and NEWER in done.stderr, done
  assert upgraded.server.database.read_bytes() == before
  # The way back.
  done = upgraded.command("restore", backup)
  assert done.returncode == 0, done
  with upgraded.server as server:
    check_outcomes(upgraded)
    assert server.draw("ints", key=upgraded.key("all")).status == 200


@needs_postgres
def test_a_newer_versions_postgresql_is_refused(cluster, tmp_path):
  upgraded = Upgraded(VERSIONS[-1], "postgres", tmp_path, cluster)
  cluster.psql(upgraded.name, "INSERT INTO migrations SELECT max(version) + 100 FROM migrations")
  before = upgraded.rows()
  for arguments in (["serve", "--port", "0"], ["account", "create", "somebody"]):
    done = upgraded.command(*arguments)
    assert (done.returncode, done.stdout) == (1, "") and NEWER in done.stderr, done
  other = Upgraded(VERSIONS[-1], "sqlite", tmp_path / "other")
  done = cli("migrate", "--from", f"sqlite:{other.server.database}", "--to", cluster.url(upgraded.name))
  assert done.returncode == 1 and NEWER in done.stderr, done
  assert upgraded.rows() == before
