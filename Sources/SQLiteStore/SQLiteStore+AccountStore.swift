import Fairness
import Foundation
import GRDB
import Ledger

extension SQLiteStore: AccountStore {
  // MARK: Accounts

  public func createAccount(name: String, dailyQuota: Int?, signIn: SignIn?) async throws -> Account {
    try await change { [self] db in
      let account = try insertAccount(name: name, dailyQuota: dailyQuota, db)
      if let signIn { try Self.set(signIn, of: account.id, db) }
      return account
    }
  }

  public func account(_ id: AccountID) async throws -> Account? {
    try await read { try Self.account(id, $0) }
  }

  public func account(named name: String) async throws -> Account? {
    try await read { try Self.account(named: name, $0) }
  }

  private static func account(_ id: AccountID, _ db: Database) throws -> Account? {
    try Row.fetchOne(db, sql: "SELECT * FROM accounts WHERE id = ? AND deleted IS NULL", arguments: [id.rawValue])
      .map(Account.init(row:))
  }

  /// - Throws: ``AdministrationError/noAccount(_:)``.
  static func existingAccount(_ id: AccountID, _ db: Database) throws -> Account {
    guard let account = try account(id, db) else { throw AdministrationError.noAccount(id) }
    return account
  }

  public func setSignIn(_ signIn: SignIn, of account: AccountID, keeping: SessionToken.Digest?) async throws {
    try await change(concernsGroups: false) { db in
      _ = try Self.existingAccount(account, db)
      try Self.set(signIn, of: account, db)
      try db.execute(
        sql: "DELETE FROM sessions WHERE account_id = ? AND digest != ?",
        arguments: [account.rawValue, Data(keeping?.bytes ?? [])])
    }
  }

  private static func set(_ signIn: SignIn, of account: AccountID, _ db: Database) throws {
    let holder = try Int64.fetchOne(
      db, sql: "SELECT account_id FROM sign_ins WHERE email = ?", arguments: [signIn.email.description])
    guard holder == nil || holder == account.rawValue else { throw AdministrationError.emailTaken }
    try db.execute(
      sql: """
        INSERT INTO sign_ins (account_id, email, password) VALUES (?, ?, ?)
        ON CONFLICT (account_id) DO UPDATE SET email = excluded.email, password = excluded.password
        """, arguments: [account.rawValue, signIn.email.description, signIn.password.text])
  }

  public func signIn(email: EmailAddress) async throws -> (account: AccountID, signIn: SignIn)? {
    try await read { db in
      try Row.fetchOne(db, sql: "SELECT * FROM sign_ins WHERE email = ?", arguments: [email.description])
        .map { (AccountID($0["account_id"]), try SignIn(row: $0)) }
    }
  }

  public func signIn(of account: AccountID) async throws -> SignIn? {
    try await read { db in
      try Row.fetchOne(db, sql: "SELECT * FROM sign_ins WHERE account_id = ?", arguments: [account.rawValue])
        .map(SignIn.init(row:))
    }
  }

  public func deleteAccount(_ id: AccountID) async throws {
    try await change { [self] db in
      _ = try Self.existingAccount(id, db)
      func run(_ sql: String) throws { try db.execute(sql: sql, arguments: ["account": id.rawValue]) }
      try db.execute(
        sql: "UPDATE accounts SET name = char(10) || id, daily_quota = NULL, deleted = ? WHERE id = ?",
        arguments: [clock(), id.rawValue])
      try run("DELETE FROM sign_ins WHERE account_id = :account")
      try run("DELETE FROM sessions WHERE account_id = :account")
      try run("DELETE FROM key_activity WHERE key_id IN (SELECT id FROM api_keys WHERE account_id = :account)")
      // No key has such a hash, and none is found by an empty prefix.
      try db.execute(
        sql: """
          UPDATE api_keys SET hash = CAST('deleted ' || id AS BLOB), name = '', prefix = '', allowed_networks = '',
            allowed_referers = '', revoked = coalesce(revoked, ?) WHERE account_id = ?
          """, arguments: [clock(), id.rawValue])
      // Deliveries that are under way may still report what became of them; the sweep takes them all.
      try db.execute(
        sql: """
          UPDATE webhook_endpoints SET url = '', sealed_secret = x'', sealed_old_secret = NULL, disabled_reason = NULL,
            deleted = coalesce(deleted, ?) WHERE account_id = ?
          """, arguments: [clock(), id.rawValue])
      try run(
        """
        INSERT INTO usage (account_id, day, endpoint, count)
        SELECT 0, day, endpoint, count FROM usage WHERE account_id = :account
        ON CONFLICT DO UPDATE SET count = count + excluded.count
        """)
      try run("DELETE FROM usage WHERE account_id = :account")
    }
  }

  // MARK: Sessions

  public func createSession(_ session: Session) async throws {
    try await change(concernsGroups: false) { db in
      _ = try Self.existingAccount(session.account, db)
      try db.execute(
        sql: "INSERT INTO sessions (digest, account_id, created, expires) VALUES (?, ?, ?, ?)",
        arguments: [Data(session.digest.bytes), session.account.rawValue, session.created, session.expires])
    }
  }

  public func session(_ digest: SessionToken.Digest, at now: Milliseconds) async throws -> Session? {
    try await read { db in
      try Row.fetchOne(
        db, sql: "SELECT account_id, created, expires FROM sessions WHERE digest = ? AND expires > ?",
        arguments: [Data(digest.bytes), now]
      ).map { Session(digest: digest, account: AccountID($0[0]), created: $0[1], expires: $0[2]) }
    }
  }

  public func endSession(_ digest: SessionToken.Digest) async throws {
    try await change(concernsGroups: false) { db in
      try db.execute(sql: "DELETE FROM sessions WHERE digest = ?", arguments: [Data(digest.bytes)])
    }
  }

  public func sweepSessions(at now: Milliseconds) async throws -> Bool {
    let limit = 500
    // Most of the time nothing has expired, and to find that out takes no lock.
    let due = try await read { db in
      try Bool.fetchOne(db, sql: "SELECT EXISTS (SELECT 1 FROM sessions WHERE expires <= ?)", arguments: [now]) ?? false
    }
    guard due else { return false }
    return try await change(concernsGroups: false) { db in
      try db.execute(
        sql: "DELETE FROM sessions WHERE digest IN (SELECT digest FROM sessions WHERE expires <= ? LIMIT ?)",
        arguments: [now, limit])
      return db.changesCount == limit
    }
  }

  // MARK: Keys

  public func keys(of account: AccountID) async throws -> [KeyReport] {
    try await read { db in
      try Row.fetchAll(
        db,
        sql: """
          SELECT k.*, u.last_used, u.denied, u.last_denied
          FROM accounts a JOIN api_keys k ON k.account_id = a.id LEFT JOIN key_activity u ON u.key_id = k.id
          WHERE a.id = ? AND a.deleted IS NULL ORDER BY k.id
          """, arguments: [account.rawValue]
      ).map(KeyReport.init(row:))
    }
  }

  public func createKey(_ key: NewAPIKey, of account: AccountID) async throws -> APIKeyRecord {
    try await change { [self] db in
      _ = try Self.existingAccount(account, db)
      return try insert(key, of: account, db)
    }
  }

  public func revokeKey(_ id: KeyID, of account: AccountID) async throws -> APIKeyRecord {
    try await change { [self] db in
      let holder = try Int64.fetchOne(
        db,
        sql: """
          SELECT a.id FROM api_keys k JOIN accounts a ON a.id = k.account_id WHERE k.id = ? AND a.deleted IS NULL
          """, arguments: [id.rawValue])
      guard holder == account.rawValue else { throw AdministrationError.unknownKey(String(id.rawValue)) }
      return try revoke(id, db)
    }
  }

  public func record(_ activity: [KeyID: KeyActivity]) async throws {
    guard !activity.isEmpty else { return }
    try await change(concernsGroups: false) { db in
      let add = try db.cachedStatement(
        sql: """
          INSERT INTO key_activity (key_id, last_used, denied, last_denied)
          SELECT k.id, ?2, ?3, ?4 FROM api_keys k JOIN accounts a ON a.id = k.account_id
          WHERE k.id = ?1 AND a.deleted IS NULL
          ON CONFLICT (key_id) DO UPDATE SET
            last_used = max(coalesce(last_used, excluded.last_used), coalesce(excluded.last_used, last_used)),
            denied = denied + excluded.denied,
            last_denied = max(coalesce(last_denied, excluded.last_denied), coalesce(excluded.last_denied, last_denied))
          """)
      for (key, activity) in activity {
        try add.execute(arguments: [key.rawValue, activity.lastUsed, activity.denied, activity.lastDenied])
      }
    }
  }

  // MARK: Draws

  public func usage(of account: AccountID, days: ClosedRange<Day>) async throws -> [DailyUsage] {
    guard account != .anonymous else { return [] }
    return try await read { db in
      try Row.fetchAll(
        db,
        sql: """
          SELECT day, endpoint, count FROM usage
          WHERE account_id = ? AND day BETWEEN ? AND ? AND count > 0 ORDER BY day DESC, endpoint
          """, arguments: [account.rawValue, days.lowerBound.number, days.upperBound.number]
      ).map { row in
        guard let endpoint = Endpoint(rawValue: row[1]) else { throw StoreFailure("usage of an unknown endpoint") }
        return DailyUsage(day: Day(number: row[0]), endpoint: endpoint, count: row[2])
      }
    }
  }

  public func chains(
    of account: AccountID, prefix: [UInt8], after: (key: KeyID, clientSeed: ClientSeed)?, limit: Int
  ) async throws -> [ChainReport] {
    let end = ClientSeed.end(ofPrefix: prefix)
    return try await read { db in
      let keys = try Self.liveKeys(of: account, from: after?.key, db)
      var found: [ChainReport] = []
      for key in keys where found.count < limit {
        let after = after.flatMap { $0.key == key ? $0.clientSeed.bytes : nil }
        let rows = try Row.fetchAll(
          db.cachedStatement(
            sql: """
              SELECT client_seed, server_hash, cursor, nonce, created FROM chains
              WHERE owner_id = ?1 AND client_seed >= ?2 AND client_seed > ?3 AND (?4 IS NULL OR client_seed < ?4)
              ORDER BY client_seed LIMIT ?5
              """),
          arguments: [key.rawValue, Data(prefix), Data(after ?? []), end.map { Data($0) }, limit - found.count])
        for row in rows {
          found.append(
            ChainReport(
              key: key, clientSeed: try ClientSeed(row[0] as Data),
              serverHash: try ServerHash(bytes: Array(row[1] as Data)), cursor: row[2], nonce: row[3], created: row[4]))
        }
      }
      return found
    }
  }

  /// An account's live keys, those that are revoked too, in the order they were made.
  private static func liveKeys(of account: AccountID, from first: KeyID?, _ db: Database) throws -> [KeyID] {
    guard try Self.account(account, db) != nil else { return [] }
    return try Int64.fetchAll(
      db, sql: "SELECT id FROM api_keys WHERE account_id = ? AND mode = ? AND id >= ? ORDER BY id",
      arguments: [account.rawValue, Mode.live.rawValue, first?.rawValue ?? 0]
    ).map(KeyID.init)
  }

  public func revealedOutcomes(
    of account: AccountID, after: (key: KeyID, chain: Int64)?, limit: Int
  ) async throws -> [(key: KeyID, outcome: Outcome)] {
    try await read { db in
      var found: [(key: KeyID, outcome: Outcome)] = []
      for key in try Self.liveKeys(of: account, from: after?.key, db) where found.count < limit {
        let after = after.flatMap { $0.key == key ? $0.chain : nil }
        let rows = try Row.fetchAll(
          db.cachedStatement(
            sql: """
              SELECT o.id, o.chain_id, o.epoch, o.cursor, o.nonce, o.endpoint, o.value, o.fields, o.items, o.created,
                c.client_seed, c.server_hash, c.trail
              FROM commitments m CROSS JOIN chains c ON c.id = m.chain_id
                CROSS JOIN outcomes o ON o.id = newest_outcome(c.trail)
              WHERE m.owner_id = ? AND m.chain_id > ? AND m.revealed IS NOT NULL ORDER BY m.chain_id LIMIT ?
              """),
          arguments: [key.rawValue, after ?? 0, limit - found.count])
        for row in rows { found.append((key, try Outcome(row, mode: .live))) }
      }
      return found
    }
  }

  public func testOutcomes(
    of account: AccountID, after: (clientSeed: ClientSeed, id: Int64)?, limit: Int
  ) async throws -> [Outcome] {
    try await read { db in
      guard try Self.account(account, db) != nil else { return [] }
      return try Row.fetchAll(
        db,
        sql: """
          SELECT id, 0, 0, 0, 0, endpoint, value, fields, items, created, client_seed, server_hash FROM test_outcomes
          WHERE account_id = ? AND (client_seed, id) > (?, ?) ORDER BY client_seed, id LIMIT ?
          """,
        arguments: [account.rawValue, Data(after?.clientSeed.bytes ?? []), after?.id ?? 0, limit]
      ).map { try Outcome($0, mode: .test) }
    }
  }

  // MARK: Webhooks

  public func webhooks(of account: AccountID) async throws -> [WebhookEndpoint] {
    try await read { try Self.webhooks(of: account, $0) }
  }

  public func createWebhook(url: WebhookURL, secret: WebhookSecret, of account: AccountID) async throws
    -> WebhookEndpoint
  {
    try await change { [self] db in
      _ = try Self.existingAccount(account, db)
      return try insert(url, secret, of: account, db)
    }
  }

  public func deleteWebhook(_ id: WebhookEndpointID, of account: AccountID) async throws {
    try await change { [self] in try delete(Self.webhook(id, of: account, $0), $0) }
  }

  public func setWebhook(_ id: WebhookEndpointID, enabled: Bool, of account: AccountID) async throws -> WebhookEndpoint
  {
    try await change { [self] in try set(Self.webhook(id, of: account, $0), enabled: enabled, $0) }
  }

  public func setWebhookSecret(_ id: WebhookEndpointID, to secret: WebhookSecret, of account: AccountID) async throws {
    try await change(concernsGroups: false) { [self] in try set(Self.webhook(id, of: account, $0), secret, $0) }
  }

  public func createTestDelivery(for id: WebhookEndpointID, of account: AccountID) async throws -> DeliveryID {
    try await change(concernsGroups: false) { [self] in
      try insertTestDelivery(for: Self.webhook(id, of: account, $0), $0)
    }
  }

  public func deliveries(
    of account: AccountID, endpoint: WebhookEndpointID?, state: DeliveryState?, before: DeliveryID?, limit: Int
  ) async throws -> [DeliveryReport] {
    do {
      return try await pool.read {
        try Self.deliveries(of: account, endpoint: endpoint, state: state, before: before, limit: limit, $0)
      }
    } catch let error as AdministrationError {
      throw error
    } catch {
      throw StoreFailure("\(error)")
    }
  }

  public func resendDelivery(_ id: DeliveryID, of account: AccountID) async throws {
    try await change(concernsGroups: false) { [self] in try resend(id, of: account, $0) }
  }
}

extension SignIn {
  fileprivate init(row: Row) throws {
    guard let email = EmailAddress(row["email"] as String) else { throw StoreFailure("a sign-in has no email address") }
    self.init(email: email, password: PasswordHash(text: row["password"]))
  }
}

extension Outcome {
  /// Of id, chain, epoch, cursor, nonce, endpoint, value, fields, items, created, client seed, server hash.
  fileprivate init(_ row: Row, mode: Mode) throws {
    try self.init(
      id: row[0], chain: row[1], epoch: row[2], cursor: row[3], nonce: row[4], endpoint: row[5],
      value: Array(row[6] as Data), fields: Array(row[7] as Data), items: (row[8] as Data?).map(Array.init),
      created: row[9], clientSeed: Array(row[10] as Data), serverHash: Array(row[11] as Data), mode: mode)
  }
}
