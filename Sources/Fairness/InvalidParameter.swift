/// A parameter that a caller gave and that is outside what the service promises.
///
/// The text is meant for the person who made the call: ``message`` can be put before them as it is.
public struct InvalidParameter: Error, Hashable, Sendable, CustomStringConvertible {
  /// The parameter's public name, such as `count` or `notation`.
  public let name: String

  /// What is wrong with it, worded to follow the name: `must be a whole number from 1 to 100`.
  public let reason: String

  public init(name: String, reason: String) {
    self.name = name
    self.reason = reason
  }

  /// The error for a parameter that has to be a whole number in `range`, whether it was outside the
  /// range or no whole number at all: one wording for both.
  public static func wholeNumber(_ name: String, in range: ClosedRange<Int64>) -> InvalidParameter {
    InvalidParameter(
      name: name,
      reason: "must be a whole number from \(range.lowerBound) to \(range.upperBound)")
  }

  /// The same if `value` is not in `range`.
  static func wholeNumber(_ name: String, _ value: Int64, unlessIn range: ClosedRange<Int64>) -> InvalidParameter? {
    range.contains(value) ? nil : .wholeNumber(name, in: range)
  }

  static func wholeNumber(_ name: String, _ value: Int, unlessIn range: ClosedRange<Int64>) -> InvalidParameter? {
    wholeNumber(name, Int64(value), unlessIn: range)
  }

  /// The error for a number of items that is out of its range.
  static func items(_ count: Int) -> InvalidParameter? {
    let limits = Limits.items
    return limits.contains(Int64(count))
      ? nil
      : InvalidParameter(
        name: "items", reason: "must be a list of \(limits.lowerBound) to \(limits.upperBound) items")
  }

  /// The name, a space and the reason: `count must be a whole number from 1 to 100`.
  public var message: String { "\(name) \(reason)" }

  public var description: String { message }
}
