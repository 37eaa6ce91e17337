import Fairness
import Foundation
import Ledger

extension PostgresStore: LedgerStore {
  public var concurrentGroups: Int { Self.writers }

  public func commit(_ needs: Needs, deciding decide: (Snapshot) -> Decision) throws(StoreFailure) -> Decision {
    let began = ContinuousClock.now
    do {
      return try writing.withSession { session in
        var attempt = 0
        while true {
          do {
            return try groups.settle(needs, on: session, deciding: decide)
          } catch let failure as PostgresFailure where failure.isWorthAnotherTry {
            attempt += 1
            guard attempt < 8, ContinuousClock.now - began < .seconds(3) else { throw failure }
            // Whoever met whom should not meet again in step.
            usleep(UInt32.random(in: 0..<(1_000 << UInt32(attempt))))
          }
        }
      }
    } catch {
      throw StoreFailure(error)
    }
  }

  public func sweepExpiredRecords() throws(StoreFailure) -> Bool {
    let limit = 500
    return try care { connection in
      let results = try connection.run([
        Query(.sweep) {
          $0.bind(self.clock?())
          $0.bind(IdempotencyRecord.lifetime)
          $0.bind(Int64(limit))
        },
        Query(.sweepCommitments) {
          $0.bind(self.clock?())
          $0.bind(Commitment.afterlife)
          $0.bind(Int64(limit))
        },
      ])
      return results.contains { $0.affected >= limit }
    }
  }

  public func probe() throws(StoreFailure) {
    var random = SystemRandomNumberGenerator()
    let value = (0..<16).map { _ in UInt8.random(in: 0...255, using: &random) }
    try care { _ = try $0.run([Query(.probe) { $0.bind(value) }]) }
  }

  public func ping() async throws(StoreFailure) {
    try await reading.read { _ = try $0.run([Query(.ping)], patience: .seconds(2)) }
  }

  public func totals() async throws(StoreFailure) -> (accounts: Int, liveOutcomes: Int) {
    try await reading.read { connection in
      let row = try connection.run([Query(.totals)])
      return (Int(row[0].integer(0, 0)), Int(row[0].integer(0, 1)))
    }
  }

  /// Does something of one statement that is not a group's.
  func care<Result>(_ body: (Connection) throws -> Result) throws(StoreFailure) -> Result {
    do {
      return try caring.withSession { try $0.use(body) }
    } catch {
      throw StoreFailure(error)
    }
  }

  // MARK: Outcomes

  public func outcomes(
    of caller: Caller, clientSeed: ClientSeed, before: (cursor: Int64, nonce: Int64)?, limit: Int
  ) async throws(StoreFailure) -> [Outcome] {
    switch caller.mode {
    case .live:
      let chain = ChainKey(owner: caller.chainOwner, clientSeed: clientSeed)
      return try await reading.read { connection in
        guard let newest = try Self.newestOutcome(of: chain, before: before, on: connection) else { return [] }
        return try Self.list(
          Query(.listOutcomes) {
            $0.bind(newest)
            $0.bind(Int64(limit))
          }, of: caller, clientSeed, on: connection)
      }
    case .test:
      // A test outcome has no coordinates but 0:0, and nothing comes before those.
      if let before, (before.cursor, before.nonce) <= (0, 0) { return [] }
      return try await reading.read { connection in
        try Self.list(
          Query(.listTestOutcomes) {
            $0.bind(caller.account.rawValue)
            $0.bind(clientSeed.bytes)
            $0.bind(Int64(limit))
          }, of: caller, clientSeed, on: connection)
      }
    }
  }

  /// The row of a chain's newest outcome that is older than `before`; nil if there is none.
  static func newestOutcome(
    of chain: ChainKey, before: (cursor: Int64, nonce: Int64)?, on connection: Connection
  ) throws -> Int64? {
    let stored = try connection.run([
      Query(.selectTrail) {
        $0.bind(chain.owner.rawValue)
        $0.bind(chain.clientSeed.bytes)
      }
    ])[0]
    guard stored.count > 0 else { return nil }
    guard let trail = OutcomeTrail(stored.bytes(0, 0)) else { throw StoreFailure("the trail of a chain is damaged") }
    guard let newest = trail.newest, let before else { return trail.newest }
    let found = try connection.run([
      Query(.walkBack) {
        $0.bind(newest)
        $0.bind(before.cursor)
        $0.bind(before.nonce)
      }
    ])[0]
    return found.count > 0 ? found.integer(0, 0) : nil
  }

  public func outcome(
    of caller: Caller, clientSeed: ClientSeed, cursor: Int64, nonce: Int64
  ) async throws(StoreFailure) -> Outcome? {
    guard nonce < .max else { return nil }
    // The newest one that is not newer is the one itself, or it does not exist.
    let found = try await outcomes(of: caller, clientSeed: clientSeed, before: (cursor, nonce + 1), limit: 1).first
    return found.flatMap { $0.cursor == cursor && $0.nonce == nonce ? $0 : nil }
  }

  private static func list(
    _ query: Query, of caller: Caller, _ clientSeed: ClientSeed, on connection: Connection
  ) throws -> [Outcome] {
    let rows = try connection.run([query])[0]
    return try (0..<rows.count).map { row in
      try Outcome(
        id: rows.integer(row, 0), chain: rows.integer(row, 1), epoch: rows.integer(row, 2),
        cursor: rows.integer(row, 3), nonce: rows.integer(row, 4), endpoint: rows.integer(row, 5),
        value: rows.bytes(row, 6), fields: rows.bytes(row, 7), items: rows.optionalBytes(row, 8),
        created: rows.integer(row, 9), clientSeed: clientSeed.bytes, serverHash: rows.optionalBytes(row, 10),
        mode: caller.mode)
    }
  }

  public func recordedOutcome(id: Int64) async throws(StoreFailure) -> RecordedOutcome? {
    try await reading.read { connection in
      let results = try connection.run([
        Query(.findOutcome) { $0.bind(id) },
        Query(.findTestOutcome) { $0.bind(id) },
      ])
      if results[0].count > 0 { return try Self.liveOutcome(results[0], id: id) }
      return results[1].count > 0 ? try Self.testOutcome(results[1], id: id) : nil
    }
  }

  private static func liveOutcome(_ row: QueryResult, id: Int64) throws -> RecordedOutcome {
    let outcome = try Outcome(
      id: id, chain: row.integer(0, 0), epoch: row.integer(0, 1), cursor: row.integer(0, 2), nonce: row.integer(0, 3),
      endpoint: row.integer(0, 4), value: row.bytes(0, 5), fields: row.bytes(0, 6), items: row.optionalBytes(0, 7),
      created: row.integer(0, 8), clientSeed: row.bytes(0, 9), serverHash: row.optionalBytes(0, 10), mode: .live)
    guard let seed = row.optionalBytes(0, 11) else {
      return RecordedOutcome(outcome: outcome, standing: .inUse(outcome.serverHash))
    }
    let revealed = RevealedSeed(
      chain: outcome.chain, epoch: outcome.epoch, seed: try ServerSeed(hex: seed),
      hash: try ServerHash(bytes: row.bytes(0, 12)), cursor: row.integer(0, 13), nonce: row.integer(0, 14),
      revealed: row.integer(0, 15))
    return RecordedOutcome(outcome: outcome, standing: .revealed(revealed))
  }

  private static func testOutcome(_ row: QueryResult, id: Int64) throws -> RecordedOutcome {
    let outcome = try Outcome(
      id: id, chain: 0, epoch: 0, cursor: 0, nonce: 0, endpoint: row.integer(0, 4), value: row.bytes(0, 5),
      fields: row.bytes(0, 6), items: row.optionalBytes(0, 7), created: row.integer(0, 8), clientSeed: row.bytes(0, 2),
      serverHash: row.bytes(0, 3), mode: .test)
    let draw = TestDrawID(account: AccountID(row.integer(0, 0)), digest: row.bytes(0, 1))
    return RecordedOutcome(outcome: outcome, standing: .rehearsal(draw))
  }

  public func isKnown(_ serverHash: ServerHash, clientSeed: ClientSeed) async throws(StoreFailure) -> Bool {
    try await reading.read { connection in
      try connection.run([
        Query(.knowsHash) {
          $0.bind(serverHash.bytes)
          $0.bind(clientSeed.bytes)
        }
      ])[0].bytes(0, 0) == [1]
    }
  }

  // MARK: Keys and accounts

  public func key(hash: [UInt8]) async throws(StoreFailure) -> APIKeyRecord? {
    try await reading.read { connection in
      let rows = try connection.run([Query(.findKey) { $0.bind(hash) }])
      return rows[0].count == 0 ? nil : try APIKeyRecord(row: 0, of: rows[0])
    }
  }

  public func createAccount(name: String, dailyQuota: Int?) throws -> Account {
    try administer { try insertAccount(name: name, dailyQuota: dailyQuota, on: $0) }
  }

  func insertAccount(name: String, dailyQuota: Int?, on connection: Connection) throws -> Account {
    let id = try number("accounts", on: connection)
    let rows = try connection.run([
      Query(.insertAccount) {
        $0.bind(id)
        $0.bind(text: name)
        $0.bind(dailyQuota.map(Int64.init))
        $0.bind(self.clock?())
      }
    ])
    guard rows[0].count == 1 else { throw AdministrationError.nameTaken(name) }
    return Account(id: AccountID(id), name: name, dailyQuota: dailyQuota, created: rows[0].integer(0, 0))
  }

  public func accounts() throws -> [Account] {
    try care { connection in
      let rows = try connection.run([Query(.listAccounts)])[0]
      return (0..<rows.count).map { Account(row: $0, of: rows) }
    }
  }

  public func createKey(_ key: NewAPIKey, forAccountNamed name: String) throws -> APIKeyRecord {
    try administer { try insert(key, of: Self.holdAccount(named: name, on: $0).id, on: $0) }
  }

  /// - Parameter account: held, so that it is not deleted meanwhile.
  func insert(_ key: NewAPIKey, of account: AccountID, on connection: Connection) throws -> APIKeyRecord {
    let live = try connection.run([Query(.countKeys) { $0.bind(account.rawValue) }])[0].integer(0, 0)
    guard live < maximumKeys else { throw AdministrationError.tooManyKeys }
    let id = try number("api_keys", on: connection)
    let rows = try connection.run([
      Query(.insertKey) {
        $0.bind(account.rawValue)
        $0.bind(id)
        $0.bind(key.hash)
        $0.bind(text: key.prefix)
        $0.bind(Int64(key.mode.rawValue))
        $0.bind(text: key.allowedNetworks.joined(separator: " "))
        $0.bind(text: key.allowedReferers.joined(separator: " "))
        $0.bind(self.clock?())
        $0.bind(text: key.name)
      }
    ])
    return try APIKeyRecord(row: 0, of: rows[0])
  }

  public func keys() throws -> [(account: String, report: KeyReport)] {
    try care { connection in
      let rows = try connection.run([Query(.listKeys)])[0]
      return try (0..<rows.count).map {
        (rows.text($0, KeyReport.columnCount), try KeyReport(row: $0, of: rows))
      }
    }
  }

  public func revokeKey(prefix: String) throws -> APIKeyRecord {
    try administer { connection in
      let found = try connection.run([Query(.findKeysByPrefix) { $0.bind(text: prefix) }])
      guard found[0].count > 0, !prefix.isEmpty else { throw AdministrationError.unknownKey(prefix) }
      guard found[0].count == 1 else { throw AdministrationError.ambiguousPrefix(prefix) }
      let key = try APIKeyRecord(row: 0, of: found[0])
      guard let revoked = try revoke(key.id, of: key.account, on: connection) else {
        throw AdministrationError.unknownKey(prefix)
      }
      return revoked
    }
  }

  /// - Returns: nil if the account has no such key.
  func revoke(_ id: KeyID, of account: AccountID, on connection: Connection) throws -> APIKeyRecord? {
    // A group that has seen the key in order holds its account, and is let finish.
    let results = try connection.run([
      Query(.lockAccounts) { $0.bind([account.rawValue]) },
      Query(.revokeKey) {
        $0.bind(account.rawValue)
        $0.bind(id.rawValue)
        $0.bind(self.clock?())
      },
    ])
    return results[1].count == 1 ? try APIKeyRecord(row: 0, of: results[1]) : nil
  }

  // MARK: Administration
  //
  // Whoever changes what an account has holds the account, as a group does.

  /// - Throws: ``AdministrationError/unknownAccount(_:)``.
  static func existingAccount(named name: String, on connection: Connection) throws -> Account {
    try account(named: name, .findAccountByName, on: connection)
  }

  /// The account, locked until the transaction's end.
  ///
  /// - Throws: ``AdministrationError/unknownAccount(_:)``.
  static func holdAccount(named name: String, on connection: Connection) throws -> Account {
    try account(named: name, .holdAccountByName, on: connection)
  }

  private static func account(
    named name: String, _ statement: Statement, on connection: Connection
  ) throws -> Account {
    let rows = try connection.run([Query(statement) { $0.bind(text: name) }])[0]
    guard rows.count == 1 else { throw AdministrationError.unknownAccount(name) }
    return Account(row: 0, of: rows)
  }

  /// The account, locked until the transaction's end.
  ///
  /// - Throws: ``AdministrationError/noAccount(_:)``.
  @discardableResult
  static func hold(_ account: AccountID, on connection: Connection) throws -> Account {
    let rows = try connection.run([Query(.holdAccount) { $0.bind(account.rawValue) }])[0]
    guard rows.count == 1 else { throw AdministrationError.noAccount(account) }
    return Account(row: 0, of: rows)
  }

  func administer<Result>(_ body: (Connection) throws -> Result) throws -> Result {
    do {
      return try caring.withSession { try $0.transaction(body) }
    } catch let error as AdministrationError {
      throw error
    } catch {
      throw StoreFailure(error)
    }
  }

  func number(_ counter: String, on connection: Connection) throws -> Int64 {
    try connection.run([
      Query(.reserve) {
        $0.bind(text: counter)
        $0.bind(1)
      }
    ])[0].integer(0, 0)
  }
}

extension Account {
  static let columns = "a.id, a.name, a.daily_quota, a.created"

  init(row: Int, of result: QueryResult) {
    self.init(
      id: AccountID(result.integer(row, 0)), name: result.text(row, 1),
      dailyQuota: result.optionalInteger(row, 2).map { Int($0) }, created: result.integer(row, 3))
  }
}

extension KeyReport {
  /// Of a key `k` and what there may be of its activity, `u`.
  static let columns = APIKeyRecord.columns + ", u.last_used, u.denied, u.last_denied"
  static let columnCount = APIKeyRecord.columnCount + 3

  init(row: Int, of result: QueryResult) throws {
    let first = APIKeyRecord.columnCount
    self.init(
      key: try APIKeyRecord(row: row, of: result),
      activity: KeyActivity(
        lastUsed: result.optionalInteger(row, first), denied: Int(result.integer(row, first + 1)),
        lastDenied: result.optionalInteger(row, first + 2)))
  }
}

extension APIKeyRecord {
  fileprivate static let columns =
    "k.id, k.account_id, k.mode, k.prefix, k.allowed_networks, k.allowed_referers, k.created, k.revoked, k.name"
  fileprivate static let columnCount = 9

  fileprivate init(row: Int, of result: QueryResult) throws {
    guard let mode = UInt8(exactly: result.integer(row, 2)).flatMap(Mode.init(rawValue:)) else {
      throw StoreFailure("a key is of an unknown mode")
    }
    func list(_ text: String) -> [String] { text.split(separator: " ").map(String.init) }
    self.init(
      id: KeyID(result.integer(row, 0)), account: AccountID(result.integer(row, 1)), mode: mode,
      name: result.text(row, 8), prefix: result.text(row, 3), allowedNetworks: list(result.text(row, 4)),
      allowedReferers: list(result.text(row, 5)), created: result.integer(row, 6),
      revoked: result.optionalInteger(row, 7))
  }
}

extension Statement {
  fileprivate static let ping = Statement("ping", "SELECT count(*) FROM meta")

  fileprivate static let totals = Statement(
    "totals",
    """
    SELECT (SELECT count(*) FROM accounts WHERE deleted IS NULL), (SELECT coalesce(sum(count), 0)::bigint FROM usage)
    """)

  /// The server hash of an outcome `o` of a chain `c`: that of its own epoch.
  static let outcomeHash = """
    CASE o.epoch WHEN c.epoch THEN c.server_hash ELSE
      (SELECT r.server_hash FROM revealed_seeds r
       WHERE r.owner_id = o.owner_id AND r.chain_id = o.chain_id AND r.epoch = o.epoch)
    END
    """

  fileprivate static let findOutcome = Statement(
    "find-outcome",
    """
    SELECT o.chain_id, o.epoch, o.cursor, o.nonce, o.endpoint, o.value, o.fields, o.items, o.created, c.client_seed,
      \(outcomeHash), r.server_seed, r.server_hash, r.cursor, r.nonce, r.revealed
    FROM outcomes o JOIN chains c ON c.owner_id = o.owner_id AND c.id = o.chain_id
      LEFT JOIN revealed_seeds r ON r.owner_id = o.owner_id AND r.chain_id = o.chain_id AND r.epoch = o.epoch
    WHERE o.id = $1::bigint
    """)

  fileprivate static let findTestOutcome = Statement(
    "find-test-outcome",
    """
    SELECT account_id, digest, client_seed, server_hash, endpoint, value, fields, items, created
    FROM test_outcomes WHERE id = $1::bigint
    """)

  fileprivate static let knowsHash = Statement(
    "knows-hash",
    """
    SELECT EXISTS (SELECT 1 FROM chains WHERE server_hash = $1::bytea AND client_seed = $2::bytea)
      OR EXISTS (SELECT 1 FROM revealed_seeds r JOIN chains c ON c.owner_id = r.owner_id AND c.id = r.chain_id
                 WHERE r.server_hash = $1::bytea AND c.client_seed = $2::bytea)
      OR EXISTS (SELECT 1 FROM test_outcomes WHERE server_hash = $1::bytea AND client_seed = $2::bytea)
    """)

  fileprivate static let selectTrail = Statement(
    "select-trail", "SELECT trail FROM chains WHERE owner_id = $1::bigint AND client_seed = $2::bytea")

  /// From outcome $1 back to the first that is older than the coordinates $2 and $3. Nonce and cursor only ever grow along
  /// a chain, so an outcome is older where it comes first, and both its links lead to older ones: it jumps as long as that
  /// does not go too far.
  fileprivate static let walkBack = Statement(
    "walk-back",
    """
    WITH RECURSIVE walk AS (
      SELECT id, cursor, nonce, previous, jump FROM outcomes WHERE id = $1::bigint
      UNION ALL
      SELECT o.id, o.cursor, o.nonce, o.previous, o.jump
      FROM walk w JOIN outcomes o ON o.id =
        CASE WHEN (SELECT (j.cursor, j.nonce) >= ($2::bigint, $3::bigint) FROM outcomes j WHERE j.id = w.jump)
        THEN w.jump ELSE w.previous END
      WHERE (w.cursor, w.nonce) >= ($2::bigint, $3::bigint))
    SELECT id FROM walk WHERE (cursor, nonce) < ($2::bigint, $3::bigint)
    """)

  /// Outcome $1 and those before it in its chain.
  fileprivate static let listOutcomes = Statement(
    "list-outcomes",
    """
    WITH RECURSIVE page AS (
      SELECT 1::bigint AS place, o.* FROM outcomes o WHERE o.id = $1::bigint
      UNION ALL
      SELECT p.place + 1, o.* FROM page p JOIN outcomes o ON o.id = p.previous WHERE p.place < $2::bigint)
    SELECT o.id, o.chain_id, o.epoch, o.cursor, o.nonce, o.endpoint, o.value, o.fields, o.items, o.created, \(outcomeHash)
    FROM page o JOIN chains c ON c.owner_id = o.owner_id AND c.id = o.chain_id ORDER BY o.place
    """)

  fileprivate static let listTestOutcomes = Statement(
    "list-test-outcomes",
    """
    SELECT id, 0::bigint, 0::bigint, 0::bigint, 0::bigint, endpoint, value, fields, items, created, server_hash
    FROM test_outcomes WHERE account_id = $1::bigint AND client_seed = $2::bytea AND length(digest) = 32
    ORDER BY id DESC LIMIT $3::bigint
    """)

  fileprivate static let findKey = Statement(
    "find-key", "SELECT \(APIKeyRecord.columns) FROM api_keys k WHERE k.hash = $1::bytea")

  fileprivate static let findKeysByPrefix = Statement(
    "find-keys-by-prefix",
    """
    SELECT \(APIKeyRecord.columns) FROM api_keys k WHERE substr(k.prefix, 1, length($1::text)) = $1::text LIMIT 2
    """)

  fileprivate static let listKeys = Statement(
    "list-keys",
    """
    SELECT \(KeyReport.columns), a.name
    FROM api_keys k JOIN accounts a ON a.id = k.account_id LEFT JOIN key_activity u ON u.key_id = k.id
    WHERE a.deleted IS NULL ORDER BY k.id
    """)

  fileprivate static let countKeys = Statement(
    "count-keys", "SELECT count(*) FROM api_keys WHERE account_id = $1::bigint AND revoked IS NULL")

  fileprivate static let insertKey = Statement(
    "insert-key",
    """
    INSERT INTO api_keys AS k
      (account_id, id, hash, prefix, mode, allowed_networks, allowed_referers, created, name)
    VALUES ($1::bigint, $2::bigint, $3::bytea, $4::text, $5::bigint, $6::text, $7::text,
      coalesce($8::bigint, \(now)), $9::text) RETURNING \(APIKeyRecord.columns)
    """)

  fileprivate static let revokeKey = Statement(
    "revoke-key",
    """
    UPDATE api_keys k SET revoked = coalesce(k.revoked, $3::bigint, \(now))
    WHERE k.account_id = $1::bigint AND k.id = $2::bigint RETURNING \(APIKeyRecord.columns)
    """)

  fileprivate static let insertAccount = Statement(
    "insert-account",
    """
    INSERT INTO accounts (id, name, daily_quota, created)
    VALUES ($1::bigint, $2::text, $3::bigint, coalesce($4::bigint, \(now)))
    ON CONFLICT (name) DO NOTHING RETURNING created
    """)

  static let findAccount = Statement(
    "find-account", "SELECT \(Account.columns) FROM accounts a WHERE a.id = $1::bigint AND a.deleted IS NULL")

  static let findAccountByName = Statement(
    "find-account-by-name", "SELECT \(Account.columns) FROM accounts a WHERE a.name = $1::text AND a.deleted IS NULL")

  fileprivate static let holdAccount = Statement("hold-account", findAccount.sql + " FOR UPDATE")

  fileprivate static let holdAccountByName = Statement(
    "hold-account-by-name", findAccountByName.sql + " FOR UPDATE")

  fileprivate static let listAccounts = Statement(
    "list-accounts", "SELECT \(Account.columns) FROM accounts a WHERE a.deleted IS NULL ORDER BY a.id")
}
