/// The endpoint of one of the generators. This file has the list of them.
public struct Endpoint: RawRepresentable, Hashable, Sendable, CaseIterable {
  /// The generators, in the order in which they are listed to people.
  static let kinds: [any GeneratorKind.Type] = [
    Floats.self, Ints.self, Shuffle.self, Pick.self, Bytes.self, Dice.self, Gaussian.self, Sample.self,
  ]

  public static let allCases = kinds.map { Endpoint($0) }

  /// The generator whose endpoint it is.
  public let kind: any GeneratorKind.Type

  init(_ kind: any GeneratorKind.Type) { self.kind = kind }

  /// The generator's number in storage.
  public var rawValue: UInt8 { kind.number }

  public init?(rawValue: UInt8) {
    guard let kind = Self.kinds.first(where: { $0.number == rawValue }) else { return nil }
    self.kind = kind
  }

  /// The name in a request and in an outcome: `floats`, `ints`, …
  public var name: String { kind.name }

  /// The endpoint of exactly that name, byte for byte.
  public init?(name: String) {
    let kinds = Self.kinds.lazy.filter { $0.name.utf8.count == name.utf8.count }
    guard let kind = kinds.first(where: { $0.name.utf8.elementsEqual(name.utf8) }) else { return nil }
    self.kind = kind
  }

  /// The endpoint that a parameter names.
  ///
  /// - Throws: ``InvalidParameter`` named `endpoint`, with all names there are.
  public init(parameter name: [UInt8]) throws(InvalidParameter) {
    guard let endpoint = Endpoint(name: String(decoding: name, as: UTF8.self)) else {
      let names = Self.allCases.map(\.name).joined(separator: ", ")
      throw InvalidParameter(name: "endpoint", reason: "must be one of \(names)")
    }
    self = endpoint
  }

  public static func == (a: Endpoint, b: Endpoint) -> Bool { a.rawValue == b.rawValue }
  public func hash(into hasher: inout Hasher) { hasher.combine(rawValue) }
}
