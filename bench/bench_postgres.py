"""Drives one server, and then two, over a PostgreSQL of its own; and that PostgreSQL with pgbench, for comparison.

Started by `bin/bench --database postgres`. What each row means is in README.md beside this file.
"""

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from contextlib import ExitStack
from pathlib import Path

from bench import RELEASE, ROOT, SCRATCH, Failure, Server, machine, progress, verdict

sys.path.append(str(ROOT / "Tests" / "System"))
import postgres  # noqa: E402

CHAINS = 1000
PGBENCH_CLIENTS = 16
# What a draw comes to for a program that has a transaction for each, and 16 connections: in the same run, on the same
# cluster (so with the same syncs, on the same disk), in tables and indexes dumped from the server's own, which grow from
# empty as the server's do, with as many chains. Everything there favours pgbench: it speaks no HTTP, derives nothing,
# checks no key and no quota, counts no usage and links no outcomes; and its rows are as large as a draw's are.
YARDSTICKS = {
  # Two statements: what every draw leaves behind, and each one of a batch.
  "draw": "pgbench.sql",
  # Three: an answer that is kept under its key is a third row, larger than the other two. Without it no retry is safe.
  "keyed": "pgbench-keyed.sql",
}
DRAWS = {"anonymous": 1, "keyed": 1, "batch": 50}
NAMES = {"anonymous": "anonymous draws", "keyed": "keyed draws, fresh keys", "batch": "batches of 50 draws"}


class PostgresBench:
  def __init__(self, options, cluster, servers, api_key):
    self.options = options
    self.cluster = cluster
    self.servers = servers
    self.api_key = api_key
    self.runs = {}  # (load, servers, connections) → draws a second, each round
    self.yardsticks = {name: [] for name in YARDSTICKS}  # transactions a second, each round
    self.replays = []  # answers a second, each round
    self.replay_key = str(uuid.uuid4())
    self.latencies = {}
    self.errors = 0
    self.acknowledged = 0
    self.cut_short = 0

  def pgbench(self, script, seconds):
    done = subprocess.run(
      [postgres.programs() / "pgbench", "-n", "-M", "prepared", "-c", str(PGBENCH_CLIENTS), "-j", "2", "-T", str(seconds),
       "-f", ROOT / "bench" / script, self.cluster.url("yardstick")],
      stdin=subprocess.DEVNULL, capture_output=True, text=True)
    found = re.search(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)
    if done.returncode or not found:
      raise Failure(f"pgbench failed: {done.stderr.strip()[-500:]}")
    return float(found[1])

  def wrk(self, load, server, connections, seconds):
    environment = dict(
      os.environ, BENCH_API_KEY=self.api_key, BENCH_RUN=str(uuid.uuid4()), BENCH_SEEDS=str(CHAINS),
      BENCH_REPLAY=self.replay_key)
    output = subprocess.run(
      ["wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--timeout", "10s", "-s", f"{load}.lua",
       f"http://127.0.0.1:{server.port}"],
      cwd=ROOT / "bench" / "wrk", env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    found = re.search(r"^RESULT (.*)$", output.stdout, re.MULTILINE)
    if not found:
      raise Failure(f"wrk failed on {load}: {output.stderr.strip() or output.stdout.strip()}")
    return json.loads(found[1])

  def run(self, case, seconds, measured=True):
    """Draws a second of so many servers together, which share so many connections."""
    load, count, connections = case
    connections //= count
    results = [None] * count

    def drive(index):
      results[index] = self.wrk(load, self.servers[index], connections, seconds)

    threads = [threading.Thread(target=drive, args=(index,)) for index in range(count)]
    for thread in threads:
      thread.start()
    for thread in threads:
      thread.join()
    if None in results:
      raise Failure(f"wrk failed on {load}")
    rate = 0
    for result in results:
      succeeded = result["requests"] - result["status"]
      rate += succeeded * DRAWS[load] * 1e6 / result["microseconds"]
      self.errors += result["status"] + result["socket"]
      self.acknowledged += succeeded * DRAWS[load]
      self.cut_short += connections * DRAWS[load]
    if measured:
      self.runs.setdefault(case, []).append(rate)
      self.latencies.setdefault(case, []).append(
        (max(result["p50"] for result in results) / 1e3, max(result["p99"] for result in results) / 1e3))
      progress(f"  {self.name(*case):<48}{rate:>10,.0f} draws/s")

  def name(self, load, count, connections):
    if count == 1:
      return NAMES[load]
    return NAMES[load] + (", two servers" if connections > self.options.connections else ", split over two servers")

  def replay(self, seconds):
    """Answers a second when the database is not asked: what HTTP, and wrk beside it, leave room for."""
    result = self.wrk("replay", self.servers[0], self.options.connections, seconds)
    self.errors += result["status"] + result["socket"]
    return (result["requests"] - result["status"]) * 1e6 / result["microseconds"]

  def measure(self):
    base = self.options.connections
    cases = [(load, *shape) for shape in ((1, base), (2, 2 * base), (2, base)) for load in DRAWS]
    progress("warming up")
    for script in YARDSTICKS.values():
      self.pgbench(script, 2)
    self.replay(1)
    self.acknowledged += 1  # the draw that is replayed from then on
    for case in cases:
      self.run(case, self.options.warmup, measured=False)
    for number in range(1, self.options.rounds + 1):
      progress(f"round {number} of {self.options.rounds}")
      for name, script in YARDSTICKS.items():
        self.yardsticks[name].append(self.pgbench(script, self.options.seconds))
        progress(f"  {'pgbench, ' + name:<48}{self.yardsticks[name][-1]:>10,.0f} transactions/s")
      self.replays.append(self.replay(self.options.seconds))
      progress(f"  {'replays':<48}{self.replays[-1]:>10,.0f} answers/s")
      for case in cases:
        self.run(case, self.options.seconds)

  @staticmethod
  def ratio(rates, to):
    return statistics.median(rate / base for rate, base in zip(rates, to))

  def number(self, statement):
    return int(self.cluster.psql("fairdraw", statement)[0][0])

  def check_truth(self):
    outcomes = self.number("SELECT count(*) FROM outcomes")
    problems = []
    if not self.acknowledged <= outcomes <= self.acknowledged + self.cut_short:
      problems.append(f"{self.acknowledged:,} draws were acknowledged and {outcomes:,} are stored")
    if self.number("""SELECT count(*) FROM chains c LEFT JOIN (SELECT owner_id, chain_id, count(*) n, min(nonce) low,
        max(nonce) high FROM outcomes GROUP BY 1, 2) o ON o.owner_id = c.owner_id AND o.chain_id = c.id
        WHERE c.nonce <> coalesce(o.n, 0) OR (o.n > 0 AND (o.low <> 0 OR o.high <> o.n - 1))"""):
      problems.append("there are chains whose nonces do not run 0…n−1")
    if self.number("SELECT coalesce(sum(count), 0) FROM usage") != outcomes:
      problems.append("usage does not count every outcome once")
    if self.errors:
      problems.append(f"{self.errors} requests failed")
    return outcomes, problems

  def table(self):
    layout = "{:<48}{:>12}{:>9}{:>14}{:>9}{:>9}"

    def row(name, rates, to=None, target=None, latencies=()):
      ratio = self.ratio(rates, to) if to else 1
      met = verdict(ratio >= target, f"≥ {target}") if target else ""
      p50, p99 = "", ""
      if latencies:
        p50, p99 = f"{statistics.median(p50 for p50, _ in latencies):.1f}", f"{max(p99 for _, p99 in latencies):.1f}"
      return layout.format(name, f"{statistics.median(rates):,.0f}", f"{ratio:.2f}", met, p50, p99).rstrip()

    draw, keyed = self.yardsticks["draw"], self.yardsticks["keyed"]
    yield layout.format("", "draws/s", "ratio", "", "p50 ms", "p99 ms")
    yield row(f"pgbench, {PGBENCH_CLIENTS} clients: a draw", draw)
    yield row(f"pgbench, {PGBENCH_CLIENTS} clients: a keyed draw", keyed, draw)
    yield row("replays, without the database", self.replays, draw)
    targets = {"keyed": 3, "batch": 10}
    for case, rates in self.runs.items():
      load, count, connections = case
      if count == 1:
        yield row(self.name(*case), rates, draw, targets.get(load), self.latencies[case])
        if load == "keyed":
          yield row("  to pgbench's keyed draw", rates, keyed, targets[load])
      else:
        one = self.runs[load, 1, self.options.connections]
        target = 1 if connections > self.options.connections else None
        yield row(f"{self.name(*case)} ¹", rates, one, target, self.latencies[case])
    yield "¹ ratio to one server"


def main(options):
  if postgres.programs() is None:
    raise Failure("PostgreSQL's server is not installed")
  SCRATCH.mkdir(parents=True, exist_ok=True)
  with ExitStack() as stack:
    # As a small server of its own would be set up, and as durable as it comes.
    cluster = stack.enter_context(postgres.Cluster(
      shared_buffers="512MB", max_wal_size="8GB", checkpoint_timeout="15min", wal_buffers="16MB", fsync="on",
      synchronous_commit="on"))
    cluster.psql("postgres", "CREATE DATABASE fairdraw")
    cluster.psql("postgres", "CREATE DATABASE yardstick")
    log = stack.enter_context(open(options.log, "a"))
    data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    settings = {name: value for name, value in os.environ.items() if not name.startswith("FAIRDRAW_")}
    settings.update(
      FAIRDRAW_DATA=str(data), FAIRDRAW_DATABASE=cluster.url("fairdraw"), FAIRDRAW_RATE_LIMIT_PER_MINUTE="0",
      FAIRDRAW_DAILY_QUOTA="1000000000")
    host = machine(data)

    servers = []
    for _ in range(2):
      server = Server([RELEASE / "fairdraw", "serve", "--host", "127.0.0.1", "--port", "0"], settings, log)
      stack.callback(server.stop)
      servers.append(server)

    def fairdraw(*words):
      done = subprocess.run([RELEASE / "fairdraw", *words], env=settings, capture_output=True, text=True)
      if done.returncode:
        raise Failure(f"fairdraw {' '.join(words)}: {done.stderr.strip()}")
      return done.stdout.strip()

    fairdraw("account", "create", "bench", "--daily-quota", "1000000000")
    key = fairdraw("key", "create", "--account", "bench")
    # The same tables for pgbench, and chains in them.
    schema = subprocess.run(
      [postgres.programs() / "pg_dump", "-s", "-d", cluster.url("fairdraw")], capture_output=True, text=True, check=True).stdout
    subprocess.run(
      [postgres.programs() / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", cluster.url("yardstick")], input=schema,
      stdout=subprocess.DEVNULL, text=True, check=True)
    cluster.psql("yardstick", f"""
      INSERT INTO chains
        (owner_id, client_seed, id, era, epoch, server_hash, cursor, nonce, created, moved, trail)
      SELECT 0, decode(n::text, 'escape'), n, 0, 0, sha256(n::text::bytea), 0, 0, 0, 0,
        decode(repeat('00', 24), 'hex')
      FROM generate_series(1, {CHAINS}) n; ANALYZE chains; CREATE SEQUENCE numbers CACHE 100""")

    bench = PostgresBench(options, cluster, servers, key)
    bench.measure()
    for server in servers:
      if server.stop() != 0:
        bench.errors += 1
    outcomes, problems = bench.check_truth()

  print(f"\n{host['processor']}, {host['cores']} cores shared by PostgreSQL, servers and wrk; Linux {host['kernel']}")
  print(f"{options.rounds} rounds of {options.seconds} s, {options.connections} connections; medians, the worst p99\n")
  for line in bench.table():
    print(line)
  print(f"\ndisk         {host['filesystem']}, fdatasync of 4 KiB takes {host['fdatasync'] * 1e3:.2f} ms")
  print(f"truth        {bench.acknowledged:,} draws acknowledged, {outcomes:,} stored: "
        f"{'as it must be' if not problems else 'FAILED'}")
  for problem in problems:
    print(f"FAILED       {problem}")
  name = SCRATCH / time.strftime("postgres-%Y%m%dT%H%M%SZ.json", time.gmtime())
  name.write_text(json.dumps({
    "machine": host, "options": {name: str(value) for name, value in vars(options).items()}, "pgbench": bench.yardsticks, "replays": bench.replays,
    "runs": {" ".join(map(str, case)): rates for case, rates in bench.runs.items()}, "problems": problems}, indent=2) + "\n")
  return 1 if problems else 0
