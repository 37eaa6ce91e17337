"""Memory: what the server takes at most, whatever it is asked for."""

import json
import re
from collections import Counter

from test_flood import large_items

from harness import BODY_LIMIT, together

READERS = 64
OUTCOMES = 12

# What the program takes at rest (a debug build some more), the budgets of readers and replays, and what the allocator has not
# given back yet. What the readers ask for is more than 1 GB.
MOST = 350 << 20


def peak(server):
  """The most memory that the process ever had, in bytes (VmHWM of proc(5))."""
  status = open(f"/proc/{server.process.pid}/status").read()
  return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


def test_64_readers_of_large_outcomes(serve):
  server = serve(FAIRDRAW_DAILY_QUOTA=10**6)
  account = server.account()
  key, test_key = server.key(account), server.key(account, "test")
  items = large_items(BODY_LIMIT - 4096)
  drawn = [server.post("/api/shuffle", {"clientSeed": "large", "items": items}, key=key).json() for _ in range(OUTCOMES)]
  for number in range(3):
    assert server.post("/api/shuffle", {"clientSeed": "large", "items": [number] + items[1:]}, key=test_key).status == 200
  before = peak(server)

  def read(path, query, key):
    """The answer's body, piece by piece: how long it is, and its ends. Whoever waited too long for a turn asks again."""
    with server.connect() as connection:
      status = 503
      while status == 503:
        connection.http.request("GET", path + query, headers={"x-api-key": key} if key else {})
        answer = connection.http.getresponse()
        status = answer.status
        if status != 200:
          refusal = answer.read()
          assert status == 503 and json.loads(refusal)["code"] == "overloaded" and answer.getheader("Retry-After") == "1", refusal
      size, first, last = 0, b"", b""
      while piece := answer.read(1 << 16):
        size, first, last = size + len(piece), first or piece[:1], piece[-1:]
      return size, first, last

  one = 2_000_000
  kinds = [
    lambda number: read("/api/listOutcomes", "?clientSeed=large", key),
    lambda number: read("/api/listOutcomes", "?clientSeed=large&before=0:9&limit=5", key),
    lambda number: read("/api/listOutcomes", "?clientSeed=large", test_key),
    lambda number: read("/api/outcome", f"?clientSeed=large&cursor=0&nonce={number % OUTCOMES}", key),
    lambda number: read("/api/verifyShortId", f"?shortId={drawn[number % OUTCOMES]['shortId']}", None),
    lambda number: read(f"/o/{drawn[number % OUTCOMES]['shortId']}", "", None),
  ]
  sizes = together(READERS, lambda number: (number % len(kinds), kinds[number % len(kinds)](number)))
  for kind, (size, first, last) in sizes:
    if kind < 3:
      assert (first, last) == (b"[", b"]") and size > [OUTCOMES, 5, 3][kind] * one
    elif kind < 5:
      assert (first, last) == (b"{", b"}") and size > one
  assert Counter(kind for kind, _ in sizes) == Counter(number % len(kinds) for number in range(READERS))
  assert peak(server) < MOST, f"{peak(server) >> 20} MiB, {before >> 20} MiB before"


def test_resumed_streams_of_large_outcomes(serve):
  server = serve(FAIRDRAW_DAILY_QUOTA=10**6)
  key = server.key()
  items = large_items(BODY_LIMIT - 4096)
  for _ in range(OUTCOMES):
    assert server.post("/api/shuffle", {"clientSeed": "large", "items": items}, key=key).status == 200

  def resume(number):
    with server.connect() as connection:
      connection.http.request(
        "GET", "/api/stream?endpoint=ints&clientSeed=large&intervalMs=60000&lastEventId=large:0:2", headers={"x-api-key": key})
      answer = connection.http.getresponse()
      nonces = []
      while True:
        line = answer.readline()
        if line.startswith(b"id: "):
          nonces.append(int(line.rsplit(b":", 1)[1]))
          if nonces[-1] >= OUTCOMES:
            return nonces

  for nonces in together(8, resume):
    assert nonces[:-1] == list(range(3, OUTCOMES)) and nonces[-1] >= OUTCOMES
  assert peak(server) < MOST, f"{peak(server) >> 20} MiB"


def test_a_list_that_is_cut_off_is_no_list(serve):
  """A client that hangs up in the middle of a long answer gives back what it held."""
  server = serve(FAIRDRAW_DAILY_QUOTA=10**6)
  key = server.key()
  items = large_items(BODY_LIMIT - 4096)
  for _ in range(6):
    assert server.post("/api/shuffle", {"clientSeed": "large", "items": items}, key=key).status == 200
  for _ in range(40):
    with server.connect() as connection:
      connection.http.request("GET", "/api/listOutcomes?clientSeed=large", headers={"x-api-key": key})
      assert connection.http.getresponse().read(1000).startswith(b"[{")
  assert len(server.get("/api/listOutcomes", {"clientSeed": "large"}, key=key).json()) == 6


def test_the_commands_read_a_page_at_a_time(serve):
  server = serve(FAIRDRAW_DAILY_QUOTA=10**6)
  account = server.account()
  key, test_key = server.key(account), server.key(account, "test")
  items = large_items(256 * 1024)
  for number in range(10):
    for each in (key, test_key):
      assert server.post("/api/shuffle", {"clientSeed": "large", "items": [number] + items[1:]}, key=each).status == 200
  for mode, each in (("live", key), ("test", test_key)):
    listed = server.cli("outcomes", "list", "--account", account, "--mode", mode, "--client-seed", "large", check=True)
    assert len(listed.stdout.splitlines()) == 10, mode
    assert len(server.get("/api/listOutcomes", {"clientSeed": "large"}, key=each).json()) == 10
    assert len(server.get("/api/listOutcomes", {"clientSeed": "large", "limit": 7}, key=each).json()) == 7
  exported = server.cli("account", "export", account, check=True)
  assert exported.stdout.count('"shortId"') == 20
