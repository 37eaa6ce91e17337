"""POST /api/batch: up to 50 draws, in order, each on its own feet."""

import json
import subprocess

import pytest

from harness import DRAWS, REQUIRED, TIMEOUT, node


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
  assert results[1] == {"ok": False, **alone.json()}
  assert alone.code == "invalid_parameter" and alone.json()["parameter"] in alone.error
  assert [results[i]["outcome"]["nonce"] for i in (0, 2)] == [0, 1]


def test_items_required(server):
  assert batch(server, {"endpoint": "pick", "params": {}})[0] == {
    "ok": False, "error": "items required", "code": "invalid_parameter", "parameter": "items"}


@pytest.mark.parametrize("draw", [
  None, 1, "ints", True, [], {}, {"params": {}}, {"endpoint": None}, {"endpoint": 1, "params": {}}, {"endpoint": "nope", "params": {}},
  {"endpoint": "INTS", "params": {}}, {"endpoint": "/api/ints", "params": {}}, {"endpoint": "batch", "params": {}}, {"endpoint": "reveal", "params": {}},
  {"endpoint": "ints", "params": []}, {"endpoint": "ints", "params": "count=1"}, {"endpoint": "ints", "params": 1}, {"endpoint": "ints", "params": None},
], ids=repr)
def test_an_entry_that_is_no_draw_fails_alone(server, client_seed, draw):
  results = batch(server, entry("ints", clientSeed=client_seed), draw, entry("ints", clientSeed=client_seed))
  assert [result["ok"] for result in results] == [True, False, True]
  assert set(results[1]) == {"ok", "error", "code", "parameter"} and results[1]["error"]
  assert results[1]["code"] == ("unknown_endpoint" if isinstance(draw, dict) and isinstance(draw.get("endpoint"), str) and "params" in draw
                                and draw["endpoint"] != "ints" else "invalid_parameter")
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


# Names of entries


def test_an_entrys_id_comes_back(server, client_seed):
  draw = entry("ints", clientSeed=client_seed)
  ids = ["1", "", "\u00e9\"\n", "x" * 64, "\u00e9" * 32]
  results = batch(server, *[{**draw, "id": name} for name in ids], {"id": "bad", "endpoint": "pick"}, {"id": "odd", "endpoint": "coin"},
                  {"id": "more", "endpoint": "ints", "count": 3})
  assert [result["id"] for result in results] == [*ids, "bad", "odd", "more"]
  assert [result.get("code") for result in results[5:]] == ["invalid_parameter", "unknown_endpoint", "invalid_parameter"]
  assert [result.get("parameter") for result in results[5:]] == ["items", "endpoint", "count"]


@pytest.mark.parametrize("name", [1, None, True, [], {}, "x" * 65, "\u00e9" * 33])
def test_a_bad_id_fails_alone(server, client_seed, name):
  results = batch(server, {**entry("ints"), "id": name}, entry("ints", clientSeed=client_seed))
  assert results[0]["error"].startswith("id must be a string") and "id" not in results[0]
  assert (results[0]["code"], results[0]["parameter"]) == ("invalid_parameter", "id")
  assert results[1]["ok"]


# All or nothing


@pytest.mark.parametrize("mode", [None, "live", "test"])
def test_an_atomic_batch_draws_all_or_nothing(server, account, client_seed, mode):
  key = server.key(account, mode) if mode else None
  draws = [{**entry("ints", clientSeed=client_seed), "id": "a"}, entry("dice", clientSeed=client_seed)]
  before = server.footprint()
  body = {"draws": [*draws, {"endpoint": "pick", "params": {}, "id": "b"}], "atomic": True}
  response = server.post("/api/batch", body, key=key)
  assert response.status == 200
  aborted = {"ok": False, "error": "Nothing was drawn: another draw of this atomic batch failed.", "code": "aborted"}
  assert response.json()["results"] == [
    {**aborted, "id": "a"}, aborted, {"ok": False, "id": "b", "error": "items required", "code": "invalid_parameter", "parameter": "items"}]
  assert server.footprint() == before
  results = server.post("/api/batch", {**body, "draws": draws}, key=key).json()["results"]
  assert [result["outcome"]["nonce"] for result in results] == ([0, 0] if mode == "test" else [0, 1])


def test_an_atomic_batch_and_the_quota(server, client_seed, idempotency):
  account = server.account("--daily-quota", 3)
  key, draws = server.key(account), [entry("ints", clientSeed=client_seed)] * 4
  ask = lambda: server.post("/api/batch", {"draws": draws, "atomic": True}, key=key, idempotency=idempotency)
  first, second = ask(), ask()
  assert [result["code"] for result in first.json()["results"]] == ["aborted"] * 3 + ["quota_exceeded"]
  assert second.replayed and second.body == first.body
  assert server.used(account) == 0
  response = server.post("/api/batch", {"draws": draws[:3], "atomic": True}, key=key)
  assert [result["ok"] for result in response.json()["results"]] == [True] * 3


@pytest.mark.parametrize("atomic", [None, 1, "true", "yes", [], {}])
def test_atomic_is_true_or_false(server, unchanged, atomic):
  response = server.post("/api/batch", {"draws": [entry("ints")], "atomic": atomic})
  assert response.status == 400 and response.json()["parameter"] == "atomic", response


def test_a_batch_that_is_not_atomic_says_so(server, client_seed):
  response = server.post("/api/batch", {"draws": [entry("ints", clientSeed=client_seed), {"endpoint": "pick"}], "atomic": False})
  assert [result["ok"] for result in response.json()["results"]] == [True, False]


def test_both_ways_of_a_request_know_it(server, live_key, client_seed):
  """A key's first request after the server has started is not answered on its connection."""
  body = {"draws": [{**entry("ints", clientSeed=client_seed), "id": "a"}, {"endpoint": "pick", "id": "b"}], "atomic": True}
  answers = [server.post("/api/batch", body, key=live_key) for _ in range(3)]
  assert len({answer.body for answer in answers}) == 1
  assert server.nonce(client_seed, live_key) == 0


GUIDE = """
import { readFileSync } from "node:fs";
const { url, key, req } = JSON.parse(readFileSync(0, "utf8"));
async function batch(req) {
  const response = await fetch(`${url}/api/batch`, {
    method: "POST", headers: { "Content-Type": "application/json", "x-api-key": key }, body: JSON.stringify(req) });
  return response.json();
}
%s
console.log(JSON.stringify({ okOutcomes, errors }));
"""

# A client of the hosted service's, as it is written there.
CLIENT = """
const { results } = await batch(req);
const okOutcomes = [];
const errors = [];
results.forEach((r, i) => {
if (r.ok) okOutcomes.push({ index: i, outcome: r.outcome });
else errors.push({ index: i, draw: req.draws[i], error: r.error, code: r.code });
});
if (errors.length) console.warn("batch had partial failures:", errors);
"""


def test_a_client_of_the_hosted_service_runs_as_it_is(server, client_seed):
  key = server.key(server.account("--daily-quota", 3))
  draws = [
    entry("ints", clientSeed=f"{client_seed}:chest-1", count=1, min=1, max=100), entry("ints", clientSeed=f"{client_seed}:chest-2", count=1, min=1, max=100),
    {"endpoint": "pick", "params": {"clientSeed": f"{client_seed}:loot-3"}}, entry("dice", clientSeed=f"{client_seed}:boss", notation="2d20+5"), entry("ints"),
  ]
  script = json.dumps({"url": f"http://{server.host}:{server.port}", "key": key, "req": {"draws": draws}})
  done = subprocess.run(
    [*node(), "--input-type=module", "--eval", GUIDE % CLIENT], input=script, capture_output=True, text=True, timeout=TIMEOUT)
  assert done.returncode == 0, done.stderr
  told = json.loads(done.stdout)
  assert [(good["index"], good["outcome"]["clientSeed"]) for good in told["okOutcomes"]] == [
    (index, draws[index]["params"]["clientSeed"]) for index in (0, 1, 3)]
  assert [(bad["index"], bad["error"], bad["code"]) for bad in told["errors"]] == [
    (2, "items required", "invalid_parameter"), (4, "The account's daily quota is spent; it renews at midnight UTC.", "quota_exceeded")]
  assert [bad["draw"] for bad in told["errors"]] == [draws[2], draws[4]]
  assert "batch had partial failures:" in done.stderr
