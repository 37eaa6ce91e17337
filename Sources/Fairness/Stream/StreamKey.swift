/// HMAC-SHA256 keyed with a server seed, ready for any number of draws.
///
/// Keying costs two compressions; one key per seed chain, kept, saves them on every draw. A key is as
/// secret as its seed.
public struct StreamKey: Sendable {
  // RFC 2104 spelled out: what is the same for all messages is computed once.
  let inner: SHA256State
  private let outer: SHA256State

  public init(_ seed: ServerSeed) {
    // The seed's 64 characters are exactly one SHA-256 block, so they are the padded key as they are.
    precondition(seed.ascii.count == 64)
    inner = Self.state(afterAbsorbing: seed.ascii, mask: 0x36)
    outer = Self.state(afterAbsorbing: seed.ascii, mask: 0x5c)
  }

  private static func state(afterAbsorbing key: [UInt8], mask: UInt8) -> SHA256State {
    var state = SHA256State()
    key.map { $0 ^ mask }.withUnsafeBytes { state.update($0) }
    return state
  }

  /// Ends an HMAC whose message was absorbed into a copy of ``inner``.
  func finish(_ message: consuming SHA256State) -> LogDigest {
    var state = outer
    message.digest().withBytes { state.update($0) }
    return state.digest()
  }
}
