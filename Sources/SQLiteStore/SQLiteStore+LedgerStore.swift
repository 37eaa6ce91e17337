import Ledger
import SQLStore

extension SQLiteStore {
  public var concurrentGroups: Int { 1 }

  public func apply(
    _ needs: Needs, overlapping: Bool, deciding decide: (Snapshot) -> Decision
  ) throws(StoreFailure) -> Decision {
    try failing { try pool.writeWithoutTransaction { _ in try writer.settle(needs, deciding: decide) } }
  }

  public func flush(_ applied: Decision) throws(StoreFailure) { try log.waitUntilDurable(applied.group) }

  public func sweepExpiredRecords(keeping retention: IdempotencyRetention) throws(StoreFailure) -> Bool {
    let limit = 500
    return try write { try $0.sweepExpired(keeping: retention, limit: limit) }
  }

  public func probe() throws(StoreFailure) {
    try write { try $0.probe() }
  }

  public func checkPlace() throws(StoreFailure) { try file.check() }

  public func ping() async throws(StoreFailure) {
    _ = try await read { try $0.row("SELECT count(*) FROM meta") }
  }

  public func size() async throws(StoreFailure) -> Int64 {
    try await read {
      try $0.row("SELECT page_count * page_size AS size FROM pragma_page_count(), pragma_page_size()")?.integer("size")
        ?? 0
    }
  }
}
