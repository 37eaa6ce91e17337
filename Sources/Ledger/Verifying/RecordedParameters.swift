import Fairness
import JSON

/// The parameters of a draw, read back from what was answered. Strictly: an outcome spells out all that it was drawn
/// with, so nothing is defaulted and nothing may be said twice.
struct RecordedParameters {
  private let members: [(name: ArraySlice<UInt8>, value: JSONValue)]

  /// Of a rotation's answer, the seed that it revealed, with the client seed.
  ///
  /// - Throws: ``InvalidParameter`` named `what` unless `object` is a JSON object.
  init(_ object: JSONValue, what: String = "outcome") throws(InvalidParameter) {
    guard let members = object.members else { throw InvalidParameter(name: what, reason: "must be a JSON object") }
    func named(_ name: String) -> [(name: ArraySlice<UInt8>, value: JSONValue)] {
      members.filter { $0.name.elementsEqual(name.utf8) }
    }
    if named("outcome").isEmpty, let revealed = named("revealed").first?.value.members {
      self.members = revealed + named("clientSeed")
    } else {
      self.members = members
    }
  }

  /// Whether this tells a revealed seed with its proof, and no draw.
  var isSeedAlone: Bool {
    get throws(InvalidParameter) {
      let (proof, endpoint, outcome) = (try value("seedProof"), try value("endpoint"), try value("outcome"))
      return proof != nil && endpoint == nil && outcome == nil
    }
  }

  func value(_ name: String) throws(InvalidParameter) -> JSONValue? {
    var found: JSONValue?
    for member in members where member.name.elementsEqual(name.utf8) {
      guard found == nil else { throw InvalidParameter(name: name, reason: "must be there once") }
      found = member.value
    }
    return found
  }

  func integer(_ name: String, in range: ClosedRange<Int64>) throws(InvalidParameter) -> Int64 {
    guard let text = try value(name)?.number, let whole = Int64(text) ?? Double(text).flatMap(Int64.init(exactly:)),
      range.contains(whole)
    else { throw .wholeNumber(name, in: range) }
    return whole
  }

  func number(_ name: String) throws(InvalidParameter) -> Double {
    guard let number = try value(name)?.number.flatMap(Double.init), number.isFinite else {
      throw InvalidParameter(name: name, reason: "must be a finite number")
    }
    return number
  }

  func string(_ name: String) throws(InvalidParameter) -> [UInt8] {
    guard let bytes = try value(name)?.string else { throw InvalidParameter(name: name, reason: "must be a string") }
    return bytes
  }

  func text(_ name: String) throws(InvalidParameter) -> String { String(decoding: try string(name), as: UTF8.self) }
}

/// A recorded outcome, from which the parameters of its draw are read.
struct RecordedDraw: ParameterSource {
  let fields: RecordedParameters
  /// The outcome itself, which has the notation of dice.
  let value: JSONValue?
  /// What the outcome was shuffled or picked from, as a JSON array.
  let items: JSONValue?
  /// The items that were read.
  var list: ItemList?

  static let isRecord = true

  static func failure(_ invalid: InvalidParameter) -> InvalidParameter { invalid }

  func integer(
    _ name: StaticString, default: Int64, in range: ClosedRange<Int64>
  ) throws(InvalidParameter) -> Int64 {
    try fields.integer(String(describing: name), in: range)
  }

  func number(_ name: StaticString, default: Double) throws(InvalidParameter) -> Double {
    try fields.number(String(describing: name))
  }

  func text(_ name: StaticString) throws(InvalidParameter) -> [UInt8]? { try fields.string(String(describing: name)) }

  func notation(_ name: StaticString) throws(InvalidParameter) -> [UInt8] {
    guard let value else { throw InvalidParameter(name: "outcome", reason: "must be there") }
    return try RecordedParameters(value).string(String(describing: name))
  }

  mutating func items(_ name: StaticString) throws(InvalidParameter) -> Int {
    // One more than is allowed is enough to know that there are too many.
    guard let elements = items?.elements(limit: Int(Limits.items.upperBound) + 1), !elements.isEmpty else {
      throw InvalidParameter(
        name: String(describing: name), reason: "must be the items that the draw was given, in their order")
    }
    list = ItemList(elements) { $0.appendCompact(to: &$1) }
    return elements.count
  }

  func weights(_ name: StaticString) throws(InvalidParameter) -> [Double]? {
    let name = String(describing: name)
    let value = try fields.value(name)
    if value?.kind == .null { return nil }
    guard let elements = value?.elements(limit: Int(Limits.items.upperBound) + 1) else {
      throw InvalidParameter(name: name, reason: "must be null, or a list of one number for each of the items")
    }
    return try elements.map { element throws(InvalidParameter) in
      guard let weight = element.number.flatMap(Double.init) else {
        throw InvalidParameter(name: name, reason: "must be finite numbers greater than or equal to 0")
      }
      return weight
    }
  }
}

extension DrawRequest {
  /// The request that an outcome was the answer to.
  ///
  /// - Throws: ``InvalidParameter`` naming the field at fault, if no draw can have been answered with these.
  convenience init(endpoint: Endpoint, clientSeed: ClientSeed, recorded: RecordedDraw) throws(InvalidParameter) {
    var recorded = recorded
    let generator = try Generator(endpoint, from: &recorded)
    self.init(clientSeed: clientSeed, generator: generator, items: recorded.list)
  }

  /// The request that `outcome` was the answer to.
  ///
  /// - Throws: ``InvalidParameter`` if no draw can have been answered with it: it was changed after it was recorded.
  public convenience init(recorded outcome: Outcome) throws(InvalidParameter) {
    func json(_ name: String, _ open: Unicode.Scalar?, _ bytes: [UInt8], _ close: Unicode.Scalar?)
      throws(InvalidParameter) -> JSONValue
    {
      let text = (open.map { [UInt8(ascii: $0)] } ?? []) + bytes + (close.map { [UInt8(ascii: $0)] } ?? [])
      do { return try JSONText(text).root } catch { throw InvalidParameter(name: name, reason: "must be JSON") }
    }
    try self.init(
      endpoint: outcome.endpoint, clientSeed: outcome.clientSeed,
      recorded: RecordedDraw(
        fields: try RecordedParameters(try json("fields", "{", outcome.fields, "}")),
        value: try json("outcome", nil, outcome.value, nil),
        items: try outcome.items.map { items throws(InvalidParameter) in try json("items", "[", items, "]") }))
  }
}
