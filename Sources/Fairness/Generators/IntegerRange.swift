/// The parameters `min` and `max`: the integers from one to the other, both included. Safe integers, at most 2^32 of them.
public struct IntegerRange: Sendable, Equatable, CustomStringConvertible {
  public let min: Int64
  public let max: Int64

  public init(min: Int64, max: Int64) {
    self.min = min
    self.max = max
  }

  static var parameters: [Parameter] {
    [Parameter("min", "Smallest", example: "1"), Parameter("max", "Largest", example: "100")]
  }

  init<Source: ParameterSource>(from source: borrowing Source) throws(Source.Failure) {
    min = try source.integer("min", default: 1, in: Limits.safeIntegers)
    max = try source.integer("max", default: 100, in: Limits.safeIntegers)
  }

  var invalidParameter: InvalidParameter? {
    if let invalid = InvalidParameter.wholeNumber("min", min, unlessIn: Limits.safeIntegers)
      ?? .wholeNumber("max", max, unlessIn: Limits.safeIntegers)
    {
      return invalid
    }
    guard max >= min else {
      return InvalidParameter(name: "max", reason: "must be greater than or equal to min")
    }
    // Safe integers are at most 2^54 apart.
    guard max - min < Limits.span else {
      return InvalidParameter(name: "max", reason: "must be at most \(Limits.span - 1) greater than min")
    }
    return nil
  }

  /// How many integers there are, 1 to 2^32.
  var size: UInt64 { UInt64(max - min) + 1 }

  func describe(_ field: (StaticString, FieldValue) -> Void) {
    field("min", .integer(min))
    field("max", .integer(max))
  }

  public var description: String { "from \(min) to \(max), both included" }
  var scale: Scale { .range(Double(min), Double(max)) }
}
