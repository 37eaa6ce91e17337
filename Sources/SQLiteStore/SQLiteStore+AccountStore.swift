import Fairness
import Foundation
import GRDB
import Ledger
import SQLStore

// What differs from one database to the next; SQLStore has the rest.
extension SQLiteStore: AccountStore {
  public func chains(
    of account: AccountID, prefix: [UInt8], after: (key: KeyID, clientSeed: ClientSeed)?, limit: Int
  ) async throws -> [ChainReport] {
    let end = ClientSeed.end(ofPrefix: prefix)
    return try await read { db in
      let keys = try Self.liveKeys(of: account, from: after?.key, db)
      var found: [ChainReport] = []
      for key in keys where found.count < limit {
        let after = after.flatMap { $0.key == key ? $0.clientSeed.bytes : nil }
        let rows = try Row.fetchAll(
          db.cachedStatement(
            sql: """
              SELECT client_seed, server_hash, cursor, nonce, created FROM chains
              WHERE owner_id = ?1 AND client_seed >= ?2 AND client_seed > ?3 AND (?4 IS NULL OR client_seed < ?4)
              ORDER BY client_seed LIMIT ?5
              """),
          arguments: [key.rawValue, Data(prefix), Data(after ?? []), end.map { Data($0) }, limit - found.count])
        for row in rows {
          found.append(
            ChainReport(
              key: key, clientSeed: try ClientSeed(row[0] as Data),
              serverHash: try ServerHash(bytes: Array(row[1] as Data)), cursor: row[2], nonce: row[3], created: row[4]))
        }
      }
      return found
    }
  }

  /// An account's live keys, those that are revoked too, in the order they were made.
  private static func liveKeys(of account: AccountID, from first: KeyID?, _ db: Database) throws -> [KeyID] {
    guard try Self.exists(account, db) else { return [] }
    return try Int64.fetchAll(
      db, sql: "SELECT id FROM api_keys WHERE account_id = ? AND mode = ? AND id >= ? ORDER BY id",
      arguments: [account.rawValue, Mode.live.rawValue, first?.rawValue ?? 0]
    ).map(KeyID.init)
  }

  private static func exists(_ account: AccountID, _ db: Database) throws -> Bool {
    try Bool.fetchOne(
      db, sql: "SELECT EXISTS (SELECT 1 FROM accounts WHERE id = ? AND deleted IS NULL)",
      arguments: [account.rawValue]) ?? false
  }

  public func revealedOutcomes(
    of account: AccountID, after: (key: KeyID, chain: Int64)?, limit: Int
  ) async throws -> [(key: KeyID, outcome: Outcome)] {
    try await read { db in
      var found: [(key: KeyID, outcome: Outcome)] = []
      var bytes = 0
      let keys = try Self.liveKeys(of: account, from: after?.key, db)
      for key in keys where found.count < limit && bytes < OutcomePage.maximumBytes {
        let after = after.flatMap { $0.key == key ? $0.chain : nil }
        let rows = try Row.fetchCursor(
          db.cachedStatement(
            sql: """
              SELECT o.id, o.chain_id, o.epoch, o.cursor, o.nonce, o.endpoint, o.value, o.fields, o.items, o.created,
                c.client_seed, c.server_hash, c.trail
              FROM commitments m CROSS JOIN chains c ON c.id = m.chain_id
                CROSS JOIN outcomes o ON o.id = newest_outcome(c.trail)
              WHERE m.owner_id = ? AND m.chain_id > ? AND m.revealed IS NOT NULL ORDER BY m.chain_id LIMIT ?
              """),
          arguments: [key.rawValue, after ?? 0, limit - found.count])
        while bytes < OutcomePage.maximumBytes, let row = try rows.next() {
          let outcome = try Outcome(row, mode: .live)
          bytes += outcome.bytes
          found.append((key, outcome))
        }
      }
      return found
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
