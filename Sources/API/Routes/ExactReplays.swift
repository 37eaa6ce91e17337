import Ledger
import Synchronization

/// Answers retries that are the same as the last one to the byte, without taking them apart.
///
/// What two requests have in common is decided by their fingerprints, and answered by the ledger. This only remembers,
/// for a minute, how it answered a retry, under the retry's own bytes: the same bytes have the same fingerprint.
final class ExactReplays: Sendable {
  private struct Entry {
    let reply: Reply
    let learned: ContinuousClock.Instant
  }

  private let entries = Mutex(BoundedCache<Request, Entry>(capacity: 8 << 20))
  private static let memory = Duration.seconds(60)
  /// Longer requests are taken apart as usual; that is a small part of what they cost.
  private static let longest = 1024

  /// A request's bytes, with who sent it.
  struct Request: Hashable {
    private let bytes: [UInt8]

    /// Nil for a request that is too long to be remembered, or of an anonymous caller.
    init?(_ incoming: Incoming, idempotencyKey: String) {
      guard case .key(let key, _, _) = incoming.caller,
        incoming.target.bytes.count + incoming.body.count <= ExactReplays.longest
      else { return nil }
      var bytes: [UInt8] = []
      bytes.reserveCapacity(incoming.target.bytes.count + incoming.body.count + idempotencyKey.utf8.count + 32)
      withUnsafeBytes(of: key.rawValue) { bytes.append(contentsOf: $0) }
      // Neither a method nor a header value nor a target can hold the line feeds between them.
      for part in [incoming.method.rawValue, idempotencyKey] {
        bytes.append(contentsOf: part.utf8)
        bytes.append(0x0A)
      }
      bytes.append(contentsOf: incoming.target.bytes)
      bytes.append(0x0A)
      bytes.append(contentsOf: incoming.body)
      self.bytes = bytes
    }

    var size: Int { bytes.count }

    func hash(into hasher: inout Hasher) {
      bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
    }
  }

  func reply(to request: Request) -> Reply? {
    guard let entry = entries.withLock({ $0.value(for: request) }), .now - entry.learned < Self.memory else {
      return nil
    }
    return entry.reply
  }

  func remember(_ reply: Reply, for request: Request) {
    entries.withLock {
      $0.insert(Entry(reply: reply, learned: .now), for: request, cost: 256 + request.size + reply.body.count)
    }
  }
}
