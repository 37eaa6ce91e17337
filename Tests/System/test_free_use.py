"""Nobody fills the server up for free: bounds by size, on what costs no quota, and on callers without a key."""

import itertools
import json
import socket
import struct
import time

import pytest

from harness import DRAWS, cli, together, wait_until
from test_damage import metric
from test_stream import Stream
from wire import Wire

LISTS = 64 * 1024
SLOT = 16 * 1024


# Items without a key


def items_of(size):
  """A list whose JSON takes so many bytes."""
  return ["x" * (size - 4)]


def refused_for_size(response):
  assert response.status == 413, response
  assert response.code == "items_too_large" and "items" in response.error and str(LISTS) in response.error
  return True


@pytest.mark.parametrize("endpoint", ["shuffle", "pick"])
def test_items_without_a_key_have_a_bound(server, live_key, test_key, client_seed, endpoint):
  ask = lambda size, key=None: server.draw(endpoint, {"clientSeed": client_seed, "items": items_of(size)}, "POST", key=key)
  assert ask(LISTS).status == 200
  assert refused_for_size(ask(LISTS + 1))
  assert ask(LISTS + 1, live_key).status == 200 and ask(LISTS + 1, test_key).status == 200
  assert server.nonce(client_seed) == 1


def test_weights_count_with_the_items(server, client_seed):
  items, weights = ["x" * 60] * 1000, ["1.0000000"] * 1000
  ask = lambda **more: server.draw("pick", {"clientSeed": client_seed, "items": items, **more}, "POST")
  assert ask().status == 200
  assert refused_for_size(ask(weights=weights))


def test_white_space_counts_as_it_came(server, unchanged):
  body = b'{"items": [1,' + b" " * LISTS + b"2]}"
  assert refused_for_size(server.post("/api/shuffle", body))


def test_an_entry_of_a_batch_fails_alone(server, live_key, client_seed):
  draws = [{"endpoint": "shuffle", "params": {"clientSeed": client_seed, "items": items_of(size)}} for size in (LISTS, LISTS + 1, LISTS)]
  results = server.post("/api/batch", {"draws": draws}).json()["results"]
  assert [result["ok"] for result in results] == [True, False, True]
  own = server.post("/api/shuffle", draws[1]["params"])
  assert refused_for_size(own) and results[1]["error"] == own.error
  assert all(result["ok"] for result in server.post("/api/batch", {"draws": draws}, key=live_key).json()["results"])


# Slots by size


def spend(server, wanted=1, **rest):
  """How many small requests still pass, up to `wanted` and one."""
  passed = 0
  while passed <= wanted and server.draw("ints", **rest).status == 200:
    passed += 1
  return passed


def padded(size):
  body = json.dumps({"_": "x" * (size - 9)}).encode()
  assert len(body) == size
  return body


@pytest.mark.parametrize("size, slots", [(9, 1), (SLOT, 1), (SLOT + 1, 2), (3 * SLOT, 3), (3 * SLOT + 1, 4)])
@pytest.mark.parametrize("how", ["announced", "chunked"])
def test_a_request_takes_a_slot_for_each_started_16_kib(serve, size, slots, how):
  """Five a minute: none comes back within a test."""
  server = serve(FAIRDRAW_RATE_LIMIT_PER_MINUTE=5)
  body = padded(size)
  if how == "announced":
    response = server.post("/api/floats", body)
  else:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[i:i + 8192] for i in range(0, size, 8192)))
    response = server.raw(
      b"POST /api/floats HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n", "POST")
  assert response.status == 200, response
  assert spend(server, 5 - slots) == 5 - slots


def test_a_query_counts_too(serve):
  server = serve(FAIRDRAW_RATE_LIMIT_PER_MINUTE=5)
  assert server.get("/api/floats", {"_": "x" * SLOT}).status == 200
  assert server.get("/api/listOutcomes", {"_": "x" * SLOT}).status == 200
  assert spend(server, 1) == 1


def test_a_test_key_is_counted_and_a_live_key_is_not(serve):
  server = serve(FAIRDRAW_RATE_LIMIT_PER_MINUTE=5)
  account = server.account()
  live, test = server.key(account), server.key(account, "test")
  for _ in range(3):
    assert server.post("/api/floats", padded(4 * SLOT), key=live).status == 200
  assert server.post("/api/floats", padded(4 * SLOT), key=test).status == 200
  assert spend(server, 1, key=test) == 1


def test_more_than_a_minutes_worth_is_possible_and_takes_longer_to_pay_back(serve):
  server = serve(FAIRDRAW_RATE_LIMIT_PER_MINUTE=5)
  assert server.post("/api/floats", padded(8 * SLOT)).status == 200
  response = server.draw("ints")
  assert response.status == 429 and response.code == "rate_limited"
  assert 36 <= response.json()["retryAfter"] <= 48  # four slots of twelve seconds each, less what has passed


def test_a_batch_and_what_is_refused_take_slots_by_size(serve):
  server = serve(FAIRDRAW_RATE_LIMIT_PER_MINUTE=5)
  draws = [{"endpoint": "shuffle", "params": {"items": items_of(SLOT)}}] * 2
  assert server.post("/api/batch", {"draws": draws}).status == 200
  assert server.post("/api/floats", b"{" + b" " * SLOT).status == 400
  assert spend(server, 0) == 0


UNKNOWN = "x-api-key: pk_live_" + "a" * 32
CHUNK = b"10000\r\n" + b"x" * (2 * SLOT)  # the first half of one


@pytest.mark.parametrize("path, headers, body, slots", [
  ("/api/ints", [UNKNOWN, "Content-Length: 9"], b"{", 1),
  ("/api/ints", [UNKNOWN, f"Content-Length: {2 * SLOT + 1}"], b"{", 3),
  ("/api/ints", [UNKNOWN, "Transfer-Encoding: chunked"], CHUNK, 2),
  ("/api/ints", ["Content-Length: 9"], b"{", 1),
  ("/api/ints", [f"Content-Length: {2 * SLOT + 1}"], b"{", 3),
  ("/api/ints", ["Transfer-Encoding: chunked"], CHUNK, 2),
  ("/api/ints?_=" + "x" * SLOT, [UNKNOWN, "Content-Length: 9"], b"{", 2),
  ("/api/nowhere", ["Content-Length: 9"], b"{", 1),
  ("/api/verifyShortId", ["Content-Length: 9"], b"{", 1),
  ("/api/ints", [f"Content-Length: {1 << 30}"], b"{", 1),
  ("/api/ints", ["Content-Length: nine"], b"{", 1),
])
def test_a_request_that_does_not_come_whole_costs_as_much(serve, path, headers, body, slots):
  """Five a minute: none comes back within a test."""
  server = serve(FAIRDRAW_RATE_LIMIT_PER_MINUTE=5)
  with Wire(server) as wire:
    wire.send("\r\n".join([f"POST {path} HTTP/1.1", "Host: a", *headers]).encode() + b"\r\n\r\n" + body)
    wire.socket.shutdown(socket.SHUT_WR)
    assert wire.head()[0] in (400, 413)
    assert spend(server, 5 - slots) == 5 - slots


@pytest.mark.parametrize("header", [UNKNOWN, "X-Nothing: 1"])
def test_a_request_whose_client_goes_away_costs_as_much(serve, free_port, header):
  server = serve(FAIRDRAW_RATE_LIMIT_PER_MINUTE=5, FAIRDRAW_METRICS_PORT=free_port)
  with Wire(server) as wire:
    wire.send(f"POST /api/ints HTTP/1.1\r\nHost: a\r\n{header}\r\nExpect: 100-continue\r\nContent-Length: {2 * SLOT}\r\n\r\n".encode())
    assert wire.head()[0] == 100
    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing resets
  wait_until(lambda: metric(server, "fairdraw_connections_open", free_port) == 0, "the server has noticed")
  assert spend(server, 3) == 3


# What costs no quota

FREE = 600  # a minute, for each account
CALLERS = 16  # at once: so the limit is reached also where a single caller would be slower than it is refilled


def until_refused(server, ask):
  """Asks, over several connections at once, until the limit is reached: how often it was granted, and the number of the
  request that was refused."""
  numbers = itertools.count()
  began = time.monotonic()
  granted, refused = [], []

  def run(_):
    with server.connect() as connection:
      while not refused:
        number = next(numbers)
        response = ask(connection, number)
        if response.status != 429:
          granted.append(number)
          assert len(granted) <= most_granted(began), "there is no limit"
          continue
        assert response.code == "rate_limited" and "account" in response.error
        assert int(response.header("Retry-After")) == response.json()["retryAfter"] >= 1
        refused.append(number)

  together(CALLERS, run)
  return len(granted), refused[0]


def most_granted(began):
  """A minute's worth, what came back since `began`, and what was under way when the last of it was taken."""
  return FREE + FREE / 60 * (time.monotonic() - began) + CALLERS


def free_writes(key, seed):
  """What an account can have stored without a unit of its quota. The chain of `seed` has an outcome."""
  kept = lambda what, n: {"key": key, "idempotency": f"{what}-{seed}-{n}"}
  reveal = {"commitId": "3f2b8c1e-6a0d-4e7b-9c55-0d1f6a2e8b47", "endpoint": "ints"}
  return {
    "new chains": lambda connection, n: connection.get("/api/seed", {"clientSeed": f"{seed}-{n}"}, key=key),
    "commitments": lambda connection, n: connection.post("/api/commit", key=key),
    "cursors": lambda connection, n: connection.get("/api/incrementCursor", {"clientSeed": seed}, key=key),
    "rotations": lambda connection, n: connection.post("/api/rotate", {"clientSeed": seed}, key=key),
    "refused draws": lambda connection, n: connection.get("/api/ints", {"count": 0}, **kept("draw", n)),
    "refused batches": lambda connection, n: connection.post("/api/batch", {"draws": [{"endpoint": "pick"}]}, **kept("batch", n)),
    "refused reveals": lambda connection, n: connection.post("/api/reveal", reveal, **kept("reveal", n)),
  }


@pytest.mark.parametrize("what", [
  "new chains", "commitments", "cursors", "rotations", "refused draws", "refused batches", "refused reveals"])
def test_what_costs_no_quota_has_a_limit_for_each_account(server, client_seed, what):
  account = server.account()
  key, other, stranger = server.key(account), server.key(account), server.key()
  for drawing, seed in [(key, client_seed), (other, client_seed + "-other"), (stranger, client_seed)]:
    assert server.draw("ints", {"clientSeed": seed}, key=drawing).status == 200
  began = time.monotonic()
  granted, _ = until_refused(server, free_writes(key, client_seed)[what])
  assert granted >= FREE
  # All of it counts together, over all keys of the account.
  for ask in free_writes(other, client_seed + "-other").values():
    granted += until_refused(server, ask)[0]
    assert granted <= most_granted(began)
  # What costs quota goes on, a replay is a replay, and nobody else is affected.
  with server.connect() as connection:
    for number in range(20):
      assert connection.get("/api/ints", {"clientSeed": client_seed}, key=key, idempotency=f"paid-{client_seed}").status == 200
      assert connection.get("/api/floats", {"clientSeed": client_seed}, key=other).status == 200
    for name, ask in free_writes(stranger, client_seed).items():
      assert ask(connection, 0).status == (404 if name == "refused reveals" else 400 if name == "refused draws" else 200), name


def test_seeds_of_chains_that_exist_are_free_of_it(server, live_key, client_seed):
  with server.connect() as connection:
    for _ in range(FREE + 200):
      assert connection.get("/api/seed", {"clientSeed": client_seed}, key=live_key).status == 200


def test_a_refusal_by_this_limit_is_not_kept(server, live_key, client_seed):
  batch = free_writes(live_key, client_seed)["refused batches"]
  _, refused = until_refused(server, batch)
  with server.connect() as connection:
    answer = wait_until(lambda: (it := batch(connection, refused)).status == 200 and it, "there is a slot again")
    assert not answer.replayed and batch(connection, refused).replayed


# Without a key


def writes(server, seed, key=None):
  """Every way to change something."""
  return {
    **{endpoint: server.draw(endpoint, {"clientSeed": seed}, key=key) for endpoint in DRAWS},
    "batch": server.post("/api/batch", {"draws": [{"endpoint": "ints", "params": {"clientSeed": seed}}]}, key=key),
    "stream": server.get("/api/stream", {"endpoint": "ints", "clientSeed": seed}, key=key),
    "seed": server.get("/api/seed", {"clientSeed": seed}, key=key),
    "incrementCursor": server.get("/api/incrementCursor", {"clientSeed": seed}, key=key),
    "rotate": server.post("/api/rotate", {"clientSeed": seed}, key=key),
    "commit": server.post("/api/commit", key=key),
    "reveal": server.post(
      "/api/reveal", {"commitId": "3f2b8c1e-6a0d-4e7b-9c55-0d1f6a2e8b47", "clientSeed": seed, "endpoint": "ints"}, key=key),
  }


def test_anonymous_off(serve):
  server = serve(FAIRDRAW_ANONYMOUS="off")
  before = server.footprint()
  for name, response in writes(server, "test").items():
    assert (response.status, response.code) == (403, "api_key_required"), (name, response)
  assert server.footprint() == before
  key = server.key()
  answers = writes(server, "test", key)
  assert all(response.status == 200 for name, response in answers.items() if name != "reveal"), answers
  # Reading needs no key: players check what they were dealt.
  short_id = answers["ints"].json()["shortId"]
  assert server.get("/api/verifyShortId", {"shortId": short_id}).status == 200
  assert server.get(f"/o/{short_id}").status == server.get("/api/listOutcomes").status == server.get("/api/merkle").status == 200
  assert "x-api-key" in "\n".join(server.banner)


def exhausted(response):
  assert response.status == 429 and response.code == "quota_exceeded" and "API key" in response.error, response
  assert 1 <= response.json()["retryAfter"] <= 86400
  return True


def test_anonymous_draws_per_day(serve):
  server = serve(FAIRDRAW_ANONYMOUS=5)
  key = server.key()
  assert server.draw("ints").status == server.draw("dice", {"clientSeed": "other"}).status == 200
  results = server.post("/api/batch", {"draws": [{"endpoint": "ints"}, {"endpoint": "pick"}, {"endpoint": "ints"}]}).json()["results"]
  assert [result["ok"] for result in results] == [True, False, True]
  commitment = server.post("/api/commit").json()["commitId"]
  reveal = lambda: server.post("/api/reveal", {"commitId": commitment, "endpoint": "ints"})
  assert reveal().status == 200
  assert exhausted(server.draw("ints")) and exhausted(server.draw("floats", {"clientSeed": "third"}, "POST"))
  results = server.post("/api/batch", {"draws": [{"endpoint": "ints"}, {"endpoint": "pick"}]}).json()["results"]
  assert [result["code"] for result in results] == ["quota_exceeded"] * 2
  assert server.draw("ints", key=key).status == 200
  with Stream(server) as stream:
    assert stream.next()["data"]["reason"] == "quota_exceeded"
  server.restart()
  assert exhausted(server.draw("ints"))
  assert server.sql("SELECT sum(count) FROM usage WHERE account_id = 0") == [(5,)]


def test_anonymous_draws_are_counted_exactly(serve):
  server = serve(FAIRDRAW_ANONYMOUS=37)

  def draws(index):
    with server.connect() as connection:
      return [connection.get("/api/ints", {"clientSeed": f"{index % 3}"}).status for _ in range(10)]

  statuses = [status for some in together(8, draws) for status in some]
  assert statuses.count(200) == 37 and statuses.count(429) == 43


def test_without_a_limit_anonymous_draws_are_as_ever(server):
  assert server.draw("ints").status == 200


@pytest.mark.parametrize("value", ["0", "-1", "on", "OFF", "1.5", "99999999999"])
def test_bad_values_of_the_option(tmp_path, value):
  for arguments, env in ((["--anonymous", value], {}), ([], {"FAIRDRAW_ANONYMOUS": value})):
    done = cli("serve", *arguments, data=tmp_path / "data", env={"FAIRDRAW_PORT": 0, **env})
    assert done.returncode == 64, done
    assert "anonymous" in done.stderr.lower()
