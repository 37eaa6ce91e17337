import Fairness
import Ledger

extension PostgresStore: AccountStore {
  /// Does something in a transaction, without blocking the caller's thread.
  private func change<Result: Sendable>(
    _ body: @escaping @Sendable (Connection) throws -> Result
  ) async throws -> Result {
    let result: Swift.Result<Result, AdministrationError> = try await delivering.perform { session in
      do {
        return .success(try session.transaction(body))
      } catch let error as AdministrationError {
        return .failure(error)
      }
    }
    return try result.get()
  }

  // MARK: Accounts

  public func createAccount(name: String, dailyQuota: Int?, signIn: SignIn?) async throws -> Account {
    try await change { [self] connection in
      let account = try insertAccount(name: name, dailyQuota: dailyQuota, on: connection)
      if let signIn { try Self.set(signIn, of: account.id, on: connection) }
      return account
    }
  }

  public func account(_ id: AccountID) async throws -> Account? {
    try await reading.read { connection in
      let rows = try connection.run([Query(.findAccount) { $0.bind(id.rawValue) }])[0]
      return rows.count == 1 ? Account(row: 0, of: rows) : nil
    }
  }

  public func account(named name: String) async throws -> Account? {
    try await reading.read { connection in
      let rows = try connection.run([Query(.findAccountByName) { $0.bind(text: name) }])[0]
      return rows.count == 1 ? Account(row: 0, of: rows) : nil
    }
  }

  public func setSignIn(_ signIn: SignIn, of account: AccountID, keeping: SessionToken.Digest?) async throws {
    try await change { connection in
      try Self.hold(account, on: connection)
      try Self.set(signIn, of: account, on: connection)
      try connection.run([
        Query(.endSessions) {
          $0.bind(account.rawValue)
          $0.bind(keeping?.bytes ?? [])
        }
      ])
    }
  }

  private static func set(_ signIn: SignIn, of account: AccountID, on connection: Connection) throws {
    do {
      try connection.run([
        Query(.setSignIn) {
          $0.bind(account.rawValue)
          $0.bind(text: signIn.email.description)
          $0.bind(text: signIn.password.text)
        }
      ])
    } catch let failure as PostgresFailure where failure.state == "23505" {
      throw AdministrationError.emailTaken
    }
  }

  public func signIn(email: EmailAddress) async throws -> (account: AccountID, signIn: SignIn)? {
    try await reading.read { connection in
      let rows = try connection.run([Query(.findSignInByEmail) { $0.bind(text: email.description) }])[0]
      return rows.count == 1 ? (AccountID(rows.integer(0, 0)), try SignIn(row: 0, of: rows)) : nil
    }
  }

  public func signIn(of account: AccountID) async throws -> SignIn? {
    try await reading.read { connection in
      let rows = try connection.run([Query(.findSignIn) { $0.bind(account.rawValue) }])[0]
      return rows.count == 1 ? try SignIn(row: 0, of: rows) : nil
    }
  }

  /// Holds the account, as each group that draws for it does: it goes after the one and before the next.
  public func deleteAccount(_ id: AccountID) async throws {
    try await change { [clock] connection in
      try Self.hold(id, on: connection)
      let now = clock?()
      try connection.run(
        Statement.deleteFromAccount.map { statement in Query(statement) { $0.bind(id.rawValue) } }
          + Statement.emptyAccount.map { statement in
            Query(statement) {
              $0.bind(id.rawValue)
              $0.bind(now)
            }
          })
    }
  }

  // MARK: Sessions

  public func createSession(_ session: Ledger.Session) async throws {
    try await change { connection in
      try Self.hold(session.account, on: connection)
      try connection.run([
        Query(.insertSession) {
          $0.bind(session.digest.bytes)
          $0.bind(session.account.rawValue)
          $0.bind(session.created)
          $0.bind(session.expires)
        }
      ])
    }
  }

  public func session(_ digest: SessionToken.Digest, at now: Milliseconds) async throws -> Ledger.Session? {
    try await reading.read { connection in
      let rows = try connection.run([
        Query(.findSession) {
          $0.bind(digest.bytes)
          $0.bind(now)
        }
      ])[0]
      guard rows.count == 1 else { return nil }
      return Ledger.Session(
        digest: digest, account: AccountID(rows.integer(0, 0)), created: rows.integer(0, 1), expires: rows.integer(0, 2)
      )
    }
  }

  public func endSession(_ digest: SessionToken.Digest) async throws {
    try await change { connection in _ = try connection.run([Query(.endSession) { $0.bind(digest.bytes) }]) }
  }

  public func sweepSessions(at now: Milliseconds) async throws -> Bool {
    let limit = 500
    return try await change { connection in
      let results = try connection.run([
        Query(.sweepSessions) {
          $0.bind(now)
          $0.bind(Int64(limit))
        }
      ])
      return results[0].affected == limit
    }
  }

  // MARK: Keys

  public func keys(of account: AccountID) async throws -> [KeyReport] {
    try await reading.read { connection in
      let rows = try connection.run([Query(.listKeysOfAccount) { $0.bind(account.rawValue) }])[0]
      return try (0..<rows.count).map { try KeyReport(row: $0, of: rows) }
    }
  }

  public func createKey(_ key: NewAPIKey, of account: AccountID) async throws -> APIKeyRecord {
    try await change { [self] connection in
      try Self.hold(account, on: connection)
      return try insert(key, of: account, on: connection)
    }
  }

  public func revokeKey(_ id: KeyID, of account: AccountID) async throws -> APIKeyRecord {
    try await change { [self] connection in
      do {
        try Self.hold(account, on: connection)
      } catch AdministrationError.noAccount {
        throw AdministrationError.unknownKey(String(id.rawValue))
      }
      guard let key = try revoke(id, of: account, on: connection) else {
        throw AdministrationError.unknownKey(String(id.rawValue))
      }
      return key
    }
  }

  public func record(_ activity: [KeyID: KeyActivity]) async throws {
    guard !activity.isEmpty else { return }
    let entries = Array(activity)
    try await change { connection in
      _ = try connection.run([
        Query(.recordActivity) {
          $0.bind(entries.map(\.key.rawValue))
          $0.bind(entries.map(\.value.lastUsed))
          $0.bind(entries.map { Int64($0.value.denied) })
          $0.bind(entries.map(\.value.lastDenied))
        }
      ])
    }
  }

  // MARK: Draws

  public func usage(of account: AccountID, days: ClosedRange<Day>) async throws -> [DailyUsage] {
    guard account != .anonymous else { return [] }
    return try await reading.read { connection in
      let rows = try connection.run([
        Query(.listUsage) {
          $0.bind(account.rawValue)
          $0.bind(days.lowerBound.number)
          $0.bind(days.upperBound.number)
        }
      ])[0]
      return try (0..<rows.count).map { row in
        guard let endpoint = UInt8(exactly: rows.integer(row, 1)).flatMap(Endpoint.init(rawValue:)) else {
          throw StoreFailure("usage of an unknown endpoint")
        }
        return DailyUsage(day: Day(number: rows.integer(row, 0)), endpoint: endpoint, count: Int(rows.integer(row, 2)))
      }
    }
  }

  public func chains(
    of account: AccountID, prefix: [UInt8], after: (key: KeyID, clientSeed: ClientSeed)?, limit: Int
  ) async throws -> [ChainReport] {
    // No client seed begins with the byte FF, which is no UTF-8.
    let end = ClientSeed.end(ofPrefix: prefix) ?? [0xFF]
    return try await reading.read { connection in
      let rows = try connection.run([
        Query(.listChains) {
          $0.bind(account.rawValue)
          $0.bind(prefix)
          $0.bind(end)
          $0.bind(after?.key.rawValue ?? 0)
          $0.bind(after?.clientSeed.bytes ?? [])
          $0.bind(Int64(limit))
        }
      ])[0]
      return try (0..<rows.count).map { row in
        ChainReport(
          key: KeyID(rows.integer(row, 0)), clientSeed: try ClientSeed(rows.bytes(row, 1)),
          serverHash: try ServerHash(bytes: rows.bytes(row, 2)), cursor: rows.integer(row, 3),
          nonce: rows.integer(row, 4), created: rows.integer(row, 5))
      }
    }
  }

  public func revealedOutcomes(
    of account: AccountID, after: (key: KeyID, chain: Int64)?, limit: Int
  ) async throws -> [(key: KeyID, outcome: Outcome)] {
    try await reading.read { connection in
      let chains = try connection.run([
        Query(.listRevealedChains) {
          $0.bind(account.rawValue)
          $0.bind(after?.key.rawValue ?? 0)
          $0.bind(after?.chain ?? 0)
          $0.bind(Int64(limit))
        }
      ])[0]
      // Each such chain has one outcome, and outcomes are found by their numbers alone.
      let newest = try (0..<chains.count).map { row in
        guard let id = OutcomeTrail(chains.bytes(row, 1))?.newest else {
          throw StoreFailure("the trail of a revealed commitment's chain is damaged")
        }
        return id
      }
      let rows = try connection.run([Query(.listRevealedOutcomes) { $0.bind(newest) }])[0]
      guard rows.count == chains.count else { throw StoreFailure("a revealed commitment has no outcome") }
      return try (0..<rows.count).map {
        (KeyID(chains.integer($0, 0)), try Outcome(row: $0, of: rows, mode: .live))
      }
    }
  }

  public func testOutcomes(
    of account: AccountID, after: (clientSeed: ClientSeed, id: Int64)?, limit: Int
  ) async throws -> [Outcome] {
    try await reading.read { connection in
      let rows = try connection.run([
        Query(.listTestOutcomesOfAccount) {
          $0.bind(account.rawValue)
          $0.bind(after?.clientSeed.bytes ?? [])
          $0.bind(after?.id ?? 0)
          $0.bind(Int64(limit))
        }
      ])[0]
      return try (0..<rows.count).map { try Outcome(row: $0, of: rows, mode: .test) }
    }
  }

  // MARK: Webhooks

  public func webhooks(of account: AccountID) async throws -> [WebhookEndpoint] {
    try await reading.read { try Self.webhooks(of: account, on: $0) }
  }

  public func createWebhook(url: WebhookURL, secret: WebhookSecret, of account: AccountID) async throws
    -> WebhookEndpoint
  {
    try await change { [self] in try insert(url, secret, of: Self.hold(account, on: $0), on: $0) }
  }

  public func deleteWebhook(_ id: WebhookEndpointID, of account: AccountID) async throws {
    try await change { [self] in try delete(Self.hold(id, of: account, on: $0), on: $0) }
  }

  public func setWebhook(_ id: WebhookEndpointID, enabled: Bool, of account: AccountID) async throws -> WebhookEndpoint
  {
    try await change { [self] in try set(Self.hold(id, of: account, on: $0), enabled: enabled, on: $0) }
  }

  public func setWebhookSecret(_ id: WebhookEndpointID, to secret: WebhookSecret, of account: AccountID) async throws {
    try await change { [self] in try set(Self.hold(id, of: account, on: $0), secret, on: $0) }
  }

  public func createTestDelivery(for id: WebhookEndpointID, of account: AccountID) async throws -> DeliveryID {
    try await change { [self] in try insertTestDelivery(for: Self.hold(id, of: account, on: $0), on: $0) }
  }

  public func deliveries(
    of account: AccountID, endpoint: WebhookEndpointID?, state: DeliveryState?, before: DeliveryID?, limit: Int
  ) async throws -> [DeliveryReport] {
    let result: Result<[DeliveryReport], AdministrationError> = try await reading.read { connection in
      do {
        return .success(
          try Self.deliveries(
            of: account, endpoint: endpoint, state: state, before: before, limit: limit, on: connection))
      } catch let error as AdministrationError {
        return .failure(error)
      }
    }
    return try result.get()
  }

  public func resendDelivery(_ id: DeliveryID, of account: AccountID) async throws {
    try await change { [self] in try resend(id, of: account, on: $0) }
  }
}

extension SignIn {
  fileprivate init(row: Int, of rows: QueryResult) throws {
    guard let email = EmailAddress(rows.text(row, 1)) else { throw StoreFailure("a sign-in has no email address") }
    self.init(email: email, password: PasswordHash(text: rows.text(row, 2)))
  }
}

extension Outcome {
  /// Of id, chain, epoch, cursor, nonce, endpoint, value, fields, items, created, client seed, server hash.
  fileprivate init(row: Int, of rows: QueryResult, mode: Mode) throws {
    try self.init(
      id: rows.integer(row, 0), chain: rows.integer(row, 1), epoch: rows.integer(row, 2), cursor: rows.integer(row, 3),
      nonce: rows.integer(row, 4), endpoint: rows.integer(row, 5), value: rows.bytes(row, 6),
      fields: rows.bytes(row, 7), items: rows.optionalBytes(row, 8), created: rows.integer(row, 9),
      clientSeed: rows.bytes(row, 10), serverHash: rows.optionalBytes(row, 11), mode: mode)
  }
}

extension Statement {
  // MARK: Accounts

  fileprivate static let setSignIn = Statement(
    "set-sign-in",
    """
    INSERT INTO sign_ins (account_id, email, password) VALUES ($1::bigint, $2::text, $3::text)
    ON CONFLICT (account_id) DO UPDATE SET email = excluded.email, password = excluded.password
    """)

  fileprivate static let findSignIn = Statement(
    "find-sign-in", "SELECT account_id, email, password FROM sign_ins WHERE account_id = $1::bigint")

  fileprivate static let findSignInByEmail = Statement(
    "find-sign-in-by-email", "SELECT account_id, email, password FROM sign_ins WHERE email = $1::text")

  /// $1 is the account.
  fileprivate static let deleteFromAccount = [
    Statement("delete-sign-in", "DELETE FROM sign_ins WHERE account_id = $1::bigint"),
    Statement("delete-sessions", "DELETE FROM sessions WHERE account_id = $1::bigint"),
    Statement(
      "delete-activity",
      "DELETE FROM key_activity WHERE key_id IN (SELECT id FROM api_keys WHERE account_id = $1::bigint)"),
    // Slot 0 of anonymous usage is nobody else's.
    Statement(
      "disown-usage",
      """
      INSERT INTO usage AS u (account_id, day, endpoint, slot, count)
      SELECT 0, day, endpoint, 0, sum(count) FROM usage WHERE account_id = $1::bigint
      GROUP BY day, endpoint ORDER BY day, endpoint
      ON CONFLICT (account_id, day, endpoint, slot) DO UPDATE SET count = u.count + excluded.count
      """),
    Statement("delete-usage", "DELETE FROM usage WHERE account_id = $1::bigint"),
  ]

  /// $1 is the account, $2 the time. No key has such a hash, and none is found by an empty prefix. Deliveries that are
  /// under way may still report what became of them; the sweep takes them all.
  fileprivate static let emptyAccount = [
    Statement(
      "empty-keys",
      """
      UPDATE api_keys SET hash = convert_to('deleted ' || id, 'UTF8'), name = '', prefix = '', allowed_networks = '',
        allowed_referers = '', revoked = coalesce(revoked, $2::bigint, \(now))
      WHERE account_id = $1::bigint
      """),
    Statement(
      "empty-webhooks",
      """
      UPDATE webhook_endpoints SET url = '', sealed_secret = ''::bytea, sealed_old_secret = NULL,
        disabled_reason = NULL, deleted = coalesce(deleted, $2::bigint, \(now))
      WHERE account_id = $1::bigint
      """),
    Statement(
      "empty-account",
      """
      UPDATE accounts SET name = chr(10) || id, daily_quota = NULL, deleted = coalesce($2::bigint, \(now))
      WHERE id = $1::bigint
      """),
  ]

  // MARK: Sessions

  fileprivate static let insertSession = Statement(
    "insert-session",
    """
    INSERT INTO sessions (digest, account_id, created, expires) VALUES ($1::bytea, $2::bigint, $3::bigint, $4::bigint)
    """)

  fileprivate static let findSession = Statement(
    "find-session",
    "SELECT account_id, created, expires FROM sessions WHERE digest = $1::bytea AND expires > $2::bigint")

  fileprivate static let endSession = Statement("end-session", "DELETE FROM sessions WHERE digest = $1::bytea")

  fileprivate static let endSessions = Statement(
    "end-sessions", "DELETE FROM sessions WHERE account_id = $1::bigint AND digest <> $2::bytea")

  fileprivate static let sweepSessions = Statement(
    "sweep-sessions",
    """
    DELETE FROM sessions WHERE digest IN (
      SELECT digest FROM sessions WHERE expires <= $1::bigint LIMIT $2::bigint FOR UPDATE SKIP LOCKED)
    """)

  // MARK: Keys

  fileprivate static let listKeysOfAccount = Statement(
    "list-keys-of-account",
    """
    SELECT \(KeyReport.columns)
    FROM accounts a JOIN api_keys k ON k.account_id = a.id LEFT JOIN key_activity u ON u.key_id = k.id
    WHERE a.id = $1::bigint AND a.deleted IS NULL ORDER BY k.id
    """)

  /// In the order of their numbers, so that no two servers wait for each other.
  fileprivate static let recordActivity = Statement(
    "record-activity",
    """
    INSERT INTO key_activity AS u (key_id, last_used, denied, last_denied)
    SELECT n.* FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) AS n (id, last_used, denied, last_denied)
      JOIN api_keys k ON k.id = n.id JOIN accounts a ON a.id = k.account_id
    WHERE a.deleted IS NULL ORDER BY n.id
    ON CONFLICT (key_id) DO UPDATE SET last_used = greatest(u.last_used, excluded.last_used),
      denied = u.denied + excluded.denied, last_denied = greatest(u.last_denied, excluded.last_denied)
    """)

  // MARK: Draws

  fileprivate static let listUsage = Statement(
    "list-usage",
    """
    SELECT day, endpoint, sum(count)::bigint FROM usage
    WHERE account_id = $1::bigint AND day BETWEEN $2::bigint AND $3::bigint AND count > 0
    GROUP BY day, endpoint ORDER BY day DESC, endpoint
    """)

  /// An account's live keys `k` that come at or after the key of the last row of the page before.
  private static func liveKeys(after place: String) -> String {
    """
    k.account_id = $1::bigint AND k.mode = 1 AND k.id >= \(place)
      AND EXISTS (SELECT 1 FROM accounts a WHERE a.id = k.account_id AND a.deleted IS NULL)
    """
  }

  fileprivate static let listChains = Statement(
    "list-chains",
    """
    SELECT k.id, c.client_seed, c.server_hash, c.cursor, c.nonce, c.created
    FROM api_keys k CROSS JOIN LATERAL (
      SELECT * FROM chains WHERE owner_id = k.id AND client_seed >= $2::bytea AND client_seed < $3::bytea
        AND client_seed > CASE k.id WHEN $4::bigint THEN $5::bytea ELSE ''::bytea END
      ORDER BY client_seed LIMIT $6::bigint) c
    WHERE \(liveKeys(after: "$4::bigint")) ORDER BY k.id, c.client_seed LIMIT $6::bigint
    """)

  fileprivate static let listRevealedChains = Statement(
    "list-revealed-chains",
    """
    SELECT k.id, c.trail
    FROM api_keys k CROSS JOIN LATERAL (
      SELECT chain_id FROM commitments WHERE owner_id = k.id AND revealed IS NOT NULL
        AND chain_id > CASE k.id WHEN $2::bigint THEN $3::bigint ELSE 0 END
      ORDER BY chain_id LIMIT $4::bigint) m
      JOIN chains c ON c.owner_id = -m.chain_id AND c.id = m.chain_id
    WHERE \(liveKeys(after: "$2::bigint")) ORDER BY k.id, m.chain_id LIMIT $4::bigint
    """)

  /// In the order of their numbers in $1.
  fileprivate static let listRevealedOutcomes = Statement(
    "list-revealed-outcomes",
    """
    SELECT o.id, o.chain_id, o.epoch, o.cursor, o.nonce, o.endpoint, o.value, o.fields, o.items, o.created,
      c.client_seed, c.server_hash
    FROM unnest($1::bigint[]) WITH ORDINALITY AS n (id, place)
      JOIN outcomes o ON o.id = n.id JOIN chains c ON c.owner_id = o.owner_id AND c.id = o.chain_id
    ORDER BY n.place
    """)

  fileprivate static let listTestOutcomesOfAccount = Statement(
    "list-test-outcomes-of-account",
    """
    SELECT t.id, 0::bigint, 0::bigint, 0::bigint, 0::bigint, t.endpoint, t.value, t.fields, t.items, t.created,
      t.client_seed, t.server_hash
    FROM test_outcomes t JOIN accounts a ON a.id = t.account_id
    WHERE t.account_id = $1::bigint AND a.deleted IS NULL AND (t.client_seed, t.id) > ($2::bytea, $3::bigint)
    ORDER BY t.client_seed, t.id LIMIT $4::bigint
    """)
}
