import Ledger

/// What a request's `Idempotency-Key` headers say.
package enum IdempotencyKey {
  private static let lengths = 1...255

  /// - Parameter headers: their values, in order.
  /// - Returns: nil if there is none.
  /// - Throws: a 400 for several, or for one that cannot be a key.
  package static func read(_ headers: [String]) throws(Refusal) -> [UInt8]? {
    guard let header = headers.first else { return nil }
    guard headers.count == 1, let key = key(Array(header.utf8)) else {
      throw .invalid(
        "Idempotency-Key", "must be given once and be 1 to 255 visible ASCII characters, with or without double quotes")
    }
    return key
  }

  /// The key that `text` spells; nil if it spells none. In double quotes, as a string of RFC 9651, it is the same as
  /// without; `\"` and `\\` then stand for a quote and a backslash.
  package static func key(_ text: [UInt8]) -> [UInt8]? {
    guard let key = text.first == quote ? unquoted(text.dropFirst()) : text else { return nil }
    guard lengths.contains(key.count), key.allSatisfy({ (0x21...0x7E).contains($0) }) else { return nil }
    return key
  }

  private static let quote = UInt8(ascii: "\"")
  private static let backslash = UInt8(ascii: "\\")

  /// What stands before the closing quote, which must be the last character.
  private static func unquoted(_ text: ArraySlice<UInt8>) -> [UInt8]? {
    var key: [UInt8] = []
    key.reserveCapacity(text.count)
    var rest = text
    while let byte = rest.popFirst() {
      switch byte {
      case quote: return rest.isEmpty ? key : nil
      case backslash:
        guard let escaped = rest.popFirst(), escaped == quote || escaped == backslash else { return nil }
        key.append(escaped)
      default: key.append(byte)
      }
    }
    return nil
  }
}
