/// `shuffle`: a new order of items (Fisher and Yates's shuffle, from the last item down).
public struct Shuffle: GeneratorKind {
  public static var name: String { "shuffle" }
  public static var number: UInt8 { 3 }
  public static var title: String { "Shuffle" }
  public static var outcomeTitle: String { "A shuffle" }
  public static var shape: Values.Shape { .permutation }
  public static var parameters: [Parameter] { [.items(example: ["Ada", "Bela", "Chen", "Dora", "Emre"])] }

  /// How many items there are.
  public let items: Int

  public init<Source: ParameterSource>(from source: inout Source) throws(Source.Failure) {
    items = try source.items("items")
  }

  init(items: Int) { self.items = items }

  public var invalidParameter: InvalidParameter? { .items(items) }

  public func draw(from stream: inout ByteStream) -> Values {
    var order = Array(0..<items)
    for last in stride(from: items - 1, to: 0, by: -1) {
      order.swapAt(last, Int(stream.below(UInt64(last) + 1)))
    }
    return .permutation(order)
  }

  public func describe(_ field: (StaticString, FieldValue) -> Void) { field("count", .integer(Int64(items))) }

  public var valueLength: Int { 0 }
}

extension Generator {
  /// A new order of 1 to 1000 items.
  public static func shuffle(items: Int) -> Generator { Generator(Shuffle(items: items)) }
}

extension Endpoint {
  public static var shuffle: Endpoint { Endpoint(Shuffle.self) }
}
