/// A moment, in milliseconds since 1970-01-01T00:00:00 UTC, leap seconds not counted.
public typealias Milliseconds = Int64

/// A UTC day, numbered from 1970-01-01 as 0.
public struct Day: Hashable, Comparable, Sendable {
  public let number: Int64
  public init(number: Int64) { self.number = number }

  /// The day that `moment` falls in.
  public init(of moment: Milliseconds) {
    number = moment.flooring(by: 86_400_000)
  }

  public static func < (a: Self, b: Self) -> Bool { a.number < b.number }

  /// Whole seconds from `moment` to the end of its day, at least 1.
  public static func secondsLeft(at moment: Milliseconds) -> Int {
    let end = (Day(of: moment).number + 1) * 86_400_000
    return Int((end - moment + 999) / 1000)
  }
}

extension Int64 {
  fileprivate func flooring(by divisor: Int64) -> Int64 {
    let quotient = self / divisor
    return self % divisor < 0 ? quotient - 1 : quotient
  }
}
