"""What bin/ shows of a build: one line of progress for people, everything in a file, and the errors if it fails."""

import subprocess

import pytest

from harness import REPOSITORY

STEPS = ["[1/4] Compiling NIOCore ByteBuffer.swift", "[3/4] Compiling API Application.swift"]


def progress(lines, log, end=0):
  """What a build that says `lines` and exits with `end` shows, and its exit code."""
  script = '. bin/lib.sh; log=$1; shift; { printf "%s\\n" "${@:2}"; exit "$1"; } | progress "$log"'
  return subprocess.run(
    ["bash", "-c", script, "-", str(log), str(end), *lines],
    cwd=REPOSITORY, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


def test_a_build_that_succeeds_is_a_line_or_two(tmp_path):
  lines = ["Building for production...", *STEPS, "Build of product 'fairdraw' complete! (1.00s)"]
  done = progress(lines, tmp_path / "log")
  assert done.returncode == 0 and done.stderr == ""
  assert done.stdout.splitlines()[0] == "0:00  25 % of the steps that are known, compiling NIOCore"
  assert done.stdout.splitlines()[-1].startswith("Built in 0:0")
  assert len(done.stdout.splitlines()) == 2
  assert [line[5:] for line in (tmp_path / "log").read_text().splitlines()] == lines


@pytest.mark.parametrize("lines, end", [
  (["/x.swift:1:1: error: cannot find 'y' in scope", "error: fatalError"], 1), (["error: the compiler was killed"], 1), ([], 137),
])
def test_a_build_that_fails_shows_its_errors(tmp_path, lines, end):
  done = progress([*STEPS, *lines], tmp_path / "log", end)
  assert done.returncode != 0
  assert "Built" not in done.stdout and "API" not in "".join(done.stdout.splitlines()[1:])
  for line in lines:
    assert line in done.stdout.splitlines()
