"""Nobody fills the server up for free: bounds by size, on what costs no quota, and on callers without a key."""

import json

import pytest

from harness import DRAWS, cli, together, wait_until
from test_stream import Stream

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


# What costs no quota

FREE = 600  # a minute, for each account


def until_refused(ask, most=4 * FREE):
  """Asks until the limit is reached; how often it was granted, and the refusal."""
  for granted in range(most):
    response = ask(granted)
    if response.status == 429:
      assert response.code == "rate_limited" and "account" in response.error
      assert int(response.header("Retry-After")) == response.json()["retryAfter"] >= 1
      return granted, response
  raise AssertionError(f"{most} were granted")


def free_writes(connection, key, seed):
  """What an account can have stored without a unit of its quota."""
  send = lambda method, path, **rest: connection.request(method, path, key=key, **rest)
  return {
    "new chains": lambda n: send("GET", "/api/seed", query={"clientSeed": f"{seed}-{n}"}),
    "commitments": lambda n: send("POST", "/api/commit"),
    "cursors": lambda n: send("GET", "/api/incrementCursor", query={"clientSeed": seed}),
    "rotations": lambda n: send("POST", "/api/rotate", body={"clientSeed": seed}),
    "refused draws": lambda n: send("GET", "/api/ints", query={"count": 0}, idempotency=f"{seed}-{n}"),
    "refused batches": lambda n: send("POST", "/api/batch", body={"draws": [{"endpoint": "pick"}]}, idempotency=f"{seed}-{n}"),
    "refused reveals": lambda n: send(
      "POST", "/api/reveal", body={"commitId": "3f2b8c1e-6a0d-4e7b-9c55-0d1f6a2e8b47", "endpoint": "ints"}, idempotency=f"{seed}-{n}"),
  }


@pytest.mark.parametrize("what", [
  "new chains", "commitments", "cursors", "rotations", "refused draws", "refused batches", "refused reveals"])
def test_what_costs_no_quota_has_a_limit_for_each_account(server, client_seed, what):
  account = server.account()
  key, other, stranger = server.key(account), server.key(account), server.key()
  with server.connect() as connection:
    assert connection.get("/api/ints", {"clientSeed": client_seed}, key=key).status == 200
    granted, _ = until_refused(free_writes(connection, key, client_seed)[what])
    assert granted >= FREE
    # All of it counts together, over all keys of the account.
    for name, ask in free_writes(connection, other, client_seed + "-other").items():
      assert until_refused(ask)[0] < FREE, name
    # What costs quota goes on, a replay is a replay, and nobody else is affected.
    for number in range(20):
      assert connection.get("/api/ints", {"clientSeed": client_seed}, key=key, idempotency=f"paid-{client_seed}").status == 200
      assert connection.get("/api/floats", {"clientSeed": client_seed}, key=other).status == 200
    assert all(ask(0).status != 429 for ask in free_writes(connection, stranger, client_seed).values())


def test_seeds_of_chains_that_exist_are_free_of_it(server, live_key, client_seed):
  with server.connect() as connection:
    for _ in range(FREE + 200):
      assert connection.get("/api/seed", {"clientSeed": client_seed}, key=live_key).status == 200


def test_a_refusal_by_this_limit_is_not_kept(server, live_key, client_seed):
  with server.connect() as connection:
    commit = lambda n: connection.post("/api/commit", key=live_key, idempotency=f"{client_seed}-{n}")
    granted, _ = until_refused(commit)
    wait_until(lambda: commit(granted).status == 200, "there is a slot again")


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
