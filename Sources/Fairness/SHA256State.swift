import CNettle

/// A SHA-256 (FIPS 180-4) that is being computed.
///
/// It lies where it is used, 112 bytes without memory of their own, and a copy goes on by itself. Two or three of them are
/// computed for every draw and every entry of the log; a state that is an object takes twice as long for so few bytes.
struct SHA256State: Sendable {
  private var context = sha256_ctx()

  init() { nettle_sha256_init(&context) }

  /// Adds bytes to those that the digest is of.
  mutating func update(_ bytes: UnsafeRawBufferPointer) {
    guard let start = bytes.baseAddress else { return }
    nettle_sha256_update(&context, bytes.count, start.assumingMemoryBound(to: UInt8.self))
  }

  /// The digest of all that was added.
  consuming func digest() -> LogDigest {
    var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    withUnsafeMutableBytes(of: &words) {
      fairdraw_sha256_digest(&context, $0.baseAddress?.assumingMemoryBound(to: UInt8.self))
    }
    return LogDigest(words)
  }
}
