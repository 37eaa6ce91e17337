"""What the benchmarks share: the processes they start, wrk, the machine, and how results are shown."""

import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import closed_pipe
from counters import Counters

ROOT = Path(__file__).resolve().parent.parent
RELEASE = ROOT / ".build" / "release"
BINARY = os.environ.get("FAIRDRAW_BINARY", RELEASE / "fairdraw")
SCRATCH = ROOT / ".build" / "bench"
MEGABYTE = 1024 * 1024

# What the tests use too, and needs nothing of pytest. The other files here import it from this one.
sys.path.append(str(ROOT / "Tests" / "System"))
import disk  # noqa: E402
import ports  # noqa: E402, F401
import postgres  # noqa: E402, F401
import preload  # noqa: E402, F401


class Failure(Exception):
  """A sentence on what went wrong; the run cannot be trusted."""


def environment(**settings):
  """The caller's environment without any FAIRDRAW_ setting, plus `settings`."""
  clean = {name: value for name, value in os.environ.items() if not name.startswith("FAIRDRAW_")}
  return {**clean, "FAIRDRAW_CONFIG": "/dev/null", **{name: str(value) for name, value in settings.items()}}


def fresh_folder(stack, parent, name="data"):
  """A new folder, removed with `stack`."""
  for folder in (SCRATCH, parent):
    folder.mkdir(parents=True, exist_ok=True)
  made = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=parent))
  stack.callback(shutil.rmtree, made, ignore_errors=True)
  return made


class Process:
  """A process of ours that listens on the loopback address: on `port`, or where the first line of its output says."""

  def __init__(self, command, environment, log, port=None):
    self.process = subprocess.Popen(
      list(map(str, command)), env=environment, stdin=subprocess.DEVNULL, stdout=log if port else subprocess.PIPE, stderr=log,
      text=True)
    self.port = port or self.announced_port()
    if port:
      self.wait_until_open()
    if self.port is None:
      self.process.kill()
      self.process.wait()
      raise Failure(f"{Path(command[0]).name} did not start (--log FILE keeps what it says)")

  def announced_port(self):
    watchdog = threading.Timer(30, self.process.kill)
    watchdog.start()
    line = self.process.stdout.readline()
    watchdog.cancel()
    # Nothing may ever block on a full pipe.
    threading.Thread(target=self.process.stdout.read, daemon=True).start()
    found = re.search(r"(\d+)\s*$", line)
    return int(found[1]) if found else None

  def wait_until_open(self):
    deadline = time.monotonic() + 30
    while self.process.poll() is None and time.monotonic() < deadline:
      try:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10).close()
      except OSError:
        time.sleep(0.02)
    self.port = None

  def processes(self):
    """Its process and that process's children."""
    pid = self.process.pid
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]

  def memory(self, what="VmRSS"):
    """In MB: VmRSS now, VmHWM at its highest."""
    status = Path(f"/proc/{self.process.pid}/status").read_text()
    return int(re.search(rf"^{what}:\s+(\d+) kB", status, re.MULTILINE)[1]) / 1024

  def is_traced(self):
    """Whether strace is attached to every thread."""
    try:
      statuses = [path.read_text() for path in Path(f"/proc/{self.process.pid}/task").glob("*/status")]
    except (FileNotFoundError, ProcessLookupError):
      return False  # a thread has ended meanwhile
    return not any("TracerPid:\t0\n" in status for status in statuses)

  def stop(self):
    """Asks it to finish; its exit code."""
    if self.process.poll() is None:
      self.process.send_signal(signal.SIGTERM)
      try:
        self.process.wait(30)
      except subprocess.TimeoutExpired:
        self.process.kill()
    return self.process.wait()


class Fairdraw(Process):
  """A server over `data` without a rate limit, and its command line."""

  def __init__(self, data, log, **settings):
    self.settings = environment(
      FAIRDRAW_DATA=data, FAIRDRAW_RATE_LIMIT_PER_MINUTE=0, FAIRDRAW_DAILY_QUOTA=10**9, **settings)
    super().__init__([BINARY, "serve", "--host", "127.0.0.1", "--port", "0"], self.settings, log)

  def command(self, *words):
    done = subprocess.run([BINARY, *words], env=self.settings, capture_output=True, text=True)
    if done.returncode:
      raise Failure(f"fairdraw {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout.strip()

  def new_key(self, account="bench"):
    """A live key of a new account."""
    self.command("account", "create", account)
    return self.command("key", "create", "--account", account)


@dataclass
class Target:
  """What wrk can be directed at, and whose processor time counts."""

  port: int
  processes: object  # a function that returns process identifiers
  key: str = ""
  replay_key: str = field(default_factory=lambda: str(uuid.uuid4()))


def load(target, script, seconds, connections=64, threads=2, seeds=1000, **variables):
  """Directs wrk at a target: rates per second, seconds of latency, and what the processors did meanwhile."""
  env = dict(
    os.environ, BENCH_API_KEY=target.key, BENCH_REPLAY=target.replay_key, BENCH_RUN=str(uuid.uuid4()), BENCH_SEEDS=str(seeds),
    **variables)
  command = [
    "wrk", "-t", str(min(threads, connections)), "-c", str(connections), "-d", f"{seconds}s", "--timeout", "10s",
    "-s", f"{script}.lua", f"http://127.0.0.1:{target.port}"]
  counters = Counters(target.processes())
  output = subprocess.run(
    command, cwd=ROOT / "bench" / "wrk", env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
  used = counters.since()
  found = re.search(r"^RESULT (.*)$", output.stdout, re.MULTILINE)
  if not found:
    raise Failure(f"wrk failed on {script}: {output.stderr.strip() or output.stdout.strip()}")
  result = json.loads(found[1])
  succeeded = result["requests"] - result["status"]
  return {
    "succeeded": succeeded, "requests": succeeded * 1e6 / result["microseconds"],
    "errors": result["status"] + result["socket"],
    **{name: result[name] / 1e6 for name in ("p50", "p99", "max")}, **used}


def percentile(times, share):
  return sorted(times)[min(int(len(times) * share), len(times) - 1)]


def machine(folder):
  """What the numbers were taken on, the disk included."""
  processor = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
  kind = subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True).stdout.strip()
  return {
    "processor": processor[1] if processor else platform.machine(), "cores": len(os.sched_getaffinity(0)),
    "kernel": platform.release(), "filesystem": kind, "fdatasync": percentile(disk.sync_times(folder), 0.5)}


def verdict(met, target):
  return f"{target} {'met' if met else 'NOT met'}"


def progress(text):
  print(text, file=sys.stderr, flush=True)


def add_output_options(parser):
  parser.add_argument("--data", type=Path, default=SCRATCH, metavar="DIR",
            help="where the fresh data folder is made: on the disk to be measured (.build/bench)")
  parser.add_argument("--log", type=Path, default=Path("/dev/null"), metavar="FILE",
            help="where the server's log goes; it is written at the default level either way (/dev/null)")
  parser.add_argument("--json", type=Path, metavar="FILE", help="also writes the rows, one JSON object a line")


def write_rows(path, rows):
  if path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def run_main(main):
  """Ends the program with what `main` returns, or with the sentence of a failure."""
  try:
    with closed_pipe.ends_quietly():
      sys.exit(main())
  except Failure as failure:
    sys.exit(f"bench: {failure}")
  except KeyboardInterrupt:
    sys.exit(130)
