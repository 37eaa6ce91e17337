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
      throw StoreFailure("\(error)")
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
          "state = 2, due = NULL, attempts = attempts + 1, expires = ?", [now + DeliveryRetention.delivered],
          anyClaim: true)
      case .retry(let at): try update("due = ?, attempts = attempts + 1", [at])
      case .dead:
        try update("state = 3, due = NULL, attempts = attempts + 1, expires = ?", [now + DeliveryRetention.dead])
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
            SELECT ?1, coalesce((SELECT max(number) FROM delivery_attempts WHERE delivery_id = ?1), 0) + 1, ?, ?, ?, ?, ?
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
                   o.chain_id, o.epoch, o.cursor, o.nonce, o.endpoint, o.value, o.fields, o.created, c.client_seed,
                   coalesce((SELECT r.server_hash FROM revealed_seeds r
                             WHERE r.chain_id = o.chain_id AND r.epoch = o.epoch), c.server_hash)
            FROM deliveries d
              LEFT JOIN outcomes o ON o.id = d.outcome_id LEFT JOIN chains c ON c.id = o.chain_id
            WHERE d.endpoint_id = ? AND d.due <= ? ORDER BY d.due LIMIT ?
            """), arguments: [endpoint, now, count])
      while bytes < claim.bytes, let row = try rows.next() {
        let delivery = ClaimedDelivery(
          id: DeliveryID(row[0]), target: target, event: try Self.event(row), created: row[1], since: row[2] ?? row[1],
          attempts: row[3], claim: .random(in: 1 ... .max))
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

  private static func event(_ row: Row) throws -> DeliveryEvent {
    guard let outcome = row[4] as Int64? else { return .test }
    guard let chain = row[5] as Int64? else { throw StoreFailure("outcome \(outcome) is not there") }
    return .outcome(
      try Outcome(
        id: outcome, chain: chain, epoch: row[6], cursor: row[7], nonce: row[8], endpoint: row[9],
        value: Array(row[10] as Data), fields: Array(row[11] as Data), items: nil, created: row[12],
        clientSeed: Array(row[13] as Data), serverHash: Array(row[14] as Data), mode: .live))
  }

  private func target(_ id: WebhookEndpointID, _ db: Database, _ now: Milliseconds) throws -> WebhookTarget {
    guard
      let row = try Row.fetchOne(
        db.cachedStatement(
          sql: "SELECT url, sealed_secret, sealed_old_secret, old_expires FROM webhook_endpoints WHERE id = ?"),
        arguments: [id.rawValue]), let url = WebhookURL(row[0] as String)
    else { throw StoreFailure("webhook \(id.rawValue) has no usable URL") }
    let context = WebhookSecret.sealingContext(endpoint: id)
    var secrets = [WebhookSecret(bytes: try vault.open(Array(row[1] as Data), context: context))]
    if let old = row[2] as Data?, let expires = row[3] as Int64?, now < expires {
      secrets.append(WebhookSecret(bytes: try vault.open(Array(old), context: context)))
    }
    return WebhookTarget(endpoint: id, url: url, secrets: secrets)
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
      throw StoreFailure("\(error)")
    }
  }

  // MARK: The operator's side

  public func createWebhook(url: WebhookURL, secret: WebhookSecret, forAccountNamed name: String) throws
    -> WebhookEndpoint
  {
    try administer { try insert(url, secret, of: Self.existingAccount(named: name, $0), $0) }
  }

  func insert(_ url: WebhookURL, _ secret: WebhookSecret, of account: AccountID, _ db: Database) throws
    -> WebhookEndpoint
  {
    guard try Self.webhooks(of: account, db).count < maximumWebhooks else {
      throw AdministrationError.tooManyWebhooks(try Self.existingAccount(account, db).name)
    }
    let id = try Int64.fetchOne(db, sql: "SELECT coalesce(max(id), 0) + 1 FROM webhook_endpoints") ?? 1
    let sealed = try seal(secret, for: WebhookEndpointID(id))
    try db.execute(
      sql: "INSERT INTO webhook_endpoints (id, account_id, url, sealed_secret, created) VALUES (?, ?, ?, ?, ?)",
      arguments: [id, account.rawValue, url.description, sealed, clock()])
    return try Self.webhook(WebhookEndpointID(id), db)
  }

  private func seal(_ secret: WebhookSecret, for id: WebhookEndpointID) throws -> Data {
    Data(try vault.seal(secret.bytes, context: WebhookSecret.sealingContext(endpoint: id)))
  }

  /// - Parameter account: whose it must be; nil allows anybody's.
  /// - Throws: ``AdministrationError/unknownWebhook(_:)``.
  static func webhook(_ id: WebhookEndpointID, of account: AccountID? = nil, _ db: Database) throws -> WebhookEndpoint {
    guard
      let row = try Row.fetchOne(
        db, sql: "SELECT * FROM webhook_endpoints WHERE id = ? AND deleted IS NULL", arguments: [id.rawValue]),
      try account.map({ try WebhookEndpoint(row: row).account == $0 }) ?? true
    else { throw AdministrationError.unknownWebhook(id) }
    return try WebhookEndpoint(row: row)
  }

  static func webhooks(of account: AccountID, _ db: Database) throws -> [WebhookEndpoint] {
    try Row.fetchAll(
      db, sql: "SELECT * FROM webhook_endpoints WHERE account_id = ? AND deleted IS NULL ORDER BY id",
      arguments: [account.rawValue]
    ).map(WebhookEndpoint.init(row:))
  }

  public func webhooks(ofAccountNamed name: String?) throws -> [(account: String, endpoint: WebhookEndpoint)] {
    try pool.read { db in
      if let name {
        return try Self.webhooks(of: Self.existingAccount(named: name, db), db).map { (name, $0) }
      }
      return try Row.fetchAll(
        db,
        sql: """
          SELECT e.*, a.name AS account_name FROM webhook_endpoints e JOIN accounts a ON a.id = e.account_id
          WHERE e.deleted IS NULL ORDER BY e.id
          """
      ).map { ($0["account_name"], try WebhookEndpoint(row: $0)) }
    }
  }

  public func deleteWebhook(_ id: WebhookEndpointID) throws {
    try administer { try delete(Self.webhook(id, $0), $0) }
  }

  func delete(_ webhook: WebhookEndpoint, _ db: Database) throws {
    try db.execute(
      sql: "UPDATE webhook_endpoints SET deleted = ? WHERE id = ?", arguments: [clock(), webhook.id.rawValue])
  }

  public func setWebhook(_ id: WebhookEndpointID, enabled: Bool) throws -> WebhookEndpoint {
    try administer { try set(Self.webhook(id, $0), enabled: enabled, $0) }
  }

  func set(_ webhook: WebhookEndpoint, enabled: Bool, _ db: Database) throws -> WebhookEndpoint {
    guard webhook.isEnabled != enabled else { return webhook }
    try db.execute(
      sql: "UPDATE webhook_endpoints SET disabled = ?, disabled_reason = ? WHERE id = ?",
      arguments: [enabled ? nil : clock(), enabled ? nil : "by its operator", webhook.id.rawValue])
    return try Self.webhook(webhook.id, db)
  }

  public func setWebhookSecret(_ id: WebhookEndpointID, to secret: WebhookSecret) throws {
    try administer { try set(Self.webhook(id, $0), secret, $0) }
  }

  func set(_ webhook: WebhookEndpoint, _ secret: WebhookSecret, _ db: Database) throws {
    let present = try Data.fetchOne(
      db, sql: "SELECT sealed_secret FROM webhook_endpoints WHERE id = ?", arguments: [webhook.id.rawValue])
    let context = WebhookSecret.sealingContext(endpoint: webhook.id)
    if let present, try vault.open(Array(present), context: context) == secret.bytes { return }
    try db.execute(
      sql: """
        UPDATE webhook_endpoints SET sealed_old_secret = sealed_secret, old_expires = ?, sealed_secret = ? WHERE id = ?
        """,
      arguments: [clock() + WebhookSecret.overlap, try seal(secret, for: webhook.id), webhook.id.rawValue])
  }

  public func createTestDelivery(for id: WebhookEndpointID) throws -> DeliveryID {
    try administer { try insertTestDelivery(for: Self.webhook(id, $0), $0) }
  }

  func insertTestDelivery(for webhook: WebhookEndpoint, _ db: Database) throws -> DeliveryID {
    guard webhook.isEnabled else { throw AdministrationError.webhookDisabled(webhook.id) }
    let now = clock()
    try db.execute(
      sql: "INSERT INTO deliveries (endpoint_id, created, due) VALUES (?, ?, ?)",
      arguments: [webhook.id.rawValue, now, now])
    return DeliveryID(db.lastInsertedRowID)
  }

  public func deliveries(ofAccountNamed name: String?, state: DeliveryState?, limit: Int) throws -> [DeliveryReport] {
    try pool.read { db in
      if let name {
        let account = try Self.existingAccount(named: name, db)
        return try Self.deliveries(of: account, endpoint: nil, state: state, before: nil, limit: limit, db)
      }
      return try Self.reports(
        "(?1 IS NULL OR d.state = ?1) ORDER BY d.id DESC LIMIT ?2", [state?.rawValue, limit], db)
    }
  }

  static func deliveries(
    of account: AccountID, endpoint: WebhookEndpointID?, state: DeliveryState?, before: DeliveryID?, limit: Int,
    _ db: Database
  ) throws -> [DeliveryReport] {
    let endpoints =
      if let endpoint { [try webhook(endpoint, of: account, db)] } else { try webhooks(of: account, db) }
    // Each endpoint's newest by the index; of those, the newest of all.
    let found = try endpoints.flatMap {
      try reports(
        """
        d.endpoint_id = ?1 AND d.id < ?2 AND (?3 IS NULL OR d.state = ?3) ORDER BY d.id DESC LIMIT ?4
        """, [$0.id.rawValue, before?.rawValue ?? .max, state?.rawValue, limit], db)
    }
    return Array(found.sorted { $0.id > $1.id }.prefix(limit))
  }

  private static func reports(_ condition: String, _ arguments: StatementArguments, _ db: Database) throws
    -> [DeliveryReport]
  {
    try Row.fetchAll(
      db,
      sql: """
        SELECT d.id, d.endpoint_id, a.name, e.url, d.outcome_id, d.state, d.created, d.due
        FROM deliveries d CROSS JOIN webhook_endpoints e ON e.id = d.endpoint_id JOIN accounts a ON a.id = e.account_id
        WHERE e.deleted IS NULL AND \(condition)
        """, arguments: arguments
    ).map { row in
      let attempts = try Row.fetchAll(
        db.cachedStatement(
          sql: "SELECT at, status, latency, error, answer FROM delivery_attempts WHERE delivery_id = ? ORDER BY number"),
        arguments: [row[0] as Int64])
      guard let state = DeliveryState(rawValue: row[5]) else { throw StoreFailure("a delivery is in no known state") }
      return DeliveryReport(
        id: DeliveryID(row[0]), endpoint: WebhookEndpointID(row[1]), account: row[2], url: row[3], outcome: row[4],
        state: state, created: row[6], due: row[7],
        attempts: attempts.map {
          DeliveryAttempt(at: $0[0], status: $0[1], latency: $0[2], error: $0[3], answer: Array($0[4] as Data))
        })
    }
  }

  public func resendDelivery(_ id: DeliveryID) throws {
    try administer { try resend(id, of: nil, $0) }
  }

  /// - Parameter account: whose it must be; nil allows anybody's.
  func resend(_ id: DeliveryID, of account: AccountID?, _ db: Database) throws {
    let endpoint = try Int64.fetchOne(
      db, sql: "SELECT endpoint_id FROM deliveries WHERE id = ?", arguments: [id.rawValue])
    guard let endpoint else { throw AdministrationError.unknownDelivery(id) }
    let webhook: WebhookEndpoint
    do {
      webhook = try Self.webhook(WebhookEndpointID(endpoint), of: account, db)
    } catch AdministrationError.unknownWebhook {
      throw AdministrationError.unknownDelivery(id)
    }
    guard webhook.isEnabled else { throw AdministrationError.webhookDisabled(webhook.id) }
    let now = clock()
    try db.execute(
      sql: """
        UPDATE deliveries SET state = 1, due = ?1, resent = ?1, attempts = 0, claim = NULL, expires = NULL WHERE id = ?2
        """, arguments: [now, id.rawValue])
  }
}

extension WebhookEndpoint {
  fileprivate init(row: Row) throws {
    guard let url = WebhookURL(row["url"] as String) else { throw StoreFailure("a webhook has no usable URL") }
    self.init(
      id: WebhookEndpointID(row["id"]), account: AccountID(row["account_id"]), url: url,
      isEnabled: (row["disabled"] as Int64?) == nil, disabledReason: row["disabled_reason"], created: row["created"])
  }
}
