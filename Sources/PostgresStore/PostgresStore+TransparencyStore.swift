import Fairness
import Ledger

extension PostgresStore: TransparencyStore {
  // MARK: Publishing

  public func nextDay() throws(StoreFailure) -> Day? {
    try care { connection in
      let row = try connection.run([Query(.nextDay)])[0]
      return row.optionalInteger(0, 0).map { Day(number: $0) }
    }
  }

  public func openDay(_ day: Day) throws -> any DayDraft {
    do {
      try caring.withSession { session in
        try session.transaction { connection in
          let results = try connection.run([Query(.holdLog), Query(.sealingTime) { $0.bind(self.clock?()) }])
          guard results[1].integer(0, 0) >= day.end else { throw DayNotOver(day) }
          try connection.run([Query(.seal) { $0.bind(day.number) }])
        }
      }
      return try PostgresDayDraft(store: self, day: day)
    } catch let error as DayNotOver {
      throw error
    } catch {
      throw StoreFailure(error)
    }
  }

  // MARK: Reading

  public func publishedDays(before: Day?, limit: Int) async throws(StoreFailure) -> [PublishedDay] {
    try await reading.read { connection in
      let rows = try connection.run([
        Query(.listDays) {
          $0.bind(before?.number ?? .max)
          $0.bind(Int64(limit))
        }
      ])[0]
      return try (0..<rows.count).map { try PublishedDay(row: $0, of: rows) }
    }
  }

  public func publishedDay(_ day: Day) async throws(StoreFailure) -> PublishedDay? {
    try await reading.read { try PublishedDay.fetch($0, day) }
  }

  public func find(_ reference: OutcomeReference) async throws(StoreFailure) -> FoundOutcome? {
    try await reading.read { connection in
      let id: Int64
      switch reference {
      case .id(let number): id = number
      case .coordinates(let chain, let cursor, let nonce):
        // The newest one that is not newer is the one itself, or it does not exist.
        guard nonce < .max,
          let found = try Self.newestOutcome(of: chain, before: (cursor, nonce + 1), on: connection)
        else { return nil }
        id = found
      }
      let row = try connection.run([Query(.findLeaf) { $0.bind(id) }])[0]
      guard row.count > 0 else { return nil }
      let leaf = try LogLeaf(row: 0, of: row)
      if case .coordinates(_, let cursor, let nonce) = reference, (leaf.cursor, leaf.nonce) != (cursor, nonce) {
        return nil
      }
      // A published day never changes, so what is read now and what was read just before belong together.
      guard let day = try PublishedDay.fetch(connection, Day(of: leaf.created)) else {
        return FoundOutcome(leaf: leaf, place: nil)
      }
      let places = try connection.run([Query(.findPlace) { $0.bind(id) }])[0]
      let index = Int(places.count > 0 ? places.integer(0, 0) : -1)
      guard (0..<day.leafCount).contains(index) else {
        throw StoreFailure.damaged("outcome \(id) has no place in the tree of \(day.day)")
      }
      let tiles = day.shape.tilesOfProof(for: index)
      let rows = try connection.run(
        tiles.map { place in
          Query(.findTile) {
            $0.bind(day.day.number)
            $0.bind(Int64(place.level))
            $0.bind(Int64(place.number))
          }
        })
      let found = try zip(tiles, rows).map { place, row in
        try MerkleTile(place: place, stored: row.count > 0 ? row.bytes(0, 0) : [], of: day.day)
      }
      return FoundOutcome(leaf: leaf, place: FoundOutcome.Place(day: day, index: index, tiles: found))
    }
  }

  public func leafTiles(of day: Day, first: Int, limit: Int) async throws(StoreFailure) -> [MerkleTile] {
    try await reading.read { connection in
      guard let published = try PublishedDay.fetch(connection, day) else { return [] }
      let numbers = first..<min(first + limit, max(published.shape.leafTiles, first))
      let found = try connection.run([
        Query(.listLeafTiles) {
          $0.bind(day.number)
          $0.bind(Int64(first))
          $0.bind(Int64(numbers.count))
        }
      ])[0]
      guard found.count == numbers.count else {
        throw StoreFailure.damaged("the tree of \(day) lacks some of its leaves")
      }
      return try numbers.enumerated().map { row, number in
        try MerkleTile(place: MerkleTile.Place(level: 0, number: number), stored: found.bytes(row, 0), of: day)
      }
    }
  }

  public func leaves(
    of account: AccountID, on day: Day, after: Int64?
  ) async throws(StoreFailure) -> (leaves: [PlacedLeaf], next: Int64?) {
    try await reading.read { connection in
      guard try PublishedDay.fetch(connection, day) != nil else { return ([], nil) }
      // So many outcomes are looked at in one go, whosever they are.
      let limit = 10_000
      let rows = try connection.run([
        Query(.listLeaves) {
          $0.bind(account.rawValue)
          $0.bind(day.start)
          $0.bind(day.end)
          $0.bind(after)
          $0.bind(Int64(limit))
        }
      ])[0]
      // The first row is what was looked at: how many, and the last of them.
      let seen = rows.integer(0, 0)
      let leaves = try (1..<rows.count).map { row in
        PlacedLeaf(leaf: try LogLeaf(row: row, of: rows), index: Int(rows.integer(row, 6)))
      }
      return (leaves, seen == limit ? rows.integer(0, 2) : nil)
    }
  }
}

extension LogLeaf {
  /// From ``Statement/leafColumns``.
  init(row: Int, of result: QueryResult) throws {
    guard let clientSeed = result.optionalBytes(row, 1), let serverHash = result.optionalBytes(row, 5) else {
      throw StoreFailure.damaged("the chain or the server hash of outcome \(result.integer(row, 0)) is not there")
    }
    self.init(
      clientSeed: try ClientSeed(clientSeed), cursor: result.integer(row, 2), nonce: result.integer(row, 3),
      serverHash: try ServerHash(bytes: serverHash), created: result.integer(row, 4))
  }
}

extension PublishedDay {
  static func fetch(_ connection: Connection, _ day: Day) throws -> PublishedDay? {
    let row = try connection.run([Query(.findDay) { $0.bind(day.number) }])[0]
    return row.count > 0 ? try PublishedDay(row: 0, of: row) : nil
  }

  init(row: Int, of result: QueryResult) throws {
    try self.init(
      day: Day(number: result.integer(row, 0)), root: result.optionalBytes(row, 1),
      leafCount: result.optionalInteger(row, 2), previousRoot: result.optionalBytes(row, 3),
      signature: result.optionalBytes(row, 4), publishedAt: result.integer(row, 5))
  }
}

extension MerkleTile {
  fileprivate init(place: Place, stored bytes: [UInt8], of day: Day) throws {
    guard Self.isWhole(bytes) else {
      throw StoreFailure.damaged("tile \(place.number) of level \(place.level) of \(day) is missing or damaged")
    }
    self.init(place: place, bytes: bytes)
  }
}

extension Statement {
  /// What makes a leaf. A server hash is with its chain while the chain still carries it, and with the revealed seeds after.
  static let leafColumns = """
    o.id, c.client_seed, o.cursor, o.nonce, o.created,
    CASE WHEN c.epoch = o.epoch THEN c.server_hash ELSE
      (SELECT r.server_hash FROM revealed_seeds r
       WHERE r.owner_id = o.owner_id AND r.chain_id = o.chain_id AND r.epoch = o.epoch) END
    """
  static let leafChains = "LEFT JOIN chains c ON c.owner_id = o.owner_id AND c.id = o.chain_id"
  private static let leafTables = "outcomes o \(leafChains)"
  /// Outcomes `o` by the times of the runs `u` they are in, run by run: OFFSET keeps the planner, which cannot know how few
  /// are between two numbers, from reading the whole table instead.
  static let outcomesByTime = """
    outcome_runs u CROSS JOIN LATERAL (
      SELECT * FROM outcomes WHERE id BETWEEN u.first AND u.last AND created = u.created OFFSET 0) o
    """

  fileprivate static let nextDay = Statement(
    "next-day",
    """
    SELECT coalesce(
      (SELECT max(day) + 1 FROM merkle_days WHERE published IS NOT NULL),
      (SELECT min(created) / 86400000 FROM outcome_runs))
    """)

  fileprivate static let sealingTime = Statement("sealing-time", "SELECT coalesce($1::bigint, \(now))")

  fileprivate static let seal = Statement(
    "seal", "INSERT INTO merkle_days (day) VALUES ($1::bigint) ON CONFLICT (day) DO NOTHING")

  private static let dayColumns = "day, root, leaf_count, previous_root, signature, published"

  fileprivate static let findDay = Statement(
    "find-day", "SELECT \(dayColumns) FROM merkle_days WHERE day = $1::bigint AND published IS NOT NULL")

  fileprivate static let listDays = Statement(
    "list-days",
    """
    SELECT \(dayColumns) FROM merkle_days WHERE published IS NOT NULL AND day < $1::bigint
    ORDER BY day DESC LIMIT $2::bigint
    """)

  fileprivate static let findLeaf = Statement(
    "find-leaf", "SELECT \(leafColumns) FROM \(leafTables) WHERE o.id = $1::bigint")

  fileprivate static let findPlace = Statement(
    "find-place", "SELECT leaf FROM merkle_leaves WHERE outcome_id = $1::bigint")

  fileprivate static let findTile = Statement(
    "find-tile", "SELECT hashes FROM merkle_tiles WHERE day = $1::bigint AND level = $2::bigint AND number = $3::bigint"
  )

  fileprivate static let listLeafTiles = Statement(
    "list-leaf-tiles",
    """
    SELECT hashes FROM merkle_tiles WHERE day = $1::bigint AND level = 0 AND number >= $2::bigint
    ORDER BY number LIMIT $3::bigint
    """)

  /// Of the outcomes after number $4 of a day, in the order of time: first how many were looked at, and the last one; then
  /// those that are account $1's. A commitment's chain is its maker's.
  fileprivate static let listLeaves = Statement(
    "list-leaves",
    """
    WITH seen AS MATERIALIZED (
      SELECT o.id, o.owner_id, o.chain_id, o.created FROM \(outcomesByTime)
      WHERE u.created >= greatest($2::bigint, (SELECT created FROM outcomes WHERE id = $4::bigint))
        AND u.created < $3::bigint
        AND (u.created, o.id)
          > (coalesce((SELECT created FROM outcomes WHERE id = $4::bigint), 0), coalesce($4::bigint, 0))
      ORDER BY u.created, o.id LIMIT $5::bigint),
    own AS (
      SELECT \(leafColumns) AS server_hash, l.leaf
      FROM seen s JOIN \(leafTables) ON o.id = s.id JOIN merkle_leaves l ON l.outcome_id = s.id
      WHERE s.owner_id = $1::bigint OR s.owner_id = -s.chain_id
        AND EXISTS (SELECT 1 FROM commitments m WHERE m.owner_id = $1::bigint AND m.chain_id = s.chain_id)
      ORDER BY o.created, o.id)
    SELECT (SELECT count(*) FROM seen), NULL::bytea, (SELECT id FROM seen ORDER BY created DESC, id DESC LIMIT 1),
      0::bigint, 0::bigint, NULL::bytea, 0::bigint
    UNION ALL SELECT * FROM own
    """)
}
