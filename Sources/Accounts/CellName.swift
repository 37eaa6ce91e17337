import Ledger

/// The name of a cell: one database with its servers and its log. Keys that are made in a cell carry its name, so that a
/// proxy in front of several cells can route a request by its key.
public struct CellName: Sendable, Hashable, CustomStringConvertible {
  public let description: String

  /// What a name must be, worded to follow "must be".
  public static let rule = "1 to 8 lower-case letters and digits, and begin with a letter"

  /// Nil for what cannot be a name.
  public init?(_ text: String) {
    let bytes = text.utf8
    func isLetter(_ byte: UInt8) -> Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) }
    func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
    guard (1...8).contains(bytes.count), bytes.first.map(isLetter) == true,
      bytes.allSatisfy({ isLetter($0) || isDigit($0) })
    else { return nil }
    description = text
  }

  /// The cell whose name a key carries; nil for a key that carries none.
  ///
  /// What follows the name has the length of a key's random part, so a key without a name, which has nothing else, is never
  /// taken for one with a name, whatever its characters are.
  public init?(ofKey secret: String) {
    guard let mode = Mode.allCases.first(where: { secret.hasPrefix($0.keyPrefix) }) else { return nil }
    let rest = secret.utf8.dropFirst(mode.keyPrefix.utf8.count)
    let name = rest.prefix(max(0, rest.count - NewAPIKey.randomLength - 1))
    guard rest.dropFirst(name.count).first == UInt8(ascii: "_"), rest.allSatisfy(NewAPIKey.isKeyCharacter) else {
      return nil
    }
    self.init(String(decoding: name, as: UTF8.self))
  }
}

extension Mode {
  /// What a key of this mode begins with.
  var keyPrefix: String { "pk_\(name)_" }
}
