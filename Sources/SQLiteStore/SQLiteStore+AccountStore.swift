import Fairness
import Foundation
import GRDB
import Ledger
import SQLStore

// What differs from one database to the next; SQLStore has the rest.
extension SQLiteStore: AccountStore {
  private static func exists(_ account: AccountID, _ db: Database) throws -> Bool {
    try Bool.fetchOne(
      db, sql: "SELECT EXISTS (SELECT 1 FROM accounts WHERE id = ? AND deleted IS NULL)",
      arguments: [account.rawValue]) ?? false
  }

  public func revealedOutcomes(of account: AccountID, after: Int64?, limit: Int) async throws -> [Outcome] {
    try await read { db in
      guard try Self.exists(account, db) else { return [] }
      let rows = try Row.fetchCursor(
        db.cachedStatement(
          sql: """
            SELECT o.id, o.chain_id, o.epoch, o.cursor, o.nonce, o.endpoint, o.value, o.fields, o.items, o.created,
              c.client_seed, c.server_hash, c.trail
            FROM commitments m CROSS JOIN chains c ON c.id = m.chain_id
              CROSS JOIN outcomes o ON o.id = newest_outcome(c.trail)
            WHERE m.owner_id = ? AND m.chain_id > ? AND m.revealed IS NOT NULL ORDER BY m.chain_id LIMIT ?
            """),
        arguments: [account.rawValue, after ?? 0, limit])
      var page = OutcomePage(limit: limit)
      while !page.isFull, let row = try rows.next() { page.append(try Outcome(row, mode: .live)) }
      return page.outcomes
    }
  }

  public func testOutcomes(
    of account: AccountID, after: (clientSeed: ClientSeed, id: Int64)?, limit: Int
  ) async throws -> [Outcome] {
    try await read { db in
      guard try Self.exists(account, db) else { return [] }
      let rows = try Row.fetchCursor(
        db,
        sql: """
          SELECT id, 0, 0, 0, 0, endpoint, value, fields, items, created, client_seed, server_hash FROM test_outcomes
          WHERE account_id = ? AND (client_seed, id) > (?, ?) ORDER BY client_seed, id LIMIT ?
          """,
        arguments: [account.rawValue, Data(after?.clientSeed.bytes ?? []), after?.id ?? 0, limit])
      var page = OutcomePage(limit: limit)
      while !page.isFull, let row = try rows.next() { page.append(try Outcome(row, mode: .test)) }
      return page.outcomes
    }
  }
}

extension Outcome {
  /// Of id, chain, epoch, cursor, nonce, endpoint, value, fields, items, created, client seed, server hash.
  fileprivate init(_ row: Row, mode: Mode) throws {
    try self.init(
      id: row[0], chain: row[1], epoch: row[2], cursor: row[3], nonce: row[4], endpoint: row[5],
      stored: row.bytes(6), fields: row.bytes(7), items: row.optionalBytes(8), created: row[9],
      clientSeed: row.bytes(10), serverHash: row.bytes(11), mode: mode)
  }
}
