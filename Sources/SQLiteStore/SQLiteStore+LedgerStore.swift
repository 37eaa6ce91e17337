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
      let chain = ChainKey(owner: caller.chainOwner, clientSeed: clientSeed)
      guard let newest = try newestOutcome(db, of: chain, before: before) else { return [] }
      rows = try Row.fetchAll(
        db,
        sql: """
          WITH RECURSIVE page AS (
            SELECT * FROM outcomes WHERE id = ?
            UNION ALL
            SELECT o.* FROM page JOIN outcomes o ON o.id = page.previous
            LIMIT ?
          )
          SELECT o.id, o.chain_id, o.epoch, o.cursor, o.nonce, o.endpoint, o.value, o.fields, o.items, o.created,
                 \(Self.hash)
          FROM page o JOIN chains c ON c.id = o.chain_id ORDER BY o.id DESC
          """,
        arguments: [newest, limit])
    case .test:
      // A test outcome has no coordinates but 0:0, and nothing comes before those.
      if let before, (before.cursor, before.nonce) <= (0, 0) { return [] }
      rows = try Row.fetchAll(
        db,
        sql: """
          SELECT id, 0 AS chain_id, 0 AS epoch, 0 AS cursor, 0 AS nonce, endpoint, value, fields, items, created,
                 server_hash
          FROM test_outcomes WHERE account_id = ? AND client_seed = ? AND length(digest) = 32
          ORDER BY id DESC LIMIT ?
          """,
        arguments: [caller.account.rawValue, seed, limit])
    }
    return try rows.map { row in
      try Outcome(
        id: row[0], chain: row[1], epoch: row[2], cursor: row[3], nonce: row[4], endpoint: row[5],
        value: bytes(row[6]), fields: bytes(row[7]), items: (row[8] as Data?).map(Array.init), created: row[9],
        clientSeed: clientSeed.bytes, serverHash: (row[10] as Data?).map(Array.init), mode: caller.mode)
    }
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
    guard let trail = OutcomeTrail(Array(stored)) else { throw StoreFailure("the trail of a chain is damaged") }
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

  private static func bytes(_ data: Data) -> [UInt8] { Array(data) }

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
      id: row[0], chain: row[1], epoch: row[2], cursor: row[3], nonce: row[4], endpoint: row[5], value: bytes(row[6]),
      fields: bytes(row[7]), items: (row[8] as Data?).map(Array.init), created: row[9], clientSeed: bytes(row[10]),
      serverHash: (row[11] as Data?).map(Array.init), mode: .live)
    guard let seed = row[12] as Data? else {
      return RecordedOutcome(outcome: outcome, standing: .inUse(outcome.serverHash))
    }
    let revealed = RevealedSeed(
      chain: outcome.chain, epoch: outcome.epoch, seed: try ServerSeed(hex: bytes(seed)),
      hash: try ServerHash(bytes: bytes(row[13])), cursor: row[14], nonce: row[15], revealed: row[16])
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
        id: id, chain: 0, epoch: 0, cursor: 0, nonce: 0, endpoint: row[4], value: bytes(row[5]), fields: bytes(row[6]),
        items: (row[7] as Data?).map(Array.init), created: row[8], clientSeed: bytes(row[2]), serverHash: bytes(row[3]),
        mode: .test)
      let draw = TestDrawID(account: AccountID(row[0]), digest: bytes(row[1]))
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
