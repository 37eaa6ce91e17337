import Fairness
import JSON

/// What a store keeps of an outcome's value: of a shuffle the new order, as two bytes for each place (the most significant
/// first) that say which item stands there; of a pick nothing, since its fields have the index; else the value itself.
/// The items are kept beside it, once.
public enum StoredValue {
  static func shuffle(_ order: [Int]) -> [UInt8] {
    var stored: [UInt8] = []
    stored.reserveCapacity(2 * order.count)
    for index in order {
      stored.append(UInt8(truncatingIfNeeded: index >> 8))
      stored.append(UInt8(truncatingIfNeeded: index))
    }
    return stored
  }

  static let pick: [UInt8] = []

  /// The value as it was answered, byte for byte; nil if that cannot be told from what was kept.
  package static func value(of endpoint: Endpoint, _ stored: [UInt8], fields: [UInt8], items: [UInt8]?) -> [UInt8]? {
    switch endpoint.kind.shape {
    case .permutation:
      guard let items = items.map(ItemList.init(stored:)), stored.count == 2 * items.count else { return nil }
      let order = stride(from: 0, to: stored.count, by: 2).map { Int(stored[$0]) << 8 | Int(stored[$0 + 1]) }
      guard order.allSatisfy({ $0 < items.count }) else { return nil }
      return items.json(in: order)
    case .index:
      let object = try? JSONText([UInt8(ascii: "{")] + fields + [UInt8(ascii: "}")]).root
      let index = object?["index"]?.number.flatMap { Int($0) }
      guard let items = items.map(ItemList.init(stored:)), let index, items.ranges.indices.contains(index) else {
        return nil
      }
      return Array(items[index])
    case .numbers, .bytes, .rolls:
      return stored
    }
  }
}

extension ItemList {
  /// Items as an outcome has them: the members of a JSON array without its brackets. They were checked before they were
  /// stored; here it is only found out where each ends.
  fileprivate init(stored text: [UInt8]) {
    var ranges: [Range<Int>] = []
    var start = 0
    var depth = 0
    var isString = false
    var isEscaped = false
    text.withUnsafeBufferPointer { text in
      for place in text.indices {
        switch text[place] {
        case _ where isEscaped: isEscaped = false
        case UInt8(ascii: "\\"): isEscaped = isString
        case UInt8(ascii: "\""): isString.toggle()
        case _ where isString: break
        case UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
        case UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
        case UInt8(ascii: ",") where depth == 0:
          ranges.append(start..<place)
          start = place + 1
        default: break
        }
      }
    }
    ranges.append(start..<text.count)
    self.init(text: text, ranges: ranges)
  }

  /// The items as a JSON array, in a new order.
  func json(in order: [Int]) -> [UInt8] {
    var json: [UInt8] = []
    json.reserveCapacity(text.count + 2)
    json.append(UInt8(ascii: "["))
    for (place, index) in order.enumerated() {
      if place > 0 { json.append(UInt8(ascii: ",")) }
      json.append(contentsOf: self[index])
    }
    json.append(UInt8(ascii: "]"))
    return json
  }
}
