"""The Idempotency-Key: however often a request is sent, it runs once and is answered once, in the same words."""

import json
import time
import urllib.parse

import pytest

from harness import DRAWS, REQUIRED, cli, content_headers, same_answer, together, unique, wait_until

DAY = 24 * 3600 * 1000


def replays(first, again):
  """Whether `again` is `first` said again, and says so."""
  assert again.replayed, again
  assert same_answer(first, again), (str(first), str(again))
  return True


def conflicts(response):
  assert response.status == 409, response
  assert response.code == "idempotency_replay"
  assert not response.replayed
  return True


# Replay


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("endpoint", DRAWS)
def test_a_retry_is_answered_byte_for_byte(server, account, live_key, client_seed, idempotency, endpoint, method):
  ask = lambda: server.draw(endpoint, {"clientSeed": client_seed}, method, key=live_key, idempotency=idempotency)
  first = ask()
  assert first.status == 200 and not first.replayed
  for _ in range(3):
    again = ask()
    assert replays(first, again)
    assert again.header("shortId") == first.json()["shortId"]
    assert again.header("X-Request-Id") != first.header("X-Request-Id")
  assert server.nonce(client_seed, live_key) == 1
  assert server.used(account) == 1


def test_another_key_is_another_draw(server, live_key, client_seed):
  nonces = [
    server.draw("ints", {"clientSeed": client_seed}, key=live_key, idempotency=unique("key")).json()["nonce"] for _ in range(3)]
  assert nonces == [0, 1, 2]


def test_one_key_covers_a_whole_batch_failures_included(server, account, live_key, client_seed, idempotency):
  body = {"draws": [
    {"endpoint": "ints", "params": {"clientSeed": client_seed}}, {"endpoint": "pick", "params": {}},
    {"endpoint": "dice", "params": {"clientSeed": client_seed, "notation": "2d20+5"}}]}
  first = server.post("/api/batch", body, key=live_key, idempotency=idempotency)
  assert [result["ok"] for result in first.json()["results"]] == [True, False, True]
  assert replays(first, server.post("/api/batch", body, key=live_key, idempotency=idempotency))
  assert server.nonce(client_seed, live_key) == 2
  assert server.used(account) == 2


def test_a_large_batch_is_replayed_too(server, live_key, client_seed, idempotency):
  items = ["x" * 100] * 100
  body = {"draws": [{"endpoint": "shuffle", "params": {"clientSeed": client_seed, "items": items}}] * 50}
  first = server.post("/api/batch", body, key=live_key, idempotency=idempotency)
  assert first.status == 200 and len(first.body) > 500_000
  assert replays(first, server.post("/api/batch", body, key=live_key, idempotency=idempotency))


def test_a_retry_after_other_draws_and_a_moved_cursor(server, live_key, client_seed, idempotency):
  ask = lambda: server.draw("ints", {"clientSeed": client_seed}, key=live_key, idempotency=idempotency)
  first = ask()
  server.draw("ints", {"clientSeed": client_seed}, key=live_key)
  server.get("/api/incrementCursor", {"clientSeed": client_seed}, key=live_key)
  assert replays(first, ask())


def test_a_retry_after_a_restart_and_after_a_crash(serve):
  server = serve()
  key = server.key()
  ask = lambda: server.draw("ints", {"clientSeed": "kept"}, key=key, idempotency="once")
  first = ask()
  server.restart()
  assert replays(first, ask())
  server.kill()
  server.start()
  assert replays(first, ask())
  assert server.nonce("kept", key) == 1


def test_large_answers_are_stored_once_and_come_back_byte_for_byte(serve):
  server = serve(FAIRDRAW_PUBLIC_URL="https://one.example")
  items = [f'"{number}" é, {"x" * 500}' for number in range(500)] + [1.50, {"a": [None]}, "1.0"]
  size = len(json.dumps(items))
  batch = {"draws": [
    {"endpoint": "shuffle", "params": {"clientSeed": "kept", "items": items}}, {"endpoint": "shuffle", "params": {"items": []}},
    {"endpoint": "ints", "params": {"clientSeed": "kept"}}, {"endpoint": "pick", "params": {"clientSeed": "kept", "items": ["y" * 5000] * 3}}]}
  keys = [server.key(mode="live"), server.key(mode="test")]

  def ask(key):
    return [
      server.draw("shuffle", {"clientSeed": "kept", "items": items}, "POST", key=key, idempotency="single"),
      server.post("/api/batch", batch, key=key, idempotency="batch"),
    ]

  first = [ask(key) for key in keys]
  for single, several in first:
    assert single.status == several.status == 200
    assert sorted(map(str, single.json()["outcome"])) == sorted(map(str, items))
  [[longest]] = server.sql("SELECT max(length(answer)) FROM idempotency")
  assert longest < 200
  for table in ("outcomes", "test_outcomes"):
    assert server.sql(f"SELECT max(length(value)) < 1100, sum(length(items)) < {3 * size} FROM {table}") == [(1, 1)]
  # Where the server is reached may change; what was answered does not.
  assert server.stop() == 0
  server = serve(FAIRDRAW_PUBLIC_URL="https://two.example/draws")
  for before, after in zip(first, [ask(key) for key in keys]):
    for one, again in zip(before, after):
      assert replays(one, again)
  listed = server.get("/api/listOutcomes", {"clientSeed": "kept"}, key=keys[0]).json()
  assert listed[-1]["outcome"] == first[0][0].json()["outcome"]


def test_a_retry_when_the_quota_is_spent(server):
  account = server.account("--daily-quota", 1)
  key = server.key(account)
  ask = lambda: server.draw("ints", key=key, idempotency="once")
  first = ask()
  assert first.status == 200
  assert server.draw("ints", key=key, idempotency="other").status == 429
  assert replays(first, ask())
  assert server.used(account) == 1


# What is the same request


def test_query_pairs_in_any_order_are_the_same_request(server, live_key, client_seed, idempotency):
  ask = lambda query: server.get("/api/ints", query, key=live_key, idempotency=idempotency)
  first = ask(f"clientSeed={client_seed}&min=1&max=6&count=2")
  assert first.status == 200
  assert replays(first, ask(f"count=2&max=6&min=1&clientSeed={client_seed}"))
  assert replays(first, ask(f"%63ount=2&max=%36&min=1&clientSeed={client_seed}"))


@pytest.mark.parametrize("query", [
  "min=1&max=7", "min=1", "min=1&max=6&count=1", "min=1&max=6&unknown=1", "min=01&max=6", "min=1&max=6&max=6", "min=6&max=1", "MIN=1&max=6"])
def test_other_query_pairs_conflict(server, live_key, client_seed, idempotency, query):
  ask = lambda query: server.get("/api/ints", f"clientSeed={client_seed}&{query}", key=live_key, idempotency=idempotency)
  first = ask("min=1&max=6")
  assert first.status == 200
  assert conflicts(ask(query))
  assert replays(first, ask("min=1&max=6"))
  assert server.nonce(client_seed, live_key) == 1


def test_repeated_pairs_are_told_from_joined_ones(server, live_key, client_seed, idempotency):
  ask = lambda query: server.get("/api/pick", f"clientSeed={client_seed}&{query}", key=live_key, idempotency=idempotency)
  assert ask("items=a&items=b").status == 200
  for other in ("items=a,b", "items=a&items=b&items=b", "items=a%26items%3Db", "items=ab&items="):
    assert conflicts(ask(other))


def test_body_bytes_are_the_request(server, live_key, client_seed, idempotency):
  body = json.dumps({"clientSeed": client_seed, "count": 2})
  ask = lambda body: server.post("/api/ints", body, key=live_key, idempotency=idempotency)
  first = ask(body)
  assert first.status == 200
  for other in (body + " ", json.dumps({"count": 2, "clientSeed": client_seed}), body.replace("2", "3")):
    assert conflicts(ask(other))
  assert replays(first, ask(body))


def test_method_and_path_are_the_request(server, live_key, client_seed, idempotency):
  ask = lambda method, path: server.request(
    method, path, {"clientSeed": client_seed} if method == "GET" else None,
    body=json.dumps({"clientSeed": client_seed}) if method == "POST" else None, key=live_key, idempotency=idempotency)
  assert ask("GET", "/api/ints").status == 200
  assert conflicts(ask("GET", "/api/floats"))
  assert conflicts(ask("POST", "/api/ints"))
  assert conflicts(ask("POST", "/api/batch"))
  assert server.nonce(client_seed, live_key) == 1


def test_other_headers_are_not_the_request(server, live_key, client_seed, idempotency):
  ask = lambda headers: server.get("/api/ints", {"clientSeed": client_seed}, idempotency=idempotency, headers=headers)
  first = ask({"x-api-key": live_key})
  assert replays(first, ask({"Authorization": f"Bearer {live_key}", "User-Agent": "another", "Accept": "*/*"}))


# Scope


def test_keys_of_an_account_share_its_idempotency_keys(server, account, live_key, client_seed, idempotency):
  sibling = server.key(account)
  ask = lambda key: server.draw("ints", {"clientSeed": client_seed}, key=key, idempotency=idempotency)
  first = ask(live_key)
  assert replays(first, ask(sibling))
  assert server.nonce(client_seed, sibling) == 1


def test_accounts_do_not_share_them(server, live_key, client_seed, idempotency):
  answers = [server.draw("ints", {"clientSeed": client_seed}, key=key, idempotency=idempotency) for key in (live_key, server.key())]
  assert not any(answer.replayed for answer in answers)
  assert answers[0].body != answers[1].body


def test_modes_do_not_share_them(server, live_key, test_key, client_seed, idempotency):
  live, test = (server.draw("ints", {"clientSeed": client_seed}, key=key, idempotency=idempotency) for key in (live_key, test_key))
  assert (live.json()["mode"], test.json()["mode"]) == ("live", "test")
  assert conflicts(server.draw("floats", key=live_key, idempotency=idempotency))
  assert conflicts(server.draw("floats", key=test_key, idempotency=idempotency))


@pytest.mark.parametrize("value", ["same", "", "x" * 256, "with space"])
def test_anonymous_callers_have_none(server, client_seed, value):
  ask = lambda: server.draw("ints", {"clientSeed": client_seed}, idempotency=value)
  assert [ask().json()["nonce"], ask().json()["nonce"]] == [0, 1]
  assert not ask().replayed
  assert ask().header("Idempotency-Status") == "ignored; reason=anonymous"


def test_anonymous_callers_are_told_that_they_have_none(server, live_key, test_key, client_seed, idempotency):
  ignored = "ignored; reason=anonymous"
  draws = [{"endpoint": "ints", "params": {"clientSeed": client_seed}}]
  for ask in (
    lambda **caller: server.draw("ints", {"clientSeed": client_seed}, **caller),
    lambda **caller: server.draw("ints", {"clientSeed": client_seed}, "POST", **caller),
    lambda **caller: server.draw("ints", {"count": 0}, **caller),
    lambda **caller: server.post("/api/batch", {"draws": draws}, **caller),
    lambda **caller: server.post("/api/commit", **caller),
    lambda **caller: server.get("/api/incrementCursor", {"clientSeed": client_seed}, **caller),
    lambda **caller: server.get("/api/seed", {"clientSeed": client_seed}, **caller),
    lambda **caller: server.get("/api/listOutcomes", {"clientSeed": client_seed}, **caller),
  ):
    assert ask(idempotency=unique("key")).header("Idempotency-Status") == ignored
    assert ask().header("Idempotency-Status") is None
    for key in (live_key, test_key, "pk_live_" + "x" * 43):
      assert ask(idempotency=unique("key"), key=key).header("Idempotency-Status") is None
  told = server.draw("ints", {"clientSeed": client_seed}, idempotency=idempotency, headers={"Origin": "https://page.example"})
  assert "Idempotency-Status" in told.header("Access-Control-Expose-Headers")


def test_a_cursor_is_moved_once(server, live_key, client_seed, idempotency):
  """It changes state, so a retry must not change it again."""
  ask = lambda: server.get("/api/incrementCursor", {"clientSeed": client_seed}, key=live_key, idempotency=idempotency)
  server.seed(client_seed, live_key)
  first, second = ask(), ask()
  assert replays(first, second) and second.json()["cursor"] == 1
  assert server.seed(client_seed, live_key)["cursor"] == 1


def test_reads_take_no_notice(server, live_key, client_seed, idempotency):
  ask = lambda path: server.get(path, {"clientSeed": client_seed}, key=live_key, idempotency=idempotency)
  assert ask("/api/seed").json()["nonce"] == 0
  server.draw("ints", {"clientSeed": client_seed}, key=live_key)
  assert ask("/api/seed").json()["nonce"] == 1
  assert len(ask("/api/listOutcomes").json()) == 1


# Syntax


@pytest.mark.parametrize("value", ["x", "x" * 255, "!~", "a/b:c?d=e&f", '"quoted"', "0f8fad5b-d9cb-469f-a165-70867728950e"])
def test_good_keys(server, live_key, client_seed, value):
  ask = lambda: server.draw("ints", {"clientSeed": client_seed}, key=live_key, idempotency=value)
  assert replays(ask(), ask())


@pytest.mark.parametrize("path", ["/api/ints", "/api/batch"])
@pytest.mark.parametrize("value", [b"", b"x" * 256, b"two words", b"tab\there", b"\xc3\xa9", b"\xff", b"del\x7f"], ids=repr)
def test_bad_keys(server, live_key, unchanged, path, value):
  body = b'{"draws": [{"endpoint": "ints"}]}' if path == "/api/batch" else b"{}"
  response = server.raw(
    b"POST %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nx-api-key: %s\r\nIdempotency-Key: %s\r\nContent-Length: %d\r\n\r\n%s"
    % (path.encode(), live_key.encode(), value, len(body), body), "POST")
  assert response.status == 400, response
  # A header that is no HTTP at all is refused before it has a name.
  assert "Idempotency-Key" in response.error or "HTTP" in response.error


def test_two_keys_on_one_request(server, live_key, unchanged):
  response = server.raw_get(b"/api/ints", b"x-api-key: %s\r\nIdempotency-Key: a\r\nIdempotency-Key: b\r\n" % live_key.encode())
  assert response.status == 400 and "Idempotency-Key" in response.error


@pytest.mark.parametrize("plain, quoted", [
  ("round-1", '"round-1"'), ("x" * 255, f'"{"x" * 255}"'), ('a"b', r'"a\"b"'), ("a\\b", r'"a\\b"'), ("!~", '"!~"')])
def test_quotes_are_not_part_of_a_key(server, live_key, client_seed, plain, quoted):
  ask = lambda value: server.draw("ints", {"clientSeed": client_seed}, key=live_key, idempotency=value)
  first = ask(plain)
  assert first.status == 200
  assert replays(first, ask(quoted)) and replays(first, ask(plain)) and replays(first, ask(quoted))
  assert server.nonce(client_seed, live_key) == 1
  assert conflicts(server.draw("floats", {"clientSeed": client_seed}, key=live_key, idempotency=quoted))


@pytest.mark.parametrize("value", ['"', '""', '"open', '"a"b"', '"a";b', r'"a\x"', '"a\\"', '"two words"', f'"{"x" * 256}"'])
def test_bad_quotes(server, live_key, unchanged, value):
  response = server.draw("ints", key=live_key, idempotency=value)
  assert response.status == 400 and "Idempotency-Key" in response.error, response


def test_keys_differ_by_case(server, live_key, client_seed):
  nonces = [server.draw("ints", {"clientSeed": client_seed}, key=live_key, idempotency=k).json()["nonce"] for k in ("Key", "key")]
  assert nonces == [0, 1]


# What is stored


@pytest.mark.parametrize("method, path, parameters", [
  ("GET", "/api/ints", {"count": 101}), ("POST", "/api/ints", {"count": "abc"}), ("GET", "/api/pick", {}), ("POST", "/api/batch", {"draws": []}),
])
def test_a_refusal_of_the_parameters_is_stored(server, live_key, unchanged_but_records, idempotency, method, path, parameters):
  ask = lambda parameters: server.request(
    method, path, parameters if method == "GET" else None, body=parameters if method == "POST" else None, key=live_key, idempotency=idempotency)
  first = ask(parameters)
  assert first.status == 400 and not first.replayed
  assert replays(first, ask(parameters))
  assert conflicts(ask({**parameters, "changed": 1}))


@pytest.fixture
def unchanged_but_records(unchanged):
  """The footprint leaves idempotency records out."""


def test_401_is_not_stored(server, live_key, client_seed, idempotency):
  wrong = server.draw("ints", {"clientSeed": client_seed}, key="pk_live_" + "x" * 43, idempotency=idempotency)
  assert wrong.status == 401
  assert not server.draw("ints", {"clientSeed": client_seed}, key=live_key, idempotency=idempotency).replayed


def test_403_is_not_stored(server, account, live_key, client_seed, idempotency):
  fenced = server.key(account, "live", "--allow-ip", "192.0.2.0/24")
  ask = lambda key: server.draw("ints", {"clientSeed": client_seed}, key=key, idempotency=idempotency)
  assert ask(fenced).status == 403
  assert ask(live_key).status == 200
  assert ask(fenced).status == 403, "and a stored answer is not for one who may not ask"


def test_413_is_not_stored(server, live_key, client_seed, idempotency):
  ask = lambda body: server.raw(
    b"POST /api/ints HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nx-api-key: %s\r\nIdempotency-Key: %s\r\nContent-Length: %d\r\n\r\n%s"
    % (live_key.encode(), idempotency.encode(), len(body), body), "POST")
  assert ask(b" " * (2 * 1024 * 1024 + 1)).status == 413
  assert ask(b'{"clientSeed": "%s"}' % client_seed.encode()).status == 200


def test_429_of_the_quota_is_not_stored(serve):
  server = serve()
  account = server.account("--daily-quota", 1)
  key = server.key(account)
  ask = lambda value: server.draw("ints", {"clientSeed": "quota"}, key=key, idempotency=value)
  assert ask("first").status == 200
  assert [ask("second").status, ask("second").status] == [429, 429]
  assert not ask("second").replayed
  server.stop()
  server.alter("DELETE FROM usage")  # as midnight would
  server.start()
  again = ask("second")
  assert (again.status, again.replayed, again.json()["nonce"]) == (200, False, 1)


def test_429_of_the_rate_limit_is_not_stored(serve):
  server = serve(FAIRDRAW_RATE_LIMIT_PER_MINUTE=1, FAIRDRAW_TRUSTED_PROXIES="127.0.0.1/32")
  key = server.key(mode="test")
  ask = lambda address, value: server.draw("ints", key=key, idempotency=value, headers={"X-Forwarded-For": address})
  statuses = [ask("192.0.2.1", f"used-{i}").status for i in range(3)]
  assert 429 in statuses
  refused = ask("192.0.2.1", "wanted")
  while refused.status != 429:  # a new minute began
    refused = ask("192.0.2.1", "wanted")
    if refused.replayed:
      pytest.skip("a minute ended in the middle of the test")
  again = ask("192.0.2.2", "wanted")
  assert (again.status, again.replayed) == (200, False)


# Time


@pytest.mark.parametrize("age, kept", [(69 * DAY // 10, True), (7 * DAY + 60_000, False)])
def test_answers_are_kept_for_seven_days(serve, age, kept):
  server = serve()
  key = server.key()
  ask = lambda endpoint: server.draw(endpoint, {"clientSeed": "old"}, key=key, idempotency="once")
  first = ask("ints")
  server.stop()
  assert server.alter("UPDATE idempotency SET created = ?", int(time.time() * 1000) - age) == 1
  server.start()
  if kept:
    assert replays(first, ask("ints"))
    assert conflicts(ask("floats"))
  else:
    again = ask("floats")
    assert (again.status, again.replayed, again.json()["nonce"]) == (200, False, 1)
    assert replays(again, ask("floats"))


@pytest.mark.parametrize("setting, age, kept", [
  ("24h", DAY - 60_000, True), ("24h", DAY + 60_000, False), ("30d", 30 * DAY - 60_000, True), ("forever", 400 * DAY, True)])
def test_how_long_they_are_kept_can_be_set(serve, setting, age, kept):
  server = serve(FAIRDRAW_IDEMPOTENCY_RETENTION=setting)
  key = server.key()
  ask = lambda: server.draw("ints", {"clientSeed": "old"}, key=key, idempotency="once")
  first = ask()
  server.stop()
  assert server.alter("UPDATE idempotency SET created = ?", int(time.time() * 1000) - age) == 1
  server.start()
  if kept:
    assert replays(first, ask())
  else:
    wait_until(lambda: server.sql("SELECT count(*) FROM idempotency") == [(0,)], "the sweep")
    assert (ask().json()["nonce"], ask().replayed) == (1, True)


@pytest.mark.parametrize("setting", ["23h", "0d", "7", "7w", "-7d", "36501d", "1.5d", "Forever", "d", "99999999999999999999d"])
def test_a_time_that_cannot_be_kept_is_refused(tmp_path, setting):
  done = cli("serve", "--port", "0", data=tmp_path, env={"FAIRDRAW_IDEMPOTENCY_RETENTION": setting})
  assert done.returncode == 64 and "FAIRDRAW_IDEMPOTENCY_RETENTION" in done.stderr and setting in done.stderr


# Looking up


def look_up(server, value, key, query=None):
  return server.get("/api/idempotency/" + urllib.parse.quote(value, safe=""), query, key=key)


@pytest.mark.parametrize("value", ["plain", "raffle-7/winner", "a%20b", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", "x" * 255, "..", "%2F"])
def test_what_became_of_a_request_can_be_looked_up(server, live_key, client_seed, value):
  assert look_up(server, value, live_key).code == "unknown_idempotency_key"
  header = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
  before = int(time.time() * 1000)
  first = server.draw("ints", {"clientSeed": client_seed, "count": 3}, "POST", key=live_key, idempotency=header)
  assert first.status == 200
  found = look_up(server, value, live_key)
  assert found.status == 200 and found.body.endswith(b'"body":' + first.body + b"}"), str(found)
  record = found.json()
  assert list(record) == ["key", "method", "path", "status", "created", "expires", "body"]
  assert (record["key"], record["method"], record["path"], record["status"]) == (value, "POST", "/api/ints", 200)
  assert before - 60_000 < record["created"] < before + 60_000 and record["expires"] - record["created"] == 7 * DAY
  assert look_up(server, header, live_key).body == found.body
  assert server.nonce(client_seed, live_key) == 1


def test_every_kind_of_request_can_be_looked_up(server, live_key, test_key, client_seed):
  server.draw("ints", {"clientSeed": client_seed}, key=live_key)
  commitment = lambda key: server.post("/api/commit", key=key).json()["commitId"]
  requests = [
    (method, f"/api/{endpoint}", {"clientSeed": client_seed, **REQUIRED.get(endpoint, {})})
    for endpoint in DRAWS for method in ("GET", "POST")]
  requests += [
    ("POST", "/api/batch", {"draws": [{"endpoint": "ints", "params": {"clientSeed": client_seed}}, {"endpoint": "pick"}]}),
    ("POST", "/api/batch", {"draws": []}), ("POST", "/api/commit", {}), ("POST", "/api/rotate", {"clientSeed": client_seed}),
    ("POST", "/api/reveal", {"commitId": commitment(live_key), "clientSeed": client_seed, "endpoint": "ints"}),
    ("POST", "/api/reveal", {"commitId": unique("none")}), ("GET", "/api/incrementCursor", {"clientSeed": client_seed}),
    ("GET", "/api/ints", {"count": 0})]
  for key in (live_key, test_key):
    for method, path, parameters in requests:
      value = unique("look/up")
      query = {name: json.dumps(given) if isinstance(given, list) else given for name, given in parameters.items()}
      ask = lambda: server.request(
        method, path, query if method == "GET" else None, body=parameters if method == "POST" else None, key=key, idempotency=value)
      first = ask()
      found = look_up(server, value, key)
      if first.status in (401, 403):
        assert found.status == 404 and not ask().replayed
        continue
      assert found.status == 200, (path, str(first), str(found))
      record = found.json()
      assert (record["method"], record["path"], record["status"]) == (method, path, first.status)
      assert found.body.endswith(b'"body":' + first.body + b"}")
      assert replays(first, ask())


def test_a_key_is_looked_up_in_its_account_and_mode(server, account, live_key, client_seed, idempotency):
  assert server.draw("ints", {"clientSeed": client_seed}, key=live_key, idempotency=idempotency).status == 200
  assert look_up(server, idempotency, server.key(account)).status == 200
  for other in (server.key(account, "test"), server.key()):
    found = look_up(server, idempotency, other)
    assert (found.status, found.code) == (404, "unknown_idempotency_key")
  assert look_up(server, idempotency, None).status == 401
  for bad in ("two words", "é", "x" * 256, '"open', "%00"):
    found = look_up(server, bad.replace("%00", "\0"), live_key)
    assert found.status == 400 and found.json()["parameter"] == "key", (bad, str(found))
  assert look_up(server, idempotency, live_key, {"more": 1}).status == 400


def test_an_expired_key_is_not_found(serve):
  server = serve(FAIRDRAW_IDEMPOTENCY_RETENTION="24h")
  key = server.key()
  server.draw("ints", key=key, idempotency="once")
  record = look_up(server, "once", key).json()
  assert record["expires"] - record["created"] == DAY
  server.stop()
  assert server.alter("UPDATE idempotency SET created = created - ?", DAY) == 1
  server.start()
  assert look_up(server, "once", key).status == 404
  server.stop()
  server = serve(FAIRDRAW_IDEMPOTENCY_RETENTION="forever")
  again = server.draw("ints", key=key, idempotency="twice")
  assert look_up(server, "twice", key).json()["expires"] is None and again.status == 200


def test_a_stored_response_is_small(serve):
  server = serve()
  key = server.key()
  with server.connect() as connection:
    for number in range(1000):
      response = connection.get(
        "/api/ints", {"clientSeed": f"seed-{number}", "count": 100}, key=key, idempotency=f"{number}-{unique()}")
      assert response.status == 200 and len(response.body) > 400
  pages = lambda: server.sql("SELECT page_count - freelist_count FROM pragma_page_count(), pragma_freelist_count()")[0][0]
  server.stop()
  before = pages()
  server.alter("DROP TABLE idempotency")
  assert 0 < (before - pages()) * 4096 / 1000 < 150


# Single flight


@pytest.mark.parametrize("mode", ["live", "test"])
def test_64_simultaneous_requests_are_one_draw(server, client_seed, account, idempotency, mode):
  key = server.key(account, mode)
  connections = [server.connect() for _ in range(64)]
  for connection in connections:
    connection.http.connect()
  ask = lambda i: connections[i].get("/api/ints", {"clientSeed": client_seed, "count": 10}, key=key, idempotency=idempotency)
  answers = together(64, ask)
  assert {answer.status for answer in answers} == {200}
  assert len({answer.body for answer in answers}) == 1
  assert len({tuple(sorted(content_headers(answer).items())) for answer in answers}) == 1
  assert sum(not answer.replayed for answer in answers) == 1
  assert server.used(account) == (1 if mode == "live" else 0)
  assert server.seed(client_seed, key)["nonce"] == (1 if mode == "live" else 0)
  for connection in connections:
    connection.http.close()


def test_simultaneous_batches_are_one_batch(server, account, live_key, client_seed, idempotency):
  body = {"draws": [{"endpoint": "ints", "params": {"clientSeed": client_seed}}] * 20}
  answers = together(32, lambda _: server.post("/api/batch", body, key=live_key, idempotency=idempotency))
  assert len({answer.body for answer in answers}) == 1
  assert sum(not answer.replayed for answer in answers) == 1
  assert server.used(account) == server.nonce(client_seed, live_key) == 20


def test_simultaneous_different_requests_are_one_draw_and_conflicts(server, account, live_key, client_seed, idempotency):
  answers = together(32, lambda i: server.draw("ints", {"clientSeed": client_seed, "max": 100 + i}, key=live_key, idempotency=idempotency))
  assert sorted(answer.status for answer in answers) == [200] + [409] * 31
  assert server.used(account) == 1


def test_many_keys_at_once(server, account, live_key, client_seed):
  """Every key is sent by four clients at once, keys interleaved."""
  names = [unique("key") for _ in range(50)]
  answers = together(32, lambda i: [
    server.draw("ints", {"clientSeed": client_seed}, key=live_key, idempotency=name) for name in names[i % 8:] + names[:i % 8]])
  bodies = {answer.body for some in answers for answer in some}
  assert len(bodies) == 50
  assert sorted(json.loads(body)["nonce"] for body in bodies) == list(range(50))
  assert server.used(account) == 50
