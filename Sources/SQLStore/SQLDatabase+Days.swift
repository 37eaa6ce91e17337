import Fairness
import Ledger

extension SQLDatabase {
  public func publishedDays(before: Day?, limit: Int) async throws(StoreFailure) -> [PublishedDay] {
    try await read {
      try $0.rows(
        """
        SELECT * FROM merkle_days WHERE published IS NOT NULL AND day < \(before?.number ?? .max)
        ORDER BY day DESC LIMIT \(limit)
        """
      ).map(PublishedDay.init(row:))
    }
  }

  public func publishedDay(_ day: Day) async throws(StoreFailure) -> PublishedDay? {
    try await read { try $0.publishedDay(day) }
  }

  public func find(_ reference: OutcomeReference) async throws(StoreFailure) -> FoundOutcome? {
    try await read { connection in
      guard let (id, leaf) = try connection.leaf(reference) else { return nil }
      return try connection.found(id, leaf)
    }
  }

  public func first(
    of clientSeed: ClientSeed, cursor: Int64, nonce: Int64, on day: Day
  ) async throws(StoreFailure) -> FoundOutcome? {
    try await read { connection in
      guard try connection.publishedDay(day) != nil else { return nil }
      // Chains are found by their owners, and so are commitments: each account's is looked for.
      let owners: SQLStatement = "(SELECT id AS owner FROM accounts UNION ALL SELECT 0) a"
      let chains = try connection.rows(
        "SELECT c.owner_id FROM \(owners) JOIN chains c ON c.owner_id = a.owner AND c.client_seed = \(clientSeed.bytes)"
      )
      var candidates: [(index: Int, id: Int64)] = []
      for chain in chains {
        let key = ChainKey(owner: ChainOwner(try chain.integer("owner_id")), clientSeed: clientSeed)
        guard let (id, leaf) = try connection.leaf(.coordinates(key, cursor: cursor, nonce: nonce)),
          Day(of: leaf.created) == day,
          let row = try connection.row("SELECT leaf FROM merkle_leaves WHERE outcome_id = \(id)")
        else { continue }
        candidates.append((try row.count("leaf"), id))
      }
      if cursor == 0, nonce == 0 {
        let revealed = try connection.row(
          """
          SELECT l.leaf, l.outcome_id FROM \(owners)
          JOIN commitments m ON m.owner_id = a.owner AND m.client_seed = \(clientSeed.bytes)
            AND m.revealed >= \(day.start) AND m.revealed < \(day.end)
          JOIN merkle_leaves l ON l.outcome_id = m.outcome_id ORDER BY l.leaf LIMIT 1
          """)
        if let revealed { candidates.append((try revealed.count("leaf"), try revealed.integer("outcome_id"))) }
      }
      guard let first = candidates.min(by: { $0.index < $1.index }),
        let (id, leaf) = try connection.leaf(.id(first.id))
      else { return nil }
      return try connection.found(id, leaf)
    }
  }

  public func leafTiles(of day: Day, first: Int, limit: Int) async throws(StoreFailure) -> [MerkleTile] {
    try await read { connection in
      guard let published = try connection.publishedDay(day) else { return [] }
      let numbers = first..<min(first + limit, max(published.shape.leafTiles, first))
      let found = try connection.rows(
        """
        SELECT hashes FROM merkle_tiles WHERE day = \(day.number) AND level = 0 AND number >= \(first)
        ORDER BY number LIMIT \(numbers.count)
        """)
      guard found.count == numbers.count else {
        throw StoreFailure.damaged("the tree of \(day) lacks some of its leaves")
      }
      return try zip(numbers, found).map {
        try MerkleTile(place: MerkleTile.Place(level: 0, number: $0), row: $1, of: day)
      }
    }
  }
}

/// A day's draft whose leaves a store sorts in its own way.
public protocol SQLDayDraft: DayDraft {
  associatedtype Store: SQLDatabase
  var store: Store { get }
  var day: Day { get }
}

extension SQLDayDraft {
  public func keep(_ tiles: [MerkleTile]) throws(StoreFailure) {
    try store.transactBlocking { connection in
      _ = try connection.run(
        tiles.map {
          """
          INSERT INTO merkle_tiles (day, level, number, hashes)
          SELECT \(day.number), \($0.place.level), \($0.place.number), \($0.bytes)
          WHERE NOT EXISTS (SELECT 1 FROM merkle_days WHERE day = \(day.number) AND published IS NOT NULL)
          ON CONFLICT (day, level, number) DO UPDATE SET hashes = excluded.hashes
          """
        })
    }
  }

  public func publish(_ make: (_ previousRoot: MerkleHash?) throws -> PublishedDay) throws(StoreFailure) -> PublishedDay
  {
    try store.transactBlocking { connection in
      // Whoever publishes the same day waits here, and then finds it published.
      _ = try connection.row("SELECT 1 FROM merkle_days WHERE day = \(day.number)\(connection.dialect.forUpdate)")
      if let published = try connection.publishedDay(day) { return published }
      let previous = try connection.publishedDay(day.previous)
      if previous == nil, try connection.row("SELECT 1 FROM merkle_days WHERE published IS NOT NULL LIMIT 1") != nil {
        throw StoreFailure("\(day.previous) is not published yet, and comes before \(day)")
      }
      let made = try make(previous?.root)
      let published = try connection.execute(
        """
        UPDATE merkle_days SET root = \(made.root?.bytes), leaf_count = \(made.leafCount),
          previous_root = \(made.previousRoot?.bytes), signature = \(made.signature), published = \(made.publishedAt)
        WHERE day = \(day.number) AND published IS NULL
        """)
      guard published == 1 else { throw StoreFailure("\(day) was not sealed") }
      var entry = LogEntries()
      entry.append(.root(date: day.description, root: made.root, leafCount: made.leafCount))
      _ = try connection.execute("INSERT INTO log_queue (entries) VALUES (\(entry.bytes))")
      var data: [UInt8] = [UInt8(ascii: "{")]
      made.append(to: &data)
      data.append(UInt8(ascii: "}"))
      try connection.execute(.events(.dayPublished, data, at: connection.now()))
      return made
    }
  }
}

extension SQLConnection {
  package func publishedDay(_ day: Day) throws -> PublishedDay? {
    try row("SELECT * FROM merkle_days WHERE day = \(day.number) AND published IS NOT NULL").map(
      PublishedDay.init(row:))
  }

  /// An outcome and, if its day is published, what its proof is made from.
  fileprivate func found(_ id: Int64, _ leaf: LogLeaf) throws -> FoundOutcome {
    // A published day never changes, so what is read now and what was read just before belong together.
    guard let day = try publishedDay(Day(of: leaf.created)) else {
      return FoundOutcome(leaf: leaf, place: nil)
    }
    let index = try row("SELECT leaf FROM merkle_leaves WHERE outcome_id = \(id)")?.count("leaf") ?? -1
    guard (0..<day.leafCount).contains(index) else {
      throw StoreFailure.damaged("outcome \(id) has no place in the tree of \(day.day)")
    }
    let places = day.shape.tilesOfProof(for: index)
    let found = try run(
      places.map {
        """
        SELECT hashes FROM merkle_tiles WHERE day = \(day.day.number) AND level = \($0.level) AND number = \($0.number)
        """
      })
    let tiles = try zip(places, found).map { try MerkleTile(place: $0, row: $1.rows.first, of: day.day) }
    return FoundOutcome(leaf: leaf, place: FoundOutcome.Place(day: day, index: index, tiles: tiles))
  }

  fileprivate func leaf(_ reference: OutcomeReference) throws -> (id: Int64, leaf: LogLeaf)? {
    let id: Int64
    switch reference {
    case .id(let number): id = number
    case .coordinates(let chain, let cursor, let nonce):
      // The newest one that is not newer is the one itself, or it does not exist.
      guard let found = try split(chain, unless: "(cursor, nonce) > (\(cursor), \(nonce))").older else { return nil }
      id = found
    }
    let row = try row(
      "SELECT \(dialect.leafColumns) FROM outcomes o LEFT JOIN \(dialect.chainOfOutcome) WHERE o.id = \(id)")
    guard let leaf = try row.map(LogLeaf.init(row:)) else { return nil }
    if case .coordinates(_, let cursor, let nonce) = reference, (leaf.cursor, leaf.nonce) != (cursor, nonce) {
      return nil
    }
    return (id, leaf)
  }
}

extension LogLeaf {
  fileprivate init(row: SQLRow) throws {
    try self.init(
      outcome: row.integer("id"), clientSeed: row.optionalBytes("client_seed"), cursor: row.integer("cursor"),
      nonce: row.integer("nonce"), created: row.integer("created"), serverHash: row.optionalBytes("server_hash"))
  }

  /// A leaf as columns hold it.
  ///
  /// - Parameters:
  ///   - clientSeed: nil if the chain is not there.
  ///   - serverHash: nil if neither the chain nor the revealed seeds have it.
  init(
    outcome: Int64, clientSeed: [UInt8]?, cursor: Int64, nonce: Int64, created: Milliseconds, serverHash: [UInt8]?
  ) throws {
    guard let clientSeed, let serverHash else {
      throw StoreFailure.damaged("the chain or the server hash of outcome \(outcome) is not there")
    }
    self.init(
      clientSeed: try ClientSeed(clientSeed), cursor: cursor, nonce: nonce,
      serverHash: try ServerHash(bytes: serverHash), created: created)
  }
}

extension PlacedLeaf {
  package init(row: SQLRow) throws { self.init(leaf: try LogLeaf(row: row), index: try row.count("leaf")) }
}

extension PublishedDay {
  fileprivate init(row: SQLRow) throws {
    try self.init(
      day: Day(number: row.integer("day")), root: row.optionalBytes("root"),
      leafCount: row.optionalInteger("leaf_count"), previousRoot: row.optionalBytes("previous_root"),
      signature: row.optionalBytes("signature"), publishedAt: row.integer("published"))
  }
}

extension MerkleTile {
  fileprivate init(place: Place, row: SQLRow?, of day: Day) throws {
    guard let bytes = try row?.bytes("hashes"), Self.isWhole(bytes) else {
      throw StoreFailure.damaged("tile \(place.number) of level \(place.level) of \(day) is missing or damaged")
    }
    self.init(place: place, bytes: bytes)
  }
}
