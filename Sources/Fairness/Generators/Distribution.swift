/// What the samples of ``Generator/gaussian(count:_:)`` are distributed as.
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

  /// The name in a request and in an outcome.
  public var name: String {
    switch self {
    case .normal: "normal"
    case .exponential: "exponential"
    case .poisson: "poisson"
    }
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
