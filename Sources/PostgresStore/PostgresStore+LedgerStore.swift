import Foundation
import Ledger

extension PostgresStore {
  public var concurrentGroups: Int { Self.writers }

  public func apply(
    _ needs: Needs, overlapping: Bool, deciding decide: (Snapshot) -> Decision
  ) throws(StoreFailure) -> Decision {
    let began = ContinuousClock.now
    do {
      return try writing.withSession { session in
        var attempt = 0
        while true {
          do {
            return try groups.settle(needs, overlapping: overlapping, on: session, deciding: decide)
          } catch let failure as PostgresFailure where failure.isWorthAnotherTry {
            attempt += 1
            guard attempt < 8, ContinuousClock.now - began < .seconds(3) else { throw failure }
            // Whoever met whom should not meet again in step.
            usleep(UInt32.random(in: 0..<(1_000 << UInt32(attempt))))
          } catch let failure as PostgresFailure where failure.isLockTimeout {
            attempt += 1
            guard attempt < 3, try groups.findHeld(among: needs, on: session) else {
              // No row of the group's: a table, or what all share.
              throw StoreFailure(failure.description, isOfWholeStore: true)
            }
          }
        }
      }
    } catch {
      throw StoreFailure(error)
    }
  }

  public func flush(_ applied: Decision) throws(StoreFailure) { try groups.flush(applied) }

  public func sweepExpiredRecords(keeping retention: IdempotencyRetention) throws(StoreFailure) -> Bool {
    let limit = 500
    let sweeps: [(PostgresStatement, lifetime: Milliseconds?)] = [
      (.sweep, retention.lifetime), (.sweepCommitments, Commitment.afterlife),
    ]
    return try care { connection in
      let results = try connection.run(
        sweeps.compactMap { statement, lifetime in
          lifetime.map { lifetime in
            Query(statement) {
              $0.bind(self.clock?())
              $0.bind(lifetime)
              $0.bind(Int64(limit))
            }
          }
        })
      return results.contains { $0.affected >= limit }
    }
  }

  public func probe() throws(StoreFailure) {
    var random = SystemRandomNumberGenerator()
    let value = (0..<16).map { _ in UInt8.random(in: 0...255, using: &random) }
    try care { _ = try $0.run([Query(.probe) { $0.bind(value) }]) }
  }

  public func ping() async throws(StoreFailure) {
    try await reading.read { _ = try $0.run([Query(.ping)], timeout: .seconds(2)) }
  }

  public func size() async throws(StoreFailure) -> Int64 {
    try await reading.read { connection in try connection.run([Query(.size)])[0].integer(0, 0) }
  }

  /// Does something of one statement that is not a group's.
  func care<Result>(_ body: (Connection) throws -> Result) throws(StoreFailure) -> Result {
    do {
      return try caring.withSession { try $0.use(body) }
    } catch {
      throw StoreFailure(error)
    }
  }
}

extension PostgresStatement {
  fileprivate static let ping: PostgresStatement = "SELECT count(*) FROM meta"

  fileprivate static let size: PostgresStatement = "SELECT pg_database_size(current_database())"
}
