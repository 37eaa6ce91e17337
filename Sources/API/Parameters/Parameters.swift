import Fairness
import JSON
import Ledger

/// A request's parameters, whichever way they came: as a query's pairs, or as the members of a JSON object.
///
/// Names that nobody asks for are ignored, as clients of this API expect.
struct Parameters {
  enum Value {
    case text([UInt8])
    case json(JSONValue)
  }

  private var entries: [(name: [UInt8], value: Value)] = []

  init() {}

  init(query: [(name: [UInt8], value: [UInt8])]) {
    entries = query.map { ($0.name, .text($0.value)) }
  }

  /// - Throws: a 400 unless `json` is an object; `what` is what to call it in the refusal.
  init(json: JSONValue, what: String) throws(Refusal) {
    guard let members = json.members else { throw .badRequest("\(what) must be a JSON object") }
    entries = members.map { ($0.name, .json($0.value)) }
  }

  /// These parameters and `others`. What is in both is there twice, and so refused when it is asked for.
  mutating func add(_ others: Parameters) { entries += others.entries }

  func values(_ name: StaticString) -> [Value] {
    entries.filter { entry in name.withUTF8Buffer { entry.name.elementsEqual($0) } }.map(\.value)
  }

  /// The one value of a parameter that may be given once.
  func value(_ name: StaticString) throws(Refusal) -> Value? {
    let values = values(name)
    guard values.count <= 1 else { throw .badRequest("\(name) must be given once") }
    return values.first
  }

  // MARK: Kinds of value

  /// Text, from a query or a JSON string; nil if the parameter is not there.
  func text(_ name: StaticString) throws(Refusal) -> [UInt8]? {
    switch try value(name) {
    case nil: return nil
    case .text(let bytes): return bytes
    case .json(let json):
      guard json.kind == .string else { throw .badRequest("\(name) must be a string") }
      guard let bytes = json.string else { throw .badRequest("\(name) has an unpaired surrogate, which is not valid UTF-8") }
      return bytes
    }
  }

  func clientSeed() throws(Refusal) -> ClientSeed {
    do {
      return try ClientSeed(try text("clientSeed") ?? Array("test".utf8))
    } catch let invalid as InvalidParameter {
      throw .badRequest(invalid.message)
    } catch let refusal as Refusal {
      throw refusal
    } catch {
      preconditionFailure("nothing else is thrown")
    }
  }

  /// A whole number in `range`: a query value, a JSON number, or a JSON string with a number in it.
  func integer(_ name: StaticString, default: Int64, in range: ClosedRange<Int64>) throws(Refusal) -> Int64 {
    try integer(name, in: range) ?? `default`
  }

  func integer(_ name: StaticString, in range: ClosedRange<Int64>) throws(Refusal) -> Int64? {
    guard let value = try value(name) else { return nil }
    guard let number = Self.number(value), let whole = Int64(exactly: number), range.contains(whole) else {
      throw .badRequest(InvalidParameter.wholeNumber(String(describing: name), in: range).message)
    }
    return whole
  }

  /// A finite number, of the same kinds.
  func number(_ name: StaticString, default: Double) throws(Refusal) -> Double {
    guard let value = try value(name) else { return `default` }
    guard let number = Self.number(value) else { throw .badRequest("\(name) must be a finite number") }
    return number
  }

  /// A finite number written by JSON's grammar, or nil. Doubles hold every whole number the API allows, and none that
  /// it refuses rounds to one that it allows.
  static func number(_ value: Value) -> Double? {
    let digits: [UInt8]
    switch value {
    case .text(let bytes): digits = bytes
    case .json(let json) where json.kind == .number: digits = Array(json.raw)
    case .json(let json) where json.kind == .string: digits = json.string ?? []
    case .json: return nil
    }
    guard digits.count <= 400, let text = try? JSONText(digits), text.root.kind == .number,
      text.root.raw.count == digits.count, let number = Double(String(decoding: digits, as: UTF8.self)), number.isFinite
    else { return nil }
    return number
  }
}
