import Fairness
import Ledger

extension SQLDatabase {
  public func databaseVersion() throws(StoreFailure) -> String {
    try queryBlocking { try $0.row("SELECT \($0.dialect.version) AS version")?.text("version") ?? "" }
  }

  public func auditScope() throws(StoreFailure) -> AuditScope {
    try queryBlocking { connection in
      let waiting = try connection.rows("SELECT coalesce(sum(length(entries)), 0) AS bytes FROM log_queue").first
      let isTooLong = try waiting?.count("bytes") ?? 0 > AuditScope.mostQueued
      // One statement, so that what is queued and what is in the trees are of one moment.
      let rows = try connection.rows(
        """
        SELECT 0 AS kind, era AS number, origin, size, signed_size, checkpoint, \(nil as [UInt8]?) AS entries FROM logs
        UNION ALL SELECT 1, id, NULL, NULL, NULL, NULL, entries FROM log_queue
          WHERE \(isTooLong ? 1 : 0) = 0
        UNION ALL SELECT 2, coalesce(max(id), 0), NULL,
          (SELECT min(first) FROM (
            SELECT min(first_drawn) AS first FROM log_bundles WHERE last_drawn IS NOT NULL
            UNION ALL SELECT min(drawn) FROM log_queue) AS begun), NULL, NULL, NULL FROM outcomes
        ORDER BY kind, number
        """)
      func ofKind(_ kind: Int64) throws -> [SQLRow] { try rows.filter { try $0.integer("kind") == kind } }
      let logs = try ofKind(0).map { row in
        AuditScope.Log(
          era: try row.integer("number"), origin: try row.text("origin"), size: try row.count("size"),
          signedSize: try row.count("signed_size"), checkpoint: try row.optionalText("checkpoint"))
      }
      let totals = try ofKind(2).first
      return AuditScope(
        logs: logs, queued: isTooLong ? nil : try ofKind(1).flatMap { try $0.bytes("entries") },
        lastOutcome: try totals?.integer("number") ?? 0, begun: try totals?.optionalInteger("size"),
        now: try connection.now())
    }
  }

  public func auditBundles(of era: Int64, first: Int, limit: Int) throws(StoreFailure) -> [Audited<LogBundle>] {
    try queryBlocking { connection in
      try connection.rows(
        """
        SELECT number, entries FROM log_bundles WHERE era = \(era) AND number >= \(first)
        ORDER BY number LIMIT \(limit)
        """
      ).map { row in
        let number = try row.count("number")
        return Audited(
          number: Int64(number),
          row: readable { LogBundle(number: number, entries: try LogEntries(bytes: row.bytes("entries"))) })
      }
    }
  }

  public func auditTiles(
    of era: Int64, level: Int, first: Int, limit: Int
  ) throws(StoreFailure) -> [(number: Int, hashes: [UInt8])] {
    try queryBlocking { connection in
      try connection.rows(
        """
        SELECT number, hashes FROM log_tiles WHERE era = \(era) AND level = \(level) AND number >= \(first)
        ORDER BY number LIMIT \(limit)
        """
      ).map { (try $0.count("number"), try $0.bytes("hashes")) }
    }
  }

  public func auditOutcomes(after: Int64, through: Int64) throws(StoreFailure) -> [Audited<RecordedOutcome>] {
    try queryBlocking { connection in
      // The lengths are read first, so that one read is bounded however large the outcomes are.
      let lengths = try connection.rows(
        """
        SELECT o.id, \(SQLStatement.outcomeBytes) AS bytes FROM outcomes o
        WHERE o.id > \(after) AND o.id <= \(through) ORDER BY o.id LIMIT 4096
        """)
      var last: Int64?
      var bytes = 0
      for row in lengths {
        bytes += try row.count("bytes")
        if last != nil, bytes > OutcomePage.maximumBytes { break }
        last = try row.integer("id")
      }
      guard let last else { return [] }
      let dialect = connection.dialect
      return try connection.rows(
        """
        SELECT o.id AS outcome_id, \(dialect.outcomeColumns), \(dialect.revealedSeedColumns)
        FROM outcomes o LEFT JOIN \(dialect.chainOfOutcome) LEFT JOIN revealed_seeds r ON \(dialect.isSeedOfOutcome)
        WHERE o.id > \(after) AND o.id <= \(last) ORDER BY o.id
        """
      ).map { row in
        Audited(number: try row.integer("outcome_id"), row: readable { try RecordedOutcome(row: row) })
      }
    }
  }

  public func lostPredecessors(after: Int64, through: Int64) throws(StoreFailure) -> [Int64] {
    try queryBlocking { connection in
      try connection.rows(
        """
        SELECT o.previous FROM outcomes o LEFT JOIN outcomes p ON p.id = o.previous
        WHERE o.id > \(after) AND o.id <= \(through) AND o.previous <> 0 AND p.id IS NULL ORDER BY o.id
        """
      ).map { try $0.integer("previous") }
    }
  }

  public func auditCommitments(after place: AuditPlace) throws(StoreFailure) -> [Audited<AuditedCommitment>] {
    try queryBlocking { [vault] connection in
      let dialect = connection.dialect
      let isNext: SQLStatement =
        dialect.namesOwners
        ? "(m.owner_id, m.chain_id) > (\(place.owner), \(place.chain))" : "m.chain_id > \(place.chain)"
      return try connection.rows(
        """
        SELECT \(dialect.bytesOfUUID("m.commit_id")) AS commit_id, m.chain_id, m.owner_id, m.sealed_seed, m.server_hash,
          m.created, m.expires, m.outcome_id, m.client_seed, m.revealed, r.server_seed
        FROM commitments m LEFT JOIN revealed_seeds r
          ON \(dialect.namesOwners ? "r.owner_id = -m.chain_id AND " : "" as SQLStatement)r.chain_id = m.chain_id AND r.epoch = 0
        WHERE \(isNext) ORDER BY \(dialect.namesOwners ? "m.owner_id, m.chain_id" : "m.chain_id" as SQLStatement) LIMIT 2048
        """
      ).map { row in
        let (owner, chain) = (try row.integer("owner_id"), try row.integer("chain_id"))
        return Audited(
          number: chain, place: AuditPlace(owner: owner, chain: chain),
          row: readable {
            let id = try row.bytes("commit_id")
            guard id.count == 16 else { throw StoreFailure.damaged("its commitId is damaged") }
            let commitment = try Commitment(
              id: CommitID(bytes: id), chain: chain, owner: owner, sealedSeed: row.bytes("sealed_seed"),
              created: row.integer("created"), expires: row.integer("expires"),
              outcome: row.optionalInteger("outcome_id"),
              clientSeed: row.optionalBytes("client_seed"), revealed: row.optionalInteger("revealed"), vault: vault)
            return AuditedCommitment(
              commitment: commitment, serverHash: try row.bytes("server_hash"),
              revealedSeed: try row.optionalBytes("server_seed"))
          })
      }
    }
  }

  public func auditReveals(after place: AuditPlace) throws(StoreFailure) -> [Audited<AuditedReveal>] {
    try queryBlocking { connection in
      let names = connection.dialect.namesOwners
      let isNext: SQLStatement =
        names
        ? "(r.owner_id, r.chain_id, r.epoch) > (\(place.owner), \(place.chain), \(place.epoch))"
        : "(r.chain_id, r.epoch) > (\(place.chain), \(place.epoch))"
      return try connection.rows(
        """
        SELECT r.chain_id, r.era, r.epoch, r.server_seed, r.server_hash, r.cursor, r.nonce, r.revealed,
          \(names ? "r.owner_id" : "c.owner_id" as SQLStatement) AS owner_id, c.client_seed
        FROM revealed_seeds r LEFT JOIN chains c ON \(connection.dialect.isChainOfSeed)
        WHERE \(isNext) ORDER BY \(names ? "r.owner_id, " : "" as SQLStatement)r.chain_id, r.epoch LIMIT 2048
        """
      ).map { row in
        let chain = try row.integer("chain_id")
        let owner = try row.optionalInteger("owner_id")
        let epoch = try row.integer("epoch")
        return Audited(
          number: chain, place: AuditPlace(owner: owner ?? 0, chain: chain, epoch: epoch),
          row: readable {
            guard let owner, let clientSeed = try row.optionalBytes("client_seed") else {
              throw StoreFailure.damaged("chain \(chain) is not there")
            }
            guard epoch >= 0, let epoch = Int(exactly: epoch) else {
              throw StoreFailure.damaged("its epoch is damaged")
            }
            let seed = RevealedSeed(
              chain: chain, owner: ChainOwner(owner), era: try row.integer("era"), epoch: epoch,
              seed: try ServerSeed(hex: row.bytes("server_seed")),
              hash: try ServerHash(bytes: row.bytes("server_hash")),
              cursor: try row.integer("cursor"), nonce: try row.integer("nonce"), revealed: try row.integer("revealed"))
            return AuditedReveal(seed: seed, clientSeed: try ClientSeed(clientSeed))
          })
      }
    }
  }

  public func auditChains(after place: AuditPlace) throws(StoreFailure) -> [Audited<AuditedChain>] {
    try queryBlocking { connection in
      let chains = try connection.rows(
        """
        SELECT id, owner_id, client_seed, era, epoch, server_hash, cursor, nonce, created, trail FROM chains
        WHERE (owner_id, client_seed) > (\(place.owner), \(place.clientSeed)) ORDER BY owner_id, client_seed LIMIT 2048
        """
      ).map { row in
        let (owner, clientSeed) = (try row.integer("owner_id"), try row.bytes("client_seed"))
        return Audited(
          number: try row.integer("id"), place: AuditPlace(owner: owner, clientSeed: clientSeed),
          row: readable {
            (
              ChainKey(owner: ChainOwner(owner), clientSeed: try ClientSeed(clientSeed)),
              try ChainRow(
                id: row.integer("id"), era: row.integer("era"), epoch: row.integer("epoch"),
                serverHash: row.bytes("server_hash"), cursor: row.integer("cursor"), nonce: row.integer("nonce"),
                created: row.integer("created"), trail: row.bytes("trail"))
            )
          })
      }
      let newest = chains.map { try? $0.row.get().1.trail.newest }
      let found = try connection.run(newest.compactMap { $0 }.map { "SELECT id FROM outcomes WHERE id = \($0)" })
      var next = found.makeIterator()
      return zip(chains, newest).map { chain, newest in
        let isThere = newest == nil || next.next()?.rows.isEmpty == false
        return Audited(
          number: chain.number, place: chain.place,
          row: chain.row.map { AuditedChain(key: $0.0, row: $0.1, hasNewest: isThere) })
      }
    }
  }
}

/// What `body` reads, or why it cannot be read.
private func readable<Row>(_ body: () throws -> Row) -> Result<Row, StoreFailure> {
  do { return .success(try body()) } catch { return .failure(StoreFailure(wrapping: error)) }
}
