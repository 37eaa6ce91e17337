import Crypto
import JSON
import Ledger

/// A key in the one moment it is known: made, shown, and from then on only recognised.
public struct NewAPIKey: Sendable {
  /// The key: `pk_live_` or `pk_test_`, the name of its cell and `_` if it is made in one, and 43 characters that carry
  /// 256 random bits.
  public let secret: String
  public let mode: Mode
  /// What to call it; perhaps empty.
  public let name: String
  public let allowedNetworks: [String]
  public let allowedReferers: [String]
  public let scopes: KeyScopes
  /// Live outcomes allowed with it in a UTC day; nil if its account's quota is enough.
  public var dailyQuota: Int?

  /// How many characters of a key are random.
  static let randomLength = 43

  /// - Parameter cell: the cell it is made in; nil outside of cells.
  /// - Throws: a ``StoreFailure`` if the random source has failed.
  public init(
    mode: Mode, cell: CellName? = nil, name: String = "", allowedNetworks: [String] = [],
    allowedReferers: [String] = [], scopes: KeyScopes = .usual
  ) throws(StoreFailure) {
    self.init(
      mode: mode, cell: cell, name: name, allowedNetworks: allowedNetworks, allowedReferers: allowedReferers,
      scopes: scopes, bytes: try RandomSource.system.bytes(32))
  }

  /// A key that was made elsewhere: `pk_live_` or `pk_test_` and 16 to 56 letters, digits, hyphens and underscores. Nil
  /// for anything else.
  public init?(
    imported secret: String, name: String, allowedNetworks: [String], allowedReferers: [String],
    scopes: KeyScopes = .usual
  ) {
    guard let mode = Mode.allCases.first(where: { secret.hasPrefix($0.keyPrefix) }) else { return nil }
    let rest = secret.utf8.dropFirst(mode.keyPrefix.utf8.count)
    guard (16...56).contains(rest.count), rest.allSatisfy(Self.isKeyCharacter) else { return nil }
    self.secret = secret
    self.mode = mode
    self.name = name
    self.allowedNetworks = allowedNetworks
    self.allowedReferers = allowedReferers
    self.scopes = scopes
  }

  static func isKeyCharacter(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "-"), UInt8(ascii: "_"):
      true
    default: false
    }
  }

  /// - Parameters:
  ///   - cell: the cell it is made in; nil outside of cells.
  ///   - bytes: 32, which nobody can guess.
  public init(
    mode: Mode, cell: CellName?, name: String, allowedNetworks: [String], allowedReferers: [String],
    scopes: KeyScopes = .usual, bytes: [UInt8]
  ) {
    precondition(bytes.count == 32)
    var text: [UInt8] = []
    text.append(base64: bytes)
    // The URL-safe alphabet without padding (RFC 4648 § 5), so that a key survives any shell and any header.
    let safe = text.filter { $0 != UInt8(ascii: "=") }.map {
      switch $0 {
      case UInt8(ascii: "+"): UInt8(ascii: "-")
      case UInt8(ascii: "/"): UInt8(ascii: "_")
      default: $0
      }
    }
    secret = mode.keyPrefix + (cell.map { "\($0)_" } ?? "") + String(decoding: safe, as: UTF8.self)
    self.mode = mode
    self.name = name
    self.allowedNetworks = allowedNetworks
    self.allowedReferers = allowedReferers
    self.scopes = scopes
  }

  /// What the key is called in lists: its kind, its cell, and eight of its random characters.
  public var prefix: String { Self.prefix(of: secret) }

  /// As much of a key as may be shown.
  public static func prefix(of secret: String) -> String {
    String(secret.prefix(16 + (CellName(ofKey: secret).map { $0.description.utf8.count + 1 } ?? 0)))
  }

  /// What is stored of the key.
  public var hash: [UInt8] { Self.hash(of: secret) }

  /// SHA-256 of a key. A key carries 256 random bits, so a plain hash gives nothing away and needs no salt.
  public static func hash(of secret: String) -> [UInt8] { Array(SHA256.hash(data: Array(secret.utf8))) }
}
