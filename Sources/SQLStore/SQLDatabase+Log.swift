import Fairness
import Ledger

extension SQLDatabase {
  // MARK: Keeping

  public func beginLog(of era: Int64, origin: String) throws(StoreFailure) -> String {
    try transactBlocking { connection in
      _ = try connection.execute(
        """
        INSERT INTO logs (era, origin, size, signed_size, checkpoint, keeper, kept_until)
        VALUES (\(era), \(origin), 0, 0, NULL, NULL, 0) ON CONFLICT (era) DO NOTHING
        """)
      guard let row = try connection.row("SELECT origin FROM logs WHERE era = \(era)") else {
        throw StoreFailure("the log was not begun")
      }
      return try row.text("origin")
    }
  }

  public func holdLog(of era: Int64, by keeper: [UInt8], for time: Milliseconds) throws(StoreFailure) -> Bool {
    try transactBlocking { connection in
      let now = try connection.now()
      return try connection.execute(
        """
        UPDATE logs SET keeper = \(keeper), kept_until = \(now + time)
        WHERE era = \(era) AND (kept_until <= \(now) OR keeper = \(keeper))
        """) == 1
    }
  }

  public func installation() throws(StoreFailure) -> [UInt8] {
    try transactBlocking { connection in
      let random = (0..<16).map { _ in UInt8.random(in: .min ... .max) }
      _ = try connection.execute(
        "INSERT INTO meta (name, value) VALUES ('installation', \(random)) ON CONFLICT (name) DO NOTHING")
      guard let row = try connection.row("SELECT value FROM meta WHERE name = 'installation'") else {
        throw StoreFailure("the database does not say which installation's it is")
      }
      return try row.bytes("value")
    }
  }

  public func history(
    of era: Int64, rootAt size: Int
  ) throws(StoreFailure) -> (newestEra: Int64, checkpoint: LogCheckpoint?, root: MerkleHash?) {
    try queryBlocking { connection in
      let newest = try connection.row("SELECT coalesce(max(number), 0) AS newest FROM eras")?.integer("newest") ?? 0
      let checkpoint = try connection.checkpoint(of: era)
      guard let checkpoint, checkpoint.size >= size else { return (newest, checkpoint, nil) }
      let root = try LogTree.root(size: size) { try connection.tile(at: $0, of: era, width: 1).hashes }
      return (newest, checkpoint, root)
    }
  }

  public func log(of era: Int64) throws(StoreFailure) -> LogState? {
    try queryBlocking { connection in
      guard let row = try connection.row("SELECT size, signed_size FROM logs WHERE era = \(era)") else {
        return nil
      }
      let size = try row.count("size")
      var edge: [Int: MerkleTile] = [:]
      for level in stride(from: MerkleTile.depth, to: Int.bitWidth - MerkleTile.depth, by: MerkleTile.depth) {
        let nodes = size >> level
        guard nodes > 0 else { break }
        guard nodes % MerkleTile.width > 0 else { continue }
        let place = MerkleTile.Place(level: level, number: nodes / MerkleTile.width)
        edge[level] = try connection.tile(at: place, of: era, width: nodes % MerkleTile.width)
      }
      let number = size / LogBundle.width
      let bundle = try connection.bundle(number, of: era)
      guard bundle.entries.count == size % LogBundle.width else {
        throw StoreFailure.damaged("the log of era \(era) lacks entries: \(size) were recorded")
      }
      return LogState(size: size, signedSize: try row.count("signed_size"), edge: edge, bundle: bundle)
    }
  }

  public func queuedEntries() throws(StoreFailure) -> (groups: [QueuedEntries], hasMore: Bool) {
    try queryBlocking { connection in
      // The lengths are read first, so that one read is bounded however large the groups are. It is some 12,000 entries:
      // to store them keeps draws waiting for a few milliseconds.
      let lengths = try connection.rows("SELECT id, length(entries) AS bytes FROM log_queue ORDER BY id LIMIT 2001")
      var last: Int64?
      var count = 0
      var bytes = 0
      for row in lengths.prefix(2000) {
        bytes += try row.count("bytes")
        if last != nil, bytes > 400_000 { break }
        last = try row.integer("id")
        count += 1
      }
      guard let last else { return ([], false) }
      let groups = try connection.rows(
        "SELECT id, drawn, entries FROM log_queue WHERE id <= \(last) ORDER BY id LIMIT \(count)"
      ).map { row in
        QueuedEntries(
          id: try row.integer("id"), drawn: try row.optionalInteger("drawn"),
          entries: try LogEntries(bytes: row.bytes("entries")))
      }
      return (groups, lengths.count > count)
    }
  }

  public func grow(_ growth: LogGrowth) throws(StoreFailure) -> Bool {
    let era = growth.era
    let first: SQLStatement = """
      UPDATE logs SET size = \(growth.to) WHERE era = \(era) AND size = \(growth.from) AND keeper = \(growth.keeper)
      """
    var statements = growth.tiles.map { tile -> SQLStatement in
      """
      INSERT INTO log_tiles (era, level, number, hashes)
      VALUES (\(era), \(tile.place.level), \(tile.place.number), \(tile.bytes))
      ON CONFLICT (era, level, number) DO UPDATE SET hashes = excluded.hashes
      """
    }
    statements += growth.bundles.map { bundle in
      """
      INSERT INTO log_bundles (era, number, first_drawn, last_drawn, entries, logged)
      VALUES (\(era), \(bundle.number), \(bundle.drawn?.lowerBound), \(bundle.drawn?.upperBound),
        \(bundle.entries.bytes), \(bundle.logged.bytes))
      ON CONFLICT (era, number) DO UPDATE SET first_drawn = excluded.first_drawn,
        last_drawn = excluded.last_drawn, entries = excluded.entries, logged = excluded.logged
      """
    }
    let minute = growth.time / 60_000
    statements.append(
      """
      INSERT INTO log_growth (era, minute, first_size, size, last)
      VALUES (\(era), \(minute), \(growth.from), \(growth.to), \(growth.time))
      ON CONFLICT (era, minute) DO UPDATE SET size = excluded.size, last = excluded.last
      """)
    statements.append("DELETE FROM log_growth WHERE era = \(era) AND minute <= \(minute - LogMinute.kept)")
    statements += growth.queued.map { "DELETE FROM log_queue WHERE id = \($0)" }
    return try transactBlocking { [statements] connection in
      guard try connection.execute(first) == 1 else { return false }
      let results = try connection.run(statements)
      guard results.suffix(growth.queued.count).allSatisfy({ $0.changed == 1 }) else {
        throw StoreFailure("entries of the log were taken from the queue by somebody else")
      }
      return true
    }
  }

  public func keep(checkpoint: String, ofSize size: Int, era: Int64) throws(StoreFailure) {
    try transactBlocking {
      _ = try $0.execute(
        """
        UPDATE logs SET signed_size = \(size), checkpoint = \(checkpoint)
        WHERE era = \(era) AND size >= \(size) AND (signed_size < \(size) OR checkpoint IS NULL)
        """)
    }
  }

  // MARK: Witnesses

  public func claimCosigning(of era: Int64, for time: Milliseconds) async throws(StoreFailure) -> Bool {
    try await write { connection in
      let now = try connection.now()
      // A claim that reaches further than any can was made before the clock was set back.
      guard
        try connection.execute(
          """
          UPDATE logs SET asked_until = \(now + time)
          WHERE era = \(era) AND (asked_until <= \(now) OR asked_until > \(now + time))
          """) == 1
      else { return false }
      _ = try connection.execute(
        """
        DELETE FROM log_cosignatures WHERE era = \(era) AND made < \(now - LogCosignature.keeping)
          AND size < (SELECT max(size) FROM log_cosignatures WHERE era = \(era))
        """)
      return true
    }
  }

  public func keep(_ cosignature: LogCosignature) async throws(StoreFailure) {
    try await write { connection in
      _ = try connection.execute(
        """
        INSERT INTO log_cosignatures (era, size, witness, checkpoint, line, made)
        VALUES (\(cosignature.era), \(cosignature.size), \(cosignature.witness), \(cosignature.checkpoint),
          \(cosignature.line), \(try connection.now()))
        ON CONFLICT (era, size, witness) DO UPDATE SET line = excluded.line
        """)
    }
  }

  public func consistencyProof(of era: Int64, from: Int, to: Int) async throws(StoreFailure) -> [MerkleHash] {
    try await read { connection in
      try LogTree.consistencyProof(from: from, to: to) { try connection.tile(at: $0, of: era, width: 1).hashes }
    }
  }

  // MARK: Reading

  public func checkpoint(of era: Int64) async throws(StoreFailure) -> LogCheckpoint? {
    try await read { try $0.checkpoint(of: era) }
  }

  public func cosignedCheckpoint(of era: Int64) async throws(StoreFailure) -> LogCheckpoint? {
    try await read { try $0.cosignedCheckpoint(of: era, having: 0) }
  }

  public func logTile(at place: MerkleTile.Place, of era: Int64) async throws(StoreFailure) -> [UInt8] {
    try await read { try $0.hashes(at: place, of: era) }
  }

  public func logEntries(_ number: Int, of era: Int64) async throws(StoreFailure) -> LogEntries {
    try await read { try $0.bundle(number, of: era).entries }
  }

  public func growth(of era: Int64) async throws(StoreFailure) -> [LogMinute] {
    try await read {
      try $0.rows("SELECT minute, first_size, size, last FROM log_growth WHERE era = \(era) ORDER BY minute").map {
        LogMinute(
          minute: try $0.integer("minute"), firstSize: try $0.count("first_size"), size: try $0.count("size"),
          last: try $0.integer("last"))
      }
    }
  }

  public func place(of digest: LogDigest, drawn: Milliseconds) async throws(StoreFailure) -> LogPlace {
    try await read { connection in
      for era in try connection.rows("SELECT era FROM logs ORDER BY era DESC").map({ try $0.integer("era") }) {
        guard let newest = try connection.checkpoint(of: era),
          let (index, logged) = try connection.index(of: digest, drawn: drawn, era: era), index < newest.size
        else { continue }
        let checkpoint = try connection.cosignedCheckpoint(of: era, having: index) ?? newest
        let path = try LogTree.inclusionProof(index: index, size: checkpoint.size) { place in
          try connection.tile(at: place, of: era, width: 1).hashes
        }
        return .proven(index: index, logged: logged, path: path, checkpoint: checkpoint)
      }
      return .missing
    }
  }
}

extension SQLRow {
  fileprivate func drawn() throws -> ClosedRange<Milliseconds>? {
    guard let first = try optionalInteger("first_drawn"), let last = try optionalInteger("last_drawn") else {
      return nil
    }
    guard first <= last else { throw StoreFailure.damaged("entries of the log are said to be of no time") }
    return first...last
  }

  fileprivate func logged() throws -> [LogBundle.Step] {
    guard let steps = [LogBundle.Step](bytes: try optionalBytes("logged") ?? []) else {
      throw StoreFailure.damaged("the times of entries of the log are damaged")
    }
    return steps
  }
}

extension LogCheckpoint {
  /// - Parameter rows: one for each cosignature, or one without any.
  fileprivate init?(rows: [SQLRow], era: Int64) throws {
    guard let first = rows.first else { return nil }
    let lines = try rows.compactMap { try $0.optionalText("line") }
    self.init(
      era: era, size: try first.count("size"),
      text: try first.text("checkpoint") + lines.map { "\($0)\n" }.joined())
  }
}

extension SQLConnection {
  fileprivate func checkpoint(of era: Int64) throws -> LogCheckpoint? {
    let rows = try rows(
      """
      SELECT l.signed_size AS size, l.checkpoint, c.line FROM logs l
      LEFT JOIN log_cosignatures c ON c.era = l.era AND c.size = l.signed_size
      WHERE l.era = \(era) AND l.checkpoint IS NOT NULL ORDER BY c.witness
      """)
    return try LogCheckpoint(rows: rows, era: era)
  }

  /// Of the cosigned checkpoints that have the entry of an index, the one that most witnesses cosigned; of several the
  /// newest.
  fileprivate func cosignedCheckpoint(of era: Int64, having index: Int) throws -> LogCheckpoint? {
    let rows = try rows(
      """
      SELECT size, checkpoint, line FROM log_cosignatures WHERE era = \(era) AND size = (
        SELECT size FROM log_cosignatures WHERE era = \(era) AND size > \(index)
        GROUP BY size ORDER BY count(*) DESC, size DESC LIMIT 1)
      ORDER BY witness
      """)
    return try LogCheckpoint(rows: rows, era: era)
  }

  /// The hashes of a tile as far as they are there. Those of the leaves are not stored, but computed from the entries.
  fileprivate func hashes(at place: MerkleTile.Place, of era: Int64) throws -> [UInt8] {
    guard place.level > 0 else { return try bundle(place.number, of: era).entries.leaves() }
    return try row(
      "SELECT hashes FROM log_tiles WHERE era = \(era) AND level = \(place.level) AND number = \(place.number)"
    )?.bytes("hashes") ?? []
  }

  /// A tile of at least `width` hashes.
  fileprivate func tile(at place: MerkleTile.Place, of era: Int64, width: Int) throws -> MerkleTile {
    let bytes = try hashes(at: place, of: era)
    guard MerkleTile.isWhole(bytes), bytes.count >= width * MerkleHash.size else {
      throw StoreFailure.damaged("tile \(place.number) of level \(place.level) of the log is missing or damaged")
    }
    return MerkleTile(place: place, bytes: bytes)
  }

  /// The entries of a bundle as far as they are there.
  fileprivate func bundle(_ number: Int, of era: Int64) throws -> LogBundle {
    let row = try row(
      "SELECT first_drawn, last_drawn, entries, logged FROM log_bundles WHERE era = \(era) AND number = \(number)")
    guard let row else { return LogBundle(number: number) }
    return LogBundle(
      number: number, entries: try LogEntries(bytes: row.bytes("entries")), drawn: try row.drawn(),
      logged: try row.logged())
  }

  /// The number of an outcome's entry, and when it was added, if that is known.
  ///
  /// Bundles are in the order of time but for groups that were decided at the same time, so those that may have it are
  /// neighbours. After a server that hung between deciding a group and storing it they need not be.
  fileprivate func index(
    of digest: LogDigest, drawn: Milliseconds, era: Int64
  ) throws -> (index: Int, logged: Milliseconds?)? {
    let near: SQLStatement = """
      SELECT number, entries, logged FROM (
        SELECT number, first_drawn, entries, logged FROM log_bundles WHERE era = \(era) AND last_drawn >= \(drawn)
        ORDER BY last_drawn LIMIT 256) AS near
      WHERE first_drawn <= \(drawn)
      """
    let anywhere: SQLStatement = """
      SELECT number, entries, logged FROM log_bundles WHERE era = \(era) AND last_drawn >= \(drawn) AND first_drawn <= \(drawn)
      ORDER BY last_drawn LIMIT 256
      """
    for bundles in [near, anywhere] {
      for row in try rows(bundles) {
        if let found = try LogEntries(bytes: row.bytes("entries")).firstIndex(ofDraw: digest) {
          let logged = LogBundle.time(ofEntry: found, in: try row.logged())
          return (try row.count("number") * LogBundle.width + found, logged)
        }
      }
    }
    return nil
  }
}
