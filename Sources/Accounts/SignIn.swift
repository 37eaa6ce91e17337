import CSodium
import Crypto
import Foundation
import Ledger

/// An email address as an account's name at the door. It is compared in lower case (ASCII), byte for byte.
public struct EmailAddress: Hashable, Sendable, CustomStringConvertible {
  public let description: String

  /// Nil unless `text`, without spaces around it, is 3 to 254 bytes of one line with an @ between two parts.
  public init?(_ text: String) {
    let trimmed = text.trimmingCharacters(in: .whitespacesAndNewlines)
    guard (3...254).contains(trimmed.utf8.count),
      trimmed.unicodeScalars.allSatisfy({ $0.value > 0x20 && !(0x7F...0x9F).contains($0.value) }),
      let at = trimmed.utf8.lastIndex(of: UInt8(ascii: "@")), at != trimmed.startIndex,
      trimmed.utf8.index(after: at) != trimmed.endIndex
    else { return nil }
    description = String(
      decoding: trimmed.utf8.map { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) ? $0 | 0x20 : $0 },
      as: UTF8.self)
  }
}

/// What lets an account's holder in.
public struct SignIn: Sendable, Equatable {
  public let email: EmailAddress
  public let password: PasswordHash

  public init(email: EmailAddress, password: PasswordHash) {
    self.email = email
    self.password = password
  }
}

/// A password as it is kept: scrypt (RFC 7914) with a salt of its own.
///
/// Making and checking one takes a tenth of a second or so and 16 MiB, on purpose: it is never done on an event loop.
public struct PasswordHash: Sendable, Equatable {
  /// How long a password may be, in bytes of UTF-8.
  public static let lengths = 10...512

  /// `scrypt$N$r$p$salt$hash`, salt and hash in hexadecimal.
  public let text: String

  /// Nobody's: no password matches it, and finding that out takes as long as with any other. For email addresses that are
  /// not known, which must not be told from those that are.
  public static let nobodys = PasswordHash(
    text: "scrypt$\(Cost.current.rounds)$\(Cost.current.blockSize)$\(Cost.current.parallelism)$"
      + String(repeating: "0", count: 32) + "$" + String(repeating: "0", count: 64))

  /// What is stored.
  public init(text: String) { self.text = text }

  /// A new password's, with a salt of its own.
  ///
  /// - Throws: ``NoPasswordHash``; a ``StoreFailure`` if the random source has failed.
  public init(of password: String) throws {
    let salt = try RandomSource.system.bytes(16)
    let hash = try Cost.current.derive(password, salt: salt)
    text =
      "scrypt$\(Cost.current.rounds)$\(Cost.current.blockSize)$\(Cost.current.parallelism)$\(hex(salt))$\(hex(hash))"
  }

  /// Whether it was made of this password, in a time that says nothing of the password or the hash.
  ///
  /// - Throws: as ``init(of:)``, and for a text that is no such hash.
  public func matches(_ password: String) throws -> Bool {
    let parts = text.split(separator: "$", omittingEmptySubsequences: false)
    guard parts.count == 6, parts[0] == "scrypt", let rounds = Int(parts[1]), let blockSize = Int(parts[2]),
      let parallelism = Int(parts[3]), let salt = bytes(hex: parts[4]), let hash = bytes(hex: parts[5]), !hash.isEmpty,
      // A gigabyte at the most, whatever the text says.
      (2...1 << 20).contains(rounds), (1...8).contains(blockSize), (1...16).contains(parallelism)
    else { throw UnreadablePasswordHash() }
    let cost = Cost(rounds: rounds, blockSize: blockSize, parallelism: parallelism)
    return SymmetricKey(data: try cost.derive(password, salt: salt, size: hash.count)) == SymmetricKey(data: hash)
  }

  /// How much work a guess is.
  private struct Cost {
    var rounds: Int
    var blockSize: Int
    var parallelism: Int

    /// One of the settings that OWASP's Password Storage Cheat Sheet holds equal: N 2^14, r 8, p 5, in 16 MiB.
    static let current = Cost(rounds: 1 << 14, blockSize: 8, parallelism: 5)

    private static let isReady = sodium_init() >= 0

    func derive(_ password: String, salt: [UInt8], size: Int = 32) throws -> [UInt8] {
      // Typed with or without composed characters, it is the same password.
      let text = Array(password.precomposedStringWithCanonicalMapping.utf8)
      var hash = [UInt8](repeating: 0, count: size)
      guard Self.isReady,
        crypto_pwhash_scryptsalsa208sha256_ll(
          text, text.count, salt, salt.count, UInt64(rounds), UInt32(blockSize), UInt32(parallelism), &hash, size) == 0
      else { throw NoPasswordHash() }
      return hash
    }
  }
}

/// There was no memory for it, or it cannot be computed as the text says.
struct NoPasswordHash: Error {}

/// A stored password hash that no version of this program wrote.
struct UnreadablePasswordHash: Error {}

/// What a signed-in browser holds: 256 random bits. Only their SHA-256 is stored.
public struct SessionToken: Sendable {
  /// 64 hexadecimal characters.
  public let text: String

  /// A new one.
  ///
  /// - Throws: a ``StoreFailure`` if the random source has failed.
  public init() throws(StoreFailure) { text = hex(try RandomSource.system.bytes(32)) }

  /// One that a browser sent; nil for what is none.
  public init?(_ text: String) {
    guard text.utf8.count == 64, bytes(hex: text) != nil else { return nil }
    self.text = text
  }

  /// What the token is known by in the store.
  public var digest: Digest { Digest(bytes: Array(SHA256.hash(data: Array(text.utf8)))) }

  /// What forms of this session carry so that nobody else's pages can send them: a keyed hash of the token.
  public var formToken: String {
    let code = HMAC<SHA256>.authenticationCode(for: Array("form".utf8), using: SymmetricKey(data: Array(text.utf8)))
    return hex(Array(code))
  }

  public struct Digest: Hashable, Sendable {
    public let bytes: [UInt8]
    public init(bytes: [UInt8]) { self.bytes = bytes }
  }
}

/// A signed-in browser.
public struct Session: Sendable, Equatable {
  public let digest: SessionToken.Digest
  public let account: AccountID
  public let created: Milliseconds
  public let expires: Milliseconds

  public init(digest: SessionToken.Digest, account: AccountID, created: Milliseconds, expires: Milliseconds) {
    self.digest = digest
    self.account = account
    self.created = created
    self.expires = expires
  }
}

private func hex(_ bytes: [UInt8]) -> String {
  bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}

private func bytes(hex text: some StringProtocol) -> [UInt8]? {
  let digits = Array(text.utf8)
  guard digits.count.isMultiple(of: 2), digits.allSatisfy({ Character(UnicodeScalar($0)).isHexDigit }) else {
    return nil
  }
  return stride(from: 0, to: digits.count, by: 2).compactMap {
    UInt8(String(decoding: digits[$0..<$0 + 2], as: UTF8.self), radix: 16)
  }
}
