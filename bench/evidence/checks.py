"""Statistical tests of outcomes. Each takes any number of pieces of a sequence, keeps counts, and ends in a p-value.

A sequence holds whole numbers from 0 to k − 1. Whatever spans several numbers (a gap, a hand) lies within one piece.
p-values are two-sided: counts that fit too well are as unlikely as counts that do not fit.
"""

import math

import numpy as np
from scipy import stats

SMALLEST = 10  # the smallest expected count of a cell; below it a chi-square value is not distributed as such


def two_sided(statistic, degrees):
  return min(1.0, 2 * min(stats.chi2.sf(statistic, degrees), stats.chi2.cdf(statistic, degrees)))


def normal(z):
  return 2 * stats.norm.sf(abs(z))


def chi_square(counts, probabilities):
  """Of counts that fall into cells with these probabilities. Small cells at the end are counted together."""
  total = counts.sum()
  counts, expected = np.asarray(counts, float), np.asarray(probabilities, float) * total
  last = len(expected)
  while last > 1 and expected[last - 1:].sum() < SMALLEST:
    last -= 1
  counts, expected = (np.append(values[:last - 1], values[last - 1:].sum()) for values in (counts, expected))
  keep = expected >= SMALLEST
  if keep.sum() < 2:
    return None
  rest = ~keep
  if rest.any():
    counts, expected = (np.append(values[keep], values[rest].sum()) for values in (counts, expected))
    keep = expected > 0
    counts, expected = counts[keep], expected[keep]
  return two_sided(((counts - expected) ** 2 / expected).sum(), len(counts) - 1)


class Frequency:
  """How often each number comes: all together (chi-square), and the one that is furthest from what is expected."""

  def __init__(self, probabilities):
    self.probabilities = np.asarray(probabilities, float)
    self.counts = np.zeros(len(probabilities), np.int64)

  def feed(self, x):
    self.counts += np.bincount(x, minlength=len(self.counts))

  def results(self):
    total = self.counts.sum()
    expected = total * self.probabilities
    yield "chi-square", chi_square(self.counts, self.probabilities)
    safe = expected >= SMALLEST
    if not safe.any():
      return
    z = abs(self.counts - expected)[safe] / np.sqrt(expected * (1 - self.probabilities))[safe]
    # Šidák: the largest of that many.
    yield "largest cell", -math.expm1(safe.sum() * math.log1p(-min(normal(z.max()), 1 - 1e-16)))


class Serial:
  """How often each pair of neighbours comes."""

  def __init__(self, probabilities):
    self.k = len(probabilities)
    self.probabilities = np.outer(probabilities, probabilities).ravel()
    self.counts = np.zeros(self.k ** 2, np.int64)

  def feed(self, x):
    pairs = x[:len(x) // 2 * 2].reshape(-1, 2)
    self.counts += np.bincount(pairs[:, 0] * self.k + pairs[:, 1], minlength=len(self.counts))

  def results(self):
    yield "serial pairs", chi_square(self.counts, self.probabilities)


class Correlation:
  """The correlation of each number with the next."""

  def __init__(self, probabilities):
    numbers = np.arange(len(probabilities))
    self.mean = (numbers * probabilities).sum()
    self.variance = ((numbers - self.mean) ** 2 * probabilities).sum()
    self.sum, self.count = 0.0, 0

  def feed(self, x):
    centred = x - self.mean
    self.sum += float(np.dot(centred[1:], centred[:-1]))
    self.count += len(x) - 1

  def results(self):
    yield "serial correlation", normal(self.sum / (self.variance * math.sqrt(self.count)))


class Gaps:
  """How many numbers lie between one of the first few (about a tenth of all) and the next of them."""

  def __init__(self, probabilities):
    cumulated = np.cumsum(probabilities)
    self.marked = int(np.searchsorted(cumulated, 0.1) + 1)
    chance = min(cumulated[self.marked - 1], 1 - 1e-9)
    self.longest = max(2, math.ceil(math.log(1e-4) / math.log1p(-chance)))
    self.probabilities = np.append(
      chance * (1 - chance) ** np.arange(self.longest), (1 - chance) ** self.longest)
    self.counts = np.zeros(self.longest + 1, np.int64)

  def feed(self, x):
    # Gaps that would reach beyond the piece are not seen: count only those that begin where the longest still fits.
    places = np.flatnonzero(x < self.marked)
    if len(places) < 2:
      return
    gaps = np.minimum(np.diff(places) - 1, self.longest)
    gaps = gaps[places[:-1] < len(x) - self.longest - 1]
    self.counts += np.bincount(gaps, minlength=len(self.counts))

  def results(self):
    yield "gap", chi_square(self.counts, self.probabilities)


class Poker:
  """How many different numbers a hand of five has."""

  def __init__(self, k):
    stirling = [1, 15, 25, 10, 1]  # ways to part five things into 1 … 5 groups
    self.probabilities = [math.perm(k, r) * stirling[r - 1] / k ** 5 for r in range(1, 6)]
    self.counts = np.zeros(5, np.int64)

  def feed(self, x):
    hands = np.sort(x[:len(x) // 5 * 5].reshape(-1, 5), axis=1)
    different = (hands[:, 1:] != hands[:, :-1]).sum(axis=1)
    self.counts += np.bincount(different, minlength=5)

  def results(self):
    # The rare hands are the first.
    yield "poker", chi_square(self.counts[::-1], self.probabilities[::-1])


class Coupons:
  """How many numbers it takes until each of k (at most 10) has come."""

  def __init__(self, k):
    self.k = k
    self.length = math.ceil(k * (math.log(k) + 5))
    # P(not done after r) by inclusion and exclusion.
    open_after = [
      sum((-1) ** (j + 1) * math.comb(k, j) * (1 - j / k) ** r for j in range(1, k + 1))
      for r in range(k - 1, self.length + 1)]
    self.probabilities = np.append(-np.diff(open_after), open_after[-1])
    self.counts = np.zeros(len(self.probabilities), np.int64)

  def feed(self, x):
    rows = x[:len(x) // self.length * self.length].reshape(-1, self.length)
    last = np.zeros(len(rows), np.int64)
    for number in range(self.k):
      found = rows == number
      first = np.where(found.any(axis=1), found.argmax(axis=1), self.length)
      np.maximum(last, first, out=last)
    self.counts += np.bincount(last - (self.k - 1), minlength=len(self.counts))

  def results(self):
    yield "coupon collector", chi_square(self.counts, self.probabilities)


class Runs:
  """How many runs of low and of high numbers there are (Wald and Wolfowitz), given how many there are of each."""

  def __init__(self, probabilities):
    cumulated = np.cumsum(probabilities)
    self.middle = int(np.argmin(abs(cumulated - 0.5)) + 1)
    self.excess = self.variance = 0.0

  def feed(self, x):
    high = x >= self.middle
    n = len(x)
    a = int(high.sum())
    b = n - a
    if a == 0 or b == 0:
      return
    product = 2 * a * b
    self.excess += 1 + int((high[1:] != high[:-1]).sum()) - (product / n + 1)
    self.variance += product * (product - n) / (n * n * (n - 1))

  def results(self):
    if self.variance:
      yield "runs", normal(self.excess / math.sqrt(self.variance))


class Orders:
  """Which of the 24 orders four numbers stand in; fours with equal numbers are left out."""

  def __init__(self):
    self.counts = np.zeros(24, np.int64)

  def feed(self, x):
    fours = x[:len(x) // 4 * 4].reshape(-1, 4).T
    greater = {(i, j): fours[i] > fours[j] for i in range(4) for j in range(i + 1, 4)}
    equal = sum((fours[i] == fours[j]) for i, j in greater) > 0
    code = (
      6 * (greater[0, 1].astype(int) + greater[0, 2] + greater[0, 3])
      + 2 * (greater[1, 2].astype(int) + greater[1, 3]) + greater[2, 3])
    self.counts += np.bincount(code[~equal], minlength=24)

  def results(self):
    yield "permutation", chi_square(self.counts, np.full(24, 1 / 24))


class Kolmogorov:
  """The distribution function of the first million of real numbers (Kolmogorov and Smirnov)."""

  def __init__(self):
    self.values = []
    self.count = 0

  def feed(self, u):
    if self.count < 1_000_000:
      self.values.append(u[:1_000_000 - self.count])
      self.count += len(self.values[-1])

  def results(self):
    yield "Kolmogorov–Smirnov", float(stats.kstest(np.concatenate(self.values), "uniform").pvalue)


class Places:
  """Of shuffles: how often each item comes to each place. Rows and columns both have fixed sums."""

  def __init__(self, n):
    self.n = n
    self.counts = np.zeros((n, n), np.int64)
    self.rows = 0

  def feed(self, rows):
    for place in range(self.n):
      self.counts[place] += np.bincount(rows[:, place], minlength=self.n)
    self.rows += len(rows)

  def results(self):
    deviation = ((self.counts - self.rows / self.n) ** 2).sum()
    yield "items by place", two_sided((self.n - 1) / self.rows * deviation, (self.n - 1) ** 2)


class FixedPoints:
  """Of shuffles: how many items stay where they were."""

  def __init__(self, n):
    self.n = n
    derangements = [1, 0]
    for m in range(2, n + 1):
      derangements.append((m - 1) * (derangements[-1] + derangements[-2]))
    self.probabilities = [
      math.comb(n, m) * derangements[n - m] / math.factorial(n) for m in range(n + 1)]
    self.counts = np.zeros(n + 1, np.int64)

  def feed(self, rows):
    self.counts += np.bincount((rows == np.arange(self.n)).sum(axis=1), minlength=self.n + 1)

  def results(self):
    yield "items that stay", chi_square(self.counts, self.probabilities)


class FirstTwo:
  """Of draws without replacement: which two come first, in order."""

  def __init__(self, n):
    self.n = n
    self.counts = np.zeros(n * n, np.int64)

  def feed(self, rows):
    self.counts += np.bincount(rows[:, 0] * self.n + rows[:, 1], minlength=len(self.counts))

  def results(self):
    different = ~np.eye(self.n, dtype=bool).ravel()
    counts = self.counts[different]
    yield "first two", None if self.counts.sum() != counts.sum() else chi_square(
      counts, np.full(len(counts), 1 / len(counts)))


class Included:
  """Of samples without replacement: how often each number is in one."""

  def __init__(self, n, size):
    self.n, self.size = n, size
    self.counts = np.zeros(n, np.int64)
    self.rows = 0

  def feed(self, rows):
    self.counts += np.bincount(rows.ravel(), minlength=self.n)
    self.rows += len(rows)

  def results(self):
    expected = self.rows * self.size / self.n
    statistic = ((self.counts - expected) ** 2).sum() / expected
    yield "numbers drawn", two_sided(statistic * (self.n - 1) / (self.n - self.size), self.n - 1)


def of_sequence(probabilities):
  """The tests of a sequence of independent numbers with these probabilities."""
  probabilities = np.asarray(probabilities, float)
  k = len(probabilities)
  checks = [Frequency(probabilities), Correlation(probabilities), Gaps(probabilities), Runs(probabilities)]
  checks.append(Serial(probabilities) if k <= 256 else Grouped(k, 100, Serial(np.full(100, 0.01))))
  if np.ptp(probabilities) < 1e-12:
    groups = min(k, 10)
    checks += [Grouped(k, groups, Poker(groups)), Grouped(k, groups, Coupons(groups)), Orders()]
  return checks


class Grouped:
  """A test on groups of equally many numbers; numbers beyond the last whole group are left out."""

  def __init__(self, k, groups, check):
    self.size = k // groups
    self.end = self.size * groups
    self.is_whole = self.end == k
    self.check = check

  def feed(self, x):
    if not self.is_whole:
      x = x[x < self.end]
    self.check.feed(x // self.size if self.size > 1 else x)

  def results(self):
    return self.check.results()


def holm(results, level):
  """Holm's step-down correction: the adjusted p-value of each, and whether it is rejected at `level`.

  It bounds the chance that any of all tests rejects a fair generator, however the tests depend on each other; several of
  them look at the same outcomes. Benjamini and Hochberg's would bound the share of wrong rejections among all, which is
  another question: here one rejection is a verdict.
  """
  order = np.argsort(results)
  adjusted = np.empty(len(results))
  highest = 0.0
  for rank, index in enumerate(order):
    highest = max(highest, min(1.0, (len(results) - rank) * results[index]))
    adjusted[index] = highest
  return adjusted, adjusted < level


def outcomes_needed(bias, probability, cells, tests, level, power=0.999):
  """How many outcomes show, with this power, that one in 1/`bias` is replaced by a number of this probability.

  The count of that number then lies bias·√(n(1 − p)/p) standard deviations above what is expected, and the test of the
  largest of all cells must see that at the level that Holm's correction leaves to the smallest of all p-values.
  """
  return math.ceil(outcomes_times_square(probability, cells, tests, level, power) / bias ** 2)


def bias_found(outcomes, probability, cells, tests, level, power=0.999):
  """The smallest such bias that this many outcomes show."""
  return math.sqrt(outcomes_times_square(probability, cells, tests, level, power) / outcomes)


def outcomes_times_square(probability, cells, tests, level, power):
  """The product of the outcomes that are needed and the bias's square, which is the same for all biases."""
  z = stats.norm.isf(level / tests / cells / 2) + stats.norm.isf(1 - power)
  return z ** 2 * probability / (1 - probability)
