"""Three machines as docs/ha.md has them, from the very files in docs/ha: Patroni, etcd, PostgreSQL, servers and HAProxy on each.

Whatever is lost (the primary's machine, its network, all of etcd), no acknowledged outcome is, none is drawn twice and no
nonce is skipped. It prints for how long no draw was answered.
"""

import contextlib
import http.client
import json
import pathlib
import shutil
import tempfile
import time
import types

import pytest

import machines
import postgres
from harness import BINARY, REPOSITORY, Connection, wait_until
from test_postgres import Client, Load, check_ledger

FILES = REPOSITORY / "docs" / "ha"
LIMIT = 180  # on hanging, never a measure of success
PROGRAMS = ["etcd", "patroni", "haproxy"]  # Debian's etcd-server, patroni with python3-etcd, haproxy
DATABASE = "postgres://postgres:change-me-1@{}/{}?connect_timeout=2&target_session_attrs={}"

missing = [name for name in PROGRAMS if not shutil.which(name, path="/usr/bin:/usr/sbin")]

pytestmark = [
  pytest.mark.skipif(postgres.programs() is None, reason="PostgreSQL's server is not installed"),
  pytest.mark.skipif(bool(missing), reason=f"not installed: {missing}"),
]


class Node(machines.Machine):
  """A machine with everything on it."""

  FOLDERS = {"/var/lib/postgresql": "postgres", "/var/lib/etcd": "root"}

  def __init__(self, switch, number, root):
    super().__init__(switch, number, root, self.FOLDERS)
    self.key_file = root / "master.key"

  def boot(self):
    self.start()
    # Where PostgreSQL's sockets are; Debian makes it when the machine starts.
    self.space.run("sh", "-c", "mount -t tmpfs tmpfs /run && install -d -o postgres /run/postgresql")
    self.start_etcd()
    # What is the machine's own in patroni.yml, in Patroni's variables; and where this system has PostgreSQL.
    self.serve(
      "patroni", shutil.which("patroni"), FILES / "patroni.yml", user="postgres",
      PATRONI_NAME=self.name, PATRONI_RESTAPI_LISTEN=f"{self.address}:8008", PATRONI_RESTAPI_CONNECT_ADDRESS=f"{self.address}:8008",
      PATRONI_POSTGRESQL_LISTEN=f"{self.address}:5432", PATRONI_POSTGRESQL_CONNECT_ADDRESS=f"{self.address}:5432",
      PATRONI_POSTGRESQL_BIN_DIR=str(postgres.programs()))
    self.serve("haproxy", "/usr/sbin/haproxy", "-db", "-f", FILES / "haproxy.cfg")

  def start_etcd(self):
    lines = (FILES / "etcd.env").read_text().splitlines()
    settings = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    for name, value in settings.items():
      if name != "ETCD_INITIAL_CLUSTER":
        settings[name] = value.replace("node1", self.name).replace("10.0.0.11", self.address)
    self.serve("etcd", "/usr/bin/etcd", **settings)

  def fairdraw(self, *arguments):
    return ["env", f"FAIRDRAW_CONFIG={FILES / 'fairdraw.conf'}", BINARY, *arguments, "--data", self.root / "fairdraw",
            "--master-key-file", self.key_file]

  def start_fairdraw(self):
    self.serve("fairdraw", *self.fairdraw("serve"), **{"FAIRDRAW_RATE_LIMIT_PER_MINUTE": "0"})

  def ask(self, port, path, host=None, method="GET", body=None):
    """The status and the JSON of a service on the machine; None if there is no answer."""
    try:
      connection = http.client.HTTPConnection(host or self.address, port, timeout=20)
      with self.network():
        connection.connect()
      with contextlib.closing(connection):
        connection.request(method, path, body=body and json.dumps(body), headers={"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text[:1] in (b"{", b"[") else text
    except (OSError, http.client.HTTPException, AttributeError):
      return None

  def logs(self):
    return "\n".join(f"== {file.name}\n{file.read_text(errors='replace')[-3000:]}" for file in sorted(self.root.glob("*.log")))


class LocalClient(Client):
  """A client on the side of the machine that it asks, through that machine's HAProxy."""

  limit = LIMIT

  def connection(self, node):
    connection = self.connections.get(node)
    if connection is None:
      connection = Connection(types.SimpleNamespace(host="127.0.0.1", port=8000))
      connection.http.timeout = 20
      connection.http.auto_open = 0  # which would be on this side
      with (node.network() if node.space else contextlib.nullcontext()):
        if not node.space:
          raise ConnectionError("the machine has no power")
        connection.http.connect()
      self.connections[node] = connection
    return connection

  def forget(self, node):
    connection = self.connections.pop(node, None)
    if connection:
      connection.http.close()

  def refused(self, response):
    pass  # HAProxy's own 503 and 504 have no Retry-After


class Cluster:
  def __init__(self, root):
    self.root = root
    (root / "master.key").write_text("0123456789abcdef" * 4 + "\n")
    (root / "master.key").chmod(0o600)
    self.switch = machines.Switch()
    self.nodes = [Node(self.switch, number, root) for number in (1, 2, 3)]

  def close(self):
    for node in self.nodes:
      node.lose_power()
    self.switch.kill()

  def wait(self, condition, what):
    try:
      return wait_until(condition, what, timeout=LIMIT, pause=0.1)
    except AssertionError as failure:
      raise AssertionError(f"{failure}\n" + "\n".join(node.logs() for node in self.nodes)) from None

  def members(self, asked=None):
    """What Patroni says of each node: its role and state."""
    for node in asked or self.nodes:
      answer = node.ask(8008, "/cluster")
      if answer and answer[0] == 200:
        return {member["name"]: (member["role"], member["state"]) for member in answer[1]["members"]}
    return {}

  def primary(self, among=None):
    """The node that is the primary by its own account, and holds Patroni's lock."""
    for node in among or self.nodes:
      answer = node.ask(8008, "/primary")
      if answer and answer[0] == 200:
        return node

  def is_whole(self):
    roles = sorted(self.members().values())
    # 3.0 says running of a replica, later versions streaming.
    return len(roles) == 3 and {role for role, _ in roles} == {"leader", "sync_standby", "replica"} and all(
      state in ("running", "streaming") for _, state in roles) and self.primary()

  def number(self, statement):
    return int(self.sql(statement)[0][0])

  def sql(self, statement, database="fairdraw", on=None):
    """Rows, of the primary or of the node `on`."""
    hosts, which = (on.address, "any") if on else (",".join(node.address for node in self.nodes), "read-write")
    for node in self.nodes:
      if node.space:
        text = node.space.run(
          postgres.programs() / "psql", "-X", "-q", "-A", "-t", "-F", postgres.FIELD, "-R", postgres.ROW, "-P", "null=\x1d", "-v",
          "ON_ERROR_STOP=1", "-d", DATABASE.format(hosts, database, which), "-c", statement)
        rows = text.removesuffix("\n").split(postgres.ROW)
        return [tuple(None if cell == "\x1d" else cell for cell in row.split(postgres.FIELD)) for row in rows if row]


@pytest.fixture
def cluster():
  if reason := machines.why_not():
    print(reason)
    pytest.skip(reason)
  root = pathlib.Path(tempfile.mkdtemp(prefix="fairdraw-ha-"))
  root.chmod(0o711)
  with contextlib.ExitStack() as stack:
    stack.callback(shutil.rmtree, root, ignore_errors=True)
    made = Cluster(root)
    stack.callback(made.close)
    yield made


class Watch:
  """How long no draw was answered."""

  def __init__(self, cluster, load):
    self.cluster, self.load = cluster, load

  def answered(self, more):
    count = len(self.load.answers) + more
    self.cluster.wait(lambda: self.load.failures or len(self.load.answers) >= count, f"{more} more draws are answered")

  @contextlib.contextmanager
  def event(self, what):
    self.answered(100)
    began, first = time.monotonic(), len(self.load.moments)
    yield
    self.answered(100)
    moments = [began, *self.load.moments[first:]]
    refused = max(later - earlier for earlier, later in zip(moments, moments[1:]))
    print(f"{what}: no draw was answered for {refused:.1f} s")


@pytest.mark.timeout(1800)
def test_no_acknowledged_outcome_is_lost(cluster, rng):
  began = time.monotonic()
  for node in cluster.nodes:
    node.boot()
  cluster.wait(cluster.is_whole, "Patroni has a primary, a synchronous standby and a replica")
  cluster.sql("CREATE ROLE fairdraw LOGIN PASSWORD 'change-me-4'", "postgres")
  cluster.sql("CREATE DATABASE fairdraw OWNER fairdraw ENCODING 'UTF8'", "postgres")
  for node in cluster.nodes:
    cluster.wait(lambda: cluster.sql("SELECT 1 FROM pg_database WHERE datname = 'fairdraw'", "postgres", on=node), "the database is there")
    node.start_fairdraw()
  for node in cluster.nodes:
    cluster.wait(lambda: (node.ask(8080, "/api/health") or [0])[0] == 200, "the server draws")
  one = cluster.nodes[0]
  one.space.run(*one.fairdraw("account", "create", "game"))
  keys = [one.space.run(*one.fairdraw("key", "create", "--account", "game")).strip() for _ in range(2)]
  print(f"the machines are up after {time.monotonic() - began:.0f} s")

  with Load(cluster.nodes, keys, clients=12, seed=rng.random(), client=LocalClient) as load:
    watch = Watch(cluster, load)
    lost_machine(cluster, watch)
    switchover(cluster, watch)
    partition(cluster, watch, keys, rng)
    no_etcd(cluster, watch)
  for node in cluster.nodes:
    cluster.wait(lambda: (node.ask(8080, "/api/health") or [0])[0] == 200, "every server is well")
  answers = load.answers + cluster.isolated
  check_ledger(cluster, answers)
  print(f"{len(answers)} answers in {time.monotonic() - began:.0f} s")


def lost_machine(cluster, watch):
  primary = cluster.primary()
  others = [node for node in cluster.nodes if node is not primary]
  with watch.event("kill -9 of everything on the primary's machine"):
    primary.lose_power()
    cluster.wait(lambda: cluster.primary(others), "there is another primary")
  primary.boot()
  primary.start_fairdraw()
  cluster.wait(cluster.is_whole, "the lost machine is back as a standby")


def switchover(cluster, watch):
  primary = cluster.primary()
  standby = next(name for name, (role, _) in cluster.members().items() if role == "sync_standby")
  with watch.event("switchover"):
    answer = primary.ask(8008, "/switchover", method="POST", body={"leader": primary.name, "candidate": standby})
    assert answer and answer[0] in (200, 202), answer
    cluster.wait(lambda: (found := cluster.primary()) and found.name == standby, "the standby is the primary")
  cluster.wait(cluster.is_whole, "the old primary is a standby")


def partition(cluster, watch, keys, rng):
  """The primary is alone with its own server, HAProxy and clients, which go on asking it."""
  primary = cluster.primary()
  others = [node for node in cluster.nodes if node is not primary]
  with Load([primary], keys, clients=4, seed=rng.random(), name="isolated-", client=LocalClient) as isolated:
    cluster.wait(lambda: isolated.failures or len(isolated.answers) > 20, "the clients beside the primary draw")
    with watch.event("the primary cut off from the others, with clients on both sides"):
      primary.cut_off()
      cluster.wait(lambda: cluster.primary(others), "the others have a primary")
      # Whatever the old one still had under way is not acknowledged, there or anywhere.
      cluster.wait(lambda: (primary.ask(8008, "/primary") or [0])[0] == 503, "the one that is cut off is no primary any more")
    before = len(isolated.answers)
    primary.reconnect()
    cluster.wait(cluster.is_whole, "the old primary is a standby of the new one")
    cluster.wait(lambda: isolated.failures or len(isolated.answers) > before + 20, "the clients beside it draw again")
  cluster.isolated = isolated.answers


def no_etcd(cluster, watch):
  primary = cluster.primary()
  with watch.event("kill -9 of all of etcd, and its start"):
    for node in cluster.nodes:
      node.kill_service("etcd")

    def is_alone():
      answer = primary.ask(8008, "/patroni")
      return answer and answer[1].get("failsafe_mode_is_active")

    cluster.wait(is_alone, "the primary goes on without etcd")
    watch.answered(100)
    for node in cluster.nodes:
      node.start_etcd()
    cluster.wait(cluster.is_whole, "Patroni has etcd again")
