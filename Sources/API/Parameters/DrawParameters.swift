import Fairness
import JSON
import Ledger

/// Reads one endpoint's parameters and checks them against the contract.
extension DrawRequest {
  /// - Throws: a 400 that names the parameter at fault.
  package init(endpoint: Endpoint, parameters: Parameters) throws(Refusal) {
    try parameters.check(.of(endpoint))
    try self.init(endpoint: endpoint, parameters: parameters, clientSeed: try parameters.clientSeed())
  }

  /// The same with a client seed that does not come with the parameters, whose names the caller has checked.
  init(endpoint: Endpoint, parameters: Parameters, clientSeed: ClientSeed) throws(Refusal) {
    var items: ItemList?
    var encoding = BytesEncoding.hex
    let generator: Generator
    switch endpoint {
    case .floats:
      generator = .floats(count: try parameters.count())
    case .ints:
      generator = .ints(
        count: try parameters.count(), min: try parameters.integer("min", default: 1, in: Limits.safeIntegers),
        max: try parameters.integer("max", default: 100, in: Limits.safeIntegers))
    case .shuffle:
      try parameters.checkLists()
      let list = try parameters.items()
      items = list
      generator = .shuffle(items: list.count)
    case .pick:
      try parameters.checkLists()
      let list = try parameters.items()
      items = list
      generator = .pick(items: list.count, weights: try parameters.weights())
    case .bytes:
      generator = .bytes(count: Int(try parameters.integer("count", default: 32, in: Limits.byteCount)))
      encoding = try parameters.choice("encoding", default: .hex)
    case .dice:
      generator = .dice(try parameters.notation())
    case .gaussian:
      generator = .gaussian(count: try parameters.count(), try parameters.distribution())
    }
    do throws(InvalidParameter) {
      self.init(clientSeed: clientSeed, generator: try generator.validated(), items: items, encoding: encoding)
    } catch {
      throw .badRequest(error.message)
    }
  }
}

private enum DistributionName: String, CaseIterable { case normal, exponential, poisson }

extension Parameters {
  fileprivate func count() throws(Refusal) -> Int {
    Int(try integer("count", default: 1, in: Limits.count))
  }

  fileprivate func choice<Choice: RawRepresentable & CaseIterable>(
    _ name: StaticString, default: Choice
  ) throws(Refusal) -> Choice where Choice.RawValue == String {
    guard let text = try text(name) else { return `default` }
    guard let choice = Choice(rawValue: String(decoding: text, as: UTF8.self)) else {
      throw .badRequest("\(name) must be \(Choice.allCases.map(\.rawValue).joined(separator: " or "))")
    }
    return choice
  }

  fileprivate func distribution() throws(Refusal) -> Distribution {
    let name = try choice("distribution", default: DistributionName.normal)
    let normal = Distribution.normal(mean: try number("mean", default: 0), stddev: try number("stddev", default: 1))
    let lambda = try number("lambda", default: 1)
    // What a distribution does not use must still be good, or a mistake in it would pass unseen.
    switch name {
    case .normal:
      try Self.check(.exponential(lambda: lambda))
      return normal
    case .exponential:
      try Self.check(normal)
      return .exponential(lambda: lambda)
    case .poisson:
      try Self.check(normal)
      return .poisson(lambda: lambda)
    }
  }

  private static func check(_ distribution: Distribution) throws(Refusal) {
    do throws(InvalidParameter) {
      _ = try Generator.gaussian(count: 1, distribution).validated()
    } catch {
      throw .badRequest(error.message)
    }
  }

  fileprivate func notation() throws(Refusal) -> DiceNotation {
    let text: [UInt8]
    switch try value("notation") {
    case nil: throw .badRequest("notation required")
    case .text(let bytes): text = Self.restoringPlus(bytes)
    case .json: text = try self.text("notation") ?? []
    }
    do throws(InvalidParameter) {
      return try DiceNotation(String(decoding: text, as: UTF8.self))
    } catch {
      throw .badRequest(error.message)
    }
  }

  /// A `+` that was not percent-encoded reads as a space in a query. Between two digits of a notation it can have been
  /// nothing else, so `?notation=2d20+5` means what it says.
  private static func restoringPlus(_ text: [UInt8]) -> [UInt8] {
    guard let first = text.firstIndex(of: UInt8(ascii: " ")), let last = text.lastIndex(of: UInt8(ascii: " ")),
      first > 0, last < text.count - 1, text[first...last].allSatisfy({ $0 == UInt8(ascii: " ") }),
      isDigit(text[first - 1]), isDigit(text[last + 1])
    else { return text }
    return text[..<first] + [UInt8(ascii: "+")] + text[(last + 1)...]
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

  // MARK: Lists

  /// In a query: a JSON array, a comma list, or the parameter repeated. In JSON: an array.
  fileprivate func items() throws(Refusal) -> ItemList {
    let limit = Int(Limits.items.upperBound)
    // One more than is allowed is enough to know that there are too many.
    let items: ItemList
    switch try list("items", limit: limit + 1) {
    case nil, .texts([]): throw .badRequest("items required")
    case .values(let values): items = ItemList(values) { $0.appendCompact(to: &$1) }
    case .texts(let texts): items = ItemList(texts) { $1.append(jsonString: $0) }
    }
    guard (1...limit).contains(items.count) else {
      throw .badRequest("items must be a list of 1 to \(limit) items")
    }
    return items
  }

  /// The weights, or nil if there are none. JSON's null says so too, since that is how an outcome shows it.
  fileprivate func weights() throws(Refusal) -> [Double]? {
    if let only = values("weights").first, case .json(let json) = only, json.kind == .null { return nil }
    let values: [Value]
    switch try list("weights", limit: Int(Limits.items.upperBound) + 1) {
    case nil: return nil
    case .values(let list): values = list.map(Value.json)
    case .texts(let list): values = list.map(Value.text)
    }
    guard !values.isEmpty else { throw .badRequest("weights must be a list of one number for each of the items") }
    var weights: [Double] = []
    for value in values {
      guard let number = Self.number(value) else { throw .badRequest("weights must be finite numbers") }
      weights.append(number)
    }
    return weights
  }

  private enum List {
    case values([JSONValue])
    case texts([[UInt8]])
  }

  private func list(_ name: StaticString, limit: Int) throws(Refusal) -> List? {
    let values = values(name)
    guard let first = values.first else { return nil }
    switch first {
    case .json:
      guard case .json(let json)? = try value(name), let elements = json.elements(limit: limit) else {
        throw .badRequest("\(name) must be an array")
      }
      return .values(elements)
    case .text(let text) where values.count == 1:
      if text.isEmpty { return .texts([]) }
      guard text.first == UInt8(ascii: "[") else {
        return .texts(
          text.split(separator: UInt8(ascii: ","), maxSplits: limit, omittingEmptySubsequences: false).map(Array.init))
      }
      do throws(JSONSyntaxError) {
        return .values(try JSONText(text).root.elements(limit: limit) ?? [])
      } catch {
        throw .badRequest("\(name) begins with [ but is not a JSON array: \(error.reason)")
      }
    case .text:
      return .texts(
        try values.prefix(limit).map { value throws(Refusal) in
          guard case .text(let text) = value else { throw .badRequest("\(name) must be given once") }
          return text
        })
    }
  }
}
