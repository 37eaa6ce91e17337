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
    return try write { try $0.sweepExpired(limit: limit) }
  }

  public func probe() throws(StoreFailure) {
    try write { try $0.probe() }
  }

  public func checkPlace() throws(StoreFailure) { try file.check() }

  public func ping() async throws(StoreFailure) {
    _ = try await read { db in try Int.fetchOne(db, sql: "SELECT count(*) FROM meta") }
  }

  public func size() async throws(StoreFailure) -> Int64 {
    try await read { db in
      try Int64.fetchOne(
        db, sql: "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()") ?? 0
    }
  }

  public func totals() async throws(StoreFailure) -> (accounts: Int, liveOutcomes: Int) {
    try await read { db in
      let accounts = try Int.fetchOne(db, sql: "SELECT count(*) FROM accounts WHERE deleted IS NULL") ?? 0
      let outcomes = try Int.fetchOne(db, sql: "SELECT coalesce(sum(count), 0) FROM usage") ?? 0
      return (accounts, outcomes)
    }
  }

  // MARK: Outcomes

  public func outcomes(
    of caller: Caller, clientSeed: ClientSeed, from start: OutcomeListStart, limit: Int
  ) async throws(StoreFailure) -> OutcomePage {
    try await read { db in
      switch caller.mode {
      case .live:
        let chain = ChainKey(owner: caller.chainOwner, clientSeed: clientSeed)
        return try Self.page(db, of: chain, from: start, limit: limit)
      case .test:
        return try Self.testPage(db, of: caller.account, clientSeed, from: start, limit: limit)
      }
    }
  }

  /// Follows the links from outcome to outcome.
  private static func page(
    _ db: Database, of chain: ChainKey, from start: OutcomeListStart, limit: Int
  ) throws -> OutcomePage {
    var next: Int64? =
      switch start {
      case .newest: try newestOutcome(db, of: chain, before: nil)
      case .before(let cursor, let nonce): try newestOutcome(db, of: chain, before: (cursor, nonce))
      case .after(let id): try Int64.fetchOne(db, sql: "SELECT previous FROM outcomes WHERE id = ?", arguments: [id])
      }
    let select = try db.cachedStatement(
      sql: """
        SELECT o.id, o.chain_id, o.epoch, o.cursor, o.nonce, o.endpoint, o.value, o.fields, o.items, o.created,
               \(Self.hash), o.previous
        FROM outcomes o JOIN chains c ON c.id = o.chain_id WHERE o.id = ?
        """)
    var page = OutcomePage(limit: limit)
    while let id = next, id != 0 {
      guard !page.isFull else {
        page.hasMore = true
        break
      }
      let found = try first(select, id) { row in
        (outcome: try outcome(row, of: chain.clientSeed, mode: .live), previous: row[11] as Int64)
      }
      guard let found else { throw StoreFailure("outcome \(id) is missing") }
      page.append(found.outcome)
      next = found.previous
    }
    return page
  }

  private static func testPage(
    _ db: Database, of account: AccountID, _ clientSeed: ClientSeed, from start: OutcomeListStart, limit: Int
  ) throws -> OutcomePage {
    var page = OutcomePage(limit: limit)
    var end = Int64.max
    switch start {
    case .newest: break
    // A test outcome has no coordinates but 0:0, and nothing comes before those.
    case .before(let cursor, let nonce): if (cursor, nonce) <= (0, 0) { return page }
    case .after(let id): end = id
    }
    let rows = try Row.fetchCursor(
      db.cachedStatement(
        sql: """
          SELECT id, 0, 0, 0, 0, endpoint, value, fields, items, created, server_hash FROM test_outcomes
          WHERE account_id = ? AND client_seed = ? AND id < ? AND length(digest) = 32 ORDER BY id DESC
          """),
      arguments: [account.rawValue, Data(clientSeed.bytes), end])
    while let row = try rows.next() {
      guard !page.isFull else {
        page.hasMore = true
        break
      }
      page.append(try outcome(row, of: clientSeed, mode: .test))
    }
    return page
  }

  /// Hands the row that `select` finds for a number to `read`, without a copy of it.
  private static func first<Result>(
    _ select: GRDB.Statement, _ id: Int64, read: (Row) throws -> Result
  ) throws -> Result? {
    let rows = try Row.fetchCursor(select, arguments: [id])
    return try withExtendedLifetime(rows) { try rows.next().map(read) }
  }

  private static func outcome(_ row: Row, of clientSeed: ClientSeed, mode: Mode) throws -> Outcome {
    try Outcome(
      id: row[0], chain: row[1], epoch: row[2], cursor: row[3], nonce: row[4], endpoint: row[5],
      stored: row.bytes(6), fields: row.bytes(7), items: row.optionalBytes(8), created: row[9],
      clientSeed: clientSeed.bytes, serverHash: row.optionalBytes(10), mode: mode)
  }

  public func outcomeNumbers(
    of caller: Caller, clientSeed: ClientSeed, newerThan last: (cursor: Int64, nonce: Int64), limit: Int
  ) async throws(StoreFailure) -> [Int64] {
    guard caller.mode == .live else { return [] }  // all test outcomes are at 0:0
    return try await read { db in
      let chain = ChainKey(owner: caller.chainOwner, clientSeed: clientSeed)
      var numbers: [Int64] = []
      let select = try db.cachedStatement(sql: "SELECT cursor, nonce, previous FROM outcomes WHERE id = ?")
      var next = try Self.newestOutcome(db, of: chain, before: nil)
      while numbers.count < limit, let id = next,
        let row = try Self.first(
          select, id, read: { (cursor: $0[0] as Int64, nonce: $0[1] as Int64, previous: $0[2] as Int64) }),
        (row.cursor, row.nonce) > last
      {
        numbers.append(id)
        next = row.previous
      }
      return numbers.reversed()
    }
  }

  public func outcome(
    of caller: Caller, clientSeed: ClientSeed, cursor: Int64, nonce: Int64
  ) async throws(StoreFailure) -> Outcome? {
    guard nonce < .max else { return nil }
    // The newest one that is not newer is the one itself, or it does not exist.
    let start = OutcomeListStart.before(cursor: cursor, nonce: nonce + 1)
    let found = try await outcomes(of: caller, clientSeed: clientSeed, from: start, limit: 1).outcomes.first
    return found.flatMap { $0.cursor == cursor && $0.nonce == nonce ? $0 : nil }
  }

  /// The row of a chain's newest outcome that is older than `before`; nil if there is none.
  ///
  /// Nonce and cursor only ever grow along a chain, so an outcome is older where it comes first, and both its links lead
  /// to older ones: it jumps as long as that does not go too far.
  static func newestOutcome(
    _ db: Database, of chain: ChainKey, before: (cursor: Int64, nonce: Int64)?
  ) throws -> Int64? {
    let stored = try Data.fetchOne(
      db, sql: "SELECT trail FROM chains WHERE owner_id = ? AND client_seed = ?",
      arguments: [chain.owner.rawValue, Data(chain.clientSeed.bytes)])
    guard let stored else { return nil }
    guard let trail = OutcomeTrail(Array(stored)) else { throw StoreFailure.damaged("the trail of a chain is damaged") }
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

  /// The server hash of an outcome `o` of a chain `c`: that of its own epoch.
  private static let hash = """
    CASE o.epoch WHEN c.epoch THEN c.server_hash ELSE
      (SELECT r.server_hash FROM revealed_seeds r WHERE r.chain_id = o.chain_id AND r.epoch = o.epoch)
    END
    """

  public func recordedOutcome(id: Int64) async throws(StoreFailure) -> RecordedOutcome? {
    try await read { db in try Self.liveOutcome(db, id: id) ?? Self.testOutcome(db, id: id) }
  }

  private static func liveOutcome(_ db: Database, id: Int64) throws -> RecordedOutcome? {
    let row = try Row.fetchOne(
      db,
      sql: """
        SELECT o.id, o.chain_id, o.epoch, o.cursor, o.nonce, o.endpoint, o.value, o.fields, o.items, o.created,
               c.client_seed, \(hash), r.server_seed, r.server_hash, r.cursor, r.nonce, r.revealed
        FROM outcomes o JOIN chains c ON c.id = o.chain_id
          LEFT JOIN revealed_seeds r ON r.chain_id = o.chain_id AND r.epoch = o.epoch
        WHERE o.id = ?
        """,
      arguments: [id])
    guard let row else { return nil }
    let outcome = try Outcome(
      id: row[0], chain: row[1], epoch: row[2], cursor: row[3], nonce: row[4], endpoint: row[5], stored: row.bytes(6),
      fields: row.bytes(7), items: row.optionalBytes(8), created: row[9], clientSeed: row.bytes(10),
      serverHash: row.optionalBytes(11), mode: .live)
    guard let seed = try row.optionalBytes(12) else {
      return RecordedOutcome(outcome: outcome, standing: .inUse(outcome.serverHash))
    }
    let revealed = RevealedSeed(
      chain: outcome.chain, epoch: outcome.epoch, seed: try ServerSeed(hex: seed),
      hash: try ServerHash(bytes: row.bytes(13)), cursor: row[14], nonce: row[15], revealed: row[16])
    return RecordedOutcome(outcome: outcome, standing: .revealed(revealed))
  }

  private static func testOutcome(_ db: Database, id: Int64) throws -> RecordedOutcome? {
    let row = try Row.fetchOne(
      db,
      sql: """
        SELECT account_id, digest, client_seed, server_hash, endpoint, value, fields, items, created
        FROM test_outcomes WHERE id = ?
        """,
      arguments: [id])
    return try row.map { row in
      let outcome = try Outcome(
        id: id, chain: 0, epoch: 0, cursor: 0, nonce: 0, endpoint: row[4], stored: row.bytes(5), fields: row.bytes(6),
        items: row.optionalBytes(7), created: row[8], clientSeed: row.bytes(2), serverHash: row.bytes(3),
        mode: .test)
      let draw = TestDrawID(account: AccountID(row[0]), digest: try row.bytes(1))
      return RecordedOutcome(outcome: outcome, standing: .rehearsal(draw))
    }
  }

  public func isKnown(_ serverHash: ServerHash, clientSeed: ClientSeed) async throws(StoreFailure) -> Bool {
    let arguments: StatementArguments = [Data(serverHash.bytes), Data(clientSeed.bytes)]
    return try await read { db in
      try Bool.fetchOne(
        db,
        sql: """
          SELECT EXISTS (SELECT 1 FROM chains WHERE server_hash = ?1 AND client_seed = ?2)
            OR EXISTS (SELECT 1 FROM revealed_seeds r JOIN chains c ON c.id = r.chain_id
                       WHERE r.server_hash = ?1 AND c.client_seed = ?2)
            OR EXISTS (SELECT 1 FROM test_outcomes WHERE server_hash = ?1 AND client_seed = ?2)
          """,
        arguments: arguments) ?? false
    }
  }
}

extension Row {
  /// A column's bytes, copied once.
  func bytes(_ column: Int) throws -> [UInt8] { try optionalBytes(column) ?? [] }

  /// The same, nil for NULL.
  func optionalBytes(_ column: Int) throws -> [UInt8]? { try withUnsafeData(atIndex: column) { $0.map(Array.init) } }
}
