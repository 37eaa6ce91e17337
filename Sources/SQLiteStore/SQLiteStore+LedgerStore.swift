import Fairness
import Foundation
import GRDB
import Ledger

extension SQLiteStore: LedgerStore {
  public var concurrentGroups: Int { 1 }

  public func commit(_ needs: Needs, deciding decide: (Snapshot) -> Decision) throws(StoreFailure) -> Decision {
    try write { try $0.settle(needs, deciding: decide) }
  }

  public func sweepExpiredRecords() throws(StoreFailure) -> Bool {
    let limit = 500
    return try write { try $0.sweepExpired(limit: limit) } == limit
  }

  public func probe() throws(StoreFailure) {
    try write { try $0.probe() }
  }

  public func ping() async throws(StoreFailure) {
    _ = try await read { db in try Int.fetchOne(db, sql: "SELECT count(*) FROM meta") }
  }

  public func totals() async throws(StoreFailure) -> (accounts: Int, liveOutcomes: Int) {
    try await read { db in
      let accounts = try Int.fetchOne(db, sql: "SELECT count(*) FROM accounts") ?? 0
      let outcomes = try Int.fetchOne(db, sql: "SELECT coalesce(sum(count), 0) FROM usage") ?? 0
      return (accounts, outcomes)
    }
  }

  // MARK: Outcomes

  public func outcomes(
    of caller: Caller, clientSeed: ClientSeed, before: (cursor: Int64, nonce: Int64)?, limit: Int
  ) async throws(StoreFailure) -> [Outcome] {
    try await read { db in
      try Self.fetch(db, of: caller, clientSeed: clientSeed, before: before, limit: limit)
    }
  }

  public func outcome(
    of caller: Caller, clientSeed: ClientSeed, cursor: Int64, nonce: Int64
  ) async throws(StoreFailure) -> Outcome? {
    guard nonce < .max else { return nil }
    // The newest one that is not newer is the one itself, or it does not exist.
    let found = try await outcomes(of: caller, clientSeed: clientSeed, before: (cursor, nonce + 1), limit: 1).first
    return found.flatMap { $0.cursor == cursor && $0.nonce == nonce ? $0 : nil }
  }

  private static func fetch(
    _ db: Database, of caller: Caller, clientSeed: ClientSeed, before: (cursor: Int64, nonce: Int64)?, limit: Int
  ) throws -> [Outcome] {
    let seed = Data(clientSeed.bytes)
    let rows: [Row]
    switch caller.mode {
    case .live:
      guard
        let chain = try Row.fetchOne(
          db, sql: "SELECT trail, server_hash FROM chains WHERE owner_id = ? AND client_seed = ?",
          arguments: [caller.chainOwner.rawValue, seed]),
        let trail = OutcomeTrail(bytes(chain[0]))
      else { return [] }
      rows = try Row.fetchAll(
        db,
        sql: """
          WITH RECURSIVE page AS (
            SELECT * FROM outcomes WHERE id = ?
            UNION ALL
            SELECT o.* FROM page JOIN outcomes o ON o.id = page.previous
            LIMIT ?
          )
          SELECT id, chain_id, epoch, cursor, nonce, endpoint, value, fields, items, created, ? FROM page
          """,
        arguments: [try newest(db, on: trail, before: before), limit, chain[1] as Data])
    case .test:
      // A test outcome has no coordinates but 0:0, and nothing comes before those.
      if let before, (before.cursor, before.nonce) <= (0, 0) { return [] }
      rows = try Row.fetchAll(
        db,
        sql: """
          SELECT id, 0 AS chain_id, 0 AS epoch, 0 AS cursor, 0 AS nonce, endpoint, value, fields, items, created,
                 server_hash
          FROM test_outcomes WHERE account_id = ? AND client_seed = ? ORDER BY id DESC LIMIT ?
          """,
        arguments: [caller.account.rawValue, seed, limit])
    }
    return try rows.map { row in
      try OutcomeRow(
        id: row[0], chain: row[1], epoch: row[2], cursor: row[3], nonce: row[4], endpoint: row[5],
        value: bytes(row[6]), fields: bytes(row[7]), items: (row[8] as Data?).map(Array.init), created: row[9],
        clientSeed: clientSeed.bytes, serverHash: bytes(row[10])
      ).outcome(mode: caller.mode)
    }
  }

  /// The newest outcome of a chain that is older than `before`; nil if there is none.
  ///
  /// Nonce and cursor only ever grow along a chain, so an outcome is older where it comes first, and both its links lead
  /// to older ones: it jumps as long as that does not go too far.
  private static func newest(
    _ db: Database, on trail: OutcomeTrail, before: (cursor: Int64, nonce: Int64)?
  ) throws -> Int64? {
    guard let before else { return trail.newest }
    let read = try db.cachedStatement(sql: "SELECT cursor, nonce, previous, jump FROM outcomes WHERE id = ?")
    func row(_ id: Int64) throws -> (coordinates: (cursor: Int64, nonce: Int64), previous: Int64, jump: Int64)? {
      try Row.fetchOne(read, arguments: [id]).map { ((cursor: $0[0], nonce: $0[1]), $0[2], $0[3]) }
    }
    guard var id = trail.newest, var here = try row(id) else { return nil }
    while here.coordinates >= before {
      if let there = try row(here.jump), there.coordinates >= before {
        (id, here) = (here.jump, there)
      } else if let there = try row(here.previous) {
        (id, here) = (here.previous, there)
      } else {
        return nil
      }
    }
    return id
  }

  private static func bytes(_ data: Data) -> [UInt8] { Array(data) }

  // MARK: Keys and accounts

  public func key(hash: [UInt8]) async throws(StoreFailure) -> APIKeyRecord? {
    let hash = Data(hash)
    return try await read { db in
      try Row.fetchOne(db, sql: "SELECT * FROM api_keys WHERE hash = ?", arguments: [hash]).map(APIKeyRecord.init(row:))
    }
  }

  public func createAccount(name: String, dailyQuota: Int?) throws -> Account {
    try administer { db in
      guard try !Self.accountExists(db, name) else { throw AdministrationError.nameTaken(name) }
      let created = clock()
      try db.execute(
        sql: "INSERT INTO accounts (name, daily_quota, created) VALUES (?, ?, ?)",
        arguments: [name, dailyQuota, created])
      return Account(id: AccountID(db.lastInsertedRowID), name: name, dailyQuota: dailyQuota, created: created)
    }
  }

  private static func accountExists(_ db: Database, _ name: String) throws -> Bool {
    try Bool.fetchOne(db, sql: "SELECT EXISTS (SELECT 1 FROM accounts WHERE name = ?)", arguments: [name]) ?? false
  }

  public func accounts() throws -> [Account] {
    try pool.read { db in
      try Row.fetchAll(db, sql: "SELECT id, name, daily_quota, created FROM accounts ORDER BY id").map {
        Account(id: AccountID($0["id"]), name: $0["name"], dailyQuota: $0["daily_quota"], created: $0["created"])
      }
    }
  }

  public func createKey(_ key: NewAPIKey, forAccountNamed name: String) throws -> APIKeyRecord {
    try administer { db in
      guard let account = try Int64.fetchOne(db, sql: "SELECT id FROM accounts WHERE name = ?", arguments: [name])
      else {
        throw AdministrationError.unknownAccount(name)
      }
      let created = clock()
      try db.execute(
        sql: """
          INSERT INTO api_keys (account_id, hash, prefix, mode, allowed_networks, allowed_referers, created)
          VALUES (?, ?, ?, ?, ?, ?, ?)
          """,
        arguments: [
          account, Data(key.hash), key.prefix, key.mode.rawValue, key.allowedNetworks.joined(separator: " "),
          key.allowedReferers.joined(separator: " "), created,
        ])
      return APIKeyRecord(
        id: KeyID(db.lastInsertedRowID), account: AccountID(account), mode: key.mode, prefix: key.prefix,
        allowedNetworks: key.allowedNetworks, allowedReferers: key.allowedReferers, created: created, revoked: nil)
    }
  }

  public func keys() throws -> [(account: String, key: APIKeyRecord)] {
    try pool.read { db in
      try Row.fetchAll(
        db,
        sql: "SELECT k.*, a.name AS account_name FROM api_keys k JOIN accounts a ON a.id = k.account_id ORDER BY k.id"
      ).map { ($0["account_name"], try APIKeyRecord(row: $0)) }
    }
  }

  public func revokeKey(prefix: String) throws -> APIKeyRecord {
    try administer { db in
      let found = try Row.fetchAll(
        db, sql: "SELECT * FROM api_keys WHERE substr(prefix, 1, length(?1)) = ?1 LIMIT 2", arguments: [prefix])
      guard let row = found.first, !prefix.isEmpty else { throw AdministrationError.unknownKey(prefix) }
      guard found.count == 1 else { throw AdministrationError.ambiguousPrefix(prefix) }
      return try APIKeyRecord(
        row: Row.fetchOne(
          db, sql: "UPDATE api_keys SET revoked = coalesce(revoked, ?) WHERE id = ? RETURNING *",
          arguments: [clock(), row["id"] as Int64]) ?? row)
    }
  }
}

extension APIKeyRecord {
  fileprivate init(row: Row) throws {
    guard let mode = Mode(rawValue: row["mode"]) else { throw StoreFailure("a key is of an unknown mode") }
    func list(_ column: String) -> [String] {
      (row[column] as String).split(separator: " ").map(String.init)
    }
    self.init(
      id: KeyID(row["id"]), account: AccountID(row["account_id"]), mode: mode, prefix: row["prefix"],
      allowedNetworks: list("allowed_networks"), allowedReferers: list("allowed_referers"), created: row["created"],
      revoked: row["revoked"])
  }
}
