"""One bad row is one bad answer; the file that is served is the file that was opened; a start says what is amiss."""

import http.client
import json
import os
import shutil
import sqlite3
import urllib.request
from contextlib import closing

import pytest

from harness import Server, cli, together, unique, wait_until
from test_dashboard import Person
from test_stream import Stream
from test_webhooks import hooked, receiver  # fixtures
from wire import Wire

LARGEST = 2**63 - 1


def tamper(server, statement, *arguments):
  """Changes the database beside the running server, as an operator with sqlite3 would."""
  with closing(sqlite3.connect(server.database, timeout=60, isolation_level=None)) as connection:
    return connection.execute(statement, arguments).rowcount


def metric(server, name, port):
  text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60).read().decode()
  (value,) = [line.split()[-1] for line in text.splitlines() if line.startswith(name + " ")]
  return float(value)


# Rows


DAMAGES = [
  "nonce = 2", "nonce = 0", f"nonce = {LARGEST}", "nonce = -1", f"cursor = {LARGEST}", f"epoch = {LARGEST}", "trail = x'ff'",
  "server_hash = zeroblob(32)", "server_hash = x''", "era = 1", f"created = {LARGEST}"]


def test_a_damaged_chain_fails_its_own_requests_alone(serve):
  server = serve()
  key, other = server.key(), server.key()
  secret = unique("secret-seed")
  for _ in range(5):
    assert server.draw("ints", {"clientSeed": secret}, key=key).status == 200
  ((chain,),) = server.sql("SELECT max(id) FROM chains")
  (before,) = server.sql("SELECT server_hash, era, epoch, cursor, nonce, trail, created FROM chains WHERE id = ?", chain)
  for damage in DAMAGES:
    assert tamper(server, f"UPDATE chains SET {damage} WHERE id = ?", chain) == 1

    def ask(number):
      """Some draw from the damaged chain, the others beside it; all at once, so that they meet in groups."""
      if number % 4 == 0:
        return server.draw("ints", {"clientSeed": secret}, key=key)
      return server.draw("ints", {"clientSeed": f"n-{number}"}, key=[key, other, None][number % 3])

    for number, answer in enumerate(together(16, ask)):
      if number % 4 == 0:
        assert (answer.status, answer.code) == (500, "damaged"), (damage, answer)
        assert "retry" not in answer.error and not answer.header("Retry-After"), answer
      else:
        assert answer.status == 200, (damage, answer)
    assert server.get("/api/health").status == 200, damage
    tamper(
      server, "UPDATE chains SET server_hash = ?, era = ?, epoch = ?, cursor = ?, nonce = ?, trail = ?, created = ? WHERE id = ?", *before, chain)
  assert server.draw("ints", {"clientSeed": secret}, key=key).json()["nonce"] == 5
  faults = [line["fault"] for line in server.log_lines() if "fault" in line]
  assert len(faults) == 4 * len(DAMAGES)
  assert all(fault.startswith("damaged failure: ") and f"chain {chain}" in fault for fault in faults)
  assert secret not in "".join(faults)


def test_an_epoch_put_back_draws_nothing_from_a_revealed_seed(serve):
  server = serve()
  key = server.key()
  server.draw("ints", {"clientSeed": "x"}, key=key)
  tamper(server, "CREATE TABLE early AS SELECT * FROM chains")
  assert server.post("/api/rotate", {"clientSeed": "x"}, key=key).status == 200
  # The whole row, as a restore of one table would leave it; nothing was drawn since.
  tamper(server, "UPDATE chains SET epoch = e.epoch, server_hash = e.server_hash FROM early e WHERE e.id = chains.id")
  for restart in (False, True):
    if restart:
      server.restart()
    answer = server.draw("ints", {"clientSeed": "x"}, key=key)
    assert (answer.status, answer.code) == (500, "damaged"), answer
    assert server.draw("ints", {"clientSeed": "y"}, key=key).status == 200


def test_reading_what_is_damaged_is_a_500_of_its_own(serve):
  server = serve()
  drawn = server.draw("ints", {"clientSeed": "x"}).json()
  other = server.draw("ints", {"clientSeed": "y"}).json()
  tamper(server, "UPDATE outcomes SET endpoint = 300 WHERE id = (SELECT min(id) FROM outcomes)")
  for path, query in [
    ("/api/listOutcomes", {"clientSeed": "x"}), ("/api/outcome", {"clientSeed": "x", "cursor": 0, "nonce": 0}),
    ("/api/verifyShortId", {"shortId": drawn["shortId"]})]:
    answer = server.get(path, query)
    assert (answer.status, answer.code) == (500, "damaged"), answer
  assert server.get("/api/verifyShortId", {"shortId": other["shortId"]}).json()["verified"]
  assert len(server.get("/api/listOutcomes", {"clientSeed": "y"}).json()) == 1


def large(number):
  return {"clientSeed": "large", "items": [f"{number}-{item}-" + "x" * 1500 for item in range(1000)]}


def test_an_answer_that_is_cut_off_is_logged_and_counted(serve, free_port):
  """Its head was sent, and is in the log as a 200, when what is to be read next turns out to be damaged."""
  server = serve(FAIRDRAW_METRICS_PORT=free_port, FAIRDRAW_SIGN_UP="true")
  person = Person(server).arrive()
  key = person.make_key()
  for number in range(3):
    assert server.draw("shuffle", large(number), "POST", key=key).status == 200
  with Stream(server, {"clientSeed": "large"}, key) as stream:
    assert stream.status == 200 and stream.next()["data"]["nonce"] == 3
    tamper(server, "UPDATE outcomes SET endpoint = 300 WHERE id IN (SELECT min(id) FROM outcomes)")
    cut = [
      ("/api/listOutcomes", lambda: server.get("/api/listOutcomes", {"clientSeed": "large"}, key=key)),
      ("/dashboard/account/export", lambda: person.get("/dashboard/account/export?format=json")),
    ]
    for path, ask in cut:
      with pytest.raises(http.client.IncompleteRead):
        ask()
    # A stream that draws, when its chain is damaged.
    tamper(server, "UPDATE chains SET nonce = 1 WHERE id = (SELECT max(id) FROM chains)")
    while stream.next() is not None:
      pass
    cut.append(("/api/stream", None))
  said = lambda: [line for line in server.log_lines() if line["message"] == "an answer was cut off"]
  lines = wait_until(lambda: len(said()) >= len(cut) and said(), "the log has them all")
  assert [line["path"] for line in lines] == [path for path, _ in cut]
  for line in lines:
    assert line["level"] == "error" and line["fault"].startswith("damaged failure: ") and "large" not in line["fault"], line
    if line["path"] != "/api/stream":  # whose end is not there yet, perhaps, when its client hangs up
      assert [one["status"] for one in server.log_lines() if one.get("requestId") == line["requestId"] and "status" in one] == [200]
  assert metric(server, "fairdraw_http_answers_cut_off_total", free_port) == len(cut)


def test_a_client_that_goes_away_is_no_fault(serve, free_port):
  server = serve(FAIRDRAW_METRICS_PORT=free_port)
  key = server.key()
  for number in range(3):
    assert server.draw("shuffle", large(number), "POST", key=key).status == 200
  with Wire(server, receive_buffer=4096) as wire:
    wire.send(f"GET /api/listOutcomes?clientSeed=large HTTP/1.1\r\nHost: a\r\nx-api-key: {key}\r\n\r\n".encode())
    assert wire.head()[0] == 200
  wait_until(
    lambda: metric(server, "fairdraw_connections_open", free_port) == metric(server, "fairdraw_reading_bytes", free_port) == 0,
    "the server has noticed")
  assert "cut off" not in server.settled_log()
  assert metric(server, "fairdraw_http_answers_cut_off_total", free_port) == 0


def test_a_damaged_webhook_is_listed_and_its_deliveries_are_dead(hooked, receiver):
  accounts = [hooked.account(), hooked.account()]
  for account in accounts:
    hooked.cli("webhook", "create", "--account", account, "--url", receiver.url(f"/{account}"), check=True)
  keys = [hooked.key(account) for account in accounts]
  for count, (damage, word) in enumerate([("sealed_secret = zeroblob(60)", "secret"), ("url = 'gopher://nowhere'", "URL")], 1):
    tamper(hooked, f"UPDATE webhook_endpoints SET {damage} WHERE id = 1")
    for key in keys:
      assert hooked.draw("ints", key=key).status == 200
    wait_until(lambda: hooked.sql("SELECT count(*) FROM deliveries WHERE state = 1") == [(0,)], "nothing is pending")
    assert not receiver.received(f"/{accounts[0]}") and len(receiver.received(f"/{accounts[1]}")) == count
    ((error,),) = hooked.sql(
      "SELECT error FROM delivery_attempts JOIN deliveries ON id = delivery_id WHERE endpoint_id = 1 ORDER BY id DESC LIMIT 1")
    assert "damaged" in error and "webhook 1" in error and word in error
    listed = hooked.cli("webhook", "list", check=True).stdout.splitlines()
    assert word in listed[1] and "enabled" not in listed[1] and "enabled" in listed[2]
  assert any(line.get("webhook") == "1" and "damaged" in line["message"] for line in hooked.log_lines())


# The file


@pytest.mark.parametrize("how", ["deleted", "moved", "replaced", "log deleted"])
def test_a_database_that_is_taken_away_acknowledges_nothing(serve, tmp_path, free_port, how):
  server = serve(FAIRDRAW_METRICS_PORT=free_port)
  assert server.draw("ints", {"clientSeed": "x"}).status == 200
  away = tmp_path / "away.db"
  if how == "deleted":
    os.link(server.database, away)
    server.database.unlink()
  elif how == "log deleted":
    (server.data / "fairdraw.db-wal").unlink()
  else:
    shutil.copy2(server.database, tmp_path / "copy.db")
    server.database.rename(away)
    if how == "replaced":
      shutil.copy2(tmp_path / "copy.db", server.database)
  answer = server.draw("ints", {"clientSeed": "x"})
  assert (answer.status, answer.code) == (503, "storage_failed"), answer
  assert "retry" not in answer.error
  wait_until(lambda: server.get("/api/health").json()["status"] == "degraded", "the server says so without being asked to draw")
  assert server.get("/api/health").status == 503
  wait_until(lambda: any("deleted, moved or replaced" in line["message"] for line in server.log_lines()), "the log says so")
  assert metric(server, "fairdraw_store_failing", free_port) == 1
  assert metric(server, "fairdraw_store_failed_probes_total", free_port) >= 1
  if how == "moved":
    away.rename(server.database)
    wait_until(lambda: server.get("/api/health").status == 200, "the server is well when the file is back")
    assert server.draw("ints", {"clientSeed": "x"}).status == 200


def test_a_missing_database_beside_its_log_or_key_is_not_begun_anew(serve):
  server = serve()
  server.draw("ints")
  server.kill()
  assert (server.data / "fairdraw.db-wal").exists()
  kept = server.data.parent / "kept.db"
  server.database.rename(kept)
  files = {path.name: path.read_bytes() for path in server.data.iterdir()}
  done = server.cli("serve", "--port", "0")
  assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
  assert "fairdraw.db-wal" in done.stderr and "put the database back" in done.stderr
  done = server.cli("account", "list")
  assert done.returncode == 1 and "put the database back" in done.stderr
  assert {path.name: path.read_bytes() for path in server.data.iterdir()} == files
  (server.data / "fairdraw.db-wal").rename(server.data.parent / "kept.db-wal")
  done = server.cli("serve", "--port", "0")
  assert done.returncode == 1 and "master.key" in done.stderr and "put the database back" in done.stderr
  assert not server.database.exists()
  kept.rename(server.database)
  (server.data.parent / "kept.db-wal").rename(server.data / "fairdraw.db-wal")
  server.start()
  assert server.nonce("test") == 1


def test_a_new_ledger_may_be_begun_with_a_key_that_is_named(serve, tmp_path):
  old = serve("old")
  old.stop()
  key = tmp_path / "new" / "master.key"
  key.parent.mkdir()
  shutil.copy2(old.data / "master.key", key)
  assert cli("account", "list", data=key.parent).returncode == 1
  assert serve("new", FAIRDRAW_MASTER_KEY_FILE=key).draw("ints").status == 200


@pytest.mark.parametrize("mark", [0, 0x12345678])
def test_another_programs_database_is_left_alone(tmp_path, mark):
  (tmp_path / "data").mkdir()
  file = tmp_path / "data" / "fairdraw.db"
  with closing(sqlite3.connect(file)) as connection, connection:
    connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.execute(f"PRAGMA application_id = {mark}")
  content = file.read_bytes()
  shutil.copy2(file, tmp_path / "before.db")
  key = tmp_path / "key"
  key.write_text("0" * 64)
  done = cli("account", "list", data=tmp_path / "data", env={"FAIRDRAW_MASTER_KEY_FILE": key})
  assert done.returncode == 1 and "another program's" in done.stderr and len(done.stderr.splitlines()) == 1
  assert file.read_bytes() == content
  assert [path.name for path in file.parent.iterdir()] == ["fairdraw.db"]


def test_the_log_shrinks_after_a_long_reader(serve):
  server = serve()
  key = server.key()
  log = server.data / "fairdraw.db-wal"
  items = [unique("item") + "x" * 1900 for _ in range(900)]
  with closing(sqlite3.connect(server.database, isolation_level=None)) as reader:
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM outcomes").fetchall()
    draws = 0
    while log.stat().st_size < 100 << 20:
      assert server.post("/api/shuffle", {"items": items}, key=key).status == 200
      draws += 1
      assert draws < 200
  # The next checkpoint, and the first write after it.
  wait_until(lambda: server.draw("ints").status == 200 and log.stat().st_size <= 64 << 20, "the log has shrunk")


# Starting


def test_servers_that_start_first_at_once_on_one_folder_both_come_up(serve, tmp_path):
  for round in range(6):
    servers = [Server(tmp_path / f"fresh-{round}") for _ in range(3)]
    for number, server in enumerate(servers):
      server.log = tmp_path / f"fresh-{round}-{number}.log"
    try:
      together(3, lambda number: servers[number].start())
      nonces = [server.draw("ints", {"clientSeed": "x"}).json()["nonce"] for server in servers]
      assert nonces == [0, 1, 2]
      assert servers[0].sql("SELECT count(*) FROM meta WHERE name = 'master-key'") == [(1,)]
    finally:
      for server in servers:
        server.kill()


def test_a_start_says_what_every_user_of_the_machine_may_read(serve):
  server = serve()
  assert "every user" not in server.settled_log()
  server.stop()
  (server.data / "master.key").chmod(0o644)
  server.data.chmod(0o755)
  server.start()
  warnings = [line["message"] for line in server.log_lines() if line["level"] == "warning"]
  assert any("master key file" in line and "chmod 600" in line for line in warnings)
  assert any("data folder" in line and "chmod 700" in line for line in warnings)


def test_recorded_time_ahead_of_the_clock_is_said(serve, free_port):
  server = serve(FAIRDRAW_METRICS_PORT=free_port)
  server.draw("ints")
  tamper(server, "UPDATE outcomes SET created = created + 3600000")
  assert server.draw("ints", {"clientSeed": "other"}).status == 200
  wait_until(lambda: any("ahead of this machine's clock" in line["message"] for line in server.log_lines()), "the log says so")
  assert 3000 < metric(server, "fairdraw_ledger_time_ahead_seconds", free_port) <= 3600


