import Fairness
import Foundation
import Testing

/// Are the values distributed as promised?
///
/// Each test is made at a significance of 0.1 % on either side: a fit that is too good is as suspect as
/// one that is too bad. The seeds are fixed, so a pass stays a pass. Beside each stands a sample with a
/// small fault of the kind a wrong implementation has, which the same test has to refuse.
@Suite struct DistributionTests {
  let fits = 0.001...0.999
  let refused = 1e-6

  // MARK: Whole numbers

  @Test("ints over 1...6: chi-square, 5 degrees of freedom")
  func smallRange() {
    let rolls = draws(.ints(count: 100, min: 1, max: 6), 1200).flatMap(\.whole)
    let p = test(rolls.map { $0 - 1 })
    #expect(fits.contains(p))

    // A face that turns into its neighbour once in 20.
    let loaded = rolls.enumerated().map { $0.offset % 20 == 0 && $0.element == 1 ? 2 : $0.element }
    #expect(test(loaded.map { $0 - 1 }) < refused)

    func test(_ faces: [Int]) -> Double {
      chiSquare(
        tally(faces, 6), expected: [Double](repeating: Double(faces.count) / 6, count: 6),
        degreesOfFreedom: 5)
    }
  }

  @Test("ints over a span of 3 × 2^30, in 64 equal parts: chi-square, 63 degrees of freedom")
  func largeRange() {
    let span = Int64(3) << 30
    let values = draws(.ints(count: 100, min: -span / 2, max: span / 2 - 1), 1000)
      .flatMap(\.whole).map { Int64($0) + span / 2 }
    #expect(values.allSatisfy { (0..<span).contains($0) })
    #expect(fits.contains(test(values)))

    // The remainder of a word: the first quarter of 2^32 comes up twice.
    var stream = fixedStream()
    let remainders = (0..<100_000).map { _ in Int64(stream.word()) % span }
    #expect(test(remainders) < refused)

    func test(_ values: [Int64]) -> Double {
      chiSquare(
        tally(values.map { Int($0 / (span / 64)) }, 64),
        expected: [Double](repeating: Double(values.count) / 64, count: 64), degreesOfFreedom: 63)
    }
  }

  @Test("100d20: chi-square, 19 degrees of freedom; and pairs of neighbours, 399")
  func dice() throws {
    let notation = try DiceNotation("100d20")
    let rolls = draws(.dice(notation), 4000).flatMap(\.whole).map { $0 - 1 }
    #expect(fits.contains(test(rolls, 20)))
    #expect(fits.contains(test(pairs(rolls), 400)))

    // Never 20.
    #expect(test(rolls.map { $0 % 19 }, 20) < refused)
    // Each die follows the one before a twentieth more often than it should.
    let sticky = rolls.enumerated().map { index, roll in
      index % 2 == 1 && index % 40 < 2 ? rolls[index - 1] : roll
    }
    #expect(test(pairs(sticky), 400) < refused)

    func pairs(_ rolls: [Int]) -> [Int] {
      stride(from: 0, to: rolls.count, by: 2).map { rolls[$0] * 20 + rolls[$0 + 1] }
    }
    func test(_ faces: [Int], _ cells: Int) -> Double {
      chiSquare(
        tally(faces, cells),
        expected: [Double](repeating: Double(faces.count) / Double(cells), count: cells),
        degreesOfFreedom: cells - 1)
    }
  }

  @Test("bytes: chi-square, 255 degrees of freedom")
  func bytes() {
    let values = draws(.bytes(count: 1000), 200).flatMap(\.whole)
    #expect(fits.contains(test(values)))
    // One bit stuck in one byte of 50.
    let stuck = values.enumerated().map { $0.offset % 50 == 0 ? $0.element | 1 : $0.element }
    #expect(test(stuck.map { $0 & 1 }, 2) < refused)

    func test(_ values: [Int], _ cells: Int = 256) -> Double {
      chiSquare(
        tally(values, cells),
        expected: [Double](repeating: Double(values.count) / Double(cells), count: cells),
        degreesOfFreedom: cells - 1)
    }
  }

  // MARK: Orders and choices

  @Test("shuffle of 5, all 120 orders: chi-square, 119 degrees of freedom")
  func orders() {
    let shuffles = draws(.shuffle(items: 5), 60_000).map(\.whole)
    #expect(fits.contains(test(shuffles)))
    #expect(test(naiveShuffles(items: 5, 60_000)) < refused)

    func test(_ shuffles: [[Int]]) -> Double {
      let codes = shuffles.map { $0.reduce(0) { $0 * 5 + $1 } }
      var counts: [Int: Int] = [:]
      for code in codes { counts[code, default: 0] += 1 }
      let cells = counts.values.sorted() + [Int](repeating: 0, count: 120 - counts.count)
      return chiSquare(
        cells, expected: [Double](repeating: Double(shuffles.count) / 120, count: 120),
        degreesOfFreedom: 119)
    }
  }

  @Test("sample of 3 from 6, all 120 orders: chi-square, 119 degrees of freedom")
  func samples() {
    let codes = draws(.sample(count: 3, min: 0, max: 5), 60_000).map { $0.whole.reduce(0) { $0 * 6 + $1 } }
    var counts: [Int: Int] = [:]
    for code in codes { counts[code, default: 0] += 1 }
    #expect(counts.count == 120, "no order has an integer twice")
    let even = [Double](repeating: 500, count: 120)
    #expect(fits.contains(chiSquare(Array(counts.values), expected: even, degreesOfFreedom: 119)))
  }

  /// The counts of item i at place j are bound by rows and columns: their covariance is N ÷ (n − 1) times
  /// a projection of rank (n − 1)², so Pearson's sum times (n − 1) ÷ n is chi-square of that many degrees.
  @Test("shuffle of 10, item by place: chi-square, 81 degrees of freedom")
  func positions() {
    let shuffles = draws(.shuffle(items: 10), 20_000).map(\.whole)
    #expect(fits.contains(test(shuffles)))
    #expect(test(naiveShuffles(items: 10, 20_000)) < refused)

    func test(_ shuffles: [[Int]]) -> Double {
      let cells = shuffles.flatMap { order in order.enumerated().map { $0.offset * 10 + $0.element } }
      return chiSquare(
        tally(cells, 100),
        expected: [Double](repeating: Double(shuffles.count) / 10, count: 100),
        degreesOfFreedom: 81, factor: 0.9)
    }
  }

  /// The well-known wrong shuffle, which swaps every item with any item.
  private func naiveShuffles(items: Int, _ count: Int) -> [[Int]] {
    (0..<UInt64(count)).map { nonce in
      var stream = fixedStream(nonce: nonce)
      var order = Array(0..<items)
      for i in 0..<items { order.swapAt(i, Int(stream.below(UInt64(items)))) }
      return order
    }
  }

  @Test("pick of 7 without weights: chi-square, 6 degrees of freedom")
  func pick() {
    let picks = draws(.pick(items: 7, weights: nil), 70_000).flatMap(\.whole)
    let even = [Double](repeating: 10_000, count: 7)
    #expect(fits.contains(chiSquare(tally(picks, 7), expected: even, degreesOfFreedom: 6)))
    let first = picks.enumerated().map { $0.offset % 20 == 0 ? 0 : $0.element }
    #expect(chiSquare(tally(first, 7), expected: even, degreesOfFreedom: 6) < refused)
  }

  @Test("pick by weights 70, 25, 0, 4.5, 0.5, 0: chi-square, 3 degrees of freedom")
  func weights() {
    let weights = [70, 25, 0, 4.5, 0.5, 0]
    let picks = draws(.pick(items: 6, weights: weights), 100_000).flatMap(\.whole)
    let counts = tally(picks, 6)
    #expect(counts[2] == 0 && counts[5] == 0)
    #expect(fits.contains(test(counts)))
    // The rare prize one and a half times as rare as promised.
    var stingy = counts
    stingy[4] = counts[4] * 2 / 3
    stingy[0] += counts[4] - stingy[4]
    #expect(test(stingy) < refused)

    func test(_ counts: [Int]) -> Double {
      let possible = weights.indices.filter { weights[$0] > 0 }
      return chiSquare(
        possible.map { counts[$0] }, expected: possible.map { weights[$0] * 1000 },
        degreesOfFreedom: 3)
    }
  }

  // MARK: Real numbers

  @Test("floats: Kolmogorov–Smirnov, n = 100 000")
  func floats() {
    let values = draws(.floats(count: 100), 1000).flatMap(\.numbers)
    #expect(values.allSatisfy { (0..<1).contains($0) })
    #expect(fits.contains(kolmogorovSmirnov(values) { $0 }))
    #expect(kolmogorovSmirnov(values.map { pow($0, 1.04) }) { $0 } < refused)
  }

  @Test("float53: Kolmogorov–Smirnov, n = 100 000")
  func float53() {
    var stream = fixedStream()
    let values = (0..<100_000).map { _ in stream.float53() }
    #expect(values.allSatisfy { (0..<1).contains($0) })
    #expect(fits.contains(kolmogorovSmirnov(values) { $0 }))
    #expect(kolmogorovSmirnov(values.map { $0 * 0.98 }) { $0 } < refused)
  }

  @Test("normal, mean 100, stddev 15: Kolmogorov–Smirnov, n = 100 000")
  func normal() {
    let samples = draws(.gaussian(count: 100, .normal(mean: 100, stddev: 15)), 1000)
      .flatMap(\.numbers)
    let cumulative = { (x: Double) in 0.5 * erfc(-(x - 100) / 15 / 2.squareRoot()) }
    #expect(fits.contains(kolmogorovSmirnov(samples, cumulative)))
    #expect(kolmogorovSmirnov(samples.map { $0 + 0.6 }, cumulative) < refused)
    #expect(kolmogorovSmirnov(samples.map { ($0 - 100) * 1.06 + 100 }, cumulative) < refused)
  }

  @Test("exponential, lambda 0.5: Kolmogorov–Smirnov, n = 100 000")
  func exponential() {
    let samples = draws(.gaussian(count: 100, .exponential(lambda: 0.5)), 1000).flatMap(\.numbers)
    let cumulative = { (x: Double) in -expm1(-0.5 * x) }
    #expect(fits.contains(kolmogorovSmirnov(samples, cumulative)))
    #expect(kolmogorovSmirnov(samples.map { $0 * 1.04 }, cumulative) < refused)
  }

  /// Cells are whole numbers, those at either end gathered so that none expects fewer than 20.
  @Test(
    "poisson: chi-square, as many degrees of freedom as cells less one",
    arguments: [(0.3, 0...4), (4.2, 0...13), (100, 70...132)])
  func poisson(lambda: Double, cells: ClosedRange<Int>) {
    let samples = draws(.gaussian(count: 100, .poisson(lambda: lambda)), 1000)
      .flatMap(\.numbers)
    #expect(samples.allSatisfy { $0 == $0.rounded() && $0 >= 0 })
    #expect(fits.contains(test(samples, lambda)))
    #expect(test(samples, lambda + 0.04 * lambda.squareRoot()) < refused)

    func test(_ samples: [Double], _ lambda: Double) -> Double {
      let counts = tally(
        samples.map { min(max(Int($0), cells.lowerBound), cells.upperBound) - cells.lowerBound },
        cells.count)
      func probability(_ k: Int) -> Double {
        exp(Double(k) * log(lambda) - lambda - lgamma(Double(k) + 1))
      }
      var expected = cells.map(probability)
      expected[0] = (0...cells.lowerBound).map(probability).reduce(0, +)
      expected[cells.count - 1] =
        (cells.upperBound...cells.upperBound + 200).map(probability).reduce(0, +)
      return chiSquare(
        counts, expected: expected.map { $0 * Double(samples.count) },
        degreesOfFreedom: cells.count - 1)
    }
  }

  private func tally(_ values: [Int], _ cells: Int) -> [Int] {
    var counts = [Int](repeating: 0, count: cells)
    for value in values { counts[value] += 1 }
    return counts
  }
}
