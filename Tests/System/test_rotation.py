"""Server seeds, told: POST /api/rotate, POST /api/commit, POST /api/reveal; and that no other is told anywhere."""

import json
import re
import time
import uuid

import pytest

from harness import DRAWS, REQUIRED, same_answer, sha256_hex, together, unique, wait_until

SAFE = 2**53 - 1


def ok(response):
  assert response.status == 200, response
  return response.json()


BAD = ["invalid_parameter", "unknown_endpoint", "invalid_request"]


def refused(response, status, code=None, naming=None):
  assert response.status == status, response
  assert response.code in ([code] if code else BAD), response
  assert response.error
  if naming:
    assert naming in response.error, f"{response.error!r} does not name {naming}"
  return True


def rotate(server, client_seed, key=None, **rest):
  return server.post("/api/rotate", {"clientSeed": client_seed}, key=key, **rest)


def commit(server, key=None, **rest):
  return server.post("/api/commit", key=key, **rest)


def reveal(server, commit_id, key=None, client_seed="test", endpoint="ints", params=None, **rest):
  body = {"commitId": commit_id, "clientSeed": client_seed, "endpoint": endpoint, "params": {} if params is None else params}
  return server.post("/api/reveal", body, key=key, **rest)


def listed(server, client_seed, key=None, **parameters):
  return ok(server.get("/api/listOutcomes", {"clientSeed": client_seed, **parameters}, key=key))


def coordinates(outcome):
  return outcome["cursor"], outcome["nonce"]


# rotate


def test_rotation_reveals_the_seed_and_goes_on_with_another(server, client_seed, live_key):
  pinned = server.seed(client_seed, live_key)
  drawn = [ok(server.draw(endpoint, {"clientSeed": client_seed}, key=live_key)) for endpoint in DRAWS]
  server.get("/api/incrementCursor", {"clientSeed": client_seed}, key=live_key)
  response = rotate(server, client_seed, live_key)
  answer = ok(response)
  assert response.header("Cache-Control") == "no-store"
  assert set(answer) == {"clientSeed", "revealed", "next"} and answer["clientSeed"] == client_seed
  revealed, following = answer["revealed"], answer["next"]
  assert set(revealed) == {"serverSeed", "serverHash", "cursor", "nonce", "seedProof"}
  assert set(following) == {"serverHash", "cursor", "nonce", "rotatedAt"}
  assert re.fullmatch("[0-9a-f]{64}", revealed["serverSeed"])
  assert sha256_hex(revealed["serverSeed"]) == revealed["serverHash"] == pinned["serverHash"]
  assert coordinates(revealed) == coordinates(following) == (1, len(DRAWS))
  assert following["serverHash"] != pinned["serverHash"]
  assert following["rotatedAt"] >= drawn[-1]["created"]
  # The commitment to the next draw is the one that was told, and old outcomes keep theirs.
  assert server.seed(client_seed, live_key) == {"clientSeed": client_seed, **{n: following[n] for n in ("serverHash", "cursor", "nonce")}}
  after = ok(server.draw("ints", {"clientSeed": client_seed}, key=live_key))
  assert (after["serverHash"], *coordinates(after)) == (following["serverHash"], 1, len(DRAWS))
  assert listed(server, client_seed, live_key) == [after, *reversed(drawn)]
  for outcome in drawn:
    asked = {"clientSeed": client_seed, "cursor": outcome["cursor"], "nonce": outcome["nonce"]}
    assert ok(server.get("/api/outcome", asked, key=live_key)) == outcome


def test_each_rotation_reveals_what_the_one_before_promised(server, client_seed):
  promised = server.seed(client_seed)["serverHash"]
  for draws in (1, 3, 0, 2):
    for _ in range(draws):
      assert ok(server.draw("ints", {"clientSeed": client_seed}))["serverHash"] == promised
    answer = ok(rotate(server, client_seed))
    assert sha256_hex(answer["revealed"]["serverSeed"]) == answer["revealed"]["serverHash"] == promised
    promised = answer["next"]["serverHash"]
  outcomes = listed(server, client_seed)
  assert [outcome["nonce"] for outcome in outcomes] == list(range(5, -1, -1))
  assert len({outcome["serverHash"] for outcome in outcomes}) == 3


def test_nothing_to_rotate(server, client_seed, live_key):
  refused(rotate(server, client_seed, live_key), 404, "nothing_to_rotate")
  server.seed(client_seed, live_key)
  refused(rotate(server, client_seed, live_key), 404, "nothing_to_rotate")
  assert coordinates(server.seed(client_seed, live_key)) == (0, 0)


def test_rotation_is_the_accounts_own(server, client_seed, account, live_key):
  sibling, stranger = server.key(account), server.key()
  for key in (None, live_key, sibling, stranger):
    ok(server.draw("ints", {"clientSeed": client_seed}, key=key))
  before = [server.seed(client_seed, key) for key in (None, stranger)]
  next = ok(rotate(server, client_seed, live_key))["next"]
  assert [server.seed(client_seed, key) for key in (None, stranger)] == before
  assert server.seed(client_seed, sibling)["serverHash"] == next["serverHash"]
  refused(rotate(server, client_seed, server.key()), 404, "nothing_to_rotate")


def test_test_keys_have_nothing_to_rotate(server, client_seed, test_key):
  ok(server.draw("ints", {"clientSeed": client_seed}, key=test_key))
  refused(rotate(server, client_seed, test_key), 403, "test_mode_forbidden")


def test_the_seed_to_rotate_may_be_in_the_query(server, client_seed):
  ok(server.draw("ints", {"clientSeed": client_seed}))
  assert ok(server.request("POST", "/api/rotate", {"clientSeed": client_seed}))["clientSeed"] == client_seed


def test_a_rotation_is_retried_safely(server, client_seed, live_key):
  ok(server.draw("ints", {"clientSeed": client_seed}, key=live_key))
  name = unique("rotation")
  answers = together(16, lambda _: rotate(server, client_seed, live_key, idempotency=name))
  assert all(same_answer(answer, answers[0]) for answer in answers)
  assert server.seed(client_seed, live_key)["serverHash"] == answers[0].json()["next"]["serverHash"]
  again = rotate(server, client_seed, live_key, idempotency=name)
  assert same_answer(again, answers[0]) and again.replayed


def test_rotations_and_draws_at_once(server, client_seed, verifier):
  """Every outcome was drawn from the one seed whose hash it carries, whatever came between."""
  ok(server.draw("ints", {"clientSeed": client_seed, "max": 2**32}))
  def work(index):
    with server.connect() as connection:
      if index % 4 == 0:
        return [ok(connection.post("/api/rotate", {"clientSeed": client_seed})) for _ in range(10)]
      return [ok(connection.get("/api/ints", {"clientSeed": client_seed, "max": 2**32})) for _ in range(25)]
  rotations = [answer for some in together(16, work) for answer in some if "revealed" in answer] + [ok(rotate(server, client_seed))]
  seeds = {answer["revealed"]["serverHash"]: answer["revealed"]["serverSeed"] for answer in rotations}
  assert len(seeds) == len(rotations) == 41
  outcomes = listed(server, client_seed)
  assert [outcome["nonce"] for outcome in outcomes] == list(range(12 * 25, -1, -1))
  for outcome in outcomes:
    assert verifier.verify(outcome, seeds[outcome["serverHash"]])["ok"], outcome


def test_rotations_outlive_a_crash(serve):
  server = serve()
  ok(server.draw("ints", {"clientSeed": "kept"}))
  first = ok(rotate(server, "kept"))
  second = ok(server.draw("ints", {"clientSeed": "kept"}))
  server.kill()
  server.start()
  assert second["serverHash"] == first["next"]["serverHash"] == server.seed("kept")["serverHash"]
  again = ok(rotate(server, "kept"))
  assert sha256_hex(again["revealed"]["serverSeed"]) == second["serverHash"]
  assert [outcome["serverHash"] for outcome in listed(server, "kept")] == [second["serverHash"], first["revealed"]["serverHash"]]


@pytest.mark.parametrize("body, naming", [
  ({"clientSeed": ""}, "clientSeed"), ({"clientSeed": "x" * 257}, "clientSeed"), ({"clientSeed": "a\0b"}, "clientSeed"),
  ({"clientSeed": 5}, "clientSeed"), ({"clientSeed": None}, "clientSeed"), ({"clientSeed": ["a"]}, "clientSeed"),
  ('{"clientSeed": "a", "clientSeed": "a"}', "clientSeed"), ("[]", "body"), ("{", "JSON"), ('{"clientSeed": "\\ud800"}', "clientSeed"),
])
def test_bad_rotations(server, unchanged, body, naming):
  refused(server.post("/api/rotate", body), 400, naming=naming)


# commit and reveal


@pytest.mark.parametrize("mode", [None, "live", "test"])
@pytest.mark.parametrize("endpoint, params", [
  *((endpoint, REQUIRED.get(endpoint, {})) for endpoint in DRAWS), ("ints", {"count": 5, "min": -10, "max": 10}),
  ("pick", {"items": ["a", 2.50, {"id": 3}], "weights": [1, 0, 2.5]}), ("gaussian", {"distribution": "poisson", "lambda": 4, "count": 3}),
  ("bytes", {"count": 7, "encoding": "base64"}), ("shuffle", {"items": list(range(1000))})], ids=lambda value: str(value)[:40])
def test_commit_then_reveal(server, client_seed, account, verifier, mode, endpoint, params):
  key = server.key(account, mode) if mode else None
  before = time.time() * 1000
  committed = ok(commit(server, key))
  assert set(committed) == {"commitId", "serverHash", "expiresAt"}
  assert str(uuid.UUID(committed["commitId"])) == committed["commitId"]
  assert before + 590_000 < committed["expiresAt"] < time.time() * 1000 + 610_000
  response = reveal(server, committed["commitId"], key, client_seed, endpoint, params)
  outcome = ok(response)
  plain = ok(server.draw(endpoint, {**params, "clientSeed": client_seed}, key=key))
  assert set(outcome) == set(plain) | {"serverSeed", "commitId"}
  assert outcome["commitId"] == committed["commitId"]
  assert sha256_hex(outcome["serverSeed"]) == outcome["serverHash"] == committed["serverHash"]
  assert coordinates(outcome) == (0, 0) and outcome["mode"] == (mode or "live")
  assert (outcome["clientSeed"], outcome["endpoint"]) == (client_seed, endpoint)
  assert response.header("shortId") == outcome["shortId"]
  assert verifier.verify(outcome, outcome["serverSeed"], params.get("items"))["ok"]
  # It is no part of the client seed's own chain, and stands in the list all the same, as it was answered.
  assert listed(server, client_seed, key) == ([plain] if mode == "test" else [plain, outcome])
  assert plain["nonce"] == 0 and plain["serverHash"] != outcome["serverHash"]
  # A second reveal is told what became of the first.
  second = reveal(server, committed["commitId"], key, client_seed, endpoint, params)
  assert refused(second, 409, "commitment_used")
  again = second.json()
  assert (again["shortId"], again["permalink"]) == (outcome["shortId"], outcome["permalink"])
  assert server.get(f"/o/{again['shortId']}").status == 200


def test_reveals_are_listed_among_draws(server, client_seed, account):
  key, other = server.key(account), server.key(account)
  answers = []
  for number in range(12):
    draw = lambda: server.draw("ints", {"clientSeed": client_seed}, key=key)
    answers.append(ok(draw() if number % 3 else reveal(server, ok(commit(server, key))["commitId"], key, client_seed)))
    wait_until(lambda: time.time() * 1000 > answers[-1]["created"], "the next draw has a time of its own")
  answers.reverse()
  assert listed(server, client_seed, other) == answers
  page, before = [], None
  while got := ok(server.get("/api/listOutcomes", {"clientSeed": client_seed, "limit": 5, **({"before": before} if before else {})}, key=other)):
    page += got
    before = got[-1]["shortId"]
  assert page == answers
  exported = server.cli("outcomes", "list", "--account", account, "--client-seed", client_seed, "--public-url", f"http://127.0.0.1:{server.port}", check=True)
  assert [json.loads(line) for line in exported.stdout.splitlines()] == answers
  assert ok(server.get("/api/listOutcomes", {"clientSeed": client_seed, "before": answers[0]["shortId"]}, key=server.key())) == []


def test_params_may_be_left_out_and_may_repeat_the_client_seed(server, client_seed):
  for extra in ({}, {"params": {"clientSeed": client_seed}}):
    body = {"commitId": ok(commit(server))["commitId"], "clientSeed": client_seed, "endpoint": "ints", **extra}
    assert ok(server.post("/api/reveal", body))["clientSeed"] == client_seed


def test_a_commit_id_in_capitals_is_the_same(server):
  commit_id = ok(commit(server))["commitId"]
  assert ok(reveal(server, commit_id.upper()))["commitId"] == commit_id


@pytest.mark.parametrize("mode", [None, "live", "test"])
def test_a_commitment_is_good_for_one_outcome(server, account, mode):
  key = server.key(account, mode) if mode else None
  commit_id = ok(commit(server, key))["commitId"]
  answers = together(100, lambda index: reveal(server, commit_id, key, f"client-{index}"))
  assert sorted(answer.status for answer in answers) == [200] + [409] * 99
  assert all(answer.status == 200 or refused(answer, 409, "commitment_used") for answer in answers)
  refused(reveal(server, commit_id, key), 409, "commitment_used")
  assert server.used(account) == (mode == "live")


def test_commitments_belong_to_their_callers(server, account, live_key, test_key):
  callers = {"anonymous": None, "live": live_key, "sibling": server.key(account), "test": test_key, "stranger": server.key()}
  for name, key in callers.items():
    commit_id = ok(commit(server, key))["commitId"]
    for other, another in callers.items():
      if other != name and {name, other} != {"live", "sibling"}:
        refused(reveal(server, commit_id, another), 403, "commitment_not_yours")
    ok(reveal(server, commit_id, callers["sibling"] if name == "live" else key))


def test_unknown_commitments(server, live_key, unchanged):
  for key in (None, live_key):
    refused(reveal(server, str(uuid.uuid4()), key), 404, "unknown_commitment")


def test_an_expired_commitment_is_gone(serve):
  server = serve(FAIRDRAW_COMMIT_TTL_MS=1)
  key = server.key()
  committed = ok(commit(server, key))
  while time.time() * 1000 <= committed["expiresAt"]:
    time.sleep(0.001)
  for _ in range(2):
    refused(reveal(server, committed["commitId"], key), 410, "commitment_expired")
  server.restart()
  refused(reveal(server, committed["commitId"], key), 410, "commitment_expired")
  assert server.sql("SELECT count(*) FROM outcomes") == [(0,)]


def test_a_commitment_outlives_a_crash(serve):
  server = serve()
  key = server.key()
  first, second = ok(commit(server, key)), ok(commit(server, key))
  used = reveal(server, first["commitId"], key, idempotency="r")
  server.kill()
  server.start()
  assert same_answer(reveal(server, first["commitId"], key, idempotency="r"), used)
  refused(reveal(server, first["commitId"], key), 409, "commitment_used")
  assert ok(reveal(server, second["commitId"], key))["serverHash"] == second["serverHash"]


BAD_REVEALS = [
  ({"commitId": None}, "commitId"), ({"commitId": 5}, "commitId"), ({"commitId": ""}, "commitId"), ({"commitId": "x"}, "commitId"),
  ({"commitId": "g" * 36}, "commitId"), ({"commitId": "0" * 32}, "commitId"), ({"commitId": ["a"]}, "commitId"),
  ({"endpoint": "dice"}, "notation"), ({"endpoint": "shuffle"}, "items"), ({"endpoint": "batch"}, "endpoint"), ({"endpoint": "Ints"}, "endpoint"), ({"endpoint": ""}, "endpoint"), ({"endpoint": 1}, "endpoint"),
  ({"endpoint": None}, "endpoint"), ({"params": None}, "params"), ({"params": []}, "params"), ({"params": "count=1"}, "params"), ({"params": 1}, "params"),
  ({"params": {"count": 0}}, "count"), ({"params": {"count": 101}}, "count"), ({"params": {"count": "x"}}, "count"), ({"params": {"count": None}}, "count"),
  ({"params": {"min": 2, "max": 1}}, "max"), ({"params": {"max": SAFE + 1}}, "max"), ({"params": {"clientSeed": "other"}}, "clientSeed"),
  ({"params": {"clientSeed": ""}}, "clientSeed"), ({"clientSeed": ""}, "clientSeed"), ({"clientSeed": "x" * 257}, "clientSeed"),
  ({"clientSeed": "a\0b"}, "clientSeed"), ({"clientSeed": None}, "clientSeed"), ({"clientSeed": {}}, "clientSeed"),
]


@pytest.mark.parametrize("change, naming", BAD_REVEALS, ids=lambda value: json.dumps(value)[:40])
def test_a_bad_reveal_leaves_the_commitment_as_it_was(server, live_key, change, naming):
  commit_id = ok(commit(server, live_key))["commitId"]
  before = server.footprint()
  good = {"commitId": commit_id, "clientSeed": "test", "endpoint": "ints", "params": {}}
  refused(server.post("/api/reveal", {**good, **change}, key=live_key), 400, naming=naming)
  assert server.footprint() == before
  ok(server.post("/api/reveal", good, key=live_key))


@pytest.mark.parametrize("name", ["commitId", "endpoint"])
def test_what_a_reveal_cannot_do_without(server, unchanged, name):
  body = {"commitId": str(uuid.uuid4()), "clientSeed": "test", "endpoint": "ints", "params": {}}
  del body[name]
  assert refused(server.post("/api/reveal", body), 400, naming=name)


@pytest.mark.parametrize("name", ["commitId", "endpoint", "clientSeed", "params"])
def test_what_a_reveal_is_given_twice(server, unchanged, name):
  body = {"commitId": str(uuid.uuid4()), "clientSeed": "test", "endpoint": "ints", "params": {}}
  pairs = [f"{json.dumps(k)}: {json.dumps(v)}" for k, v in body.items()]
  twice = f"{json.dumps(name)}: {json.dumps(body[name])}"
  refused(server.post("/api/reveal", "{" + ", ".join([*pairs, twice]) + "}"), 400, naming=name)


def test_bad_commits(server):
  for body in ("{", "[]", "nope"):
    refused(server.post("/api/commit", body), 400)
  refused(server.post("/api/commit", {"clientSeed": "test"}), 400, naming="clientSeed")
  for body in (None, "{}", {"_unknown": 1}):
    ok(server.post("/api/commit", body))


def test_a_reveal_is_billed_like_a_draw_and_waits_for_the_quota(server, client_seed):
  account = server.account("--daily-quota", 2)
  key = server.key(account)
  ids = [ok(commit(server, key))["commitId"] for _ in range(5)]
  assert server.used(account) == 0
  assert [reveal(server, commit_id, key).status for commit_id in ids] == [200, 200, 429, 429, 429]
  response = reveal(server, ids[2], key, idempotency="late")
  refused(response, 429, "quota_exceeded")
  assert int(response.header("Retry-After")) == response.json()["retryAfter"] > 0
  assert server.used(account) == 2
  refused(reveal(server, ids[0], key), 409, "commitment_used")


def test_a_commitment_that_met_the_quota_is_still_good(serve):
  server = serve()
  account = server.account("--daily-quota", 0)
  key = server.key(account)
  commit_id = ok(commit(server, key))["commitId"]
  refused(reveal(server, commit_id, key, idempotency="late"), 429, "quota_exceeded")
  assert server.stop() == 0
  server.alter("UPDATE accounts SET daily_quota = 1")
  server.start()
  ok(reveal(server, commit_id, key, idempotency="late"))


def test_a_reveal_is_retried_safely(server, account, live_key):
  commit_id = ok(commit(server, live_key))["commitId"]
  name = unique("reveal")
  answers = together(16, lambda _: reveal(server, commit_id, live_key, idempotency=name))
  assert answers[0].status == 200 and all(same_answer(answer, answers[0]) for answer in answers)
  assert sum(answer.replayed for answer in answers) == 15
  assert server.used(account) == 1
  refused(reveal(server, commit_id, live_key, idempotency=name, client_seed="other"), 409, "idempotency_replay")


def test_a_commit_is_retried_safely(server, live_key):
  name = unique("commit")
  first, again = commit(server, live_key, idempotency=name), commit(server, live_key, idempotency=name)
  assert same_answer(first, again) and again.replayed
  assert ok(commit(server, live_key))["commitId"] != ok(first)["commitId"]


@pytest.mark.parametrize("path", ["/api/rotate", "/api/commit", "/api/reveal"])
def test_only_posts(server, unchanged, path):
  for method in ("GET", "PUT", "DELETE", "HEAD"):
    response = server.request(method, path)
    assert response.status == 405 and "POST" in response.header("Allow")


# Secrets


def bytes_at_rest(server):
  """The database with its write-ahead log, and the server's own log."""
  files = [server.database, server.database.with_name(server.database.name + "-wal"), server.log]
  return b"\n".join(file.read_bytes() for file in files if file.exists())


def test_no_seed_is_anywhere_before_it_is_revealed(serve):
  """What was written and answered before a seed was told is kept, and searched for it once it is known."""
  server = serve()
  keys = {"anonymous": None, "live": server.key(), "test": server.key(mode="test")}
  said = []

  def ask(method, path, query=None, **rest):
    response = server.request(method, path, query, **rest)
    said.append(response.body + str(response.headers).encode())
    return response

  commitments = {}
  for name, key in keys.items():
    ask("GET", "/api/seed", {"clientSeed": "secret"}, key=key)
    for endpoint in DRAWS:
      ask("GET", f"/api/{endpoint}", {"clientSeed": "secret", **REQUIRED.get(endpoint, {})}, key=key, idempotency=f"{name}-{endpoint}")
    drawn = ok(ask("GET", "/api/listOutcomes", {"clientSeed": "secret"}, key=key))
    for outcome in drawn:
      ask("GET", "/api/verifyShortId", {"shortId": outcome["shortId"]}, key=key)
      ask("GET", "/api/verifyServerHash", {"clientSeed": "secret", "serverHash": outcome["serverHash"]}, key=key)
    ask("GET", "/api/incrementCursor", {"clientSeed": "secret"}, key=key)
    for path in ("/api/rotate", "/api/reveal"):
      ask("POST", path, body={"clientSeed": "never drawn", "commitId": str(uuid.uuid4()), "endpoint": "ints"}, key=key)
    commitments[name] = ok(ask("POST", "/api/commit", key=key, idempotency="commit"))["commitId"]
    ask("POST", "/api/reveal", body={"commitId": commitments[name], "endpoint": "dice"}, key=key)
  for path in ("/api/health", "/api/public-metrics", "/nowhere"):
    ask("GET", path)
  evidence = b"\n".join(said) + bytes_at_rest(server)
  assert b"secret" in evidence and b"serverHash" in evidence, "what is looked for could be found"

  seeds = [ok(rotate(server, "secret", keys[name]))["revealed"]["serverSeed"] for name in ("anonymous", "live")]
  seeds += [ok(reveal(server, commitments[name], key, idempotency="reveal"))["serverSeed"] for name, key in keys.items()]
  assert len(set(seeds)) == 5
  for seed in seeds:
    for form in (seed.encode(), seed.upper().encode(), bytes.fromhex(seed), seed[:32].encode(), bytes.fromhex(seed)[:16]):
      assert form not in evidence
    # And now it is told: it may be in the database, but never in the log.
    assert seed.encode() in bytes_at_rest(server)
    assert seed not in server.settled_log()
  # The seeds that came after are as secret as the first were.
  later = bytes_at_rest(server)
  for name in ("anonymous", "live"):
    ok(server.draw("ints", {"clientSeed": "secret"}, key=keys[name]))
    seed = ok(rotate(server, "secret", keys[name]))["revealed"]["serverSeed"]
    assert seed.encode() not in later and bytes.fromhex(seed) not in later and seed not in server.settled_log()
