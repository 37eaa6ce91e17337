"""openapi.json held against the real server: its routes, its parameters, and every kind of answer it promises.

It also has the names that clients of the hosted service are generated with.
"""

import json
import re

import jsonschema
import pytest

from harness import DRAWS, REPOSITORY, REQUIRED, Server, unique, wait_until

SAFE = 2**53 - 1

DOCUMENT = json.loads((REPOSITORY / "Sources" / "API" / "openapi.json").read_text())
METHODS = ("get", "post", "put", "patch", "delete", "head", "options", "trace")
OPERATIONS = [(path, method) for path, item in DOCUMENT["paths"].items() for method in item if method in METHODS]

# Paths of the whole contract. What the document leaves out, the server must not have.
KNOWN_PATHS = [
  *(f"/api/{name}" for name in (*DRAWS, "batch", "seed", "incrementCursor", "rotate", "commit", "reveal", "listOutcomes", "outcomes", "outcome")),
  *(f"/api/{name}" for name in ("verifyServerHash", "verifyShortId", "merkle", "keys", "merkle/key", "merkle/{date}")),
  *(f"/api/merkle/{{date}}/{name}" for name in ("leaves", "mine", "proof/{outcomeId}", "proof", "other")),
  *(f"/api/{name}" for name in ("stream", "health", "public-metrics", "proof", "proof/{shortId}")),
  *(f"/log/{{era}}{rest}" for rest in ("", "/checkpoint", "/cosigned", "/tile", "/tile/{level}", "/tile/{level}/{tile}", "/tile/{level}/{tile}/{width}")),
  *("/api/usage", "/api/idempotency", "/api/idempotency/{key}", "/o/{id}", "/o/{id}/og.png", "/openapi.json", "/api", "/api/openapi.json", "/metrics", "/health", "/debug"),
  *(f"/api/webhooks{rest}" for rest in ("", "/{id}", "/{id}/deliveries", "/{id}/resend", "/{id}/test", "/{id}/rotate", "/{id}/secret")),
]


# What stands for the braces of a path in a request.
SEGMENTS = {
  "id": "0123456789",
  "date": "2026-01-01", "key": "raffle-7-winner", "outcomeId": "round-1:0:7", "shortId": "0123456789", "era": "0", "level": "0", "tile": "000.p", "width": "1"}


def address(path, **segments):
  return path.format(**{**SEGMENTS, **segments})


def resolve(node):
  while "$ref" in node:
    at = DOCUMENT
    for part in node["$ref"].removeprefix("#/").split("/"):
      at = at[part.replace("~1", "/").replace("~0", "~")]
    node = at
  return node


def json_schema(node, closed=True):
  """A schema of OpenAPI 3.0.3 as JSON Schema. What is put together of several may have the members of all of them, and no others."""
  if isinstance(node, list):
    return [json_schema(child) for child in node]
  if not isinstance(node, dict):
    return node
  made = {name: {key: json_schema(child) for key, child in value.items()} if name == "properties" else value if name in ("enum", "default") else
          json_schema(value, closed=name != "allOf") for name, value in node.items() if name not in ("nullable", "exclusiveMinimum", "exclusiveMaximum", "example")}
  if node.get("nullable"):
    made["type"] = [node["type"], "null"]
  for bound in ("minimum", "maximum"):
    if node.get(f"exclusive{bound.capitalize()}"):
      made[f"exclusive{bound.capitalize()}"] = made.pop(bound)
  if "allOf" in made and closed:
    made["unevaluatedProperties"] = False
  return made


def open_parts(schemas):
  """The same, for the named ones. Those that others are put together from are open: whoever is put together is closed."""
  parts = {part["$ref"].split("/")[-1] for schema in schemas.values() for part in schema.get("allOf", []) if "$ref" in part}
  return {name: {key: value for key, value in json_schema(schema).items() if name not in parts or key != "additionalProperties"}
          for name, schema in schemas.items()}


COMPONENTS = {"schemas": open_parts(DOCUMENT["components"]["schemas"])}


def validator(schema):
  """A validator in which the document's own references resolve."""
  return jsonschema.Draft202012Validator({**json_schema(schema), "components": COMPONENTS})


def operation(path, method):
  """What the document says of one, with the parameters that its path's operations share."""
  item = DOCUMENT["paths"][path]
  return {**item[method], "parameters": item.get("parameters", []) + item[method].get("parameters", [])}


def conforms(response, path, method):
  """Holds one real answer against what the document promises for its status."""
  promised = operation(path, method)["responses"]
  assert str(response.status) in promised, f"{method} {path} answered {response.status}, which is not in the document: {response}"
  promised = resolve(promised[str(response.status)])
  if method == "head":
    assert response.body == b""
  else:
    content = promised["content"]
    media = response.header("Content-Type").split(";")[0]
    assert media in content
    encoding = "latin-1" if media in ("application/octet-stream", "image/png") else "utf-8"  # where each byte is a character
    value = response.body.decode(encoding)
    validator(content[media]["schema"]).validate(json.loads(value) if media.endswith("json") and "ndjson" not in media else value)
  for name, header in promised.get("headers", {}).items():
    header, value = resolve(header), response.header(name)
    if value is None:
      assert not header.get("required"), f"{method} {path}: no {name}"
    else:
      validator(header["schema"]).validate(value)
  return True


# The document itself


def walk(node, path=()):
  yield path, node
  for key, child in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
    yield from walk(child, (*path, key))


def test_it_is_openapi_3_0_3():
  assert DOCUMENT["openapi"] == "3.0.3"
  assert DOCUMENT["info"]["title"] and DOCUMENT["info"]["version"]
  assert DOCUMENT["info"]["license"]["name"] == "Apache-2.0"


# What a schema may say in OpenAPI 3.0.3, as far as it is said here.
WORDS = {
  "type", "enum", "default", "description", "example", "nullable", "format", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength",
  "minItems", "maxItems", "uniqueItems", "items", "properties", "additionalProperties", "required", "oneOf", "allOf"}


def schemas_in(node):
  """A schema and those inside it."""
  yield node
  for child in (*node.get("properties", {}).values(), *node.get("oneOf", []), *node.get("allOf", []),
                *(node[name] for name in ("items", "additionalProperties") if isinstance(node.get(name), dict))):
    yield from schemas_in(child)


def test_every_schema_has_the_words_of_3_0_3_alone():
  roots = [*DOCUMENT["components"]["schemas"].values(), *(node for path, node in walk(DOCUMENT) if path and path[-1] == "schema")]
  for root in roots:
    for schema in schemas_in(root):
      assert set(schema) == {"$ref"} or set(schema) <= WORDS, schema
      assert isinstance(schema.get("type", ""), str) and ("nullable" not in schema or "type" in schema), schema
      assert all(isinstance(schema.get(f"exclusive{bound}", True), bool) for bound in ("Minimum", "Maximum")), schema
      assert schema.get("type") != "array" or "items" in schema, schema


def test_every_reference_leads_somewhere_and_every_component_is_used():
  used = {node["$ref"] for _, node in walk(DOCUMENT) if isinstance(node, dict) and "$ref" in node}
  for reference in used:
    assert resolve({"$ref": reference}) is not None
  defined = {
    f"#/components/{kind}/{name}" for kind, named in DOCUMENT["components"].items() if kind != "securitySchemes" for name in named}
  assert used == defined


def test_every_schema_is_json_schema():
  for schema in COMPONENTS["schemas"].values():
    jsonschema.Draft202012Validator.check_schema(schema)
  for path, node in walk(DOCUMENT["paths"]):
    if path and path[-1] == "schema":
      jsonschema.Draft202012Validator.check_schema(json_schema(node))


def test_every_example_is_what_it_is_an_example_of():
  examples = 0
  for _, node in walk(DOCUMENT):
    if not isinstance(node, dict):
      continue
    schema = node.get("schema", node) if "example" in node else node
    if "example" in node:
      validator(schema).validate(node["example"])
      examples += 1
  assert examples > 20


def test_operations_are_named_described_and_tagged():
  names = [operation(path, method)["operationId"] for path, method in OPERATIONS]
  assert len(names) == len(set(names))
  tags = {tag["name"] for tag in DOCUMENT["tags"]}
  for path, method in OPERATIONS:
    assert operation(path, method)["summary"]
    assert set(operation(path, method)["tags"]) <= tags
    assert "security" in operation(path, method)


def test_answers_with_an_outcome_are_closed():
  """A field the document does not know must make the tests below fail."""
  for name, schema in DOCUMENT["components"]["schemas"].items():
    if schema.get("type") == "object" and name != "BaseOutcome" and not name.endswith("Request"):
      assert schema.get("additionalProperties") is False, name


# Routes


@pytest.mark.parametrize("path", KNOWN_PATHS)
def test_the_server_has_exactly_the_documented_routes(server, path):
  """An unsupported method on a path that exists is a 405 whose Allow tells what is supported; else it is a 404."""
  response = server.request("TRACE", address(path))
  if path not in DOCUMENT["paths"]:
    assert response.status == 404, response
    return
  assert response.status == 405, response
  allowed = {method.strip().lower() for method in response.header("Allow").split(",")} - {"options"}
  assert allowed == set(DOCUMENT["paths"][path]) - {"parameters"}


def test_every_documented_path_is_known():
  assert set(DOCUMENT["paths"]) <= set(KNOWN_PATHS)


# Successes

FORMS = {
  "floats": [{}, {"count": 100}],
  "ints": [{}, {"min": -5, "max": 5, "count": 3}, {"min": -(2**53 - 1), "max": -(2**53 - 1)}],
  "shuffle": [{}, {"items": ["x"]}],
  "pick": [{}, {"items": ["a", "b"], "weights": [0.5, 1e-9]}],
  "bytes": [{}, {"count": 1024}, {"encoding": "base64", "count": 1}],
  "dice": [{}, {"notation": "d6"}, {"notation": "100d1000000-5"}, {"notation": "3d6 + 4"}],
  "gaussian": [{}, {"distribution": "exponential", "lambda": 0.5}, {"distribution": "poisson", "lambda": 100}, {"mean": -5.5, "stddev": 1e-3}],
  "sample": [{}, {"count": 1000, "min": -5, "max": 994}, {"count": 1, "min": 2**53 - 1, "max": 2**53 - 1}],
}


@pytest.mark.parametrize("mode", [None, "live", "test"])
@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("endpoint", DRAWS)
def test_draws(server, account, client_seed, endpoint, method, mode):
  key = server.key(account, mode) if mode else None
  for index, parameters in enumerate(FORMS[endpoint]):
    parameters = {**REQUIRED.get(endpoint, {}), **parameters, "clientSeed": client_seed}
    if method == "post":
      schema = operation(f"/api/{endpoint}", "post")["requestBody"]["content"]["application/json"]["schema"]
      validator(schema).validate(parameters)
    ask = lambda: server.draw(endpoint, parameters, method.upper(), key=key, idempotency=f"{endpoint}-{method}-{index}")
    for response in (ask(), ask()):  # and its replay, if it has one
      assert response.status == 200
      assert conforms(response, f"/api/{endpoint}", method)


def test_any_item_fits_the_schema(server, client_seed):
  response = server.post("/api/shuffle", {"clientSeed": client_seed, "items": [None, 1.5, "a", [], {}, True]})
  assert conforms(response, "/api/shuffle", "post")


def test_batch(server, account, client_seed):
  key = server.key(server.account("--daily-quota", 7))
  draws = [{"endpoint": e, "params": {**REQUIRED.get(e, {}), "clientSeed": client_seed}} for e in DRAWS]
  body = {"draws": [{"endpoint": "pick", "params": {}}, *draws, *draws]}
  validator(operation("/api/batch", "post")["requestBody"]["content"]["application/json"]["schema"]).validate({"draws": draws})
  for response in (server.post("/api/batch", body, key=key), server.post("/api/batch", body)):
    assert response.status == 200
    assert conforms(response, "/api/batch", "post")


@pytest.mark.parametrize("mode", [None, "live", "test"])
def test_chain_and_lookups(server, account, client_seed, mode):
  key = server.key(account, mode) if mode else None
  ask = lambda path, **parameters: server.get(path, {"clientSeed": client_seed, **parameters}, key=key)
  assert conforms(ask("/api/seed"), "/api/seed", "get")
  for endpoint in DRAWS:
    for parameters in FORMS[endpoint]:
      assert server.draw(endpoint, {**parameters, "clientSeed": client_seed}, "POST", key=key).status == 200
  for path, parameters in (("/api/listOutcomes", {}), ("/api/listOutcomes", {"limit": 2, "before": "0:3"}), ("/api/outcome", {"cursor": 0, "nonce": 0})):
    response = ask(path, **parameters)
    assert response.status == 200, response
    assert conforms(response, path, "get")
  assert conforms(ask("/api/incrementCursor"), "/api/incrementCursor", "get")


@pytest.mark.parametrize("mode", [None, "live", "test"])
def test_revealing_and_verifying(server, account, client_seed, mode):
  key = server.key(account, mode) if mode else None
  short_ids = []
  for endpoint in DRAWS:
    for parameters in FORMS[endpoint]:
      response = server.draw(endpoint, {**parameters, "clientSeed": client_seed}, "POST", key=key)
      short_ids.append(response.json()["shortId"])
      server_hash = response.json()["serverHash"]
  def look_up():
    for short_id in short_ids:
      assert conforms(server.get("/api/verifyShortId", {"shortId": short_id}, key=key), "/api/verifyShortId", "get")
    for known in (server_hash, "0" * 64):
      response = server.get("/api/verifyServerHash", {"clientSeed": client_seed, "serverHash": known}, key=key)
      assert conforms(response, "/api/verifyServerHash", "get")
  look_up()
  rotated = server.post("/api/rotate", {"clientSeed": client_seed}, key=key)
  assert rotated.status == (403 if mode == "test" else 200)
  assert conforms(rotated, "/api/rotate", "post")
  for endpoint, params in (("floats", {}), ("ints", {"count": 3, "min": -3})):
    committed = server.post("/api/commit", key=key)
    assert conforms(committed, "/api/commit", "post")
    body = {"commitId": committed.json()["commitId"], "clientSeed": client_seed, "endpoint": endpoint, "params": params}
    validator(operation("/api/reveal", "post")["requestBody"]["content"]["application/json"]["schema"]).validate(body)
    for status in (200, 409):
      revealed = server.post("/api/reveal", body, key=key)
      assert revealed.status == status
      assert conforms(revealed, "/api/reveal", "post")
      short_ids.append(revealed.json().get("shortId", short_ids[-1]))
  look_up()


def test_what_is_not_there(server, client_seed):
  for path, response in (
    ("/api/rotate", server.post("/api/rotate", {"clientSeed": client_seed})),
    ("/api/reveal", server.post("/api/reveal", sample("/api/reveal", "post")[1])),
    ("/api/verifyShortId", server.get("/api/verifyShortId", {"shortId": "0000000000"})),
  ):
    assert response.status == 404
    assert conforms(response, path, "get" if path == "/api/verifyShortId" else "post")


def test_410(tmp_path):
  with Server(tmp_path / "data", FAIRDRAW_COMMIT_TTL_MS=1) as server:
    body = sample("/api/reveal", "post")[1]
    prepare(server, "/api/reveal", body)
    for _ in range(1000):
      response = server.post("/api/reveal", body)
      if response.status == 410:
        assert conforms(response, "/api/reveal", "post")
        return
      prepare(server, "/api/reveal", body)  # it was revealed within its millisecond
  raise AssertionError("nothing ever expired")


@pytest.mark.parametrize("mode", ["live", "test"])
def test_an_accounts_outcomes(server, account, client_seed, mode):
  key = server.key(account, mode)
  for endpoint in DRAWS:
    assert server.draw(endpoint, {**REQUIRED.get(endpoint, {}), "clientSeed": client_seed}, "POST", key=key).status == 200
  for query in ({}, {"limit": 3}, {"after": "0", "endpoint": "dice"}, {"before": "2026-11-21T08:30:00Z"}):
    response = server.get("/api/outcomes", query, key=key)
    assert response.status == 200 and conforms(response, "/api/outcomes", "get")


def test_usage(server, live_key):
  server.draw("ints", key=live_key)
  assert conforms(server.get("/api/usage", key=live_key), "/api/usage", "get")


def test_a_key_that_is_looked_up(server, live_key, idempotency):
  path = "/api/idempotency/{key}"
  for expected in (404, 200):
    response = server.get(address(path, key=idempotency), key=live_key)
    assert response.status == expected and conforms(response, path, "get")
    server.draw("ints", key=live_key, idempotency=idempotency)


@pytest.mark.parametrize("path", ["/api/health", "/api/public-metrics", "/openapi.json"])
def test_system(server, path):
  response = server.get(path)
  assert response.status == 200
  assert conforms(response, path, "get")


def test_the_log(server, live_key):
  assert conforms(server.get("/api/keys"), "/api/keys", "get")
  for _ in range(6):  # more than one tile
    drawn = server.post("/api/batch", {"draws": [{"endpoint": "ints", "params": {}}] * 50}, key=live_key).json()
  path, short_id = "/api/proof/{shortId}", drawn["results"][-1]["outcome"]["shortId"]

  def proof():
    response = server.get(address(path, shortId=short_id))
    assert conforms(response, path, "get")
    return response.status == 200

  wait_until(proof, "the last draw is in the log")
  cosigned = "/log/{era}/cosigned"  # which no witness has made: see test_cosigning.py
  for method in ("get", "head"):
    response = server.request(method.upper(), address(cosigned))
    assert response.status == 404 and conforms(response, cosigned, method)
  for path in (path for path in DOCUMENT["paths"] if path.startswith("/log") and path != cosigned):
    tile = "000.p" if "width" in path else "000"
    for level in ("0", "entries"):
      for method in ("get", "head"):
        response = server.request(method.upper(), address(path, level=level, tile=tile))
        assert response.status == 200, response
        assert conforms(response, path, method)
    if "tile" in path:
      response = server.get(address(path, tile=f"x999/x999/{tile}"))  # beyond whatever other tests have drawn
      assert response.status == 404 and conforms(response, path, "get")


# Errors


def sample(path, method):
  """A good request of an operation: (query, body). A rotation and a reveal are good only after `prepare`."""
  name = path.split("/")[-1]
  parameters = {"clientSeed": unique("sample"), **REQUIRED.get(name, {})}
  if name == "commit":
    return None, {}
  if name == "reveal":
    return None, {"commitId": "3f2b8c1e-6a0d-4e7b-9c55-0d1f6a2e8b47", "endpoint": "ints", **parameters}
  if name == "verifyServerHash":
    parameters["serverHash"] = "0" * 64
  if name == "verifyShortId":
    return {"shortId": "0123456789"}, None
  if name == "batch":
    return None, {"draws": [{"endpoint": "ints", "params": parameters}]}
  if name == "stream":
    parameters["endpoint"] = "ints"
  if name == "outcome":
    parameters.update(cursor=0, nonce=0)
  if path.startswith(("/api/merkle", "/api/proof", "/log")) or path in ("/api/keys", "/api/usage", "/api/outcomes", "/api/idempotency/{key}"):
    parameters = {}
  return (None, parameters) if method == "post" else (parameters, None)


# Webhooks take another key: see test_webhook_api.py.
KEYED = [(path, method) for path, method in OPERATIONS if operation(path, method)["security"] and not path.startswith("/api/webhooks")]


def prepare(server, path, body, key=None):
  """Makes what a rotation or a reveal needs to be there."""
  if path == "/api/rotate":
    assert server.draw("ints", {"clientSeed": body["clientSeed"]}, key=key).status == 200
  if path == "/api/reveal":
    body["commitId"] = server.post("/api/commit", key=key).json()["commitId"]


def send(server, path, method, change=None, **rest):
  query, body = sample(path, method)
  if change:
    (query if body is None else body).update(change)
  if path == "/api/stream":
    query.update(REQUIRED.get(query["endpoint"], {}))
  return server.request(method.upper(), address(path), query, body=body, **rest)


@pytest.mark.parametrize("path, method", [o for o in KEYED if "400" in operation(*o)["responses"]])
def test_400(server, path, method):
  if path == "/api/commit":
    response = server.post(path, "{")
  elif path == "/api/idempotency/{key}":
    response = server.request(method.upper(), address(path, key="two%20words"), key=server.key())
  elif "{date}" in path:
    # A path's segments are judged once it is known that the caller may ask.
    response = server.request(method.upper(), address(path, date="2026-02-30"), key=server.key())
  else:
    change = {"/api/batch": {"draws": []}, "/api/verifyShortId": {"shortId": "?"}, "/api/merkle": {"limit": 0}, "/api/usage": {"days": 0}, "/api/outcomes": {"limit": 0}}
    response = send(server, path, method, change.get(path, {"clientSeed": ""}))
  assert response.status == 400
  assert conforms(response, path, method)


@pytest.mark.parametrize("path, method", KEYED)
def test_401_and_403(server, account, path, method):
  fenced = server.key(account, "live", "--allow-ip", "192.0.2.0/24")
  for key, status in (("nonsense", 401), (fenced, 403)):
    response = send(server, path, method, key=key)
    assert response.status == status
    assert conforms(response, path, method)


@pytest.mark.parametrize("path, method", [o for o in OPERATIONS if o[1] == "head"])
def test_head(server, path, method):
  """What GET answers, without its body."""
  head, get = send(server, path, "head"), send(server, path, "get")
  assert head.status == get.status and conforms(head, path, "head")
  assert set(operation(path, "head")["responses"]) == set(operation(path, "get")["responses"]) - {"405"}
  assert head.headers.keys() == get.headers.keys()


@pytest.mark.parametrize("path, method", [o for o in OPERATIONS if o[1] != "head"])
def test_405(server, path, method):
  response = server.request("TRACE", address(path))
  assert response.status == 405
  assert conforms(response, path, method)


@pytest.mark.parametrize("path, method", [o for o in KEYED if any(resolve(p)["name"] == "Idempotency-Key" for p in operation(*o).get("parameters", []))])
def test_409_wherever_an_idempotency_key_is_documented(server, account, path, method):
  key = server.key(account)
  def ask():
    query, body = sample(path, method)  # each sample has a clientSeed of its own
    prepare(server, path, body, key)
    if path == "/api/commit":
      body["_unknown"] = unique()
    return server.request(method.upper(), path, query, body=body, key=key, idempotency="once")
  response = ask()
  assert response.status == 200 and conforms(response, path, method)
  response = ask()
  assert response.status == 409
  assert conforms(response, path, method)


def test_idempotency_is_documented_wherever_it_is_kept():
  accept = {f"/api/{endpoint}" for endpoint in (*DRAWS, "batch", "rotate", "commit", "reveal")}
  for path, method in OPERATIONS:
    documented = any(resolve(p)["name"] == "Idempotency-Key" for p in operation(path, method).get("parameters", []))
    assert documented == (path in accept or (path, method) == ("/api/webhooks", "post"))


@pytest.mark.parametrize("path, method", [o for o in KEYED if o[1] == "post"])
def test_413(server, path, method):
  body = b'{"unknown": "' + b"x" * (2 * 1024 * 1024) + b'"}'
  response = server.raw(
    f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body, "POST")
  assert response.status == 413
  assert conforms(response, path, method)


@pytest.mark.parametrize("path, method", [o for o in OPERATIONS if not o[0].startswith("/api/webhooks")])
def test_415_where_there_is_a_body(server, path, method):
  response = send(server, path, method, headers={"Content-Encoding": "gzip"})
  assert (response.status == 415) == (method == "post") and conforms(response, path, method)


@pytest.mark.parametrize("path, method", KEYED)
def test_414(server, path, method):
  response = server.request(method.upper(), f"{address(path)}?unknown={'x' * 66000}")
  assert response.status == 414
  assert conforms(response, path, method)


@pytest.fixture(scope="module")
def exhausted(tmp_path_factory):
  """A server whose rate limit for this address is spent."""
  with Server(tmp_path_factory.mktemp("exhausted") / "data", FAIRDRAW_RATE_LIMIT_PER_MINUTE=1) as server:
    yield server


@pytest.mark.parametrize("path, method", KEYED)
def test_429(exhausted, path, method):
  for _ in range(4):
    response = send(exhausted, path, method)
    assert conforms(response, path, method)
    if response.status == 429:
      return
  raise AssertionError("no limit")


@pytest.mark.parametrize("path, method", [(f"/api/{e}", m) for e in DRAWS for m in ("get", "post")])
def test_429_of_the_quota(server, path, method):
  key = server.key(server.account("--daily-quota", 1))
  assert send(server, path, method, key=key).status == 200
  response = send(server, path, method, key=key)
  assert response.status == 429
  assert conforms(response, path, method)


# Parameters


def accepted(response):
  return response.status == 200


def query_parameters():
  for path, method in [o for o in KEYED if o[1] != "head"]:
    for parameter in map(resolve, operation(path, method).get("parameters", [])):
      if parameter["in"] == "query":
        yield path, method, parameter


@pytest.mark.parametrize("path, method, parameter", [pytest.param(*p, id=f"{p[0]}?{p[2]['name']}") for p in query_parameters()])
def test_documented_limits_of_a_query_are_the_real_ones(server, path, method, parameter):
  name, schema = parameter["name"], resolve(parameter["schema"])
  known = {"key": server.key()} if path in ("/api/usage", "/api/outcomes") else {}
  ask = lambda value: send(server, path, method, {name: value}, **known)
  if name in ("after", "before") or path == "/api/outcome":
    pytest.skip("these name an outcome; see test_bad_input.py")
  if name in ("min", "max"):
    ask = lambda value: send(server, path, method, {"min": value, "max": value})
  if parameter.get("required"):
    query, _ = sample(path, method)
    del query[name]
    assert server.get(path, query).status == 400
  elif "default" in schema and path not in ("/api/incrementCursor",):
    query, _ = sample(path, method)
    query.pop(name, None)
    assert accepted(server.get(path, query, **known))
    if schema["default"] is not None:
      assert accepted(ask(schema["default"]))
  for value in schema.get("enum", []):
    assert accepted(ask(value))
    assert not accepted(ask(value + "x"))
  if schema.get("type") == "integer":
    for bound, beyond in ((schema["minimum"], -1), (schema["maximum"], 1)):
      assert accepted(ask(bound))
      assert not accepted(ask(bound + beyond))
  if schema.get("exclusiveMinimum"):
    assert not accepted(send(server, path, method, {"distribution": "exponential" if name == "lambda" else "normal", name: schema["minimum"]}))


@pytest.mark.parametrize("endpoint", DRAWS)
def test_a_query_and_a_body_have_the_same_parameters_with_the_same_limits(endpoint):
  query = {p["name"]: resolve(p["schema"]) for p in map(resolve, operation(f"/api/{endpoint}", "get")["parameters"]) if p["in"] == "query"}
  body = resolve(operation(f"/api/{endpoint}", "post")["requestBody"]["content"]["application/json"]["schema"])
  assert set(query) - {"toolMeta"} == set(body["properties"])
  for name, schema in ((name, schema) for name, schema in query.items() if name != "toolMeta"):
    other = resolve(body["properties"][name])
    for word in ("minimum", "maximum", "exclusiveMinimum", "enum", "minLength", "maxLength"):
      assert schema.get(word) == other.get(word), (name, word)
    assert schema.get("default") == other.get("default"), name
  required = {p["name"] for p in map(resolve, operation(f"/api/{endpoint}", "get")["parameters"]) if p.get("required")}
  assert required == set(body.get("required", []))


# Values of every kind, at bounds and beyond them. Numbers in strings are left out: the server reads them, the document is
# silent about them.
VALUES = [
  None, True, False, -1, 0, 1, 2, 50, 100, 101, 1.0, 1.5, 1024, 1025, 1e300, 1.1e300, -1e300, -1.1e300, 1e-300, 1e-301, SAFE, -SAFE, SAFE + 1, -SAFE - 1,
  "", "x", " ", "hex", "HEX", "base64", "hexbase64", "normal", "poisson", "exponential", "Normal",
  "2d6", "D6", "d6", "0d6", "100d1000000", "101d6", "1d1", "1d1000001", "2d6+", "2d6 +  5", "2d6-5", "2 d6", "2d6+5x", "2d6\u00e9", " 2d6",
  "a\0b", "\0", "a\nb", "x" * 256, "x" * 257, "\u00e9" * 128, "\U0001f3b2" * 64,
  [], ["a"], [1], [None, {"a": [1.5]}], ["a"] * 1000, ["a"] * 1001, {}, {"a": 1},
]


def bodies(endpoint, properties):
  """One value of one parameter at a time, beside what must be there."""
  required = REQUIRED.get(endpoint, {})
  for name in (*properties, "unique", "Count", "items[]"):
    for value in VALUES:
      if name in ("min", "max"):
        yield {**required, "min": value, "max": value}
      elif name == "weights":
        yield {"items": ["a"], name: value}
        yield {"items": ["a"] * (len(value) if isinstance(value, list) and value else 1), name: value}
        if isinstance(value, float | int):
          yield {"items": ["a", "b"], name: [value, 1]}
      elif name == "lambda":
        yield from ({"distribution": distribution, name: value} for distribution in ("normal", "exponential"))
        if value != 1e-301:  # the one value that the document is stricter about
          yield {"distribution": "poisson", name: value}
      else:
        yield {**required, name: value}


@pytest.mark.parametrize("endpoint", DRAWS)
def test_a_body_is_drawn_from_exactly_if_it_is_documented(server, endpoint):
  schema = operation(f"/api/{endpoint}", "post")["requestBody"]["content"]["application/json"]["schema"]
  documented, seen = validator(schema), set()
  with server.connect() as connection:
    for body in bodies(endpoint, resolve(schema)["properties"]):
      response = connection.post(f"/api/{endpoint}", body)
      # What depends on another parameter is documented in words.
      good = documented.is_valid(body) and not (body.get("distribution") == "poisson" and body.get("lambda", 1) > 100)
      assert response.status == (200 if good else 400), (str(body)[:200], response)
      seen.add(response.status)
  assert seen == {200, 400}


def as_documented(text, schema):
  """A query's text as the value that it stands for."""
  if schema.get("type") in ("integer", "number"):
    return json.loads(text) if re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", text) else text
  return text


QUERIED = [*((f"/api/{endpoint}", name) for endpoint in DRAWS for name in ("clientSeed", "count", "encoding", "notation", "distribution", "mean", "stddev")),
           ("/api/listOutcomes", "clientSeed"), ("/api/listOutcomes", "limit"), ("/api/listOutcomes", "before"), ("/api/seed", "clientSeed"),
           ("/api/merkle", "limit"), ("/api/stream", "clientSeed"), ("/api/stream", "endpoint"), ("/api/stream", "intervalMs")]


@pytest.mark.parametrize("path, name", QUERIED)
def test_a_query_is_answered_exactly_if_it_is_documented(server, path, name):
  schema = {p["name"]: p["schema"] for p in map(resolve, operation(path, "get")["parameters"]) if p["in"] == "query"}.get(name)
  texts = [str(value) if isinstance(value, str) else json.dumps(value) for value in VALUES if not isinstance(value, (list, dict))]
  for text in (*texts, *DRAWS, "0:5", "0:5:1", "a:1", ":", "NaN", "1e2", "+1", "\x85", "a\x7fb"):
    required = REQUIRED.get(path.split("/")[-1], {})
    if path == "/api/stream":
      required = {"endpoint": "ints"} if name != "endpoint" else REQUIRED.get(text, {})
    response = server.get(path, {**required, name: text})
    good = schema is not None and validator(schema).is_valid(as_documented(text, resolve(schema)))
    assert response.status == (200 if good else 400), (text[:200], response)


@pytest.mark.parametrize("path, method", KEYED)
def test_what_is_not_documented_is_refused(server, path, method):
  response = send(server, path, method, {"unique": "true"}, key=server.key())
  assert response.status == 400 and (method == "head" or "unique" in response.error), response
  assert conforms(response, path, method)


def ref(name):
  return {"$ref": f"#/components/schemas/{name}"}


REQUESTS = {endpoint: f"{endpoint.capitalize()}Request" for endpoint in DRAWS}


def test_a_documented_reveal(server):
  schema = validator(resolve({"$ref": "#/components/schemas/RevealRequest"}))
  good = {"commitId": "3f2b8c1e-6a0d-4e7b-9c55-0d1f6a2e8b47", "clientSeed": "x", "endpoint": "floats", "params": {"count": 3}}
  for change in ({}, {"endpoint": "ints", "params": {"min": 1}}, {"params": {"min": 1}}, {"params": {"count": 101}}, {"params": []}, {"count": 3},
                 {"commitId": "x"}, {"endpoint": "dice"}, {"clientSeed": ""}, {"params": {"cnt": 1}}):
    body = {**good, **change}
    params = validator(ref(REQUESTS.get(body["endpoint"], "Error")))
    documented = schema.is_valid(body) and params.is_valid(body["params"])
    assert server.post("/api/reveal", body).status == (404 if documented else 400), change


def test_a_documented_batch(server):
  schema = validator(resolve({"$ref": "#/components/schemas/BatchRequest"}))
  draw = {"endpoint": "ints", "params": {}}
  for entry in (draw, {"endpoint": "ints"}, {**draw, "count": 3}, {"endpoint": "coin"}, {"params": {}}, {**draw, "params": []}, 5, None, {**draw, "id": "x" * 64}, {**draw, "id": "x" * 65}, {**draw, "id": 1}):
    (result,) = server.post("/api/batch", {"draws": [entry]}).json()["results"]
    assert result["ok"] == schema.is_valid({"draws": [entry]}), entry
  for body in ({"draws": []}, {"draws": [draw] * 51}, {"draws": draw}, {}, {"draws": [draw], "atomic": 1}, {"draws": [draw], "atom": True}, []):
    assert not schema.is_valid(body) and server.post("/api/batch", body).status == 400, body


def test_the_idempotency_key_pattern_is_the_real_one(server, account):
  key = server.key(account)
  pattern = re.compile(resolve({"$ref": "#/components/parameters/IdempotencyKey"})["schema"]["pattern"])
  for value in ("x", "!", "~", "x" * 255, "x" * 256, "two words", ""):
    assert (server.draw("ints", key=key, idempotency=value).status == 200) == bool(pattern.search(value)), value


# The hosted service's interface: operations with their ids, parameters and successes, and schemas with their members (* is required).

OPERATION_IDS = """
post /api/batch batchDraw Idempotency-Key > BatchResponse
get /api/floats getFloats clientSeed Idempotency-Key count > FloatOutcome
get /api/ints getInts clientSeed Idempotency-Key count min max toolMeta > IntOutcome
get /api/bytes getBytes clientSeed Idempotency-Key count encoding > BytesOutcome
get /api/dice rollDice clientSeed Idempotency-Key notation* > DiceOutcome
get /api/shuffle shuffleItems clientSeed Idempotency-Key items* toolMeta > ShuffleOutcome
get /api/pick pickItem clientSeed Idempotency-Key items* weights > PickOutcome
get /api/gaussian gaussian clientSeed Idempotency-Key count distribution mean stddev lambda > GaussianOutcome
post /api/commit createCommit > Commit
post /api/reveal revealCommit > RevealOutcome
post /api/rotate rotateServerSeed > inline
get /api/incrementCursor incrementCursor clientSeed > inline
get /api/listOutcomes listOutcomes clientSeed limit before > [PublicOutcome]
get /api/outcome getOutcome clientSeed cursor* nonce* > PublicOutcome
get /api/verifyServerHash verifyServerHash clientSeed serverHash* > true|VerifyResult
get /api/verifyShortId verifyShortId shortId* > inline
get /api/merkle listMerkleRoots limit > inline
get /api/merkle/{date} getMerkleRoot date* > MerkleRoot
get /api/merkle/{date}/proof/{outcomeId} getMerkleProof date* outcomeId* > MerkleProof
get /api/stream streamOutcomes clientSeed endpoint* intervalMs lastEventId Last-Event-ID > text/event-stream
get /api/health getHealth > Health
get /api/public-metrics getPublicMetrics > PublicMetrics
get /o/{id} getOutcomePermalink id* > text/html
get /o/{id}/og.png getOutcomeOgImage id* > image/png
"""

MEMBERS = {
  "BaseOutcome": "clientSeed* serverHash* nonce* cursor* count* created* shortId* mode* toolMeta redacted", "FloatOutcome": "outcome* endpoint* permalink*",
  "IntOutcome": "outcome* endpoint* permalink* min* max*", "PickOutcome": "outcome* endpoint* permalink* index* weights*", "ShuffleOutcome": "outcome* endpoint* permalink*",
  "BytesOutcome": "outcome* endpoint* permalink* encoding*", "DiceOutcome": "outcome* endpoint* permalink* sides* modifier*",
  "GaussianOutcome": "outcome* endpoint* permalink* distribution* mean stddev lambda", "PasswordReceipt": "serverHash* endpoint* outcome* shortId* toolMeta* redacted*",
  "VerifyResult": "verified* clientSeed* serverHash* outcomes*", "MerkleRoot": "date* root* leafCount* treeHeight* publishedAt*",
  "MerkleProof": "date* outcomeId* leaf* index* leafCount* treeHeight root* publishedAt siblings*", "Commit": "commitId* serverHash* expiresAt*",
  "RevealRequest": "commitId* clientSeed* endpoint* params", "RevealOutcome": "outcome* endpoint* min max serverSeed* commitId*", "BatchRequest": "draws*",
  "BatchResponse": "results*", "Health": "status* db version* uptime* timestamp* responseTimes usagePersistence", "ResponseTimeStats": "count* avgMs* p50Ms* p95Ms* maxMs*",
  "Error": "error* requestId retryAfter", "PublicMetrics": "registeredUsers callsServed responseTime apiStatus",
}
SHARED = {
  "parameters": {"ClientSeed", "Count", "ToolMeta", "IdempotencyKey"}, "headers": {"ServerTiming"}, "securitySchemes": {"ApiKeyAuth", "BearerAuth"},
  "responses": {"BadRequest", "InvalidApiKey", "RateLimited", "ServerError", "IdempotencyConflict"}, "schemas": {*MEMBERS, "Outcome", "PublicOutcome"}}


def success(content):
  (media, body), *_ = content.items()
  if media != "application/json":
    return media
  schema = body["schema"]
  name = lambda schema: schema["$ref"].split("/")[-1] if "$ref" in schema else "true" if schema.get("enum") == [True] else "inline"
  return f"[{name(schema['items'])}]" if "items" in schema else "|".join(map(name, schema["oneOf"])) if "oneOf" in schema else name(schema)


@pytest.mark.parametrize("line", OPERATION_IDS.strip().splitlines())
def test_operations_are_those_of_the_hosted_service(line):
  (method, path, name, *parameters), result = (side.split() for side in line.split(" > "))
  found = operation(path, method)
  assert found["operationId"] == name
  have = {parameter["name"]: bool(parameter.get("required")) for parameter in map(resolve, found["parameters"])}
  for parameter in parameters:
    assert have[parameter.rstrip("*")] == parameter.endswith("*"), parameter
  assert not {name for name, required in have.items() if required} - {parameter.rstrip("*") for parameter in parameters}
  assert success(resolve(found["responses"]["200"])["content"]) == result[0]


@pytest.mark.parametrize("name", MEMBERS)
def test_schemas_have_the_members_of_the_hosted_services(name):
  schema = resolve(ref(name))
  own = schema["allOf"][1] if "allOf" in schema else schema
  assert "allOf" not in schema or schema["allOf"][0] == ref("BaseOutcome")
  for member in MEMBERS[name].split():
    assert member.rstrip("*") in own["properties"], member
    assert not member.endswith("*") or member.rstrip("*") in own["required"], member


def test_shared_components_have_the_names_of_the_hosted_services():
  for kind, names in SHARED.items():
    assert names <= set(DOCUMENT["components"][kind])
  choices = lambda name: [choice["$ref"].split("/")[-1] for choice in resolve(ref(name))["oneOf"]]
  assert set(choices("Outcome")) >= {name for name in MEMBERS if name.endswith("Outcome") and name not in ("BaseOutcome", "RevealOutcome")}
  assert choices("PublicOutcome") == ["Outcome", "PasswordReceipt"]
  for draw in ("getFloats", "getInts"):
    (found,) = [operation(*o) for o in OPERATIONS if operation(*o)["operationId"] == draw]
    assert found["security"] == [{}, {"ApiKeyAuth": []}, {"BearerAuth": []}]
