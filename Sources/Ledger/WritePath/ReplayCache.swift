import Synchronization

/// Remembers recent answers, so that a retry seldom has to ask the store.
///
/// Only what is durable goes in, and a stored answer never changes, so an entry can be stale in one way alone: by
/// expiring. What is not here may still be in the store.
final class ReplayCache: Sendable {
  private let records: Mutex<BoundedCache<IdempotencyScope, IdempotencyRecord>>
  private let retention: IdempotencyRetention

  /// - Parameter capacity: how many bytes of records to keep, about.
  init(capacity: Int, retention: IdempotencyRetention) {
    records = Mutex(BoundedCache(capacity: capacity))
    self.retention = retention
  }

  func insert(_ record: IdempotencyRecord) {
    records.withLock { $0.insert(record, for: record.scope, cost: Self.cost(record)) }
  }

  /// The answer `claim` is owed, if it is known here: what was answered before, or that the key was used for something else.
  func reply(to claim: IdempotencyClaim, now: Milliseconds) -> Reply? {
    guard let record = records.withLock({ $0.value(for: claim.scope) }), !retention.isOver(record.created, at: now)
    else { return nil }
    return record.fingerprint == claim.fingerprint ? record.reply.replayed : Reply(.idempotencyConflict)
  }

  /// What a record takes in memory: its bytes, and about 256 for the arrays and dictionary slots that hold them.
  private static func cost(_ record: IdempotencyRecord) -> Int {
    256 + record.reply.body.count + record.scope.key.count
  }
}
