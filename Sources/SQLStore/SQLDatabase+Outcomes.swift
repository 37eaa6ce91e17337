import Fairness
import Ledger

extension SQLDatabase {
  public func totals() async throws(StoreFailure) -> (accounts: Int, liveOutcomes: Int) {
    try await read { connection in
      let row = try connection.row(
        """
        SELECT (SELECT count(*) FROM accounts WHERE deleted IS NULL) AS accounts,
          (SELECT CAST(coalesce(sum(count), 0) AS bigint) FROM usage) AS outcomes
        """)
      return (try row?.count("accounts") ?? 0, try row?.count("outcomes") ?? 0)
    }
  }

  // MARK: Lists

  public func outcomes(
    of caller: Caller, clientSeed: ClientSeed, from start: OutcomeListStart, limit: Int, withReveals: Bool
  ) async throws(StoreFailure) -> OutcomePage {
    switch caller.mode {
    case .live:
      let chain = ChainKey(owner: caller.chainOwner, clientSeed: clientSeed)
      return try await read { [vault, shortIDs] connection in
        guard let place = try connection.place(of: start, in: chain, shortIDs) else { return OutcomePage(limit: limit) }
        let drawn = try connection.page(from: place.first, limit: limit)
        guard withReveals else { return drawn }
        let page = OutcomePage(
          merging: drawn, try connection.reveals(of: chain, before: place.moment, limit: limit, vault))
        guard chain.owner != .anonymous else { return page }
        return OutcomePage(merging: page, try connection.imports(of: chain, before: place, limit: limit))
      }
    case .test:
      var end = Int64.max
      switch start {
      case .newest: break
      // A test outcome has no coordinates but 0:0, and nothing comes before those.
      case .before(let cursor, let nonce): if (cursor, nonce) <= (0, 0) { return OutcomePage(limit: limit) }
      case .after(let id): end = id
      case .afterShortID(let text): end = shortIDs.decode(text) ?? 0
      }
      return try await read { [end] connection in
        try connection.testPage(of: caller.account, clientSeed, before: end, limit: limit)
      }
    }
  }

  public func outcomes(
    drawnFrom serverHash: ServerHash, clientSeed: ClientSeed, before nonce: Int64, limit: Int
  ) async throws(StoreFailure) -> OutcomePage? {
    try await read { connection in
      let isChainOfSeed = connection.dialect.isChainOfSeed
      // A seed that was revealed was used for no draw from where its chain then stood.
      let found = try connection.row(
        """
        SELECT owner_id, \(Int64.max) AS nonce FROM chains
        WHERE server_hash = \(serverHash.bytes) AND client_seed = \(clientSeed.bytes)
        UNION ALL
        SELECT c.owner_id, r.nonce FROM revealed_seeds r JOIN chains c ON \(isChainOfSeed)
        WHERE r.server_hash = \(serverHash.bytes) AND c.client_seed = \(clientSeed.bytes)
        """)
      guard let found else { return nil }
      let chain = ChainKey(owner: ChainOwner(try found.integer("owner_id")), clientSeed: clientSeed)
      let end = min(nonce, try found.integer("nonce"))
      let first = try connection.split(chain, unless: "nonce >= \(end)").older ?? 0
      return try connection.page(from: first, limit: limit).prefix { $0.serverHash == serverHash }
    }
  }

  public func outcomeNumbers(
    of caller: Caller, clientSeed: ClientSeed, newerThan last: (cursor: Int64, nonce: Int64), limit: Int
  ) async throws(StoreFailure) -> [Int64] {
    guard caller.mode == .live else { return [] }  // all test outcomes are at 0:0
    let chain = ChainKey(owner: caller.chainOwner, clientSeed: clientSeed)
    return try await read { connection in
      guard let newest = try connection.newestOutcome(of: chain) else { return [] }
      return try connection.rows(
        """
        WITH RECURSIVE newer AS (
          SELECT CAST(1 AS bigint) AS place, id, previous FROM outcomes
          WHERE id = \(newest) AND (cursor, nonce) > (\(last.cursor), \(last.nonce))
          UNION ALL
          SELECT n.place + 1, o.id, o.previous FROM newer n JOIN outcomes o ON o.id = n.previous
          WHERE n.place < \(limit) AND (o.cursor, o.nonce) > (\(last.cursor), \(last.nonce)))
        SELECT id FROM newer ORDER BY place DESC
        """
      ).map { try $0.integer("id") }
    }
  }

  // MARK: Look-ups

  public func outcome(
    of caller: Caller, clientSeed: ClientSeed, cursor: Int64, nonce: Int64
  ) async throws(StoreFailure) -> Outcome? {
    guard nonce < .max else { return nil }
    // The newest one that is not newer is the one itself, or it does not exist.
    let start = OutcomeListStart.before(cursor: cursor, nonce: nonce + 1)
    let found = try await outcomes(of: caller, clientSeed: clientSeed, from: start, limit: 1, withReveals: false)
      .outcomes.first
    if let found, found.cursor == cursor, found.nonce == nonce { return found }
    guard caller.mode == .live, caller != .anonymous else { return nil }
    return try await importedOutcome(of: caller.account, clientSeed: clientSeed, cursor: cursor, nonce: nonce)
  }

  public func recordedOutcome(id: Int64) async throws(StoreFailure) -> RecordedOutcome? {
    try await read { [seeds] connection in
      let dialect = connection.dialect
      let live = try connection.row(
        """
        SELECT o.id AS outcome_id, \(dialect.outcomeColumns), \(dialect.revealedSeedColumns)
        FROM outcomes o LEFT JOIN \(dialect.chainOfOutcome) LEFT JOIN revealed_seeds r ON \(dialect.isSeedOfOutcome)
        WHERE o.id = \(id)
        """)
      if let live { return try RecordedOutcome(row: live, seeds) }
      let test = try connection.row(
        """
        SELECT o.id AS outcome_id, \(SQLStatement.testOutcomeColumns), o.account_id, o.digest FROM test_outcomes o
        WHERE o.id = \(id)
        """)
      return try test.map {
        RecordedOutcome(
          outcome: try Outcome(row: $0, mode: .test),
          state: .rehearsal(
            TestDrawID(account: AccountID(try $0.integer("account_id")), digest: try $0.bytes("digest"))))
      }
    }
  }

  public func isKnown(_ serverHash: ServerHash, clientSeed: ClientSeed) async throws(StoreFailure) -> Bool {
    try await read { connection in
      let dialect = connection.dialect
      let hash = serverHash.bytes
      let seed = clientSeed.bytes
      return try connection.row(
        """
        SELECT EXISTS (SELECT 1 FROM chains WHERE server_hash = \(hash) AND client_seed = \(seed))
          OR EXISTS (SELECT 1 FROM revealed_seeds r JOIN chains c ON \(dialect.isChainOfSeed)
                     WHERE r.server_hash = \(hash) AND c.client_seed = \(seed))
          OR EXISTS (SELECT 1 FROM test_outcomes WHERE server_hash = \(hash) AND client_seed = \(seed))
          OR EXISTS (SELECT 1 FROM imported_outcomes WHERE server_hash = \(hash) AND client_seed = \(seed)) AS known
        """)?.flag("known") ?? false
    }
  }
}

/// Where a list of outcomes begins.
private struct ListPlace {
  /// The first outcome of the chain; 0 for none.
  let first: Int64
  /// Before when the outcomes of commitments were revealed, and below which number if at the same time.
  let moment: (revealed: Milliseconds, outcome: Int64)
  /// Before when the imported outcomes were drawn, and below which row if at the same time: they come last then.
  let imported: (created: Milliseconds, row: Int64)
  /// Coordinates that the imported outcomes come before too.
  var coordinates: (cursor: Int64, nonce: Int64)?

  static let newest = (revealed: Milliseconds.max, outcome: Int64.max)

  init(
    first: Int64, moment: (revealed: Milliseconds, outcome: Int64), imported: (created: Milliseconds, row: Int64)? = nil
  ) {
    self.first = first
    self.moment = moment
    self.imported = imported ?? (moment.revealed, .max)
  }
}

extension SQLConnection {
  /// The ``Outcome/id`` of the outcome of a name; 0 if there can be none.
  private func number(of shortID: [UInt8], _ shortIDs: ShortIDs) throws -> Int64 {
    let imported =
      try OutcomeOrigin.isShortID(shortID)
      ? row("SELECT id FROM imported_outcomes WHERE short_id = \(String(decoding: shortID, as: UTF8.self))") : nil
    return try imported.map { -(try $0.integer("id")) } ?? shortIDs.decode(shortID) ?? 0
  }

  /// - Returns: nil if the list does not have the outcome it is to begin after.
  fileprivate func place(
    of start: OutcomeListStart, in chain: ChainKey, _ shortIDs: ShortIDs
  ) throws -> ListPlace? {
    switch start {
    case .newest: return ListPlace(first: try newestOutcome(of: chain) ?? 0, moment: ListPlace.newest)
    case .before(let cursor, let nonce):
      let (first, since) = try split(chain, unless: "(cursor, nonce) >= (\(cursor), \(nonce))")
      var place = ListPlace(first: first ?? 0, moment: since.map { ($0, .max) } ?? ListPlace.newest)
      place.coordinates = (cursor, nonce)
      return place
    case .afterShortID(let text): return try place(of: .after(try number(of: text, shortIDs)), in: chain, shortIDs)
    case .after(let id) where id < 0:
      let imported = try row(
        """
        SELECT created FROM imported_outcomes
        WHERE id = \(-id) AND account_id = \(chain.owner.rawValue) AND client_seed = \(chain.clientSeed.bytes)
        """)
      guard let created = try imported?.integer("created") else { return nil }
      return ListPlace(
        first: try split(chain, unless: "created >= \(created)").older ?? 0, moment: (created, 0),
        imported: (created, -id))
    case .after(let id):
      let own = try row(
        """
        SELECT o.previous, o.created, c.owner_id <> \(chain.owner.rawValue) AS revealed
        FROM outcomes o JOIN \(dialect.chainOfOutcome)
        WHERE o.id = \(id) AND c.client_seed = \(chain.clientSeed.bytes) AND \(dialect.isChain(of: chain.owner))
        """)
      guard let own else { return nil }
      let created = try own.integer("created")
      guard try own.flag("revealed") else {
        return ListPlace(first: try own.integer("previous"), moment: (created, .max))
      }
      return ListPlace(
        first: try split(chain, unless: "created >= \(created)").older ?? 0, moment: (created, id),
        imported: (created, .max))
    }
  }

  /// The row of a chain's newest outcome; nil if there is none.
  func newestOutcome(of chain: ChainKey) throws -> Int64? {
    let stored = try row(
      """
      SELECT trail FROM chains WHERE owner_id = \(chain.owner.rawValue) AND client_seed = \(chain.clientSeed.bytes)
      """)
    guard let stored else { return nil }
    guard let trail = OutcomeTrail(try stored.bytes("trail")) else {
      throw StoreFailure.damaged("the trail of a chain is damaged")
    }
    return trail.newest
  }

  /// The row of the newest outcome of a chain that is not too new, and when the next after it was drawn; nil where there is
  /// none.
  ///
  /// Nonce, cursor and time only ever grow along a chain, so an outcome is older where it comes first, and both its links
  /// lead to older ones: the walk jumps as long as that does not go too far.
  func split(
    _ chain: ChainKey, unless tooNew: SQLStatement
  ) throws -> (older: Int64?, since: Milliseconds?) {
    guard let newest = try newestOutcome(of: chain) else { return (nil, nil) }
    let found = try row(
      """
      WITH RECURSIVE walk AS (
        SELECT id, created, \(tooNew) AS is_too_new, previous, jump FROM outcomes WHERE id = \(newest)
        UNION ALL
        SELECT o.id, o.created, (SELECT \(tooNew) FROM outcomes n WHERE n.id = o.id), o.previous, o.jump
        FROM walk w JOIN outcomes o ON o.id =
          CASE WHEN (SELECT \(tooNew) FROM outcomes j WHERE j.id = w.jump) THEN w.jump ELSE w.previous END
        WHERE w.is_too_new)
      SELECT max(CASE WHEN NOT is_too_new THEN id END) AS id, min(CASE WHEN is_too_new THEN created END) AS since
      FROM walk
      """)
    return (try found?.optionalInteger("id"), try found?.optionalInteger("since"))
  }

  /// An outcome and those before it in its chain, so many, or fewer where they are large; none from 0.
  fileprivate func page(from first: Int64, limit: Int) throws -> OutcomePage {
    try page(
      """
      WITH RECURSIVE page AS (
        SELECT CAST(0 AS bigint) AS place, CAST(0 AS bigint) AS id, \(first) AS previous, CAST(0 AS bigint) AS bytes
        UNION ALL
        SELECT p.place + 1, p.previous, coalesce(o.previous, 0), p.bytes + coalesce(\(SQLStatement.outcomeBytes), 0)
        FROM page p LEFT JOIN outcomes o ON o.id = p.previous
        WHERE p.previous <> 0 AND p.place < \(limit) AND p.bytes < \(OutcomePage.maximumBytes))
      SELECT p.id AS outcome_id, \(dialect.outcomeColumns), p.previous <> 0 AS has_more
      FROM page p LEFT JOIN outcomes o ON o.id = p.id LEFT JOIN \(dialect.chainOfOutcome)
      WHERE p.place > 0 ORDER BY p.place
      """, mode: .live, limit: limit)
  }

  /// The outcomes of commitments that were revealed with a client seed, newest first.
  fileprivate func reveals(
    of chain: ChainKey, before moment: (revealed: Milliseconds, outcome: Int64), limit: Int, _ vault: Vault
  ) throws -> OutcomePage {
    try page(
      """
      SELECT o.id AS outcome_id, \(dialect.outcomeColumns), \(dialect.commitmentColumns), p.place < p.found AS has_more
      FROM (
        SELECT chain_id, outcome_id, row_number() OVER newest AS place, sum(bytes) OVER newest - bytes AS before,
          count(*) OVER () AS found
        FROM (
          SELECT m.chain_id, m.outcome_id, m.revealed, \(SQLStatement.outcomeBytes) AS bytes
          FROM commitments m JOIN outcomes o ON o.id = m.outcome_id
          WHERE m.owner_id = \(chain.owner.rawValue) AND m.client_seed = \(chain.clientSeed.bytes)
            AND m.revealed IS NOT NULL AND (m.revealed, m.outcome_id) < (\(moment.revealed), \(moment.outcome))
          ORDER BY m.revealed DESC, m.outcome_id DESC LIMIT \(min(limit, .max - 1) + 1)) r
        WINDOW newest AS (ORDER BY revealed DESC, outcome_id DESC)) p
        JOIN commitments m ON m.owner_id = \(chain.owner.rawValue) AND m.chain_id = p.chain_id
        JOIN outcomes o ON o.id = p.outcome_id LEFT JOIN \(dialect.chainOfOutcome)
      WHERE p.place <= \(limit) AND p.before < \(OutcomePage.maximumBytes) ORDER BY p.place
      """, mode: .live, limit: limit, vault)
  }

  /// The imported outcomes of an account's client seed, newest first.
  fileprivate func imports(of chain: ChainKey, before place: ListPlace, limit: Int) throws -> OutcomePage {
    let end = place.imported
    let below: SQLStatement = place.coordinates.map { "AND (cursor, nonce) < (\($0.cursor), \($0.nonce))" } ?? ""
    return try imported(
      """
      account_id = \(chain.owner.rawValue) AND client_seed = \(chain.clientSeed.bytes)
        AND (created, id) < (\(end.created), \(end.row)) \(below)
      """, order: "created DESC, id DESC", limit: limit)
  }

  fileprivate func testPage(
    of account: AccountID, _ clientSeed: ClientSeed, before end: Int64, limit: Int
  ) throws -> OutcomePage {
    try page(
      """
      SELECT o.id AS outcome_id, \(SQLStatement.testOutcomeColumns), p.place < p.found AS has_more
      FROM (
        SELECT id, row_number() OVER newest AS place, sum(bytes) OVER newest - bytes AS before, count(*) OVER () AS found
        FROM (
          SELECT o.id, \(SQLStatement.outcomeBytes) AS bytes FROM test_outcomes o
          WHERE account_id = \(account.rawValue) AND client_seed = \(clientSeed.bytes) AND id < \(end)
            AND length(digest) = 32
          ORDER BY id DESC LIMIT \(min(limit, .max - 1) + 1)) t
        WINDOW newest AS (ORDER BY id DESC)) p
      JOIN test_outcomes o ON o.id = p.id
      WHERE p.place <= \(limit) AND p.before < \(OutcomePage.maximumBytes) ORDER BY o.id DESC
      """, mode: .test, limit: limit)
  }

  /// - Parameter vault: what opens the seeds of commitments, if the outcomes are theirs.
  private func page(_ statement: SQLStatement, mode: Mode, limit: Int, _ vault: Vault? = nil) throws -> OutcomePage {
    let rows = try rows(statement)
    var page = OutcomePage(limit: limit)
    for row in rows {
      var outcome = try Outcome(row: row, mode: mode)
      if let vault { outcome.commitment = try RevealedCommitment(row: row, vault) }
      page.append(outcome)
    }
    page.hasMore = try rows.last?.flag("has_more") ?? false
    return page
  }
}

extension Outcome {
  init(row: SQLRow, mode: Mode) throws(StoreFailure) {
    let id = try row.integer("outcome_id")
    guard let chain = try row.optionalInteger("chain_id") else { throw .damaged("outcome \(id) is not there") }
    guard let clientSeed = try row.optionalBytes("client_seed") else {
      throw .damaged("chain \(chain) of outcome \(id) is not there")
    }
    try self.init(
      id: id, chain: chain, epoch: row.integer("epoch"), cursor: row.integer("cursor"), nonce: row.integer("nonce"),
      endpoint: row.integer("endpoint"), stored: row.bytes("value"), fields: row.bytes("fields"),
      items: row.optionalBytes("items"), created: row.integer("created"), clientSeed: clientSeed,
      serverHash: row.optionalBytes("server_hash"), mode: mode)
  }
}

extension RevealedCommitment {
  /// From ``Dialect/commitmentColumns``.
  init(row: SQLRow, _ vault: Vault) throws(StoreFailure) {
    let chain = try row.integer("commitment_chain")
    let id = try row.bytes("commit_id")
    guard id.count == 16 else { throw .damaged("the row of the commitment of chain \(chain) is damaged") }
    self.init(
      id: CommitID(bytes: id), seed: try vault.openSeed(row.bytes("commitment_seed"), chain: chain).seed)
  }
}

extension RecordedOutcome {
  /// From the row of a live outcome with ``Dialect/revealedSeedColumns``.
  ///
  /// - Parameter seeds: to tell of the chain's next draw; nil leaves that out.
  init(row: SQLRow, _ seeds: ChainSeeds? = nil) throws {
    let outcome = try Outcome(row: row, mode: .live)
    let owner = ChainOwner(try row.integer("owner_id"))
    let next =
      try owner.isNobody
      ? nil
      : seeds?.nextDraw(
        of: ChainKey(owner: owner, clientSeed: outcome.clientSeed), era: row.integer("next_era"),
        epoch: row.count("next_epoch"), serverHash: ServerHash(bytes: row.bytes("next_hash")),
        cursor: row.integer("next_cursor"), nonce: row.integer("next_nonce"))
    guard let seed = try row.optionalBytes("server_seed") else {
      self.init(outcome: outcome, state: .inUse(outcome.serverHash), next: next, owner: owner)
      return
    }
    let revealed = RevealedSeed(
      chain: outcome.chain, owner: owner, era: try row.integer("era"),
      epoch: outcome.epoch, seed: try ServerSeed(hex: seed),
      hash: try ServerHash(bytes: row.bytes("revealed_hash")), cursor: try row.integer("revealed_cursor"),
      nonce: try row.integer("revealed_nonce"), revealed: try row.integer("revealed"))
    self.init(outcome: outcome, state: .revealed(revealed), next: next, owner: owner)
  }
}
