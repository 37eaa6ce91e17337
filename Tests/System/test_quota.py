"""The daily quota: one unit for each live keyed outcome, by account, over at midnight UTC."""

import contextlib
import http.client
import json
import re
import time

import pytest

from harness import together, unique
from test_stream import Stream


def to_midnight():
  return 86400 - time.time() % 86400


def refused(response):
  earlier, later = to_midnight(), to_midnight()
  assert response.status == 429, response
  body = response.json()
  assert set(body) == {"error", "code", "retryAfter"}
  assert body["code"] == "quota_exceeded"
  assert response.header("Retry-After") == str(body["retryAfter"])
  # Right to the second, unless midnight passed in between.
  assert 1 <= body["retryAfter"] <= 86400
  assert abs(body["retryAfter"] - later) < 30 or earlier < later
  return True


@pytest.fixture
def five(server):
  return server.account("--daily-quota", 5)


def test_the_quota_ends_exactly_where_it_says(server, five, client_seed):
  key = server.key(five)
  draw = lambda: server.draw("ints", {"clientSeed": client_seed}, key=key)
  assert [draw().status for _ in range(5)] == [200] * 5
  assert refused(draw()) and refused(draw())
  assert server.used(five) == 5
  assert server.nonce(client_seed, key) == 5


def test_all_keys_of_an_account_share_it(server, five):
  first, second = server.key(five), server.key(five)
  assert [server.draw("ints", key=key).status for key in (first, second, first, second, first)] == [200] * 5
  assert refused(server.draw("ints", key=first)) and refused(server.draw("ints", key=second))


def test_accounts_do_not(server, five):
  key, other = server.key(five), server.key(server.account("--daily-quota", 5))
  for _ in range(6):
    server.draw("ints", key=key)
  assert server.draw("ints", key=other).status == 200


def test_what_costs_nothing(server, five, client_seed):
  key, test = server.key(five), server.key(five, "test")
  for _ in range(6):
    assert server.draw("ints", key=test).status == 200
    assert server.draw("ints", {"count": 0}, key=key).status == 400
    server.seed(client_seed, key)
    server.get("/api/incrementCursor", {"clientSeed": client_seed}, key=key)
    server.get("/api/listOutcomes", {"clientSeed": client_seed}, key=key)
    assert server.post("/api/batch", {"draws": []}, key=key).status == 400
    assert server.post("/api/batch", {"draws": [{"endpoint": "pick", "params": {}}]}, key=key).status == 200
  assert server.used(five) == 0
  assert server.draw("ints", key=key).status == 200


def test_a_large_count_is_one_unit(server, five):
  key = server.key(five)
  assert server.draw("ints", {"count": 100}, key=key).status == 200
  assert server.used(five) == 1


def test_anonymous_callers_have_no_quota(serve):
  server = serve(FAIRDRAW_DAILY_QUOTA=2)
  assert [server.draw("ints").status for _ in range(5)] == [200] * 5


def test_the_servers_setting_is_for_accounts_without_their_own(serve):
  server = serve(FAIRDRAW_DAILY_QUOTA=2)
  common, own = server.key(server.account()), server.key(server.account("--daily-quota", 3))
  assert [server.draw("ints", key=common).status for _ in range(3)] == [200, 200, 429]
  assert [server.draw("ints", key=own).status for _ in range(4)] == [200, 200, 200, 429]


def test_the_default_is_ten_thousand(server, account, live_key):
  batch = {"draws": [{"endpoint": "floats", "params": {}}] * 50}
  with server.connect() as connection:
    for _ in range(199):
      assert connection.post("/api/batch", batch, key=live_key).status == 200
    last = connection.post("/api/batch", {"draws": batch["draws"][:49]}, key=live_key)
    assert all(result["ok"] for result in last.json()["results"])
    assert [connection.get("/api/floats", key=live_key).status for _ in range(2)] == [200, 429]
  assert server.used(account) == 10_000


def test_what_is_used_outlives_a_restart(serve):
  server = serve()
  account = server.account("--daily-quota", 2)
  key = server.key(account)
  assert server.draw("ints", key=key).status == 200
  server.restart()
  assert server.draw("ints", key=key).status == 200
  assert refused(server.draw("ints", key=key))


def test_yesterday_does_not_count_today(serve):
  server = serve()
  key = server.key(server.account("--daily-quota", 1))
  assert [server.draw("ints", key=key).status for _ in range(2)] == [200, 429]
  server.stop()
  assert server.alter("UPDATE usage SET day = day - 1 WHERE account_id <> 0") == 1
  server.start()
  assert [server.draw("ints", key=key).status for _ in range(2)] == [200, 429]


def test_looking_up_still_works_when_it_is_spent(server, client_seed):
  key = server.key(server.account("--daily-quota", 1))
  drawn = server.draw("ints", {"clientSeed": client_seed}, key=key)
  assert refused(server.draw("ints", {"clientSeed": client_seed}, key=key))
  assert server.nonce(client_seed, key) == 1
  assert server.get("/api/listOutcomes", {"clientSeed": client_seed}, key=key).json() == [drawn.json()]


# Changing it


def test_a_changed_quota_counts_at_once(server, five):
  key = server.key(five)
  said = lambda: server.get("/api/usage", key=key).json()
  statuses = lambda count: [server.draw("ints", key=key).status for _ in range(count)]
  assert statuses(6) == [200] * 5 + [429]
  assert "is 7" in server.cli("account", "set", five, "--daily-quota", 7, check=True).stderr
  assert (said()["quota"], said()["used"], said()["remaining"]) == (7, 5, 2)
  assert statuses(3) == [200, 200, 429]
  server.cli("account", "set", five, "--daily-quota", 3, check=True)
  assert (said()["quota"], said()["remaining"]) == (3, 0) and statuses(1) == [429]
  server.cli("account", "set", five, "--daily-quota", "none", check=True)
  assert said()["quota"] == 10_000 and statuses(1) == [200]
  assert server.used(five) == 8


def test_an_account_that_is_not_there_has_no_quota(server):
  done = server.cli("account", "set", unique("nobody"), "--daily-quota", 7)
  assert done.returncode == 1 and "nobody" in done.stderr


def test_each_draw_says_what_is_left(server, five, client_seed, idempotency):
  key = server.key(five)
  left = lambda response: response.header("RateLimit")
  assert left(server.draw("ints", key=key)) == '"daily";r=4'
  first = server.draw("ints", {"clientSeed": client_seed}, key=key, idempotency=idempotency)
  assert left(first) == '"daily";r=3' and first.header("RateLimit-Policy") is None
  assert left(server.draw("ints", {"clientSeed": client_seed}, key=key, idempotency=idempotency)) is None, "a replay costs nothing"
  assert left(server.draw("ints", key=server.key(five, "test"))) is None and left(server.draw("ints")) is None
  assert left(server.draw("ints", {"max": "x"}, key=key)) is None and left(server.get("/api/seed", key=key)) is None
  reveal = {"commitId": server.post("/api/commit", key=key).json()["commitId"], "endpoint": "ints"}
  assert left(server.post("/api/reveal", reveal, key=key)) == '"daily";r=2'
  batch = {"draws": [{"endpoint": "ints"}] * 3}
  assert left(server.post("/api/batch", {**batch, "atomic": True}, key=key)) == '"daily";r=2'
  assert left(server.post("/api/batch", batch, key=key)) == left(server.post("/api/batch", batch, key=key)) == '"daily";r=0'


# Keys


def test_a_keys_quota_is_within_its_accounts(server, five, client_seed, idempotency):
  key, other = server.key(five, "live", "--daily-quota", 3), server.key(five)
  ask = lambda key, **rest: server.draw("ints", {"clientSeed": client_seed}, key=key, **rest)
  left = lambda response: response.header("RateLimit")
  first = ask(key, idempotency=idempotency)
  assert left(first) == '"daily";r=4, "key";r=2'
  assert ask(key, idempotency=idempotency).replayed and left(ask(key)) == '"daily";r=3, "key";r=1'
  results = server.post("/api/batch", {"draws": [{"endpoint": "ints"}] * 2}, key=key).json()["results"]
  assert [result.get("code") for result in results] == [None, "quota_exceeded"]
  spent = ask(key)
  assert refused(spent) and "The API key's daily quota" in spent.error
  assert spent.header("RateLimit-Policy") == '"key";q=3;w=86400'
  assert spent.header("RateLimit") == f'"key";r=0;t={spent.json()["retryAfter"]}'
  said = server.get("/api/usage", key=key)
  assert said.json()["remaining"] == 2 and said.json()["key"] == {"quota": 3, "used": 3, "remaining": 0}
  assert said.header("RateLimit-Policy") == '"daily";q=5;w=86400, "key";q=3;w=86400'
  assert re.fullmatch(r'"daily";r=2;t=\d+, "key";r=0;t=\d+', left(said))
  assert "key" not in server.get("/api/usage", key=other).json()
  assert ask(key, idempotency=idempotency).body == first.body, "a replay, also when it is spent"
  assert [ask(other).status for _ in range(3)] == [200, 200, 429]
  account = ask(key)
  assert refused(account) and account.header("RateLimit-Policy") == '"daily";q=5;w=86400'


def test_a_keys_quota_can_be_changed_and_taken_away(server, account):
  key = server.key(account)
  statuses = lambda count: [server.draw("ints", key=key).status for _ in range(count)]
  assert statuses(2) == [200, 200]
  change = lambda quota: server.cli("key", "set", key[:16], "--daily-quota", quota, check=True)
  assert "is 2" in change(2).stderr
  assert statuses(3) == [200, 200, 429], "draws are counted while the key has a quota"
  [listed] = [one for line in server.cli("key", "list", "--json", check=True).stdout.splitlines() if (one := json.loads(line))["prefix"] == key[:16]]
  assert (listed["dailyQuota"], listed["usedToday"]) == (2, 2)
  change(0)
  assert statuses(1) == [429]
  assert "no quota" in change("none").stderr and statuses(1) == [200]
  change(3)
  assert statuses(2) == [200, 429]
  [exported] = json.loads(server.cli("account", "export", account, check=True).stdout)["keys"]
  assert exported["dailyQuota"] == 3


def test_a_test_key_has_no_quota(server, account):
  made = server.cli("key", "create", "--account", account, "--mode", "test", "--daily-quota", 3)
  assert made.returncode == 1 and "only a live key can have a daily quota" in made.stderr and made.stdout == ""
  test = server.key(account, "test")
  assert server.cli("key", "set", test[:16], "--daily-quota", 3).returncode == 1
  assert server.cli("key", "set", test[:16], "--daily-quota", "none").returncode == 0


def test_a_stream_ends_at_a_keys_quota(server, account):
  with Stream(server, {"intervalMs": 100}, key=server.key(account, "live", "--daily-quota", 2)) as stream:
    events = stream.take(3)
  assert [event["event"] for event in events] == ["outcome", "outcome", "done"]


def test_a_keys_quota_counts_once_over_retries_and_crashes(serve):
  server = serve()
  account = server.account()
  key = server.key(account, "live", "--daily-quota", 40)
  drawn = []

  def work(number):
    with contextlib.suppress(OSError, http.client.HTTPException):
      with server.connect() as connection:
        for attempt in range(10):
          for _ in range(2):
            response = connection.get("/api/ints", {"clientSeed": f"seed-{number % 3}"}, key=key, idempotency=f"{number}-{attempt}")
            drawn.append((number, attempt, response.status))
          if number == 0 and attempt == 1:
            server.process.kill()

  together(4, work)
  server.wait()
  server.start()
  for number in range(4):
    for attempt in range(15):
      response = server.get("/api/ints", {"clientSeed": f"seed-{number % 3}"}, key=key, idempotency=f"{number}-{attempt}")
      drawn.append((number, attempt, response.status))
  assert len({(number, attempt) for number, attempt, status in drawn if status == 200}) == 40
  assert {status for _, _, status in drawn} == {200, 429}
  assert server.used(account) == 40 and server.sql("SELECT sum(count) FROM key_usage") == [(40,)]


# Batches


@pytest.mark.parametrize("quota, size", [(5, 4), (5, 5), (5, 6), (5, 50), (1, 50)])
def test_a_batch_across_the_edge(server, client_seed, quota, size):
  account = server.account("--daily-quota", quota)
  key = server.key(account)
  response = server.post("/api/batch", {"draws": [{"endpoint": "ints", "params": {"clientSeed": client_seed}}] * size}, key=key)
  assert response.status == 200
  results = response.json()["results"]
  done = min(quota, size)
  assert [result["ok"] for result in results] == [True] * done + [False] * (size - done)
  for result in results[done:]:
    assert set(result) == {"ok", "error", "code"} and result["code"] == "quota_exceeded"
  assert server.used(account) == server.nonce(client_seed, key) == done


def test_after_the_edge_bad_draws_are_over_the_quota_too(server, client_seed):
  key = server.key(server.account("--daily-quota", 2))
  good, bad = {"endpoint": "ints", "params": {"clientSeed": client_seed}}, {"endpoint": "pick", "params": {}}
  results = server.post("/api/batch", {"draws": [bad, good, bad, good, good, bad, good]}, key=key).json()["results"]
  assert [result["ok"] for result in results] == [False, True, False, True, False, False, False]
  assert [result.get("code") for result in results] == ["invalid_parameter", None, "invalid_parameter", None] + ["quota_exceeded"] * 3


def test_a_batch_when_it_is_spent(server, client_seed):
  key = server.key(server.account("--daily-quota", 1))
  server.draw("ints", key=key)
  response = server.post("/api/batch", {"draws": [{"endpoint": "ints", "params": {"clientSeed": client_seed}}] * 3}, key=key)
  assert response.status == 200
  assert [result["code"] for result in response.json()["results"]] == ["quota_exceeded"] * 3
  assert server.nonce(client_seed, key) == 0


# Races


def test_simultaneous_draws_cannot_overrun_it(server, client_seed):
  account = server.account("--daily-quota", 100)
  keys = [server.key(account) for _ in range(2)]

  def work(i):
    with server.connect() as connection:
      single = [connection.get("/api/ints", {"clientSeed": client_seed}, key=keys[i % 2], idempotency=unique("k")).status == 200 for _ in range(5)]
      batch = connection.post("/api/batch", {"draws": [{"endpoint": "ints", "params": {"clientSeed": client_seed}}] * 3}, key=keys[i % 2])
      return sum(single) + sum(result["ok"] for result in batch.json()["results"])

  assert sum(together(32, work)) == 100 == server.used(account)
  assert [server.nonce(client_seed, key) for key in keys] == [100, 100]
