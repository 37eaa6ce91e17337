"""API keys: who is calling, from where, and how often."""

import base64
import hashlib
import time

import pytest

from harness import DRAWS, Server, unique, wait_until

PATHS = [f"/api/{endpoint}" for endpoint in DRAWS] + ["/api/seed", "/api/incrementCursor", "/api/listOutcomes", "/api/outcome"]
ANYTHING = {"clientSeed": "keys", "items": "a,b", "notation": "2d6", "cursor": 0, "nonce": 0}


def invalid(response):
  assert response.status == 401, response
  body = response.json()
  assert set(body) == {"error", "code"} and body["code"] == "invalid_api_key"
  return True


def forbidden(response, code):
  assert response.status == 403, response
  body = response.json()
  assert set(body) == {"error", "code"} and body["code"] == code
  return True


# Presenting a key


def test_both_headers_carry_a_key(server, live_key, client_seed):
  for headers in ({"x-api-key": live_key}, {"X-API-KEY": live_key}, {"Authorization": f"Bearer {live_key}"}, {"authorization": f"bearer {live_key}"}):
    assert server.get("/api/ints", {"clientSeed": client_seed}, headers=headers).status == 200
  assert server.nonce(client_seed, live_key) == 4


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("headers", [
  {"x-api-key": "pk_live_" + "A" * 43}, {"x-api-key": "nonsense"}, {"x-api-key": ""}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Bearer "},
  {"x-api-key": "x" * 5000},
], ids=lambda headers: str(headers)[:40])
def test_an_unknown_key(server, unchanged, path, headers):
  assert invalid(server.get(path, ANYTHING, headers=headers))


def basic(text):
  return "Basic " + base64.b64encode(text.encode()).decode()


MISPLACED = [
  "{}", "Token {}", "token {}", "ApiKey {}", "Key={}", "Bearer{}", 'Digest username="{}"',
  lambda key: basic(key), lambda key: basic(key + ":"), lambda key: basic("user:" + key), lambda key: basic(key + ":").rstrip("="),
]


def headers_with(form, key):
  return {"Authorization": form(key) if callable(form) else form.format(key)}


@pytest.mark.parametrize("form", MISPLACED)
def test_a_key_in_another_form_is_not_ignored(server, live_key, test_key, form):
  """It would be an anonymous draw, and its retry would be another."""
  known = server.get("/api/ints", {"clientSeed": "keys"}, key=live_key)  # so that the quick way knows the key
  before = server.footprint()
  for key in (live_key, test_key):
    headers = headers_with(form, key)
    for path in [*PATHS, "/api/stream", "/api/verifyShortId", "/api/merkle"]:
      response = server.get(path, {**ANYTHING, "endpoint": "ints"}, headers=headers)
      assert invalid(response) and "Authorization: Bearer" in response.error and "x-api-key" in response.error
    assert invalid(server.post("/api/ints", {"clientSeed": "keys"}, headers=headers))
    assert invalid(server.post("/api/batch", {"draws": [{"endpoint": "ints", "params": {}}]}, headers=headers, idempotency="k"))
  assert known.status == 200 and server.footprint() == before


def test_two_keys_are_one_too_many(server, live_key, test_key, unchanged):
  assert invalid(server.draw("ints", key=live_key, headers={"Authorization": f"Bearer {test_key}"}))
  assert invalid(server.draw("ints", key=live_key, headers={"Authorization": basic(test_key)}))


def test_authorization_that_is_meant_for_others_is_no_key(server, live_key, client_seed):
  for form in (basic("user:password"), "Negotiate abc", "Token abc", 'Digest username="me"'):
    assert server.draw("ints", {"clientSeed": client_seed}, headers={"Authorization": form}).status == 200
    assert server.draw("ints", {"clientSeed": client_seed}, key=live_key, headers={"Authorization": form}).status == 200
  assert server.draw("ints", {"clientSeed": client_seed}, key=live_key, headers={"Authorization": f"Bearer {live_key}"}).status == 200
  assert server.nonce(client_seed) == 4 and server.nonce(client_seed, live_key) == 5


def test_an_unknown_key_with_a_post(server, unchanged):
  for path in ("/api/ints", "/api/batch"):
    assert invalid(server.post(path, {"draws": [{"endpoint": "ints"}]}, key="pk_live_" + "A" * 43))


def test_a_key_with_one_character_changed(server, live_key, unchanged):
  other = live_key[:-2] + ("A" if live_key[-2] != "A" else "B") + live_key[-1]
  assert invalid(server.draw("ints", key=other))
  assert invalid(server.draw("ints", key=live_key.lower() if live_key != live_key.lower() else live_key.upper()))
  assert invalid(server.draw("ints", key=live_key[:16]))
  assert invalid(server.draw("ints", key=live_key + "x"))


@pytest.mark.parametrize("path", ["/api/health", "/api/public-metrics", "/openapi.json"])
def test_system_endpoints_read_no_key(server, path):
  assert server.get(path, key="nonsense").status == 200


def test_a_new_key_works_at_once(server):
  assert server.draw("ints", key=server.key()).status == 200


def test_only_a_hash_of_the_key_is_stored(server, live_key):
  assert server.sql("SELECT count(*) FROM api_keys WHERE hash = ?", hashlib.sha256(live_key.encode()).digest()) == [(1,)]


# Revoking


def test_a_revoked_key_is_refused_within_a_second(server, account, live_key):
  sibling = server.key(account)
  with server.connect() as connection:
    assert connection.get("/api/ints", key=live_key).status == 200
    revoked = server.cli("key", "revoke", live_key[:16])
    assert revoked.returncode == 0, revoked
    since = time.monotonic()
    accepted = since

    def is_refused():
      nonlocal accepted
      began = time.monotonic()
      if connection.get("/api/ints", key=live_key).status != 200:
        return True
      accepted = began

    wait_until(is_refused, "the key is refused")
    assert accepted - since <= 1, "accepted later than a second after it was revoked"
    assert invalid(connection.get("/api/ints", key=live_key))
    assert connection.get("/api/ints", key=sibling).status == 200


def test_a_revoked_key_gets_no_replay(server, live_key):
  ask = lambda: server.draw("ints", key=live_key, idempotency="once")
  assert ask().status == 200
  server.cli("key", "revoke", live_key[:16], check=True)
  wait_until(lambda: ask().status == 401, "the key is refused")


# Networks


@pytest.fixture(scope="module")
def behind_proxy(tmp_path_factory):
  """A server that trusts its loopback peer and one more network to say who the client is."""
  with Server(tmp_path_factory.mktemp("proxy") / "data", FAIRDRAW_TRUSTED_PROXIES="127.0.0.0/8,10.9.0.0/16,2001:db8:9::/48") as running:
    yield running


def ask_from(server, key, forwarded):
  return server.draw("ints", key=key, headers={"X-Forwarded-For": forwarded} if forwarded is not None else {})


@pytest.mark.parametrize("allowed, address, welcome", [
  ("192.0.2.0/24", "192.0.2.0", True), ("192.0.2.0/24", "192.0.2.255", True), ("192.0.2.0/24", "192.0.3.0", False),
  ("192.0.2.0/24", "192.0.1.255", False), ("192.0.2.7/32", "192.0.2.7", True), ("192.0.2.7/32", "192.0.2.6", False),
  ("192.0.2.7", "192.0.2.7", True), ("192.0.2.7", "192.0.2.8", False),
  ("192.0.2.128/25", "192.0.2.127", False), ("192.0.2.128/25", "192.0.2.128", True), ("0.0.0.0/0", "203.0.113.5", True),
  ("10.0.0.0/8", "10.255.255.255", True), ("0.0.0.0/0", "2001:db8::1", False), ("::/0", "2001:db8::1", True), ("::/0", "192.0.2.1", False),
  ("2001:db8::/32", "2001:db8:ffff::1", True), ("2001:db8::/32", "2001:DB8:0:0:0:0:0:1", True), ("2001:db8::/32", "2001:db9::1", False),
  ("2001:db8::/33", "2001:db8:8000::", False), ("2001:db8::1/128", "2001:db8::1", True), ("2001:db8::1/128", "2001:db8::2", False),
])
def test_allowed_networks(behind_proxy, allowed, address, welcome):
  key = behind_proxy.key(None, "live", "--allow-ip", allowed)
  response = ask_from(behind_proxy, key, address)
  assert response.status == 200 if welcome else forbidden(response, "ip_not_allowed")


def test_one_of_several_networks_is_enough(behind_proxy):
  key = behind_proxy.key(None, "test", "--allow-ip", "192.0.2.0/24", "--allow-ip", "2001:db8::/32")
  assert [ask_from(behind_proxy, key, a).status for a in ("192.0.2.1", "2001:db8::1", "198.51.100.1")] == [200, 200, 403]


@pytest.mark.parametrize("path", PATHS)
def test_every_endpoint_keeps_the_network_out(server, account, unchanged, path):
  key = server.key(account, "live", "--allow-ip", "192.0.2.0/24")
  assert forbidden(server.get(path, ANYTHING, key=key), "ip_not_allowed")


def test_a_batch_is_kept_out_too(server, account, unchanged):
  key = server.key(account, "live", "--allow-ip", "192.0.2.0/24")
  assert forbidden(server.post("/api/batch", {"draws": [{"endpoint": "ints"}]}, key=key), "ip_not_allowed")


def test_the_peers_own_address_is_the_clients_where_no_proxy_is_trusted(server, account):
  near, far = (server.key(account, "live", "--allow-ip", network) for network in ("127.0.0.0/8", "192.0.2.0/24"))
  assert server.draw("ints", key=near).status == 200
  assert server.draw("ints", key=near, headers={"X-Forwarded-For": "192.0.2.1"}).status == 200
  assert forbidden(server.draw("ints", key=far, headers={"X-Forwarded-For": "192.0.2.1"}), "ip_not_allowed")


@pytest.mark.parametrize("forwarded, welcome", [
  ("192.0.2.1", True),
  ("198.51.100.1, 192.0.2.1", True),  # what a client says of itself before the proxy's word does not count
  ("192.0.2.1, 198.51.100.1", False),  # nor for it
  ("192.0.2.1, 10.9.1.1", True),  # a second trusted proxy is passed over
  ("192.0.2.1,10.9.1.1,2001:db8:9::1", True),
  ("198.51.100.1, 10.9.1.1", False),
  (" 192.0.2.1 ", True),
  ("\t192.0.2.1\t", True),
  ("198.51.100.1,\t192.0.2.1:4711", True),
  ("192.0.2.1:4711, [2001:db8:9::1]:443", True),
  ('"192.0.2.1:4711",2001:db8:9::1%eth0', True),
  ("[::ffff:192.0.2.1]", True),
  ("192.0.2.1:x", False),
  ("nonsense", False),
  ("192.0.2.1, nonsense", False),
  ("", False),
  (None, False),
])
def test_whom_x_forwarded_for_names(behind_proxy, forwarded, welcome):
  key = behind_proxy.key(None, "live", "--allow-ip", "192.0.2.0/24")
  response = ask_from(behind_proxy, key, forwarded)
  assert response.status == 200 if welcome else forbidden(response, "ip_not_allowed")


def test_x_forwarded_for_in_two_lines_is_one_list(behind_proxy):
  key = behind_proxy.key(None, "live", "--allow-ip", "192.0.2.0/24")
  ask = lambda *lines: behind_proxy.raw_get(
    b"/api/ints", b"".join(b"X-Forwarded-For: %s\r\n" % line for line in lines) + b"x-api-key: %s\r\n" % key.encode())
  assert ask(b"198.51.100.1", b"192.0.2.1").status == 200
  assert ask(b"192.0.2.1", b"198.51.100.1").status == 403


def test_ipv6_peers(tmp_path):
  try:
    server = Server(tmp_path / "data", host="::1").start()
  except AssertionError as failure:
    if "address" in str(failure).lower():
      pytest.skip("no IPv6 loopback here")
    raise
  try:
    near, far = (server.key(None, "live", "--allow-ip", network) for network in ("::1/128", "127.0.0.0/8"))
    assert server.draw("ints", key=near).status == 200
    assert forbidden(server.draw("ints", key=far), "ip_not_allowed")
  finally:
    server.kill()


# Origins


@pytest.mark.parametrize("allowed, referer, welcome", [
  ("https://example.com", "https://example.com/", True),
  ("https://example.com", "https://example.com", True),
  ("https://example.com", "https://example.com/page?x=https://evil.example#y", True),
  ("https://example.com", "https://EXAMPLE.com/", True),
  ("https://example.com", "https://example.com:443/", True),
  ("https://example.com", "https://example.com:8443/", False),
  ("https://example.com", "http://example.com/", False),
  ("https://example.com", "https://www.example.com/", False),
  ("https://example.com", "https://example.com.evil.example/", False),
  ("https://example.com", "https://evilexample.com/", False),
  ("https://example.com", "https://example.com@evil.example/", False),
  ("https://example.com", "https://evil.example/https://example.com/", False),
  ("https://example.com", "nonsense", False),
  ("https://example.com", None, False),
  ("https://*.example.com", "https://a.example.com/", True),
  ("https://*.example.com", "https://a.b.example.com/x", True),
  ("https://*.example.com", "https://example.com/", False),
  ("https://*.example.com", "https://evilexample.com/", False),
  ("https://*.example.com", "https://.example.com/", False),
  ("https://*.example.com", "http://a.example.com/", False),
  ("https://*.example.com", "https://a.example.com.evil.example/", False),
  ("http://localhost:3000", "http://localhost:3000/game", True),
  ("http://localhost:3000", "http://localhost/", False),
  ("http://localhost:3000", "http://localhost:30000/", False),
])
def test_allowed_origins(server, account, allowed, referer, welcome):
  key = server.key(account, "test", "--allow-referer", allowed)
  response = server.draw("ints", key=key, headers={"Referer": referer} if referer else {})
  assert response.status == 200 if welcome else forbidden(response, "referer_not_allowed")


def test_one_of_several_origins_is_enough(server, account):
  key = server.key(account, "live", "--allow-referer", "https://a.example", "--allow-referer", "https://b.example")
  assert [server.draw("ints", key=key, headers={"Referer": f"https://{h}.example/"}).status for h in "abc"] == [200, 200, 403]


def test_network_and_origin_must_both_be_right(behind_proxy):
  key = behind_proxy.key(None, "live", "--allow-ip", "192.0.2.0/24", "--allow-referer", "https://a.example")
  ask = lambda address, referer: behind_proxy.draw("ints", key=key, headers={"X-Forwarded-For": address, "Referer": referer})
  assert ask("192.0.2.1", "https://a.example/").status == 200
  assert forbidden(ask("192.0.2.1", "https://b.example/"), "referer_not_allowed")
  assert forbidden(ask("198.51.100.1", "https://a.example/"), "ip_not_allowed")


# Rate limit

LIMIT = 5


@pytest.fixture
def limited(serve):
  return serve(FAIRDRAW_RATE_LIMIT_PER_MINUTE=LIMIT, FAIRDRAW_TRUSTED_PROXIES="127.0.0.1/32")


def until_limited(ask, limit=LIMIT):
  """Asks until it is refused: how many requests passed, and the refusal. Slots come back evenly over the minute."""
  began, passed = time.monotonic(), 0
  while True:
    response = ask()
    if response.status == 429:
      assert passed >= limit, "refused too soon"
      return passed, response
    assert response.status == 200, response
    passed += 1
    assert passed <= limit + limit * (time.monotonic() - began) / 60 + 1, "no limit"


@pytest.mark.parametrize("mode", [None, "test"])
def test_the_limit(limited, mode):
  key = limited.key(mode=mode) if mode else None
  _, refused = until_limited(lambda: limited.draw("ints", key=key))
  body = refused.json()
  assert set(body) == {"error", "code", "retryAfter"}
  assert body["code"] == "rate_limited"
  assert 1 <= body["retryAfter"] <= 60
  assert refused.header("Retry-After") == str(body["retryAfter"])


@pytest.mark.parametrize("headers", [{"x-api-key": "nonsense"}, {"x-api-key": "pk_live_eu9_" + "A" * 43}, {"Authorization": "Token pk_live_x"}], ids=["unknown", "of a cell", "misplaced"])
def test_guessing_at_keys_takes_slots(limited, headers):
  """No more guesses than draws, and none of them for nothing."""
  ask = lambda: limited.draw("ints", headers={**headers, "X-Forwarded-For": "198.51.100.77"})
  statuses = [ask().status for _ in range(3 * LIMIT)]
  assert statuses[:LIMIT] == [401] * LIMIT and 429 in statuses[LIMIT:]


def test_live_keys_have_no_limit(limited):
  key = limited.key()
  assert [limited.draw("ints", key=key).status for _ in range(3 * LIMIT)] == [200] * 3 * LIMIT


def test_the_limit_is_by_address(limited):
  ask = lambda address: limited.draw("ints", headers={"X-Forwarded-For": address})
  until_limited(lambda: ask("192.0.2.1"))
  assert ask("192.0.2.2").status == 200
  assert ask("2001:db8::1").status == 200


def test_a_refused_request_draws_nothing(limited):
  passed, _ = until_limited(lambda: limited.draw("ints", {"clientSeed": "limited"}))
  assert limited.sql("SELECT nonce FROM chains WHERE client_seed = ?", b"limited") == [(passed,)]


def test_zero_is_no_limit(serve):
  server = serve(FAIRDRAW_RATE_LIMIT_PER_MINUTE=0)
  with server.connect() as connection:
    assert {connection.get("/api/ints").status for _ in range(300)} == {200}


def test_the_default_limit_is_120(serve):
  server = serve()
  server.stop()
  del server.env["FAIRDRAW_RATE_LIMIT_PER_MINUTE"]
  server.start()
  with server.connect() as connection:
    until_limited(lambda: connection.get("/api/ints"), 120)


def test_system_endpoints_are_not_limited(limited):
  until_limited(lambda: limited.draw("ints"))
  assert [limited.get(path).status for path in ("/api/health", "/openapi.json")] == [200, 200]


# Keys that were made elsewhere


@pytest.mark.parametrize("mode", ["live", "test"])
def test_a_key_can_be_brought(server, account, client_seed, mode):
  key = f"pk_{mode}_" + unique("brought").replace("-", "_") + "x" * 10
  assert server.draw("ints", {"clientSeed": client_seed}, key=key).status == 401
  done = server.cli("key", "import", "--account", account, "--name", "old", typed=key + "\n", check=True)
  assert done.stdout == "" and key[:16] in done.stderr and key not in done.stderr
  wait_until(lambda: server.draw("ints", {"clientSeed": client_seed}, key=key).status == 200, "the key is known")
  assert server.draw("ints", {"clientSeed": client_seed}, key=key).json()["mode"] == mode
  again = server.cli("key", "import", "--account", account, typed=key + "\n")
  assert again.returncode == 1 and key not in again.stderr
  server.cli("key", "revoke", key[:24], check=True)
  wait_until(lambda: server.draw("ints", key=key).status == 401, "the key is revoked")


@pytest.mark.parametrize("text", ["", "nonsense", "pk_live_short", "pk_live_" + "x" * 57, "pk_dead_" + "x" * 20, "pk_live_" + "x" * 20 + "!", "pk_live_" + "\u00e9" * 20])
def test_what_is_no_key_is_not_accepted(server, account, text):
  done = server.cli("key", "import", "--account", account, typed=text + "\n")
  assert done.returncode == 1 and "key" in done.stderr
