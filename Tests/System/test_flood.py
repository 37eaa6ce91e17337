"""Floods: one caller who asks for too much is told so, and everybody else is served."""

import threading
from collections import Counter

from harness import wait_until

FLOODERS = 12


def large_items(size):
  """A thousand items, about `size` bytes in all."""
  return [f"{number:04}" + "x" * (size // 1000 - 7) for number in range(1000)]


def test_a_flood_of_large_draws_under_one_key_leaves_the_queue_to_others(serve):
  server = serve()
  flooding, other = server.key(server.account("--daily-quota", 10**6)), server.key()
  body = {"clientSeed": "flood", "items": large_items(512 * 1024)}
  done = threading.Event()
  statuses = Counter()
  failures = []

  def flood():
    try:
      with server.connect() as connection:
        while not done.is_set():
          answer = connection.post("/api/shuffle", body, key=flooding)
          assert answer.status == 200 or answer.code == "overloaded", answer
          assert answer.status == 200 or answer.header("Retry-After") == "1"
          statuses[answer.status] += 1
    except Exception as failure:
      failures.append(failure)

  threads = [threading.Thread(target=flood) for _ in range(FLOODERS)]
  for thread in threads:
    thread.start()
  try:
    wait_until(lambda: failures or statuses[200] >= 4, "the flood is on")
    with server.connect() as connection:
      for number in range(10):
        assert connection.get("/api/ints", {"clientSeed": "calm"}, key=other).json()["nonce"] == number
        assert connection.get("/api/ints", {"clientSeed": "calm"}).json()["nonce"] == number
  finally:
    done.set()
    for thread in threads:
      thread.join()
  assert not failures, failures[0]
  # What was turned away left nothing behind.
  assert server.nonce("flood", key=flooding) == statuses[200]
