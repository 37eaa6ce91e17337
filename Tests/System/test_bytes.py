"""`fairdraw bytes`: the stream for outside test suites, held against the independent verifier."""

import hashlib
import itertools
import json
import os
import re
import subprocess

import pytest

from harness import BINARY, REPOSITORY, cli, environment, open_terminal

DERIVATION = REPOSITORY / "docs" / "derivation.md"

SERVER_SEED = hashlib.sha256(b"test_bytes").hexdigest()
SEEDS = ("--server-seed", SERVER_SEED, "--client-seed", "é: test")
DRAW_SIZE = 1024

# One draw of each generator that takes different ways through the stream: rejections, 8-byte units, items, weights.
GENERATORS = [
  ("floats", {"count": 3}),
  ("ints", {"count": 5, "min": -3, "max": 1000}),
  ("ints", {"count": 5, "max": 3_000_000_000}),
  ("shuffle", {"items": list(range(52))}),
  ("pick", {"items": ["a", {"b": 1}, "ü"], "weights": [1, 2.5, 3]}),
  ("bytes", {"count": 7, "encoding": "base64"}),
  ("dice", {"notation": "3d20+2"}),
  ("gaussian", {"count": 3}),
  ("gaussian", {"distribution": "poisson", "lambda": 4}),
  ("sample", {"count": 6, "max": 49}),
]
DEFAULTS = {
  "floats": {"count": 1}, "ints": {"count": 1, "min": 1, "max": 100}, "sample": {"count": 1, "min": 1, "max": 100},
  "gaussian": {"count": 1, "distribution": "normal", "mean": 0, "stddev": 1, "lambda": 1}, "pick": {"weights": None},
}


def write(*arguments):
  done = subprocess.run([BINARY, "bytes", *map(str, arguments)], env=environment(), capture_output=True, timeout=60)
  assert done.returncode == 0, done
  return done


def stream(verifier, nonce, draws, server_seed=SERVER_SEED, client_seed=SEEDS[3]):
  """As the documentation computes it."""
  program = next(
    program for program in re.findall(r"^```python\n(.*?)^```", DERIVATION.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    if "long_stream" in program)
  names = {}
  names["fairdraw_verify"] = verifier
  exec(program.replace("import fairdraw_verify", ""), names)
  return b"".join(itertools.islice(names["long_stream"](server_seed, client_seed, nonce), draws))


@pytest.mark.parametrize("count", [0, 1, DRAW_SIZE - 1, DRAW_SIZE, DRAW_SIZE + 1, 5 * DRAW_SIZE + 31])
def test_the_stream_is_that_of_the_verifier(verifier, count):
  done = write("--count", count, *SEEDS)
  assert done.stdout == stream(verifier, 0, count // DRAW_SIZE + 1)[:count]
  assert done.stderr == b""


def test_a_run_continues_at_a_nonce(verifier):
  nonce = 2**53 - 2  # the nonces before the last have the longest messages
  assert write("--count", 2 * DRAW_SIZE, "--nonce", nonce, *SEEDS).stdout == stream(verifier, nonce, 2)


def test_blocks_fit_together():
  """A megabyte is written at once; what is longer has no seam."""
  size = 1024 * DRAW_SIZE
  whole = write("--count", size + 2 * DRAW_SIZE, *SEEDS).stdout
  assert len(whole) == size + 2 * DRAW_SIZE
  assert whole[size - DRAW_SIZE:] == write("--count", 3 * DRAW_SIZE, "--nonce", 1023, *SEEDS).stdout


def test_new_seeds_repeat_the_run(verifier):
  first, second = write("--count", 40), write("--count", 40)
  assert first.stdout != second.stdout
  seeds = re.fullmatch(rb"Seeds: --server-seed ([0-9a-f]{64}) --client-seed (\S+)\n", first.stderr)
  server_seed, client_seed = (group.decode() for group in seeds.groups())
  assert write("--count", 40, "--server-seed", server_seed, "--client-seed", client_seed).stdout == first.stdout
  assert stream(verifier, 0, 1, server_seed, client_seed)[:40] == first.stdout


@pytest.mark.parametrize("generator, parameters", GENERATORS)
def test_draws_are_those_of_the_verifier(verifier, generator, parameters):
  done = write("--count", 4, "--generator", generator, "--parameters", json.dumps(parameters), "--nonce", 7, *SEEDS)
  lines = done.stdout.decode().splitlines()
  assert len(lines) == 4
  for nonce, line in enumerate(lines, start=7):
    derived = verifier.derive(
      generator, SERVER_SEED, SEEDS[3], nonce, 0, DEFAULTS.get(generator, {}) | parameters)
    assert json.loads(line) == (derived["outcome"] if generator == "pick" else derived)


def test_an_endless_run_ends_with_its_reader(verifier):
  with subprocess.Popen(
    [BINARY, "bytes", "--endless", *SEEDS], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
    start = run.stdout.read(3 * DRAW_SIZE)
    run.stdout.close()
    assert (run.wait(60), run.stderr.read()) == (0, b"")
  assert start == stream(verifier, 0, 3)


def test_a_full_disk_is_a_failure():
  with open("/dev/full", "wb") as full:
    done = subprocess.run(
      [BINARY, "bytes", "--count", "10", *SEEDS], env=environment(), stdout=full, stderr=subprocess.PIPE, timeout=60)
  assert done.returncode == 1
  assert b"standard output cannot be written" in done.stderr


def test_bytes_are_not_written_to_a_terminal(verifier):
  def run(*arguments):
    leader, follower = open_terminal()
    try:
      done = subprocess.run(
        [BINARY, "bytes", "--count", "3", *SEEDS, *arguments], env=environment(), stdout=follower, stderr=subprocess.PIPE,
        timeout=60)
      os.set_blocking(leader, False)
      try:
        return done, os.read(leader, 4096)
      except BlockingIOError:
        return done, b""
    finally:
      os.close(leader)
      os.close(follower)

  done, written = run()
  assert (done.returncode, written) == (1, b"")
  assert b"--force" in done.stderr
  done, written = run("--force")
  assert done.returncode == 0 and written
  done, written = run("--generator", "ints")
  assert (done.returncode, len(written.split())) == (0, 3)


@pytest.mark.parametrize("arguments, mentions", [
  ([], "--endless"),
  (["--count", "1", "--endless"], "--endless"),
  (["--count", "-1"], "--count"),
  (["--count=-1"], "--count"),
  (["--count", "9007199254740992"], "--count"),
  (["--count", "1", "--nonce=-1"], "--nonce"),
  (["--count", "1", "--server-seed", SERVER_SEED], "--client-seed"),
  (["--count", "1", "--client-seed", "a"], "--server-seed"),
  (["--count", "1", "--server-seed", SERVER_SEED.upper(), "--client-seed", "a"], "--server-seed"),
  (["--count", "1", "--server-seed", SERVER_SEED, "--client-seed", ""], "--client-seed"),
  (["--count", "1", "--parameters", "{}"], "--generator"),
  (["--count", "1", "--generator", "coins"], "ints"),
  (["--count", "1", "--generator", "ints", "--parameters", "{"], "not JSON"),
  (["--count", "1", "--generator", "ints", "--parameters", "[]"], "JSON object"),
  (["--count", "1", "--generator", "ints", "--parameters", '{"count": 0}'], "count"),
  (["--count", "1", "--generator", "ints", "--parameters", '{"maximum": 6}'], "maximum"),
  (["--count", "1", "--generator", "shuffle"], "items"),
  (["--count", "1", "--generator", "ints", "--parameters", '{"clientSeed": "a"}'], "--client-seed"),
], ids=" ".join)
def test_wrong_usage(arguments, mentions):
  done = cli("bytes", *arguments)
  assert done.returncode == 64, done
  assert done.stdout == ""
  assert mentions in done.stderr
