"""Draws a million outcomes, reveals half of their seeds, and measures how long `fairdraw audit log` takes for them.

Started by bin/bench --audit. What each line means is in README.md beside this file.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import closed_pipe
from bench import RELEASE, SCRATCH, Failure, Server, machine, progress, verdict
from merkle import Client

SECONDS_TARGET = 300  # for ten million
MEMORY_TARGET = 300
MOST_ROTATIONS = 500  # an account may do 600 such things in a minute


def arguments():
  parser = argparse.ArgumentParser(
    prog="bin/bench --audit", description="Measures how long the audit of a database with its log takes.")
  parser.add_argument("--outcomes", type=int, default=1_000_000, help="drawn and logged (1000000)")
  parser.add_argument("--chains", type=int, default=1000, help="they are spread over (1000)")
  parser.add_argument("--data", type=Path, default=SCRATCH, metavar="DIR", help="where the fresh data folder is made (.build/bench)")
  parser.add_argument("--log", type=Path, default=Path("/dev/null"), metavar="FILE", help="where the server's log goes (/dev/null)")
  return parser.parse_args()


def draw(server, key, outcomes, chains):
  """Real draws, 50 at a time, on four connections."""
  batches = iter(range(0, outcomes, 50))
  lock = threading.Lock()
  failures = []

  def work():
    client = Client(server, key)
    while not failures:
      with lock:
        start = next(batches, None)
      if start is None:
        return
      draws = [{"endpoint": "ints", "params": {"clientSeed": f"player-{number % chains}"}}
               for number in range(start, min(start + 50, outcomes))]
      status, content = client.ask("/api/batch", json.dumps({"draws": draws}))
      if status != 200 or b'"ok":false' in content:
        failures.append(f"a batch was answered with {status}, {content[:300]!r}")
      if start % 500_000 == 0:
        progress(f"{start:,} of {outcomes:,} outcomes are drawn")

  threads = [threading.Thread(target=work) for _ in range(4)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  if failures:
    raise Failure(failures[0])


def audit(*arguments, settings):
  """The audit's output, its seconds and its greatest resident memory in megabytes."""
  began = time.perf_counter()
  process = subprocess.Popen([RELEASE / "fairdraw", "audit", "log", *arguments], env=settings, stdout=subprocess.PIPE, text=True)
  output = process.stdout.read()
  _, status, usage = os.wait4(process.pid, 0)
  process.returncode = os.waitstatus_to_exitcode(status)
  if process.returncode:
    raise Failure(f"the audit exited with {process.returncode}: {output}")
  return output, time.perf_counter() - began, usage.ru_maxrss / 1024


def main():
  options = arguments()
  for folder in (SCRATCH, options.data):
    folder.mkdir(parents=True, exist_ok=True)
  with ExitStack() as stack:
    data = Path(tempfile.mkdtemp(prefix="audit-", dir=options.data))
    stack.callback(shutil.rmtree, data, ignore_errors=True)
    log = stack.enter_context(open(options.log, "a"))
    settings = {name: value for name, value in os.environ.items() if not name.startswith("FAIRDRAW_")}
    settings.update(FAIRDRAW_DATA=str(data), FAIRDRAW_RATE_LIMIT_PER_MINUTE="0", FAIRDRAW_DAILY_QUOTA="1000000000")
    host = machine(data)
    server = Server([RELEASE / "fairdraw", "serve", "--host", "127.0.0.1", "--port", "0"], settings, log)
    stack.callback(server.stop)

    def fairdraw(*words):
      done = subprocess.run([RELEASE / "fairdraw", *words], env=settings, capture_output=True, text=True)
      if done.returncode:
        raise Failure(f"fairdraw {' '.join(words)}: {done.stderr.strip()}")
      return done.stdout.strip()

    fairdraw("account", "create", "bench")
    key = fairdraw("key", "create", "--account", "bench")
    draw(server, key, options.outcomes, options.chains)
    client = Client(server, key)
    rotations = min(options.chains // 2, MOST_ROTATIONS)
    for number in range(rotations):
      status, content = client.ask("/api/rotate", json.dumps({"clientSeed": f"player-{number}"}))
      if status != 200:
        raise Failure(f"a rotation was answered with {status}, {content[:300]!r}")
    entries = 1 + options.outcomes + rotations
    while int(client.get("/log/0/checkpoint").split(b"\n")[1]) < entries:
      time.sleep(0.1)

    progress("auditing it from outside")
    vkey = json.loads(client.get("/api/keys"))["log"]["vkey"]
    outside = audit("--url", f"http://127.0.0.1:{server.port}", "--key", vkey, settings=settings)
    server.stop()
    progress("auditing the database")
    output, seconds, memory = audit(settings=settings)
    if f"{options.outcomes} are in the log" not in output:
      raise Failure(output)

  print(f"\n{host['processor']}, {host['cores']} cores; Linux {host['kernel']}; {host['filesystem']}\n")
  target = SECONDS_TARGET * entries / 10_000_000
  print(f"database     {entries:,} entries in {seconds:.1f} s: {verdict(seconds < target, f'< {target:.0f} s')}; "
        f"{memory:.0f} MB resident at most: {verdict(memory < MEMORY_TARGET, f'< {MEMORY_TARGET} MB')}")
  print(f"outside      {entries:,} entries in {outside[1]:.1f} s, over HTTP from this machine; {outside[2]:.0f} MB")
  print(output)
  return 0


if __name__ == "__main__":
  try:
    with closed_pipe.ends_quietly():
      sys.exit(main())
  except Failure as failure:
    sys.exit(f"bench: {failure}")
  except KeyboardInterrupt:
    sys.exit(130)
