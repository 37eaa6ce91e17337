"""Bad input: turned down with words that name the parameter, and nothing changed by it."""

import gzip
import json
import socket

import pytest

from harness import BODY_LIMIT, DRAWS, REQUIRED, TARGET_LIMIT, target

SAFE = 2**53 - 1


def refused(response, status=400, naming=None):
  assert response.status == status, response
  assert response.header("Content-Type").split(";")[0] == "application/json"
  assert response.header("X-Request-Id")
  body = response.json()
  assert set(body) <= {"error", "code", "parameter", "requestId", "retryAfter"}
  assert body["error"]
  if naming:
    assert naming in body["error"], f"{body['error']!r} does not name {naming}"
  return body


# Parameters of draws: (endpoint, parameter, values that are bad in a query and in a body)

COUNT_100 = ["0", "-1", "101", "3.5", "abc", "", " ", "1 ", "0x10", "1e9", "99999999999999999999", "NaN", "Infinity", "+1", "1_0", "\u0661"]
COUNT_1024 = ["0", "-1", "1025", "3.5", "abc", ""]
FINITE = ["abc", "", "NaN", "Infinity", "-Infinity", "1e999", "1,5", "0x1"]

BAD_TEXT = [
  *[(endpoint, "count", value) for endpoint in ("floats", "ints", "gaussian") for value in COUNT_100],
  *[("bytes", "count", value) for value in COUNT_1024],
  *[("sample", "count", value) for value in ["0", "-1", "1001", "3.5", "abc", ""]],
  *[(endpoint, bound, value) for endpoint in ("ints", "sample") for bound in ("min", "max") for value in ["1.5", "abc", "", str(SAFE + 1), str(-SAFE - 1), "1e300"]],
  *[("bytes", "encoding", value) for value in ["", "HEX", "base64url", "utf8", "hex "]],
  *[("dice", "notation", value) for value in [
    "", "d", "2d", "20", "0d6", "101d6", "2d1", "2d0", "2d1000001", "-1d6", "2d6+", "2d6-", "2d6+-1", "2d6*2", "2d6+1.5", "2x6", "2 d 6 x",
    "2d6+1+1", "d6d6", "2d6+99999999999999999999", "99999999999999999999d6", "2d99999999999999999999", "\uff12d6"]],
  *[("gaussian", "distribution", value) for value in ["", "Normal", "uniform", "cauchy"]],
  *[("gaussian", "mean", value) for value in FINITE],
  *[("gaussian", "stddev", value) for value in [*FINITE, "0", "-1", "-0"]],
  *[(endpoint, "clientSeed", value) for endpoint in DRAWS for value in ["", "x" * 257, "\u00e9" * 128 + "x", "a\0b", "\0"]],
]
BAD_LAMBDA = [
  *[("exponential", value) for value in [*FINITE, "0", "-1"]],
  *[("poisson", value) for value in [*FINITE, "0", "-1", "100.00001", "101"]],
]

label = lambda value: repr(value)[:40]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("endpoint, name, value", BAD_TEXT, ids=label)
def test_values_out_of_range_or_no_values_at_all(server, unchanged, endpoint, name, value, method):
  refused(server.draw(endpoint, {name: value}, method), naming=name)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("distribution, value", BAD_LAMBDA)
def test_lambda(server, unchanged, distribution, value, method):
  refused(server.draw("gaussian", {"distribution": distribution, "lambda": value}, method), naming="lambda")


@pytest.mark.parametrize("endpoint, name, value", [
  *[(endpoint, "count", value) for endpoint in ("floats", "ints", "bytes", "gaussian", "sample") for value in (0, -1, 3.5, 10**30)],
  ("floats", "count", 101), ("ints", "count", 101), ("gaussian", "count", 101), ("bytes", "count", 1025), ("sample", "count", 1001),
  ("ints", "min", 1.5), ("ints", "min", -SAFE - 1), ("ints", "max", SAFE + 1), ("ints", "max", 0.1),
  ("gaussian", "stddev", 0), ("gaussian", "stddev", -1),
])
def test_json_numbers_out_of_range(server, unchanged, endpoint, name, value):
  refused(server.draw(endpoint, {name: value}, "POST"), naming=name)


PARAMETERS = [
  *[(endpoint, "clientSeed") for endpoint in DRAWS], ("floats", "count"), ("ints", "count"), ("ints", "min"), ("ints", "max"),
  ("shuffle", "items"), ("pick", "items"), ("bytes", "count"), ("bytes", "encoding"), ("dice", "notation"),
  ("gaussian", "count"), ("gaussian", "distribution"), ("gaussian", "mean"), ("gaussian", "stddev"),
  ("sample", "count"), ("sample", "min"), ("sample", "max"),
]


@pytest.mark.parametrize("value", [True, False, [], {}, [1], {"a": 1}, None], ids=json.dumps)
@pytest.mark.parametrize("endpoint, name", PARAMETERS)
def test_json_of_the_wrong_type(server, unchanged, endpoint, name, value):
  if name == "items" and value == [1]:
    pytest.skip("a good list of items")
  refused(server.draw(endpoint, {name: value}, "POST"), naming=name)


@pytest.mark.parametrize("value", [5, -0.5, 1e300])
@pytest.mark.parametrize("endpoint, name", [p for p in PARAMETERS if p[1] in ("clientSeed", "items", "encoding", "notation", "distribution")])
def test_numbers_where_text_or_a_list_belongs(server, unchanged, endpoint, name, value):
  refused(server.draw(endpoint, {name: value}, "POST"), naming=name)


SCALARS = [p for p in PARAMETERS if p[1] != "items"]
GOOD = {"clientSeed": "a", "count": 1, "min": 1, "max": 2, "encoding": "hex", "notation": "2d6", "distribution": "normal", "mean": 0, "stddev": 1}


@pytest.mark.parametrize("endpoint, name", SCALARS)
def test_a_scalar_given_twice_in_a_query(server, unchanged, endpoint, name):
  pairs = [(k, v) for k, v in REQUIRED.get(endpoint, {}).items() if k != name] + [(name, GOOD[name])] * 2
  refused(server.get(f"/api/{endpoint}", pairs), naming=name)


@pytest.mark.parametrize("endpoint, name", PARAMETERS)
def test_a_json_key_given_twice(server, unchanged, endpoint, name):
  value = json.dumps(GOOD.get(name, ["a", "b"]))
  rest = [f"{json.dumps(k)}: {json.dumps(v)}" for k, v in REQUIRED.get(endpoint, {}).items() if k != name]
  body = "{" + ", ".join([*rest, f'"{name}": {value}', f'"{name}": {value}']) + "}"
  refused(server.post(f"/api/{endpoint}", body), naming=name)
  escaped = f'"\\u{ord(name[0]):04x}{name[1:]}"'
  body = "{" + ", ".join([*rest, f'"{name}": {value}', f"{escaped}: {value}"]) + "}"
  refused(server.post(f"/api/{endpoint}", body), naming=name)


@pytest.mark.parametrize("endpoint, name", SCALARS)
def test_a_parameter_in_the_query_and_the_body_is_given_twice(server, unchanged, endpoint, name):
  body = {**{k: v for k, v in REQUIRED.get(endpoint, {}).items() if k != name}, name: GOOD[name]}
  refused(server.post(f"/api/{endpoint}", body, query={name: GOOD[name]}), naming=name)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("low, high, naming", [(2, 1, "max"), (0, 2**32, "max"), (-SAFE, SAFE, "max"), (101, None, "m")])
def test_ints_ranges(server, unchanged, low, high, naming, method):
  parameters = {"min": low, **({"max": high} if high is not None else {})}
  refused(server.draw("ints", parameters, method), naming=naming)


# Items and weights


@pytest.mark.parametrize("endpoint", ["shuffle", "pick"])
def test_items_required(server, unchanged, endpoint):
  for response in (server.get(f"/api/{endpoint}"), server.post(f"/api/{endpoint}", {}), server.post(f"/api/{endpoint}", b"")):
    assert refused(response)["error"] == "items required"


@pytest.mark.parametrize("endpoint", ["shuffle", "pick"])
@pytest.mark.parametrize("query", [
  "items=[", "items=[1,2", "items=[1,]", "items=[1]x", "items=[]", "items=[01]", "items=[%22%5Cud800%22", "items=['a']",
  "items=" + "," * 1000, "&".join(["items=a"] * 1001), "items=[" + ",".join("1" * 1001) + "]",
])
def test_bad_items_in_a_query(server, unchanged, endpoint, query):
  refused(server.get(f"/api/{endpoint}", query.replace("[", "%5B").replace("]", "%5D").replace("'", "%27")), naming="items")


@pytest.mark.parametrize("endpoint", ["shuffle", "pick"])
def test_too_many_items(server, live_key, unchanged, endpoint):
  refused(server.post(f"/api/{endpoint}", {"items": [0] * 1001}), naming="items")
  million = b'{"items": [' + b",".join([b"1"] * 1_000_000) + b"]}"
  assert len(million) < BODY_LIMIT
  refused(server.post(f"/api/{endpoint}", million, key=live_key), naming="items")


@pytest.mark.parametrize("weights", [
  [1], [1, 2, 3, 4], [], [0, 0, 0], [-1, 1, 1], ["a", 1, 1], [None, 1, 1], [True, 1, 1], [[1], 1, 1], 5, {}, True, "heavy", [1e308, 1e308, 1e308],
], ids=json.dumps)
def test_bad_weights_in_a_body(server, unchanged, weights):
  refused(server.draw("pick", {"weights": weights}, "POST"), naming="weights")


@pytest.mark.parametrize("weights", ["1", "1,2", "1,2,3,4", "0,0,0", "-1,1,1", "a,b,c", "1,,1", "[1,2,3", "[1,2,null]", "NaN,1,1", "1e999,1,1", ""])
def test_bad_weights_in_a_query(server, unchanged, weights):
  refused(server.get("/api/pick", {"items": "a,b,c", "weights": weights}), naming="weights")


def test_a_lone_surrogate_is_no_text(server, unchanged):
  refused(server.post("/api/floats", b'{"clientSeed": "\\ud800"}'), naming="clientSeed")


# Encodings


@pytest.mark.parametrize("bad", [b"%", b"%4", b"%zz", b"%G0", b"a%", b"%%41"])
@pytest.mark.parametrize("name", [b"clientSeed", b"count", b"items", b"notation"])
def test_broken_percent_encoding(server, unchanged, name, bad):
  endpoint = {b"items": b"shuffle", b"notation": b"dice"}.get(name, b"floats")
  refused(server.raw_get(b"/api/" + endpoint + b"?" + name + b"=" + bad))


@pytest.mark.parametrize("bad", [b"%ff", b"%C3", b"%C3%28", b"%ED%A0%80", b"%F4%90%80%80", b"%C0%80", b"%E2%82"])
@pytest.mark.parametrize("name", [b"clientSeed", b"items", b"count", b"unknown"])
def test_percent_encoding_that_is_no_utf8(server, unchanged, name, bad):
  endpoint = b"shuffle" if name == b"items" else b"floats"
  refused(server.raw_get(b"/api/" + endpoint + b"?" + name + b"=" + bad))


@pytest.mark.parametrize("bad", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80"])
@pytest.mark.parametrize("body", [
  b'{"clientSeed": "a%sb"}', b'{"unknown": "a%sb"}', b'{"a%sb": 1}', b'{"items": ["a%sb"]}', b'{"draws": [{"endpoint": "%s"}]}'])
def test_a_body_that_is_no_utf8(server, unchanged, body, bad):
  for path in ("/api/floats", "/api/shuffle", "/api/batch", "/api/rotate", "/api/commit", "/api/reveal"):
    refused(server.post(path, body % bad))


@pytest.mark.parametrize("bad", [b"\xff", b"\xc3", b"a\xed\xa0\x80", b"\xf0\x9f\x8e"])
def test_a_target_of_bytes_that_are_no_utf8(server, unchanged, bad):
  refused(server.raw_get(b"/api/floats?clientSeed=" + bad), 400, "clientSeed")
  refused(server.raw_get(b"/api/floats?" + bad), 400, "UTF-8")
  refused(server.raw_get(b"/api/" + bad), 404)


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "GZIP", "x-unknown", "identity, gzip", "gzip, identity"])
def test_an_encoded_body(server, unchanged, coding):
  for path in ("/api/floats", "/api/batch", "/api/rotate", "/api/commit", "/api/reveal"):
    response = server.post(path, gzip.compress(b"{}"), headers={"Content-Encoding": coding})
    refused(response, 415, "Content-Encoding")
    assert response.header("Accept-Encoding") == "identity"


def test_an_encoded_form(server, unchanged):
  refused(server.request("POST", "/sign-in", body=b"email=a", headers={"Content-Encoding": "gzip"}), 415, "Content-Encoding")


# JSON

BAD_JSON = [
  b"{", b"}", b"[", b"nope", b"{]", b'{"a"}', b'{"a":}', b'{"a":1,}', b"{'a': 1}", b'{"a": 01}', b'{"a": 1.}', b'{"a": .5}', b'{"a": +1}',
  b'{"a": NaN}', b'{"a": 1} x', b'{"a": 1}{"b": 2}', b'{"a": "\n"}', b'{"a": "\\x"}', b'{"a": "\\u12"}', b'{"a": tru}', b"\xef\xbb\xbf{}",
  b'{"a": 1e}', b"// no\n{}", b" ", b"\0",
]


@pytest.mark.parametrize("path", ["/api/floats", "/api/batch", "/api/rotate", "/api/commit", "/api/reveal"])
@pytest.mark.parametrize("body", BAD_JSON, ids=label)
def test_bad_json(server, unchanged, path, body):
  refused(server.post(path, body))


@pytest.mark.parametrize("path", ["/api/floats", "/api/batch"])
@pytest.mark.parametrize("body", [b"[]", b"1", b'"text"', b"null", b"true"], ids=label)
def test_json_that_is_no_object(server, unchanged, path, body):
  refused(server.post(path, body))


@pytest.mark.parametrize("path", ["/api/floats", "/api/shuffle", "/api/batch"])
@pytest.mark.parametrize("body", [
  b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000, b'{"items": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
  b'{"a":' * 100_000 + b"1" + b"}" * 100_000, b'{"draws": [{"endpoint": "floats", "params": ' + b"[" * 100_000,
  b'{"unknown": ' + b"[" * 65 + b"]" * 65 + b"}",
], ids=["open", "array", "items", "object", "params", "just too deep"])
def test_deep_json(server, unchanged, path, body):
  refused(server.post(path, body))


def test_huge_numbers_and_strings(server, unchanged):
  refused(server.post("/api/floats", b'{"count": ' + b"9" * 1_000_000 + b"}"), naming="count")
  refused(server.post("/api/floats", b'{"count": 0.' + b"0" * 1_000_000 + b"1}"), naming="count")
  refused(server.post("/api/floats", b'{"count": 1e' + b"9" * 1_000_000 + b"}"), naming="count")
  refused(server.post("/api/floats", b'{"clientSeed": "' + b"x" * 1_000_000 + b'"}'), naming="clientSeed")
  refused(server.post("/api/dice", b'{"notation": "' + b"1" * 1_000_000 + b'd6"}'), naming="notation")


# Sizes


@pytest.mark.parametrize("path", ["/api/floats", "/api/batch"])
def test_a_body_over_the_limit(server, unchanged, path):
  body = b'{"unknown": "' + b"x" * BODY_LIMIT + b'"}'
  head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n".encode()
  refused(server.raw(head + b"Content-Length: %d\r\n\r\n" % len(body) + body, "POST"), 413)
  chunked = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[i:i + 65536] for i in range(0, len(body), 65536))) + b"0\r\n\r\n"
  refused(server.raw(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked, "POST"), 413)


def test_a_body_announced_over_the_limit_is_refused_unread(server, unchanged):
  head = b"POST /api/floats HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 999999999999\r\n\r\n"
  refused(server.raw(head, "POST"), 413)


def test_a_body_at_the_limit(server, client_seed):
  body = b'{"clientSeed": "%s", "_unknown": "' % client_seed.encode()
  body += b"x" * (BODY_LIMIT - len(body) - 2) + b'"}'
  assert len(body) == BODY_LIMIT
  assert server.post("/api/floats", body).status == 200


def test_a_target_over_the_limit(server, unchanged):
  path = "/api/floats?unknown="
  refused(server.raw_get((path + "x" * (TARGET_LIMIT - len(path) + 1)).encode()), 414)
  refused(server.raw_get(("/" + "x" * TARGET_LIMIT).encode()), 414)


def test_a_target_at_the_limit(server, client_seed):
  path = f"/api/floats?clientSeed={client_seed}&_unknown="
  assert server.raw_get((path + "x" * (TARGET_LIMIT - len(path))).encode()).status == 200


def test_many_parameters(server, unchanged):
  refused(server.get("/api/floats", "&".join(["count=1"] * 3000)), naming="count")


# Batches


@pytest.mark.parametrize("body", [
  {}, {"draws": []}, {"draws": None}, {"draws": {}}, {"draws": "ints"}, {"draws": 1}, {"draws": [{"endpoint": "floats"}] * 51},
], ids=lambda body: json.dumps(body)[:40])
def test_a_batch_without_1_to_50_draws(server, unchanged, body):
  refused(server.post("/api/batch", body), naming="draws")


def test_draws_given_twice(server, unchanged):
  refused(server.post("/api/batch", '{"draws": [{"endpoint": "floats"}], "draws": [{"endpoint": "floats"}]}'), naming="draws")


def test_a_batch_of_a_million_draws(server, unchanged):
  refused(server.post("/api/batch", b'{"draws": [' + b",".join([b"{}"] * 600_000) + b"]}"), naming="draws")


# The other endpoints

READS = ["/api/seed", "/api/incrementCursor", "/api/listOutcomes", "/api/outcome"]


@pytest.mark.parametrize("path", READS)
@pytest.mark.parametrize("seed", ["", "x" * 257, "a\0b"], ids=label)
def test_client_seed_of_the_other_endpoints(server, unchanged, path, seed):
  rest = [("cursor", 0), ("nonce", 0)] if path == "/api/outcome" else []
  refused(server.get(path, [("clientSeed", seed), *rest]), naming="clientSeed")
  refused(server.get(path, [("clientSeed", "a"), ("clientSeed", "b"), *rest]), naming="clientSeed")


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "1.5", "abc", ""])
def test_list_limit(server, unchanged, limit):
  refused(server.get("/api/listOutcomes", {"limit": limit}), naming="limit")


@pytest.mark.parametrize("before", ["", "0", ":", "0:", ":0", "a:b", "0:0:0", "-1:0", "0:-1", "0:1.5", "0:99999999999999999999"])
def test_list_before(server, unchanged, before):
  refused(server.get("/api/listOutcomes", {"before": before}), naming="before")


@pytest.mark.parametrize("name", ["after", "before"])
@pytest.mark.parametrize("place", [
  "", "-", "-1", "1-", "1-0", "01", "1-2-3", "g", "A", "8000000000000000", "1-100000000", "0x1", " 1", "2026-13-01", "2026-11-21T", "2026-11-21T08:30", "0:17"])
def test_account_list_cursors(server, unchanged, live_key, name, place):
  refused(server.get("/api/outcomes", {name: place}, key=live_key), naming=name)


def test_account_list_parameters(server, unchanged, live_key):
  refused(server.get("/api/outcomes", {"after": "0", "before": "0"}, key=live_key), naming="after")
  refused(server.get("/api/outcomes", {"endpoint": "coins"}, key=live_key), naming="endpoint")
  for limit in ("0", "1001", "many"):
    refused(server.get("/api/outcomes", {"limit": limit}, key=live_key), naming="limit")
  assert server.get("/api/outcomes").code == "invalid_api_key"


@pytest.mark.parametrize("name", ["cursor", "nonce"])
@pytest.mark.parametrize("value", ["", "-1", "1.5", "abc", "99999999999999999999"])
def test_outcome_coordinates(server, unchanged, name, value):
  refused(server.get("/api/outcome", {"cursor": 0, "nonce": 0, name: value}), naming=name)


@pytest.mark.parametrize("name", ["cursor", "nonce"])
def test_outcome_coordinates_are_required(server, unchanged, name):
  parameters = {"cursor": 0, "nonce": 0}
  del parameters[name]
  refused(server.get("/api/outcome", parameters), naming=name)


# Methods and paths

ROUTES = {
  **{f"/api/{endpoint}": {"GET", "POST"} for endpoint in DRAWS},
  "/api/batch": {"POST"},
  **{path: {"GET"} for path in READS},
  "/api/rotate": {"POST"}, "/api/commit": {"POST"}, "/api/reveal": {"POST"}, "/api/verifyServerHash": {"GET"}, "/api/verifyShortId": {"GET"},
  "/api/health": {"GET"}, "/api/public-metrics": {"GET"}, "/openapi.json": {"GET"},
}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"])
@pytest.mark.parametrize("path", ROUTES)
def test_wrong_methods(server, unchanged, path, method):
  if method in ROUTES[path]:
    pytest.skip("a right method")
  response = server.request(method, target(path, {"clientSeed": "methods", "items": "a,b", "notation": "2d6"}))
  refused(response, 405)
  allowed = {name.strip() for name in response.header("Allow").split(",")}
  assert allowed - {"HEAD", "OPTIONS"} == ROUTES[path]


@pytest.mark.parametrize("path", [path for path in ROUTES if path.startswith("/api/") and path != "/api/health"])
def test_head_never_draws(server, unchanged, path):
  response = server.request("HEAD", target(path, {"clientSeed": "head", "items": "a,b", "notation": "2d6", "cursor": 0, "nonce": 0}))
  assert response.body == b""
  if path.startswith(("/api/list", "/api/outcome", "/api/verify", "/api/public")):
    assert response.status != 405, response
  if path.split("/")[-1] in DRAWS or path in ("/api/batch", "/api/incrementCursor", "/api/seed", "/api/rotate", "/api/commit", "/api/reveal"):
    assert response.status == 405, response
    assert "HEAD" not in response.header("Allow")


@pytest.mark.parametrize("path", [
  "/nowhere", "/api", "/api/", "/api/float", "/api/floats/1", "/api/FLOATS", "/api/../api/floats"])
def test_unknown_routes(server, unchanged, path):
  refused(server.raw_get(path.encode()), 404)


# What is no request at all


@pytest.mark.parametrize("request_bytes", [
  b"nonsense\r\n\r\n", b"GET\r\n\r\n", b"BREW /api/floats HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /api/floats\r\n\r\n", b"GET /api/floats HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00",
  b"GET /api/floats HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
  b"POST /api/floats HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
  b"POST /api/floats HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
], ids=label)
def test_no_http(server, unchanged, request_bytes):
  """Answered with a 4xx (501 for a method that there is not) or hung up on, without a draw; and the next client is served."""
  with server.open_socket() as sock:
    sock.sendall(request_bytes)
    sock.shutdown(socket.SHUT_WR)
    answer = b""
    try:
      while chunk := sock.recv(65536):
        answer += chunk
    except ConnectionResetError:
      pass
  assert not answer or answer.split()[1].startswith(b"501" if b"BREW" in request_bytes else b"4"), answer
  assert server.get("/api/health").status == 200


def test_endless_headers(server, unchanged):
  response = None
  try:
    response = server.raw_get(b"/api/floats", b"".join(b"x-%d: %s\r\n" % (i, b"y" * 1000) for i in range(1000)))
  except OSError:
    pass  # hung up on
  assert response is None or 400 <= response.status < 500
  assert server.get("/api/health").status == 200
