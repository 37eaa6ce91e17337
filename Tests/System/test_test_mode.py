"""Test mode: with a test key the same request gives the same answer, for ever, and nobody pays."""

import pytest

from harness import DRAWS, REQUIRED, together


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("endpoint", DRAWS)
def test_the_same_request_gets_the_same_bytes(server, test_key, client_seed, endpoint, method):
  ask = lambda: server.draw(endpoint, {"clientSeed": client_seed}, method, key=test_key)
  first = ask()
  assert first.status == 200
  assert first.json()["mode"] == "test"
  assert (first.json()["cursor"], first.json()["nonce"]) == (0, 0)
  for _ in range(3):
    again = ask()
    assert again.body == first.body
    assert again.header("shortId") == first.header("shortId")


def test_however_the_parameters_are_spelt(server, test_key, client_seed):
  ask = lambda query: server.get("/api/ints", f"clientSeed={client_seed}{query}", key=test_key).body
  assert len({ask(q) for q in ("", "&count=1", "&min=1&max=100", "&max=1e2&count=1.0", "&_unknown=x")}) == 1
  assert server.post("/api/ints", {"clientSeed": client_seed}, key=test_key).body == ask("")


def test_other_parameters_are_another_draw_from_the_same_seed(server, test_key, client_seed):
  answers = [server.draw("ints", {"clientSeed": client_seed, "count": count}, key=test_key).json() for count in (1, 2, 3)]
  assert len({answer["shortId"] for answer in answers}) == 3
  assert len({answer["serverHash"] for answer in answers}) == 1
  assert answers[0]["outcome"] == answers[2]["outcome"][:1]
  other = server.draw("ints", {"clientSeed": client_seed + "x"}, key=test_key).json()
  assert other["serverHash"] != answers[0]["serverHash"]


def test_items_that_differ_are_another_draw(server, test_key, client_seed):
  lists = ([1, 23], [12, 3], ["1", 23], [1, 2, 3], [[1, 23]], ["1,23"])
  answers = [server.draw("shuffle", {"clientSeed": client_seed, "items": items}, "POST", key=test_key).json() for items in lists]
  assert len({answer["shortId"] for answer in answers}) == len(lists)


def test_all_test_keys_of_an_account_agree_and_accounts_do_not(server, account, test_key, client_seed):
  ask = lambda key: server.draw("ints", {"clientSeed": client_seed}, key=key)
  mine = ask(test_key)
  assert ask(server.key(account, "test")).body == mine.body
  theirs = ask(server.key(None, "test"))
  assert theirs.json()["serverHash"] != mine.json()["serverHash"]
  assert theirs.json()["shortId"] != mine.json()["shortId"]


def test_nothing_is_shared_with_live_seeds(server, live_key, test_key, client_seed):
  hashes = [server.draw("ints", {"clientSeed": client_seed}, key=key).json()["serverHash"] for key in (None, live_key, test_key)]
  assert len(set(hashes)) == 3


def test_a_test_draw_moves_no_chain_and_counts_nowhere(server, account, live_key, test_key, client_seed):
  before = [server.seed(client_seed, key) for key in (None, live_key)]
  usage = server.sql("SELECT total(count) FROM usage")
  for endpoint in DRAWS:
    server.draw(endpoint, {"clientSeed": client_seed}, key=test_key)
  assert [server.seed(client_seed, key) for key in (None, live_key)] == before
  assert server.used(account) == 0
  assert server.sql("SELECT total(count) FROM usage") == usage


def test_no_quota(server, client_seed):
  account = server.account("--daily-quota", 1)
  live, test = server.key(account), server.key(account, "test")
  assert [server.draw("ints", key=live).status for _ in range(2)] == [200, 429]
  assert [server.draw("ints", {"clientSeed": client_seed, "count": i + 1}, key=test).status for i in range(5)] == [200] * 5


def test_seed_pins_the_test_hash(server, test_key, client_seed):
  pinned = server.seed(client_seed, test_key)
  assert (pinned["cursor"], pinned["nonce"]) == (0, 0)
  for _ in range(2):
    assert server.draw("ints", {"clientSeed": client_seed}, key=test_key).json()["serverHash"] == pinned["serverHash"]
    assert server.seed(client_seed, test_key) == pinned


def test_the_cursor_of_test_mode_does_not_move(server, test_key, client_seed):
  server.draw("ints", {"clientSeed": client_seed}, key=test_key)
  response = server.get("/api/incrementCursor", {"clientSeed": client_seed}, key=test_key)
  assert (response.status, response.code) == (403, "test_mode_forbidden")
  assert server.seed(client_seed, test_key)["cursor"] == 0


def test_a_batch_gives_what_the_endpoints_give(server, test_key, client_seed):
  parameters = {endpoint: {**REQUIRED.get(endpoint, {}), "clientSeed": client_seed} for endpoint in DRAWS}
  singles = {endpoint: server.post(f"/api/{endpoint}", parameters[endpoint], key=test_key) for endpoint in DRAWS}
  draws = [{"endpoint": endpoint, "params": parameters[endpoint]} for endpoint in [*DRAWS, *DRAWS]]
  batch = server.post("/api/batch", {"draws": draws}, key=test_key)
  expected = b",".join(b'{"ok":true,"outcome":' + singles[draw["endpoint"]].body + b"}" for draw in draws)
  assert batch.body == b'{"results":[' + expected + b"]}"


def test_a_batch_before_any_single_draw(server, test_key, client_seed):
  draws = [{"endpoint": "ints", "params": {"clientSeed": client_seed}}] * 50
  results = server.post("/api/batch", {"draws": draws}, key=test_key).json()["results"]
  assert all(result == results[0] for result in results)
  assert server.draw("ints", {"clientSeed": client_seed}, key=test_key).json() == results[0]["outcome"]


def test_simultaneous_first_draws_agree(server, test_key, client_seed):
  assert len({answer.body for answer in together(32, lambda _: server.draw("ints", {"clientSeed": client_seed}, key=test_key))}) == 1


def test_test_outcomes_are_looked_up_with_a_test_key(server, live_key, test_key, client_seed):
  drawn = server.draw("ints", {"clientSeed": client_seed}, key=test_key).json()
  asked = {"clientSeed": client_seed, "cursor": 0, "nonce": 0}
  assert server.get("/api/outcome", asked, key=test_key).json() == drawn
  assert server.get("/api/listOutcomes", {"clientSeed": client_seed}, key=test_key).json() == [drawn]
  for key in (None, live_key):
    assert server.get("/api/outcome", asked, key=key).status == 400
    assert server.get("/api/listOutcomes", {"clientSeed": client_seed}, key=key).json() == []


def test_it_is_the_same_after_a_restart(serve):
  server = serve(FAIRDRAW_PUBLIC_URL="https://fair.example")
  key = server.key(mode="test")
  ask = lambda: [server.draw(endpoint, {"clientSeed": "kept"}, key=key).body for endpoint in DRAWS]
  first = ask()
  server.restart()
  assert ask() == first


def test_there_is_no_retry_after_of_a_quota_in_test_batches(server, test_key, client_seed):
  batch = {"draws": [{"endpoint": "ints", "params": {"clientSeed": client_seed, "count": i + 1}} for i in range(50)]}
  results = server.post("/api/batch", batch, key=test_key).json()["results"]
  assert all(result["ok"] and result["outcome"]["nonce"] == 0 for result in results)
