import Fairness
import JSON
import Ledger

/// A request's parameters, whichever way they came: as a query's pairs, or as the members of a JSON object.
package struct Parameters {
  package enum Value {
    case text(ArraySlice<UInt8>)
    case json(JSONValue)
  }

  private var pairs: [QueryPair] = []
  private var object: JSONValue?
  /// Where the object's members stand. Most are asked for once, by a name, and taken from where they are.
  private var members: [JSONValue.MemberPlace] = []
  /// The most bytes that a draw's `items` and `weights` may take together, as they came.
  package var longestLists = Int.max
  /// The items of a draw, once they have been read.
  var itemList: ItemList?

  /// What a draw without an API key may have: its outcome is kept for good, and nobody pays for it.
  package static let longestAnonymousLists = 64 * 1024

  package init(query: [QueryPair]) {
    pairs = query
  }

  /// - Parameters:
  ///   - what: what to call it in the refusal.
  ///   - parameter: the parameter that it is, or is part of.
  /// - Throws: a 400 unless `json` is an object.
  package init(json: JSONValue, what: String, parameter: String? = nil) throws(Refusal) {
    guard let places = json.places else { throw .badRequest("\(what) must be a JSON object", parameter: parameter) }
    (object, members) = (json, places)
  }

  /// A query's parameters and an object's. What is in both is there twice, and so refused when it is asked for.
  mutating func add(_ query: [QueryPair]) { pairs += query }

  /// - Throws: a 400 for the first parameter that is not among `known`.
  package func check(_ known: ParameterNames) throws(Refusal) {
    for pair in pairs where !known.allow(pair.name) { throw known.refusal(of: pair.name) }
    guard let object else { return }
    for place in members where !known.names.contains(where: { object.isNamed($0, at: place) }) {
      let name = object.name(of: place)
      if !known.allow(name) { throw known.refusal(of: name) }
    }
  }

  /// - Throws: a 413 if `items` and `weights` are longer than ``longestLists``.
  func checkLists() throws(Refusal) {
    guard longestLists < .max else { return }
    let length = (values("items") + values("weights")).reduce(0) { length, value in
      switch value {
      case .text(let bytes): length + bytes.count
      case .json(let json): length + json.raw.count
      }
    }
    guard length <= longestLists else {
      throw Refusal(
        413, "items and weights take \(length) bytes; without an API key they may take \(longestLists) in one draw",
        code: .itemsTooLarge, parameter: "items")
    }
  }

  func values(_ name: StaticString) -> [Value] {
    let texts = pairs.filter { name.isSpelled($0.name) }.map { Value.text($0.value) }
    guard let object else { return texts }
    return texts + members.filter { object.isNamed(name, at: $0) }.map { .json(object.value(of: $0)) }
  }

  /// The one value of a parameter that may be given once.
  func value(_ name: StaticString) throws(Refusal) -> Value? {
    var found: Value?
    for pair in pairs where name.isSpelled(pair.name) {
      guard found == nil else { throw .invalid(name, "must be given once") }
      found = .text(pair.value)
    }
    guard let object else { return found }
    for place in members where object.isNamed(name, at: place) {
      guard found == nil else { throw .invalid(name, "must be given once") }
      found = .json(object.value(of: place))
    }
    return found
  }

  // MARK: Kinds of value

  /// The members of a JSON object; nil if the parameter is not there.
  func object(_ name: StaticString) throws(Refusal) -> Parameters? {
    switch try value(name) {
    case nil: return nil
    case .text: throw .invalid(name, "must be a JSON object")
    case .json(let json):
      var members = try Parameters(json: json, what: "\(name)", parameter: "\(name)")
      members.longestLists = longestLists
      return members
    }
  }

  /// Text, from a query or a JSON string; nil if the parameter is not there.
  package func text(_ name: StaticString) throws(Refusal) -> [UInt8]? { try slice(name).map { Array($0) } }

  /// The same, where it stands if it was written as it is.
  private func slice(_ name: StaticString) throws(Refusal) -> ArraySlice<UInt8>? {
    switch try value(name) {
    case nil: return nil
    case .text(let bytes): return bytes
    case .json(let json):
      guard json.kind == .string else { throw .invalid(name, "must be a string") }
      guard let bytes = json.stringSlice else {
        throw .invalid(name, "has an unpaired surrogate, which is not valid UTF-8")
      }
      return bytes
    }
  }

  /// Texts, from a JSON array of strings or from a query with commas between them; nil if the parameter is not there.
  func texts(_ name: StaticString) throws(Refusal) -> [String]? {
    switch try value(name) {
    case nil: return nil
    case .text(let bytes): return String(decoding: bytes, as: UTF8.self).split(separator: ",").map(String.init)
    case .json(let json):
      let texts = json.elements(limit: 101)?.map { $0.string.map { String(decoding: $0, as: UTF8.self) } }
      guard let texts, !texts.contains(nil), texts.count <= 100 else {
        throw .invalid(name, "must be an array of at most 100 strings")
      }
      return texts.compactMap(\.self)
    }
  }

  /// `true` or `false`, from a query or in JSON; nil if the parameter is not there.
  func boolean(_ name: StaticString) throws(Refusal) -> Bool? {
    let text: ArraySlice<UInt8>
    switch try value(name) {
    case nil: return nil
    case .text(let bytes): text = bytes
    case .json(let json): text = json.raw
    }
    switch String(decoding: text, as: UTF8.self) {
    case "true": return true
    case "false": return false
    default: throw .invalid(name, "must be true or false")
    }
  }

  package func clientSeed() throws(Refusal) -> ClientSeed {
    do {
      return try ClientSeed(try slice("clientSeed") ?? Array("test".utf8)[...])
    } catch let invalid as InvalidParameter {
      throw Self.failure(invalid)
    } catch let refusal as Refusal {
      throw refusal
    } catch {
      preconditionFailure("nothing else is thrown")
    }
  }

  /// A whole number in `range`: a query value, a JSON number, or a JSON string with a number in it.
  package func integer(_ name: StaticString, default: Int64, in range: ClosedRange<Int64>) throws(Refusal) -> Int64 {
    try integer(name, in: range) ?? `default`
  }

  package func integer(_ name: StaticString, in range: ClosedRange<Int64>) throws(Refusal) -> Int64? {
    guard let value = try value(name) else { return nil }
    guard let whole = Self.numberText(value).flatMap(Self.wholeNumber), range.contains(whole) else {
      throw Self.failure(.wholeNumber("\(name)", in: range))
    }
    return whole
  }

  /// A finite number, of the same kinds.
  package func number(_ name: StaticString, default: Double) throws(Refusal) -> Double {
    guard let value = try value(name) else { return `default` }
    guard let number = Self.number(value) else { throw .invalid(name, "must be a finite number") }
    return number
  }

  /// A finite number written by JSON's grammar, or nil.
  static func number(_ value: Value) -> Double? {
    guard let text = numberText(value), let number = Double(String(decoding: text, as: UTF8.self)), number.isFinite
    else {
      return nil
    }
    return number
  }

  /// The text of a value that is a number by JSON's grammar, of any sensible length.
  private static func numberText(_ value: Value) -> ArraySlice<UInt8>? {
    let text: ArraySlice<UInt8>
    switch value {
    case .text(let bytes): text = bytes
    case .json(let json) where json.kind == .number: return json.raw
    case .json(let json) where json.kind == .string: text = json.stringSlice ?? []
    case .json: return nil
    }
    if text.first != UInt8(ascii: "0"), text.withUnsafeBufferPointer(plainNumber) != nil { return text }
    guard text.count <= 400, let json = try? JSONText(Array(text)), json.root.kind == .number,
      json.root.raw.count == text.count
    else { return nil }
    return text
  }

  /// The number that 1 to 18 digits stand for; nil for all else.
  private static func plainNumber(_ text: UnsafeBufferPointer<UInt8>) -> Int64? {
    guard (1...18).contains(text.count) else { return nil }
    var whole: Int64 = 0
    for byte in text {
      guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
      whole = whole * 10 + Int64(byte - UInt8(ascii: "0"))
    }
    return whole
  }

  /// The whole number that JSON number text stands for, to the last digit, or nil if it is none or has over 18 digits:
  /// 3, 3.0 and 30e-1 are whole, and 3.0000000000000000001 is not, though it is to a double.
  private static func wholeNumber(_ text: ArraySlice<UInt8>) -> Int64? {
    if let whole = text.withUnsafeBufferPointer(plainNumber) { return whole }
    let isNegative = text.first == UInt8(ascii: "-")
    let parts = text.drop { $0 == UInt8(ascii: "-") }.split(maxSplits: 1) { $0 | 0x20 == UInt8(ascii: "e") }
    let mantissa = parts[0].split(separator: UInt8(ascii: "."))
    var digits = Array(mantissa.joined().drop { $0 == UInt8(ascii: "0") })[...]
    guard let exponent = parts.count == 2 ? Int(String(decoding: parts[1], as: UTF8.self)) : 0, abs(exponent) < 1000
    else {
      return digits.isEmpty ? 0 : nil
    }
    var scale = exponent - (mantissa.count == 2 ? mantissa[1].count : 0)
    while digits.last == UInt8(ascii: "0") {
      digits.removeLast()
      scale += 1
    }
    if digits.isEmpty { return 0 }
    guard scale >= 0, digits.count + scale <= 18 else { return nil }
    var whole: Int64 = 0
    for digit in digits { whole = whole * 10 + Int64(digit - UInt8(ascii: "0")) }
    for _ in 0..<scale { whole *= 10 }
    return isNegative ? -whole : whole
  }
}
