"""Makes a day of a million outcomes, has the server publish it, and measures that and the look-up of proofs.

Started by bin/bench --merkle. What each line means is in README.md beside this file.
"""

import argparse
import hashlib
import http.client
import json
import random
import sqlite3
import statistics
import threading
import time
import urllib.parse
from contextlib import ExitStack, closing

from common import MEGABYTE, Failure, Fairdraw, add_output_options, fresh_folder, machine, percentile, progress, run_main, verdict, write_rows

DAY = 86_400_000
PUBLISHED_TARGET = 30
MEMORY_TARGET = 300
P99_TARGET = 0.005


class Client:
  def __init__(self, server, key=None):
    self.http = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    self.headers = {"x-api-key": key} if key else {}

  def ask(self, path, body=None):
    self.http.request("POST" if body else "GET", path, body, self.headers)
    answer = self.http.getresponse()
    content = answer.read()
    return answer.status, content

  def get(self, path):
    status, content = self.ask(path)
    if status != 200:
      raise Failure(f"{path} was answered with {status}, {content[:200]!r}")
    return content


def draw_each(server, key, chains):
  """One real draw of each chain, from which the others are copied."""
  client = Client(server, key)
  for start in range(0, chains, 50):
    draws = [{"endpoint": "ints", "params": {"clientSeed": f"player-{number}"}} for number in range(start, min(start + 50, chains))]
    status, content = client.ask("/api/batch", json.dumps({"draws": draws}))
    if status != 200 or not all(result["ok"] for result in json.loads(content)["results"]):
      raise Failure(f"a batch was answered with {status}, {content[:300]!r}")


def leb128(number):
  text = b""
  while number >= 0x80:
    text += bytes([number & 0x7F | 0x80])
    number >>= 7
  return text + bytes([number])


def trees(outcomes):
  """After each of so many outcomes of a chain: (size, nonce of the root) of its trees, the newest first.

  The server finds an outcome by these (OutcomeTrail.swift): each outcome links to the one before and to the second tree."""
  now = []
  for nonce in range(outcomes):
    merged = len(now) > 1 and now[0][0] == now[1][0]
    now = [(2 * now[0][0] + 1, nonce), *now[2:]] if merged else [(1, nonce), *now]
    yield now


def fill(path, count):
  """Copies outcomes until there are `count`, all of yesterday; the chains' nonces go on after them."""
  with closing(sqlite3.connect(path)) as database, database:
    first = database.execute("SELECT id, chain_id FROM outcomes ORDER BY id").fetchall()
    chains = len(first)
    states = list(trees(-(-count // chains)))
    database.execute("CREATE TEMPORARY TABLE jumps (nonce INTEGER PRIMARY KEY, jump INTEGER)")
    database.executemany("INSERT INTO jumps VALUES (?, ?)", ((nonce, now[1][1] if now[1:] else None) for nonce, now in enumerate(states)))
    database.execute(
      """
      WITH RECURSIVE n(i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2 - 1)
      INSERT INTO outcomes (id, chain_id, previous, jump, epoch, cursor, nonce, endpoint, value, fields, created)
      SELECT i + 1, chain_id, i + 1 - ?1, coalesce(jumps.jump * ?1 + 1 + i % ?1, 0), epoch, cursor, i / ?1, endpoint, value, fields,
             created
      FROM n JOIN outcomes ON id = 1 + i % ?1 JOIN jumps ON jumps.nonce = i / ?1 ORDER BY i
      """, (chains, count))
    (created,) = database.execute("SELECT min(created) FROM outcomes").fetchone()
    start = created // DAY * DAY - DAY
    database.execute("UPDATE outcomes SET created = ?1 + id * ?2 / (?3 + 1)", (start, DAY, count))
    for id, chain in first:
      nonce = (count - id) // chains
      trail, last = b"", None
      for size, root in states[nonce]:
        row = id + root * chains
        trail += leb128(size) + leb128(row if last is None else last - row)
        last = row
      database.execute("UPDATE chains SET nonce = ?, trail = ? WHERE id = ?", (nonce + 1, trail, chain))
    return start


def expected_root(path):
  """The day's root, worked out from the database without the server."""
  with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
    rows = database.execute(
      """
      SELECT CAST(client_seed AS TEXT), o.cursor, o.nonce, lower(hex(server_hash)), o.created
      FROM outcomes o JOIN chains c ON c.id = chain_id ORDER BY client_seed, o.cursor, o.nonce
      """)
    level = [hashlib.sha256(f"\0{seed}:{cursor}:{nonce}|{server_hash}|{seed}|{created}".encode()).digest()
             for seed, cursor, nonce, server_hash, created in rows]
  leaves = list(level)
  while len(level) > 1:
    if len(level) % 2:
      level.append(level[-1])
    level = [hashlib.sha256(b"\1" + level[i] + level[i + 1]).digest() for i in range(0, len(level), 2)]
  return level[0].hex(), leaves


class Drawing(threading.Thread):
  """Draws one after the other on connections of its own, and notes how long each took."""

  def __init__(self, server):
    super().__init__(daemon=True)
    self.client = Client(server)
    self.times = []
    self.over = threading.Event()

  def run(self):
    while not self.over.is_set():
      began = time.perf_counter()
      self.client.get(f"/api/ints?clientSeed=drawn-{len(self.times) % 100}")
      self.times.append(time.perf_counter() - began)

  def stop(self):
    self.over.set()
    self.join()
    return self.times


def arguments():
  parser = argparse.ArgumentParser(
    prog="bin/bench --merkle", description="Measures how a day of many outcomes is published, and the look-up of proofs.")
  parser.add_argument("--outcomes", type=int, default=1_000_000, help="of the day (1000000)")
  parser.add_argument("--chains", type=int, default=1000, help="they are spread over (1000)")
  parser.add_argument("--proofs", type=int, default=5000, help="looked up, one after the other (5000)")
  add_output_options(parser)
  return parser.parse_args()


def main():
  options = arguments()
  problems = []
  with ExitStack() as stack:
    data = fresh_folder(stack, options.data, "merkle")
    log = stack.enter_context(open(options.log, "a"))
    host = machine(data)

    def start():
      server = Fairdraw(data, log)
      stack.callback(server.stop)
      return server

    progress(f"making a day of {options.outcomes:,} outcomes")
    server = start()
    key = server.new_key()
    draw_each(server, key, min(options.chains, options.outcomes))
    server.stop()
    path = data / "fairdraw.db"
    began = fill(path, options.outcomes)
    date = time.strftime("%Y-%m-%d", time.gmtime(began / 1000))
    root, leaves = expected_root(path)
    before = sum(file.stat().st_size for file in data.glob("fairdraw.db*"))

    progress("publishing it, while somebody draws")
    started = time.perf_counter()
    server = start()
    drawing = Drawing(server)
    drawing.start()
    client = Client(server)
    while True:
      status, content = client.ask(f"/api/merkle/{date}")
      if status == 200:
        break
      if server.process.poll() is not None or time.perf_counter() - started > 600:
        raise Failure("the day is not published")
      time.sleep(0.05)
    seconds = time.perf_counter() - started
    peak = server.memory("VmHWM")
    meanwhile = drawing.stop()
    published = json.loads(content)
    if (published["root"], published["leafCount"]) != (root, options.outcomes):
      problems.append(f"the root is {published['root']} of {published['leafCount']}, and should be {root}")
    drawing = Drawing(server)
    drawing.start()
    time.sleep(min(seconds, 5))
    alone = drawing.stop()

    progress("looking up proofs")
    client = Client(server, key)
    times = []
    for number in random.sample(range(options.outcomes), min(options.proofs, options.outcomes)):
      chain, nonce = number % options.chains, number // options.chains
      name = urllib.parse.quote(f"player-{chain}:0:{nonce}", safe="")
      asked = time.perf_counter()
      proof = client.get(f"/api/merkle/{date}/proof/{name}")
      times.append(time.perf_counter() - asked)
      if len(times) % 100 == 1:
        check(json.loads(proof), root, problems)

    progress("fetching the leaves")
    asked = time.perf_counter()
    text = client.get(f"/api/merkle/{date}/leaves")
    fetched = time.perf_counter() - asked
    if [bytes.fromhex(line) for line in text.decode().split()] != leaves:
      problems.append("the leaves are not the day's")
    at_most = server.memory("VmHWM")
    after = sum(file.stat().st_size for file in data.glob("fairdraw.db*"))
    code = server.stop()
    if code != 0:
      problems.append(f"the server exited with {code} when asked to stop")

  print(f"\n{host['processor']}, {host['cores']} cores shared with the client; Linux {host['kernel']}; "
        f"{host['filesystem']}, fdatasync of 4 KiB takes {host['fdatasync'] * 1e3:.2f} ms\n")
  print(f"published    {options.outcomes:,} outcomes in {seconds:.1f} s from the server's start: "
        f"{verdict(seconds < PUBLISHED_TARGET, f'< {PUBLISHED_TARGET} s')}")
  print(f"memory       {peak:.0f} MB resident at most: {verdict(peak < MEMORY_TARGET, f'< {MEMORY_TARGET} MB')}; "
        f"{at_most:.0f} MB after all that follows")
  for name, drawn in (("meanwhile", meanwhile), ("alone", alone)):
    print(f"draws        {name}: {len(drawn):,}, p50 {statistics.median(drawn) * 1e3:.1f} ms, "
          f"p99 {percentile(drawn, 0.99) * 1e3:.1f} ms, max {max(drawn) * 1e3:.1f} ms")
  p99 = percentile(times, 0.99)
  print(f"proofs       {len(times):,} looked up, p50 {statistics.median(times) * 1e3:.2f} ms, p99 {p99 * 1e3:.2f} ms: "
        f"{verdict(p99 < P99_TARGET, f'< {P99_TARGET * 1e3:.0f} ms')}")
  print(f"leaves       {len(text) / MEGABYTE:.0f} MB fetched in {fetched:.1f} s")
  print(f"database     {(after - before) / options.outcomes:.0f} bytes an outcome for the log, {before / options.outcomes:.0f} without it")
  for problem in problems:
    print(f"FAILED       {problem}")
  write_rows(options.json, [
    {"row": "published", "outcomes": options.outcomes, "seconds": seconds, "resident": peak},
    {"row": "proofs", "p50": percentile(times, 0.5), "p99": p99}])
  return 1 if problems else 0


def check(proof, root, problems):
  node = hashlib.sha256(b"\0" + proof["leaf"]["canonical"].encode()).digest()
  for sibling in proof["siblings"]:
    other = bytes.fromhex(sibling["hash"])
    node = hashlib.sha256(b"\1" + (other + node if sibling["position"] == "left" else node + other)).digest()
  if node.hex() != root:
    problems.append(f"the proof of {proof['outcomeId']} leads to {node.hex()}")


if __name__ == "__main__":
  run_main(main)
