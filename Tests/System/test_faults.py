"""Faults: the server is killed, its disk fills up, its clients vanish. No outcome is lost, doubled or skipped.

FAIRDRAW_TEST_KILLS sets how often the server is killed (20), FAIRDRAW_TEST_SEED repeats a run's random choices.
"""

import http.client
import os
import random
import signal
import socket
import struct
import subprocess
import threading
from collections import Counter
from contextlib import contextmanager

import pytest

import preload
from harness import Connection, Server, cli, same_answer, together, unique, wait_until

KILLS = int(os.environ.get("FAIRDRAW_TEST_KILLS", 20))
CLIENTS = 32


class Client:
  """Sends one request over and over until it is answered, to whichever port the server has by then."""

  def __init__(self, server):
    self.server = server
    self.connection = None
    self.port = None

  def until_answered(self, method, path, query=None, give_up=lambda: False, **rest):
    attempts = 0
    while not give_up():
      attempts += 1
      try:
        if self.connection is None or self.port != self.server.port:
          self.close()
          self.port = self.server.port
          self.connection = Connection(self.server)
          self.connection.http.timeout = 10
        response = self.connection.request(method, path, query, **rest)
      except (OSError, http.client.HTTPException):
        self.close()
        continue
      if response.status < 500:
        return response, attempts
    return None, attempts

  def close(self):
    if self.connection:
      self.connection.http.close()
    self.connection = None


# What the database file must look like


def check_chains(server):
  """Every chain's nonces run from 0 to n − 1, and the chain itself says n."""
  chains = server.sql("SELECT id, nonce FROM chains")
  nonces = {}
  for chain, nonce in server.sql("SELECT chain_id, nonce FROM outcomes"):
    nonces.setdefault(chain, []).append(nonce)
  assert set(nonces) <= {chain for chain, _ in chains}, "outcomes of no chain"
  for chain, nonce in chains:
    assert sorted(nonces.get(chain, [])) == list(range(nonce)), f"chain {chain} stands at {nonce}"


def check_file(server):
  assert server.sql("PRAGMA integrity_check") == [("ok",)]


def outcomes_of(response):
  """The outcomes an answer carries: one, or those of a batch that succeeded."""
  body = response.json()
  if "results" in body:
    return [result["outcome"] for result in body["results"] if result["ok"]]
  return [body] if response.status == 200 else []


def stored_outcomes(server):
  """(owner, clientSeed, cursor, nonce) → created, of everything recorded."""
  rows = server.sql(
    "SELECT owner_id, client_seed, outcomes.cursor, outcomes.nonce, outcomes.created FROM outcomes JOIN chains ON chains.id = chain_id")
  return {(owner, bytes(seed).decode(), cursor, nonce): created for owner, seed, cursor, nonce, created in rows}


def account_id(server, key):
  return server.sql("SELECT account_id FROM api_keys WHERE prefix = ?", key[:16])[0][0]


# Kill


def random_request(rng, seeds):
  """(method, path, query, body): single draws both ways, batches of 1 to 10 with a bad draw in some, a few bad requests."""
  def draw():
    endpoint = rng.choice(["ints", "floats", "dice", "pick", "shuffle"])
    own = {
      "ints": {"count": rng.randint(1, 10), "max": 10**6}, "floats": {"count": rng.randint(1, 100)}, "dice": {"notation": "4d20+2"},
      "pick": {"items": ["a", "b", "c"], "weights": [1, 2, 3]}, "shuffle": {"items": list(range(rng.randint(1, 50)))}}[endpoint]
    return endpoint, {"clientSeed": rng.choice(seeds), **own}
  kind = rng.random()
  if kind < 0.30:
    draws = [dict(zip(("endpoint", "params"), draw())) for _ in range(rng.randint(1, 10))]
    if rng.random() < 0.3:
      draws[rng.randrange(len(draws))] = {"endpoint": "pick", "params": {}}
    return "POST", "/api/batch", None, {"draws": draws}
  if kind < 0.35:
    return "GET", "/api/ints", {"count": 0}, None
  endpoint, params = draw()
  if kind < 0.70 and "items" not in params:
    return "GET", f"/api/{endpoint}", params, None
  return "POST", f"/api/{endpoint}", None, params


def test_kill_9_at_random_moments(serve, rng):
  server = serve()
  accounts = [server.account("--daily-quota", 10**9) for _ in range(2)]
  keys = {server.key(account): account for account in (accounts[0], accounts[0], accounts[1])}
  seeds = [f"chain-{number}" for number in range(5)]

  done = threading.Event()
  progress = threading.Condition()
  acknowledged = []  # (key, idempotency, request, response), in order of arrival
  retried = Counter()
  failures = []

  def client(number, rng):
    connection = Client(server)
    anonymous = number % 8 == 7  # without a key a retry is another draw; what is acknowledged must still be there
    try:
      while not done.is_set():
        key = None if anonymous else rng.choice(list(keys))
        idempotency = None if anonymous else unique("op")
        request = random_request(rng, seeds)
        method, path, query, body = request
        # A keyed request is pursued to its end even after the last kill, so that none is left unaccounted for.
        response, attempts = connection.until_answered(
          method, path, query, body=body, key=key, idempotency=idempotency, give_up=done.is_set if anonymous else lambda: False)
        if response is None:
          break
        with progress:
          acknowledged.append((key, idempotency, request, response))
          retried[min(attempts, 2), response.replayed] += 1
          progress.notify_all()
    except BaseException as failure:
      failures.append(failure)
      with progress:
        progress.notify_all()
    finally:
      connection.close()

  threads = [threading.Thread(target=client, args=(number, random.Random(rng.random()))) for number in range(CLIENTS)]
  for thread in threads:
    thread.start()
  try:
    for _ in range(KILLS):
      # A random number of answers later is a random moment: sometimes at once, with every client's request in the air.
      with progress:
        wanted = len(acknowledged) + rng.choice([0, 1, rng.randint(2, 20), rng.randint(20, 300)])
        assert progress.wait_for(lambda: failures or len(acknowledged) >= wanted, timeout=120), "no progress"
        assert not failures, failures
      server.kill()
      server.start()
  finally:
    done.set()
    for thread in threads:
      thread.join(120)
  assert not failures, failures
  assert not any(thread.is_alive() for thread in threads)

  print(f"{KILLS} kills, {len(acknowledged)} answers; (attempts, replayed): {dict(retried)}")
  keyed = [entry for entry in acknowledged if entry[0]]
  assert {response.status for *_, response in acknowledged} <= {200, 400}

  # Asked again, every one gets the answer it got.
  def ask_again(index):
    connection = Client(server)
    for key, idempotency, (method, path, query, body), response in keyed[index::CLIENTS]:
      again, _ = connection.until_answered(method, path, query, body=body, key=key, idempotency=idempotency)
      assert again.replayed and same_answer(response, again), (str(response), str(again))
    connection.close()

  together(CLIENTS, ask_again)
  assert server.stop() == 0

  check_file(server)
  check_chains(server)
  stored = stored_outcomes(server)
  owners = {None: 0, **{key: account_id(server, key) for key in keys}}

  # What was acknowledged is there.
  owed = Counter()
  for key, _, _, response in acknowledged:
    for outcome in outcomes_of(response):
      coordinates = (owners[key], outcome["clientSeed"], outcome["cursor"], outcome["nonce"])
      assert stored.get(coordinates) == outcome["created"], f"an acknowledged outcome is lost: {outcome}"
      owed[coordinates] += 1
  assert set(owed.values()) == {1}, "an outcome was answered to two requests"

  # And nothing else is, of any key: each idempotency key has exactly one outcome set.
  assert {c for c in stored if c[0]} == {c for c in owed if c[0]}
  assert server.sql("SELECT count(*) FROM idempotency") == [(len(keyed),)]
  assert server.sql("SELECT count(*) FROM (SELECT DISTINCT digest FROM idempotency)") == [(len(keyed),)]

  # The quota used is the number of keyed outcomes.
  for account in accounts:
    mine = {owners[key] for key in keys if keys[key] == account}
    assert server.used(account) == sum(1 for coordinates in stored if coordinates[0] in mine)


def test_a_kill_leaves_the_quota_exact(serve, rng):
  """The account's last units are fought over while the server dies: none is sold twice."""
  server = serve()
  account = server.account("--daily-quota", 200)
  key = server.key(account)
  answers, lock = [], threading.Lock()

  def client(number):
    connection = Client(server)
    for _ in range(10):
      response, _ = connection.until_answered("GET", "/api/ints", {"clientSeed": "edge"}, key=key, idempotency=unique("op"))
      with lock:
        answers.append(response)
    connection.close()

  threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
  for thread in threads:
    thread.start()
  for _ in range(3):
    wanted = len(answers) + rng.randint(0, 60)
    wait_until(lambda: len(answers) >= min(wanted, 10 * CLIENTS), "some are answered", timeout=120, pause=0.001)
    server.kill()
    server.start()
  for thread in threads:
    thread.join(120)
  assert Counter(response.status for response in answers) == {200: 200, 429: 10 * CLIENTS - 200}
  assert sorted(response.json()["nonce"] for response in answers if response.status == 200) == list(range(200))
  assert server.used(account) == 200


# A client that vanishes


def raw_draw(key, idempotency, client_seed):
  return (
    f"GET /api/ints?clientSeed={client_seed} HTTP/1.1\r\nHost: localhost\r\nx-api-key: {key}\r\nIdempotency-Key: {idempotency}\r\n\r\n").encode()


def vanish(sock, abruptly):
  if abruptly:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # RST, not FIN
  sock.close()


@pytest.mark.parametrize("abruptly", [False, True])
def test_a_client_that_leaves_after_the_draw_gets_it_when_it_comes_back(server, account, live_key, client_seed, abruptly):
  sock = server.open_socket()
  sock.sendall(raw_draw(live_key, "once", client_seed))
  wait_until(lambda: server.nonce(client_seed, live_key) == 1, "the draw is made")
  vanish(sock, abruptly)
  again = server.get("/api/ints", {"clientSeed": client_seed}, key=live_key, idempotency="once")
  assert again.status == 200 and again.replayed
  assert again.json()["nonce"] == 0
  assert server.nonce(client_seed, live_key) == 1
  assert server.used(account) == 1


@pytest.mark.parametrize("abruptly", [False, True])
def test_a_client_that_leaves_at_any_moment_has_one_draw(server, account, live_key, client_seed, abruptly):
  def leave_and_return(number):
    for round in range(20):
      name = f"{number}-{round}"
      sock = server.open_socket()
      sock.sendall(raw_draw(live_key, name, client_seed))
      vanish(sock, abruptly)
      again = server.get("/api/ints", {"clientSeed": client_seed}, key=live_key, idempotency=name)
      assert again.status == 200
      yield again

  answers = [answer for some in together(16, lambda number: list(leave_and_return(number))) for answer in some]
  # The first request of a pair may still be on its way when the second is answered; then it gets a replay that nobody reads.
  assert sorted(answer.json()["nonce"] for answer in answers) == list(range(320))
  assert server.nonce(client_seed, live_key) == 320
  assert server.used(account) == 320
  for number in range(16):
    for round in range(20):
      again = server.get("/api/ints", {"clientSeed": client_seed}, key=live_key, idempotency=f"{number}-{round}")
      assert again.replayed and any(same_answer(again, answer) for answer in answers)


def test_a_client_that_leaves_in_the_middle_of_its_request_has_no_draw(server, live_key, client_seed, unchanged):
  whole = raw_draw(live_key, "never", client_seed)
  body = b'{"clientSeed": "%s"}' % client_seed.encode()
  posted = b"POST /api/ints HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body
  for request in (whole, posted):
    for cut in (1, len(request) // 2, len(request) - 1):
      sock = server.open_socket()
      sock.sendall(request[:cut])
      vanish(sock, abruptly=False)
  assert server.get("/api/health").status == 200


def test_slow_clients_do_not_hold_up_the_others(server, client_seed):
  slow = [server.open_socket() for _ in range(100)]
  for sock in slow:
    sock.sendall(b"GET /api/ints HTTP/1.1\r\nHost: loc")
  assert server.draw("ints", {"clientSeed": client_seed}).status == 200
  for sock in slow:
    sock.close()


# SIGTERM


def test_sigterm_under_load_answers_what_it_accepted(serve, rng):
  server = serve()
  account = server.account("--daily-quota", 10**9)
  key = server.key(account)
  acknowledged, refused, lock = [], Counter(), threading.Condition()

  def client(number):
    connection = Connection(server)
    while True:
      try:
        if number % 4 == 0:
          response = connection.post("/api/batch", {"draws": [{"endpoint": "ints", "params": {"clientSeed": "last"}}] * 5}, key=key)
        else:
          response = connection.get("/api/ints", {"clientSeed": "last"}, key=key)
      except (OSError, http.client.HTTPException):
        return  # the connection was closed between two requests
      with lock:
        if response.status == 200:
          acknowledged.extend(outcomes_of(response))
          lock.notify_all()
        else:
          refused[response.status] += 1

  threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
  for thread in threads:
    thread.start()
  wanted = rng.randint(100, 1000)
  with lock:
    assert lock.wait_for(lambda: len(acknowledged) >= wanted, timeout=60)
  server.signal(signal.SIGTERM)
  assert server.wait() == 0
  for thread in threads:
    thread.join(60)
  assert set(refused) <= {503}
  # Every outcome that was recorded reached its client: nothing was accepted and left unanswered.
  assert sorted(outcome["nonce"] for outcome in acknowledged) == list(range(len(acknowledged)))
  assert server.sql("SELECT count(*) FROM outcomes") == [(len(acknowledged),)]
  check_chains(server)


def test_sigterm_with_idle_connections_does_not_wait_for_them(serve):
  server = serve()
  idle = [server.connect() for _ in range(10)]
  for connection in idle:
    assert connection.get("/api/health").status == 200
  silent = [server.open_socket() for _ in range(10)]
  assert server.stop() == 0
  for sock in silent:
    sock.close()


# A disk that fails


def test_a_disk_that_refuses_a_sync_ends_the_server_and_no_response_is_lost(tmp_path):
  """What the disk holds after a failed sync is not known: nobody is told of it, and whoever starts next finds out."""
  refuses = tmp_path / "refuses"
  with Server(tmp_path / "data", LD_PRELOAD=preload.library("sync", tmp_path), TEST_REFUSES=refuses) as server:
    key = server.key()
    first = server.draw("ints", key=key, idempotency="first")
    assert first.status == 200
    refuses.touch()
    with pytest.raises((OSError, http.client.HTTPException)):
      server.draw("ints", key=key, idempotency="second")
    assert server.wait() == 74
    assert "the server stops: the disk did not take what was written" in server.log.read_text()
    refuses.unlink()
    server.start()
    assert same_answer(server.draw("ints", key=key, idempotency="first"), first)
    second = server.draw("ints", key=key, idempotency="second")
    assert second.status == 200 and second.json()["nonce"] == first.json()["nonce"] + 1


# A full disk


@contextmanager
def small_disk(path, megabytes):
  """A file system of a few megabytes; needs the right to mount one."""
  path.mkdir()
  mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "fairdraw-test", str(path)], capture_output=True, text=True)
  if mounted.returncode != 0:
    reason = f"cannot mount a small tmpfs here: {mounted.stderr.strip()}"
    print(reason)
    pytest.skip(reason)
  try:
    yield path
  finally:
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def fill(path):
  """Takes the last byte of the file system that holds `path`."""
  with open(path, "ab", buffering=0) as ballast:
    for size in (1 << 16, 1 << 12, 1):
      try:
        while True:
          ballast.write(b"\0" * size)
      except OSError:
        pass


def test_a_full_disk(tmp_path, rng):
  with small_disk(tmp_path / "disk", 12) as disk:
    server = Server(disk / "data")
    server.log = tmp_path / "server.log"  # the operator's log is not on the disk that fills up
    with server:
      account = server.account("--daily-quota", 10**9)
      key = server.key(account)
      acknowledged, pending = {}, {}

      def ask(name):
        draws = [{"endpoint": "bytes", "params": {"clientSeed": "disk", "count": 1024}}] * 20
        return server.post("/api/batch", {"draws": draws}, key=key, idempotency=name)

      def send(name):
        response = ask(name)
        if response.status == 200:
          acknowledged[name] = response
          pending.pop(name, None)
        else:
          body = response.json()
          assert response.status == 503, response
          assert set(body) <= {"error", "code", "requestId", "retryAfter"} and body["requestId"] == response.header("X-Request-Id")
          assert "sqlite" not in body["error"].lower() and str(disk) not in body["error"]
          pending[name] = response
        return response.status

      assert send("before") == 200
      fill(disk / "ballast")
      # The write-ahead log may have room left in the file it has, so the disk is full some draws later.
      for number in range(2000):
        if send(f"full-{number}") == 503:
          break
      assert pending, "the disk never was full"
      for number in range(20):
        send(f"still-full-{number}")
      assert together(16, lambda number: ask(f"together-{number}").status).count(503) > 0
      assert server.get("/api/health").status in (200, 503)
      # What was drawn before can be looked up, and asked for again, without a byte of room.
      replay = ask("before")
      assert replay.replayed and same_answer(replay, acknowledged["before"])

      (disk / "ballast").unlink()
      wait_until(lambda: server.draw("ints", {"clientSeed": "probe"}).status == 200, "draws work again")
      for name in [*pending]:
        assert send(name) == 200, "a retry after the disk has room again"
        assert not acknowledged[name].replayed, "what was refused had left something behind"
      for number in range(16):
        acknowledged[f"together-{number}"] = ask(f"together-{number}")
      wait_until(lambda: server.get("/api/health").status == 200, "the server is well again")
      for name, response in acknowledged.items():
        again = ask(name)
        assert again.replayed and same_answer(again, response)
      nonces = [outcome["nonce"] for response in acknowledged.values() for outcome in outcomes_of(response)]
      assert sorted(nonces) == list(range(20 * len(acknowledged)))
      assert server.used(account) == len(nonces)
      assert server.stop() == 0
      check_file(server)
      check_chains(server)
      assert server.sql("SELECT count(*) FROM idempotency") == [(len(acknowledged),)]


def test_a_start_on_a_full_disk_fails_with_a_sentence_and_succeeds_later(tmp_path):
  with small_disk(tmp_path / "disk", 4) as disk:
    fill(disk / "ballast")
    done = cli("serve", "--port", 0, data=disk / "data")
    assert done.returncode == 1 and done.stderr.strip()
    (disk / "ballast").unlink()
    server = Server(disk / "data")
    server.log = tmp_path / "server.log"
    with server:
      assert server.draw("ints").status == 200
