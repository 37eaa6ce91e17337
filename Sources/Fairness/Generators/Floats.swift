/// `floats`: multiples of 2^−32 in 0 ..< 1.
public struct Floats: GeneratorKind {
  public static var name: String { "floats" }
  public static var number: UInt8 { 1 }
  public static var title: String { "Floats" }
  public static var shape: Values.Shape { .numbers }
  public static var parameters: [Parameter] { [.count(example: 10)] }

  public let count: Int

  public init<Source: ParameterSource>(from source: inout Source) throws(Source.Failure) { count = try source.count() }
  init(count: Int) { self.count = count }

  public var invalidParameter: InvalidParameter? { .wholeNumber("count", count, unlessIn: Limits.count) }

  public func draw(from stream: inout ByteStream) -> Values { .floats(Array(count) { stream.float32() }) }

  public func describe(_ field: (StaticString, FieldValue) -> Void) { field("count", .integer(Int64(count))) }

  public var valueLength: Int { 24 * count }
  public var caption: String {
    "\(count == 1 ? "A number" : "\(count) numbers") from 0 up to, but not including, 1"
  }
  public var scale: Scale? { .range(0, 1) }
}

extension Generator {
  /// 1 to 100 multiples of 2^−32 in 0 ..< 1.
  public static func floats(count: Int) -> Generator { Generator(Floats(count: count)) }
}

extension Endpoint {
  public static var floats: Endpoint { Endpoint(Floats.self) }
}
