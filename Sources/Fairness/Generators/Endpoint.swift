/// The seven kinds of draw, by the names they have in the API.
///
/// The raw values are for storage and never change.
public enum Endpoint: UInt8, Sendable, CaseIterable {
  case floats = 1
  case ints
  case shuffle
  case pick
  case bytes
  case dice
  case gaussian

  /// The name in a request and in an outcome: `floats`, `ints`, …
  public var name: String {
    switch self {
    case .floats: "floats"
    case .ints: "ints"
    case .shuffle: "shuffle"
    case .pick: "pick"
    case .bytes: "bytes"
    case .dice: "dice"
    case .gaussian: "gaussian"
    }
  }

  /// The endpoint of exactly that name, byte for byte.
  public init?(name: String) {
    guard let match = Self.allCases.first(where: { $0.name.utf8.elementsEqual(name.utf8) }) else {
      return nil
    }
    self = match
  }
}
