"""Draws with the program, tests what it draws, and writes a report of one HTML file. Started by bin/evidence."""

import argparse
import datetime
import hashlib
import json
import os
import platform
import secrets
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))

import checks
import closed_pipe
import dieharder
import report
from sources import SOURCES

ROOT = Path(__file__).resolve().parents[2]
# About how many outcomes are tested at once.
PIECE = 1 << 21


@dataclass
class Result:
  group: str
  test: str
  p: float
  adjusted: float = 1.0
  rejected: bool = False


class Progress:
  """A line on the terminal that is written over; elsewhere a line for each thing that is done."""

  def __init__(self, total):
    self.total, self.done, self.began = total, 0.0, time.monotonic()
    self.is_terminal = sys.stderr.isatty()

  def show(self, what, share, weight):
    if not self.is_terminal:
      return
    done = (self.done + share * weight) / self.total
    passed = time.monotonic() - self.began
    left = f", about {passed * (1 - done) / done / 60:.0f} min left" if done > 0.01 else ""
    bar = "#" * int(40 * done)
    print(f"\r[{bar:40}] {100 * done:3.0f} %  {what}{left}\033[K", end="", file=sys.stderr, flush=True)

  def finish(self, what, weight, results):
    self.done += weight
    smallest = min(result.p for result in results)
    start = "\r\033[K" if self.is_terminal else ""
    print(f"{start}{what}: {len(results)} p-values, the smallest {smallest:.2g}", file=sys.stderr, flush=True)


class Binary:
  def __init__(self, path, seed, filter_command):
    self.path, self.server_seed, self.filter_command = path, hashlib.sha256(seed.encode()).hexdigest(), filter_command
    self.version = subprocess.run([path, "--version"], check=True, capture_output=True, text=True).stdout.strip()
    with open(path, "rb") as file:
      self.sha256 = hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") \
        else hashlib.sha256(file.read()).hexdigest()

  def bytes(self, client_seed, *arguments):
    return [self.path, "bytes", "--server-seed", self.server_seed, "--client-seed", client_seed, *arguments]

  def start(self, command):
    """Runs `fairdraw bytes`; what it writes goes through the filter, if there is one."""
    drawing = subprocess.Popen(command, stdout=subprocess.PIPE)
    if not self.filter_command:
      return drawing, drawing.stdout
    filtering = subprocess.Popen(self.filter_command, shell=True, stdin=drawing.stdout, stdout=subprocess.PIPE)
    drawing.stdout.close()
    return drawing, filtering.stdout


def commit():
  def git(*arguments):
    done = subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None
  try:
    head = git("rev-parse", "HEAD")
    return head and head + (" with changes" if git("status", "--porcelain") else "")
  except FileNotFoundError:
    return None


def lines_for(source, options, tests):
  """How many draws show the bias that is looked for, whichever outcome it goes to."""
  outcomes = checks.outcomes_needed(
    options.bias, max(source.probabilities), len(source.probabilities), tests, options.level)
  # What is drawn without replacement is tested by its first value.
  lines = outcomes if source.row_checks else outcomes / source.per_line
  return max(1, int(min(lines, source.most_lines) * options.share))


def test_source(binary, source, lines, progress):
  """Draws and tests; returns the results and how many independent outcomes there were."""
  sequence_checks = source.checks()
  row_checks = [make() for make in source.row_checks] + ([checks.Kolmogorov()] if source.is_real else [])
  drawing, stream = binary.start(
    binary.bytes(f"evidence {source.name}", "--count", str(lines), *source.command()))
  rest, read, outcomes = b"", 0, 0
  size = 1 << 23
  with stream:
    while block := stream.read(size):
      end = block.rfind(b"\n") + 1
      text, rest = rest + block[:end], block[end:]
      if not text:
        continue
      read += text.count(b"\n")
      sequence, rows = source.pieces(text)
      outcomes += len(sequence)
      for start in range(0, len(sequence), PIECE):
        for check in sequence_checks:
          check.feed(sequence[start:start + PIECE])
      for check in row_checks:
        check.feed(rows)
      progress.show(source.name, read / lines, lines * source.per_line)
  if drawing.wait() != 0 or rest or read != lines:
    raise SystemExit(f"{source.name}: {lines} draws were asked for, and {read} read")
  results = [
    Result(source.name, name, p) for check in sequence_checks + row_checks for name, p in check.results() if p is not None]
  progress.finish(source.name, lines * source.per_line, results)
  return results, outcomes


def test_stream(binary, plan, progress, weight):
  results = []
  for number, ntuples in plan:
    for ntuple in ntuples:
      def stream():
        command = binary.bytes(f"evidence dieharder {number} {ntuple}", "--endless")
        return subprocess.Popen(command, stdout=subprocess.PIPE)
      progress.show(f"dieharder {number} {ntuple}", 0, weight)
      found = [Result("dieharder", name, p) for name, p in dieharder.run(stream, number, ntuple)]
      progress.finish(f"dieharder {number} {ntuple}", weight, found)
      results += found
  return results


def read_options():
  parser = argparse.ArgumentParser(prog="bin/evidence", description=__doc__.split(".")[0] + ".")
  parser.add_argument("--output", default="evidence.html", metavar="FILE", help="the report (%(default)s)")
  parser.add_argument("--quick", action="store_true", help="a hundredth of the outcomes and a part of dieharder: minutes")
  parser.add_argument("--share", type=float, metavar="X", help="this share of the outcomes (1, with --quick 0.01)")
  parser.add_argument("--only", action="append", metavar="NAME", help="only this source, or dieharder; may be given again")
  parser.add_argument("--seed", metavar="TEXT", help="repeats a run, whose report names its seed (a new one)")
  parser.add_argument(
    "--bias", type=float, default=1e-4, metavar="X", help="the bias that a full run has to find (%(default)s)")
  parser.add_argument("--level", type=float, default=0.01, metavar="X", help="the chance of a false alarm (%(default)s)")
  parser.add_argument(
    "--filter", metavar="COMMAND", help="sends draws through a shell command: plant a bias, and see that it is found")
  parser.add_argument("--list", action="store_true", help="list the sources, and stop")
  options = parser.parse_args()
  names = [source.name for source in SOURCES] + ["dieharder"]
  for name in options.only or []:
    if name not in names:
      parser.error(f"there is no source {name!r}: see --list")
  if not 0 < options.bias < 1 or not 0 < options.level < 1 or not 0 < (options.share or 1) <= 100:
    parser.error("--bias and --level lie between 0 and 1, --share is at most 100")
  if options.list:
    print("\n".join(names))
    raise SystemExit
  options.share = options.share or (0.01 if options.quick else 1)
  options.seed = options.seed or secrets.token_hex(16)
  return options


def main():
  options = read_options()
  began = time.monotonic()
  binary = Binary(
    os.environ.get("FAIRDRAW_BINARY") or str(ROOT / ".build/release/fairdraw"), options.seed, options.filter)
  wanted = [source for source in SOURCES if not options.only or source.name in options.only]
  plan = [] if options.only and "dieharder" not in options.only else dieharder.QUICK if options.quick else dieharder.TESTS
  # About as many as there will be; what is exact is the correction, at the end.
  tests = 10 * len(wanted) + 2 * sum(len(ntuples) for _, ntuples in plan)
  lines = {source.name: lines_for(source, options, tests) for source in wanted}
  volume = sum(lines[source.name] * source.per_line for source in wanted)
  weight = 5e6 if options.quick else 1e8
  progress = Progress(volume + weight * sum(len(ntuples) for _, ntuples in plan))

  results, rows = [], []
  for source in wanted:
    found, outcomes = test_source(binary, source, lines[source.name], progress)
    results += found
    rows.append((source, lines[source.name], outcomes, found))
  results += test_stream(binary, plan, progress, weight)
  adjusted, rejected = checks.holm(np.array([result.p for result in results]), options.level)
  for result, p, is_rejected in zip(results, adjusted, rejected):
    result.adjusted, result.rejected = float(p), bool(is_rejected)

  facts = {
    "Program": f"fairdraw {binary.version}",
    "SHA-256 of the program": binary.sha256,
    "Commit": commit() or "unknown",
    "Machine": f"{platform.machine()}, {platform.system()} {platform.release()}",
    "Begun": (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=time.monotonic() - began))
    .strftime("%Y-%m-%d %H:%M UTC"),
    "Took": f"{(time.monotonic() - began) / 60:.1f} minutes",
    "Seed": options.seed,
    "Server seed": binary.server_seed,
    "Repeat it": "bin/evidence " + shlex.join(
      [*(["--quick"] if options.quick else []), "--share", f"{options.share:g}", "--bias", f"{options.bias:g}", "--level",
       f"{options.level:g}", "--seed", options.seed, *(part for name in options.only or [] for part in ("--only", name)),
       *(["--filter", options.filter] if options.filter else [])]),
  }
  found = {
    source.name: checks.bias_found(
      outcomes, max(source.probabilities), len(source.probabilities), len(results), options.level)
    for source, _, outcomes, _ in rows}
  html = report.render(results, rows, found, facts, options)
  Path(options.output).write_text(html, "utf-8")
  failures = [result for result in results if result.rejected]
  for result in failures:
    print(f"FAILED  {result.group}: {result.test}, p = {result.p:.3g}, corrected {result.adjusted:.3g}")
  print(f"{len(results)} tests, {len(failures)} failed. Report: {options.output}")
  return 1 if failures else 0


if __name__ == "__main__":
  with closed_pipe.ends_quietly():
    sys.exit(main())
