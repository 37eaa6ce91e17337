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

/// One draw, its parameters checked and ready to run. It is handed on often, and never changes.
public final class DrawRequest: Sendable {
  public let clientSeed: ClientSeed
  public let generator: Generator
  /// What is shuffled or picked from; nil where the generator takes no items.
  public let items: ItemList?

  /// The response's fields that follow from the parameters alone, as JSON members without the braces. Rendered when
  /// the request is parsed, so that the single writer does not have to.
  let fields: [UInt8]

  /// - Precondition: `generator` is valid, and `items` are those that it was read with.
  public init(clientSeed: ClientSeed, generator: Generator, items: ItemList? = nil) {
    self.clientSeed = clientSeed
    self.generator = generator
    self.items = items
    var fields: [UInt8] = []
    fields.reserveCapacity(64)
    generator.kind.describe { name, value in
      fields.append(json: fields.isEmpty ? "\"" : ",\"")
      fields.append(json: name)
      fields.append(json: "\":")
      switch value {
      case .integer(let integer): fields.append(integer: integer)
      case .number(let number): fields.append(double: number)
      case .text(let text): fields.append(jsonString: text)
      case .numbers(let numbers?): fields.append(jsonNumbers: numbers)
      case .numbers(nil): fields.append(json: "null")
      }
    }
    self.fields = fields
  }

  /// How many bytes of memory the request, its outcome and its answer take beside what every draw takes, about.
  var bytes: Int {
    // The items are held, drawn and answered.
    let items = items.map { 3 * $0.text.count + MemoryLayout<Range<Int>>.size * $0.count } ?? 0
    return items + 2 * (fields.count + generator.kind.valueLength)
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
      guard let items else { preconditionFailure("an order is one of items") }
      value = items.json(in: order)
      stored = StoredValue.shuffle(order)
    case .index(let index):
      guard let items else { preconditionFailure("an index is one of items") }
      value.append(contentsOf: items[index])
      stored = StoredValue.pick
      fields = []
      fields.append(json: "\"index\":")
      fields.append(integer: index)
      fields.append(json: ",")
      fields.append(contentsOf: self.fields)
    case .bytes(let bytes, let encoding):
      value.append(UInt8(ascii: "\""))
      switch encoding {
      case .hex: value.append(hex: bytes)
      case .base64: value.append(base64: bytes)
      }
      value.append(UInt8(ascii: "\""))
    case .rolls(let rolls, let notation, let total):
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
