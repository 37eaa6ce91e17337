"""Webhooks managed over the API, by keys with the scope `manage`; and what they are told besides draws."""

import base64
import concurrent.futures
import json
import re
import subprocess
import time

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from harness import tool, unique, wait_until
from receiver import signatures_hold
from test_merkle import day_of, into_the_past, published
from test_openapi import DOCUMENT, OPERATIONS, address, conforms, operation, validator
from test_webhooks import Receiver, hooked, receiver  # noqa: F401  fixtures

ROUTES = [o for o in OPERATIONS if o[0].startswith("/api/webhooks")]


class Manager:
  """An account's webhooks, over the API; every answer is held against openapi.json."""

  def __init__(self, server, *options):
    self.server, self.account = server, server.account(*options)
    self.key = server.cli("key", "create", "--account", self.account, "--scope", "draw,read,manage", check=True).stdout.strip()

  def ask(self, method, path, body=None, query=None, status=200, **segments):
    response = self.server.request(method, address(path, **segments), query, body=body, key=self.key)
    assert response.status == status, response
    assert conforms(response, path, method.lower())
    return response.json()

  def create(self, url, status=200, **more):
    return self.ask("POST", "/api/webhooks", {"url": url, **more}, status=status)

  def one(self, method, hook, action="", body=None, query=None, status=200):
    return self.ask(method, "/api/webhooks/{id}" + action, body, query, status, id=hook["id"])

  def deliveries(self, hook, **query):
    return self.one("GET", hook, "/deliveries", query=query)["deliveries"]

  def draw(self, **parameters):
    return self.server.draw("ints", parameters, key=self.key).json()


@pytest.fixture
def manager(hooked):  # noqa: F811
  return Manager(hooked)


def told(receiver, path, event):  # noqa: F811
  return [json.loads(entry["body"]) for entry in receiver.received(path) if entry["headers"]["x-provable-event"] == event]


def test_a_webhook_from_its_making_to_its_end(manager, receiver):  # noqa: F811
  made = manager.create(receiver.url("/ok"))
  assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", made["secret"]) and made["enabled"] and len(made["events"]) == 5
  shown = {name: value for name, value in made.items() if name != "secret"}
  assert manager.one("GET", made) == shown and manager.ask("GET", "/api/webhooks") == {"webhooks": [shown]}
  drawn = manager.draw()
  entry = wait_until(lambda: receiver.received("/ok"), "the draw is told")[0]
  assert all(signatures_hold(made["secret"], entry["headers"], entry["body"].encode()).values())
  wait_until(lambda: manager.deliveries(made, state="delivered"), "it is recorded")
  [delivery] = manager.deliveries(made)
  assert delivery["shortId"] == drawn["shortId"] and delivery["event"] == "outcome.created" and delivery["due"] is None
  assert [attempt["status"] for attempt in delivery["attempts"]] == [200] and delivery["attempts"][0]["error"] is None
  test = manager.one("POST", made, "/test")["deliveryId"]
  wait_until(lambda: told(receiver, "/ok", "test"), "the test event has come")
  assert [d["id"] for d in manager.deliveries(made, limit=1)] == [test]
  assert [d["id"] for d in manager.deliveries(made, before=test)] == [delivery["id"]]
  changed = manager.one("PATCH", made, body={"url": receiver.url("/other"), "events": ["test.nothing"]}, status=400)
  assert changed["parameter"] == "events" and manager.one("GET", made) == shown
  changed = manager.one("PATCH", made, body={"url": receiver.url("/other"), "events": ["quota.reached"], "enabled": False})
  assert changed["url"].endswith("/other") and changed["events"] == ["quota.reached"] and not changed["enabled"] and changed["disabledReason"]
  for action in ("/test", "/resend"):
    refused = manager.one("POST", made, action, {"deliveryId": test} if action == "/resend" else None, status=409)
    assert refused["code"] == "webhook_disabled"
  assert manager.one("PATCH", made, body={"enabled": True})["enabled"] and manager.one("PATCH", made)["events"] == ["quota.reached"]
  assert manager.one("DELETE", made) == {"id": made["id"], "deleted": True}
  for method, action in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "/deliveries"), ("POST", "/test"), ("POST", "/rotate")):
    assert manager.one(method, made, action, status=404)["code"] == "not_found"


def test_only_a_live_key_with_the_scope_may(manager):
  server = manager.server
  plain, test = server.key(manager.account), server.key(manager.account, "test")
  for path, method in ROUTES:
    for key, status, code in ((None, 401, "invalid_api_key"), ("nonsense", 401, "invalid_api_key"), (plain, 403, "insufficient_scope"), (test, 403, "insufficient_scope")):
      response = server.request(method.upper(), address(path, id=1), body={"url": "https://example.com", "deliveryId": 1} if method == "post" else None, key=key)
      assert response.status == status and (method == "head" or response.code == code), (path, method, response)
      assert conforms(response, path, method)
  assert server.sql("SELECT count(*) FROM webhook_endpoints") == [(0,)]


def test_nobody_reaches_anothers(manager, hooked):  # noqa: F811
  other = Manager(hooked)
  made = manager.create("https://example.com/hook")
  assert other.ask("GET", "/api/webhooks") == {"webhooks": []}
  for method, action, body in (("GET", "", None), ("PATCH", "", {"enabled": False}), ("DELETE", "", None), ("GET", "/deliveries", None),
                               ("POST", "/test", None), ("POST", "/rotate", None), ("POST", "/resend", {"deliveryId": 1}), ("POST", "/resend", {"from": 0, "until": 9})):
    assert other.one(method, made, action, body, status=404)["code"] == "not_found"
  assert manager.one("GET", made)["enabled"]


@pytest.mark.parametrize("body, parameter", [
  ({}, "url"), ({"url": "ftp://example.com"}, "url"), ({"url": 5}, "url"), ({"url": "https://example.com", "events": []}, "events"),
  ({"url": "https://example.com", "events": "outcome.created"}, "events"), ({"url": "https://example.com", "events": ["outcome.made"]}, "events"),
  ({"url": "https://example.com", "events": ["outcome.created"] * 101}, "events"), ({"url": "https://example.com", "events": [1]}, "events"), ({"url": "https://example.com", "secret": "whsec_AAAA"}, "secret"),
  ({"url": "https://example.com", "name": "x"}, "name"), ({"url": "https://" + "x" * 2050}, "url")])
def test_a_bad_webhook_is_a_400_that_names_the_parameter(manager, body, parameter):
  assert manager.ask("POST", "/api/webhooks", body, status=400)["parameter"] == parameter
  assert manager.ask("GET", "/api/webhooks") == {"webhooks": []}


def test_private_addresses_need_the_operators_leave(serve):
  manager = Manager(serve())
  for url in ("http://127.0.0.1/", "http://[::1]/", "http://169.254.169.254/"):
    assert manager.create(url, status=400)["parameter"] == "url"


def test_a_request_that_is_sent_twice_makes_one(manager):
  made = manager.create("https://example.com/hook")
  assert manager.create("https://example.com/hook", status=409)["code"] == "webhook_exists"
  secret = "whsec_" + base64.b64encode(bytes(range(24))).decode()
  assert manager.create("https://example.com/kept", secret=secret, events=["outcome.created"])["secret"] == secret
  for number in range(8):
    manager.create(f"https://example.com/{number}")
  assert manager.create("https://example.com/last", status=409)["code"] == "too_many_webhooks"
  assert len(manager.ask("GET", "/api/webhooks")["webhooks"]) == 10
  manager.one("DELETE", made)
  manager.create("https://example.com/last")


def test_a_request_under_an_idempotency_key_gets_the_same_webhook_again(manager):
  def create(body, key, status=200):
    response = manager.server.request("POST", "/api/webhooks", body=body, key=manager.key, headers={"Idempotency-Key": key})
    assert response.status == status, response
    assert conforms(response, "/api/webhooks", "post")
    return response

  body = {"url": "https://example.com/hook", "events": ["quota.reached"]}
  made = create(body, "hook")
  assert "Idempotent-Replayed" not in made.headers
  again = create(body, '"hook"')
  assert again.body == made.body and again.headers["Idempotent-Replayed"] == "true"
  for other in ({**body, "events": ["day.published"]}, {"url": "https://example.com/other"}):
    assert create(other, "hook", 409).code == "idempotency_replay"
  assert create(body, "another", 409).code == "webhook_exists"
  assert create(body, "a b", 400).json()["parameter"] == "Idempotency-Key"
  assert len(manager.ask("GET", "/api/webhooks")["webhooks"]) == 1
  # A draw cannot have the key; whoever looks it up, which takes no right to manage, is not shown the secret.
  drawn = manager.server.request("GET", "/api/ints", key=manager.key, headers={"Idempotency-Key": "hook"})
  assert (drawn.status, drawn.code) == (409, "idempotency_replay")
  found = manager.server.request("GET", "/api/idempotency/hook", key=manager.key)
  assert conforms(found, "/api/idempotency/{key}", "get")
  shown = {name: value for name, value in made.json().items() if name != "secret"}
  assert found.json()["body"] == shown and (found.json()["method"], found.json()["path"]) == ("POST", "/api/webhooks")
  assert manager.server.request("GET", "/api/idempotency/another", key=manager.key).status == 404
  [kept] = manager.server.sql("SELECT answer FROM idempotency")
  assert b"whsec_" not in bytes(kept[0])
  rotated = manager.one("POST", shown, "/rotate")
  assert create(body, "hook").json() == rotated
  manager.one("DELETE", shown)
  assert create(body, "hook", 404).code == "not_found"


def test_simultaneous_requests_make_one_webhook(manager):
  body = {"url": "https://example.com/hook"}
  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    responses = list(pool.map(lambda _: manager.server.request("POST", "/api/webhooks", body=body, key=manager.key), range(8)))
  assert sorted(response.status for response in responses) == [200] + 7 * [409], responses
  assert len(manager.ask("GET", "/api/webhooks")["webhooks"]) == 1


def test_documented_bodies_are_those_that_are_taken(manager):
  made = manager.create("https://example.com/hook")
  for path, method, bodies in (
    ("/api/webhooks/{id}", "patch", [{}, {"enabled": True}, {"enabled": "yes"}, {"enabled": None}, {"url": "x"}, {"events": ["outcome.created"]}, {"secret": "x"}]),
    ("/api/webhooks/{id}/resend", "post", [{"from": 0, "until": 5}, {"from": 0, "until": 5, "state": "dead"}, {"from": 0, "until": 5, "state": "pending"},
                                           {"from": -1, "until": 5}, {"from": 0, "until": 5, "after": 0}, {"from": 0, "until": 253402300800000}, {"since": 1}])):
    schema = validator(operation(path, method)["requestBody"]["content"]["application/json"]["schema"])
    for body in bodies:
      response = manager.server.request(method.upper(), address(path, id=made["id"]), body=body, key=manager.key)
      # That a URL is one is documented in words.
      assert response.status == (200 if schema.is_valid(body) and body.get("url") != "x" else 400), (body, response)
      assert conforms(response, path, method)
  for body in ({}, {"from": 1}, {"until": 1}, {"from": 5, "until": 4}, {"deliveryId": 1, "from": 0, "until": 5}, {"state": "dead"}):
    assert manager.one("POST", made, "/resend", body, status=400)["code"] == "invalid_parameter"


def test_what_every_address_answers_to_bad_requests(manager):
  made = manager.create("https://example.com/hook")
  for path, method in ROUTES:
    where = address(path, id=made["id"])
    ask = lambda query="", **rest: manager.server.request(method.upper(), where + query, key=manager.key, **rest)
    for response, status in ((ask("?unique=1"), 400), (ask("?unknown=" + "x" * 66000), 414), (manager.server.request("TRACE", where), 405)):
      assert response.status == status, (path, method, response)
      if method != "head" or status != 405:
        assert conforms(response, path, method)
    if method in ("post", "patch"):
      response = ask(headers={"Content-Encoding": "gzip"})
      assert response.status == 415 and conforms(response, path, method)
  assert manager.server.get("/api/webhooks/one", key=manager.key).status == 404
  assert manager.server.get(f"/api/webhooks/{2**70}", key=manager.key).status == 404


def test_deliveries_of_a_time_are_sent_again(manager, receiver):  # noqa: F811
  made = manager.create(receiver.url("/ok"), events=["outcome.created"])
  for _ in range(3):
    manager.draw()
  wait_until(lambda: len(manager.deliveries(made, state="delivered")) == 3, "all are delivered")
  all_three = manager.deliveries(made)
  begin, end = all_three[-1]["created"], all_three[0]["created"]
  assert manager.one("POST", made, "/resend", {"from": begin, "until": end}) == {"resent": 0, "next": None}
  assert manager.one("POST", made, "/resend", {"from": begin, "until": end, "state": "delivered"}) == {"resent": 3, "next": None}
  wait_until(lambda: len(receiver.received("/ok")) == 6, "all have come again")
  assert all(len(entries) == 2 for entries in receiver.taken("/ok").values())
  wait_until(lambda: len(manager.deliveries(made, state="delivered")) == 3, "that is recorded")
  assert manager.one("POST", made, "/resend", {"deliveryId": all_three[0]["id"]}) == {"resent": 1, "next": None}
  wait_until(lambda: len(receiver.received("/ok")) == 7, "one has come once more")
  assert manager.one("POST", made, "/resend", {"deliveryId": all_three[0]["id"] + 10**6}, status=404)["code"] == "not_found"
  # The same from the command line.
  wait_until(lambda: len(manager.deliveries(made, state="delivered")) == 3, "that is recorded")
  day = time.strftime("%Y-%m-%d", time.gmtime(begin / 1000 - 86400))
  done = manager.server.cli("webhook", "resend", "--webhook", made["id"], "--from", day, "--until", "2999-01-01T00:00:00Z", "--state", "delivered", check=True)
  assert "3 deliveries are due" in done.stderr
  wait_until(lambda: len(receiver.received("/ok")) == 10, "all have come again")
  for bad in ([], ["1", "--webhook", made["id"]], ["--webhook", made["id"], "--from", "now", "--until", day], ["--webhook", made["id"], "--from", "2999-01-01", "--until", day],
              ["--webhook", made["id"], "--from", day, "--until", day, "--state", "pending"], ["1", "--from", day]):
    assert manager.server.cli("webhook", "resend", *bad).returncode == 64


def v1a_holds(public_key, entry):
  """Whether one of the asymmetric signatures is of this key, as the Standard Webhooks specification has it."""
  assert re.fullmatch(r"whpk_[A-Za-z0-9+/]{43}=", public_key)
  key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key.removeprefix("whpk_")))
  headers = entry["headers"]
  message = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{entry['body']}".encode()
  for signature in headers["webhook-signature"].split(" "):
    version, _, text = signature.partition(",")
    if version == "v1a":
      try:
        key.verify(base64.b64decode(text), message)
        return True
      except InvalidSignature:
        pass
  return False


def test_events_can_be_checked_without_the_secret(manager, receiver):  # noqa: F811
  made = manager.create(receiver.url("/ok"))
  manager.one("POST", made, "/test")
  first = wait_until(lambda: receiver.received("/ok"), "the test event has come")[0]
  assert v1a_holds(made["publicKey"], first) and not v1a_holds(made["publicKey"], {**first, "body": first["body"] + " "})
  rotated = manager.one("POST", made, "/rotate")
  assert rotated["secret"] != made["secret"] and rotated["publicKey"] != made["publicKey"]
  manager.one("POST", made, "/test")
  second = wait_until(lambda: receiver.received("/ok")[1:], "the second test event has come")[0]
  # For a day both sign.
  assert v1a_holds(made["publicKey"], second) and v1a_holds(rotated["publicKey"], second) and not v1a_holds(rotated["publicKey"], first)
  body = second["body"].encode()
  assert signatures_hold(rotated["secret"], second["headers"], body)["provable"] and signatures_hold(made["secret"], second["headers"], body)["standard"]
  assert [part.split(",")[0] for part in second["headers"]["webhook-signature"].split(" ")] == ["v1", "v1", "v1a", "v1a"]
  assert rotated["publicKey"] in manager.server.cli("webhook", "list", check=True).stdout
  created = manager.server.cli("webhook", "create", "--account", manager.account, "--url", "https://example.com/cli", "--events", "quota.reached,day.published", check=True)
  [shown] = [hook for hook in manager.ask("GET", "/api/webhooks")["webhooks"] if hook["url"].endswith("/cli")]
  assert shown["publicKey"] in created.stderr and shown["events"] == ["day.published", "quota.reached"]
  refused = manager.server.cli("webhook", "create", "--account", manager.account, "--url", "https://example.com/no", "--events", "everything")
  assert refused.returncode == 64 and "--events" in refused.stderr


STANDARD = """
import json, sys
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
secret, headers, body = json.load(sys.stdin)
assert Webhook(secret).verify(body, headers) == json.loads(body)
try:
  Webhook(secret).verify(body + " ", headers)
except WebhookVerificationError:
  print("good")
"""


def test_the_library_of_standard_webhooks_takes_them(manager, receiver):  # noqa: F811
  python = tool("python")
  made = manager.create(receiver.url("/ok"))
  manager.draw()
  [entry] = wait_until(lambda: receiver.received("/ok"), "the draw is told")
  done = subprocess.run([python, "-c", STANDARD], input=json.dumps([made["secret"], entry["headers"], entry["body"]]), capture_output=True, text=True, check=True)
  assert done.stdout == "good\n"


def test_a_rotation_and_a_quota_are_told_to_whoever_wants_that(hooked, receiver):  # noqa: F811
  manager = Manager(hooked, "--daily-quota", "2")
  manager.create(receiver.url("/all"))
  manager.create(receiver.url("/some"), events=["chain.rotated", "quota.reached"])
  manager.create(receiver.url("/draws"), events=["outcome.created"])
  seed = unique("told")
  manager.draw(clientSeed=seed)
  rotated = hooked.post("/api/rotate", {"clientSeed": seed}, key=manager.key).json()
  last = manager.draw(clientSeed=seed)
  assert hooked.draw("ints", key=manager.key).status == 429
  for path in ("/all", "/some"):
    [event] = wait_until(lambda: told(receiver, path, "chain.rotated"), "the rotation is told")
    assert event["event"] == event["type"] == "chain.rotated" and event["data"] == rotated
    [event] = wait_until(lambda: told(receiver, path, "quota.reached"), "the quota is told")
    assert event["data"]["quota"] == 2 and event["timestamp"].startswith(event["data"]["date"]) and event["data"]["resetsAt"] > event["timestamp"]
  wait_until(lambda: len(told(receiver, "/draws", "outcome.created")) == 2, "the draws are told")
  wait_until(lambda: len(receiver.received("/all")) == 4, "one is told of all")
  assert {event["data"]["shortId"] for event in told(receiver, "/all", "outcome.created")} >= {last["shortId"]}
  assert len(receiver.received("/some")) == 2 and len(receiver.received("/draws")) == 2
  ids = [entry["headers"]["webhook-id"] for entry in receiver.received("/all")]
  assert len(set(ids)) == 4


def test_a_published_day_is_told(manager, receiver):  # noqa: F811
  manager.create(receiver.url("/days"), events=["day.published"])
  manager.create(receiver.url("/draws"), events=["outcome.created"])
  [outcome] = into_the_past(manager.server, [manager.draw()])
  root = published(manager.server, day_of(outcome["created"]))
  [event] = wait_until(lambda: told(receiver, "/days", "day.published"), "the day is told")
  assert event["data"] == root
  assert not told(receiver, "/draws", "day.published")


def test_a_webhook_that_is_disabled_is_told_to_the_others(manager, receiver):  # noqa: F811
  gone = manager.create(receiver.url("/gone"), events=["outcome.created"])
  manager.create(receiver.url("/ok"), events=["webhook.disabled"])
  manager.draw()
  [event] = wait_until(lambda: told(receiver, "/ok", "webhook.disabled"), "the other one is told")
  assert event["data"] == {"webhookId": gone["id"], "url": gone["url"], "reason": "it answered 410 Gone"}
  assert not manager.one("GET", gone)["enabled"]
  # By hand, nobody is told.
  other = manager.create(receiver.url("/other"), events=["outcome.created"])
  manager.one("PATCH", other, body={"enabled": False})
  manager.one("POST", gone, "/test", status=409)
  assert len(receiver.received("/ok")) == 1


def test_every_route_is_managed_here():
  assert {path for path, _ in ROUTES} == {path for path in DOCUMENT["paths"] if "webhook" in path} and len(ROUTES) == 12
