import Crypto
import HTTPTypes
import Hummingbird
import NIOCore
import Synchronization

extension ResponseBody {
  /// The SHA-256 of a body that is there as a whole: it is written once for this, without being copied.
  func digest() async throws -> SHA256Digest {
    let writer = DigestWriter()
    try await write(writer)
    return writer.state.withLock { $0.finalize() }
  }
}

/// Hashes what is written.
private final class DigestWriter: ResponseBodyWriter, Sendable {
  let state = Mutex(SHA256())

  func write(_ buffer: ByteBuffer) async throws {
    state.withLock { hash in buffer.withUnsafeReadableBytes { hash.update(bufferPointer: $0) } }
  }

  func finish(_ trailingHeaders: HTTPFields?) async throws {}
}
