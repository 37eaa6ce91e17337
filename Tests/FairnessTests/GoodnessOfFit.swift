import Foundation
import Testing

/// Pearson's chi-square test. Returns the probability of a statistic at least this large.
///
/// - Parameter factor: For cells that are not independent, what makes the statistic chi-square again.
func chiSquare(
  _ observed: [Int], expected: [Double], degreesOfFreedom: Int, factor: Double = 1
) -> Double {
  precondition(observed.count == expected.count && expected.allSatisfy { $0 >= 5 })
  let statistic = zip(observed, expected).reduce(0) { sum, cell in
    sum + (Double(cell.0) - cell.1) * (Double(cell.0) - cell.1) / cell.1
  }
  return chiSquareSurvival(statistic * factor, degreesOfFreedom: degreesOfFreedom)
}

/// The one-sample Kolmogorov–Smirnov test, with the asymptotic distribution and Stephens's correction
/// for finite samples. Returns the probability of a distance at least this large.
func kolmogorovSmirnov(_ samples: [Double], _ cumulative: (Double) -> Double) -> Double {
  let n = Double(samples.count)
  var distance = 0.0
  for (index, sample) in samples.sorted().enumerated() {
    let probability = cumulative(sample)
    distance = max(
      distance, probability - Double(index) / n, Double(index + 1) / n - probability)
  }
  return kolmogorovSurvival((n.squareRoot() + 0.12 + 0.11 / n.squareRoot()) * distance)
}

/// Q(df ÷ 2, x ÷ 2), the upper regularised incomplete gamma function: by its series below the mean, by
/// its continued fraction (Lentz) above.
func chiSquareSurvival(_ x: Double, degreesOfFreedom: Int) -> Double {
  let a = Double(degreesOfFreedom) / 2
  let z = x / 2
  if z <= 0 { return 1 }
  let scale = exp(-z + a * log(z) - lgamma(a))
  if z < a + 1 {
    var term = 1 / a
    var sum = term
    var n = a
    while term > sum * 1e-16 {
      n += 1
      term *= z / n
      sum += term
    }
    return 1 - sum * scale
  }
  var b = z + 1 - a
  var c = 1e300
  var d = 1 / b
  var h = d
  for i in 1...100_000 {
    let an = -Double(i) * (Double(i) - a)
    b += 2
    d = 1 / (an * d + b)
    c = b + an / c
    h *= d * c
    if abs(d * c - 1) < 1e-15 { break }
  }
  return scale * h
}

func kolmogorovSurvival(_ lambda: Double) -> Double {
  if lambda < 0.2 { return 1 }
  var sum = 0.0
  for j in 1...200 {
    let term = exp(-2 * Double(j * j) * lambda * lambda)
    sum += j % 2 == 1 ? term : -term
    if term < 1e-18 { break }
  }
  return min(1, 2 * sum)
}

@Suite struct GoodnessOfFit {
  /// The 5 % points of the usual tables.
  @Test(arguments: [(1, 3.841459), (5, 11.070498), (10, 18.307038), (100, 124.342113)])
  func chiSquareTable(degreesOfFreedom: Int, point: Double) {
    #expect(abs(chiSquareSurvival(point, degreesOfFreedom: degreesOfFreedom) - 0.05) < 1e-7)
  }

  @Test(arguments: [(1.22385, 0.1), (1.35810, 0.05), (1.62762, 0.01), (1.94947, 0.001)])
  func kolmogorovTable(point: Double, probability: Double) {
    #expect(abs(kolmogorovSurvival(point) - probability) < 1e-5)
  }
}
