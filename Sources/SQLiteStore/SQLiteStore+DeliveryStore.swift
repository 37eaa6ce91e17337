import Fairness
import Foundation
import GRDB
import Ledger

extension SQLiteStore: DeliveryStore {
  // MARK: The worker's side

  public func exchange(_ results: [DeliveryResult], for claim: DeliveryClaim?) async throws(StoreFailure)
    -> [ClaimedDelivery]
  {
    // Most of the time nothing is due, and to find that out takes no lock.
    if results.isEmpty {
      guard claim != nil, try await isAnythingDue() else { return [] }
    }
    do {
      return try await pool.write { db in
        let now = clock()
        for result in results { try settle(result, db, now) }
        return try claim.map { try take($0, db, now) } ?? []
      }
    } catch {
      throw StoreFailure(error)
    }
  }

  private static let dueEndpoints = """
    SELECT e.id FROM webhook_endpoints e
    WHERE e.disabled IS NULL AND e.deleted IS NULL
      AND EXISTS (SELECT 1 FROM deliveries d WHERE d.endpoint_id = e.id AND d.due <= ?)
    """

  private func isAnythingDue() async throws(StoreFailure) -> Bool {
    let now = clock()
    return try await read { db in
      try Int64.fetchOne(db.cachedStatement(sql: Self.dueEndpoints + " LIMIT 1"), arguments: [now]) != nil
    }
  }

  /// Counts an attempt; a count that is damaged does not overflow.
  private static let oneMore = "min(max(attempts, 0), 1000000) + 1"

  private func settle(_ result: DeliveryResult, _ db: Database, _ now: Milliseconds) throws {
    func update(_ change: String, _ arguments: StatementArguments, anyClaim: Bool = false) throws -> Bool {
      let condition = anyClaim ? "state != 2" : "state = 1 AND claim = ?"
      try db.cachedStatement(sql: "UPDATE deliveries SET \(change), claim = NULL WHERE id = ? AND \(condition)")
        .execute(
          arguments: arguments + [result.delivery.rawValue] + (anyClaim ? [] : [result.claim]))
      return db.changesCount > 0
    }
    let counts =
      switch result.verdict {
      case .delivered:
        try update(
          "state = 2, due = NULL, attempts = \(Self.oneMore), expires = ?", [now + DeliveryRetention.delivered],
          anyClaim: true)
      case .retry(let at): try update("due = ?, attempts = \(Self.oneMore)", [at])
      case .dead:
        try update("state = 3, due = NULL, attempts = \(Self.oneMore), expires = ?", [now + DeliveryRetention.dead])
      case .released: try update("due = ?", [now])
      }
    if counts, let attempt = result.attempt { try record(attempt, of: result.delivery, db) }
    if let reason = result.disabling {
      try db.execute(
        sql: "UPDATE webhook_endpoints SET disabled = ?, disabled_reason = ? WHERE id = ? AND disabled IS NULL",
        arguments: [now, reason, result.endpoint.rawValue])
      forgetGroups()
    }
  }

  private func record(_ attempt: DeliveryAttempt, of delivery: DeliveryID, _ db: Database) throws {
    let number =
      try Int64.fetchOne(
        db.cachedStatement(
          sql: """
            INSERT INTO delivery_attempts (delivery_id, number, at, status, latency, error, answer)
            SELECT ?1, coalesce((SELECT max(number) FROM delivery_attempts WHERE delivery_id = ?1 AND number < 1000000000), 0) + 1, ?, ?, ?, ?, ?
            RETURNING number
            """),
        arguments: [
          delivery.rawValue, attempt.at, attempt.status, attempt.latency, attempt.error, Data(attempt.answer),
        ]) ?? 1
    guard number > DeliveryAttempt.kept else { return }
    try db.execute(
      sql: "DELETE FROM delivery_attempts WHERE delivery_id = ? AND number <= ?",
      arguments: [delivery.rawValue, number - Int64(DeliveryAttempt.kept)])
  }

  private func take(_ claim: DeliveryClaim, _ db: Database, _ now: Milliseconds) throws -> [ClaimedDelivery] {
    var claimed: [ClaimedDelivery] = []
    var bytes = 0
    // In a new order each time, so that nobody is always last.
    let endpoints = try Int64.fetchAll(db.cachedStatement(sql: Self.dueEndpoints), arguments: [now]).shuffled()
    for endpoint in endpoints where claimed.count < claim.limit && bytes < claim.bytes {
      let id = WebhookEndpointID(endpoint)
      let count = min(claim.allowances[id] ?? claim.perEndpoint, claim.limit - claimed.count)
      guard count > 0 else { continue }
      let target = try target(id, db, now)
      let rows = try Row.fetchCursor(
        db.cachedStatement(
          sql: """
            SELECT d.id, d.created, d.resent, d.attempts, d.outcome_id,
                   o.chain_id, o.epoch, o.cursor, o.nonce, o.endpoint, o.value, o.fields, o.items, o.created, c.client_seed,
                   coalesce((SELECT r.server_hash FROM revealed_seeds r
                             WHERE r.chain_id = o.chain_id AND r.epoch = o.epoch), c.server_hash)
            FROM deliveries d
              LEFT JOIN outcomes o ON o.id = d.outcome_id LEFT JOIN chains c ON c.id = o.chain_id
            WHERE d.endpoint_id = ? AND d.due <= ? ORDER BY d.due LIMIT ?
            """), arguments: [endpoint, now, count])
      while bytes < claim.bytes, let row = try rows.next() {
        let delivery = ClaimedDelivery(
          id: row[0], target: target, created: row[1], resent: row[2], attempts: row[3], claim: .random(in: 1 ... .max)
        ) { try Self.outcome(row) }
        claimed.append(delivery)
        bytes += delivery.size
      }
    }
    let update = try db.cachedStatement(sql: "UPDATE deliveries SET due = ?, claim = ? WHERE id = ?")
    for delivery in claimed {
      try update.execute(arguments: [now + claim.lease, delivery.claim, delivery.id.rawValue])
    }
    return claimed
  }

  private static func outcome(_ row: Row) throws -> Outcome? {
    guard let outcome = row[4] as Int64? else { return nil }
    guard let chain = row[5] as Int64? else { throw StoreFailure.damaged("outcome \(outcome) is not there") }
    guard let clientSeed = row[14] as Data? else {
      throw StoreFailure.damaged("chain \(chain) of outcome \(outcome) is not there")
    }
    return try Outcome(
      id: outcome, chain: chain, epoch: row[6], cursor: row[7], nonce: row[8], endpoint: row[9],
      stored: row.bytes(10), fields: row.bytes(11), items: row.optionalBytes(12), created: row[13],
      clientSeed: Array(clientSeed), serverHash: row.optionalBytes(15), mode: .live
    ).withoutItems
  }

  private func target(_ id: WebhookEndpointID, _ db: Database, _ now: Milliseconds) throws -> WebhookTarget {
    guard
      let row = try Row.fetchOne(
        db.cachedStatement(sql: "SELECT * FROM webhook_endpoints WHERE id = ?"), arguments: [id.rawValue])
    else { throw StoreFailure("webhook \(id.rawValue) is not there") }
    let old = (row["sealed_old_secret"] as Data?).flatMap { old in
      (row["old_expires"] as Int64?).map { (sealed: Array(old), expires: $0) }
    }
    return WebhookTarget(
      endpoint: WebhookEndpointID(row["id"]), account: AccountID(row["account_id"]), url: row["url"],
      secret: Array(row["sealed_secret"] as Data), oldSecret: old, at: now, vault: vault)
  }

  public func pendingDeliveries() async throws(StoreFailure) -> Int {
    try await read { db in try Int.fetchOne(db, sql: "SELECT count(*) FROM deliveries WHERE due IS NOT NULL") ?? 0 }
  }

  public func sweepDeliveries() async throws(StoreFailure) -> Bool {
    let limit = 500
    do {
      return try await pool.write { db in
        // The last delivery's row stays, so that no number is given out again; so does a deleted endpoint's, until then.
        let doomed = try Int64.fetchAll(
          db,
          sql: """
            SELECT id FROM (
              SELECT id FROM deliveries WHERE expires <= ?1 LIMIT ?2)
            WHERE id < (SELECT max(id) FROM deliveries)
            """, arguments: [clock(), limit])
        for id in doomed {
          try db.cachedStatement(sql: "DELETE FROM delivery_attempts WHERE delivery_id = ?").execute(arguments: [id])
          try db.cachedStatement(sql: "DELETE FROM deliveries WHERE id = ?").execute(arguments: [id])
        }
        // What a deleted endpoint left is taken up bit by bit.
        try db.execute(
          sql: """
            UPDATE deliveries SET due = NULL, state = 3, claim = NULL, expires = 0 WHERE id IN (
              SELECT d.id FROM webhook_endpoints e JOIN deliveries d INDEXED BY deliveries_due ON d.endpoint_id = e.id
              WHERE e.deleted IS NOT NULL AND d.due IS NOT NULL LIMIT ?)
            """, arguments: [limit])
        return doomed.count == limit || db.changesCount == limit
      }
    } catch {
      throw StoreFailure(error)
    }
  }
}
