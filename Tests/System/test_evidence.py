"""bin/evidence: fair draws pass, a bias of one in ten thousand does not, and the report can be read everywhere.

Every run has a fixed seed, so that its verdict is always the same.
"""

import hashlib
import importlib
import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from browser import Browser
from harness import BINARY, REPOSITORY, environment

FOLDER = REPOSITORY / "bench" / "evidence"
# A limit on hanging. A debug build takes minutes for what a release does in seconds.
LIMIT = 600


def evidence(*arguments):
  """(exit code, what failed: [(source, test)], output)"""
  done = subprocess.run(
    [sys.executable, "-s", "-B", str(FOLDER / "evidence.py"), *map(str, arguments)], env=environment(FAIRDRAW_BINARY=BINARY),
    capture_output=True, text=True, timeout=LIMIT)
  assert done.returncode in (0, 1), done.stdout + done.stderr
  failed = re.findall(r"^FAILED  (.*?): (.*?), p = ", done.stdout, re.MULTILINE)
  assert (done.returncode == 1) == bool(failed), done.stdout
  return done.returncode, failed, done.stdout


@pytest.fixture(scope="module")
def checks():
  sys.path.insert(0, str(FOLDER))
  try:
    yield importlib.import_module("checks")
  finally:
    sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def report(tmp_path_factory):
  """A quick run over everything, dieharder included."""
  file = tmp_path_factory.mktemp("evidence") / "report.html"
  code, failed, output = evidence("--quick", "--share", "0.0003", "--seed", "report", "--output", file)
  assert code == 0, output
  return file


# The verdict

# A full run of this source has as many outcomes as show a bias of one in 10 000: see outcomes_needed, which is held
# against a simulation below.
PLANTED = ["--only", "ints 1–100", "--seed", "planted"]
# Of every hundredth draw of a hundred numbers, the first becomes 100: one number in 10 000.
ONE_IN_TEN_THOUSAND = "sed '0~100s/^\\[[0-9]*/[100/'"


def test_a_bias_of_one_in_ten_thousand_fails(tmp_path):
  file = tmp_path / "report.html"
  assert evidence(*PLANTED, "--output", file)[0] == 0
  code, failed, output = evidence(*PLANTED, "--output", file, "--filter", ONE_IN_TEN_THOUSAND)
  assert code == 1 and ("ints 1–100", "largest cell") in failed, output
  text = file.read_text("utf-8")
  assert "went through a filter" in text and "tests failed" in text


# One draw in a hundred is not what it should be.
SPOILED = [
  ("floats", 0.02, r"sed '1~100s/0\.[0-9]*/0.5/g'"),
  ("shuffle 52", 0.001, f"sed '1~100s/.*/{json.dumps(list(range(52)), separators=(',', ':'))}/'"),
  ("pick loot", 0.004, "sed '1~100s/.*/4/'"),
  ("bytes", 0.1, """sed '1~100s/"[0-9a-f]*/"'$(printf %02048d 0)/"""),
  ("dice d20", 0.005, r"sed '1~100s/\[[0-9,]*/['$(printf '20,%.0s' $(seq 99))20/"),
  ("gaussian poisson 4", 0.002, r"sed '1~100s/[0-9]\+/4/g'"),
  ("sample 6 of 49", 0.002, "sed '1~100s/.*/[1,2,3,4,5,6]/'"),
]


@pytest.mark.parametrize("source, share, spoil", SPOILED, ids=[source for source, _, _ in SPOILED])
def test_each_kind_of_draw_is_tested(tmp_path, source, share, spoil):
  options = ["--only", source, "--share", share, "--seed", "spoil", "--output", tmp_path / "report.html"]
  code, _, output = evidence(*options)
  assert code == 0, output
  code, failed, output = evidence(*options, "--filter", spoil)
  assert code == 1 and {name for name, _ in failed} == {source}, output


def test_a_run_can_be_repeated(tmp_path):
  def run(name, *arguments):
    file = tmp_path / name
    evidence("--only", "dice d20", "--share", "0.0005", "--output", file, *arguments)
    return re.findall(r'<td class="n">(.*?)</td>', file.read_text("utf-8")), file.read_text("utf-8")

  first, text = run("first.html")
  seed = re.search(r"<dt>Seed</dt><dd><code>(\w+)</code>", text)[1]
  assert run("again.html", "--seed", seed)[0] == first
  assert run("other.html")[0] != first


# The tests themselves


def shuffles(random, count, n):
  return random.permuted(np.tile(np.arange(n), (count, 1)), axis=1)


def top(x, random):
  x[::50] = x.max()


def apart(x, random):
  """Of two of the first numbers next to each other, the second changes to a later one."""
  close = np.flatnonzero((x[1:] < 1) & (x[:-1] < 1)) + 1
  x[close[::2]] = random.integers(1, x.max() + 1, len(close[::2]))


def doubles(x, random):
  x[1::50] = x[0::50][:len(x[1::50])]


def complete(x, random):
  k = x.max() + 1
  for start in range(0, len(x) - k, 8 * k):
    x[start:start + k] = random.permutation(k)


def sorted_fours(x, random):
  for start in range(0, len(x) - 4, 40):
    x[start:start + 4].sort()


def low_then_high(x, random):
  rows = x[:len(x) // 100 * 100].reshape(-1, 100)
  rows.sort(axis=1)


CHECKS = {
  "chi-square": (lambda c: c.Frequency(np.full(10, 0.1)), 10, top),
  "largest cell": (lambda c: c.Frequency(np.full(10, 0.1)), 10, top),
  "serial pairs": (lambda c: c.Serial(np.full(10, 0.1)), 10, doubles),
  "serial correlation": (lambda c: c.Correlation(np.full(10, 0.1)), 10, low_then_high),
  "gap": (lambda c: c.Gaps(np.full(10, 0.1)), 10, apart),
  "poker": (lambda c: c.Poker(10), 10, doubles),
  "coupon collector": (lambda c: c.Coupons(10), 10, complete),
  "runs": (lambda c: c.Runs(np.full(10, 0.1)), 10, low_then_high),
  "permutation": (lambda c: c.Orders(), 10, sorted_fours),
}


def p_value(check, name, pieces):
  for piece in pieces:
    check.feed(piece)
  return dict(check.results())[name]


@pytest.mark.parametrize("name", CHECKS)
def test_a_test_is_calibrated_and_sees_what_it_is_for(checks, name):
  make, k, spoil = CHECKS[name]
  random = np.random.default_rng(int(hashlib.sha256(name.encode()).hexdigest()[:8], 16))
  fair = [p_value(make(checks), name, random.integers(0, k, (2, 20_000))) for _ in range(200)]
  assert stats.kstest(fair, "uniform").pvalue > 1e-3, sorted(fair)[:5]
  spoiled = random.integers(0, k, 100_000)
  spoil(spoiled, random)
  assert p_value(make(checks), name, [spoiled]) < 1e-4


@pytest.mark.parametrize("name, make", [
  ("items by place", lambda c: c.Places(8)), ("items that stay", lambda c: c.FixedPoints(8)),
  ("first two", lambda c: c.FirstTwo(8)), ("numbers drawn", lambda c: c.Included(8, 3)),
])
def test_a_test_of_draws_without_replacement(checks, name, make):
  random = np.random.default_rng(1)

  def rows(count):
    return shuffles(random, count, 8)[:, :3 if name == "numbers drawn" else 8]

  fair = [p_value(make(checks), name, [rows(2_000), rows(2_000)]) for _ in range(200)]
  assert stats.kstest(fair, "uniform").pvalue > 1e-3, sorted(fair)[:5]
  spoiled = rows(10_000)
  spoiled[::20] = np.arange(spoiled.shape[1])
  assert p_value(make(checks), name, [spoiled]) < 1e-4


def test_the_distribution_of_real_numbers(checks):
  random = np.random.default_rng(1)
  name = "Kolmogorov–Smirnov"
  fair = [p_value(checks.Kolmogorov(), name, [random.random(1000), random.random(1000)]) for _ in range(200)]
  assert stats.kstest(fair, "uniform").pvalue > 1e-3
  assert p_value(checks.Kolmogorov(), name, [random.random(100_000) ** 1.05]) < 1e-4


def test_tests_are_corrected_for_their_number(checks):
  # Holm's own kind of example: 0.01·4, then 0.013·3, not below the one before, then 0.04·2, then 0.5.
  adjusted, rejected = checks.holm(np.array([0.5, 0.01, 0.04, 0.013]), 0.05)
  assert adjusted == pytest.approx([0.5, 0.04, 0.08, 0.04])
  assert list(rejected) == [False, True, False, True]


def test_as_many_outcomes_as_are_said_to_be_needed_show_a_bias(checks):
  """The formula against a simulation, at a bias of one in a hundred."""
  random = np.random.default_rng(1)
  k, bias, tests, level = 37, 0.01, 300, 0.01
  needed = checks.outcomes_needed(bias, 1 / k, k, tests, level)
  assert checks.bias_found(needed, 1 / k, k, tests, level) == pytest.approx(bias, rel=1e-3)

  def share_found(outcomes):
    probabilities = (1 - bias) * np.full(k, 1 / k) + bias * np.eye(k)[5]
    found = 0
    for _ in range(300):
      check = checks.Frequency(np.full(k, 1 / k))
      check.counts += random.multinomial(outcomes, probabilities)
      found += dict(check.results())["largest cell"] < level / tests
    return found / 300

  assert share_found(needed) > 0.98
  assert share_found(needed // 4) < 0.5


# The report


def test_the_report_is_one_file_and_says_what_was_tested(report):
  text = report.read_text("utf-8")
  assert re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(?!#)""", text) == []
  assert "<script" not in text and "@import" not in text
  with open(BINARY, "rb") as file:
    assert hashlib.sha256(file.read()).hexdigest() in text
  assert "All " in text and "tests passed" in text and "went through a filter" not in text
  for source in ("floats", "ints 1–6", "ints 0–36", "shuffle 52", "pick loot", "bytes", "dice d20", "gaussian normal",
                 "sample 6 of 49", "dieharder", "diehard_birthdays"):
    assert source in text
  for test in CHECKS:
    assert f"<td>{test}</td>" in text
  assert text.count("<svg") == 4


def test_the_report_fits_a_phone_light_and_dark(report, tmp_path):
  browser = Browser(tmp_path / "profile")
  try:
    browser.base = ""
    seen = set()
    for scheme in ("light", "dark"):
      for width in (browser.PHONE, browser.DESKTOP):
        browser.resize(width)
        browser.scheme(scheme)
        browser.open(report.as_uri())
        browser.run("document.querySelectorAll('details').forEach(each => { each.open = true })")
        assert browser.run("return document.documentElement.scrollWidth") <= width
        for plot in browser.all("svg"):
          assert 150 < plot.size["width"] <= width
        seen.add(browser.run("const s = getComputedStyle(document.body); return s.color + s.backgroundColor"))
    assert len(seen) == 2
    assert browser.complaints() == []
  finally:
    browser.close()


# The reader of the output


@pytest.mark.parametrize("command", [
  "evidence/evidence.py --list", "evidence/evidence.py --help", *(f"{name}.py --help" for name in ("audit", "bench", "merkle", "streams", "tiles", "webhooks"))])
def test_a_command_whose_reader_has_gone_ends_in_silence(command):
  script, option = command.split()
  reading, writing = os.pipe()
  os.close(reading)
  done = subprocess.run(
    [sys.executable, "-s", "-B", str(REPOSITORY / "bench" / script), option], stdout=writing, stderr=subprocess.PIPE, text=True, timeout=LIMIT)
  os.close(writing)
  assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


def test_another_pipe_that_breaks_is_a_fault():
  code = "import closed_pipe\nwith closed_pipe.ends_quietly():\n  raise BrokenPipeError"
  done = subprocess.run([sys.executable, "-s", "-B", "-c", code], cwd=REPOSITORY / "bench", capture_output=True, text=True, timeout=LIMIT)
  assert done.returncode == 1 and "BrokenPipeError" in done.stderr
