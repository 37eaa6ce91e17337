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
DRAWS = {"anonymous": 1, "keyed": 1, "batch": 50}
NAMES = {"anonymous": "anonymous draws", "keyed": "keyed draws, fresh keys", "batch": "batches of 50 draws"}


class PostgresBench:
  def __init__(self, options, cluster, servers, api_key):
    self.options = options
    self.cluster = cluster
    self.servers = servers
    self.api_key = api_key
    self.runs = {}  # (load, number of servers) → draws a second, each round
    self.latencies = {}
    self.errors = 0
    self.acknowledged = 0
    self.cut_short = 0

  def pgbench(self, seconds):
    done = subprocess.run(
      [postgres.programs() / "pgbench", "-n", "-M", "prepared", "-c", str(PGBENCH_CLIENTS), "-j", "2", "-T", str(seconds),
       "-f", ROOT / "bench" / "pgbench.sql", self.cluster.url("yardstick")],
      stdin=subprocess.DEVNULL, capture_output=True, text=True)
    found = re.search(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)
    if done.returncode or not found:
      raise Failure(f"pgbench failed: {done.stderr.strip()[-500:]}")
    return float(found[1])

  def wrk(self, load, server, connections, seconds):
    environment = dict(
      os.environ, BENCH_API_KEY=self.api_key, BENCH_RUN=str(uuid.uuid4()), BENCH_SEEDS=str(CHAINS), BENCH_REPLAY="-")
    output = subprocess.run(
      ["wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--timeout", "10s", "-s", f"{load}.lua",
       f"http://127.0.0.1:{server.port}"],
      cwd=ROOT / "bench" / "wrk", env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    found = re.search(r"^RESULT (.*)$", output.stdout, re.MULTILINE)
    if not found:
      raise Failure(f"wrk failed on {load}: {output.stderr.strip() or output.stdout.strip()}")
    return json.loads(found[1])

  def run(self, load, count, seconds, measured=True):
    """Draws a second of `count` servers together, which share the connections."""
    connections = self.options.connections // count
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
      self.runs.setdefault((load, count), []).append(rate)
      self.latencies.setdefault((load, count), []).append(
        (max(result["p50"] for result in results) / 1e3, max(result["p99"] for result in results) / 1e3))
      progress(f"  {NAMES[load] + (', two servers' if count > 1 else ''):<40}{rate:>10,.0f} draws/s")

  def measure(self):
    cases = [(load, count) for count in range(1, len(self.servers) + 1) for load in DRAWS]
    progress("warming up")
    self.pgbench(2)
    for load, count in cases:
      self.run(load, count, self.options.warmup, measured=False)
    self.yardstick = []
    for number in range(1, self.options.rounds + 1):
      progress(f"round {number} of {self.options.rounds}")
      self.yardstick.append(self.pgbench(self.options.seconds))
      progress(f"  {'pgbench':<40}{self.yardstick[-1]:>10,.0f} transactions/s")
      for load, count in cases:
        self.run(load, count, self.options.seconds)

  def ratio(self, load, count, to=None):
    yardstick = self.runs[to] if to else self.yardstick
    return statistics.median(rate / base for rate, base in zip(self.runs[load, count], yardstick))

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
    layout = "{:<40}{:>12}{:>9}{:>14}{:>9}{:>9}"
    yield layout.format("", "draws/s", "ratio", "", "p50 ms", "p99 ms")
    yield layout.format(f"pgbench, {PGBENCH_CLIENTS} clients", f"{statistics.median(self.yardstick):,.0f}", "1.00", "", "", "").rstrip()
    targets = {"keyed": 3, "batch": 10}
    for (load, count), rates in self.runs.items():
      one = count == 1
      ratio = self.ratio(load, count, None if one else (load, 1))
      met = verdict(ratio >= targets[load], f"≥ {targets[load]}") if one and load in targets else ""
      p50 = statistics.median(p50 for p50, _ in self.latencies[load, count])
      p99 = max(p99 for _, p99 in self.latencies[load, count])
      name = NAMES[load] if one else f"{NAMES[load]}, two servers ¹"
      yield layout.format(name, f"{statistics.median(rates):,.0f}", f"{ratio:.2f}", met, f"{p50:.1f}", f"{p99:.1f}").rstrip()
    yield "¹ ratio to one server with as many connections"


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
      INSERT INTO chains (owner_id, client_seed, id, epoch, sealed_seed, server_hash, cursor, nonce, created, moved)
      SELECT 0, decode(n::text, 'escape'), n, 0, decode(repeat('00', 92), 'hex'), decode(repeat('00', 32), 'hex'), 0, 0, 0, 0
      FROM generate_series(1, {CHAINS}) n; ANALYZE chains""")

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
    "machine": host, "options": {name: str(value) for name, value in vars(options).items()}, "pgbench": bench.yardstick,
    "runs": {f"{load} {count}": rates for (load, count), rates in bench.runs.items()}, "problems": problems}, indent=2) + "\n")
  return 1 if problems else 0
