import Accounts
import Fairness
import Ledger

extension SQLDatabase {
  public func key(hash: [UInt8]) async throws(StoreFailure) -> APIKeyRecord? {
    do {
      return try await query(concernsGroups: false) {
        try $0.row("SELECT * FROM api_keys WHERE hash = \(hash)").map(APIKeyRecord.init(row:))
      }
    } catch {
      throw StoreFailure(wrapping: error)
    }
  }

  public func cell() async throws -> CellName? { try await query(concernsGroups: false) { try $0.cell() } }

  public func setCell(_ cell: CellName) async throws {
    try await transact(concernsGroups: false) { connection in
      let present = try connection.cell()
      guard present != cell else { return }
      // The prefix of a key without a name may look as if it had one. Then the name stays, which does no harm.
      if let present,
        try connection.row("SELECT 1 FROM api_keys WHERE prefix LIKE \("pk!_%!_\(present)!_%") ESCAPE '!' LIMIT 1")
          != nil
      {
        throw AdministrationError.anotherCell(present)
      }
      _ = try connection.execute(
        """
        INSERT INTO meta (name, value) VALUES ('cell', \(Array(cell.description.utf8)))
        ON CONFLICT (name) DO UPDATE SET value = excluded.value
        """)
    }
  }

  public func keys(of account: AccountID?) async throws -> [KeyReport] {
    try await query { connection in
      try connection.rows(
        """
        SELECT k.*, u.last_used, coalesce(u.denied, 0) AS denied, u.last_denied, coalesce(q.count, 0) AS used_today
        FROM accounts a JOIN api_keys k ON k.account_id = a.id LEFT JOIN key_activity u ON u.key_id = k.id
          LEFT JOIN key_usage q
            ON q.account_id = k.account_id AND q.key_id = k.id AND q.day = \(Day(of: connection.now()).number)
        WHERE a.deleted IS NULL AND \(account.map { "a.id = \($0.rawValue)" } ?? "true" as SQLStatement) ORDER BY k.id
        """
      ).map(KeyReport.init(row:))
    }
  }

  public func createKey(_ key: NewAPIKey, of account: AccountID) async throws -> APIKeyRecord {
    try await transact(concernsGroups: true) { connection in
      try connection.hold(account)
      guard try connection.row("SELECT 1 FROM api_keys WHERE hash = \(key.hash)") == nil else {
        throw AdministrationError.keyExists
      }
      let live = try connection.row(
        "SELECT count(*) AS count FROM api_keys WHERE account_id = \(account.rawValue) AND revoked IS NULL")
      guard try live?.count("count") ?? 0 < maximumKeys else { throw AdministrationError.tooManyKeys }
      let record = APIKeyRecord(
        id: KeyID(try connection.nextNumber(in: .keys)), account: account, mode: key.mode, name: key.name,
        prefix: key.prefix, allowedNetworks: key.allowedNetworks, allowedReferers: key.allowedReferers,
        scopes: key.scopes, dailyQuota: key.dailyQuota, created: try connection.now(), revoked: nil)
      try connection.execute(
        """
        INSERT INTO api_keys
          (id, account_id, hash, name, prefix, mode, allowed_networks, allowed_referers, scopes, daily_quota, created)
        VALUES (\(record.id.rawValue), \(account.rawValue), \(key.hash), \(key.name), \(key.prefix),
          \(Int64(key.mode.rawValue)), \(key.allowedNetworks.joined(separator: " ")),
          \(key.allowedReferers.joined(separator: " ")), \(key.scopes.rawValue), \(key.dailyQuota),
          \(record.created))
        """)
      return record
    }
  }

  public func revokeKey(_ id: KeyID, of account: AccountID) async throws -> APIKeyRecord {
    try await changeKey(id, of: account) { try "revoked = coalesce(revoked, \($0.now()))" }
  }

  public func setKeyQuota(_ quota: Int?, of id: KeyID, account: AccountID) async throws -> APIKeyRecord {
    try await changeKey(id, of: account) { _ in "daily_quota = \(quota)" }
  }

  private func changeKey(
    _ id: KeyID, of account: AccountID, _ change: @Sendable @escaping (any SQLConnection) throws -> SQLStatement
  ) async throws -> APIKeyRecord {
    try await transact(concernsGroups: true) { connection in
      let unknown = AdministrationError.unknownKey(String(id.rawValue))
      do {
        // A group that has seen the key in order holds the account, and finishes first.
        try connection.hold(account)
      } catch AdministrationError.noAccount {
        throw unknown
      }
      let changed = try connection.row(
        """
        UPDATE api_keys SET \(change(connection))
        WHERE account_id = \(account.rawValue) AND id = \(id.rawValue) RETURNING *
        """)
      guard let changed else { throw unknown }
      return try APIKeyRecord(row: changed)
    }
  }

  public func record(_ activity: [KeyID: KeyActivity]) async throws {
    guard !activity.isEmpty else { return }
    try await transact(concernsGroups: false) { connection in
      // In the order of their numbers, so that no two servers wait for each other.
      _ = try connection.run(
        activity.sorted { $0.key < $1.key }.map { key, activity in
          """
          INSERT INTO key_activity AS u (key_id, last_used, denied, last_denied)
          SELECT k.id, \(activity.lastUsed), \(activity.denied), \(activity.lastDenied)
          FROM api_keys k JOIN accounts a ON a.id = k.account_id WHERE k.id = \(key.rawValue) AND a.deleted IS NULL
          ON CONFLICT (key_id) DO UPDATE SET denied = u.denied + excluded.denied,
            last_used = CASE WHEN u.last_used >= excluded.last_used OR excluded.last_used IS NULL
              THEN u.last_used ELSE excluded.last_used END,
            last_denied = CASE WHEN u.last_denied >= excluded.last_denied OR excluded.last_denied IS NULL
              THEN u.last_denied ELSE excluded.last_denied END
          """
        })
    }
  }
}

extension SQLConnection {
  fileprivate func cell() throws -> CellName? {
    guard let row = try row("SELECT value FROM meta WHERE name = 'cell'") else { return nil }
    guard let cell = CellName(String(decoding: try row.bytes("value"), as: UTF8.self)) else {
      throw StoreFailure("the database's cell has no valid name")
    }
    return cell
  }
}

extension KeyReport {
  /// From a row of `api_keys` with the columns of `key_activity`.
  fileprivate init(row: SQLRow) throws {
    self.init(
      key: try APIKeyRecord(row: row),
      activity: KeyActivity(
        lastUsed: try row.optionalInteger("last_used"), denied: try row.count("denied"),
        lastDenied: try row.optionalInteger("last_denied")), usedToday: try row.count("used_today"))
  }
}

extension APIKeyRecord {
  fileprivate init(row: SQLRow) throws {
    guard let mode = UInt8(exactly: try row.integer("mode")).flatMap(Mode.init(rawValue:)) else {
      throw StoreFailure("a key is of an unknown mode")
    }
    func list(_ column: String) throws -> [String] { try row.text(column).split(separator: " ").map(String.init) }
    self.init(
      id: KeyID(try row.integer("id")), account: AccountID(try row.integer("account_id")), mode: mode,
      name: try row.text("name"), prefix: try row.text("prefix"), allowedNetworks: try list("allowed_networks"),
      allowedReferers: try list("allowed_referers"),
      scopes: KeyScopes(rawValue: try row.integer("scopes")),
      dailyQuota: try row.optionalInteger("daily_quota").map { Int($0) }, created: try row.integer("created"),
      revoked: try row.optionalInteger("revoked"))
  }
}
