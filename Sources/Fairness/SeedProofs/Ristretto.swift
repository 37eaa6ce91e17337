import CSodium

/// The group ristretto255 and SHA-512, by libsodium: what ECVRF-RISTRETTO255-SHA512 is made of.
///
/// An element and a scalar are 32 bytes each, encoded as RFC 9496 has it; only canonical encodings get here.
enum Ristretto {
  /// Sets libsodium up. A `static let` is made once, however many threads ask for it first.
  private static let isReady = sodium_init() >= 0

  /// To be called before any other use of libsodium.
  static func prepare() { precondition(isReady, "libsodium cannot be set up: the system gives no random bytes") }

  static let identity = [UInt8](repeating: 0, count: 32)

  /// Whether 32 bytes are the one encoding of an element.
  static func isElement(_ bytes: [UInt8]) -> Bool {
    prepare()
    return crypto_core_ristretto255_is_valid_point(bytes) == 1
  }

  /// Whether 32 bytes are a number below the group's order.
  static func isScalar(_ bytes: [UInt8]) -> Bool {
    var reduced = [UInt8](repeating: 0, count: 32)
    crypto_core_ristretto255_scalar_reduce(&reduced, bytes + identity)
    return reduced == bytes
  }

  /// The element that 64 bytes are mapped to.
  static func element(mapping hash: [UInt8]) -> [UInt8] {
    prepare()
    var element = identity
    crypto_core_ristretto255_from_hash(&element, hash)
    return element
  }

  /// A multiple of an element. Where libsodium refuses, the product is the identity, whose bytes are all 0.
  static func multiply(_ element: [UInt8], by scalar: UnsafePointer<UInt8>) -> [UInt8] {
    prepare()
    var product = identity
    return crypto_scalarmult_ristretto255(&product, scalar, element) == 0 ? product : identity
  }

  /// A multiple of the group's generator; as above.
  static func multiplyGenerator(by scalar: UnsafePointer<UInt8>) -> [UInt8] {
    prepare()
    var product = identity
    return crypto_scalarmult_ristretto255_base(&product, scalar) == 0 ? product : identity
  }

  static func subtract(_ b: [UInt8], from a: [UInt8]) -> [UInt8] {
    var difference = identity
    let status = crypto_core_ristretto255_sub(&difference, a, b)
    precondition(status == 0, "only elements are subtracted")
    return difference
  }

  /// SHA-512 of some parts, one after the other.
  static func hash(_ parts: [UInt8]...) -> [UInt8] {
    var digest = [UInt8](repeating: 0, count: 64)
    let message = Array(parts.joined())
    crypto_hash_sha512(&digest, message, UInt64(message.count))
    return digest
  }
}
