/// `sample`: different integers of a range, in the order drawn. Winners of a draw come first, then those in reserve.
public struct Sample: GeneratorKind {
  public static var name: String { "sample" }
  public static var number: UInt8 { 8 }
  public static var title: String { "Sample" }
  public static var outcomeTitle: String { "A sample" }
  public static var shape: Values.Shape { .numbers }
  public static var parameters: [Parameter] { [.count(Limits.sampleCount, example: 3)] + IntegerRange.parameters }

  public let count: Int
  public let range: IntegerRange

  public init<Source: ParameterSource>(from source: inout Source) throws(Source.Failure) {
    count = try source.count(in: Limits.sampleCount)
    range = try IntegerRange(from: source)
  }

  init(count: Int, range: IntegerRange) {
    self.count = count
    self.range = range
  }

  public var invalidParameter: InvalidParameter? {
    if let invalid = .wholeNumber("count", count, unlessIn: Limits.sampleCount) ?? range.invalidParameter {
      return invalid
    }
    guard count <= range.size else {
      return InvalidParameter(
        name: "count", reason: "must be at most \(range.size), since that is how many integers the range has")
    }
    return nil
  }

  /// Fisher and Yates's shuffle of 0 ..< size, from the first place up and as far as `count`.
  public func draw(from stream: inout ByteStream) -> Values {
    // The places that were swapped; every other place still has its own number.
    var moved: [UInt64: UInt64] = [:]
    moved.reserveCapacity(count)
    var place: UInt64 = 0
    return .ints(
      Array(count) {
        let other = place + UInt64(stream.below(range.size - place))
        let drawn = moved[other] ?? other
        moved[other] = moved[place] ?? place
        place += 1
        return range.min + Int64(drawn)
      })
  }

  public func describe(_ field: (StaticString, FieldValue) -> Void) {
    range.describe(field)
    field("count", .integer(Int64(count)))
  }

  public var valueLength: Int { 24 * count }
  public var caption: String { "\(count == 1 ? "An integer" : "\(count) different integers") \(range)" }
  public var scale: Scale? { range.scale }
}

extension Generator {
  /// 1 to 1000 different whole numbers from `min` to `max`, both included: safe integers, at most 2^32 of them.
  public static func sample(count: Int, min: Int64, max: Int64) -> Generator {
    Generator(Sample(count: count, range: IntegerRange(min: min, max: max)))
  }
}

extension Endpoint {
  public static var sample: Endpoint { Endpoint(Sample.self) }
}
