import Accounts
import Fairness
import Ledger

// Whoever changes what an account has holds the account's row, as a group that draws for it does. So neither sees half of
// what the other did.

extension SQLDatabase {
  // MARK: Accounts

  public func accounts() async throws -> [Account] {
    try await query(concernsGroups: false) {
      try $0.rows("SELECT * FROM accounts WHERE deleted IS NULL ORDER BY id").map(Account.init(row:))
    }
  }

  public func account(_ id: AccountID) async throws -> Account? {
    try await query(concernsGroups: false) { try $0.account(id) }
  }

  public func account(named name: String) async throws -> Account? {
    try await query(concernsGroups: false) {
      try $0.row("SELECT * FROM accounts WHERE name = \(name) AND deleted IS NULL").map(Account.init(row:))
    }
  }

  public func createAccount(name: String, dailyQuota: Int?, signIn: SignIn?) async throws -> Account {
    try await transact(concernsGroups: true) { connection in
      let account = Account(
        id: AccountID(try connection.nextNumber(in: .accounts)), name: name, dailyQuota: dailyQuota,
        created: try connection.now())
      do {
        try connection.execute(
          """
          INSERT INTO accounts (id, name, daily_quota, created)
          VALUES (\(account.id.rawValue), \(name), \(dailyQuota), \(account.created))
          """)
      } catch is UniqueViolation {
        throw AdministrationError.nameTaken(name)
      }
      if let signIn { try connection.set(signIn, of: account.id) }
      return account
    }
  }

  public func setDailyQuota(_ quota: Int?, of id: AccountID) async throws -> Account {
    try await transact(concernsGroups: true) { connection in
      try connection.hold(id)
      try connection.execute("UPDATE accounts SET daily_quota = \(quota) WHERE id = \(id.rawValue)")
      return try connection.hold(id)
    }
  }

  public func deleteAccount(_ id: AccountID) async throws {
    try await transact(concernsGroups: true) { connection in
      try connection.hold(id)
      let now = try connection.now()
      let account = id.rawValue
      let slot = connection.dialect.usageSlot
      // No key has such a hash, and none is found by an empty prefix.
      let keys = try connection.rows("SELECT id FROM api_keys WHERE account_id = \(account)").map {
        row -> SQLStatement in
        let key = try row.integer("id")
        return """
          UPDATE api_keys SET hash = \(Array("deleted \(key)".utf8)), name = '', prefix = '', allowed_networks = '',
            allowed_referers = '', revoked = coalesce(revoked, \(now))
          WHERE account_id = \(account) AND id = \(key)
          """
      }
      _ = try connection.run(
        keys + [
          "DELETE FROM sign_ins WHERE account_id = \(account)",
          "DELETE FROM sessions WHERE account_id = \(account)",
          "DELETE FROM key_usage WHERE account_id = \(account)",
          "DELETE FROM key_activity WHERE key_id IN (SELECT id FROM api_keys WHERE account_id = \(account))",
          // Deliveries that are under way may still report what became of them; the sweep takes them all.
          """
          UPDATE webhook_endpoints SET url = '', sealed_secret = \([] as [UInt8]), sealed_old_secret = NULL,
            disabled_reason = NULL, deleted = coalesce(deleted, \(now))
          WHERE account_id = \(account)
          """,
          """
          INSERT INTO usage AS u (account_id, day, endpoint\(slot.column), count)
          SELECT 0, day, endpoint\(slot.value), sum(count) FROM usage WHERE account_id = \(account)
          GROUP BY day, endpoint ORDER BY day, endpoint
          ON CONFLICT (account_id, day, endpoint\(slot.column)) DO UPDATE SET count = u.count + excluded.count
          """,
          "DELETE FROM usage WHERE account_id = \(account)",
          "DELETE FROM usage_hours WHERE account_id = \(account)",
          """
          UPDATE accounts SET name = \("\n\(account)"), daily_quota = NULL, deleted = \(now) WHERE id = \(account)
          """,
        ])
    }
  }

  // MARK: Signing in

  public func setSignIn(_ signIn: SignIn, of account: AccountID, keeping: SessionToken.Digest?) async throws {
    try await transact(concernsGroups: false) { connection in
      try connection.hold(account)
      try connection.set(signIn, of: account)
      try connection.endSessions(of: account, keeping: keeping)
    }
  }

  public func signIn(email: EmailAddress) async throws -> (account: AccountID, signIn: SignIn)? {
    try await query(concernsGroups: false) { connection in
      try connection.row("SELECT * FROM sign_ins WHERE email = \(email.description)").map {
        (AccountID(try $0.integer("account_id")), try SignIn(row: $0))
      }
    }
  }

  public func signIn(of account: AccountID) async throws -> SignIn? {
    try await query(concernsGroups: false) {
      try $0.row("SELECT * FROM sign_ins WHERE account_id = \(account.rawValue)").map(SignIn.init(row:))
    }
  }

  // MARK: Sessions

  public func createSession(_ session: Session) async throws {
    try await transact(concernsGroups: false) { connection in
      try connection.hold(session.account)
      try connection.execute(
        """
        INSERT INTO sessions (digest, account_id, created, expires)
        VALUES (\(session.digest.bytes), \(session.account.rawValue), \(session.created), \(session.expires))
        """)
    }
  }

  public func session(_ digest: SessionToken.Digest, at now: Milliseconds) async throws -> Session? {
    try await query(concernsGroups: false) { connection in
      try connection.row("SELECT * FROM sessions WHERE digest = \(digest.bytes) AND expires > \(now)").map(
        Session.init(row:))
    }
  }

  public func sessions(of account: AccountID, at now: Milliseconds, limit: Int) async throws -> [Session] {
    try await query(concernsGroups: false) { connection in
      try connection.rows(
        """
        SELECT * FROM sessions WHERE account_id = \(account.rawValue) AND expires > \(now)
        ORDER BY created DESC, digest LIMIT \(limit)
        """
      ).map(Session.init(row:))
    }
  }

  public func endSessions(of account: AccountID, keeping: SessionToken.Digest?) async throws {
    try await transact(concernsGroups: false) { connection in
      try connection.hold(account)
      try connection.endSessions(of: account, keeping: keeping)
    }
  }

  public func endSession(_ digest: SessionToken.Digest) async throws {
    try await transact(concernsGroups: false) { connection in
      _ = try connection.execute("DELETE FROM sessions WHERE digest = \(digest.bytes)")
    }
  }

  public func sweepSessions(at now: Milliseconds) async throws -> Bool {
    let limit = 500
    // Most of the time nothing has expired, and a look takes no lock.
    let hasExpired = try await query(concernsGroups: false) {
      try $0.row("SELECT 1 FROM sessions WHERE expires <= \(now) LIMIT 1") != nil
    }
    guard hasExpired else { return false }
    return try await transact(concernsGroups: false) { connection in
      try connection.execute(
        """
        DELETE FROM sessions WHERE digest IN (
          SELECT digest FROM sessions WHERE expires <= \(now) LIMIT \(limit)\(connection.dialect.skippingLocked))
        """) == limit
    }
  }

  // MARK: Usage

  public func usage(of account: AccountID, days: ClosedRange<Day>) async throws -> [DailyUsage] {
    guard account != .anonymous else { return [] }
    return try await query { connection in
      try connection.rows(
        """
        SELECT day, endpoint, CAST(sum(count) AS bigint) AS count FROM usage
        WHERE account_id = \(account.rawValue) AND day BETWEEN \(days.lowerBound.number) AND \(days.upperBound.number)
          AND count > 0
        GROUP BY day, endpoint ORDER BY day DESC, endpoint
        """
      ).map(DailyUsage.init(row:))
    }
  }

  public func hourlyUsage(of account: AccountID, on day: Day) async throws -> [Int] {
    try await query { connection in
      let notes = try connection.rows(
        "SELECT hour, drawn FROM usage_hours WHERE account_id = \(account.rawValue) AND day = \(day.number) ORDER BY hour"
      ).map { (hour: Int(try $0.integer("hour")), drawn: try $0.count("drawn")) }
      let total = try connection.row(
        """
        SELECT CAST(coalesce(sum(count), 0) AS bigint) AS count FROM usage
        WHERE account_id = \(account.rawValue) AND day = \(day.number)
        """)
      let ends = notes.dropFirst().map(\.drawn) + [try total?.count("count") ?? 0]
      var hours = [Int](repeating: 0, count: 24)
      for (note, end) in zip(notes, ends) where hours.indices.contains(note.hour) {
        hours[note.hour] = max(0, end - note.drawn)
      }
      return hours
    }
  }
}

extension SQLConnection {
  func account(_ id: AccountID) throws -> Account? {
    try row("SELECT * FROM accounts WHERE id = \(id.rawValue) AND deleted IS NULL").map(Account.init(row:))
  }

  /// The account, its row locked until the transaction ends.
  ///
  /// - Throws: ``AdministrationError/noAccount(_:)``.
  @discardableResult
  func hold(_ id: AccountID) throws -> Account {
    let found = try row(
      "SELECT * FROM accounts WHERE id = \(id.rawValue) AND deleted IS NULL\(dialect.forUpdate)")
    guard let found else { throw AdministrationError.noAccount(id) }
    return try Account(row: found)
  }

  fileprivate func endSessions(of account: AccountID, keeping: SessionToken.Digest?) throws {
    _ = try execute(
      "DELETE FROM sessions WHERE account_id = \(account.rawValue) AND digest <> \(keeping?.bytes ?? [])")
  }

  /// - Throws: ``AdministrationError/emailTaken``.
  fileprivate func set(_ signIn: SignIn, of account: AccountID) throws {
    do {
      try execute(
        """
        INSERT INTO sign_ins (account_id, email, password)
        VALUES (\(account.rawValue), \(signIn.email.description), \(signIn.password.text))
        ON CONFLICT (account_id) DO UPDATE SET email = excluded.email, password = excluded.password
        """)
    } catch is UniqueViolation {
      throw AdministrationError.emailTaken
    }
  }
}

extension Account {
  init(row: SQLRow) throws {
    self.init(
      id: AccountID(try row.integer("id")), name: try row.text("name"),
      dailyQuota: try row.optionalInteger("daily_quota").map { Int($0) }, created: try row.integer("created"))
  }
}

extension Session {
  fileprivate init(row: SQLRow) throws {
    self.init(
      digest: SessionToken.Digest(bytes: try row.bytes("digest")), account: AccountID(try row.integer("account_id")),
      created: try row.integer("created"), expires: try row.integer("expires"))
  }
}

extension SignIn {
  fileprivate init(row: SQLRow) throws {
    guard let email = EmailAddress(try row.text("email")) else { throw StoreFailure("a sign-in has no email address") }
    self.init(email: email, password: PasswordHash(text: try row.text("password")))
  }
}

extension DailyUsage {
  fileprivate init(row: SQLRow) throws {
    guard let endpoint = UInt8(exactly: try row.integer("endpoint")).flatMap(Endpoint.init(rawValue:)) else {
      throw StoreFailure("usage of an unknown endpoint")
    }
    self.init(day: Day(number: try row.integer("day")), endpoint: endpoint, count: try row.count("count"))
  }
}
