/// The distribution of a ``Gaussian``'s samples.
public enum Distribution: Sendable, Equatable {
  /// Marsaglia's polar method. |mean| ≤ 10^300 and 0 < stddev ≤ 10^300.
  ///
  /// The method's q is at least 2^−104, so that a sample is at most √(−2·log 2^−104) < 13 stddev away
  /// from the mean.
  case normal(mean: Double, stddev: Double)

  /// Inversion: −log(1 − u) ÷ lambda. lambda is finite and ≥ 10^−300; samples have the mean 1 ÷ lambda.
  case exponential(lambda: Double)

  /// Inversion by sequential search. 0 < lambda ≤ 100; samples are whole numbers of mean lambda.
  case poisson(lambda: Double)

  /// The names in a request and in an outcome.
  public enum Name: String, Sendable, CaseIterable { case normal, exponential, poisson }

  public var name: Name {
    switch self {
    case .normal: .normal
    case .exponential: .exponential
    case .poisson: .poisson
    }
  }

  /// Passes on the distribution's own parameters.
  func parameters(_ parameter: (StaticString, Double) -> Void) {
    switch self {
    case .normal(let mean, let stddev):
      parameter("mean", mean)
      parameter("stddev", stddev)
    case .exponential(let lambda), .poisson(let lambda): parameter("lambda", lambda)
    }
  }

  init<Source: ParameterSource>(from source: borrowing Source) throws(Source.Failure) {
    let name = try source.choice("distribution", default: Name.normal)
    // In a request what a distribution does not use must still be good, or a mistake in it would pass unseen.
    let isNormal = name == .normal || !Source.isRecord
    let normal = Distribution.normal(
      mean: isNormal ? try source.number("mean", default: 0) : 0,
      stddev: isNormal ? try source.number("stddev", default: 1) : 1)
    let lambda = name != .normal || !Source.isRecord ? try source.number("lambda", default: 1) : 1
    let unused: Distribution
    switch name {
    case .normal: (self, unused) = (normal, .exponential(lambda: lambda))
    case .exponential: (self, unused) = (.exponential(lambda: lambda), normal)
    case .poisson: (self, unused) = (.poisson(lambda: lambda), normal)
    }
    if let invalid = unused.invalidParameter { throw Source.failure(invalid) }
  }

  /// The parameter that is out of its range, if any.
  var invalidParameter: InvalidParameter? {
    switch self {
    case .normal(let mean, let stddev):
      // NaN fails every comparison, so each check is written to be passed, not to be failed.
      guard abs(mean) <= Limits.magnitude else {
        return InvalidParameter(name: "mean", reason: "must be a number from -1e300 to 1e300")
      }
      guard stddev > 0, stddev <= Limits.magnitude else {
        return InvalidParameter(
          name: "stddev", reason: "must be a number greater than 0 and at most 1e300")
      }
    case .exponential(let lambda):
      guard lambda >= Limits.smallestRate, lambda.isFinite else {
        return InvalidParameter(
          name: "lambda", reason: "must be a number greater than 0 (at least 1e-300)")
      }
    case .poisson(let lambda):
      guard lambda > 0, lambda <= Limits.largestPoissonMean else {
        return InvalidParameter(
          name: "lambda",
          reason: "must be a number greater than 0 and at most 100 for the poisson distribution")
      }
    }
    return nil
  }
}
