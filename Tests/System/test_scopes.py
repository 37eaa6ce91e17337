"""What a key may be used for: its scopes."""

import pytest

from harness import DRAWS

DRAWING = [
  *(("GET", f"/api/{endpoint}") for endpoint in DRAWS), ("POST", "/api/batch"), ("GET", "/api/seed"), ("GET", "/api/incrementCursor"), ("POST", "/api/rotate"),
  ("POST", "/api/commit"), ("POST", "/api/reveal"), ("GET", "/api/stream?endpoint=ints")]
READING = [("GET", "/api/listOutcomes"), ("GET", "/api/outcomes"), ("GET", "/api/outcome?cursor=0&nonce=0"), ("GET", "/api/usage"), ("GET", "/api/idempotency/none"), ("GET", "/api/merkle/2020-01-01/mine"), ("GET", "/api/idempotency/none")]
OPEN = ["/api/merkle", "/api/keys", "/api/verifyShortId?shortId=0000000000", "/api/verifyServerHash?serverHash=" + "0" * 64, "/api/health"]


def scoped(server, account, scopes, *options):
  made = server.cli("key", "create", "--account", account, *(["--scope", scopes] if scopes else []), *options, check=True)
  return made.stdout.strip()


@pytest.mark.parametrize("scopes, granted", [(None, {"draw", "read"}), ("draw", {"draw"}), ("read", {"read"}), ("manage", {"manage"}), ("manage,draw", {"draw", "manage"})])
def test_a_key_may_do_what_its_scopes_say(server, scopes, granted):
  account = server.account()
  key = scoped(server, account, scopes)
  for needed, requests in (("draw", DRAWING), ("read", READING)):
    for method, path in requests:
      # A stream that is let in would go on; what is wrong with it is found only then.
      probe = path + "&intervalMs=0" if "stream" in path else path
      answer = server.request(method, probe, key=key)
      if needed in granted:
        assert answer.status != 403, (method, path, answer)
      else:
        assert (answer.status, answer.code) == (403, "insufficient_scope") and needed in answer.json()["error"], (method, path, answer)
  for path in OPEN:
    assert server.get(path, key=key).status in (200, 404)
  if "draw" not in granted:
    assert server.sql(f"SELECT count(*) FROM outcomes o JOIN chains c ON c.id = o.chain_id JOIN accounts a ON a.id = c.owner_id WHERE a.name = '{account}'") == [(0,)]


def test_a_refused_request_is_not_kept_under_its_idempotency_key(server):
  account = server.account()
  refused = server.get("/api/ints", key=scoped(server, account, "read"), idempotency="one")
  assert refused.status == 403
  drawn = server.get("/api/ints", key=scoped(server, account, "draw"), idempotency="one")
  assert drawn.status == 200 and not drawn.replayed


def test_scopes_are_listed_and_checked(server):
  account = server.account()
  key = scoped(server, account, "read,draw,manage")
  [line] = [line for line in server.cli("key", "list", check=True).stdout.splitlines() if key[:16] in line]
  assert "draw,read,manage" in line
  for bad in ("", "write", "draw,", "draw read"):
    refused = server.cli("key", "create", "--account", account, "--scope", bad)
    assert refused.returncode == 64 and "--scope" in refused.stderr and not refused.stdout
  refused = server.cli("key", "create", "--account", account, "--mode", "test", "--scope", "manage")
  assert refused.returncode == 1 and "manage" in refused.stderr and not refused.stdout
  imported = "pk_live_" + "m" * 30
  server.cli("key", "import", "--account", account, "--scope", "read", typed=imported + "\n", check=True)
  assert server.get("/api/usage", key=imported).status == 200 and server.get("/api/ints", key=imported).status == 403
