"""Drives the server and a bare route with wrk, prints how they compare, and checks what the server stored.

Started by bin/bench, which installs wrk and builds both. What each row means is in README.md beside this file.
"""

import argparse
import http.client
import json
import os
import re
import signal
import statistics
import subprocess
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

import counters
import nginx
import truth
from common import (
  MEGABYTE, RELEASE, ROOT, SCRATCH, Failure, Fairdraw, Process, Target, add_output_options, disk, environment, fresh_folder, load,
  machine, percentile, preload, progress, run_main, verdict, write_rows)

P99_TARGET = 0.050
RESIDENT_TARGET = 150
MILLION = 1_000_000
SYNC_DELAY = 0.005
# What every row is compared with, by the names of their rows.
YARDSTICKS = {"bare": "bare route", "replays": "replays of one key", "nginx": "nginx, a constant"}


@dataclass
class Row:
  """One row of the table: a wrk script, what it is directed at, and how what it does is counted."""

  name: str
  script: str
  at: str = "server"  # which of the bench's targets
  draws: int = 0  # stored outcomes for each request answered
  goal: float = 0  # of (draws or requests) a second, over the bare route's requests a second; or
  to_seeds: bool = False  # over the seeds a second that all cores can compute
  pair: str = ""  # the row that is the same but for the target
  connections: int = 0  # if not as many as the options say
  runs: list = field(default_factory=list)  # one dictionary for each measured round
  acknowledged: int = 0  # requests answered with success, warm-up included
  cut_short: int = 0  # requests that may have been under way when wrk stopped
  resident: float = 0  # the process's memory after the last run, in MB

  def median(self, what):
    """None if it was not measured."""
    return statistics.median(run[what] for run in self.runs) if what in self.runs[0] else None


def rows():
  return [
    Row("bare route", "bare", at="bare"),
    Row("nginx, a constant", "bare", at="nginx"),
    Row("anonymous draws", "anonymous", draws=1, goal=0.5),
    Row("keyed draws, fresh keys", "keyed", draws=1, goal=0.4),
    Row("replays of one key", "replay", goal=0.8),
    Row("batches of 50 draws", "batch", draws=50, goal=2.0),
    Row("batches of 50 new seeds", "newseeds", draws=50, goal=0.4, to_seeds=True),
    Row("one connection", "anonymous", draws=1, connections=1),
    Row("anonymous, with the log", "anonymous", at="with the log", draws=1),
    Row("anonymous, without the log", "anonymous", at="without the log", draws=1, pair="anonymous, with the log"),
    Row("batches, with the log", "batch", at="with the log", draws=50),
    Row("batches, without the log", "batch", at="without the log", draws=50, pair="batches, with the log"),
    Row("anonymous, slow disk", "anonymous", at="slow disk", draws=1, pair="anonymous draws"),
    Row("the same, 512 connections", "anonymous", at="slow disk", draws=1, pair="anonymous draws", connections=512),
    Row("batches, slow disk", "batch", at="slow disk", draws=50, pair="batches of 50 draws"),
  ]


def seed_rate(threads, seconds):
  """How many server seeds a second so many threads compute that do nothing else."""
  command = [RELEASE / "seed-rate", str(threads), str(seconds)]
  return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0])


class Place:
  """A server that makes draws, one of those that are compared, ready to be measured."""

  def __init__(self, process, key, processes=None, folder=None):
    self.process = process
    self.folder = folder
    self.target = Target(process.port, processes or process.processes, key)
    self.draws = 0  # outcomes drawn by `ask`, outside wrk
    self.prepare()

  def ask(self, method, path, body=None, **headers):
    """One request outside wrk: status, headers, body."""
    with closing(http.client.HTTPConnection("127.0.0.1", self.process.port, timeout=30)) as connection:
      connection.request(method, path, body, headers)
      response = connection.getresponse()
      return response.status, response.headers, response.read()

  def prepare(self):
    """Stores the response that is to be replayed, and sees that a batch of the load's shape succeeds whole."""
    path = "/api/ints?clientSeed=bench-replay&count=1&min=1&max=100"
    headers = {"x-api-key": self.target.key, "Idempotency-Key": self.target.replay_key}
    first = self.ask("GET", path, **headers)
    second = self.ask("GET", path, **headers)
    if first[0] != 200 or first[2] != second[2] or second[1]["Idempotent-Replayed"] != "true":
      raise Failure(f"a draw and its replay were answered with {first[0]} {first[2]!r} and {second[0]} {second[2]!r}")
    draw = {"endpoint": "ints", "params": {"clientSeed": "bench-batch", "count": 1, "min": 1, "max": 100}}
    status, _, body = self.ask(
      "POST", "/api/batch", json.dumps({"draws": [draw] * 50}), **{"x-api-key": self.target.key, "Content-Type": "application/json"})
    if status != 200 or not all(result["ok"] for result in json.loads(body)["results"]):
      raise Failure(f"a batch was answered with {status}, {body[:300]!r}")
    self.draws += 1 + 50
    self.response = first[2].decode()

  def least_latency(self, draws=20):
    """Seconds of the fastest of some draws, one after the other."""
    times = []
    for _ in range(draws):
      began = time.perf_counter()
      status, _, body = self.ask("GET", "/api/ints?clientSeed=bench-alone")
      times.append(time.perf_counter() - began)
      if status != 200:
        raise Failure(f"a draw was answered with {status}, {body[:300]!r}")
    self.draws += draws
    return min(times)


class Bench:
  def __init__(self, options, stack):
    self.options = options
    self.problems = []
    self.missing = []  # sentences on what is not measured
    self.seed_rates = []  # of each round
    self.syncs = []  # of each round: seconds of each sync of the disk itself
    self.log = stack.enter_context(open(options.log, "a"))
    self.places = {}
    self.processes = {}
    self.targets = {}
    self.start(stack)
    self.rows = [row for row in rows() if row.at in self.targets]

  def start(self, stack):
    """Starts all that is measured and can be had here."""
    def folder():
      return fresh_folder(stack, self.options.data)

    def place(name, **settings):
      data = folder()
      process = Fairdraw(data, self.log, **settings)
      add(name, process)
      self.places[name] = Place(process, process.new_key(), folder=data)
      self.targets[name] = self.places[name].target

    def add(name, process):
      stack.callback(process.stop)
      self.processes[name] = process
      self.targets[name] = Target(process.port, process.processes)

    place("server")
    place("with the log")
    place("without the log", FAIRDRAW_BENCH_WITHOUT_LOG=1)
    if (RELEASE / "bare-route").exists():
      add("bare", Process([RELEASE / "bare-route", "0"], environment(), self.log))
    else:
      self.missing.append("the bare route is not built: bin/bench builds it")
    if nginx.PROGRAM:
      add("nginx", nginx.start(folder(), self.places["server"].response, self.log))
    else:
      self.missing.append(nginx.MISSING)
    if preload.compiler():
      library = preload.library("sync", folder())
      place("slow disk", LD_PRELOAD=library, TEST_SYNC_DELAY=round(SYNC_DELAY * 1e6))
      least = self.places["slow disk"].least_latency()
      if least < SYNC_DELAY:
        raise Failure(f"a draw on the slow disk took {least * 1e3:.2f} ms, so its syncs are not delayed: the library has no effect")
    else:
      self.missing.append("the slow disk needs a C compiler: apt-get install gcc libc6-dev")
    if not (RELEASE / "seed-rate").exists():
      self.missing.append("the rate of seeds is not built: bin/bench builds it")

  def run(self, row, seconds, measured=True):
    if row.name == "one connection" and measured:
      self.syncs.append(disk.sync_times(self.places[row.at].folder, 200))
    connections = row.connections or self.options.connections
    run = load(self.targets[row.at], row.script, seconds, connections, self.options.threads, self.options.seeds)
    row.acknowledged += run["succeeded"]
    row.cut_short += connections
    row.resident = self.processes[row.at].memory()
    if measured:
      row.runs.append({**run, "draws": run["requests"] * row.draws})
      progress(f"  {row.name:<27}{run['requests']:>9,.0f} requests/s")

  def measure(self):
    """Interleaved, so that what else the machine does falls on every row alike."""
    if self.options.warmup:
      progress("warming up")
      for row in self.rows:
        self.run(row, self.options.warmup, measured=False)
    for number in range(1, self.options.rounds + 1):
      progress(f"round {number} of {self.options.rounds}")
      for row in self.order(number):
        self.run(row, self.options.seconds)
      if (RELEASE / "seed-rate").exists():
        self.seed_rates.append(seed_rate(os.cpu_count(), seconds=min(2, self.options.seconds)))
    self.compare()
    self.resident_peak = self.processes["server"].memory("VmHWM")

  def order(self, number):
    """The rows of a round. With and without the log come one after the other, in turn the one and the other first."""
    rows = list(self.rows)
    if number % 2 == 0:
      for place, row in enumerate(self.rows):
        if row.at == "with the log":
          rows[place], rows[place + 1] = rows[place + 1], row
    return rows

  def compare(self):
    """Adds to every run its ratios to the others of its round."""
    by_name = {row.name: row for row in self.rows}
    for row in self.rows:
      for number, run in enumerate(row.runs):
        work = run["draws"] or run["requests"]
        for yardstick, name in YARDSTICKS.items():
          if name in by_name:
            run[f"to_{yardstick}"] = work / by_name[name].runs[number]["requests"]
        if self.seed_rates and row.to_seeds:
          run["to_seeds"] = work / self.seed_rates[number]
        if row.pair:
          run["to_pair"] = run["requests"] / by_name[row.pair].runs[number]["requests"]
        if row.name == "one connection":
          run["to_sync"] = run["p99"] / percentile(self.syncs[number], 0.99)

  def go_on_to_a_million(self):
    progress("going on to a million draws")
    singles = [row for row in self.rows if row.at == "server" and row.draws == 1 and not row.connections]
    while self.stored("server")[0] < MILLION:
      for row in singles:
        self.run(row, self.options.seconds, measured=False)
    process = self.processes["server"]
    return {"stored": self.stored("server")[0], "resident": process.memory(), "peak": process.memory("VmHWM")}

  def watch_syncs(self):
    """How often the server syncs under load, as the kernel sees it; None where it cannot be watched."""
    row = next(row for row in self.rows if row.name == "anonymous draws")
    before = row.acknowledged
    place = self.places["server"]
    report = place.folder / "strace"
    tracer = subprocess.Popen(
      ["strace", "-f", "-c", "-o", report, "-e", "trace=fsync,fdatasync", "-p", str(place.process.process.pid)],
      stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
      deadline = time.monotonic() + 10
      while tracer.poll() is None and not place.process.is_traced() and time.monotonic() < deadline:
        time.sleep(0.01)
      self.run(row, min(2, self.options.seconds), measured=False)
    finally:
      tracer.send_signal(signal.SIGINT)
      tracer.wait()
    text = report.read_text() if report.exists() else ""
    found = re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+).*\bf(?:data)?sync$", text, re.MULTILINE)
    if tracer.returncode not in (0, -signal.SIGINT) and not found:
      return None
    return {"syncs": sum(map(int, found)), "draws": row.acknowledged - before}

  def stored(self, at):
    """At least this many outcomes must be in a server's database; and at most this many can."""
    here = [row for row in self.rows if row.at == at]
    least = self.places[at].draws + sum(row.acknowledged * row.draws for row in here)
    return least, least + sum(row.cut_short * row.draws for row in here)

  def check_truth(self):
    """Stops the servers; what each has stored, by its name."""
    found = {}
    for name, place in self.places.items():
      code = place.process.stop()
      self.expect(code == 0, f"the server exited with {code} when asked to stop")
      keyed = [row for row in self.rows if row.at == name and row.script == "keyed"]
      used = 1 + sum(row.acknowledged for row in keyed)  # and the one that is replayed
      found[name], problems = truth.check(
        place.folder, *self.stored(name), used, used + sum(row.cut_short for row in keyed))
      self.problems += [f"{name}: {problem}" for problem in problems]
    return found

  def expect(self, holds, otherwise):
    if not holds:
      self.problems.append(otherwise)

  # What is shown

  def table(self):
    layout = "{:<27}{:>11}{:>10}{:>8}{:>14}{:>9}{:>8}{:>9}{:>9}{:>13}{:>8}  {}"
    yield layout.format(
      "", "requests/s", "draws/s", "bare", "", "replays", "nginx", "p50 ms", "p99 ms", "", "RSS MB", "").rstrip()
    for row in self.rows:
      ratio = row.median("to_seeds" if row.to_seeds else "to_bare")
      p99 = max(run["p99"] for run in row.runs)
      errors = sum(run["errors"] for run in row.runs)
      self.expect(errors == 0, f"{row.name}: {errors} requests failed")
      met = verdict(ratio >= row.goal, f"≥ {row.goal}") if row.goal and ratio is not None else ""
      yield layout.format(
        row.name, f"{row.median('requests'):,.0f}", f"{row.median('draws'):,.0f}" if row.draws else "",
        shown(ratio), met, shown(row.median("to_replays")), shown(row.median("to_nginx")), f"{row.median('p50') * 1e3:.2f}",
        f"{p99 * 1e3:.2f}", verdict(p99 < P99_TARGET, "< 50") if row.at == "server" else "", f"{row.resident:.0f}",
        f"FAILED {errors}" if errors else "").rstrip()

  def pairs(self, at):
    """Of the rows at a place: what they do, and the ratio to the row they are compared with."""
    return [
      (row.pair.removesuffix(", with the log") + (f" with {row.connections} connections" if row.connections else ""),
       row.median("to_pair"))
      for row in self.rows if row.at == at]

  def notes(self):
    """The lines about rows that are compared with something of their own."""
    alone = next(row for row in self.rows if row.name == "one connection")
    syncs = [time for times in self.syncs for time in times]
    p99 = max(run["p99"] for run in alone.runs)
    yield (f"alone        1 connection: p50 {alone.median('p50') * 1e3:.2f} ms, p99 {p99 * 1e3:.2f} ms; a sync of 4 KiB beside it: "
           f"median {percentile(syncs, 0.5) * 1e3:.2f} ms, p99 {percentile(syncs, 0.99) * 1e3:.2f} ms; p99 to p99 {alone.median('to_sync'):.2f}")
    yield "log          with it, to without: " + ", ".join(f"{name} {1 / ratio:.2f}" for name, ratio in self.pairs("without the log"))
    if "slow disk" in self.places:
      yield f"slow disk    {SYNC_DELAY * 1e3:.0f} ms more for each sync, to without: " + ", ".join(
        f"{name} {ratio:.2f}" for name, ratio in self.pairs("slow disk"))
    for sentence in self.missing:
      yield f"not measured {sentence}"

  def as_objects(self):
    return [
      {"row": row.name, "draws_per_request": row.draws, "pair": row.pair, "connections": row.connections or self.options.connections,
       "resident": row.resident, **{what: row.median(what) for what in row.runs[0] if what not in ("threads", "p99")},
       "p99": max(run["p99"] for run in row.runs), "threads": counters.means(row.runs)}
      for row in self.rows]


def shown(ratio):
  return "–" if ratio is None else f"{ratio:.2f}"


def arguments():
  parser = argparse.ArgumentParser(
    prog="bin/bench", description="Measures the server against a bare route and checks what it stored.")
  parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite",
            help="what the servers run over; postgres compares with pgbench instead (sqlite)")
  parser.add_argument("--peer", action="store_true",
            help="compares with a service made of FastAPI, PostgreSQL and Redis instead")
  parser.add_argument("--rounds", type=int, default=3, help="how often each row is measured (3)")
  parser.add_argument("--seconds", type=int, default=8, help="how long each time (8)")
  parser.add_argument("--warmup", type=int, default=2, help="seconds before the first round, each row (2)")
  parser.add_argument("--connections", type=int, default=64, help="kept open by wrk (64)")
  parser.add_argument("--threads", type=int, default=2, help="of wrk (2)")
  parser.add_argument("--seeds", type=int, default=1000, help="client seeds the draws are spread over (1000)")
  parser.add_argument("--million", action="store_true",
            help="go on until a million draws are stored, then report memory")
  add_output_options(parser)
  return parser.parse_args()


def main():
  options = arguments()
  if options.database == "postgres":
    import bench_postgres
    return bench_postgres.main(options)
  if options.peer:
    import bench_peer
    return bench_peer.main(options)
  with ExitStack() as stack:
    host = machine(fresh_folder(stack, options.data))
    bench = Bench(options, stack)
    bench.measure()
    syncs = bench.watch_syncs()
    million = bench.go_on_to_a_million() if options.million else None
    found = bench.check_truth()
  report(bench, host, syncs, million, found)
  write_rows(options.json, bench.as_objects())
  result = {
    "machine": host, "options": {name: str(value) for name, value in vars(options).items()},
    "rows": [vars(row) for row in bench.rows], "syncs": syncs, "resident_peak": bench.resident_peak,
    "million": million, "truth": found, "problems": bench.problems}
  name = SCRATCH / time.strftime("%Y%m%dT%H%M%SZ.json", time.gmtime())
  name.write_text(json.dumps(result, indent=2) + "\n")
  print(f"\n{name.relative_to(ROOT)} has it all as JSON.")
  return 1 if bench.problems else 0


def report(bench, host, syncs, million, found):
  options = bench.options
  print(f"\n{host['processor']}, {host['cores']} cores shared with wrk; Linux {host['kernel']}")
  print(f"{options.rounds} rounds of {options.seconds} s, {options.connections} connections; "
          f"medians over the rounds, the worst p99\n")
  for line in bench.table():
    print(line)
  print(f"\nIdle share of the cores, and seconds of processor time in a run of {options.seconds} s, by thread:")
  for row in bench.rows:
    print(f"{row.name:<27}{counters.describe(row.runs)}")
  print()
  for line in bench.notes():
    print(line)
  if syncs is None:
    print("syncs        not watched: strace may not attach here")
  else:
    bench.expect(syncs["syncs"] > 0, "draws were acknowledged without one fsync or fdatasync")
    print(f"syncs        {syncs['syncs']:,} for {syncs['draws']:,} draws, "
              f"{syncs['draws'] / max(1, syncs['syncs']):.1f} draws a sync (watched by strace, which slows it)")
  print(f"disk         {host['filesystem']}, fdatasync of 4 KiB takes {host['fdatasync'] * 1e3:.2f} ms; "
          f"journal mode {found['server']['journal']}")
  print(f"memory       {bench.resident_peak:.0f} MB resident at most during the rounds")
  if million:
    met = verdict(million["peak"] < RESIDENT_TARGET, f"< {RESIDENT_TARGET} MB")
    print(f"a million    {million['resident']:.0f} MB resident after {million['stored']:,} draws, "
              f"{million['peak']:.0f} MB at most: {met}")
  main_truth = found["server"]
  print(f"database     {main_truth['bytes'] / MEGABYTE:,.0f} MB, {main_truth['bytes'] / max(1, main_truth['outcomes']):.0f} bytes "
          "an outcome")
  for name, stored in found.items():
    print(f"truth        {name}: {stored['acknowledged']:,} draws acknowledged, {stored['outcomes']:,} stored, {stored['chains']:,} chains")
  print(f"             {'as it must be' if not bench.problems else 'FAILED'}")
  for problem in bench.problems:
    print(f"FAILED       {problem}")


if __name__ == "__main__":
  run_main(main)
