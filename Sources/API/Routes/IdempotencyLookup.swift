import HTTPTypes
import Ledger

/// Finds out what became of a request that was sent under an idempotency key.
package struct IdempotencyLookup: Sendable {
  private let store: any LedgerStore
  package let retention: IdempotencyRetention

  /// A stored response, and the request that it answered.
  package struct Found: Sendable {
    package let method: HTTPRequest.Method
    package let path: String
    package let reply: Reply
    package let created: Milliseconds
    /// Nil for ever.
    package let expires: Milliseconds?
  }

  package init(store: any LedgerStore, retention: IdempotencyRetention) {
    self.store = store
    self.retention = retention
  }

  /// - Returns: nil if no response is stored, or it has expired.
  package func find(_ scope: IdempotencyScope, _ context: FairdrawContext) async throws(Refusal) -> Found? {
    let record = try await context.reading { () throws(StoreFailure) in try await store.idempotencyRecord(scope) }
    guard let record, !retention.isOver(record.created, at: LedgerWriter.wallClock()) else { return nil }
    guard let request = IdempotentRequests.request(record.request) else {
      throw context.refusal(
        for: .damaged("an idempotency record of account \(scope.account.rawValue) is of no known request"))
    }
    return Found(
      method: request.method, path: request.path, reply: record.reply, created: record.created,
      expires: retention.end(of: record.created))
  }
}
