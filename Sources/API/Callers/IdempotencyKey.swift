import Ledger

/// What a request's `Idempotency-Key` headers say.
package enum IdempotencyKey {
  private static let lengths = 1...255

  /// - Parameter headers: their values, in order.
  /// - Returns: nil if there is none.
  /// - Throws: a 400 for several, or for one that cannot be a key.
  package static func read(_ headers: [String]) throws(Refusal) -> [UInt8]? {
    guard let key = headers.first.map({ Array($0.utf8) }) else { return nil }
    guard headers.count == 1, lengths.contains(key.count), key.allSatisfy({ (0x21...0x7E).contains($0) }) else {
      throw .invalid("Idempotency-Key", "must be given once and be 1 to 255 visible ASCII characters")
    }
    return key
  }
}
