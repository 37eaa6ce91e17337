import Ledger

/// Where databases differ in what statements say.
public struct Dialect: Sendable {
  /// What stands for the parameter of this number, from 1.
  let placeholder: @Sendable (Int, SQLType) -> String
  /// Ends a SELECT whose rows are to be locked until the transaction ends; empty where one writer has it all.
  let forUpdate: SQLStatement
  /// As ``forUpdate``, but leaves out rows that somebody else has locked.
  let skippingLocked: SQLStatement
  /// The column `slot` of `usage`, with a comma before it, and its value; empty where there is no such column.
  let usageSlot: (column: SQLStatement, value: SQLStatement)
  /// The 16 bytes of a UUID.
  let bytesOfUUID: @Sendable (SQLStatement) -> SQLStatement
  /// The UUID of 16 bytes.
  let uuidOfBytes: @Sendable (SQLStatement) -> SQLStatement
  /// Whether outcomes and revealed seeds have a column for the owner of their chain, and chains are found by both.
  let namesOwners: Bool
  /// The database's name and version, as an expression.
  let version: SQLStatement

  public init(
    placeholder: @escaping @Sendable (Int, SQLType) -> String, forUpdate: SQLStatement, skippingLocked: SQLStatement,
    usageSlot: (column: SQLStatement, value: SQLStatement),
    bytesOfUUID: @escaping @Sendable (SQLStatement) -> SQLStatement,
    uuidOfBytes: @escaping @Sendable (SQLStatement) -> SQLStatement, namesOwners: Bool, version: SQLStatement
  ) {
    self.placeholder = placeholder
    self.forUpdate = forUpdate
    self.skippingLocked = skippingLocked
    self.usageSlot = usageSlot
    self.bytesOfUUID = bytesOfUUID
    self.uuidOfBytes = uuidOfBytes
    self.namesOwners = namesOwners
    self.version = version
  }
}

/// How outcomes, chains and revealed seeds belong together. In what follows `o` is an outcome, `c` its chain, and `r` the
/// server seed it was drawn from, if that is revealed.
extension Dialect {
  package var chainOfOutcome: SQLStatement {
    namesOwners ? "chains c ON c.owner_id = o.owner_id AND c.id = o.chain_id" : "chains c ON c.id = o.chain_id"
  }

  var isSeedOfOutcome: SQLStatement {
    "\(namesOwners ? "r.owner_id = o.owner_id AND " : "" as SQLStatement)r.chain_id = o.chain_id AND r.epoch = o.epoch"
  }

  /// Whether the seed is of the chain.
  var isChainOfSeed: SQLStatement {
    namesOwners ? "c.owner_id = r.owner_id AND c.id = r.chain_id" : "c.id = r.chain_id"
  }

  /// The server hash that the outcome was drawn under: the chain has it as long as it draws from that seed.
  package var serverHash: SQLStatement {
    """
    CASE o.epoch WHEN c.epoch THEN c.server_hash ELSE
      (SELECT r.server_hash FROM revealed_seeds r WHERE \(isSeedOfOutcome)) END AS server_hash
    """
  }

  /// What ``Outcome/init(row:mode:)`` reads of a live outcome, but for its number.
  var outcomeColumns: SQLStatement {
    """
    o.chain_id, o.epoch, o.cursor, o.nonce, o.endpoint, o.value, o.fields, o.items, o.created, c.client_seed,
      \(serverHash)
    """
  }

  /// What ``RecordedOutcome/init(row:)`` reads besides: what has become of the server seed of an outcome.
  var revealedSeedColumns: SQLStatement {
    """
    r.server_seed, r.server_hash AS revealed_hash, r.cursor AS revealed_cursor, r.nonce AS revealed_nonce, r.revealed,
      r.era, c.owner_id, c.era AS next_era, c.epoch AS next_epoch, c.server_hash AS next_hash, c.cursor AS next_cursor,
      c.nonce AS next_nonce
    """
  }

  /// What ``LogLeaf/init(row:)`` reads.
  package var leafColumns: SQLStatement { "o.id, c.client_seed, o.cursor, o.nonce, o.created, \(serverHash)" }

  /// What ``RevealedCommitment/init(row:_:)`` reads of a commitment `m`.
  var commitmentColumns: SQLStatement {
    """
    \(bytesOfUUID("m.commit_id")) AS commit_id, m.chain_id AS commitment_chain, m.sealed_seed AS commitment_seed
    """
  }

  /// Whether the chain is its owner's, or what one of the owner's commitments became.
  package func isChain(of owner: ChainOwner) -> SQLStatement {
    """
    (c.owner_id = \(owner.rawValue) OR c.owner_id = -c.id AND EXISTS (
      SELECT 1 FROM commitments m WHERE m.owner_id = \(owner.rawValue) AND m.chain_id = c.id))
    """
  }
}

extension SQLStatement {
  /// What ``Outcome/init(row:mode:)`` reads of a test outcome `o`, but for its number.
  static let testOutcomeColumns: SQLStatement = """
    0 AS chain_id, 0 AS epoch, 0 AS cursor, 0 AS nonce, o.endpoint, o.value, o.fields, o.items, o.created, o.client_seed,
      o.server_hash
    """

  /// What an outcome `o` takes in memory, with its value made from its items: lengths are known without reading what is
  /// long.
  static let outcomeBytes: SQLStatement = "length(o.value) + length(o.fields) + 2 * coalesce(length(o.items), 0)"
}
