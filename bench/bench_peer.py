"""Compares Fairdraw with a service that is put together from FastAPI, PostgreSQL and Redis: peer/service.py.

Started by `bin/bench --peer`. What each row means is in README.md beside this file.
"""

import secrets
import shutil
import statistics
import subprocess
from contextlib import ExitStack

from bench import Place
from common import (
  ROOT, Failure, Fairdraw, Process, environment, fresh_folder, load, machine, ports, postgres, progress, write_rows)
from counters import describe, means

PYTHON = ["/usr/bin/python3", "-s", "-B"]  # Debian's, with Debian's packages
MODULES = "asyncpg, fastapi, httptools, redis.asyncio, uvicorn, uvloop"
WORKERS = 2
PEER = "FastAPI, PostgreSQL, Redis"
# Replays come second, when there is a response to replay.
DRAWS = {"keyed": 1, "replay": 0, "batch": 50}
NAMES = {"keyed": "keyed draws, fresh keys", "replay": "replays of one key", "batch": "batches of 50 draws"}


def missing():
  """A sentence on what is not installed; None if all is there."""
  lacks = [
    name for name, there in {
      "postgresql": postgres.programs() is not None, "redis-server": shutil.which("redis-server") is not None,
      "python3-{asyncpg,fastapi,httptools,redis,uvicorn,uvloop}":
        subprocess.run([*PYTHON, "-c", f"import {MODULES}"], capture_output=True).returncode == 0}.items() if not there]
  return f"the peer is not measured: apt-get install {' '.join(lacks)}" if lacks else None


def start_peer(stack, folder, cluster, log):
  """The service in two worker processes, with a Redis of its own and a database in the cluster."""
  cluster.psql("postgres", "CREATE DATABASE peer")
  redis_port, port, key = ports.free_port(), ports.free_port(), secrets.token_hex(16)
  # With the append-only file that Redis recommends to those who want their data back.
  redis = Process(
    ["redis-server", "--port", redis_port, "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "yes"],
    environment(), log, redis_port)
  stack.callback(redis.stop)
  settings = environment(PEER_DATABASE=cluster.url("peer"), PEER_REDIS=f"redis://127.0.0.1:{redis_port}", PEER_API_KEY=key)
  service = ROOT / "bench" / "peer"
  subprocess.run([*PYTHON, "service.py"], cwd=service, env=settings, check=True, stdout=log, stderr=log)
  workers = Process(
    [*PYTHON, "-m", "uvicorn", "service:app", "--app-dir", service, "--host", "127.0.0.1", "--port", port, "--workers", WORKERS,
     "--loop", "uvloop", "--http", "httptools", "--no-access-log"], settings, log, port)
  stack.callback(workers.stop)
  return Place(workers, key, lambda: [pid for process in (workers, redis, cluster) for pid in process.processes()])


class PeerBench:
  def __init__(self, options, places):
    self.options = options
    self.places = places
    self.runs = {(script, name): [] for script in DRAWS for name in places}
    self.acknowledged = {name: place.draws for name, place in places.items()}
    self.errors = 0

  def run(self, script, name, seconds):
    run = load(self.places[name].target, script, seconds, self.options.connections, self.options.threads, self.options.seeds)
    self.errors += run["errors"]
    self.acknowledged[name] += run["succeeded"] * DRAWS[script]
    return {**run, "work": run["requests"] * max(1, DRAWS[script])}

  def measure(self):
    if self.options.warmup:
      progress("warming up")
      for case in self.runs:
        self.run(*case, self.options.warmup)
    for number in range(1, self.options.rounds + 1):
      progress(f"round {number} of {self.options.rounds}")
      for (script, name), runs in self.runs.items():
        runs.append(self.run(script, name, self.options.seconds))
        progress(f"  {NAMES[script]:<24} {name:<26}{runs[-1]['work']:>10,.0f} /s")

  def rows(self):
    for (script, name), runs in self.runs.items():
      def median(what):
        return statistics.median(run[what] for run in runs)

      def ratio(*to):
        return statistics.median(run["work"] / base["work"] for run, base in zip(runs, self.runs[to]))

      yield {
        "row": f"{NAMES[script]}: {name}", "work": median("work"), "to_peer": ratio(script, PEER), "to_replays": ratio("replay", name),
        "p50": median("p50"), "p99": max(run["p99"] for run in runs), "idle": statistics.mean(run["idle"] for run in runs),
        "threads": means(runs)}, runs


def main(options):
  lacks = missing()
  if lacks:
    raise Failure(lacks)
  with ExitStack() as stack:
    log = stack.enter_context(open(options.log, "a"))
    host = machine(fresh_folder(stack, options.data))
    cluster = stack.enter_context(postgres.Cluster(
      shared_buffers="512MB", max_wal_size="8GB", checkpoint_timeout="15min", fsync="on", synchronous_commit="on"))
    cluster.psql("postgres", "CREATE DATABASE fairdraw")

    def fairdraw(*others, **settings):
      process = Fairdraw(fresh_folder(stack, options.data), log, **settings)
      stack.callback(process.stop)
      return Place(process, process.new_key(), lambda: [pid for each in (process, *others) for pid in each.processes()])

    places = {
      PEER: start_peer(stack, fresh_folder(stack, options.data, "redis"), cluster, log),
      "Fairdraw, PostgreSQL": fairdraw(cluster, FAIRDRAW_DATABASE=cluster.url("fairdraw")), "Fairdraw, SQLite": fairdraw()}
    bench = PeerBench(options, places)
    bench.measure()
    stored = int(cluster.psql("peer", "SELECT count(*) FROM outcomes")[0][0])

  print(f"\n{host['processor']}, {host['cores']} cores shared with wrk; Linux {host['kernel']}; "
        f"fdatasync of 4 KiB takes {host['fdatasync'] * 1e3:.2f} ms")
  print(f"{options.rounds} rounds of {options.seconds} s, {options.connections} connections; draws (replays: requests) per second, "
        f"medians over the rounds, the worst p99\n")
  print(f"{'':<52}{'/s':>10}{'to peer':>9}{'replays':>9}{'p50 ms':>9}{'p99 ms':>9}")
  for row, runs in bench.rows():
    print(f"{row['row']:<52}{row['work']:>10,.0f}{row['to_peer']:>9.2f}{row['to_replays']:>9.2f}{row['p50'] * 1e3:>9.2f}"
          f"{row['p99'] * 1e3:>9.2f}\n    {describe(runs)}")
  write_rows(options.json, [row for row, _ in bench.rows()])
  if bench.errors or stored < bench.acknowledged[PEER]:
    raise Failure(f"{bench.errors} requests failed; the peer acknowledged {bench.acknowledged[PEER]:,} draws and stored {stored:,}")
  return 0
