import Fairness
import JSON
import Ledger

/// Reads one endpoint's parameters and checks them against the contract.
extension DrawRequest {
  /// - Throws: a 400 that names the parameter at fault.
  package convenience init(endpoint: Endpoint, parameters: Parameters) throws(Refusal) {
    try parameters.check(.of(endpoint))
    try self.init(endpoint: endpoint, parameters: parameters, clientSeed: try parameters.clientSeed())
  }

  /// The same with a client seed that does not come with the parameters, whose names the caller has checked.
  convenience init(endpoint: Endpoint, parameters: Parameters, clientSeed: ClientSeed) throws(Refusal) {
    try parameters.checkLists()
    var parameters = parameters
    let generator = try Generator(endpoint, from: &parameters)
    self.init(clientSeed: clientSeed, generator: generator, items: parameters.itemList)
  }
}

extension Parameters {
  /// The parameter `endpoint`; nil if it is not there.
  func endpoint() throws(Refusal) -> Endpoint? {
    guard let name = try text("endpoint") else { return nil }
    do throws(InvalidParameter) {
      return try Endpoint(parameter: name)
    } catch {
      throw .invalid(error.name, error.reason, code: .unknownEndpoint)
    }
  }
}

extension Parameters: ParameterSource {
  package static let isRecord = false

  package static func failure(_ invalid: InvalidParameter) -> Refusal { .invalid(invalid.name, invalid.reason) }

  package func notation(_ name: StaticString) throws(Refusal) -> [UInt8] {
    switch try value(name) {
    case nil: throw .invalid(name, "required")
    case .text(let bytes): return Self.restoringPlus(Array(bytes))
    case .json: return try text(name) ?? []
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
  package mutating func items(_ name: StaticString) throws(Refusal) -> Int {
    let limit = Int(Limits.items.upperBound)
    // One more than is allowed is enough to know that there are too many.
    let items: ItemList
    switch try list(name, limit: limit + 1) {
    case nil, .texts([]): throw .invalid(name, "required")
    case .values(let values): items = ItemList(values) { $0.appendCompact(to: &$1) }
    case .texts(let texts): items = ItemList(texts) { $1.append(jsonString: $0) }
    }
    itemList = items
    return items.count
  }

  /// The weights, or nil if there are none. JSON's null says so too, since that is how an outcome shows it.
  package func weights(_ name: StaticString) throws(Refusal) -> [Double]? {
    if let only = values(name).first, case .json(let json) = only, json.kind == .null { return nil }
    let values: [Value]
    switch try list(name, limit: Int(Limits.items.upperBound) + 1) {
    case nil: return nil
    case .values(let list): values = list.map(Value.json)
    case .texts(let list): values = list.map { .text($0[...]) }
    }
    guard !values.isEmpty else { throw .invalid(name, "must be a list of one number for each of the items") }
    var weights: [Double] = []
    for value in values {
      guard let number = Self.number(value) else { throw .invalid(name, "must be finite numbers") }
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
        throw .invalid(name, "must be an array")
      }
      return .values(elements)
    case .text(let text) where values.count == 1:
      if text.isEmpty { return .texts([]) }
      guard text.first == UInt8(ascii: "[") else {
        return .texts(
          text.split(separator: UInt8(ascii: ","), maxSplits: limit, omittingEmptySubsequences: false).map(Array.init))
      }
      do throws(JSONSyntaxError) {
        return .values(try JSONText(Array(text)).root.elements(limit: limit) ?? [])
      } catch {
        throw .invalid(name, "begins with [ but is not a JSON array: \(error.reason)")
      }
    case .text:
      return .texts(
        try values.prefix(limit).map { value throws(Refusal) in
          guard case .text(let text) = value else { throw .invalid(name, "must be given once") }
          return Array(text)
        })
    }
  }
}
