/// `ints`: integers of a range, each as likely as any other.
public struct Ints: GeneratorKind {
  public static var name: String { "ints" }
  public static var number: UInt8 { 2 }
  public static var title: String { "Integers" }
  public static var shape: Values.Shape { .numbers }
  public static var parameters: [Parameter] { [.count(example: 5)] + IntegerRange.parameters }

  public let count: Int
  public let range: IntegerRange

  public init<Source: ParameterSource>(from source: inout Source) throws(Source.Failure) {
    count = try source.count()
    range = try IntegerRange(from: source)
  }

  init(count: Int, range: IntegerRange) {
    self.count = count
    self.range = range
  }

  public var invalidParameter: InvalidParameter? {
    .wholeNumber("count", count, unlessIn: Limits.count) ?? range.invalidParameter
  }

  public func draw(from stream: inout ByteStream) -> Values {
    let size = range.size
    return .ints(Array(count) { range.min + Int64(stream.below(size)) })
  }

  public func describe(_ field: (StaticString, FieldValue) -> Void) {
    range.describe(field)
    field("count", .integer(Int64(count)))
  }

  public var valueLength: Int { 24 * count }
  public var caption: String { "\(count == 1 ? "An integer" : "\(count) integers") \(range)" }
  public var scale: Scale? { range.scale }
}

extension Generator {
  /// 1 to 100 whole numbers from `min` to `max`, both included: safe integers, at most 2^32 of them.
  public static func ints(count: Int, min: Int64, max: Int64) -> Generator {
    Generator(Ints(count: count, range: IntegerRange(min: min, max: max)))
  }
}

extension Endpoint {
  public static var ints: Endpoint { Endpoint(Ints.self) }
}
