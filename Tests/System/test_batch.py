"""POST /api/batch: up to 50 draws, in order, each on its own feet."""

import pytest

from harness import DRAWS, REQUIRED


def batch(server, *draws, **rest):
  response = server.post("/api/batch", {"draws": list(draws)}, **rest)
  assert response.status == 200, response
  body = response.json()
  assert set(body) == {"results"}
  assert len(body["results"]) == len(draws)
  return body["results"]


def entry(endpoint, **params):
  return {"endpoint": endpoint, "params": {**REQUIRED.get(endpoint, {}), **params}}


def test_results_stand_in_the_order_of_the_draws(server, client_seed):
  results = batch(server, *(entry(endpoint, clientSeed=f"{client_seed}:{endpoint}") for endpoint in reversed(DRAWS)))
  assert [result["outcome"]["endpoint"] for result in results] == list(reversed(DRAWS))
  assert [result["outcome"]["clientSeed"] for result in results] == [f"{client_seed}:{endpoint}" for endpoint in reversed(DRAWS)]
  assert all(set(result) == {"ok", "outcome"} and result["ok"] is True for result in results)


def test_draws_of_one_client_seed_get_consecutive_nonces(server, client_seed):
  other = client_seed + "-other"
  results = batch(server, *(entry("ints", clientSeed=seed) for seed in [client_seed, other] * 25))
  assert [result["outcome"]["nonce"] for result in results] == [i // 2 for i in range(50)]
  assert len({result["outcome"]["shortId"] for result in results}) == 50
  assert server.nonce(client_seed) == server.nonce(other) == 25


def test_an_outcome_of_a_batch_is_recorded_like_any_other(server, client_seed, live_key):
  results = batch(server, entry("ints", clientSeed=client_seed), entry("dice", clientSeed=client_seed), key=live_key)
  found = server.get("/api/listOutcomes", {"clientSeed": client_seed}, key=live_key).json()
  assert found == [results[1]["outcome"], results[0]["outcome"]]


def test_defaults_hold_in_a_batch(server):
  outcome = batch(server, {"endpoint": "ints", "params": {}})[0]["outcome"]
  assert (outcome["clientSeed"], outcome["count"], outcome["min"], outcome["max"]) == ("test", 1, 1, 100)


BAD = [
  ("floats", {"count": 101}), ("floats", {"count": 3.5}), ("ints", {"min": 2, "max": 1}), ("ints", {"max": "abc"}), ("shuffle", {}),
  ("pick", {}), ("pick", {"items": ["a", "b"], "weights": [1]}), ("bytes", {"encoding": "utf8"}), ("dice", {}), ("dice", {"notation": "2x6"}),
  ("gaussian", {"stddev": 0}), ("gaussian", {"distribution": "poisson", "lambda": 101}), ("ints", {"clientSeed": ""}),
  ("ints", {"clientSeed": "a\0b"}), ("ints", {"count": None}), ("shuffle", {"items": list(range(1001))}),
]


@pytest.mark.parametrize("endpoint, params", BAD)
def test_a_bad_draw_fails_alone_in_the_endpoints_own_words(server, client_seed, endpoint, params):
  alone = server.post(f"/api/{endpoint}", params)
  assert alone.status == 400
  results = batch(server, entry("ints", clientSeed=client_seed), {"endpoint": endpoint, "params": params}, entry("ints", clientSeed=client_seed))
  assert [result["ok"] for result in results] == [True, False, True]
  assert results[1] == {"ok": False, "error": alone.error}
  assert [results[i]["outcome"]["nonce"] for i in (0, 2)] == [0, 1]


def test_items_required(server):
  assert batch(server, {"endpoint": "pick", "params": {}})[0] == {"ok": False, "error": "items required"}


@pytest.mark.parametrize("draw", [
  None, 1, "ints", True, [], {}, {"params": {}}, {"endpoint": None}, {"endpoint": 1, "params": {}}, {"endpoint": "nope", "params": {}},
  {"endpoint": "INTS", "params": {}}, {"endpoint": "/api/ints", "params": {}}, {"endpoint": "batch", "params": {}}, {"endpoint": "reveal", "params": {}},
  {"endpoint": "ints", "params": []}, {"endpoint": "ints", "params": "count=1"}, {"endpoint": "ints", "params": 1}, {"endpoint": "ints", "params": None},
], ids=repr)
def test_an_entry_that_is_no_draw_fails_alone(server, client_seed, draw):
  results = batch(server, entry("ints", clientSeed=client_seed), draw, entry("ints", clientSeed=client_seed))
  assert [result["ok"] for result in results] == [True, False, True]
  assert set(results[1]) <= {"ok", "error", "code"} and results[1]["error"]
  assert server.nonce(client_seed) == 2


def test_a_batch_of_nothing_but_bad_draws(server, client_seed, unchanged):
  assert [result["ok"] for result in batch(server, *[{"endpoint": "pick", "params": {"clientSeed": client_seed}}] * 50)] == [False] * 50


def test_a_repeated_key_in_params_fails_alone(server, client_seed):
  body = '{"draws": [{"endpoint": "ints", "params": {"clientSeed": "%s", "count": 1, "count": 2}}, {"endpoint": "ints", "params": {"clientSeed": "%s"}}]}'
  response = server.post("/api/batch", body % (client_seed, client_seed))
  assert response.status == 200, response
  results = response.json()["results"]
  assert [result["ok"] for result in results] == [False, True]
  assert "count" in results[0]["error"]


def test_a_batch_of_the_largest_draws(server, client_seed):
  results = batch(server, *[entry("bytes", clientSeed=client_seed, count=1024)] * 50)
  assert all(len(result["outcome"]["outcome"]) == 2048 for result in results)


def test_headers(server, live_key):
  response = server.post("/api/batch", {"draws": [entry("ints")]}, key=live_key)
  assert response.header("Cache-Control") == "no-store"
  assert response.header("X-Request-Id")
  assert response.header("Server-Timing")
  assert response.header("shortId") is None


def test_a_batch_is_one_request_to_the_rate_limit(serve):
  server = serve(FAIRDRAW_RATE_LIMIT_PER_MINUTE=100)
  assert all(result["ok"] for result in batch(server, *[entry("ints")] * 50))
  assert all(result["ok"] for result in batch(server, *[entry("ints")] * 50))
  assert all(result["ok"] for result in batch(server, *[entry("ints")] * 50))
