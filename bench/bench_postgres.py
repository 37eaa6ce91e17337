"""Drives one server, and then two, over a PostgreSQL of its own; and that PostgreSQL with pgbench, for comparison.

Started by `bin/bench --database postgres`. What each row means is in README.md beside this file.
"""

import json
import re
import statistics
import subprocess
import threading
import time
from contextlib import ExitStack

from common import ROOT, SCRATCH, Failure, Fairdraw, Target, fresh_folder, load, machine, postgres, progress, verdict, write_rows
from counters import Counters, describe, means

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
    # PostgreSQL's processes count too; of the second server's run, they are counted with the first.
    self.targets = [Target(server.port, list, api_key) for server in servers]
    self.processes = lambda: [pid for process in (*servers, cluster) for pid in process.processes()]
    self.runs = {}  # (load, servers, connections) → each round's run; its `draws` are per second
    self.yardsticks = {name: [] for name in YARDSTICKS}  # transactions a second, each round
    self.replays = []  # each round's run
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

  def wrk(self, script, server, connections, seconds):
    run = load(self.targets[server], script, seconds, connections, threads=1, seeds=CHAINS)
    self.errors += run["errors"]
    return run

  def run(self, case, seconds, measured=True):
    """So many servers together, which share so many connections."""
    script, count, connections = case
    connections //= count
    results = [None] * count

    def drive(index):
      results[index] = self.wrk(script, index, connections, seconds)

    counters = Counters(self.processes())
    threads = [threading.Thread(target=drive, args=(index,)) for index in range(count)]
    for thread in threads:
      thread.start()
    for thread in threads:
      thread.join()
    if None in results:
      raise Failure(f"wrk failed on {script}")
    self.acknowledged += sum(result["succeeded"] for result in results) * DRAWS[script]
    self.cut_short += connections * count * DRAWS[script]
    if measured:
      rate = sum(result["requests"] for result in results) * DRAWS[script]
      self.runs.setdefault(case, []).append({
        "draws": rate, **{what: max(result[what] for result in results) for what in ("p50", "p99")}, **counters.since()})
      progress(f"  {self.name(*case):<48}{rate:>10,.0f} draws/s")

  def name(self, load, count, connections):
    if count == 1:
      return NAMES[load]
    return NAMES[load] + (", two servers" if connections > self.options.connections else ", split over two servers")

  def replay(self, seconds):
    """Answers when the database is not asked: what HTTP, and wrk beside it, leave room for."""
    counters = Counters(self.processes())
    run = self.wrk("replay", 0, self.options.connections, seconds)
    return {**run, "draws": run["requests"], **counters.since()}

  def measure(self):
    base = self.options.connections
    cases = [(load, *shape) for shape in ((1, base), (2, 2 * base), (2, base)) for load in DRAWS]
    progress("warming up")
    self.replay(1)
    self.acknowledged += 1  # the draw that is replayed from then on
    if self.options.warmup:
      for script in YARDSTICKS.values():
        self.pgbench(script, 2)
      for case in cases:
        self.run(case, self.options.warmup, measured=False)
    for number in range(1, self.options.rounds + 1):
      progress(f"round {number} of {self.options.rounds}")
      for name, script in YARDSTICKS.items():
        self.yardsticks[name].append(self.pgbench(script, self.options.seconds))
        progress(f"  {'pgbench, ' + name:<48}{self.yardsticks[name][-1]:>10,.0f} transactions/s")
      self.replays.append(self.replay(self.options.seconds))
      progress(f"  {'replays':<48}{self.replays[-1]['draws']:>10,.0f} answers/s")
      for case in cases:
        self.run(case, self.options.seconds)

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

  def rows(self):
    """For each line of the table: its name, its runs, what it is compared with and the target of that ratio."""
    draw, keyed = ([{"draws": rate} for rate in self.yardsticks[name]] for name in ("draw", "keyed"))
    yield f"pgbench, {PGBENCH_CLIENTS} clients: a draw", draw, draw, None
    yield f"pgbench, {PGBENCH_CLIENTS} clients: a keyed draw", keyed, draw, None
    yield "replays, without the database", self.replays, draw, None
    for case, runs in self.runs.items():
      script, count, connections = case
      if count == 1:
        yield self.name(*case), runs, draw, 5.5 if script == "batch" else None
        if script == "keyed":
          yield "  to pgbench's keyed draw", runs, keyed, 2.2
      else:
        yield f"{self.name(*case)} ¹", runs, self.runs[script, 1, self.options.connections], 1

  def table(self):
    """Lines to be shown, and the same as objects."""
    layout = "{:<48}{:>12}{:>9}{:>14}{:>9}{:>9}{:>9}"
    lines = [layout.format("", "draws/s", "ratio", "", "replays", "p50 ms", "p99 ms")]
    objects = []
    for name, runs, to, target in self.rows():
      row = {"row": name.strip(" ¹"), "draws": statistics.median(run["draws"] for run in runs), "ratio": ratio(runs, to),
             "to_replays": ratio(runs, self.replays)}
      shown = ["", ""]
      if "p50" in runs[0]:
        row.update(p50=statistics.median(run["p50"] for run in runs), p99=max(run["p99"] for run in runs), threads=means(runs),
               idle=statistics.mean(run["idle"] for run in runs))
        shown = [f"{row[what] * 1e3:.1f}" for what in ("p50", "p99")]
      objects.append(row)
      met = verdict(row["ratio"] >= target, f"≥ {target}") if target else ""
      lines.append(layout.format(name, f"{row['draws']:,.0f}", f"{row['ratio']:.2f}", met, f"{row['to_replays']:.2f}", *shown).rstrip())
    lines.append("¹ ratio to one server")
    lines.append(f"\nIdle share of the cores, and seconds of processor time in a run of {self.options.seconds} s, by thread:")
    lines += [f"{name:<48}{describe(runs)}" for name, runs, *_ in self.rows() if "idle" in runs[0] and not name.startswith(" ")]
    return lines, objects


def ratio(runs, to):
  """The median over the rounds."""
  return statistics.median(run["draws"] / base["draws"] for run, base in zip(runs, to))


def main(options):
  if postgres.programs() is None:
    raise Failure("PostgreSQL's server is not installed")
  with ExitStack() as stack:
    # As a small server of its own would be set up, and as durable as it comes.
    cluster = stack.enter_context(postgres.Cluster(
      shared_buffers="512MB", max_wal_size="8GB", checkpoint_timeout="15min", wal_buffers="16MB", fsync="on",
      synchronous_commit="on"))
    cluster.psql("postgres", "CREATE DATABASE fairdraw")
    cluster.psql("postgres", "CREATE DATABASE yardstick")
    log = stack.enter_context(open(options.log, "a"))
    data = fresh_folder(stack, options.data)
    host = machine(data)

    servers = []
    for _ in range(2):
      servers.append(Fairdraw(data, log, FAIRDRAW_DATABASE=cluster.url("fairdraw")))
      stack.callback(servers[-1].stop)
    key = servers[0].new_key()
    # The same tables for pgbench, and chains in them.
    schema = subprocess.run(
      [postgres.programs() / "pg_dump", "-s", "-d", cluster.url("fairdraw")], capture_output=True, text=True, check=True).stdout
    subprocess.run(
      [postgres.programs() / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", cluster.url("yardstick")], input=schema,
      stdout=subprocess.DEVNULL, text=True, check=True)
    cluster.psql("yardstick", f"""
      INSERT INTO chains
        (owner_id, client_seed, id, era, epoch, server_hash, cursor, nonce, created, moved, trail)
      SELECT 0, decode(n::text, 'escape'), n, 0, 0, sha256(n::text::bytea), 0, 0, 0, 0, decode(repeat('00', 24), 'hex')
      FROM generate_series(1, {CHAINS}) n; ANALYZE chains; CREATE SEQUENCE numbers CACHE 100""")

    bench = PostgresBench(options, cluster, servers, key)
    bench.measure()
    for server in servers:
      if server.stop() != 0:
        bench.errors += 1
    outcomes, problems = bench.check_truth()

  print(f"\n{host['processor']}, {host['cores']} cores shared by PostgreSQL, servers and wrk; Linux {host['kernel']}")
  print(f"{options.rounds} rounds of {options.seconds} s, {options.connections} connections; medians, the worst p99\n")
  lines, objects = bench.table()
  for line in lines:
    print(line)
  print(f"\ndisk         {host['filesystem']}, fdatasync of 4 KiB takes {host['fdatasync'] * 1e3:.2f} ms")
  print(f"truth        {bench.acknowledged:,} draws acknowledged, {outcomes:,} stored: "
        f"{'as it must be' if not problems else 'FAILED'}")
  for problem in problems:
    print(f"FAILED       {problem}")
  write_rows(options.json, objects)
  name = SCRATCH / time.strftime("postgres-%Y%m%dT%H%M%SZ.json", time.gmtime())
  name.write_text(json.dumps({
    "machine": host, "options": {name: str(value) for name, value in vars(options).items()}, "pgbench": bench.yardsticks,
    "replays": bench.replays, "runs": {" ".join(map(str, case)): runs for case, runs in bench.runs.items()}, "problems": problems}, indent=2) + "\n")
  return 1 if problems else 0
