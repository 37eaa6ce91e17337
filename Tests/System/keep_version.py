"""Makes the small databases of this version that all later versions have to open: Tests/System/kept/VERSION.

There is a ledger on each database. Both have been told the same story, over two days. The folder has:

  fairdraw.db.gz, log-….checkpoint   the embedded database and the file beside it
  postgres.sql.gz                    PostgreSQL's, dumped as SQL
  master.key                         the key of both
  told-sqlite.json.gz, told-postgres.json.gz   what clients were told: see `Story`
"""

import gzip
import json
import os
import pathlib
import shutil
import sys
import tempfile
import time

import postgres
import preload
from harness import DRAWS, REPOSITORY, Server, cli, wait_until
from log_reader import Log
from test_import import VECTORS, outcome
from test_log import FORMS
from test_merkle import day_of
from test_webhooks import Receiver

KEPT = REPOSITORY / "Tests" / "System" / "kept"

SETTINGS = {
  "FAIRDRAW_PUBLIC_URL": "https://kept.example", "FAIRDRAW_IDEMPOTENCY_RETENTION": "forever", "FAIRDRAW_COMMIT_TTL_MS": 86_400_000,
  "FAIRDRAW_ALLOW_PRIVATE_WEBHOOKS": "true"}
ACCOUNT, SMALL = "Kept é 🎲", "Kept small"
EMAIL, PASSWORD = "ada@kept.example", "correct horse battery"


class Story:
  """What is done, and what was told. Of `told`, by name:

  - `settings` of the server; `version`; `time`, when it ended, in Unix milliseconds;
  - `keys`: API keys by what they may: all, read, test, bounded (2 outcomes a day, none used), small (an account of 2 a day,
    none used), revoked; `account`, `email`, `password` of the first five;
  - `answers`: requests under idempotency keys, each with the response's status, headers and body;
  - `readings`: GET requests and the bodies of their responses, which are to stay as they are until something is drawn;
  - `commands`: lines of `fairdraw …`, and what they printed, which is to stay as well;
  - `chains`: where they stand, by client seed and key;
  - `log`: its key and a checkpoint; `proofs` from it, by shortId;
  - `webhook`: id and secret of one that works; `open`: a commitment that is not revealed.
  """

  def __init__(self, server):
    self.server = server
    self.told = {"settings": SETTINGS, "keys": {}, "answers": [], "readings": [], "commands": [], "chains": [], "proofs": {}}

  def command(self, *arguments, typed=""):
    return cli(*arguments, data=self.server.data, env=self.server.env, check=True, typed=typed).stdout

  def make_key(self, name, account, *options):
    self.told["keys"][name] = self.command("key", "create", "--account", account, "--name", name, *options).strip()

  def ask(self, path, parameters, idempotency, key="all", method="POST"):
    """A request under an idempotency key; its response's body."""
    query, body = (parameters, None) if method == "GET" else (None, json.dumps(parameters))
    request = {"method": method, "path": path, "query": query, "body": body, "key": key, "idempotency": idempotency}
    response = self.server.request(method, path, query, body=body, key=self.told["keys"][key], idempotency=idempotency)
    assert response.status == 200, response
    headers = {name: response.header(name) for name in ("Content-Type", "shortId") if response.header(name)}
    self.told["answers"].append({**request, "headers": headers, "response": response.body.decode()})
    return response.json()

  def read(self, path, query=None, key=None):
    response = self.server.get(path, query, key=self.told["keys"].get(key))
    assert response.status == 200, response
    self.told["readings"].append({"path": path, "query": query, "key": key, "response": response.body.decode()})
    return response.json()

  def begin(self):
    """What is there before the first draw."""
    self.command("account", "create", ACCOUNT, "--daily-quota", 500, "--email", EMAIL, typed=f"{PASSWORD}\n")
    self.command("account", "create", SMALL, "--daily-quota", 2)
    self.told |= {"account": ACCOUNT, "email": EMAIL, "password": PASSWORD}
    self.make_key("all", ACCOUNT, "--scope", "draw,read,manage")
    self.make_key("read", ACCOUNT, "--scope", "read")
    self.make_key("test", ACCOUNT, "--mode", "test")
    self.make_key("bounded", ACCOUNT, "--daily-quota", 2)
    self.make_key("revoked", ACCOUNT)
    self.make_key("small", SMALL)
    self.command("key", "revoke", self.told["keys"]["revoked"][:16])

  def first_day(self, receiver, folder):
    """Something of everything that is recorded."""
    self.begin()
    events = {"url": receiver.url("/ok"), "events": ["outcome.created", "chain.rotated"]}
    made = self.ask("/api/webhooks", events, "webhook")
    self.told["webhook"] = {"id": made["id"], "secret": made["secret"]}
    self.command("webhook", "create", "--account", ACCOUNT, "--url", "https://kept.example/hook")
    self.command("webhook", "disable", 2)
    assert {endpoint for endpoint, _ in FORMS} == set(DRAWS)
    for number, (endpoint, parameters) in enumerate(FORMS):
      for key in ("all", "test"):
        self.ask(f"/api/{endpoint}", {"clientSeed": "kept é/🎲", **parameters}, f"{endpoint}-{number}", key)
    draws = [{"endpoint": endpoint, "params": {"clientSeed": "batch", **parameters}} for endpoint, parameters in FORMS]
    self.ask("/api/batch", {"draws": [*draws, {"endpoint": "pick", "params": {}}]}, "batch")
    self.ask("/api/batch", {"draws": draws, "atomic": True}, "atomic")
    self.ask("/api/batch", {"draws": [*draws[:2], {"endpoint": "pick", "params": {}}], "atomic": True}, "atomic-refused")
    commitment = self.ask("/api/commit", {}, "commit")
    reveal = {"commitId": commitment["commitId"], "clientSeed": "chosen", "endpoint": "shuffle", "params": {"items": [1, "b", None]}}
    self.ask("/api/reveal", reveal, "reveal")
    for _ in range(2):
      self.server.draw("ints", {"clientSeed": "kept"})
    self.ask("/api/ints", {"clientSeed": "rotated"}, "before-rotation")
    self.ask("/api/rotate", {"clientSeed": "rotated"}, "rotation")
    self.ask("/api/ints", {"clientSeed": "rotated"}, "after-rotation")
    self.ask("/api/incrementCursor", {"clientSeed": "batch"}, "cursor", method="GET")
    imported = [outcome(next(v for v in VECTORS if v["endpoint"] == endpoint), f"old{endpoint}") for endpoint in DRAWS[:7]]
    (folder / "export.json").write_text(json.dumps(imported))
    self.command("import", "outcomes", folder / "export.json", "--account", ACCOUNT)
    self.imported = [one["shortId"] for one in imported]

  def second_day(self):
    """What was published of the first, what goes on, and all that is told in the end."""
    date = day_of(json.loads(self.told["answers"][1]["response"])["created"])
    wait_until(lambda: self.server.get(f"/api/merkle/{date}").status == 200, f"{date} is published")
    last = self.ask("/api/ints", {"clientSeed": "kept é/🎲"}, "day-after")
    self.ask("/api/dice", {"clientSeed": "batch", "notation": "2d6"}, "day-after-batch", method="GET")
    self.told["open"] = self.ask("/api/commit", {}, "commit-open")
    hooks = f"/api/webhooks/{self.told['webhook']['id']}"
    pending = lambda: self.server.get(f"{hooks}/deliveries", {"state": "pending"}, key=self.told["keys"]["all"]).json()["deliveries"]
    wait_until(lambda: not pending(), "all events are delivered")
    log = Log(self.server)
    first = json.loads(self.told["answers"][1]["response"])["shortId"]
    for short_id in (first, last["shortId"]):
      log.proof(short_id)
      self.told["proofs"][short_id] = self.server.get(f"/api/proof/{short_id}").body.decode()
    self.told["log"] = {"vkey": log.keys["log"]["vkey"], "checkpoint": log.note()}
    self.read_all(date, first)

  def read_all(self, date, first):
    """What has to be read again, until something is drawn."""
    for path in ("", f"/proof/{first}"):
      self.read(f"/api/merkle/{date}{path}")
    for short_id in self.imported:
      self.read("/api/verifyShortId", {"shortId": short_id})
    self.read("/api/keys")
    self.read("/api/idempotency/rotation", key="all")
    self.read("/api/webhooks", key="all")
    for key, seeds in (("all", ("kept é/🎲", "batch", "rotated", "unused")), ("test", ("kept é/🎲",)), (None, ("kept", "unused"))):
      for seed in seeds:
        self.told["chains"].append({"clientSeed": seed, "key": key, **self.server.seed(seed, self.told["keys"].get(key))})

  def end(self, path):
    """What can be read when the server has stopped."""
    for line in (["account", "list", "--json"], ["webhook", "list", "--json"], ["account", "export", ACCOUNT]):
      self.told["commands"].append({"arguments": line, "printed": self.command(*line)})
    self.told |= {"version": cli("--version", check=True).stdout.strip(), "time": int(time.time() * 1000)}
    pack(json.dumps(self.told, ensure_ascii=False, indent=1).encode(), path)


def tell(data, receiver, yesterday, path, midnight=lambda: None, **settings):
  """Has a ledger live through the story, and writes down what was told."""
  story = Story(Server(data, **SETTINGS, **settings, **yesterday))
  with story.server:
    story.first_day(receiver, data.parent)
    assert story.server.stop() == 0
  midnight()
  story.server = Server(data, **SETTINGS, **settings)
  with story.server:
    story.second_day()
    assert story.server.stop() == 0
  story.end(path)


def keep(folder, kept):
  now = int(time.time())
  noon = now - now % 86_400 - 43_200  # a day's draws are on one day
  yesterday = {"LD_PRELOAD": preload.library("clock", folder), "TEST_CLOCK_SHIFT": noon - now}
  receiver = Receiver(folder)
  try:
    data = folder / "sqlite"
    tell(data, receiver, yesterday, kept / "told-sqlite.json.gz")
    cli("backup", folder / "fairdraw.db", data=data, check=True)
    pack((folder / "fairdraw.db").read_bytes(), kept / "fairdraw.db.gz")
    for file in (data / "master.key", *data.glob("log-*.checkpoint")):
      shutil.copy(file, kept)

    with postgres.Cluster(environment=yesterday) as cluster:
      def midnight():
        cluster.environment = {}
        cluster.restart()

      cluster.psql("postgres", "CREATE DATABASE kept")
      tell(folder / "postgres", receiver, yesterday, kept / "told-postgres.json.gz", midnight,
           FAIRDRAW_DATABASE=cluster.url("kept"), FAIRDRAW_MASTER_KEY_FILE=kept / "master.key")
      pack(cluster.dump("kept").encode(), kept / "postgres.sql.gz")
  finally:
    receiver.stop()


def pack(data, path):
  path.write_bytes(gzip.compress(data, 9, mtime=0))


if __name__ == "__main__":
  version = cli("--version", check=True).stdout.strip()
  kept = KEPT / version
  kept.mkdir(parents=True)
  try:
    with tempfile.TemporaryDirectory() as scratch:
      os.chmod(scratch, 0o711)  # PostgreSQL, which does not run as root, loads a library from there
      keep(pathlib.Path(scratch), kept)
  except BaseException:
    shutil.rmtree(kept)
    raise
  print(*(f"{file.stat().st_size:8} {file.relative_to(REPOSITORY)}" for file in sorted(kept.iterdir())), sep="\n", file=sys.stderr)
