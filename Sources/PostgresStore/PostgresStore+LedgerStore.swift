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
          } catch let failure as PostgresFailure where failure.isLockTimeout {
            attempt += 1
            guard attempt < 3, try groups.findHeld(among: needs, on: session) else {
              // No row of the group's: a table, or what all share.
              throw StoreFailure(failure.description, isOfWholeStore: true)
            }
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

  public func size() async throws(StoreFailure) -> Int64 {
    try await reading.read { connection in try connection.run([Query(.size)])[0].integer(0, 0) }
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
    of caller: Caller, clientSeed: ClientSeed, from start: OutcomeListStart, limit: Int
  ) async throws(StoreFailure) -> OutcomePage {
    switch caller.mode {
    case .live:
      let chain = ChainKey(owner: caller.chainOwner, clientSeed: clientSeed)
      return try await reading.read { connection in
        let first: Int64?
        switch start {
        case .newest: first = try Self.newestOutcome(of: chain, before: nil, on: connection)
        case .before(let cursor, let nonce):
          first = try Self.newestOutcome(of: chain, before: (cursor, nonce), on: connection)
        case .after(let id):
          let found = try connection.run([Query(.selectPrevious) { $0.bind(id) }])[0]
          first = found.count > 0 ? found.integer(0, 0) : nil
        }
        guard let first, first != 0 else { return OutcomePage(limit: limit) }
        return try Self.page(
          Query(.listOutcomes) {
            $0.bind(first)
            $0.bind(Int64(limit))
            $0.bind(Int64(OutcomePage.maximumBytes))
          }, of: clientSeed, mode: .live, limit: limit, on: connection)
      }
    case .test:
      var end = Int64.max
      switch start {
      case .newest: break
      // A test outcome has no coordinates but 0:0, and nothing comes before those.
      case .before(let cursor, let nonce): if (cursor, nonce) <= (0, 0) { return OutcomePage(limit: limit) }
      case .after(let id): end = id
      }
      return try await reading.read { [end] connection in
        try Self.page(
          Query(.listTestOutcomes) {
            $0.bind(caller.account.rawValue)
            $0.bind(clientSeed.bytes)
            $0.bind(end)
            $0.bind(Int64(limit))
            $0.bind(Int64(OutcomePage.maximumBytes))
          }, of: clientSeed, mode: .test, limit: limit, on: connection)
      }
    }
  }

  /// What a query found: outcomes, and in the last column of each whether there are more after it.
  private static func page(
    _ query: Query, of clientSeed: ClientSeed, mode: Mode, limit: Int, on connection: Connection
  ) throws -> OutcomePage {
    let rows = try connection.run([query])[0]
    var page = OutcomePage(limit: limit)
    for row in 0..<rows.count {
      page.append(
        try Outcome(
          id: rows.integer(row, 0), chain: rows.integer(row, 1), epoch: rows.integer(row, 2),
          cursor: rows.integer(row, 3), nonce: rows.integer(row, 4), endpoint: rows.integer(row, 5),
          stored: rows.bytes(row, 6), fields: rows.bytes(row, 7), items: rows.optionalBytes(row, 8),
          created: rows.integer(row, 9), clientSeed: clientSeed.bytes, serverHash: rows.optionalBytes(row, 10),
          mode: mode))
    }
    page.hasMore = rows.count > 0 && rows.bytes(rows.count - 1, 11) == [1]
    return page
  }

  public func outcomeNumbers(
    of caller: Caller, clientSeed: ClientSeed, newerThan last: (cursor: Int64, nonce: Int64), limit: Int
  ) async throws(StoreFailure) -> [Int64] {
    guard caller.mode == .live else { return [] }  // all test outcomes are at 0:0
    let chain = ChainKey(owner: caller.chainOwner, clientSeed: clientSeed)
    return try await reading.read { connection in
      guard let newest = try Self.newestOutcome(of: chain, before: nil, on: connection) else { return [] }
      let rows = try connection.run([
        Query(.listNewer) {
          $0.bind(newest)
          $0.bind(last.cursor)
          $0.bind(last.nonce)
          $0.bind(Int64(limit))
        }
      ])[0]
      return (0..<rows.count).map { rows.integer($0, 0) }
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
    guard let trail = OutcomeTrail(stored.bytes(0, 0)) else {
      throw StoreFailure.damaged("the trail of a chain is damaged")
    }
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
    let start = OutcomeListStart.before(cursor: cursor, nonce: nonce + 1)
    let found = try await outcomes(of: caller, clientSeed: clientSeed, from: start, limit: 1).outcomes.first
    return found.flatMap { $0.cursor == cursor && $0.nonce == nonce ? $0 : nil }
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
      endpoint: row.integer(0, 4), stored: row.bytes(0, 5), fields: row.bytes(0, 6), items: row.optionalBytes(0, 7),
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
      id: id, chain: 0, epoch: 0, cursor: 0, nonce: 0, endpoint: row.integer(0, 4), stored: row.bytes(0, 5),
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
}

extension Statement {
  fileprivate static let ping = Statement("ping", "SELECT count(*) FROM meta")

  fileprivate static let size = Statement("size", "SELECT pg_database_size(current_database())")

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

  fileprivate static let selectPrevious = Statement(
    "select-previous", "SELECT previous FROM outcomes WHERE id = $1::bigint")

  /// What an outcome takes in memory, with its value made from its items: lengths are known without reading what is long.
  static let outcomeBytes = "octet_length(o.value) + octet_length(o.fields) + 2 * coalesce(octet_length(o.items), 0)"

  /// Outcome $1 and those before it in its chain: $2 of them, or fewer that have $3 bytes.
  fileprivate static let listOutcomes = Statement(
    "list-outcomes",
    """
    WITH RECURSIVE page AS (
      SELECT 1::bigint AS place, o.id, o.previous, (\(outcomeBytes))::bigint AS bytes
      FROM outcomes o WHERE o.id = $1::bigint
      UNION ALL
      SELECT p.place + 1, o.id, o.previous, p.bytes + \(outcomeBytes)
      FROM page p JOIN outcomes o ON o.id = p.previous WHERE p.place < $2::bigint AND p.bytes < $3::bigint)
    SELECT o.id, o.chain_id, o.epoch, o.cursor, o.nonce, o.endpoint, o.value, o.fields, o.items, o.created,
      \(outcomeHash), o.previous <> 0
    FROM page p JOIN outcomes o ON o.id = p.id JOIN chains c ON c.owner_id = o.owner_id AND c.id = o.chain_id
    ORDER BY p.place
    """)

  /// An account's test outcomes of a client seed before $3: $4 of them, or fewer that have $5 bytes.
  fileprivate static let listTestOutcomes = Statement(
    "list-test-outcomes",
    """
    SELECT o.id, 0::bigint, 0::bigint, 0::bigint, 0::bigint, o.endpoint, o.value, o.fields, o.items, o.created,
      o.server_hash, p.place < p.found
    FROM (
      SELECT id, row_number() OVER newest AS place, sum(bytes) OVER newest - bytes AS before, count(*) OVER () AS found
      FROM (
        SELECT o.id, \(outcomeBytes) AS bytes FROM test_outcomes o
        WHERE account_id = $1::bigint AND client_seed = $2::bytea AND id < $3::bigint AND length(digest) = 32
        ORDER BY id DESC LIMIT $4::bigint + 1) t
      WINDOW newest AS (ORDER BY id DESC)) p
    JOIN test_outcomes o ON o.id = p.id
    WHERE p.place <= $4::bigint AND p.before < $5::bigint ORDER BY o.id DESC
    """)

  /// The outcomes of a chain from its newest, $1, back to the coordinates $2 and $3: the $4 newest, oldest first.
  fileprivate static let listNewer = Statement(
    "list-newer",
    """
    WITH RECURSIVE newer AS (
      SELECT 1::bigint AS place, id, previous FROM outcomes
      WHERE id = $1::bigint AND (cursor, nonce) > ($2::bigint, $3::bigint)
      UNION ALL
      SELECT n.place + 1, o.id, o.previous FROM newer n JOIN outcomes o ON o.id = n.previous
      WHERE n.place < $4::bigint AND (o.cursor, o.nonce) > ($2::bigint, $3::bigint))
    SELECT id FROM newer ORDER BY place DESC
    """)
}
