import Fairness
import Foundation
import GRDB
import Ledger

extension SQLiteStore: TransparencyStore {
  // MARK: Publishing

  public func nextDay() throws(StoreFailure) -> Day? {
    try failing {
      try pool.read { db in
        if let last = try Int64.fetchOne(db, sql: "SELECT max(day) FROM merkle_days WHERE published IS NOT NULL") {
          return Day(number: last).next
        }
        return try Int64.fetchOne(db, sql: "SELECT created FROM outcomes ORDER BY id LIMIT 1").map { Day(of: $0) }
      }
    }
  }

  public func openDay(_ day: Day) throws -> any DayDraft {
    try pool.writeWithoutTransaction { _ in try writer.seal(day) }
    return try SQLiteDayDraft(store: self, day: day)
  }

  // MARK: Reading

  public func publishedDays(before: Day?, limit: Int) async throws(StoreFailure) -> [PublishedDay] {
    try await read { db in
      try Row.fetchAll(
        db,
        sql: "SELECT * FROM merkle_days WHERE published IS NOT NULL AND day < ? ORDER BY day DESC LIMIT ?",
        arguments: [before?.number ?? .max, limit]
      ).map(PublishedDay.init(row:))
    }
  }

  public func publishedDay(_ day: Day) async throws(StoreFailure) -> PublishedDay? {
    try await read { db in try PublishedDay.fetch(db, day) }
  }

  public func find(_ reference: OutcomeReference) async throws(StoreFailure) -> FoundOutcome? {
    try await read { db in
      let row: Row?
      switch reference {
      case .id(let id):
        row = try Row.fetchOne(db, sql: "SELECT \(leafColumns) \(leafTables) WHERE o.id = ?", arguments: [id])
      case .coordinates(let chain, let cursor, let nonce):
        guard nonce < .max, let id = try Self.newestOutcome(db, of: chain, before: (cursor, nonce + 1)) else {
          return nil
        }
        row = try Row.fetchOne(
          db, sql: "SELECT \(leafColumns) \(leafTables) WHERE o.id = ? AND o.cursor = ? AND o.nonce = ?",
          arguments: [id, cursor, nonce])
      }
      guard let row else { return nil }
      let leaf = try LogLeaf(row: row)
      guard let day = try PublishedDay.fetch(db, Day(of: leaf.created)) else {
        return FoundOutcome(leaf: leaf, place: nil)
      }
      let index = try Int.fetchOne(
        db, sql: "SELECT leaf FROM merkle_leaves WHERE outcome_id = ?", arguments: [row["id"] as Int64])
      guard let index, (0..<day.leafCount).contains(index) else {
        throw StoreFailure.damaged("outcome \(row["id"] as Int64) has no place in the tree of \(day.day)")
      }
      let tiles = try day.shape.tilesOfProof(for: index).map { place in
        let bytes = try Data.fetchOne(
          db, sql: "SELECT hashes FROM merkle_tiles WHERE day = ? AND level = ? AND number = ?",
          arguments: [day.day.number, place.level, place.number])
        return try MerkleTile(place: place, stored: bytes, of: day.day)
      }
      return FoundOutcome(leaf: leaf, place: FoundOutcome.Place(day: day, index: index, tiles: tiles))
    }
  }

  public func leafTiles(of day: Day, first: Int, limit: Int) async throws(StoreFailure) -> [MerkleTile] {
    try await read { db in
      guard let published = try PublishedDay.fetch(db, day) else { return [] }
      let numbers = first..<min(first + limit, max(published.shape.leafTiles, first))
      let found = try Data.fetchAll(
        db,
        sql: "SELECT hashes FROM merkle_tiles WHERE day = ? AND level = 0 AND number >= ? ORDER BY number LIMIT ?",
        arguments: [day.number, first, numbers.count])
      guard found.count == numbers.count else {
        throw StoreFailure.damaged("the tree of \(day) lacks some of its leaves")
      }
      return try zip(numbers, found).map {
        try MerkleTile(place: MerkleTile.Place(level: 0, number: $0), stored: $1, of: day)
      }
    }
  }

  public func leaves(
    of account: AccountID, on day: Day, after: Int64?
  ) async throws(StoreFailure) -> (leaves: [PlacedLeaf], next: Int64?) {
    try await read { db in
      guard try PublishedDay.fetch(db, day) != nil else { return ([], nil) }
      let after = try after ?? firstOutcome(since: day.start, db).map { $0 - 1 }
      // So many rows are looked at in one go, whosever they are.
      let last = try after.flatMap {
        try Int64.fetchOne(
          db, sql: "SELECT max(id) FROM (SELECT id FROM outcomes WHERE id > ? ORDER BY id LIMIT 10000)",
          arguments: [$0])
      }
      guard let after, let last else { return ([], nil) }
      let rows = try Row.fetchAll(
        db,
        sql: """
          SELECT \(leafColumns), l.leaf AS leaf \(leafTables) JOIN merkle_leaves l ON l.outcome_id = o.id
          WHERE o.id > ?1 AND o.id <= ?2 AND o.created >= ?3 AND o.created < ?4
            AND (c.owner_id = ?5 OR EXISTS (SELECT 1 FROM commitments m WHERE m.chain_id = c.id AND m.owner_id = ?5))
          ORDER BY o.id
          """,
        arguments: [after, last, day.start, day.end, account.rawValue])
      let leaves = try rows.map { PlacedLeaf(leaf: try LogLeaf(row: $0), index: $0["leaf"]) }
      let end = try Int64.fetchOne(db, sql: "SELECT created FROM outcomes WHERE id = ?", arguments: [last]) ?? .max
      return (leaves, end < day.end ? last : nil)
    }
  }

  // MARK: For the day's draft

  /// Writes in one transaction, with the writing connection's own statements. What the group writer remembers does not
  /// change under it.
  func writeLog<Result>(_ body: (OpaquePointer) throws -> Result) throws(StoreFailure) -> Result {
    try write { writer in try writer.transaction { try body(writer.connection) } }
  }

  func failing<Result>(_ body: () throws -> Result) throws(StoreFailure) -> Result {
    do {
      return try body()
    } catch let failure as StoreFailure {
      throw failure
    } catch {
      throw StoreFailure(error)
    }
  }
}

/// The first outcome drawn at `moment` or later; nil if there is none.
///
/// Found by halving, since `created` never falls as ids grow: ``GroupWriter`` sees to that. An index on `created` would
/// cost every draw something.
func firstOutcome(since moment: Milliseconds, _ db: Database) throws -> Int64? {
  guard let last = try Int64.fetchOne(db, sql: "SELECT max(id) FROM outcomes") else { return nil }
  guard ShortIDs.numbers.contains(last) else { throw StoreFailure.damaged("outcome \(last) has no number there is") }
  var low: Int64 = 1
  var high = last + 1  // what is sought is in low...high
  while low < high {
    let middle = low + (high - low) / 2
    guard
      let row = try Row.fetchOne(
        db, sql: "SELECT id, created FROM outcomes WHERE id >= ? ORDER BY id LIMIT 1", arguments: [middle])
    else {
      high = middle
      continue
    }
    if row["created"] as Int64 >= moment { high = middle } else { low = (row["id"] as Int64) + 1 }
  }
  return low > last ? nil : low
}

/// What makes a leaf. A server hash is with its chain while the chain still carries it, and with the revealed seeds after.
let leafColumns = """
  o.id AS id, c.client_seed AS client_seed, o.cursor AS cursor, o.nonce AS nonce, o.created AS created,
  CASE WHEN c.epoch = o.epoch THEN c.server_hash ELSE
    (SELECT r.server_hash FROM revealed_seeds r WHERE r.chain_id = o.chain_id AND r.epoch = o.epoch) END AS server_hash
  """
let leafTables = "FROM outcomes o LEFT JOIN chains c ON c.id = o.chain_id"

extension LogLeaf {
  fileprivate init(row: Row) throws {
    guard let clientSeed = row["client_seed"] as Data?, let serverHash = row["server_hash"] as Data? else {
      throw StoreFailure.damaged("the chain or the server hash of outcome \(row["id"] as Int64) is not there")
    }
    self.init(
      clientSeed: try ClientSeed(clientSeed), cursor: row["cursor"], nonce: row["nonce"],
      serverHash: try ServerHash(bytes: serverHash), created: row["created"])
  }
}

extension PublishedDay {
  static func fetch(_ db: Database, _ day: Day) throws -> PublishedDay? {
    try Row.fetchOne(
      db, sql: "SELECT * FROM merkle_days WHERE day = ? AND published IS NOT NULL", arguments: [day.number]
    ).map(PublishedDay.init(row:))
  }

  init(row: Row) throws {
    func bytes(_ column: String) -> [UInt8]? { (row[column] as Data?).map(Array.init) }
    try self.init(
      day: Day(number: row["day"]), root: bytes("root"), leafCount: row["leaf_count"],
      previousRoot: bytes("previous_root"), signature: bytes("signature"), publishedAt: row["published"])
  }
}

extension MerkleTile {
  fileprivate init(place: Place, stored bytes: Data?, of day: Day) throws {
    guard let bytes = bytes.map(Array.init), Self.isWhole(bytes) else {
      throw StoreFailure.damaged("tile \(place.number) of level \(place.level) of \(day) is missing or damaged")
    }
    self.init(place: place, bytes: bytes)
  }
}
