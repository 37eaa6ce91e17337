"""The benchmarks, in their shortest form: each row is measured. How large the figures are does not matter here."""

import json
import shutil
import subprocess
import sys

import pytest

import postgres
import preload
from harness import BINARY, REPOSITORY, environment

BENCH = REPOSITORY / "bench"
sys.path.append(str(BENCH))
import bench_peer  # noqa: E402
import nginx  # noqa: E402

SHORT = ("--rounds", 1, "--seconds", 1, "--connections", 8)


def rows(tmp_path, program, *options):
  """The rows that a benchmark writes as JSON, by name, and what it prints."""
  file = tmp_path / "rows.json"
  command = [sys.executable, "-s", "-B", BENCH / program, *options, "--json", file, "--data", tmp_path / "data", "--log", tmp_path / "log"]
  done = subprocess.run(
    list(map(str, command)), env=environment(FAIRDRAW_BINARY=BINARY), stdin=subprocess.DEVNULL, capture_output=True, text=True,
    timeout=600)
  assert done.returncode == 0, f"{done.stdout}{done.stderr}"
  return {row["row"]: row for row in map(json.loads, file.read_text().splitlines())}, done.stdout


def has_figures(row, *more):
  for name in ("p50", "p99", *more):
    assert row[name] > 0, (name, row)
  assert 0 <= row["idle"] <= 1, row
  assert row["threads"], row


@pytest.fixture
def wrk():
  if not shutil.which("wrk"):
    pytest.skip("wrk is not installed: run bin/test, which installs it")


def test_the_rows_of_the_bench(tmp_path, wrk):
  found, shown = rows(tmp_path, "bench.py", *SHORT, "--warmup", 0)
  wanted = [
    "anonymous draws", "keyed draws, fresh keys", "replays of one key", "batches of 50 draws", "batches of 50 new seeds",
    "one connection", "anonymous, with the log", "anonymous, without the log", "batches, with the log",
    "batches, without the log"]
  ratios = ["to_replays"]
  if nginx.PROGRAM:
    wanted.append("nginx, a constant")
    ratios.append("to_nginx")
  if (REPOSITORY / ".build" / "release" / "bare-route").exists():
    wanted.append("bare route")
    ratios.append("to_bare")
  if preload.compiler():
    wanted += ["anonymous, slow disk", "the same, 512 connections", "batches, slow disk"]
  assert sorted(found) == sorted(wanted)
  for name, row in found.items():
    has_figures(row, "requests", *ratios)
    assert name in shown
    assert not row["pair"] or row["to_pair"] > 0
  assert found["one connection"]["to_sync"] > 0
  assert "ledger-writer" in found["anonymous draws"]["threads"]  # threads have the names that the server gives them
  if preload.compiler():
    assert found["anonymous, slow disk"]["p50"] >= 0.005


def test_the_rows_over_postgresql(tmp_path, wrk):
  if postgres.programs() is None:
    pytest.skip("PostgreSQL's server is not installed: run bin/test, which installs it")
  found, shown = rows(tmp_path, "bench.py", "--database", "postgres", *SHORT, "--warmup", 0)
  assert len(found) == 13 and "to pgbench's keyed draw" in found
  for name, row in found.items():
    assert row["draws"] > 0 and row["ratio"] > 0 and row["to_replays"] > 0 and name in shown
    if not name.startswith("pgbench"):
      has_figures(row)


def test_the_rows_of_the_peer(tmp_path, wrk):
  if lacks := bench_peer.missing():
    pytest.skip(lacks)
  found, shown = rows(tmp_path, "bench.py", "--peer", *SHORT, "--warmup", 0)
  assert len(found) == 9
  for name, row in found.items():
    has_figures(row, "work", "to_peer", "to_replays")
    assert name in shown


def test_the_rows_of_tiles(tmp_path, wrk):
  found, _ = rows(tmp_path, "tiles.py", *SHORT, "--outcomes", 2000, "--chains", 20)
  assert list(found) == ["hash tiles", "entry tiles", "hash tiles, while others draw", "entry tiles, while others draw"]
  for row in found.values():
    has_figures(row, "requests")


def test_an_audit_a_day_and_streams(tmp_path):
  found, _ = rows(tmp_path, "audit.py", "--outcomes", 2000, "--chains", 20)
  assert all(row["seconds"] > 0 and row["resident"] > 0 for row in found.values()) and len(found) == 2
  found, _ = rows(tmp_path, "merkle.py", "--outcomes", 2011, "--chains", 20, "--proofs", 50)
  assert found["published"]["seconds"] > 0 and found["proofs"]["p99"] > 0
  found, _ = rows(tmp_path, "streams.py", "--streams", 10, "--seconds", 2)
  assert found["streams"]["lost"] == 0
