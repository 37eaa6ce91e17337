"""PgBouncer in transaction mode between the servers and PostgreSQL: each transaction may be on another connection."""

import contextlib
import os
import shutil
import subprocess

import pytest

import postgres
from harness import cli, unique, wait_until
from ports import free_port
from test_doctor import doctor, found
from test_merkle import DAY, check_proof, day_of
from test_postgres import Fleet, Load, check_ledger, cluster, full_ledger
from test_webhooks import Receiver

PGBOUNCER = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"

pytestmark = [
  pytest.mark.skipif(postgres.programs() is None, reason="PostgreSQL's server is not installed"),
  pytest.mark.skipif(not os.path.exists(PGBOUNCER), reason="Debian's pgbouncer is not installed"),
]

CONNECTIONS = 4  # fewer than the servers open, so that they must share them

SETTINGS = """
[databases]
* = host=127.0.0.1 port={server_port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = transaction
default_pool_size = {connections}
server_round_robin = 1
"""


class Pooler:
  def __init__(self, cluster):
    self.cluster = cluster
    self.port = free_port()
    self.settings = cluster.folder / f"{unique('pgbouncer')}.ini"
    users = self.settings.with_suffix(".users")
    users.write_text('"postgres" ""\n')
    self.settings.write_text(SETTINGS.format(server_port=cluster.port, port=self.port, users=users, connections=CONNECTIONS))
    self.process = None

  def start(self):
    log = self.settings.with_suffix(".log")
    with open(log, "ab") as output:
      self.process = subprocess.Popen(
        postgres.as_postgres(PGBOUNCER, self.settings), stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    def is_ready():
      assert self.process.poll() is None, log.read_text()[-4000:]
      return subprocess.run([postgres.programs() / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]).returncode == 0

    wait_until(is_ready, "the pooler listens")
    return self

  def kill(self):
    self.process.kill()
    self.process.wait()

  def url(self, database):
    return f"postgres://postgres@127.0.0.1:{self.port}/{database}"

  def ask(self, database, statement):
    """What a statement says on each of the pooler's connections; they take turns."""
    command = [postgres.programs() / "psql", "-X", "-q", "-A", "-t", "-d", self.url(database)]
    for _ in range(2 * CONNECTIONS):
      command += ["-c", statement]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


@pytest.fixture
def pooler(cluster):
  with contextlib.closing(contextlib.ExitStack()) as stack:
    pooler = Pooler(cluster).start()
    stack.callback(lambda: pooler.kill())
    yield pooler


@pytest.fixture
def fleet(cluster, pooler, tmp_path):
  name = unique("pooled").replace("-", "_")
  cluster.psql("postgres", f"CREATE DATABASE {name}")
  made = Fleet(tmp_path, pooler.url(name), lambda statement: cluster.psql(name, statement))
  made.name = name
  yield made
  made.close()


def test_draws_batches_and_retries_survive_the_pooler(fleet, pooler, cluster, rng):
  servers = fleet.start(2)
  limited = fleet.account("--daily-quota", "300")
  keys = [fleet.key(), fleet.key(), fleet.key(limited)]
  with Load(servers, keys, clients=16, seed=rng.random()) as load:
    def answered(more):
      count = len(load.answers) + more
      wait_until(lambda: load.failures or len(load.answers) >= count, "more is drawn")

    answered(200)
    others = "pid <> pg_backend_pid() AND backend_type = 'client backend'"
    connections = fleet.number(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{fleet.name}' AND {others}")
    assert 0 < connections <= CONNECTIONS
    for _ in range(3):
      pooler.kill()
      pooler.start()
      answered(100)
    # The database's own restart ends the pooler's connections, and not those to the pooler.
    cluster.restart()
    answered(100)
  wait_until(lambda: all(server.get("/api/health").status == 200 for server in servers), "both servers are well")
  check_ledger(fleet, load.answers)
  used = fleet.number(f"SELECT sum(count) FROM usage u JOIN accounts a ON a.id = u.account_id WHERE a.name = '{limited}'")
  assert used <= 300
  for server in servers:
    assert server.stop() == 0
  for setting in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
    assert set(pooler.ask(fleet.name, f"SHOW {setting}")) == {"0"}, "a setting outlasts its transaction"
  assert set(pooler.ask(fleet.name, "SELECT count(*) FROM pg_prepared_statements")) == {"0"}
  assert set(pooler.ask(fleet.name, "SHOW enable_seqscan")) == {"on"}


def test_all_else_works_through_the_pooler(serve, fleet, pooler, tmp_path):
  old, keys, answers, _ = full_ledger(serve)
  assert old.stop() == 0
  moved = cli("migrate", "--from", f"sqlite:{old.database}", "--to", fleet.url)
  assert moved.returncode == 0, moved
  fleet.key_file.write_text((old.data / "master.key").read_text())
  one, two = fleet.start(2, FAIRDRAW_ALLOW_PRIVATE_WEBHOOKS="true")
  for query, key, claim, answer in answers:
    if claim:
      replay = one.get("/api/ints", query, key=key, idempotency=claim)
      assert replay.replayed and replay.body == answer.body
  receiver = Receiver(tmp_path)
  try:
    account = fleet.account()
    key = fleet.key(account)
    fleet.cli("webhook", "create", "--account", account, "--url", receiver.url("/ok"))
    drawn = [two.draw("ints", {"clientSeed": f"seed-{number % 3}"}, key=key).json() for number in range(20)]
    wait_until(lambda: len(receiver.taken("/ok")) == 20, "every outcome is delivered")
  finally:
    receiver.stop()
  exported = fleet.cli("account", "export", account).stdout
  assert all(outcome["shortId"] in exported for outcome in drawn)
  where = {"FAIRDRAW_DATABASE": fleet.url, "FAIRDRAW_MASTER_KEY_FILE": fleet.key_file}
  code, lines = doctor(data=one.data, FAIRDRAW_PORT=one.port, **where)
  assert code == 2 and not [line for line in lines if line[0] == "wrong"], lines
  assert found(lines, "database", "ok")[0].startswith("PostgreSQL ")

  # A day of the log: its draft is one transaction, beside those of the draws.
  one.stop()
  two.stop()
  fleet.sql(f"UPDATE outcomes SET created = (SELECT min(created) FROM outcomes) - {DAY}")
  fleet.sql("DELETE FROM outcome_runs")
  fleet.sql("INSERT INTO outcome_runs (created, first, last) SELECT created, min(id), max(id) FROM outcomes GROUP BY created")
  created = fleet.number("SELECT min(created) FROM outcomes")
  day = day_of(created)
  fleet.cli("merkle", "publish", "--date", day)
  one.start()
  root = one.get(f"/api/merkle/{day}").json()
  assert root["leafCount"] == fleet.number("SELECT count(*) FROM outcomes") > 50, root
  for outcome in drawn[:3]:
    proof = one.get(f"/api/merkle/{day}/proof/{outcome['shortId']}")
    assert proof.status == 200, proof
    check_proof(proof.json(), root["root"])


def test_whoever_serves_need_not_make_tables(cluster, tmp_path):
  """The tables are made by a user who may; afterwards the servers are another, who may read and write rows."""
  name = unique("granted").replace("-", "_")
  maker, worker = f"{name}_maker", f"{name}_worker"
  for statement in (f"CREATE ROLE {maker} LOGIN", f"CREATE ROLE {worker} LOGIN", f"CREATE DATABASE {name} OWNER {maker}"):
    cluster.psql("postgres", statement)
  fleet = Fleet(tmp_path, cluster.url(name, user=worker), lambda statement: cluster.psql(name, statement))
  try:
    where = {"FAIRDRAW_MASTER_KEY_FILE": fleet.key_file}
    refused = cli("account", "list", data=tmp_path / "early", env={**where, "FAIRDRAW_DATABASE": fleet.url})
    assert refused.returncode == 1 and "permission denied for schema public" in refused.stderr, refused
    cli("account", "list", data=tmp_path / "maker", env={**where, "FAIRDRAW_DATABASE": cluster.url(name, user=maker)}, check=True)
    cluster.psql(name, f"REVOKE CREATE ON SCHEMA public FROM {maker}, {worker}, pg_database_owner, PUBLIC")
    cluster.psql(name, f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {worker}")
    cluster.psql(name, f"GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA public TO {worker}")
    servers = fleet.start(2)
    account = fleet.account()
    key = fleet.key(account)
    for server in servers:
      server.cli("webhook", "create", "--account", account, "--url", "http://127.0.0.1:9/", check=False)
      assert server.draw("ints", key=key).status == server.draw("floats").status == 200
      commitment = server.post("/api/commit", {}, key=key).json()["commitId"]
      revealed = server.post("/api/reveal", {"commitId": commitment, "endpoint": "ints", "clientSeed": "x"}, key=key)
      assert revealed.status == server.post("/api/rotate", {"clientSeed": "test"}, key=key).status == 200
    fleet.cli("account", "export", account)
    check_ledger(fleet)
    # The owner of the tables serves too without the right to make more.
    fleet.url = cluster.url(name, user=maker)
    (owner,) = fleet.start(1)
    assert owner.draw("ints", key=key).status == 200
  finally:
    fleet.close()
