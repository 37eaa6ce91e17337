"""Drives the server and a bare route with wrk, prints how they compare, and checks what the server stored.

Started by bin/bench, which installs wrk and builds both. What each row means is in README.md beside this file.
"""

import argparse
import http.client
import json
import os
import platform
import re
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from pathlib import Path

import closed_pipe

ROOT = Path(__file__).resolve().parent.parent
RELEASE = ROOT / ".build" / "release"
SCRATCH = ROOT / ".build" / "bench"
MEGABYTE = 1024 * 1024
P99_TARGET = 0.050
RESIDENT_TARGET = 150
MILLION = 1_000_000


@dataclass
class Load:
  """One row of the table: a wrk script, and how what it does is counted."""

  name: str
  script: str
  draws: int = 0  # stored outcomes for each request answered
  target: float = 0  # of (draws or requests) a second, over the bare route's requests a second; or
  to_seeds: bool = False  # over the seeds a second that all cores can compute
  runs: list = field(default_factory=list)  # one dictionary for each measured round
  acknowledged: int = 0  # requests answered with success, warm-up included
  cut_short: int = 0  # requests that may have been under way when wrk stopped
  resident: float = 0  # the server's memory after the last run, in MB

  def median(self, what):
    return statistics.median(run[what] for run in self.runs)


class Failure(Exception):
  """A sentence on what went wrong; the run cannot be trusted."""


def seed_rate(threads, seconds):
  """How many server seeds a second so many threads compute that do nothing else."""
  output = subprocess.run([RELEASE / "seed-rate", str(threads), str(seconds)], capture_output=True, text=True, check=True).stdout
  return int(output.split()[0])


class Server:
  """A process of ours that prints where it listens as the first thing on standard output."""

  def __init__(self, command, environment, log):
    self.command = command
    self.process = subprocess.Popen(
      command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True)
    watchdog = threading.Timer(30, self.process.kill)
    watchdog.start()
    line = self.process.stdout.readline()
    watchdog.cancel()
    found = re.search(r"(\d+)\s*$", line)
    if not found:
      self.process.kill()
      raise Failure(f"{Path(command[0]).name} did not start (--log FILE keeps what it says); it printed {line!r}")
    self.port = int(found.group(1))
    # Nothing may ever block on a full pipe.
    threading.Thread(target=self.process.stdout.read, daemon=True).start()

  def memory(self, what="VmRSS"):
    """In MB: VmRSS now, VmHWM at its highest."""
    status = Path(f"/proc/{self.process.pid}/status").read_text()
    return int(re.search(rf"^{what}:\s+(\d+) kB", status, re.MULTILINE).group(1)) / 1024

  def stop(self):
    """Asks it to finish; its exit code."""
    if self.process.poll() is None:
      self.process.send_signal(signal.SIGTERM)
      try:
        self.process.wait(30)
      except subprocess.TimeoutExpired:
        self.process.kill()
    return self.process.wait()


class Bench:
  def __init__(self, options, data, bare, server, api_key):
    self.options = options
    self.data = data
    self.bare = bare
    self.server = server
    self.api_key = api_key
    self.replay_key = str(uuid.uuid4())
    self.loads = [
      Load("bare route", "bare"),
      Load("anonymous draws", "anonymous", draws=1, target=0.5),
      Load("keyed draws, fresh keys", "keyed", draws=1, target=0.4),
      Load("replays of one key", "replay", target=0.8),
      Load("batches of 50 draws", "batch", draws=50, target=2.0),
      Load("batches of 50 new seeds", "newseeds", draws=50, target=0.4, to_seeds=True),
    ]
    self.singles = 0  # outcomes drawn by `ask`, outside wrk
    self.problems = []
    self.seed_rates = []  # of each round

  def ask(self, method, path, body=None, headers=None):
    """One request outside wrk: status, headers, body."""
    with closing(http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)) as connection:
      connection.request(method, path, body, headers or {})
      response = connection.getresponse()
      return response.status, response.headers, response.read()

  def prepare(self):
    """Stores the response that is to be replayed, and sees that a batch of the load's shape succeeds whole."""
    path = "/api/ints?clientSeed=bench-replay&count=1&min=1&max=100"
    headers = {"x-api-key": self.api_key, "Idempotency-Key": self.replay_key}
    first = self.ask("GET", path, headers=headers)
    second = self.ask("GET", path, headers=headers)
    if first[0] != 200 or first[2] != second[2] or second[1]["Idempotent-Replayed"] != "true":
      raise Failure(f"a draw and its replay were answered with {first[0]} {first[2]!r} and {second[0]} {second[2]!r}")
    draw = {"endpoint": "ints", "params": {"clientSeed": "bench-batch", "count": 1, "min": 1, "max": 100}}
    status, _, body = self.ask(
      "POST", "/api/batch", json.dumps({"draws": [draw] * 50}),
      {"x-api-key": self.api_key, "Content-Type": "application/json"})
    if status != 200 or not all(result["ok"] for result in json.loads(body)["results"]):
      raise Failure(f"a batch was answered with {status}, {body[:300]!r}")
    self.singles = 1 + 50

  def run(self, load, seconds, measured=True):
    port = self.bare.port if load.script == "bare" else self.server.port
    environment = dict(
      os.environ, BENCH_API_KEY=self.api_key, BENCH_REPLAY=self.replay_key, BENCH_RUN=str(uuid.uuid4()),
      BENCH_SEEDS=str(self.options.seeds))
    command = [
      "wrk", "-t", str(self.options.threads), "-c", str(self.options.connections), "-d", f"{seconds}s",
      "--timeout", "10s", "-s", f"{load.script}.lua", f"http://127.0.0.1:{port}"]
    output = subprocess.run(
      command, cwd=ROOT / "bench" / "wrk", env=environment, stdin=subprocess.DEVNULL, capture_output=True,
      text=True)
    found = re.search(r"^RESULT (.*)$", output.stdout, re.MULTILINE)
    if not found:
      raise Failure(f"wrk failed on {load.name}: {output.stderr.strip() or output.stdout.strip()}")
    result = json.loads(found.group(1))

    succeeded = result["requests"] - result["status"]
    load.acknowledged += succeeded
    load.cut_short += self.options.connections
    load.resident = self.server.memory()
    if measured:
      rate = succeeded * 1e6 / result["microseconds"]
      load.runs.append({
        "requests": rate, "draws": rate * load.draws, "errors": result["status"] + result["socket"],
        "p50": result["p50"] / 1e6, "p99": result["p99"] / 1e6, "max": result["max"] / 1e6})
      progress(f"  {load.name:<26}{rate:>9,.0f} requests/s")

  def measure(self):
    """Interleaved, so that what else the machine does falls on every row alike."""
    progress("warming up")
    for load in self.loads:
      self.run(load, self.options.warmup, measured=False)
    for number in range(1, self.options.rounds + 1):
      progress(f"round {number} of {self.options.rounds}")
      for load in self.loads:
        self.run(load, self.options.seconds)
      self.seed_rates.append(seed_rate(os.cpu_count(), seconds=2))
    bare = [run["requests"] for run in self.loads[0].runs]
    for load in self.loads:
      for run, yardstick in zip(load.runs, self.seed_rates if load.to_seeds else bare):
        run["ratio"] = (run["draws"] or run["requests"]) / yardstick
    self.resident_peak = self.server.memory("VmHWM")

  def stored(self):
    """At least this many outcomes must be in the database; and at most this many can."""
    least = self.singles + sum(load.acknowledged * load.draws for load in self.loads)
    return least, least + sum(load.cut_short * load.draws for load in self.loads)

  def go_on_to_a_million(self):
    progress("going on to a million draws")
    loads = [load for load in self.loads if load.draws == 1]
    while self.stored()[0] < MILLION:
      for load in loads:
        self.run(load, self.options.seconds, measured=False)
    return {"stored": self.stored()[0], "resident": self.server.memory(), "peak": self.server.memory("VmHWM")}

  def watch_syncs(self):
    """How often the server syncs under load, as the kernel sees it; None where it cannot be watched."""
    load = self.loads[1]
    before = load.acknowledged
    report = self.data / "strace"
    tracer = subprocess.Popen(
      ["strace", "-f", "-c", "-o", report, "-e", "trace=fsync,fdatasync", "-p", str(self.server.process.pid)],
      stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
      self.run(load, 2, measured=False)
    finally:
      tracer.send_signal(signal.SIGINT)
      tracer.wait()
    text = report.read_text() if report.exists() else ""
    rows = re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+).*\bf(?:data)?sync$", text, re.MULTILINE)
    if tracer.returncode not in (0, -signal.SIGINT) and not rows:
      return None
    return {"syncs": sum(map(int, rows)), "draws": load.acknowledged - before}

  def check_truth(self):
    """What is stored against what was acknowledged, after the server has stopped."""
    path = self.data / "fairdraw.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
      (outcomes,) = database.execute("SELECT count(*) FROM outcomes").fetchone()
      chains, gaps = database.execute(
        """SELECT count(*), coalesce(sum(low <> 0 OR high <> n - 1 OR different <> n), 0) FROM
            (SELECT min(nonce) low, max(nonce) high, count(*) n, count(DISTINCT nonce) different
            FROM outcomes GROUP BY chain_id)""").fetchone()
      (wrong_next,) = database.execute(
        """SELECT count(*) FROM chains LEFT JOIN
            (SELECT chain_id, count(*) n FROM outcomes GROUP BY chain_id) used ON used.chain_id = chains.id
            WHERE chains.nonce <> coalesce(used.n, 0)""").fetchone()
      (billed,) = database.execute("SELECT coalesce(sum(count), 0) FROM usage").fetchone()
      (records,) = database.execute("SELECT count(*) FROM idempotency").fetchone()
      (sound,) = database.execute("PRAGMA quick_check").fetchone()
      (journal,) = database.execute("PRAGMA journal_mode").fetchone()
    least, most = self.stored()
    self.expect(least <= outcomes <= most, f"{least:,} draws were acknowledged and {outcomes:,} are stored")
    self.expect(gaps == 0, f"{gaps} of {chains:,} chains have nonces that do not run 0…n−1")
    self.expect(wrong_next == 0, f"{wrong_next} chains carry a nonce that is not the number of their outcomes")
    self.expect(billed == outcomes, f"usage counts {billed:,} draws where {outcomes:,} are stored")
    keyed = next(load for load in self.loads if load.script == "keyed")
    used = 1 + keyed.acknowledged  # and the one that is replayed
    self.expect(
      used <= records <= used + keyed.cut_short,
      f"{used:,} idempotency keys were used and {records:,} are stored")
    self.expect(sound == "ok", f"the database is damaged: {sound}")
    return {"outcomes": outcomes, "acknowledged": least, "chains": chains, "journal": journal,
        "bytes": sum(file.stat().st_size for file in self.data.glob("fairdraw.db*"))}

  def expect(self, holds, otherwise):
    if not holds:
      self.problems.append(otherwise)

  def table(self):
    layout = "{:<26}{:>11}{:>10}{:>7}{:>15}{:>8}{:>8}{:>14}{:>8}{:>8}  {}"
    head = ("", "requests/s", "draws/s", "ratio", "", "p50 ms", "p99 ms", "", "errors", "RSS MB", "")
    yield layout.format(*head).rstrip()
    for load in self.loads:
      ratio = load.median("ratio")
      p99 = max(run["p99"] for run in load.runs)
      errors = sum(run["errors"] for run in load.runs)
      self.expect(errors == 0, f"{load.name}: {errors} requests failed")
      ours = load.script != "bare"
      yield layout.format(
        load.name, f"{load.median('requests'):,.0f}", f"{load.median('draws'):,.0f}" if load.draws else "",
        f"{ratio:.2f}", verdict(ratio >= load.target, f"≥ {load.target}") if ours else "",
        f"{load.median('p50') * 1e3:.1f}", f"{p99 * 1e3:.1f}", verdict(p99 < P99_TARGET, "< 50") if ours else "",
        errors, f"{load.resident:.0f}" if ours else "", "FAILED" if errors else "").rstrip()


def verdict(met, target):
  return f"{target} {'met' if met else 'NOT met'}"


def progress(text):
  print(text, file=sys.stderr, flush=True)


def machine(folder):
  """What the numbers were taken on, the disk included."""
  processor = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
  kind = subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True).stdout.strip()
  times = []
  with open(folder / "probe", "wb", buffering=0) as file:
    for _ in range(100):
      began = time.perf_counter()
      file.write(bytes(4096))
      os.fdatasync(file)
      times.append(time.perf_counter() - began)
  os.unlink(folder / "probe")
  return {
    "processor": processor.group(1) if processor else platform.machine(), "cores": len(os.sched_getaffinity(0)),
    "kernel": platform.release(), "filesystem": kind, "fdatasync": statistics.median(times)}


def arguments():
  parser = argparse.ArgumentParser(
    prog="bin/bench", description="Measures the server against a bare route and checks what it stored.")
  parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite",
            help="what the servers run over; postgres compares with pgbench instead (sqlite)")
  parser.add_argument("--rounds", type=int, default=3, help="how often each row is measured (3)")
  parser.add_argument("--seconds", type=int, default=8, help="how long each time (8)")
  parser.add_argument("--warmup", type=int, default=2, help="seconds before the first round, each row (2)")
  parser.add_argument("--connections", type=int, default=64, help="kept open by wrk (64)")
  parser.add_argument("--threads", type=int, default=2, help="of wrk (2)")
  parser.add_argument("--seeds", type=int, default=1000, help="client seeds the draws are spread over (1000)")
  parser.add_argument("--million", action="store_true",
            help="go on until a million draws are stored, then report memory")
  parser.add_argument("--data", type=Path, default=SCRATCH, metavar="DIR",
            help="where the fresh data folder is made: on the disk to be measured (.build/bench)")
  parser.add_argument("--log", type=Path, default=Path("/dev/null"), metavar="FILE",
            help="where the server's log goes; it is written at the default level either way (/dev/null)")
  parser.add_argument("--without-log", action="store_true",
            help="leave outcomes out of the continuous log, to find out what it costs")
  return parser.parse_args()


def main():
  options = arguments()
  if options.database == "postgres":
    import bench_postgres
    return bench_postgres.main(options)
  SCRATCH.mkdir(parents=True, exist_ok=True)
  options.data.mkdir(parents=True, exist_ok=True)
  with ExitStack() as stack:
    data = Path(tempfile.mkdtemp(prefix="data-", dir=options.data))
    stack.callback(shutil.rmtree, data, ignore_errors=True)
    log = stack.enter_context(open(options.log, "a"))
    settings = {name: value for name, value in os.environ.items() if not name.startswith("FAIRDRAW_")}
    settings.update(
      FAIRDRAW_DATA=str(data), FAIRDRAW_RATE_LIMIT_PER_MINUTE="0", FAIRDRAW_DAILY_QUOTA="1000000000")
    if options.without_log:
      settings["FAIRDRAW_BENCH_WITHOUT_LOG"] = "1"
    host = machine(data)

    bare = Server([RELEASE / "bare-route", "0"], settings, log)
    stack.callback(bare.stop)
    server = Server([RELEASE / "fairdraw", "serve", "--host", "127.0.0.1", "--port", "0"], settings, log)
    stack.callback(server.stop)

    def fairdraw(*words):
      done = subprocess.run([RELEASE / "fairdraw", *words], env=settings, capture_output=True, text=True)
      if done.returncode:
        raise Failure(f"fairdraw {' '.join(words)}: {done.stderr.strip()}")
      return done.stdout.strip()

    fairdraw("account", "create", "bench", "--daily-quota", "1000000000")
    bench = Bench(options, data, bare, server, fairdraw("key", "create", "--account", "bench"))
    bench.prepare()
    bench.measure()
    syncs = bench.watch_syncs()
    million = bench.go_on_to_a_million() if options.million else None
    code = server.stop()
    bench.expect(code == 0, f"the server exited with {code} when asked to stop")
    truth = bench.check_truth()

  print(f"\n{host['processor']}, {host['cores']} cores shared with wrk; Linux {host['kernel']}")
  print(f"{options.rounds} rounds of {options.seconds} s, {options.connections} connections; "
          f"medians over the rounds, the worst p99\n")
  for line in bench.table():
    print(line)
  print()
  if syncs is None:
    print("syncs        not watched: strace may not attach here")
  else:
    bench.expect(syncs["syncs"] > 0, "draws were acknowledged without one fsync or fdatasync")
    print(f"syncs        {syncs['syncs']:,} for {syncs['draws']:,} draws, "
              f"{syncs['draws'] / max(1, syncs['syncs']):.1f} draws a sync (watched by strace, which slows it)")
  print(f"disk         {host['filesystem']}, fdatasync of 4 KiB takes {host['fdatasync'] * 1e3:.2f} ms; "
          f"journal mode {truth['journal']}")
  print(f"memory       {bench.resident_peak:.0f} MB resident at most during the rounds")
  if million:
    met = verdict(million["peak"] < RESIDENT_TARGET, f"< {RESIDENT_TARGET} MB")
    print(f"a million    {million['resident']:.0f} MB resident after {million['stored']:,} draws, "
              f"{million['peak']:.0f} MB at most: {met}")
  print(f"database     {truth['bytes'] / MEGABYTE:,.0f} MB, {truth['bytes'] / max(1, truth['outcomes']):.0f} bytes "
          "an outcome")
  print(f"truth        {truth['acknowledged']:,} draws acknowledged, {truth['outcomes']:,} stored, "
          f"{truth['chains']:,} chains: {'as it must be' if not bench.problems else 'FAILED'}")
  for problem in bench.problems:
    print(f"FAILED       {problem}")

  result = {
    "machine": host, "options": {name: str(value) for name, value in vars(options).items()},
    "rows": [asdict(load) for load in bench.loads], "syncs": syncs, "resident_peak": bench.resident_peak,
    "million": million, "truth": truth, "problems": bench.problems}
  name = SCRATCH / time.strftime("%Y%m%dT%H%M%SZ.json", time.gmtime())
  name.write_text(json.dumps(result, indent=2) + "\n")
  print(f"\n{name.relative_to(ROOT)} has it all as JSON.")
  return 1 if bench.problems else 0


if __name__ == "__main__":
  # As a module, so that there is one Failure however this file is imported.
  from bench import Failure, main
  try:
    with closed_pipe.ends_quietly():
      sys.exit(main())
  except Failure as failure:
    sys.exit(f"bench: {failure}")
  except KeyboardInterrupt:
    sys.exit(130)
