"""Parameters that an endpoint does not take: refused, by name, before anything is drawn or read."""

import uuid

import pytest

from harness import DRAWS, REQUIRED

OWN = {
  "floats": {"count"}, "ints": {"count", "min", "max"}, "shuffle": {"items"}, "pick": {"items", "weights"}, "bytes": {"count", "encoding"},
  "dice": {"notation"}, "gaussian": {"count", "distribution", "mean", "stddev", "lambda"},
  "sample": {"count", "min", "max"},
}
DAY = "2026-01-01"
READING = {
  "/api/seed": {}, "/api/incrementCursor": {}, "/api/listOutcomes": {}, "/api/outcomes": {}, "/api/outcome": {"cursor": 0, "nonce": 0},
  "/api/verifyServerHash": {"serverHash": "0" * 64}, "/api/verifyShortId": {"shortId": "0000000000"}, "/api/merkle": {},
  "/api/keys": {}, "/api/merkle/key": {}, f"/api/merkle/{DAY}": {}, f"/api/merkle/{DAY}/leaves": {}, f"/api/merkle/{DAY}/mine": {},
  f"/api/merkle/{DAY}/proof/0000000000": {}, "/api/health": {}, "/api/public-metrics": {},
}
# What somebody sent, and the parameter that was meant.
MISSPELT = [
  ("clientseed", "clientSeed"), ("client_seed", "clientSeed"), ("seed", "clientSeed"), ("cnt", "count"), ("MIN", "min"), ("maximum", "max"),
  ("items[]", "items"), ("item", "items"), ("items[0]", "items"), ("weights[]", "weights"), ("Weights", "weights"), ("dice_notation", "notation"),
  ("Encoding", "encoding"), ("stdDev", "stddev"), ("lamda", "lambda"),
]


def refused(response, name, meant=None):
  assert response.status == 400, response
  assert response.error.startswith(f'"{name}" is not a parameter of '), response.error
  assert (f"did you mean {meant}?" in response.error) == bool(meant), response.error
  return response.error


def taking(parameter):
  """The endpoints that take it."""
  return [endpoint for endpoint in DRAWS if parameter == "clientSeed" or parameter in OWN[endpoint]]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("name, meant", MISSPELT)
def test_a_misspelt_parameter_is_told_what_it_resembles(server, unchanged, name, meant, method):
  for endpoint in taking(meant):
    assert f"/api/{endpoint};" in refused(server.draw(endpoint, {name: "5"}, method), name, meant)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("endpoint", DRAWS)
def test_another_endpoints_parameters(server, unchanged, endpoint, method):
  for name in {"unique", "limit", *(name for own in OWN.values() for name in own)} - OWN[endpoint]:
    response = server.draw(endpoint, {name: "5"}, method)
    assert response.status == 400 and response.error.startswith(f'"{name}" is not a parameter of /api/{endpoint}'), response


def test_the_key_of_the_message_is_the_parameter_even_if_another_is_wrong(server, unchanged):
  refused(server.get("/api/ints", {"cnt": 3, "count": "abc"}), "cnt", "count")
  refused(server.get("/api/shuffle", {"items[]": ["a", "b"]}), "items[]", "items")


def test_a_parameter_beside_a_body(server, unchanged):
  """A POST's query counts, and so does what is wrong with it."""
  refused(server.post("/api/ints", {"count": 3}, query={"maxx": 5}), "maxx", "max")
  for path, body in (("/api/batch", {"draws": [{"endpoint": "ints"}]}), ("/api/rotate", {}), ("/api/commit", {}), ("/api/reveal", {})):
    refused(server.post(path, body, query={"unique": "true"}), "unique")


@pytest.mark.parametrize("path", READING)
def test_the_reading_endpoints(server, live_key, path):
  response = server.get(path, {**READING[path], "unique": "true"}, key=live_key)
  assert f"of {path}".replace(DAY, "{date}").replace("0000000000", "{outcomeId}") in refused(response, "unique")
  ignored = server.get(path, {**READING[path], "_": "1", "toolMeta": "x"}, key=live_key)
  assert ignored.status == server.get(path, READING[path], key=live_key).status, ignored


def test_paging_is_not_ignored(server, unchanged):
  refused(server.get("/api/listOutcomes", {"Limit": 5}), "Limit", "limit")
  refused(server.get("/api/merkle", {"limits": 5}), "limits", "limit")


@pytest.mark.parametrize("path", ["/api/rotate", "/api/commit", "/api/reveal", "/api/batch"])
def test_bodies_of_other_endpoints(server, unchanged, path):
  refused(server.post(path, {"unique": True}), "unique")
  refused(server.post(path, b'{"\\ud800": 1}'), "\\ud800")


def test_a_members_name_is_what_it_stands_for(server, client_seed):
  assert server.post("/api/ints", '{"\\u0063lientSeed": "%s"}' % client_seed).json()["clientSeed"] == client_seed


# Reveals


def test_params_of_a_reveal(server, unchanged):
  body = {"commitId": str(uuid.uuid4()), "clientSeed": "test", "endpoint": "ints", "params": {"cnt": 3}}
  refused(server.post("/api/reveal", body), "cnt", "count")
  refused(server.post("/api/reveal", {**body, "params": {}, "count": 3}), "count")
  refused(server.post("/api/reveal", {**body, "endpoint": "floats", "params": {"min": 3}}), "min")


# Batches


def results(server, *draws, **rest):
  response = server.post("/api/batch", {"draws": list(draws)}, **rest)
  assert response.status == 200, response
  return response.json()["results"]


def test_an_entry_fails_in_the_endpoints_own_words(server, client_seed):
  good = {"endpoint": "ints", "params": {"clientSeed": client_seed}}
  for endpoint, params in (("ints", {"cnt": 3}), ("pick", {"items[]": ["a"]}), ("dice", {"notation": "d6", "unique": True})):
    own = server.post(f"/api/{endpoint}", params)
    assert own.status == 400
    found = results(server, good, {"endpoint": endpoint, "params": params}, good)
    assert [entry["ok"] for entry in found] == [True, False, True]
    assert found[1]["error"] == own.error


@pytest.mark.parametrize("beside, meant", [
  ({"count": 3}, None), ({"clientSeed": "x"}, None), ({"param": {}}, "params"), ({"Endpoint": "ints"}, "endpoint"), ({"Id": "chest-1"}, "id"),
])
def test_members_beside_params_make_an_entry_fail(server, client_seed, beside, meant):
  good = {"endpoint": "ints", "params": {"clientSeed": client_seed}}
  found = results(server, good, {**good, **beside}, {**good, "toolMeta": {}, "_note": 1})
  assert [entry["ok"] for entry in found] == [True, False, True]
  (name,) = beside
  assert found[1]["error"].startswith(f'"{name}" is not a parameter of a draw in a batch'), found
  assert ("did you mean" in found[1]["error"]) == bool(meant)
  assert server.nonce(client_seed) == 2


@pytest.mark.parametrize("beside", ["unique", "clientSeed", "endpoint"])
def test_members_beside_draws_make_a_batch_fail(server, unchanged, beside):
  refused(server.post("/api/batch", {"draws": [{"endpoint": "ints"}], beside: True}), beside)


def test_an_entry_may_do_without_params(server):
  outcome = results(server, {"endpoint": "ints"})[0]["outcome"]
  assert (outcome["clientSeed"], outcome["count"], outcome["min"], outcome["max"]) == ("test", 1, 1, 100)
  assert results(server, {"endpoint": "pick"}) == [
    {"ok": False, "error": "items required", "code": "invalid_parameter", "parameter": "items"}]


# Streams


@pytest.mark.parametrize("endpoint", DRAWS)
def test_a_stream_takes_its_own_parameters_and_the_endpoints(server, unchanged, endpoint):
  parameters = {"endpoint": endpoint, **REQUIRED.get(endpoint, {})}
  refused(server.get("/api/stream", {**parameters, "interval": 500}), "interval", "intervalMs")
  refused(server.get("/api/stream", {**parameters, "last_event_id": "test:0:1"}), "last_event_id", "lastEventId")
  refused(server.get("/api/stream", {**parameters, "unique": "true"}), "unique")
  for name in {name for own in OWN.values() for name in own} - OWN[endpoint]:
    response = server.get("/api/stream", {**parameters, name: "1"})
    assert response.status == 400 and f'"{name}" is not a parameter of /api/stream of {endpoint}' in response.error, response


def test_a_stream_without_an_endpoint(server, unchanged):
  refused(server.get("/api/stream", {"Endpoint": "ints"}), "Endpoint", "endpoint")
  assert server.get("/api/stream").error == "endpoint required"


@pytest.mark.parametrize("character", [chr(code) for code in (*range(1, 0x20), 0x7F, *range(0x80, 0xA0))], ids=lambda c: f"U+{ord(c):04X}")
def test_a_streams_client_seed_has_no_control_characters(server, unchanged, character):
  """An event's id is a line of text that begins with the client seed."""
  for seed in (character, f"a{character}b"):
    response = server.get("/api/stream", {"endpoint": "ints", "clientSeed": seed})
    assert response.status == 400 and "clientSeed" in response.error, response


@pytest.mark.parametrize("seed", ["a b", " lead", "a:b", "\u2028", "\ufeff", "Zo\u00eb", "\U0001f3b2"], ids=ascii)
def test_other_characters_stream(server, client_seed, seed):
  seed = f"{seed}{client_seed}"
  event = server.get("/api/stream", {"endpoint": "ints", "clientSeed": seed})
  assert event.status == 200, event
  lines = event.body.decode().split("\n")
  assert lines[0] == f"id: {seed}:0:0" and lines[1] == "event: outcome" and lines[2].startswith("data: ") and lines[3:] == [""]


def test_an_item_with_white_space_keeps_an_event_on_its_line(server, client_seed):
  event = server.get("/api/stream", {"endpoint": "pick", "clientSeed": client_seed, "items": '[{"a":\n 1,\r\n"b": "\\n"}]'})
  assert event.status == 200, event
  assert b'"outcome":{"a":1,"b":"\\n"}' in event.body and len(event.body.splitlines()) == 3
