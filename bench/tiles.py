"""Reads the tiles of a large log from many connections, alone and while others draw.

Started by bin/bench --tiles. What each line means is in README.md beside this file.
"""

import argparse
import statistics
import threading
from contextlib import ExitStack

from audit import await_entries, draw
from common import (
  Failure, Fairdraw, Target, add_output_options, fresh_folder, load, machine, progress, run_main, verdict, write_rows)
from counters import describe, means
from merkle import Client

P99_TARGET = 0.005
TILE = 256  # entries, or hashes
KINDS = {"hash tiles": "tile/0", "entry tiles": "tile/entries"}


def arguments():
  parser = argparse.ArgumentParser(prog="bin/bench --tiles", description="Measures how fast the tiles of a large log are read.")
  parser.add_argument("--outcomes", type=int, default=1_000_000, help="drawn and logged (1000000)")
  parser.add_argument("--chains", type=int, default=1000, help="they are spread over (1000)")
  parser.add_argument("--rounds", type=int, default=3, help="how often each row is measured (3)")
  parser.add_argument("--seconds", type=int, default=8, help="how long each time (8)")
  parser.add_argument("--connections", type=int, default=16, help="that read tiles (16)")
  parser.add_argument("--drawing", type=int, default=16, help="connections that draw meanwhile, in the second half of the rows (16)")
  add_output_options(parser)
  options = parser.parse_args()
  if options.outcomes < TILE:
    parser.error(f"--outcomes must be at least {TILE}, which fill a tile")
  return options


class Tiles:
  def __init__(self, options, target):
    self.options = options
    self.target = target
    self.runs = {(kind, drawing): [] for drawing in (False, True) for kind in KINDS}

  def read(self, kind):
    return load(
      self.target, "tiles", self.options.seconds, self.options.connections, threads=1,
      BENCH_TILES=str((1 + self.options.outcomes) // TILE), BENCH_TILE_PATH=f"/log/0/{KINDS[kind]}/")

  def read_while_others_draw(self, kind):
    drawn = []

    def drawing():
      drawn.append(load(self.target, "anonymous", self.options.seconds, self.options.drawing, threads=1))

    thread = threading.Thread(target=drawing)
    thread.start()
    run = self.read(kind)
    thread.join()
    if not drawn:
      raise Failure("the draws failed")
    return {**run, "errors": run["errors"] + drawn[0]["errors"], "draws": drawn[0]["requests"]}

  def measure(self):
    for number in range(1, self.options.rounds + 1):
      progress(f"round {number} of {self.options.rounds}")
      for (kind, drawing), runs in self.runs.items():
        runs.append(self.read_while_others_draw(kind) if drawing else self.read(kind))

  def rows(self):
    for (kind, drawing), runs in self.runs.items():
      row = {
        what: statistics.median(run[what] for run in runs) for what in ("requests", "p50", "idle", *(["draws"] if drawing else []))}
      yield runs, {
        "row": kind + (", while others draw" if drawing else ""), **row, "p99": max(run["p99"] for run in runs),
        "errors": sum(run["errors"] for run in runs), "threads": means(runs)}


def main():
  options = arguments()
  with ExitStack() as stack:
    log = stack.enter_context(open(options.log, "a"))
    data = fresh_folder(stack, options.data, "tiles")
    host = machine(data)
    server = Fairdraw(data, log)
    stack.callback(server.stop)
    key = server.new_key()
    progress(f"drawing {options.outcomes:,} outcomes")
    draw(server, key, options.outcomes, options.chains)
    client = Client(server)
    await_entries(client, 1 + options.outcomes)
    sizes = {kind: len(client.get(f"/log/0/{path}/000")) for kind, path in KINDS.items()}
    tiles = Tiles(options, Target(server.port, server.processes, key))
    tiles.measure()
    peak = server.memory("VmHWM")
    code = server.stop()

  print(f"\n{host['processor']}, {host['cores']} cores shared with wrk; Linux {host['kernel']}")
  print(f"{1 + options.outcomes:,} entries; {options.rounds} rounds of {options.seconds} s, {options.connections} connections; "
        f"medians over the rounds, the worst p99\n")
  rows = list(tiles.rows())
  for runs, row in rows:
    print(f"{row['row']:<32}{row['requests']:>9,.0f}/s  p50 {row['p50'] * 1e3:.2f} ms, p99 {row['p99'] * 1e3:.2f} ms: "
          f"{verdict(row['p99'] < P99_TARGET, f'< {P99_TARGET * 1e3:.0f} ms')}"
          + (f"; {row['draws']:,.0f} draws/s" if "draws" in row else ""))
    print(f"{'':<32}{describe(runs)}")
  print(f"\nbytes        {', '.join(f'{kind} {size:,}' for kind, size in sizes.items())}")
  print(f"memory       {peak:.0f} MB resident at most")
  write_rows(options.json, [row for _, row in rows])
  errors = sum(row["errors"] for _, row in rows)
  if errors or code:
    raise Failure(f"{errors} requests failed, and the server exited with {code}")
  return 0


if __name__ == "__main__":
  run_main(main)
