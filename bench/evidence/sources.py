"""What is drawn, at the ranges that games use, and how its text becomes numbers again."""

import json
import math
import re
from dataclasses import dataclass, field

import numpy as np
from scipy import stats

import checks


def numbers(text, kind=np.int64):
  """The numbers of lines such as [3,1,2]."""
  flat = text.rstrip(b"\n").translate(bytes.maketrans(b"\n", b","), b"[]")
  return np.fromstring(flat, kind, sep=",")


def hexadecimal(text):
  return np.frombuffer(bytes.fromhex(text.translate(None, b'"\n').decode()), np.uint8).astype(np.int64)


def rolls(text):
  """What each die shows, from 0."""
  return numbers(re.sub(rb'\],"modifier":0,"total":\d+\}', b"", re.sub(rb'\{"notation":"\w+","rolls":\[', b"", text))) - 1


def totals(text):
  return np.array([int(total) for total in re.findall(rb'"total":(\d+)', text)])


@dataclass
class Source:
  """One kind of draw. `read` makes whole numbers from 0 of its lines, which have these `probabilities`."""

  name: str
  generator: str
  parameters: dict
  title: str
  probabilities: np.ndarray
  # How many outcomes a line holds.
  per_line: int
  read: object
  # Of draws without replacement: what is tested of whole lines.
  row_checks: list = field(default_factory=list)
  # Tests of real numbers, and how to make them uniform between 0 and 1; `read` then gives these.
  is_real: bool = False
  # The most lines of a full run: what is slow shows less.
  most_lines: float = math.inf

  def command(self):
    return ["--generator", self.generator, "--parameters", json.dumps(self.parameters, separators=(",", ":"))]

  def checks(self):
    return checks.of_sequence(self.probabilities)

  def pieces(self, text):
    """(numbers for the tests of sequences, real numbers or rows for the tests of those)"""
    values = self.read(text)
    if self.is_real:
      return np.minimum((values * len(self.probabilities)).astype(np.int64), len(self.probabilities) - 1), values
    if self.row_checks:
      rows = values.reshape(-1, self.per_line)
      return np.ascontiguousarray(rows[:, 0]), rows
    return values, None


def even(k):
  return np.full(k, 1 / k)


def ints(low, high, title):
  return Source(
    f"ints {low}–{high}", "ints", {"count": 100, "min": low, "max": high}, title, even(high - low + 1), 100,
    lambda text: numbers(text) - low)


def dice(sides):
  return Source(f"dice d{sides}", "dice", {"notation": f"100d{sides}"}, f"a die of {sides}", even(sides), 100, rolls)


def pick(name, weights, title):
  parameters = {"items": list(range(len(weights))), "weights": weights}
  return Source(
    f"pick {name}", "pick", parameters, title, np.array(weights) / sum(weights), 1, numbers, most_lines=1e8)


def shuffle(n, title):
  return Source(
    f"shuffle {n}", "shuffle", {"items": list(range(n))}, title, even(n), n, numbers,
    [lambda: checks.Places(n), lambda: checks.FixedPoints(n), lambda: checks.FirstTwo(n)], most_lines=1.5e8)


def sample(size, n, title):
  return Source(
    f"sample {size} of {n}", "sample", {"count": size, "min": 1, "max": n}, title, even(n), size,
    lambda text: numbers(text) - 1, [lambda: checks.Included(n, size), lambda: checks.FirstTwo(n)], most_lines=1.5e8)


def real(name, generator, parameters, title, uniform):
  return Source(
    name, generator, {"count": 100} | parameters, title, even(100), 100, lambda text: uniform(numbers(text, float)),
    is_real=True)


def poisson(rate):
  cells = stats.poisson.pmf(np.arange(3 * rate), rate)
  probabilities = np.append(cells, 1 - cells.sum())
  return Source(
    f"gaussian poisson {rate}", "gaussian", {"count": 100, "distribution": "poisson", "lambda": rate},
    f"events with a mean of {rate}", probabilities, 100, lambda text: np.minimum(numbers(text), 3 * rate))


def two_dice():
  ways = np.convolve(np.ones(6), np.ones(6)) / 36
  return Source(
    "dice 2d6", "dice", {"notation": "2d6"}, "the total of two dice", ways, 1, lambda text: totals(text) - 2,
    most_lines=1e8)


SOURCES = [
  real("floats", "floats", {}, "numbers from 0 to 1, in hundredths", lambda x: x),
  ints(1, 6, "a die"),
  ints(0, 36, "roulette"),
  ints(1, 100, "percent, and the default range"),
  ints(1, 1000, "raffle tickets"),
  shuffle(52, "a pack of cards"),
  shuffle(10, "ten runners"),
  pick("37 even", [1] * 37, "roulette, as items"),
  pick("loot", [50, 30, 15, 4, 1], "loot with weights"),
  pick("fractions", [0.1, 0.2, 0.3, 0.7, 1.1, 2.6], "weights that are no whole numbers"),
  Source("bytes", "bytes", {"count": 1024}, "bytes", even(256), 1024, hexadecimal),
  dice(6),
  dice(20),
  dice(100),
  two_dice(),
  real("gaussian normal", "gaussian", {}, "a bell curve, in hundredths of its area", stats.norm.cdf),
  real(
    "gaussian exponential", "gaussian", {"distribution": "exponential"}, "waiting times, in hundredths of their area",
    lambda x: -np.expm1(-x)),
  poisson(4),
  sample(6, 49, "a lottery"),
  sample(20, 80, "keno"),
  sample(15, 1000, "a raffle's winners and reserves"),
]
