/// `pick`: one of the items, each as likely as any other or in proportion to its weight.
public struct Pick: GeneratorKind {
  public static var name: String { "pick" }
  public static var number: UInt8 { 4 }
  public static var title: String { "Pick" }
  public static var outcomeTitle: String { "A pick" }
  public static var shape: Values.Shape { .index }
  public static var parameters: [Parameter] {
    [
      .items(example: ["common", "rare", "legendary"]),
      Parameter("weights", "Weights", hint: "one a line, or none at all", .numbers, example: "70\n25\n5"),
    ]
  }

  /// How many items there are.
  public let items: Int
  public let weights: [Double]?

  public init<Source: ParameterSource>(from source: inout Source) throws(Source.Failure) {
    items = try source.items("items")
    weights = try source.weights("weights")
  }

  init(items: Int, weights: [Double]?) {
    self.items = items
    self.weights = weights
  }

  public var invalidParameter: InvalidParameter? {
    if let invalid = InvalidParameter.items(items) { return invalid }
    guard let weights else { return nil }
    guard weights.count == items else {
      return InvalidParameter(name: "weights", reason: "must be a list of one number for each of the \(items) items")
    }
    guard weights.allSatisfy({ $0 >= 0 && $0.isFinite }) else {
      return InvalidParameter(name: "weights", reason: "must be finite numbers greater than or equal to 0")
    }
    let total = weights.reduce(0, +)
    guard total > 0, total.isFinite else {
      return InvalidParameter(name: "weights", reason: "must have a finite sum greater than 0")
    }
    return nil
  }

  public func draw(from stream: inout ByteStream) -> Values {
    guard let weights else { return .index(Int(stream.below(UInt64(items)))) }
    let total = weights.reduce(0, +)
    let point = stream.float53() * total
    var sum = 0.0
    var last = 0
    for (index, weight) in weights.enumerated() where weight > 0 {
      // A weight of 0 would add nothing, so leaving it out leaves the sum as it is.
      sum += weight
      if point < sum { return .index(index) }
      last = index
    }
    // The product can round up to the total itself: the last item that can be picked stands for it.
    return .index(last)
  }

  public func describe(_ field: (StaticString, FieldValue) -> Void) {
    field("weights", .numbers(weights))
    field("count", .integer(1))
  }

  public var valueLength: Int { 0 }
}

extension Generator {
  /// One of 1 to 1000 items: each as likely as the next, or in proportion to `weights`, one for each
  /// item, finite, none negative, with a finite sum greater than 0.
  public static func pick(items: Int, weights: [Double]?) -> Generator {
    Generator(Pick(items: items, weights: weights))
  }
}

extension Endpoint {
  public static var pick: Endpoint { Endpoint(Pick.self) }
}
