"""Draws a million outcomes, reveals half of their seeds, and measures how long `fairdraw audit log` takes for them.

Started by bin/bench --audit. What each line means is in README.md beside this file.
"""

import argparse
import json
import os
import subprocess
import threading
import time
from contextlib import ExitStack

from common import BINARY, Failure, Fairdraw, add_output_options, fresh_folder, machine, progress, run_main, verdict, write_rows
from merkle import Client

SECONDS_TARGET = 300  # for ten million
MEMORY_TARGET = 300
MOST_ROTATIONS = 500  # an account may do 600 such things in a minute


def arguments():
  parser = argparse.ArgumentParser(
    prog="bin/bench --audit", description="Measures how long the audit of a database with its log takes.")
  parser.add_argument("--outcomes", type=int, default=1_000_000, help="drawn and logged (1000000)")
  parser.add_argument("--chains", type=int, default=1000, help="they are spread over (1000)")
  add_output_options(parser)
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


def await_entries(client, entries):
  """Until so many entries are in the published log."""
  while int(client.get("/log/0/checkpoint").split(b"\n")[1]) < entries:
    time.sleep(0.1)


def audit(*arguments, settings):
  """The audit's output, its seconds and its greatest resident memory in megabytes."""
  began = time.perf_counter()
  process = subprocess.Popen([BINARY, "audit", "log", *arguments], env=settings, stdout=subprocess.PIPE, text=True)
  output = process.stdout.read()
  _, status, usage = os.wait4(process.pid, 0)
  process.returncode = os.waitstatus_to_exitcode(status)
  if process.returncode:
    raise Failure(f"the audit exited with {process.returncode}: {output}")
  return output, time.perf_counter() - began, usage.ru_maxrss / 1024


def main():
  options = arguments()
  with ExitStack() as stack:
    data = fresh_folder(stack, options.data, "audit")
    log = stack.enter_context(open(options.log, "a"))
    host = machine(data)
    server = Fairdraw(data, log)
    stack.callback(server.stop)

    key = server.new_key()
    draw(server, key, options.outcomes, options.chains)
    client = Client(server, key)
    rotations = min(options.chains // 2, MOST_ROTATIONS)
    for number in range(rotations):
      status, content = client.ask("/api/rotate", json.dumps({"clientSeed": f"player-{number}"}))
      if status != 200:
        raise Failure(f"a rotation was answered with {status}, {content[:300]!r}")
    entries = 1 + options.outcomes + rotations
    await_entries(client, entries)

    progress("auditing it from outside")
    vkey = json.loads(client.get("/api/keys"))["log"]["vkey"]
    outside = audit("--url", f"http://127.0.0.1:{server.port}", "--key", vkey, settings=server.settings)
    server.stop()
    progress("auditing the database")
    output, seconds, memory = audit(settings=server.settings)
    if f"{options.outcomes} are in the log" not in output:
      raise Failure(output)

  print(f"\n{host['processor']}, {host['cores']} cores; Linux {host['kernel']}; {host['filesystem']}\n")
  target = SECONDS_TARGET * entries / 10_000_000
  print(f"database     {entries:,} entries in {seconds:.1f} s: {verdict(seconds < target, f'< {target:.0f} s')}; "
        f"{memory:.0f} MB resident at most: {verdict(memory < MEMORY_TARGET, f'< {MEMORY_TARGET} MB')}")
  print(f"outside      {entries:,} entries in {outside[1]:.1f} s, over HTTP from this machine; {outside[2]:.0f} MB")
  print(output)
  write_rows(options.json, [
    {"row": "database", "entries": entries, "seconds": seconds, "resident": memory},
    {"row": "outside", "entries": entries, "seconds": outside[1], "resident": outside[2]}])
  return 0


if __name__ == "__main__":
  run_main(main)
