import Fairness
import Ledger

extension SQLDatabase {
  public func chains(
    of account: AccountID, prefix: [UInt8], after: ClientSeed?, limit: Int
  ) async throws -> [ChainReport] {
    let end: SQLStatement = ClientSeed.end(ofPrefix: prefix).map { "client_seed < \($0)" } ?? "true"
    return try await query { connection in
      try connection.rows(
        """
        SELECT client_seed, server_hash, cursor, nonce, created FROM chains
        WHERE owner_id = \(account.rawValue) AND client_seed >= \(prefix) AND \(end)
          AND client_seed > \(after?.bytes ?? [])
          AND EXISTS (SELECT 1 FROM accounts WHERE id = \(account.rawValue) AND deleted IS NULL)
        ORDER BY client_seed LIMIT \(limit)
        """
      ).map(ChainReport.init(row:))
    }
  }
}

extension ChainReport {
  fileprivate init(row: SQLRow) throws {
    self.init(
      clientSeed: try ClientSeed(row.bytes("client_seed")), serverHash: try ServerHash(bytes: row.bytes("server_hash")),
      cursor: try row.integer("cursor"), nonce: try row.integer("nonce"), created: try row.integer("created"))
  }
}
