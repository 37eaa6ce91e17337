"""Draws: GET or POST /api/{floats, ints, shuffle, pick, bytes, dice, gaussian, sample}."""

import base64
import json
import re
import time

import pytest

from harness import DRAWS, REQUIRED, exact, sha256_hex

SAFE = 2**53 - 1

COMMON = {
  "outcome", "shortId", "permalink", "serverHash", "clientSeed", "cursor", "nonce", "endpoint", "count", "created", "mode",
}


def drawn(response):
  assert response.status == 200, response
  return response.json()


# What an answer is made of

OWN_FIELDS = [
  ("floats", {}, set()),
  ("ints", {}, {"min", "max"}),
  ("shuffle", {}, set()),
  ("pick", {}, {"index", "weights"}),
  ("bytes", {}, {"encoding"}),
  ("dice", {}, {"sides", "modifier"}),
  ("gaussian", {}, {"distribution", "mean", "stddev"}),
  ("gaussian", {"distribution": "normal", "lambda": 3}, {"distribution", "mean", "stddev"}),
  ("gaussian", {"distribution": "exponential", "mean": 3}, {"distribution", "lambda"}),
  ("gaussian", {"distribution": "poisson", "stddev": 3}, {"distribution", "lambda"}),
  ("sample", {}, {"min", "max"}),
]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("endpoint, parameters, own", OWN_FIELDS)
def test_fields_are_the_common_ones_and_the_endpoints_own(server, client_seed, endpoint, parameters, own, method):
  answer = drawn(server.draw(endpoint, {"clientSeed": client_seed, **parameters}, method))
  assert set(answer) == COMMON | own


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("endpoint", DRAWS)
def test_common_fields(server, client_seed, endpoint, method):
  before = time.time() * 1000
  answer = drawn(server.draw(endpoint, {"clientSeed": client_seed}, method))
  after = time.time() * 1000
  assert answer["endpoint"] == endpoint
  assert answer["clientSeed"] == client_seed
  assert re.fullmatch(r"[A-Za-z0-9]{10}", answer["shortId"])
  assert answer["permalink"] == f"http://127.0.0.1:{server.port}/o/{answer['shortId']}"
  assert re.fullmatch(r"[0-9a-f]{64}", answer["serverHash"])
  assert (answer["cursor"], answer["nonce"]) == (0, 0)
  assert int(before) <= answer["created"] <= after + 1
  assert answer["mode"] == "live"


def test_permalink_begins_with_the_public_url(serve):
  server = serve(FAIRDRAW_PUBLIC_URL="https://fair.example/")
  answer = drawn(server.draw("floats"))
  assert answer["permalink"] == f"https://fair.example/o/{answer['shortId']}"


def test_short_ids_are_all_different(server, client_seed):
  found = [drawn(server.draw("floats", {"clientSeed": client_seed}))["shortId"] for _ in range(100)]
  assert len(set(found)) == 100


@pytest.mark.parametrize("name", ["toolMeta", "_", "_cache", "__proto__"])
def test_what_clients_send_for_purposes_of_their_own_is_ignored(server, client_seed, name):
  assert set(drawn(server.draw("floats", {"clientSeed": client_seed, name: "red"}))) == COMMON
  assert set(drawn(server.draw("floats", {"clientSeed": client_seed, name: {"deep": [1]}}, "POST"))) == COMMON


# Defaults

DEFAULTS = [
  ("floats", {"count": 1}),
  ("ints", {"count": 1, "min": 1, "max": 100}),
  ("shuffle", {"count": 3}),
  ("pick", {"count": 1, "weights": None}),
  ("bytes", {"count": 32, "encoding": "hex"}),
  ("dice", {"count": 2, "sides": 6, "modifier": 0}),
  ("gaussian", {"count": 1, "distribution": "normal", "mean": 0, "stddev": 1}),
]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("endpoint, expected", DEFAULTS)
def test_defaults(server, endpoint, expected, method):
  answer = drawn(server.draw(endpoint, {}, method))
  assert answer["clientSeed"] == "test"
  assert {name: answer[name] for name in expected} == expected


@pytest.mark.parametrize("distribution", ["exponential", "poisson"])
def test_default_lambda(server, distribution):
  assert drawn(server.draw("gaussian", {"distribution": distribution}))["lambda"] == 1


@pytest.mark.parametrize("endpoint", ["ints", "sample"])
def test_post_without_a_body_takes_the_defaults(server, endpoint):
  answer = drawn(server.post(f"/api/{endpoint}", b""))
  assert (answer["clientSeed"], answer["count"], answer["min"], answer["max"]) == ("test", 1, 1, 100)


# Values


@pytest.mark.parametrize("count", [1, 2, 100])
def test_floats(server, client_seed, count):
  answer = drawn(server.draw("floats", {"clientSeed": client_seed, "count": count}))
  assert answer["count"] == len(answer["outcome"]) == count
  for value in answer["outcome"]:
    assert 0 <= value < 1
    assert value * 2**32 == int(value * 2**32), "a float is a multiple of 2^-32"


INT_RANGES = [
  (1, 6), (-5, 5), (7, 7), (0, 2**32 - 1), (-(2**53 - 1), -(2**53 - 1) + 2**32 - 1), (2**53 - 2**32, 2**53 - 1), (-9, -1),
]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("low, high", INT_RANGES)
def test_ints_lie_between_min_and_max(server, client_seed, low, high, method):
  response = server.draw("ints", {"clientSeed": client_seed, "count": 100, "min": low, "max": high}, method)
  answer = drawn(response)
  assert (answer["min"], answer["max"], answer["count"], len(answer["outcome"])) == (low, high, 100, 100)
  assert all(low <= value <= high for value in answer["outcome"])
  assert not re.search(r"[.eE]", re.search(rb'"outcome":\[([^]]*)\]', response.body)[1].decode()), "no point, no exponent"


def test_ints_reach_both_ends(server, client_seed):
  seen = set()
  for _ in range(10):
    seen |= set(drawn(server.draw("ints", {"clientSeed": client_seed, "count": 100, "min": 1, "max": 6}))["outcome"])
  assert seen == {1, 2, 3, 4, 5, 6}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("count, low, high", [
  (1, 0, 0), (10, 1, 10), (1000, -500, 499), (999, 0, 999), (1000, -SAFE, -SAFE + 2**32 - 1), (100, SAFE - 99, SAFE),
])
def test_a_sample_has_no_integer_twice(server, client_seed, count, low, high, method):
  answer = drawn(server.draw("sample", {"clientSeed": client_seed, "count": count, "min": low, "max": high}, method))
  assert (answer["count"], answer["min"], answer["max"]) == (count, low, high)
  assert len(set(answer["outcome"])) == len(answer["outcome"]) == count
  assert all(low <= value <= high for value in answer["outcome"])


def test_a_larger_sample_only_adds_reserves(server, test_key):
  """Each integer drawn is one less to draw from, so the first ones are the same however many follow."""
  few, many = (drawn(server.draw("sample", {"count": count}, key=test_key))["outcome"] for count in (3, 40))
  assert many[:3] == few


@pytest.mark.parametrize("count", [1, 31, 32, 33, 1024])
@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_bytes(server, client_seed, count, encoding):
  answer = drawn(server.draw("bytes", {"clientSeed": client_seed, "count": count, "encoding": encoding}))
  text = answer["outcome"]
  decoded = bytes.fromhex(text) if encoding == "hex" else base64.b64decode(text, validate=True)
  assert len(decoded) == answer["count"] == count
  assert text == text.lower() or encoding == "base64"


NOTATIONS = [
  ("d6", "1d6", 1, 6, 0),
  ("1d6", "1d6", 1, 6, 0),
  ("2d20+5", "2d20+5", 2, 20, 5),
  ("2d20-5", "2d20-5", 2, 20, -5),
  ("2d20 + 5", "2d20+5", 2, 20, 5),
  ("2d20 +5", "2d20+5", 2, 20, 5),
  ("2d20- 5", "2d20-5", 2, 20, -5),
  ("100d1000000", "100d1000000", 100, 1_000_000, 0),
  ("1d2", "1d2", 1, 2, 0),
  ("3d6+0", "3d6", 3, 6, 0),
]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("notation, canonical, dice, sides, modifier", NOTATIONS)
def test_dice(server, client_seed, notation, canonical, dice, sides, modifier, method):
  answer = drawn(server.draw("dice", {"clientSeed": client_seed, "notation": notation}, method))
  roll = answer["outcome"]
  assert set(roll) == {"notation", "rolls", "modifier", "total"}
  assert roll["notation"] == canonical
  assert (answer["count"], answer["sides"], answer["modifier"], roll["modifier"]) == (dice, sides, modifier, modifier)
  assert len(roll["rolls"]) == dice
  assert all(1 <= value <= sides for value in roll["rolls"])
  assert roll["total"] == sum(roll["rolls"]) + modifier


def test_an_unescaped_plus_in_a_query_is_still_a_plus(server, client_seed):
  response = server.get("/api/dice", f"clientSeed={client_seed}&notation=2d20+5")
  assert drawn(response)["outcome"]["notation"] == "2d20+5"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_gaussian_normal(server, client_seed, method):
  parameters = {"clientSeed": client_seed, "count": 99, "mean": 1000.5, "stddev": 0.25}
  answer = drawn(server.draw("gaussian", parameters, method))
  assert (answer["mean"], answer["stddev"], answer["count"], len(answer["outcome"])) == (1000.5, 0.25, 99, 99)
  assert all(abs(value - 1000.5) < 13 * 0.25 for value in answer["outcome"])


def test_gaussian_exponential(server, client_seed):
  answer = drawn(server.draw("gaussian", {"clientSeed": client_seed, "count": 100, "distribution": "exponential", "lambda": 1e6}))
  assert answer["lambda"] == 1e6
  assert all(0 <= value < 37e-6 for value in answer["outcome"])


@pytest.mark.parametrize("rate", [1e-9, 4.2, 100])
def test_gaussian_poisson(server, client_seed, rate):
  answer = drawn(server.draw("gaussian", {"clientSeed": client_seed, "count": 100, "distribution": "poisson", "lambda": rate}))
  assert all(isinstance(value, int) and 0 <= value <= 1000 for value in answer["outcome"])


@pytest.mark.parametrize("endpoint, name, spelling, value", [
  ("floats", "count", "3", 3),
  ("floats", "count", 3, 3),
  ("floats", "count", 3.0, 3),
  ("ints", "min", "-5", -5),
  ("ints", "max", "1e2", 100),
  ("gaussian", "mean", "2.5", 2.5),
  ("gaussian", "mean", "-1e-3", -0.001),
  ("gaussian", "stddev", "1E3", 1000),
])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_numeric_string_is_that_number(server, client_seed, endpoint, name, spelling, value, method):
  answer = drawn(server.draw(endpoint, {"clientSeed": client_seed, name: spelling}, method))
  assert answer[name] == value


@pytest.mark.parametrize("mean, written", [
  (b"0.1", b"0.1"), (b"1e21", b"1e+21"), (b"123456789012345680000", b"123456789012345680000"), (b"1e-7", b"1e-7"),
  (b"0.000001", b"0.000001"), (b"5e-324", b"5e-324"), (b"100.0", b"100"), (b"0.30000000000000004", b"0.30000000000000004"),
])
def test_numbers_are_written_in_the_shortest_form(server, client_seed, mean, written):
  response = server.post("/api/gaussian", b'{"clientSeed": "%s", "mean": %s}' % (client_seed.encode(), mean))
  assert response.status == 200, response
  assert b'"mean":' + written + b"," in response.body


# Items


@pytest.mark.parametrize("query, expected", [
  ("items=a,b,c", ["a", "b", "c"]),
  ("items=a&items=b&items=c", ["a", "b", "c"]),
  ("items=%5B%22a%22,1,null,%7B%22x%22:%5B%5D%7D%5D", ["a", 1, None, {"x": []}]),
  ("items=1,2,3", ["1", "2", "3"]),
  ("items=solo", ["solo"]),
  ("items=a,%20b", ["a", " b"]),
  ("items=a,,b", ["a", "", "b"]),
  ("items=%C3%A9,e%CC%81", ["\u00e9", "e\u0301"]),
  ("items=%22q%22,%5Cn", ['"q"', "\\n"]),
  # An item with a comma: in a JSON array, or where the parameter is repeated, which splits nothing.
  ("items=%5B%22Smith,%20John%22%5D", ["Smith, John"]),
  ("items=a&items=b,c", ["a", "b,c"]),
  ("items=Smith,+John&items=Doe,+Jane", ["Smith, John", "Doe, Jane"]),
  ("items=%5B1%5D&items=%5B2%5D", ["[1]", "[2]"]),
])
def test_items_in_a_query(server, client_seed, query, expected):
  shuffled = drawn(server.get("/api/shuffle", f"clientSeed={client_seed}&{query}"))
  assert sorted(map(json.dumps, shuffled["outcome"])) == sorted(map(json.dumps, expected))
  assert shuffled["count"] == len(expected)
  picked = drawn(server.get("/api/pick", f"clientSeed={client_seed}&{query}"))
  assert picked["outcome"] == expected[picked["index"]]
  assert picked["count"] == 1


@pytest.mark.parametrize("query", ["weights=0,1,0", "weights=%5B0,1,0%5D", "weights=0&weights=1&weights=0"])
def test_weights_in_a_query(server, client_seed, query):
  answer = drawn(server.get("/api/pick", f"clientSeed={client_seed}&items=a,b,c&{query}"))
  assert (answer["outcome"], answer["index"], answer["weights"]) == ("b", 1, [0, 1, 0])


def test_weights_in_a_body(server, client_seed):
  body = {"clientSeed": client_seed, "items": ["a", "b", "c"], "weights": [0, "0.5", 0]}
  answer = drawn(server.post("/api/pick", body))
  assert (answer["outcome"], answer["index"], answer["weights"]) == ("b", 1, [0, 0.5, 0])


def test_null_weights_are_no_weights(server, client_seed):
  assert drawn(server.draw("pick", {"clientSeed": client_seed, "weights": None}, "POST"))["weights"] is None


VERBATIM = [
  "1", "1.0", "1e2", "1E+2", "-0", "0.10", "123456789012345678901234567890", "3.14159265358979323846264338327950288", "1e400",
  "true", "false", "null", '""', '"plain"', '"\\u00e9"', '"\u00e9"', '"\\"\\\\\\/\\b\\f\\n\\r\\t"', '"\\ud83c\\udfb2"', '"\U0001f3b2"',
  "[]", "{}", '[1.50,[2e0,{"deep":[0.0]}]]', '{"b":1.0,"a":{"c":1e1}}',
]


def test_items_come_back_as_they_were_written(server, client_seed):
  body = '{"clientSeed": "%s", "items": [%s]}' % (client_seed, ", ".join(VERBATIM))
  shuffled = server.post("/api/shuffle", body)
  assert shuffled.status == 200, shuffled
  outcome = exact(shuffled.body)["outcome"]
  assert sorted(map(repr, outcome)) == sorted(repr(exact(item)) for item in VERBATIM)


@pytest.mark.parametrize("item", VERBATIM)
def test_a_picked_item_is_digit_for_digit_what_was_sent(server, client_seed, item):
  picked = server.post("/api/pick", '{"clientSeed": "%s", "items": [%s]}' % (client_seed, item))
  assert picked.status == 200, picked
  assert exact(picked.body)["outcome"] == exact(item)


def test_a_thousand_items(server, client_seed):
  items = [{"number": number} for number in range(1000)]
  shuffled = drawn(server.draw("shuffle", {"clientSeed": client_seed, "items": items}, "POST"))
  assert shuffled["count"] == 1000
  assert sorted(item["number"] for item in shuffled["outcome"]) == list(range(1000))
  assert shuffled["outcome"] != items
  weights = [0] * 999 + [1]
  picked = drawn(server.draw("pick", {"clientSeed": client_seed, "items": items, "weights": weights}, "POST"))
  assert (picked["index"], picked["outcome"], picked["weights"]) == (999, {"number": 999}, weights)


# clientSeed


@pytest.mark.parametrize("seed", [
  "x", "x" * 256, "\u00e9" * 128, "\U0001f3b2" * 64, "with space", "a:b:c", 'quote " backslash \\ tab \t newline \n', "\x01\x7f",
  "\u2028\ufeff\u202e", "%41+&=",
])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_client_seeds_are_any_text(server, seed, method):
  assert drawn(server.draw("floats", {"clientSeed": seed}, method))["clientSeed"] == seed


def test_client_seeds_that_differ_in_normalisation_are_two_chains(server, client_seed):
  composed, decomposed = client_seed + "\u00e9", client_seed + "e\u0301"
  for method in ("GET", "POST"):
    for seed in (composed, decomposed):
      drawn(server.draw("floats", {"clientSeed": seed}, method))
  assert server.nonce(composed) == server.nonce(decomposed) == 2
  assert server.seed(composed)["serverHash"] != server.seed(decomposed)["serverHash"]


def test_a_percent_encoded_seed_and_an_escaped_seed_are_the_same(server, client_seed):
  seed = client_seed + "/\u00e9"
  drawn(server.get("/api/floats", f"clientSeed={client_seed}%2F%c3%A9"))
  drawn(server.post("/api/floats", '{"clientSeed": "%s\\/\\u00e9"}' % client_seed))
  drawn(server.post("/api/floats", '{"client\\u0053eed": %s}' % json.dumps(seed)))
  assert server.nonce(seed) == 3


# The three ways to ask are one


@pytest.mark.parametrize("endpoint, parameters, own", OWN_FIELDS)
def test_get_post_and_batch_draw_from_the_same_chain(server, client_seed, endpoint, parameters, own):
  parameters = {**REQUIRED.get(endpoint, {}), **parameters, "clientSeed": client_seed}
  by_get = drawn(server.draw(endpoint, parameters))
  by_post = drawn(server.draw(endpoint, parameters, "POST"))
  batch = server.post("/api/batch", {"draws": [{"endpoint": endpoint, "params": parameters}]})
  by_batch = drawn(batch)["results"][0]["outcome"]
  assert [answer["nonce"] for answer in (by_get, by_post, by_batch)] == [0, 1, 2]
  assert by_get["serverHash"] == by_post["serverHash"] == by_batch["serverHash"]
  fixed = set(by_get) - {"outcome", "index", "nonce", "shortId", "permalink", "created"}
  assert {n: by_get[n] for n in fixed} == {n: by_post[n] for n in fixed} == {n: by_batch[n] for n in fixed}


@pytest.mark.parametrize("endpoint, parameters, own", OWN_FIELDS)
def test_get_post_and_batch_give_the_same_values(server, client_seed, test_key, endpoint, parameters, own):
  """In test mode the same parameters give the same draw, so the three can be laid side by side."""
  parameters = {**REQUIRED.get(endpoint, {}), **parameters, "clientSeed": client_seed}
  by_get = drawn(server.draw(endpoint, parameters, key=test_key))
  by_post = drawn(server.draw(endpoint, parameters, "POST", key=test_key))
  batch = server.post("/api/batch", {"draws": [{"endpoint": endpoint, "params": parameters}]}, key=test_key)
  assert by_get == by_post == drawn(batch)["results"][0]["outcome"]


def test_a_post_may_have_parameters_in_its_query(server, client_seed):
  answer = drawn(server.post("/api/ints", {"count": 2}, query={"clientSeed": client_seed, "max": 6}))
  assert (answer["clientSeed"], answer["count"], answer["max"]) == (client_seed, 2, 6)


def test_pipelined_requests_are_answered_in_order(server, client_seed):
  request = b"GET /api/ints?clientSeed=%s HTTP/1.1\r\nHost: localhost\r\n" % client_seed.encode()
  last = request + b"Connection: close\r\n\r\n"
  with server.open_socket() as sock:
    sock.sendall((request + b"\r\n") * 9 + last)
    with sock.makefile("rb") as stream:
      answers = stream.read()
  assert [int(nonce) for nonce in re.findall(rb'"nonce":(\d+)', answers)] == list(range(10))


# Headers


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("endpoint", DRAWS)
def test_headers(server, client_seed, endpoint, method):
  response = server.draw(endpoint, {"clientSeed": client_seed}, method)
  assert response.header("Content-Type").split(";")[0] == "application/json"
  assert int(response.header("Content-Length")) == len(response.body)
  assert response.header("Cache-Control") == "no-store"
  assert response.header("shortId") == drawn(response)["shortId"]
  assert response.header("X-Request-Id")
  assert response.header("Idempotent-Replayed") is None


def test_every_request_has_an_id_of_its_own(server):
  ids = {server.get(path).header("X-Request-Id") for path in ["/api/floats", "/api/floats", "/api/shuffle", "/nowhere", "/api/health"]}
  assert None not in ids and len(ids) == 5


def test_server_timing_is_for_live_callers(server, live_key, test_key):
  for key in (None, live_key):
    for ask in (lambda: server.draw("floats", key=key), lambda: server.get("/api/listOutcomes", key=key)):
      assert re.fullmatch(r"total;dur=\d+\.\d{3}", ask().header("Server-Timing"))
  assert server.draw("floats", key=test_key).header("Server-Timing") is None


@pytest.mark.parametrize("path", ["/api/ints", "/api/batch", "/api/seed", "/api/listOutcomes", "/api/health"])
def test_cors_preflight(server, path):
  asked = "x-api-key,authorization,content-type,idempotency-key,last-event-id,traceparent,tracestate"
  response = server.request("OPTIONS", path, headers={
    "Origin": "https://game.example", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": asked})
  assert response.status in (200, 204), response
  assert response.header("Access-Control-Allow-Origin") == "*"
  assert set(asked.split(",")) <= {h.strip().lower() for h in response.header("Access-Control-Allow-Headers").split(",")}
  assert {"GET", "POST"} <= {m.strip() for m in response.header("Access-Control-Allow-Methods").split(",")}


@pytest.mark.parametrize("path, status", [("/api/ints", 200), ("/api/shuffle", 400), ("/api/nowhere", 404)])
def test_cors_opens_answers_and_errors_to_any_origin(server, path, status):
  response = server.get(path, headers={"Origin": "https://game.example"})
  assert response.status == status
  assert response.header("Access-Control-Allow-Origin") == "*"
  exposed = {h.strip().lower() for h in response.header("Access-Control-Expose-Headers").split(",")}
  assert {"shortid", "x-request-id", "server-timing", "idempotent-replayed", "retry-after"} <= exposed


# Derivation: the chain is rotated, and what its seed gives is worked out by a program that shares no code with the server

LONG = [{"number": number, "text": "\u00e9" * (number % 3)} for number in range(1000)]
DERIVED = [
  *[("floats", {"count": count}) for count in (1, 2, 7, 8, 9, 100)],
  *[("ints", {"count": 100, "min": low, "max": high}) for low, high in INT_RANGES],
  *[("ints", {"count": 100, "min": 1, "max": high}) for high in (2, 3, 6, 1000, 3_000_000_000, 2**31 + 1)],
  ("shuffle", {"items": ["solo"]}), ("shuffle", {"items": ["a", "b"]}), ("shuffle", {"items": LONG}),
  ("pick", {"items": ["solo"]}), ("pick", {"items": LONG}), ("pick", {"items": ["a", "b", "c"], "weights": [0.1, 0, 0.2]}),
  ("pick", {"items": list(range(1000)), "weights": [1 / (i + 1) for i in range(1000)]}), ("pick", {"items": [1, 2], "weights": [1e-300, 1e300]}),
  *[("bytes", {"count": count, "encoding": encoding}) for count in (1, 31, 32, 33, 1024) for encoding in ("hex", "base64")],
  *[("dice", {"notation": notation}) for notation, *_ in NOTATIONS],
  *[("gaussian", {"count": count, "mean": mean, "stddev": stddev}) for count, mean, stddev in ((1, 0, 1), (2, 100, 15), (99, -1e300, 1e300), (100, 0.1, 5e-324))],
  *[("gaussian", {"count": 100, "distribution": "exponential", "lambda": rate}) for rate in (1e-300, 0.5, 1, 1e300)],
  *[("gaussian", {"count": 100, "distribution": "poisson", "lambda": rate}) for rate in (1e-9, 0.5, 4.2, 100)],
  *[("sample", {"count": count, "min": 5, "max": high}) for count, high in ((1, 5), (6, 10), (999, 1004), (1000, 5 + 2**32 - 1))],
]


def rotated(server, client_seed, key=None):
  """The server seed of the chain so far."""
  return drawn(server.post("/api/rotate", {"clientSeed": client_seed}, key=key))["revealed"]["serverSeed"]


@pytest.mark.parametrize("client_seed_text", ["plain", "a:b:0", "\u00e9\U0001f3b2", "x" * 150])
def test_every_outcome_follows_from_the_seed_it_was_committed_to(server, client_seed, verifier, client_seed_text):
  seed = f"{client_seed}{client_seed_text}"
  pinned = server.seed(seed)["serverHash"]
  outcomes = []
  for index, (endpoint, parameters) in enumerate(DERIVED):
    if index % 10 == 9:
      server.get("/api/incrementCursor", {"clientSeed": seed})
    outcomes.append((drawn(server.draw(endpoint, {**parameters, "clientSeed": seed}, "POST")), parameters.get("items")))
  server_seed = rotated(server, seed)
  assert sha256_hex(server_seed) == pinned
  for outcome, items in outcomes:
    assert outcome["serverHash"] == pinned
    report = verifier.verify(outcome, server_seed, items)
    assert report["ok"], (outcome, report)


def test_batches_follow_from_the_seed_too(server, client_seed, live_key, verifier):
  draws = [{"endpoint": e, "params": {**p, "clientSeed": client_seed}} for e, p in DERIVED[:50]]
  results = drawn(server.post("/api/batch", {"draws": draws}, key=live_key))["results"]
  server_seed = rotated(server, client_seed, live_key)
  for draw, result in zip(draws, results):
    assert verifier.verify(result["outcome"], server_seed, draw["params"].get("items"))["ok"]


def test_random_draws_follow_from_their_seeds(server, client_seed, verifier, rng):
  """Over several seeds of one chain, at cursors of every kind, and with parameters that nobody chose."""
  outcomes = []
  seeds = {}
  for _ in range(6):
    for _ in range(rng.randrange(8)):
      server.get("/api/incrementCursor", {"clientSeed": client_seed})
    for _ in range(40):
      endpoint = rng.choice(DRAWS)
      items = [rng.choice(["a", 1, 2.5, None, [], {"k": 1}]) for _ in range(rng.randint(1, 30))]
      low = rng.randint(-SAFE, SAFE - 2**32)
      parameters = {
        "floats": {"count": rng.randint(1, 100)},
        "ints": {"count": rng.randint(1, 100), "min": low, "max": low + rng.randrange(2 ** rng.randint(0, 32))},
        "shuffle": {"items": items},
        "pick": {"items": items, "weights": rng.choice([None, [rng.random() + 1e-9 for _ in items]])},
        "bytes": {"count": rng.randint(1, 100), "encoding": rng.choice(["hex", "base64"])},
        "dice": {"notation": f"{rng.randint(1, 100)}d{rng.randint(2, 10**6)}{rng.choice(['', '+7', '-3'])}"},
        "gaussian": rng.choice([{"mean": rng.gauss(0, 1e6), "stddev": rng.random() + 1e-9}, {"distribution": "exponential", "lambda": rng.random() + 1e-9},
          {"distribution": "poisson", "lambda": rng.uniform(1e-9, 100)}]),
        "sample": {"count": rng.randint(1, 30), "min": low, "max": low + rng.randrange(30, 2 ** rng.randint(5, 32))},
      }[endpoint]
      outcomes.append((drawn(server.draw(endpoint, {**parameters, "clientSeed": client_seed}, "POST")), items))
    server_seed = rotated(server, client_seed)
    seeds[sha256_hex(server_seed)] = server_seed
  for outcome, items in outcomes:
    report = verifier.verify(outcome, seeds[outcome["serverHash"]], items)
    assert report["ok"], (outcome, report)


def test_server_hash_stays_while_the_chain_lives(server, client_seed):
  pinned = server.seed(client_seed)["serverHash"]
  for endpoint in DRAWS:
    assert drawn(server.draw(endpoint, {"clientSeed": client_seed}))["serverHash"] == pinned
  assert pinned != sha256_hex(client_seed)


@pytest.mark.parametrize("endpoint", ["pick", "shuffle"])
def test_a_query_holds_a_thousand_long_items(server, client_seed, endpoint):
  items = [f"{index:032}" for index in range(1000)]
  response = server.get(f"/api/{endpoint}", {"clientSeed": client_seed, "items": ",".join(items)})
  assert response.status == 200, response
  outcome = response.json()["outcome"]
  assert outcome in items if endpoint == "pick" else sorted(outcome) == items
