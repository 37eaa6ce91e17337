"""Several servers over one PostgreSQL: whatever dies, no outcome is lost, doubled or skipped, and no quota overrun.

FAIRDRAW_TEST_POSTGRES_SECONDS sets how long servers are killed under load (60).
"""

import collections
import contextlib
import http.client
import json
import os
import random
import re
import struct
import threading
import time

import pytest

import postgres
from harness import BINARY, REPOSITORY, Connection, Server, cli, content_headers, together, unique, wait_until
from test_webhooks import Receiver

SECONDS = float(os.environ.get("FAIRDRAW_TEST_POSTGRES_SECONDS", 60))

pytestmark = pytest.mark.skipif(postgres.programs() is None, reason="PostgreSQL's server is not installed")


class Fleet:
  """A database and the servers over it, each with a folder of its own and a copy of one master key."""

  def __init__(self, folder, url, query):
    self.folder = folder
    self.url = url
    self.query = query  # runs SQL
    self.servers = []
    self.key_file = folder / "shared.key"
    self.key_file.write_text("0123456789abcdef" * 4 + "\n")
    self.key_file.chmod(0o600)

  def add(self, **settings):
    server = Server(
      self.folder / f"server-{len(self.servers)}", FAIRDRAW_DATABASE=self.url, FAIRDRAW_MASTER_KEY_FILE=self.key_file,
      FAIRDRAW_PUBLIC_URL="https://draws.example", **settings)
    self.servers.append(server)
    return server

  def start(self, count, **settings):
    return [self.add(**settings).start() for _ in range(count)]

  def cli(self, *arguments):
    return cli(
      *arguments, data=self.folder / "cli", check=True,
      env={"FAIRDRAW_DATABASE": self.url, "FAIRDRAW_MASTER_KEY_FILE": self.key_file})

  def account(self, *options):
    name = unique("account")
    self.cli("account", "create", name, *options)
    return name

  def key(self, account=None, *options):
    return self.cli("key", "create", "--account", account or self.account(), *options).stdout.strip()

  def sql(self, statement):
    return self.query(statement)

  def number(self, statement):
    return int(self.sql(statement)[0][0])

  def close(self):
    for server in self.servers:
      server.kill()


@pytest.fixture(scope="module")
def cluster():
  with postgres.Cluster() as running:
    yield running


@pytest.fixture
def fleet(cluster, tmp_path):
  name = unique("db").replace("-", "_")
  cluster.psql("postgres", f"CREATE DATABASE {name}")
  made = Fleet(tmp_path, cluster.url(name), lambda statement: cluster.psql(name, statement))
  made.name = name
  yield made
  made.close()


class Client:
  """Sends a request until it is answered with anything but a fault, each time to whichever server chance picks."""

  limit = 60

  def __init__(self, servers, rng):
    self.servers = servers
    self.rng = rng
    self.connections = {}

  def until_answered(self, method, path, query=None, **rest):
    deadline = time.monotonic() + self.limit
    while time.monotonic() < deadline:
      server = self.rng.choice(self.servers)
      try:
        response = self.connection(server).request(method, path, query, **rest)
      except (OSError, http.client.HTTPException):
        self.forget(server)
        time.sleep(0.01)
        continue
      if response.status < 500:
        return response
      self.refused(response)
      time.sleep(0.02)
    raise AssertionError(f"{method} {path} was not answered")

  def refused(self, response):
    assert response.header("Retry-After"), response

  def connection(self, server):
    port, connection = self.connections.get(server, (None, None))
    if port != server.port:
      connection = Connection(server)
      connection.http.timeout = 20
      self.connections[server] = (server.port, connection)
    return connection

  def forget(self, server):
    _, connection = self.connections.pop(server, (None, None))
    if connection:
      connection.http.close()

  def close(self):
    for server in list(self.connections):
      self.forget(server)


def outcomes_of(response):
  """The outcomes an answer carries: one, or those of a batch that succeeded."""
  body = response.json()
  if "results" in body:
    return [result["outcome"] for result in body["results"] if result["ok"]]
  return [body] if response.status == 200 else []


class Load:
  """Clients that draw under idempotency keys until they are told to stop, and keep what they were answered."""

  def __init__(self, servers, keys, clients=32, seed=0, name="", client=Client):
    self.client = client
    self.name = name  # that its idempotency keys begin with
    self.servers = servers
    self.keys = keys
    self.clients = clients
    self.seed = seed
    self.answers = []  # (idempotency key, API key, response)
    self.moments = []  # of the answers
    self.failures = []
    self.stopping = threading.Event()

  def __enter__(self):
    self.threads = [threading.Thread(target=self.run, args=(number,)) for number in range(self.clients)]
    for thread in self.threads:
      thread.start()
    return self

  def __exit__(self, *_):
    self.stopping.set()
    for thread in self.threads:
      thread.join(self.client.limit + 30)
    assert not any(thread.is_alive() for thread in self.threads), "a client hangs"
    if self.failures:
      raise self.failures[0]

  def run(self, number):
    rng = random.Random(f"{self.seed}:{number}")
    client = self.client(self.servers, rng)
    try:
      count = 0
      while not self.stopping.is_set():
        count += 1
        key = rng.choice(self.keys)
        claim = f"{self.name}{number}-{count}"
        if rng.random() < 0.2:
          draws = [{"endpoint": "ints", "params": {"clientSeed": f"seed-{rng.randrange(12)}", "max": 10**9}}
                   for _ in range(rng.randint(1, 8))]
          request = ("POST", "/api/batch", None), {"body": {"draws": draws}, "key": key, "idempotency": claim}
        else:
          query = {"clientSeed": f"seed-{rng.randrange(12)}", "max": 10**9}
          request = ("GET", "/api/ints", query), {"key": key, "idempotency": claim}
        response = client.until_answered(*request[0], **request[1])
        self.answers.append((claim, key, response))
        self.moments.append(time.monotonic())
        if rng.random() < 0.1:
          again = client.until_answered(*request[0], **request[1])
          assert response.status == 429 or again.body == response.body, (response, again)
    except BaseException as failure:  # reported by __exit__, in the test's own thread
      self.failures.append(failure)
    finally:
      client.close()


def stored_value(endpoint, value, items, fields):
  """An outcome's value from its columns: a shuffle has the new order of its items, a pick only its index among its fields."""
  items = json.loads(f"[{items}]")
  if endpoint == 3:
    return json.dumps([items[place] for (place,) in struct.iter_unpack(">H", value)], separators=(",", ":"))
  if endpoint == 4:
    return json.dumps(items[json.loads(f"{{{fields}}}")["index"]], separators=(",", ":"))
  return value.decode()


def outcomes_in(answer):
  """The row numbers of the outcomes that a stored response refers to."""
  rest = list(answer)

  def number():
    value = shift = 0
    while True:
      byte = rest.pop(0)
      value |= (byte & 127) << shift
      shift += 7
      if byte < 128:
        return value

  found = []
  if number() == 0:
    return found
  del rest[-4:]
  while True:
    text = number()
    del rest[:max(0, text - 5)]
    if not rest:
      return found
    distance = number()
    found.append((found[-1] if found else 0) + (distance >> 1 ^ -(distance & 1)))


def check_ledger(fleet, answers=()):
  """What must hold in the database, whatever happened; and that what was answered is in there."""
  gaps = fleet.sql("""
    SELECT c.owner_id, c.client_seed, c.nonce, o.n, o.low, o.high FROM chains c LEFT JOIN (
      SELECT owner_id, chain_id, count(*) n, min(nonce) low, max(nonce) high, count(DISTINCT nonce) AS different
      FROM outcomes GROUP BY owner_id, chain_id) o ON o.owner_id = c.owner_id AND o.chain_id = c.id
    WHERE c.nonce <> coalesce(o.n, 0) OR (o.n > 0 AND (o.low <> 0 OR o.high <> o.n - 1 OR o.different <> o.n))""")
  assert gaps == [], "nonces must run 0…n − 1 in every chain"
  assert fleet.number("SELECT count(*) FROM outcomes o WHERE NOT EXISTS (SELECT 1 FROM chains c WHERE c.id = o.chain_id)") == 0
  assert fleet.number("SELECT count(*) - count(DISTINCT (owner_id, chain_id, cursor, nonce)) FROM outcomes") == 0
  untimed = fleet.number("""
    SELECT count(*) FROM outcomes o WHERE NOT EXISTS (
      SELECT 1 FROM outcome_runs u WHERE u.created = o.created AND o.id BETWEEN u.first AND u.last)""")
  assert untimed == 0, "every outcome must be found by its time"
  unlinked = fleet.number("""
    SELECT count(*) FROM (
      SELECT previous, lag(id, 1, 0) OVER (PARTITION BY owner_id, chain_id ORDER BY nonce) before FROM outcomes) o
    WHERE previous <> before""")
  assert unlinked == 0, "every outcome must name the one before it"
  backwards = fleet.number("""
    SELECT count(*) FROM (SELECT created, lag(created) OVER (PARTITION BY chain_id ORDER BY nonce) before FROM outcomes) o
    WHERE created < before""")
  assert backwards == 0, "an outcome is older than its predecessor"
  usage = fleet.sql("""
    SELECT coalesce(u.account_id, o.account_id), u.n, o.n
    FROM (SELECT account_id, sum(count) n FROM usage GROUP BY account_id) u
    FULL JOIN (SELECT coalesce(a.id, 0) account_id, count(*) n
      FROM outcomes p LEFT JOIN commitments m ON m.chain_id = -p.owner_id
        LEFT JOIN accounts a ON a.id = coalesce(m.owner_id, p.owner_id) AND a.deleted IS NULL GROUP BY 1) o ON o.account_id = u.account_id
    WHERE u.n IS DISTINCT FROM o.n""")
  assert usage == [], "usage must count every outcome once"

  # Every outcome of a key was drawn under an idempotency key here, and belongs to the answer of exactly one.
  stored = {}
  for owner, seed, cursor, nonce, created, endpoint, value, items, fields in fleet.sql("""
      SELECT o.owner_id, convert_from(c.client_seed, 'UTF8'), o.cursor, o.nonce, o.created, o.endpoint, encode(o.value, 'hex'),
        coalesce(convert_from(o.items, 'UTF8'), ''), convert_from(o.fields, 'UTF8')
      FROM outcomes o JOIN chains c ON c.owner_id = o.owner_id AND c.id = o.chain_id"""):
    stored[int(owner), seed, int(cursor), int(nonce)] = (int(created), stored_value(int(endpoint), bytes.fromhex(value), items, fields))
  owners = {prefix: int(number) for number, prefix in fleet.sql("SELECT account_id, prefix FROM api_keys")}
  short_ids = collections.Counter()
  first = {}
  for claim, key, response in answers:
    if response.status == 429:
      continue
    assert response.status == 200, response
    assert first.setdefault((key, claim), response.body) == response.body
    for outcome in outcomes_of(response):
      place = owners[key[:16]], outcome["clientSeed"], outcome["cursor"], outcome["nonce"]
      assert stored[place] == (outcome["created"], json.dumps(outcome["outcome"], separators=(",", ":"))), outcome
      short_ids[outcome["shortId"]] += 1
  assert not short_ids or max(short_ids.values()) == 1, "two idempotency keys share an outcome"
  if answers:
    recorded = sum(
      len(outcomes_in(bytes.fromhex(answer)))
      for (answer,) in fleet.sql("SELECT encode(answer, 'hex') FROM idempotency WHERE status = 200"))
    assert recorded == sum(owner != 0 for owner, *_ in stored), "an outcome belongs to no idempotency key, or to two"


# Killing


def kill_at_random(servers, rng, seconds, longest):
  """Kills and starts servers for some seconds, `longest` of them apart at the most; how often it did."""
  kills = 0
  deadline = time.monotonic() + seconds
  while time.monotonic() < deadline:
    time.sleep(rng.uniform(0.1, longest))
    victim = rng.choice(servers)
    victim.kill()
    kills += 1
    time.sleep(rng.uniform(0, 0.2))
    victim.start()
  return kills


def test_servers_killed_at_random_moments(fleet, rng):
  servers = fleet.start(3)
  account = fleet.account()
  limited = fleet.account("--daily-quota", "500")
  keys = [fleet.key(account), fleet.key(account), fleet.key(), fleet.key(limited)]
  with Load(servers, keys, seed=rng.random()) as load:
    kills = kill_at_random(servers, rng, SECONDS, longest=0.8)
  print(f"{kills} kills, {len(load.answers)} answers")
  assert kills > 3 and len(load.answers) > 100
  check_ledger(fleet, load.answers)
  used = fleet.number(
    f"SELECT coalesce(sum(count), 0) FROM usage u JOIN accounts a ON a.id = u.account_id WHERE a.name = '{limited}'")
  assert used <= 500
  assert sum(response.status == 429 for _, _, response in load.answers) == 0 or used == 500


# At the same instant


def test_one_idempotency_key_at_every_server(fleet):
  servers = fleet.start(3)
  key = fleet.key()
  for number in range(25):
    answers = together(9, lambda index: servers[index % 3].get(
      "/api/ints", {"clientSeed": "same", "count": 5}, key=key, idempotency=f"claim-{number}"))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    assert len({tuple(sorted(content_headers(answer).items())) for answer in answers}) == 1
    assert sum(not answer.replayed for answer in answers) == 1
  assert fleet.number("SELECT count(*) FROM outcomes") == 25
  check_ledger(fleet)


def test_a_retry_at_another_server_is_answered_whatever_was_stored_meanwhile(fleet):
  one, two = fleet.start(2)
  key = fleet.key()
  first = two.get("/api/ints", {"count": "none"}, key=key, idempotency="kept")
  assert first.status == 400
  with one.connect() as connection:

    def is_limited():
      while connection.post("/api/commit", key=key).status != 429:
        pass
      again = connection.get("/api/ints", {"count": "none"}, key=key, idempotency="kept")
      assert again.replayed and (again.status, again.body) == (first.status, first.body), again
      # On a slow machine another request may be allowed by now.
      return connection.get("/api/ints", {"count": "none"}, key=key, idempotency=unique("new")).status == 429

    wait_until(is_limited, "a request that was not answered before is limited")


def test_one_idempotency_key_for_different_requests(fleet):
  servers = fleet.start(2)
  key = fleet.key()
  for number in range(10):
    answers = together(2, lambda index: servers[index].get(
      "/api/ints", {"clientSeed": "same", "count": index + 1}, key=key, idempotency=f"claim-{number}"))
    assert sorted(answer.status for answer in answers) == [200, 409]
  assert fleet.number("SELECT count(*) FROM outcomes") == 10


def test_a_new_chain_is_made_once(fleet):
  servers = fleet.start(3)
  for number in range(25):
    answers = together(6, lambda index: servers[index % 3].get("/api/ints", {"clientSeed": f"new-{number}"}))
    assert {answer.status for answer in answers} == {200}
    assert sorted(answer.json()["nonce"] for answer in answers) == list(range(6))
    assert len({answer.json()["serverHash"] for answer in answers}) == 1
  check_ledger(fleet)


def test_a_quota_holds_over_all_servers(fleet):
  servers = fleet.start(3)
  key = fleet.key(fleet.account("--daily-quota", "70"))

  def draws(index):
    with servers[index % 3].connect() as connection:
      return [connection.get("/api/ints", {"clientSeed": f"seed-{index}"}, key=key).status for _ in range(10)]

  statuses = collections.Counter(status for some in together(12, draws) for status in some)
  assert statuses == {200: 70, 429: 50}
  batch = {"draws": [{"endpoint": "ints", "params": {"clientSeed": "x"}}] * 3}
  assert not any(result["ok"] for result in servers[0].post("/api/batch", batch, key=key).json()["results"])
  check_ledger(fleet)


def test_a_changed_quota_holds_on_all_servers_at_once(fleet):
  servers = fleet.start(3)
  account = fleet.account("--daily-quota", "3")
  key = fleet.key(account)
  statuses = lambda count: [servers[n % 3].get("/api/ints", key=key).status for n in range(count)]
  assert statuses(5) == [200] * 3 + [429] * 2
  for quota, expected in (("5", [200] * 2 + [429] * 4), ("1", [429] * 3), ("none", [200] * 6)):
    fleet.cli("account", "set", account, "--daily-quota", quota)
    assert statuses(len(expected)) == expected
  check_ledger(fleet)


def test_a_keys_quota_holds_over_all_servers(fleet):
  servers = fleet.start(3)
  account = fleet.account()
  key, other = fleet.key(account, "--daily-quota", "70"), fleet.key(account)

  def draws(index):
    with servers[index % 3].connect() as connection:
      return [connection.get("/api/ints", {"clientSeed": f"seed-{index % 4}"}, key=[key, other][index % 2]).status for _ in range(15)]

  rounds = together(12, draws)
  statuses = [collections.Counter(status for some in rounds[place::2] for status in some) for place in (0, 1)]
  assert statuses == [{200: 70, 429: 20}, {200: 90}]
  assert fleet.number("SELECT sum(count) FROM key_usage") == 70
  servers[0].kill()
  fleet.cli("key", "set", key[:16], "--daily-quota", "72")
  assert [servers[1 + n % 2].get("/api/ints", key=key).status for n in range(3)] == [200, 200, 429]
  assert fleet.number("SELECT sum(count) FROM key_usage") == 72
  check_ledger(fleet)


def test_anonymous_draws_are_counted_over_all_servers(fleet):
  servers = fleet.start(3, FAIRDRAW_ANONYMOUS=70)

  def draws(index):
    with servers[index % 3].connect() as connection:
      return [connection.get("/api/ints", {"clientSeed": f"seed-{index}"}).status for _ in range(10)]

  statuses = collections.Counter(status for some in together(12, draws) for status in some)
  assert statuses == {200: 70, 429: 50}
  assert fleet.number("SELECT sum(count) FROM usage WHERE account_id = 0") == 70
  check_ledger(fleet)


def test_a_revoked_key_is_revoked_everywhere(fleet):
  servers = fleet.start(3)
  key = fleet.key()
  for server in servers:
    assert server.draw("ints", {"clientSeed": "x"}, key=key).status == 200
  fleet.cli("key", "revoke", key[:16])
  # A draw is decided with the key as it is; what only reads learns of it within the second.
  assert [server.draw("ints", {"clientSeed": "x"}, key=key).status for server in servers] == [401, 401, 401]
  for server in servers:
    wait_until(
      lambda: server.get("/api/listOutcomes", {"clientSeed": "x"}, key=key).status == 401, "reading is refused too", timeout=5)


def test_opposite_orders_do_not_deadlock(fleet, cluster):
  servers = fleet.start(2)
  keys = [fleet.key(), fleet.key()]
  seeds = [f"seed-{number}" for number in range(8)]

  def batches(index):
    order = seeds if index % 2 else seeds[::-1]
    draws = {"draws": [{"endpoint": "ints", "params": {"clientSeed": seed}} for seed in order]}
    with servers[index % 2].connect() as connection:
      return [
        connection.post("/api/batch", draws, key=[None, *keys][(number + index) % 3], headers={"X": str(number)}).status
        for number in range(40)]

  assert {status for some in together(8, batches) for status in some} == {200}
  assert fleet.number(f"SELECT deadlocks FROM pg_stat_database WHERE datname = '{fleet.name}'") == 0
  check_ledger(fleet)


# The database has troubles


def test_a_database_that_pauses(fleet, cluster, rng):
  servers = fleet.start(2)
  keys = [fleet.key(), fleet.key()]
  with Load(servers, keys, clients=16, seed=rng.random()) as load:
    wait_until(lambda: len(load.answers) > 50, "there is load")
    with cluster.paused():
      time.sleep(3)
    before = len(load.answers)
    wait_until(lambda: len(load.answers) > before + 100, "it goes on")
  check_ledger(fleet, load.answers)
  for server in servers:
    wait_until(lambda: server.get("/api/health").status == 200, "the server is well")


def test_a_database_that_restarts(fleet, cluster, rng):
  servers = fleet.start(2)
  keys = [fleet.key(), fleet.key()]
  with Load(servers, keys, clients=16, seed=rng.random()) as load:
    for crash in [False, True]:
      before = len(load.answers)
      wait_until(lambda: len(load.answers) > before + 50, "there is load")
      if crash:
        cluster.kill()
      else:
        cluster.stop()
      for server in servers:
        wait_until(lambda: server.get("/api/health").status == 503, "the server says that it is not well")
      answer = servers[0].get("/api/ints", {"clientSeed": "x"})
      assert answer.status == 503 and int(answer.header("Retry-After")) > 0, answer
      cluster.start()
    before = len(load.answers)
    wait_until(lambda: len(load.answers) > before + 100, "it goes on")
  check_ledger(fleet, load.answers)
  for server in servers:
    wait_until(lambda: server.get("/api/health").status == 200, "the server is well")


def test_a_database_that_crashes_while_groups_overlap(tmp_path, rng):
  """Where the disk is slow, a group is applied on top of others that are not on it yet. A crash takes those with it."""
  # Every wait for the disk takes 20 ms, and hardly anything gets there that nobody waits for.
  lazy = {"wal_writer_delay": "10s", "wal_writer_flush_after": "1GB", "bgwriter_lru_maxpages": 0}
  with postgres.Cluster(commit_delay=20000, commit_siblings=0, **lazy) as slow:
    slow.psql("postgres", "CREATE DATABASE fairdraw")
    fleet = Fleet(tmp_path, slow.url("fairdraw"), lambda statement: slow.psql("fairdraw", statement))
    try:
      servers = fleet.start(2)
      keys = [fleet.key(), fleet.key(), fleet.key()]
      with Load(servers, keys, clients=24, seed=rng.random()) as load:
        for _ in range(4):
          before = len(load.answers)
          wait_until(lambda: len(load.answers) > before + 100, "there is load")
          time.sleep(rng.uniform(0, 0.1))
          slow.kill()
          slow.start()
        before = len(load.answers)
        wait_until(lambda: len(load.answers) > before + 100, "it goes on")
      print(f"{len(load.answers)} answers")
      check_ledger(fleet, load.answers)
    finally:
      fleet.close()


def test_a_store_that_takes_too_long_leaves_nothing(fleet, cluster):
  (server,) = fleet.start(1)
  key = fleet.key()
  first = server.get("/api/ints", {"clientSeed": "x"}, key=key)
  # Reading goes on, loading too; inserting waits.
  other = cluster.session(fleet.name, "BEGIN", "LOCK TABLE outcomes IN SHARE MODE")
  try:
    answer = server.get("/api/ints", {"clientSeed": "x"}, key=key, idempotency="slow")
    assert answer.status == 503 and answer.header("Retry-After"), answer
    assert server.get("/api/health").status == 503
  finally:
    other.communicate(timeout=30)
  again = server.get("/api/ints", {"clientSeed": "x"}, key=key, idempotency="slow")
  assert again.status == 200 and not again.replayed
  assert again.json()["nonce"] == first.json()["nonce"] + 1
  check_ledger(fleet)
  wait_until(lambda: server.get("/api/health").status == 200, "the server is well")


def test_a_server_that_stops_in_mid_transaction_is_cut_off(fleet, cluster):
  """It holds an account's lock; the database ends its session, and the other server goes on."""
  (server,) = fleet.start(1)
  account = fleet.account()
  key = fleet.key(account)
  other = cluster.session(
    fleet.name, "SET idle_in_transaction_session_timeout = '2s'", "BEGIN",
    f"SELECT 1 FROM accounts WHERE name = '{account}' FOR UPDATE")
  wait_until(lambda: server.get("/api/ints", {"clientSeed": "x"}, key=key).status == 200, "the account is served again")
  with contextlib.suppress(BrokenPipeError):
    other.communicate(timeout=30)


LOCKS = {
  "account": "SELECT 1 FROM accounts WHERE name = '{account}' FOR UPDATE",
  "chain": "SELECT 1 FROM chains WHERE client_seed = 'held' FOR UPDATE",
  "usage": "SELECT 1 FROM usage WHERE account_id = (SELECT id FROM accounts WHERE name = '{account}') FOR UPDATE",
  "key's usage": "SELECT 1 FROM key_usage WHERE account_id = (SELECT id FROM accounts WHERE name = '{account}') FOR UPDATE"}


@pytest.mark.parametrize("what", LOCKS)
def test_a_row_that_somebody_else_locks_stops_those_who_need_it_alone(fleet, cluster, what):
  (server,) = fleet.start(1)
  account = fleet.account()
  key, other_key = fleet.key(account, "--daily-quota", "1000"), fleet.key()
  for held in (key, None):
    assert server.get("/api/ints", {"clientSeed": "held"}, key=held).status == 200
  other = cluster.session(fleet.name, "BEGIN", LOCKS[what].format(account=account))
  try:
    def ask(number):
      """Every fourth needs what is locked; together they come in groups."""
      if number % 4 == 0:
        return server.get("/api/ints", {"clientSeed": "held"}, key=key, idempotency=f"held-{number}")
      return server.get("/api/ints", {"clientSeed": f"other-{number}"}, key=[other_key, None][number % 2])

    for round in range(3):
      for number, answer in enumerate(together(16, ask)):
        if number % 4 == 0:
          assert (answer.status, answer.code) == (503, "unavailable") and answer.header("Retry-After"), answer
        else:
          assert answer.status == 200, answer
    assert server.get("/api/health").status == 200
  finally:
    other.communicate(timeout=30)
  for number in range(0, 16, 4):
    again = wait_until(lambda: (a := server.get(
      "/api/ints", {"clientSeed": "held"}, key=key, idempotency=f"held-{number}")).status == 200 and a, "it is served again")
    assert not again.replayed
  check_ledger(fleet)


def test_a_chain_that_was_set_back_draws_nothing_at_any_server(fleet, cluster):
  servers = fleet.start(2)
  key = fleet.key()
  for number in range(6):
    assert servers[number % 2].get("/api/ints", {"clientSeed": "x"}, key=key).status == 200
  fleet.sql("CREATE TABLE kept AS SELECT * FROM chains")
  columns = ["server_hash", "era", "epoch", "cursor", "nonce", "trail", "created", "moved"]
  for damage in [
    "nonce = 2", "nonce = 9223372036854775807", "nonce = -1", "epoch = 9223372036854775807", "trail = '\\xff'",
    "server_hash = '\\x00'", "era = 1", "moved = 9223372036854775807"]:
    fleet.sql(f"UPDATE chains SET {damage}")
    for server in servers:
      answer = server.get("/api/ints", {"clientSeed": "x"}, key=key)
      assert (answer.status, answer.code) == (500, "damaged"), (damage, answer)
      assert server.get("/api/ints", {"clientSeed": unique("y")}).status == 200, damage
      assert server.get("/api/health").status == 200
    fleet.sql("UPDATE chains SET " + ", ".join(f"{c} = kept.{c}" for c in columns) + " FROM kept WHERE kept.id = chains.id")
  # A whole row put back to before a rotation, with nothing drawn since.
  assert servers[0].post("/api/rotate", {"clientSeed": "x"}, key=key).status == 200
  fleet.sql("UPDATE chains SET epoch = kept.epoch, server_hash = kept.server_hash FROM kept WHERE kept.id = chains.id")
  for server in servers:
    answer = server.get("/api/ints", {"clientSeed": "x"}, key=key)
    assert (answer.status, answer.code) == (500, "damaged"), answer


def test_servers_share_the_delivering(fleet, tmp_path):
  receiver = Receiver(tmp_path)
  try:
    servers = fleet.start(2, FAIRDRAW_ALLOW_PRIVATE_WEBHOOKS="true")
    account = fleet.account()
    key = fleet.key(account)
    fleet.cli("webhook", "create", "--account", account, "--url", receiver.url("/ok"))
    answers = together(
      60, lambda index: servers[index % 2].get("/api/ints", {"clientSeed": f"seed-{index % 5}"}, key=key))
    commitment = servers[0].post("/api/commit", {}, key=key).json()["commitId"]
    answers.append(servers[1].post(
      "/api/reveal", {"commitId": commitment, "endpoint": "ints", "clientSeed": "mine"}, key=key))
    assert {answer.status for answer in answers} == {200}
    expected = {f"msg_{answer.json()['shortId']}" for answer in answers}
    wait_until(lambda: set(receiver.taken()) == expected, "each draw is told")
    wait_until(
      lambda: fleet.number("SELECT count(*) FROM deliveries WHERE state = 2") == len(expected), "all are recorded")
    # No claim has run out, so nothing was told twice.
    assert {len(times) for times in receiver.taken().values()} == {1}
  finally:
    receiver.stop()


def test_too_few_connections(tmp_path):
  with postgres.Cluster(max_connections=14, superuser_reserved_connections=3) as small:
    small.psql("postgres", "CREATE ROLE fairdraw LOGIN")
    small.psql("postgres", "CREATE DATABASE fairdraw OWNER fairdraw")
    fleet = Fleet(tmp_path, small.url("fairdraw", user="fairdraw"), lambda statement: small.psql("fairdraw", statement))
    others = []
    try:
      servers = fleet.start(2)
      for server in servers:
        assert server.get("/api/ints", {"clientSeed": "x"}).status == 200

      def fill():
        with contextlib.suppress(ConnectionError):
          while True:
            others.append(small.session("fairdraw", user="fairdraw"))

      fill()
      small.psql("fairdraw", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'fairdraw'")
      fill()
      # Whatever connection a server got back before others took its place, it answers; without one it says so.
      answers = together(8, lambda index: servers[index % 2].get("/api/ints", {"clientSeed": "x"}))
      for answer in answers:
        assert answer.status == 200 or (answer.status == 503 and answer.header("Retry-After")), answer
    finally:
      for other in others:
        other.communicate(timeout=30)
    try:
      for server in servers:
        wait_until(lambda: server.get("/api/ints", {"clientSeed": "x"}).status == 200, "there is room again")
        wait_until(lambda: server.get("/api/health").status == 200, "the server is well")
      # A draw that was answered with 503 may not have happened; one that was answered with 200 has.
      check_ledger(fleet)
    finally:
      fleet.close()


# Fail-over


def test_a_synchronous_standby_takes_over(tmp_path, rng):
  with contextlib.ExitStack() as stack:
    primary = stack.enter_context(postgres.Cluster(synchronous_commit="on", synchronous_standby_names="*"))
    # Without a standby nothing can be committed yet, and making one needs no commit.
    standby = stack.enter_context(postgres.Cluster(copy_of=primary))
    wait_until(
      lambda: primary.psql("postgres", "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"), "the standby is synchronous")
    primary.psql("postgres", "CREATE DATABASE fairdraw")
    url = f"postgres://postgres@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/fairdraw"
    fleet = Fleet(tmp_path, url, lambda statement: standby.psql("fairdraw", statement))
    stack.callback(fleet.close)
    servers = fleet.start(2)
    keys = [fleet.key(), fleet.key(), fleet.key()]
    with Load(servers, keys, clients=24, seed=rng.random()) as load:
      wait_until(lambda: len(load.answers) > 300, "there is load")
      primary.kill()
      time.sleep(rng.uniform(0, 0.5))
      standby.psql("postgres", "SELECT pg_promote()")
      before = len(load.answers)
      wait_until(lambda: len(load.answers) > before + 300, "the servers have found the new primary")
    print(f"{before} answers before, {len(load.answers)} in all")
    check_ledger(fleet, load.answers)


def test_a_commit_that_no_standby_confirmed_is_not_acknowledged(tmp_path):
  """PostgreSQL calls a commit whose wait for a standby is cancelled a success, with a warning."""
  with postgres.Cluster() as primary:
    primary.psql("postgres", "CREATE DATABASE fairdraw")
    fleet = Fleet(tmp_path, primary.url("fairdraw"), lambda statement: primary.psql("fairdraw", statement))
    try:
      (server,) = fleet.start(1)
      key = fleet.key()
      primary.psql("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
      primary.psql("postgres", "SELECT pg_reload_conf()")
      wait_until(
        lambda: primary.psql("fairdraw", "SHOW synchronous_standby_names") == [("nobody",)], "the setting is in force")
      answer = server.get("/api/ints", {"clientSeed": "x"}, key=key, idempotency="unsure")
      assert answer.status == 503, answer
      # Its wait is over, so everybody here can see it; no standby has it all the same, and a fail-over would lose it.
      cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
      wait_until(
        lambda: [primary.psql("fairdraw", cancel), primary.psql("fairdraw", "SELECT 1 FROM idempotency")][1],
        "it is committed here")
      retry = server.get("/api/ints", {"clientSeed": "x"}, key=key, idempotency="unsure")
      assert retry.status == 503, retry
      primary.psql("postgres", "ALTER SYSTEM RESET synchronous_standby_names")
      primary.psql("postgres", "SELECT pg_reload_conf()")
      # It was committed here after all, and the retry finds out.
      again = wait_until(lambda: (a := server.get(
        "/api/ints", {"clientSeed": "x"}, key=key, idempotency="unsure")).status == 200 and a, "the retry is answered")
      assert again.replayed and again.json()["nonce"] == 0
    finally:
      fleet.close()


# Starting


def test_servers_that_start_together_on_an_empty_database(fleet):
  servers = [fleet.add() for _ in range(5)]
  together(5, lambda index: servers[index].start())
  for server in servers:
    assert server.get("/api/ints", {"clientSeed": "x"}).status == 200
  check_ledger(fleet)


def test_servers_that_start_first_at_once_on_one_folder_make_one_key(cluster, tmp_path):
  for round in range(4):
    name = unique("db").replace("-", "_")
    cluster.psql("postgres", f"CREATE DATABASE {name}")
    servers = [Server(tmp_path / f"shared-{round}", FAIRDRAW_DATABASE=cluster.url(name)) for _ in range(3)]
    for number, server in enumerate(servers):
      server.log = tmp_path / f"shared-{round}-{number}.log"
    try:
      together(3, lambda number: servers[number].start())
      assert [server.get("/api/ints", {"clientSeed": "x"}).json()["nonce"] for server in servers] == [0, 1, 2]
    finally:
      for server in servers:
        server.kill()


def test_a_server_with_another_master_key_is_refused(fleet, tmp_path):
  fleet.start(1)
  other = tmp_path / "other.key"
  other.write_text("f" * 64 + "\n")
  done = cli(
    "serve", "--port", "0", data=tmp_path / "other",
    env={"FAIRDRAW_DATABASE": fleet.url, "FAIRDRAW_MASTER_KEY_FILE": other})
  assert done.returncode == 1 and "belongs to another master key" in done.stderr and str(other) in done.stderr
  assert "copy" in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_server_without_a_master_key_does_not_make_one_for_a_database_in_use(fleet, tmp_path):
  fleet.start(1)
  done = cli("serve", "--port", "0", data=tmp_path / "second", env={"FAIRDRAW_DATABASE": fleet.url})
  assert done.returncode == 1 and "already has a master key" in done.stderr and "copy" in done.stderr
  assert not (tmp_path / "second" / "master.key").exists()


def test_the_first_server_makes_a_master_key_in_its_data_folder(fleet, tmp_path):
  with Server(tmp_path / "first", FAIRDRAW_DATABASE=fleet.url) as server:
    assert server.get("/api/ints", {"clientSeed": "x"}).status == 200
    assert (tmp_path / "first" / "master.key").stat().st_mode & 0o777 == 0o600
    assert "postgres://" in " ".join(server.banner) or wait_until(
      lambda: "postgres://" in " ".join(server.banner), "the greeting says where the ledger is")


@pytest.mark.parametrize("how", ["option", "environment"])
def test_a_password_is_shown_nowhere(fleet, tmp_path, how):
  url = fleet.url.replace("postgres@", "postgres:open%20sesame@")
  arguments = ("--database", url) if how == "option" else ()
  env = {"FAIRDRAW_MASTER_KEY_FILE": fleet.key_file, **({} if arguments else {"FAIRDRAW_DATABASE": url})}
  with Server(tmp_path / "secret", arguments=arguments, **env) as server:
    assert server.get("/api/ints", {"clientSeed": "x"}).status == 200
    with open(f"/proc/{server.process.pid}/cmdline", "rb") as file:
      title = file.read()
    assert b"sesame" not in title and b"serve" in title
    wait_until(lambda: len(server.banner) >= 4, "the greeting is whole")
    assert "sesame" not in " ".join(server.banner) + server.settled_log()
  for bad in [url.replace(":open", ":open%zz"), url.replace("postgres://", "mysql://"), url + "?nonsense=1",
              re.sub(r":\d+/", ":1/", url)]:
    done = cli("account", "list", data=tmp_path / "bad", env={"FAIRDRAW_DATABASE": bad})
    assert done.returncode != 0 and "sesame" not in done.stdout + done.stderr and "zz" not in done.stderr, done


# Moving from SQLite


def full_ledger(serve):
  """A server over a file with something of everything, and what it answered."""
  server = serve()
  account = server.account()
  keys = [server.key(account), server.key(), server.key(account, "test")]
  # Where nothing may go: each draw with the first key leaves a delivery that is pending.
  server.cli("webhook", "create", "--account", account, "--url", "http://127.0.0.1:9/", check=True)
  answers = []
  for number in range(30):
    for key in [None, *keys]:
      claim = f"claim-{number}" if key else None
      query = {"clientSeed": f"seed-{number % 4}", "count": 3}
      answers.append((query, key, claim, server.get("/api/ints", query, key=key, idempotency=claim)))
  assert {answer.status for *_, answer in answers} == {200}
  rotated = server.post("/api/rotate", {"clientSeed": "seed-0"}, key=keys[0])
  assert rotated.status == 200, rotated
  commitments = [server.post("/api/commit", {}, key=keys[0]).json()["commitId"] for _ in range(2)]
  revealed = server.post(
    "/api/reveal", {"commitId": commitments[0], "endpoint": "ints", "clientSeed": "mine"}, key=keys[0])
  assert revealed.status == 200, revealed
  wait_until(lambda: server.sql("SELECT count(*) FROM delivery_attempts")[0][0] > 0, "a delivery has failed")
  server.cli("account", "password", account, "--email", "ada@example.com", typed="correct horse battery", check=True)
  server.cli("key", "create", "--account", account, "--name", "spare", check=True)
  gone = server.account()
  assert server.get("/api/ints", {"clientSeed": "seed-0"}, key=server.key(gone)).status == 200
  server.cli("account", "delete", gone, "--yes", check=True)
  return server, keys, answers, (commitments, revealed)


def exact_outcome(response):
  """An outcome as it was drawn: its permalink begins with where the server is now."""
  return {name: value for name, value in response.json().items() if name != "permalink"}


def test_a_ledger_moves(serve, fleet, tmp_path):
  old, keys, answers, (commitments, revealed) = full_ledger(serve)
  next_nonces = {(seed, key): old.nonce(seed, key) for seed in ["seed-0", "seed-1"] for key in [None, *keys[:2]]}
  assert old.stop() == 0
  old.cli("key", "create", "--account", old.account(), env={"FAIRDRAW_CELL": "eu1"}, check=True)
  source = f"sqlite:{old.database}"
  done = cli("migrate", "--from", source, "--to", fleet.url)
  assert done.returncode == 0, done.stderr
  assert re.search(r"^\d+ rows are in postgres://", done.stderr), done.stderr
  again = cli("migrate", "--from", source, "--to", fleet.url)
  assert again.returncode == 1 and "has a ledger already" in again.stderr
  refused = cli("serve", "--port", "0", data=old.data)
  assert refused.returncode == 1 and "was moved to postgres://" in refused.stderr

  fleet.key_file.write_text((old.data / "master.key").read_text())
  servers = fleet.start(2)
  for query, key, claim, answer in answers:
    if claim:
      replay = servers[0].get("/api/ints", query, key=key, idempotency=claim)
      assert replay.replayed and replay.body == answer.body
    outcome = answer.json()
    found = servers[1].get("/api/verifyShortId", {"shortId": outcome["shortId"]})
    assert found.status == 200, found
    listed = servers[1].get("/api/outcome", {name: outcome[name] for name in ("clientSeed", "cursor", "nonce")}, key=key)
    assert listed.status == 200 and exact_outcome(listed) == exact_outcome(answer)
  for (seed, key), nonce in next_nonces.items():
    drawn = servers[0].get("/api/ints", {"clientSeed": seed}, key=key).json()
    assert drawn["nonce"] == nonce
  assert servers[0].get("/api/ints", {"clientSeed": "fresh"}, key=keys[0]).status == 200
  for commitment, status in zip(commitments, [409, 200]):
    assert servers[0].post(
      "/api/reveal", {"commitId": commitment, "endpoint": "ints", "clientSeed": "mine"}, key=keys[0]).status == status
  moved = old.sql("SELECT count(*) FROM deliveries")[0][0]
  # Of the draws with the first key, the reveal and the rotation.
  assert moved == 32 and old.sql("SELECT count(*) FROM delivery_attempts")[0][0] > 0
  assert fleet.number(f"SELECT count(*) FROM deliveries WHERE id <= {moved} AND state = 1") == moved
  assert fleet.number(f"SELECT count(*) FROM deliveries WHERE id > {moved}") == 4, "those of the draws since"
  fleet.cli("webhook", "create", "--account", fleet.account(), "--url", "https://example.com/")
  copied = "SELECT email, password FROM sign_ins", "SELECT prefix, name, daily_quota FROM api_keys WHERE id <= 4 ORDER BY id"
  for query in copied:
    assert [tuple(row) for row in fleet.sql(query)] == old.sql(query), query
  assert fleet.number("SELECT count(*) FROM accounts WHERE deleted IS NOT NULL AND length(name) = 2") == 1
  assert fleet.cli("key", "create", "--account", fleet.account()).stdout.startswith("pk_live_eu1_")
  assert old.sql("SELECT count(*) FROM key_activity WHERE last_used IS NOT NULL") == [(3,)] and fleet.number("SELECT count(*) FROM key_activity") >= 3
  ids = [int(number) for (number,) in fleet.sql("SELECT id FROM outcomes UNION ALL SELECT id FROM test_outcomes")]
  assert len(ids) == len(set(ids))
  check_ledger(fleet)


def test_a_server_that_was_not_stopped_draws_no_more_after_a_move(serve, fleet):
  old = serve()
  key = old.key()
  first = old.draw("ints", {"clientSeed": "before"}, key=key).json()
  assert cli("migrate", "--from", f"sqlite:{old.database}", "--to", fleet.url).returncode == 0
  for seed in ("before", "after"):
    refused = old.draw("ints", {"clientSeed": seed}, key=key)
    assert refused.status == 503 and refused.header("Retry-After")
  wait_until(lambda: "moved into another database" in old.log_text(), "the reason in the log")
  fleet.key_file.write_text((old.data / "master.key").read_text())
  server = fleet.start(1)[0]
  second = server.draw("ints", {"clientSeed": "before"}, key=key).json()
  assert (first["nonce"], second["nonce"]) == (0, 1)


def test_a_move_that_was_cut_short_goes_on(serve, fleet):
  old, _, answers, _ = full_ledger(serve)
  assert old.stop() == 0
  source = f"sqlite:{old.database}"
  assert cli("migrate", "--from", source, "--to", fleet.url).returncode == 0
  # As it is in the middle: some tables are whole, one is half there, the rest is missing.
  fleet.sql("DELETE FROM idempotency")
  fleet.sql("DELETE FROM usage")
  fleet.sql("DELETE FROM outcomes WHERE id > 40")
  fleet.sql("INSERT INTO meta (name, value) VALUES ('import', '')")
  refused = cli("serve", "--port", "0", data=old.data, env={"FAIRDRAW_DATABASE": fleet.url})
  assert refused.returncode == 1 and "being moved" in refused.stderr
  done = cli("migrate", "--from", source, "--to", fleet.url)
  assert done.returncode == 0, done.stderr
  assert fleet.number("SELECT count(*) FROM outcomes") == old.sql("SELECT count(*) FROM outcomes")[0][0]
  check_ledger(fleet)

  # A row that is not what it was is noticed.
  fleet.sql("INSERT INTO meta (name, value) VALUES ('import', '')")
  fleet.sql("UPDATE outcomes SET value = '[1]' WHERE id = 1")
  done = cli("migrate", "--from", source, "--to", fleet.url)
  assert done.returncode == 1 and "outcomes differs" in done.stderr


def test_a_server_has_as_many_connections_as_the_guide_says(fleet):
  guide = (REPOSITORY / "docs" / "postgresql.md").read_text()
  words = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
  [said] = re.findall(r"A server holds at most (\w+) connections:", guide)
  assert re.findall(r"Each server needs (\w+) connections", guide) == [said]
  [server] = fleet.start(1)
  account = fleet.account()
  key, manager = fleet.key(account), fleet.key(account, "--scope", "manage")

  def use(number):
    if number == 0:
      assert server.draw("ints", key=key).status == 200
    elif number == 1:
      made = server.post("/api/webhooks", {"url": "https://example.com/"}, key=manager)
      assert server.request("DELETE", f"/api/webhooks/{made.json()['id']}", key=manager).status < 300
    else:
      assert server.get("/api/outcomes", key=key).status == 200

  def count():
    together(12, use)
    connections = fleet.number(f"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'fairdraw' AND datname = '{fleet.name}'")
    assert connections <= words.index(said)
    # Where the disk is fast, no connection waits for it.
    return connections >= words.index(said) - 1

  wait_until(count, "all kinds of connections are in use")
