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

  /// - Parameter items: the members of a JSON array; nil for none.
  static func items(_ items: JSONValue?) throws(InvalidParameter) -> ItemList {
    // One more than is allowed is enough to know that there are too many.
    guard let elements = items?.elements(limit: Int(Limits.items.upperBound) + 1), !elements.isEmpty else {
      throw InvalidParameter(name: "items", reason: "must be the items that the draw was given, in their order")
    }
    return ItemList(elements) { $0.appendCompact(to: &$1) }
  }
}

extension DrawRequest {
  /// The request that an outcome was the answer to, from the fields of that answer.
  ///
  /// - Parameters:
  ///   - fields: the endpoint's own fields.
  ///   - value: the outcome itself, from which the notation of dice is taken.
  ///   - items: what a shuffle or a pick was made of, as a JSON array.
  /// - Throws: ``InvalidParameter`` naming the field at fault, if no draw can have been answered with these.
  init(
    endpoint: Endpoint, clientSeed: ClientSeed, fields: RecordedParameters, value: JSONValue?, items: JSONValue?
  ) throws(InvalidParameter) {
    func count(in range: ClosedRange<Int64>) throws(InvalidParameter) -> Int {
      Int(try fields.integer("count", in: range))
    }
    var list: ItemList?
    var encoding = BytesEncoding.hex
    let generator: Generator
    switch endpoint {
    case .floats: generator = .floats(count: try count(in: Limits.count))
    case .ints:
      generator = .ints(
        count: try count(in: Limits.count), min: try fields.integer("min", in: Limits.safeIntegers),
        max: try fields.integer("max", in: Limits.safeIntegers))
    case .shuffle:
      let items = try RecordedParameters.items(items)
      list = items
      generator = .shuffle(items: items.count)
    case .pick:
      let items = try RecordedParameters.items(items)
      list = items
      generator = .pick(items: items.count, weights: try Self.weights(try fields.value("weights")))
    case .bytes:
      generator = .bytes(count: try count(in: Limits.byteCount))
      guard let known = BytesEncoding(rawValue: try fields.text("encoding")) else {
        throw InvalidParameter(name: "encoding", reason: "must be hex or base64")
      }
      encoding = known
    case .dice:
      guard let value else { throw InvalidParameter(name: "outcome", reason: "must be there") }
      generator = .dice(try DiceNotation(try RecordedParameters(value).text("notation")))
    case .gaussian:
      generator = .gaussian(count: try count(in: Limits.count), try Self.distribution(fields))
    }
    self.init(clientSeed: clientSeed, generator: try generator.validated(), items: list, encoding: encoding)
  }

  /// The request that `outcome` was the answer to.
  ///
  /// - Throws: ``InvalidParameter`` if no draw can have been answered with it: it was changed after it was recorded.
  public init(recorded outcome: Outcome) throws(InvalidParameter) {
    func json(_ name: String, _ open: Unicode.Scalar?, _ bytes: [UInt8], _ close: Unicode.Scalar?)
      throws(InvalidParameter) -> JSONValue
    {
      let text = (open.map { [UInt8(ascii: $0)] } ?? []) + bytes + (close.map { [UInt8(ascii: $0)] } ?? [])
      do { return try JSONText(text).root } catch { throw InvalidParameter(name: name, reason: "must be JSON") }
    }
    try self.init(
      endpoint: outcome.endpoint, clientSeed: outcome.clientSeed,
      fields: try RecordedParameters(try json("fields", "{", outcome.fields, "}")),
      value: try json("outcome", nil, outcome.value, nil),
      items: try outcome.items.map { items throws(InvalidParameter) in try json("items", "[", items, "]") })
  }

  private static func weights(_ value: JSONValue?) throws(InvalidParameter) -> [Double]? {
    if value?.kind == .null { return nil }
    guard let elements = value?.elements(limit: Int(Limits.items.upperBound) + 1) else {
      throw InvalidParameter(name: "weights", reason: "must be null, or a list of one number for each of the items")
    }
    return try elements.map { element throws(InvalidParameter) in
      guard let weight = element.number.flatMap(Double.init) else {
        throw InvalidParameter(name: "weights", reason: "must be finite numbers greater than or equal to 0")
      }
      return weight
    }
  }

  private static func distribution(_ fields: RecordedParameters) throws(InvalidParameter) -> Distribution {
    switch try fields.text("distribution") {
    case "normal": .normal(mean: try fields.number("mean"), stddev: try fields.number("stddev"))
    case "exponential": .exponential(lambda: try fields.number("lambda"))
    case "poisson": .poisson(lambda: try fields.number("lambda"))
    default: throw InvalidParameter(name: "distribution", reason: "must be normal, exponential or poisson")
    }
  }
}
