"""Cells: databases with names, keys that carry them, and two cells behind one HAProxy as docs/scale.md sets them up."""

import json
import re
import threading

import pytest

from harness import TIMEOUT, Server, cli, unique, wait_until
from ports import free_port
from proxies import HOST, HAProxyOfCells
from test_dashboard import Person
from test_webhooks import Receiver

RANDOM = "[A-Za-z0-9_-]{43}"
EU1, EU2 = f"eu1.{HOST}", f"eu2.{HOST}"


class Cells:
  """The cells eu1, which is the default, and eu2, with HAProxy in front of them."""

  def __init__(self, folder):
    self.servers = {}
    for name in ("eu1", "eu2"):
      self.servers[name] = Server(
        folder / name, arguments=("--port", free_port()), FAIRDRAW_CELL=name, FAIRDRAW_PUBLIC_URL=f"https://{name}.{HOST}",
        FAIRDRAW_TRUSTED_PROXIES="127.0.0.1", FAIRDRAW_ALLOW_PRIVATE_WEBHOOKS="true").start()
    self.proxy = HAProxyOfCells(folder, [server.port for server in self.servers.values()])

  def __enter__(self):
    self.proxy.start()
    return self

  def __exit__(self, *_):
    self.proxy.stop()
    for server in self.servers.values():
      server.kill()

  def __getitem__(self, name):
    return self.servers[name]

  def accounts(self):
    """A new account with a live key in each cell: the keys."""
    return {name: server.key() for name, server in self.servers.items()}


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
  with Cells(tmp_path_factory.mktemp("cells")) as running:
    yield running


def cell_of(response):
  """Where an outcome was drawn, by its permalink."""
  assert response.status == 200, response
  return re.fullmatch(rf"https://(\w+)\.{re.escape(HOST)}/o/\w+", response.json()["permalink"])[1]


# Names and keys


@pytest.mark.parametrize("name", ["EU1", "1eu", "eu_1", "eu-1", "abcdefghi", "é", "eu1 eu2"])
def test_what_is_no_name_of_a_cell_is_refused(tmp_path, name):
  for done in (cli("serve", "--port", "0", "--cell", name, data=tmp_path / "data"),
               cli("key", "create", "--account", "a", data=tmp_path / "data", env={"FAIRDRAW_CELL": name})):
    assert done.returncode == 64 and "--cell (FAIRDRAW_CELL) must be 1 to 8 lower-case letters and digits" in done.stderr, done
  assert not (tmp_path / "data").exists()


def test_keys_carry_the_name_whoever_makes_them(serve, tmp_path):
  server = serve()
  account = server.account()
  before = server.key(account)
  assert re.fullmatch(f"pk_live_{RANDOM}", before)
  server.stop()
  settings = tmp_path / "fairdraw.conf"
  settings.write_text("cell = eu1\n")
  server.env["FAIRDRAW_CONFIG"] = settings
  server.start()
  # Neither the command nor the server after its restart has the setting.
  made = {mode: server.key(account, mode) for mode in ("live", "test")}
  del server.env["FAIRDRAW_CONFIG"]
  server.restart()
  person = Person(server).arrive()
  made |= {f"dashboard's {mode}": person.make_key(mode=mode) for mode in ("live", "test")}
  for kind, key in made.items():
    mode = kind.split()[-1]
    assert re.fullmatch(f"pk_{mode}_eu1_{RANDOM}", key), key
    assert server.draw("ints", key=key).json()["mode"] == mode
  # Keys that were there before, and imported ones, stay as they are.
  imported = "pk_live_" + unique("imported").replace("-", "_") + "x" * 10
  server.cli("key", "import", "--account", account, typed=imported + "\n", check=True)
  assert server.draw("ints", key=before).status == 200 and server.draw("ints", key=imported).status == 200
  listed = [json.loads(line)["prefix"] for line in server.cli("key", "list", "--json", check=True).stdout.splitlines()]
  assert listed == [before[:16], *[key[:20] for key in made.values()], imported[:16]]
  [line] = [line for line in server.log_lines() if line.get("caller") == made["live"][:20] and line["path"] == "/api/ints"]
  assert line["status"] == 200 and made["live"] not in server.settled_log()
  assert "database is cell eu1" in server.cli("doctor").stdout
  # As much of a key as lists show, or all of it, names it.
  for text, key in ((made["live"][:20], made["live"]), (made["test"], made["test"])):
    done = server.cli("key", "revoke", text, check=True)
    assert done.stderr == f"{key[:20]} is revoked.\n"
    wait_until(lambda: server.draw("ints", key=key).code == "invalid_api_key", "the key is revoked")


def test_a_database_keeps_its_name(serve):
  server = serve(FAIRDRAW_CELL="eu1")
  server.stop()
  server.env["FAIRDRAW_CELL"] = "eu2"  # a slip is mended as long as no key carries it
  server.start()
  account = server.account()
  assert server.key(account).startswith("pk_live_eu2_")
  server.stop()
  for done in (server.cli("serve", "--port", "0", "--cell", "eu3"), server.cli("key", "create", "--account", account, env={"FAIRDRAW_CELL": "eu3"})):
    assert (done.returncode, done.stdout) == (1, "") and "the database is cell eu2" in done.stderr, done
  assert server.sql("SELECT value FROM meta WHERE name = 'cell'") == [(b"eu2",)]
  assert server.sql("SELECT count(*) FROM api_keys") == [(1,)]
  doctor = server.cli("doctor", env={"FAIRDRAW_CELL": "eu3"})
  assert re.search(r"^warning +cell +the database is cell eu2, but the setting cell is eu3$", doctor.stdout, re.MULTILINE), doctor


ASKS = [
  ("GET", "/api/ints", None), ("POST", "/api/ints", {}), ("POST", "/api/batch", {"draws": [{"endpoint": "ints"}]}),
  ("GET", "/api/stream?endpoint=ints", None), ("GET", "/api/listOutcomes", None), ("POST", "/api/commit", {}), ("GET", "/api/usage", None),
]


@pytest.mark.parametrize("method, path, body", ASKS, ids=lambda value: str(value)[:20])
def test_a_key_of_another_cell_is_told_which(cells, server, method, path, body):
  keys = cells.accounts()
  before = cells["eu1"].footprint()
  for header in ({"x-api-key": keys["eu2"]}, {"Authorization": f"Bearer {keys['eu2']}"}):
    for _ in range(2):  # the second time the key is known to be unknown
      answer = cells["eu1"].request(method, path, body=body, headers=header)
      assert (answer.status, answer.code) == (401, "wrong_cell") and "cell eu2" in answer.error and "cell eu1" in answer.error, answer
  answer = server.request(method, path, body=body, key=keys["eu2"])
  assert (answer.status, answer.code) == (401, "wrong_cell") and "cell eu2" in answer.error and "no cell" in answer.error, answer
  # What nobody has ever had is no other cell's.
  for key in ("pk_live_eu1_" + "A" * 43, "pk_live_eu2_" + "A" * 39, "pk_live_eu2_" + "A" * 44, "pk_live_EU2_" + "A" * 43):
    answer = cells["eu1"].request(method, path, body=body, key=key)
    assert (answer.status, answer.code) == (401, "invalid_api_key"), answer
  assert cells["eu1"].footprint() == before


# Behind HAProxy


def test_a_key_leads_to_its_cell_wherever_it_stands(cells, client_seed):
  for name, key in cells.accounts().items():
    nonces = []
    for header in ({"x-api-key": key}, {"Authorization": f"Bearer {key}"}, {"authorization": f"bearer  {key}"}, {"x-api-key": key, "Authorization": "Basic dTpw"}):
      for host in (HOST, EU1, EU2):  # the key decides, not the host name
        for answer in (cells.proxy.get("/api/ints", {"clientSeed": client_seed}, headers={"Host": host, **header}),
                       cells.proxy.post("/api/ints", {"clientSeed": client_seed}, headers={"Host": host, **header})):
          assert cell_of(answer) == name
          nonces.append(answer.json()["nonce"])
    version, status, body = cells.proxy.curl(f"/api/ints?clientSeed={client_seed}", "-H", f"Authorization: Bearer {key}")
    assert (version, status) == ("2", 200) and json.loads(body)["permalink"].startswith(f"https://{name}.")
    assert [*nonces, json.loads(body)["nonce"]] == list(range(25))
    test = cells[name].key(mode="test")
    assert cell_of(cells.proxy.get("/api/ints", key=test)) == name


def test_batches_streams_reveals_and_retries_stay_in_their_cell(cells, client_seed, idempotency):
  proxy = cells.proxy
  for name, key in cells.accounts().items():
    draws = {"draws": [{"endpoint": "ints", "params": {"clientSeed": client_seed}}, {"endpoint": "dice", "params": {"clientSeed": client_seed, "notation": "2d6"}}]}
    batch = proxy.post("/api/batch", draws, key=key, idempotency=idempotency)
    assert batch.status == 200 and all(result["outcome"]["permalink"].startswith(f"https://{name}.") for result in batch.json()["results"])
    again = proxy.post("/api/batch", draws, key=key, idempotency=idempotency)
    assert again.replayed and again.body == batch.body
    stream = proxy.get("/api/stream", {"endpoint": "ints", "clientSeed": client_seed}, key=key)
    assert stream.status == 200 and f"https://{name}.{HOST}/o/".encode() in stream.body and f"id: {client_seed}:0:2\n".encode() in stream.body
    commitment = proxy.post("/api/commit", {}, key=key).json()["commitId"]
    reveal = {"commitId": commitment, "endpoint": "ints", "clientSeed": client_seed}
    assert cell_of(proxy.post("/api/reveal", reveal, key=key)) == name
    drawn = proxy.get("/api/ints", {"clientSeed": client_seed}, key=key, idempotency=f"{idempotency}-draw")
    again = proxy.get("/api/ints", {"clientSeed": client_seed}, key=key, idempotency=f"{idempotency}-draw")
    assert cell_of(drawn) == name and again.replayed and again.body == drawn.body


def test_permalinks_and_logs_are_found_by_their_host_name(cells, client_seed):
  proxy = cells.proxy
  keys = {}
  for name, key in cells.accounts().items():
    outcome = proxy.get("/api/ints", {"clientSeed": client_seed}, key=key).json()
    other = {EU1: EU2, EU2: EU1}[f"{name}.{HOST}"]
    host, path = re.fullmatch(r"https://([^/]+)(/o/\w+)", outcome["permalink"]).groups()
    for asked, status in ((host, 200), (host.upper(), 200), (f"{host}:443", 200), (other, 404)):
      assert proxy.get(path, headers={"Host": asked, "Accept": "text/html"}).status == status
      assert proxy.get("/api/verifyShortId", {"shortId": outcome["shortId"]}, headers={"Host": asked}).status == status
    version, status, body = proxy.curl(path, host=host)
    assert (version, status) == ("2", 200) and outcome["shortId"].encode() in body
    keys[name] = proxy.get("/api/keys", headers={"Host": host}).json()
    assert keys[name]["log"]["origin"] == f"{host}/log/0"
  assert keys["eu1"]["vrf"] != keys["eu2"]["vrf"] and keys["eu1"]["log"]["vkey"] != keys["eu2"]["log"]["vkey"]


def test_what_names_no_cell_goes_to_the_default_cell(cells, client_seed):
  proxy = cells.proxy
  # As a database has them that became a cell later, and however they begin.
  key = "pk_live_eu2_" + unique().replace("-", "_").ljust(39, "x")
  cells["eu1"].cli("key", "import", "--account", cells["eu1"].account(), typed=key + "\n", check=True)
  assert cell_of(proxy.get("/api/ints", key=key)) == "eu1"
  assert cell_of(proxy.get("/api/ints", headers={"Authorization": f"Bearer {key}"})) == "eu1"
  assert cell_of(proxy.get("/api/ints", {"clientSeed": client_seed})) == "eu1"
  assert cell_of(proxy.post("/api/ints", {"clientSeed": client_seed}, headers={"Host": "unknown.example"})) == "eu1"
  # Callers without a key have other chains in each cell.
  first = proxy.get("/api/ints", {"clientSeed": client_seed}, headers={"Host": EU2})
  assert cell_of(first) == "eu2" and first.json()["nonce"] == 0
  for key, code in (("pk_live_us9_" + "A" * 43, "wrong_cell"), ("nonsense", "invalid_api_key"), ("", "invalid_api_key")):
    answer = proxy.get("/api/ints", headers={"x-api-key": key})
    assert (answer.status, answer.code) == (401, code), answer


class Client(threading.Thread):
  """Draws without a pause through HAProxy, each draw under a key of its own until it is answered."""

  def __init__(self, proxy, key, client_seed):
    super().__init__(daemon=True)
    self.proxy, self.key, self.client_seed = proxy, key, client_seed
    self.done = threading.Event()
    self.nonces, self.refusals, self.failure = [], [], None

  def ask(self, number):
    answer = self.proxy.get("/api/ints", {"clientSeed": self.client_seed}, key=self.key, idempotency=f"{self.client_seed}-{number}")
    if answer.status != 200:
      self.refusals.append((answer.status, answer.code, answer.header("Retry-After")))
      return None
    return answer.json()["nonce"] + 1

  def run(self):
    try:
      while not self.done.is_set():
        self.nonces.append(wait_until(lambda: self.ask(len(self.nonces)), "the draw is answered") - 1)
    except BaseException as failure:
      self.failure = failure

  def __enter__(self):
    self.start()
    return self

  def __exit__(self, *_):
    self.done.set()
    self.join(TIMEOUT)

  def goes_on(self):
    """Waits until it has drawn some more."""
    before = len(self.nonces)
    wait_until(lambda: self.failure or len(self.nonces) >= before + 5, "the client draws")
    assert not self.failure, self.failure


def test_a_cell_that_dies_is_no_concern_of_the_other(cells, client_seed, idempotency):
  proxy, keys = cells.proxy, cells.accounts()
  with Client(proxy, keys["eu1"], client_seed) as first, Client(proxy, keys["eu2"], client_seed) as second:
    for _ in range(2):
      first.goes_on()
      cells["eu1"].kill()
      refused = proxy.get("/api/ints", {"clientSeed": f"{client_seed}-late"}, key=keys["eu1"], idempotency=idempotency)
      assert (refused.status, refused.code, refused.header("Retry-After")) == (503, "unavailable", "1"), refused
      assert refused.json()["retryAfter"] == 1
      second.goes_on()
      cells["eu1"].start()
      first.goes_on()
  for client, name in ((first, "eu1"), (second, "eu2")):
    assert not client.failure and client.nonces == list(range(len(client.nonces)))
    assert cells[name].nonce(client_seed, keys[name]) == len(client.nonces)
  assert not second.refusals
  assert {status for status, *_ in first.refusals} <= {502, 503, 504}
  # What was refused draws once, now.
  answers = [proxy.get("/api/ints", {"clientSeed": f"{client_seed}-late"}, key=keys["eu1"], idempotency=idempotency) for _ in range(2)]
  assert [answer.json()["nonce"] for answer in answers] == [0, 0] and [answer.replayed for answer in answers] == [False, True]


def test_an_account_moves(cells, client_seed, idempotency, tmp_path):
  """The steps of docs/scale.md, in their order."""
  proxy, old, new = cells.proxy, cells["eu1"], cells["eu2"]
  account = old.account()
  key = old.key(account)
  prefix = key[:20]
  hooks = Receiver(tmp_path)
  try:
    private = {"FAIRDRAW_ALLOW_PRIVATE_WEBHOOKS": "true"}
    secret = old.cli("webhook", "create", "--account", account, "--url", hooks.url("/ok"), env=private, check=True).stdout
    before = proxy.get("/api/ints", {"clientSeed": client_seed}, key=key, idempotency=idempotency).json()

    new.cli("account", "create", account, "--daily-quota", "50000", check=True)
    new.cli("key", "import", "--account", account, typed=key + "\n", check=True)
    made = new.cli("webhook", "create", "--account", account, "--url", hooks.url("/ok"), "--secret", "-", typed=secret, env=private, check=True)
    reader = old.key(account, "live", "--scope", "read")
    assert made.returncode == 0 and reader.startswith("pk_live_eu1_")

    assert proxy.order(f"add map {proxy.keys} {prefix} moving") == ""
    held = proxy.get("/api/ints", {"clientSeed": client_seed}, key=key, idempotency=f"{idempotency}-2")
    assert (held.status, held.code, held.header("Retry-After")) == (503, "unavailable", "5"), held
    assert cell_of(proxy.get("/api/outcome", {"clientSeed": client_seed, "cursor": 0, "nonce": 0}, key=reader)) == "eu1"
    settled = proxy.get(f"/api/idempotency/{idempotency}", key=reader)
    assert settled.status == 200 and before["shortId"].encode() in settled.body
    assert proxy.get(f"/api/idempotency/{idempotency}-2", key=reader).code == "unknown_idempotency_key"

    old.cli("key", "revoke", prefix, check=True)
    for line in old.cli("chain", "list", "--account", account, "--json", check=True).stdout.splitlines():
      old.cli("chain", "rotate", "--account", account, "--client-seed", json.loads(line)["clientSeed"], check=True)
    export = json.loads(old.cli("account", "export", account, env={"FAIRDRAW_PUBLIC_URL": f"https://{EU1}"}, check=True).stdout)
    assert [seed["serverHash"] for seed in export["seeds"]] == [before["serverHash"]]
    assert export["outcomes"][0]["outcome"]["permalink"] == before["permalink"]

    copied = tmp_path / "outcomes.jsonl"
    copied.write_text(
      old.cli("outcomes", "list", "--account", account, "--client-seed", client_seed, env={"FAIRDRAW_PUBLIC_URL": f"https://{EU1}"}, check=True).stdout)
    new.cli("import", "outcomes", copied, "--account", account, check=True)

    assert proxy.order(f"set map {proxy.keys} {prefix} eu2") == ""
    after = proxy.get("/api/ints", {"clientSeed": client_seed}, key=key, idempotency=f"{idempotency}-2")
    assert cell_of(after) == "eu2" and after.json()["nonce"] == 0 and after.json()["serverHash"] != before["serverHash"]
    assert proxy.get("/api/ints", {"clientSeed": client_seed}, key=key, idempotency=f"{idempotency}-2").replayed
    listed = proxy.get("/api/listOutcomes", {"clientSeed": client_seed}, key=key)
    assert listed.status == 200 and before["shortId"].encode() in listed.body and b'"imported":true' in listed.body, listed
    wait_until(lambda: len(hooks.taken("/ok")) >= 2, "both cells' events have arrived")
    assert {before["shortId"], after.json()["shortId"]} <= {
      json.loads(entry["body"])["data"].get("shortId") for taken in hooks.taken("/ok").values() for entry in taken}

    # The file says the same to the next HAProxy.
    proxy.keys.write_text(proxy.keys.read_text() + f"{prefix} eu2\n")
    proxy.stop()
    proxy.start()
    for header in ({"x-api-key": key}, {"Authorization": f"Bearer {key}"}):
      assert cell_of(proxy.get("/api/ints", {"clientSeed": client_seed}, headers=header)) == "eu2"
    # Everything else of the old cell stays where it is.
    assert cell_of(proxy.get("/api/ints", key=old.key())) == "eu1"
    assert proxy.get(before["permalink"].removeprefix(f"https://{EU1}"), headers={"Host": EU1}).status == 200
    wait_until(lambda: old.get("/api/ints", key=key).code == "invalid_api_key", "the key is revoked")
  finally:
    hooks.stop()
