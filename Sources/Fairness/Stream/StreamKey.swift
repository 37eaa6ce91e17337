import Crypto

/// HMAC-SHA256 keyed with a server seed, ready for any number of draws.
///
/// Keying costs two compressions; one key per seed chain, kept, saves them on every draw. A key is as
/// secret as its seed.
public struct StreamKey: Sendable {
  // RFC 2104 spelled out on two concrete `SHA256` states: a copied `HMAC<SHA256>`, which is generic code in
  // another module, takes 1.7 times as long for one block.
  let inner: SHA256
  private let outer: SHA256

  public init(_ seed: ServerSeed) {
    // The seed's 64 characters are exactly one SHA-256 block, so they are the padded key as they are.
    precondition(seed.ascii.count == SHA256.blockByteCount)
    inner = Self.state(afterAbsorbing: seed.ascii, mask: 0x36)
    outer = Self.state(afterAbsorbing: seed.ascii, mask: 0x5c)
  }

  private static func state(afterAbsorbing key: [UInt8], mask: UInt8) -> SHA256 {
    var state = SHA256()
    state.update(data: key.map { $0 ^ mask })
    return state
  }

  /// Ends an HMAC whose message was absorbed into a copy of ``inner``.
  func finish(_ message: consuming SHA256) -> SHA256Digest {
    var state = outer
    message.finalize().withUnsafeBytes { state.update(bufferPointer: $0) }
    return state.finalize()
  }
}
