import Fairness
import JSON

/// JSON values to shuffle or pick from, each kept as it was written.
public struct ItemList: Sendable, Equatable {
  /// The items' JSON, one after another with commas between them.
  public let text: [UInt8]
  /// Where each item stands in ``text``.
  public let ranges: [Range<Int>]

  public var count: Int { ranges.count }

  /// - Parameter items: how to append each item's JSON, which must be one valid JSON value.
  public init<Items: Collection>(_ items: Items, append: (Items.Element, inout [UInt8]) -> Void) {
    var text: [UInt8] = []
    var ranges: [Range<Int>] = []
    ranges.reserveCapacity(items.count)
    for item in items {
      if !ranges.isEmpty { text.append(UInt8(ascii: ",")) }
      let start = text.count
      append(item, &text)
      ranges.append(start..<text.count)
    }
    self.init(text: text, ranges: ranges)
  }

  init(text: [UInt8], ranges: [Range<Int>]) {
    self.text = text
    self.ranges = ranges
  }

  subscript(index: Int) -> ArraySlice<UInt8> { text[ranges[index]] }
}

/// How the `bytes` endpoint writes its outcome.
public enum BytesEncoding: String, Sendable, CaseIterable {
  case hex, base64
}

/// One draw, its parameters checked and ready to run.
public struct DrawRequest: Sendable {
  public let clientSeed: ClientSeed
  public let generator: Generator
  /// What a shuffle or a pick is made of; nil for the other generators.
  public let items: ItemList?
  public let encoding: BytesEncoding

  /// The response's fields that follow from the parameters alone, as JSON members without the braces. Rendered when
  /// the request is parsed, so that the single writer does not have to.
  let fields: [UInt8]

  /// - Precondition: `generator` is valid, and `items` is there, with the generator's count, exactly for shuffle and pick.
  public init(clientSeed: ClientSeed, generator: Generator, items: ItemList? = nil, encoding: BytesEncoding = .hex) {
    self.clientSeed = clientSeed
    self.generator = generator
    self.items = items
    self.encoding = encoding

    var fields: [UInt8] = []
    func countField(_ count: Int) {
      fields.append(json: "\"count\":")
      fields.append(integer: count)
    }
    switch generator {
    case .floats(let count): countField(count)
    case .ints(let count, let min, let max):
      fields.append(json: "\"min\":")
      fields.append(integer: min)
      fields.append(json: ",\"max\":")
      fields.append(integer: max)
      fields.append(json: ",")
      countField(count)
    case .shuffle(let count):
      precondition(items?.count == count)
      countField(count)
    case .pick(let count, let weights):
      precondition(items?.count == count)
      fields.append(json: "\"weights\":")
      if let weights { fields.append(jsonNumbers: weights) } else { fields.append(json: "null") }
      fields.append(json: ",")
      countField(1)
    case .bytes(let count):
      fields.append(json: "\"encoding\":")
      fields.append(jsonString: encoding.rawValue)
      fields.append(json: ",")
      countField(count)
    case .dice(let notation):
      countField(notation.dice)
      fields.append(json: ",\"sides\":")
      fields.append(integer: notation.sides)
      fields.append(json: ",\"modifier\":")
      fields.append(integer: notation.modifier)
    case .gaussian(let count, let distribution):
      fields.append(json: "\"distribution\":")
      switch distribution {
      case .normal(let mean, let stddev):
        fields.append(json: "\"normal\",\"mean\":")
        fields.append(double: mean)
        fields.append(json: ",\"stddev\":")
        fields.append(double: stddev)
      case .exponential(let lambda):
        fields.append(json: "\"exponential\",\"lambda\":")
        fields.append(double: lambda)
      case .poisson(let lambda):
        fields.append(json: "\"poisson\",\"lambda\":")
        fields.append(double: lambda)
      }
      fields.append(json: ",")
      countField(count)
    }
    self.fields = fields
  }

  /// How many bytes of memory the request, its outcome and its answer take beside what every draw takes, about.
  var bytes: Int {
    // The items are held, drawn and answered.
    let items = items.map { 3 * $0.text.count + MemoryLayout<Range<Int>>.size * $0.count } ?? 0
    let value =
      switch generator {
      case .shuffle, .pick: 0
      case .floats(let count), .ints(let count, _, _), .gaussian(let count, _): 24 * count
      case .bytes(let count): 2 * count
      case .dice(let notation): 8 * notation.dice
      }
    return items + 2 * (fields.count + value)
  }

  /// Draws at the given coordinates and writes the result down as it will be answered and stored.
  package func run(key: StreamKey, cursor: Int64, nonce: Int64) -> Drawn {
    var stream = ByteStream(key: key, clientSeed: clientSeed, cursor: UInt64(cursor), nonce: UInt64(nonce))
    var value: [UInt8] = []
    var stored: [UInt8]?
    var fields = fields
    switch generator.draw(from: &stream) {
    case .floats(let numbers), .samples(let numbers): value.append(jsonNumbers: numbers)
    case .ints(let numbers): value.append(jsonIntegers: numbers)
    case .permutation(let order):
      guard let items else { preconditionFailure("a shuffle has items") }
      value = items.json(in: order)
      stored = StoredValue.shuffle(order)
    case .index(let index):
      guard let items else { preconditionFailure("a pick has items") }
      value.append(contentsOf: items[index])
      stored = StoredValue.pick
      fields = []
      fields.append(json: "\"index\":")
      fields.append(integer: index)
      fields.append(json: ",")
      fields.append(contentsOf: self.fields)
    case .bytes(let bytes):
      switch encoding {
      case .hex:
        value.append(UInt8(ascii: "\""))
        value.append(hex: bytes)
        value.append(UInt8(ascii: "\""))
      case .base64:
        value.append(UInt8(ascii: "\""))
        value.append(base64: bytes)
        value.append(UInt8(ascii: "\""))
      }
    case .rolls(let rolls, let total):
      guard case .dice(let notation) = generator else { preconditionFailure("only dice have rolls") }
      value.append(json: "{\"notation\":")
      value.append(jsonString: notation.description)
      value.append(json: ",\"rolls\":")
      value.append(jsonIntegers: rolls)
      value.append(json: ",\"modifier\":")
      value.append(integer: notation.modifier)
      value.append(json: ",\"total\":")
      value.append(integer: total)
      value.append(json: "}")
    }
    return Drawn(value: value, stored: stored, fields: fields)
  }

  /// What a draw gave: see ``Outcome``.
  package struct Drawn {
    package let value: [UInt8]
    let stored: [UInt8]?
    package let fields: [UInt8]
  }
}

extension [UInt8] {
  mutating func append(jsonNumbers numbers: [Double]) {
    append(UInt8(ascii: "["))
    for (index, number) in numbers.enumerated() {
      if index > 0 { append(UInt8(ascii: ",")) }
      append(double: number)
    }
    append(UInt8(ascii: "]"))
  }

  mutating func append(jsonIntegers numbers: [some FixedWidthInteger]) {
    append(UInt8(ascii: "["))
    for (index, number) in numbers.enumerated() {
      if index > 0 { append(UInt8(ascii: ",")) }
      append(integer: number)
    }
    append(UInt8(ascii: "]"))
  }
}
