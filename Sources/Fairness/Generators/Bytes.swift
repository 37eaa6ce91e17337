/// `bytes`: the next bytes of the stream.
public struct Bytes: GeneratorKind {
  public static var name: String { "bytes" }
  public static var number: UInt8 { 5 }
  public static var title: String { "Bytes" }
  public static var shape: Values.Shape { .bytes }
  public static var parameters: [Parameter] {
    [
      .count(Limits.byteCount, example: 32),
      Parameter("encoding", "Encoding", .choice(BytesEncoding.allCases.map(\.rawValue))),
    ]
  }

  public let count: Int
  public let encoding: BytesEncoding

  public init<Source: ParameterSource>(from source: inout Source) throws(Source.Failure) {
    count = try source.count(default: 32, in: Limits.byteCount)
    encoding = try source.choice("encoding", default: BytesEncoding.hex)
  }

  init(count: Int, encoding: BytesEncoding) {
    self.count = count
    self.encoding = encoding
  }

  public var invalidParameter: InvalidParameter? { .wholeNumber("count", count, unlessIn: Limits.byteCount) }

  public func draw(from stream: inout ByteStream) -> Values { .bytes(stream.bytes(count: count), as: encoding) }

  public func describe(_ field: (StaticString, FieldValue) -> Void) {
    field("encoding", .text(encoding.rawValue))
    field("count", .integer(Int64(count)))
  }

  public var valueLength: Int { 2 * count }
}

/// How an outcome of ``Bytes`` is written.
public enum BytesEncoding: String, Sendable, CaseIterable {
  case hex, base64
}

extension Generator {
  /// 1 to 1024 bytes.
  public static func bytes(count: Int, encoding: BytesEncoding = .hex) -> Generator {
    Generator(Bytes(count: count, encoding: encoding))
  }
}

extension Endpoint {
  public static var bytes: Endpoint { Endpoint(Bytes.self) }
}
