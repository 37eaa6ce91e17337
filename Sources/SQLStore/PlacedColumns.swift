import Fairness
import Ledger

/// The columns of a row by their places, from 0. On the way of a draw, and where a day's millions of rows are read, to find
/// columns by name would take too long; ``SQLRow`` is for everything else.
package protocol PlacedColumns {
  func isNull(_ column: Int) -> Bool
  /// 0 for NULL.
  func integer(_ column: Int) -> Int64
  /// None for NULL.
  func bytes(_ column: Int) -> [UInt8]
}

extension PlacedColumns {
  package func optionalInteger(_ column: Int) -> Int64? { isNull(column) ? nil : integer(column) }
  package func optionalBytes(_ column: Int) -> [UInt8]? { isNull(column) ? nil : bytes(column) }
}

extension ChainRow {
  /// Of id, era, epoch, server hash, cursor, nonce, created, trail.
  package init(_ row: some PlacedColumns) throws(StoreFailure) {
    try self.init(
      id: row.integer(0), era: row.integer(1), epoch: row.integer(2), serverHash: row.bytes(3), cursor: row.integer(4),
      nonce: row.integer(5), created: row.integer(6), trail: row.bytes(7))
  }
}

extension ChainRow.Newest {
  /// Of chain, epoch, cursor, nonce, created.
  package init(_ row: some PlacedColumns) {
    self.init(
      chain: row.integer(0), epoch: row.integer(1), cursor: row.integer(2), nonce: row.integer(3),
      created: row.integer(4))
  }
}

extension Commitment {
  /// Of chain, owner, sealed seed, created, expires, outcome, client seed, revealed.
  package init(_ id: CommitID, _ row: some PlacedColumns, _ vault: Vault) throws(StoreFailure) {
    try self.init(
      id: id, chain: row.integer(0), owner: row.integer(1), sealedSeed: row.bytes(2), created: row.integer(3),
      expires: row.integer(4), outcome: row.optionalInteger(5), clientSeed: row.optionalBytes(6),
      revealed: row.optionalInteger(7), vault: vault)
  }
}

extension StoredRecord {
  /// Of fingerprint, request, status, created, answer.
  package init(_ scope: IdempotencyScope, _ row: some PlacedColumns) throws(StoreFailure) {
    try self.init(
      scope, fingerprint: row.bytes(0), request: row.integer(1), status: row.integer(2), created: row.integer(3),
      answer: row.optionalBytes(4))
  }
}

extension Outcome {
  /// A test outcome of id, client seed, server hash, endpoint, value, fields, items, created.
  package init(test row: some PlacedColumns) throws(StoreFailure) {
    try self.init(
      id: row.integer(0), chain: 0, epoch: 0, cursor: 0, nonce: 0, endpoint: row.integer(3), stored: row.bytes(4),
      fields: row.bytes(5), items: row.optionalBytes(6), created: row.integer(7), clientSeed: row.bytes(1),
      serverHash: row.bytes(2), mode: .test)
  }
}

extension LogLeaf {
  /// From ``Dialect/leafColumns``.
  package init(_ row: some PlacedColumns) throws {
    try self.init(
      outcome: row.integer(0), clientSeed: row.optionalBytes(1), cursor: row.integer(2), nonce: row.integer(3),
      created: row.integer(4), serverHash: row.optionalBytes(5))
  }
}
