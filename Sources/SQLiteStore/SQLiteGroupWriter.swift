import Fairness
import GRDB
import GRDBSQLite
import Ledger
import SQLStore

/// The write path's hold on the database: its prepared statements, and what it remembers from group to group.
///
/// What it remembers is true as long as nobody else writes. SQLite's `data_version` tells, under the write lock, whether
/// another connection did (the command line, say); then everything is forgotten and read again. A failed group is
/// followed by forgetting too. Owned by ``SQLiteStore``, which lets one thread in at a time.
final class SQLiteGroupWriter {
  let connection: OpaquePointer
  private let vault: Vault
  private let clock: @Sendable () -> Milliseconds

  private let loader: SQLiteGroupLoader
  private let file: DatabaseFile
  private let log: LogSync
  private var overlaps = false
  private let begin, commit, rollback, insertDelivery, insertEvent, insertLog: SQLiteStatement
  private let insertChain, moveChain, insertOutcome, insertTestOutcome, insertRecord, deleteRecord, addUsage, noteHour,
    addKeyUsage, insertRun, sweep: SQLiteStatement
  private let rotateChain, insertRevealedSeed, insertCommitment, useCommitment, sweepCommitments: SQLiteStatement

  /// For what is seldom written.
  private let common: SQLiteConnection

  private var memory: GroupMemory?
  private var time = RecordedTime()

  init(
    _ db: Database, file: DatabaseFile, log: LogSync, loading: (vault: Vault, seeds: ChainSeeds, shortIDs: ShortIDs),
    clock: @escaping @Sendable () -> Milliseconds
  ) throws {
    guard let connection = db.sqliteConnection else { throw StoreFailure("the database is closed") }
    func prepare(_ sql: String) throws -> SQLiteStatement { try SQLiteStatement(connection, sql) }
    func insertion(into table: String, _ columns: String, _ rest: String = "") throws -> SQLiteStatement {
      let marks = columns.split(separator: ",").map { _ in "?" }.joined(separator: ", ")
      return try prepare("INSERT INTO \(table) (\(columns)) VALUES (\(marks))\(rest)")
    }
    common = SQLiteConnection(db: db, clock: clock)
    loader = try SQLiteGroupLoader(
      connection, common, vault: loading.vault, seeds: loading.seeds, shortIDs: loading.shortIDs)
    (self.connection, self.file, self.log, vault, self.clock) = (connection, file, log, loading.vault, clock)
    try log.open(connection)
    (begin, commit, rollback) = (try prepare("BEGIN IMMEDIATE"), try prepare("COMMIT"), try prepare("ROLLBACK"))
    insertDelivery = try insertion(into: "deliveries", "endpoint_id, outcome_id, created, due")
    insertEvent = try insertion(into: "deliveries", "endpoint_id, event, data, created, due")
    insertLog = try insertion(into: "log_queue", "drawn, entries")
    insertChain = try insertion(
      into: "chains", "id, owner_id, client_seed, era, epoch, server_hash, cursor, nonce, trail, created")
    // No coordinate is used twice: a chain moves on only from where the outcomes in hand were drawn.
    moveChain = try prepare(
      "UPDATE chains SET cursor = ?, nonce = ?, trail = ? WHERE id = ? AND cursor = ? AND nonce = ?")
    rotateChain = try prepare(
      """
      UPDATE chains SET era = ?, epoch = ?, server_hash = ?, cursor = ?, nonce = ?, trail = ?
      WHERE id = ? AND cursor = ? AND nonce = ? AND epoch = ?
      """)
    insertRevealedSeed = try insertion(
      into: "revealed_seeds", "chain_id, era, epoch, server_seed, server_hash, cursor, nonce, revealed")
    insertCommitment = try insertion(
      into: "commitments", "chain_id, commit_id, owner_id, sealed_seed, server_hash, created, expires")
    useCommitment = try prepare(
      "UPDATE commitments SET outcome_id = ?, client_seed = ?, revealed = ? WHERE chain_id = ? AND revealed IS NULL")
    insertOutcome = try insertion(
      into: "outcomes",
      "id, chain_id, previous, jump, epoch, cursor, nonce, endpoint, value, fields, items, created")
    insertTestOutcome = try insertion(
      into: "test_outcomes",
      "id, account_id, digest, client_seed, server_hash, endpoint, value, fields, items, created")
    insertRecord = try insertion(into: "idempotency", "digest, request, fingerprint, status, answer, created")
    deleteRecord = try prepare("DELETE FROM idempotency WHERE digest = ?")
    let addsToCount = " ON CONFLICT DO UPDATE SET count = count + excluded.count"
    addUsage = try insertion(into: "usage", "account_id, day, endpoint, count", addsToCount)
    addKeyUsage = try insertion(into: "key_usage", "account_id, key_id, day, count", addsToCount)
    noteHour = try insertion(
      into: "usage_hours", "account_id, hour, day, drawn",
      " ON CONFLICT DO UPDATE SET day = excluded.day, drawn = excluded.drawn WHERE day < excluded.day")
    insertRun = try prepare(
      """
      INSERT INTO account_runs (owner_id, number, first, last)
      VALUES (?1, max(?2, coalesce((SELECT max(number) + 1 FROM account_runs WHERE owner_id = ?1), 0)), ?3, ?4)
      """)
    // Records are numbered as they come, so the oldest stand first and a sweep reads no more than it deletes.
    sweep = try prepare(
      "DELETE FROM idempotency WHERE id IN (SELECT id FROM idempotency ORDER BY id LIMIT ?) AND created <= ?")
    sweepCommitments = try prepare(
      """
      DELETE FROM commitments WHERE chain_id IN
        (SELECT chain_id FROM commitments WHERE revealed IS NULL AND expires <= ? ORDER BY expires LIMIT ?)
      """)
  }

  /// Drops what is remembered, so that the next group reads it anew.
  func forget() { memory = nil }

  // MARK: A group

  /// Commits a group. It is durable when ``LogSync`` says so.
  func settle(_ needs: Needs, deciding decide: (Snapshot) -> Decision) throws -> Decision {
    try overlap()
    var isWrite = false
    defer { if isWrite { log.end() } }
    var decision = try transaction {
      let (snapshot, chains) = try load(needs)
      let decision = decide(snapshot)
      if !decision.changes.isEmpty {
        log.begin()
        isWrite = true
      }
      try store(decision.changes, over: snapshot, chains)
      return decision
    }
    // What went into a file that nobody finds again is not recorded.
    if !decision.changes.isEmpty { try file.check() }
    decision.group = log.last
    return decision
  }

  /// A commit leaves the sync to others: with `synchronous = NORMAL`, SQLite itself syncs at checkpoints only.
  private func overlap() throws {
    guard !overlaps else { return }
    try SQLiteStatement(connection, "PRAGMA synchronous = NORMAL").run()
    overlaps = true
    log.overlap()
  }

  /// Deletes expired records and commitments, `limit` of each at the most; returns whether there may be more.
  func sweepExpired(keeping retention: IdempotencyRetention, limit: Int) throws -> Bool {
    try transaction {
      memory = try recall()
      let now = now()
      var most: Int64 = 0
      if let oldest = retention.limit(at: now) {
        try sweep.run { $0.bind(limit, oldest) }
        most = sqlite3_changes64(connection)
      }
      try sweepCommitments.run { $0.bind(now - Commitment.afterlife, limit) }
      return max(most, sqlite3_changes64(connection)) >= limit
    }
  }

  /// Commits a row that nobody reads.
  func probe() throws {
    try transaction {
      try SQLiteStatement(connection, "INSERT OR REPLACE INTO meta (name, value) VALUES ('probe', randomblob(16))")
        .run()
    }
  }

  /// Closes a day: nothing is recorded before its end any more, see ``now()``.
  ///
  /// - Throws: ``DayNotOver``; a failure of SQLite's.
  func seal(_ day: Day) throws {
    try transaction {
      memory = try recall()
      guard now() >= day.end else { throw DayNotOver(day) }
      try SQLiteStatement(connection, "INSERT INTO merkle_days (day) VALUES (?) ON CONFLICT DO NOTHING").run {
        $0.bind(day.number)
      }
    }
  }

  func transaction<Result>(_ body: () throws -> Result) throws -> Result {
    try begin.run()
    do {
      let result = try body()
      try commit.run()
      return result
    } catch {
      forget()
      // SQLite has rolled back by itself after some errors (a full disk among them); then there is nothing to undo.
      if sqlite3_get_autocommit(connection) == 0 { try? rollback.run() }
      throw error
    }
  }

  /// The time, which does not go back over restarts and for other processes either: whoever finds the database changed
  /// reads, under the write lock, how far its time has come. So ``recall()`` comes before it in every transaction.
  private func now() -> Milliseconds { time.reach(clock()) }

  private func load(_ needs: Needs) throws -> (snapshot: Snapshot, chains: [Int64: StoredChain]) {
    var memory = try recall()
    let now = now()
    if memory.day != Day(of: now) {
      memory.day = Day(of: now)
      memory.accounts.removeAll()
      memory.keys.removeAll()
    }
    defer { self.memory = memory }
    return try loader.load(needs, at: now, &memory)
  }

  /// What is remembered, or what a database that was changed makes of it.
  private func recall() throws -> GroupMemory {
    let version = try loader.version()
    if let memory, memory.dataVersion == version {
      self.memory = nil  // so that the caller's copy is the only one, and changes in place
      return memory
    }
    return try loader.memory(version: version, day: Day(of: time.reach(loader.latest())))
  }

  // MARK: Store

  private func store(_ changes: Changes, over snapshot: Snapshot, _ chains: [Int64: StoredChain]) throws {
    guard var memory, !changes.isEmpty else { return }
    self.memory = nil
    let group = try GroupStorage(changes, over: chains, vault)
    try storeOutcomes(of: group, &memory)
    let time = OutcomePlace.number(at: snapshot.now)
    for (owner, run) in changes.runs { try insertRun.run { $0.bind(owner.rawValue, time, run.first, run.last) } }
    try storeChains(of: group, &memory)
    try storeCommitments(of: group, &memory)
    let rendering = changes.records.isEmpty ? 0 : try number(of: changes.rendering, &memory)
    for record in changes.records {
      // An expired record that is not swept yet makes room. INSERT OR REPLACE would see to it too, and make every insert
      // keep a journal of its own, in case it has to be undone halfway.
      if snapshot.records[record.scope] != nil { try deleteRecord.run { $0.bind(record.scope.digest) } }
      try insertRecord.run {
        $0.bind(record.scope.digest, record.request, record.fingerprint, record.reply.status)
        $0.bind(StoredAnswer.bytes(of: record.reply, rendering: rendering), record.created)
      }
    }
    let notes = memory.hours.missing(for: changes, over: snapshot)
    for note in notes {
      try noteHour.run { $0.bind(note.account.rawValue, note.hour, note.day.number, Int64(note.drawn)) }
    }
    memory.hours.remember(notes)
    for (key, count) in changes.usage {
      try addUsage.run {
        $0.bind(key.account.rawValue, key.day.number, Int64(key.endpoint.rawValue), count)
      }
      if var state = memory.accounts.value(for: key.account) {
        state.usedToday += count
        memory.accounts.insert(state, for: key.account)
      }
    }
    for (key, count) in changes.keyUsage {
      try addKeyUsage.run { $0.bind(key.account.rawValue, key.key.rawValue, key.day.number, count) }
      if case .usable(var quota?) = memory.keys.value(for: key.key) {
        quota.usedToday += count
        memory.keys.insert(.usable(quota), for: key.key)
      }
    }
    // Last, since it may have to wait for the digests.
    if !changes.log.isEmpty {
      try insertLog.run {
        $0.bind(changes.outcomes.first?.created)
        $0.bind(changes.log.entries.bytes)
      }
    }
    self.memory = memory
  }

  private func number(of rendering: Rendering, _ memory: inout GroupMemory) throws -> Int64 {
    if let known = memory.rendering, known.rendering == rendering { return known.number }
    let number = try common.number(of: rendering)
    memory.rendering = (rendering, number)
    return number
  }

  private func storeOutcomes(of group: GroupStorage, _ memory: inout GroupMemory) throws {
    for (outcome, links) in zip(group.changes.outcomes, group.links) {
      try insertOutcome.run {
        $0.bind(outcome.id, outcome.chain, links.previous, links.jump)
        $0.bind(outcome.epoch, outcome.cursor, outcome.nonce, Int64(outcome.endpoint.rawValue))
        $0.bind(outcome.stored, outcome.fields, outcome.items, outcome.created)
      }
      memory.lastOutcome = max(memory.lastOutcome, outcome.id)
    }
    for (id, outcome) in group.changes.testOutcomes {
      try insertTestOutcome.run {
        $0.bind(outcome.id, id.account.rawValue, id.digest)
        $0.bind(outcome.clientSeed.bytes, outcome.serverHash.bytes, Int64(outcome.endpoint.rawValue))
        $0.bind(outcome.stored, outcome.fields, outcome.items, outcome.created)
      }
      memory.lastOutcome = max(memory.lastOutcome, outcome.id)
    }
    for delivery in group.changes.deliveries {
      try insertDelivery.run {
        $0.bind(delivery.endpoint.rawValue, delivery.outcome, delivery.created, delivery.created)
      }
    }
    for event in group.changes.accountEvents {
      try insertEvent.run {
        $0.bind(event.endpoint.rawValue, event.type.rawValue)
        $0.bind(event.data)
        $0.bind(event.created, event.created)
      }
    }
  }

  private func storeChains(of group: GroupStorage, _ memory: inout GroupMemory) throws {
    for chain in group.changes.newChains {
      let stored = StoredChain(chain, try group.before(chain).trail)
      try insertChain.run {
        $0.bind(chain.id, chain.key.owner.rawValue, chain.key.clientSeed.bytes)
        $0.bind(chain.era, chain.epoch, chain.active.hash.bytes)
        $0.bind(chain.cursor, chain.nonce, stored.trail.bytes, chain.created)
      }
      if !chain.key.owner.isNobody { memory.chains.insert(stored, for: chain.key) }
      memory.lastChain = max(memory.lastChain, chain.id)
    }
    for chain in group.changes.rotatedChains {
      let known = try group.before(chain)
      try rotateChain.run {
        $0.bind(chain.era, chain.epoch, chain.active.hash.bytes)
        $0.bind(chain.cursor, chain.nonce, known.trail.bytes, chain.id)
        $0.bind(known.chain.cursor, known.chain.nonce, known.chain.epoch)
      }
      try expectOneChange(of: chain)
      memory.chains.insert(StoredChain(chain, known.trail), for: chain.key)
    }
    for chain in group.changes.movedChains {
      let known = try group.before(chain)
      try moveChain.run {
        $0.bind(chain.cursor, chain.nonce, known.trail.bytes, chain.id)
        $0.bind(known.chain.cursor, known.chain.nonce)
      }
      try expectOneChange(of: chain)
      memory.chains.insert(StoredChain(chain, known.trail), for: chain.key)
    }
    for seed in group.changes.revealedSeeds {
      try insertRevealedSeed.run {
        $0.bind(seed.chain, seed.era, seed.epoch)
        $0.bind(seed.seed.ascii, seed.hash.bytes)
        $0.bind(seed.cursor, seed.nonce, seed.revealed)
      }
    }
  }

  private func storeCommitments(of group: GroupStorage, _ memory: inout GroupMemory) throws {
    for commitment in group.changes.newCommitments {
      let sealed = try group.seal(commitment)
      try insertCommitment.run {
        $0.bind(commitment.chain, commitment.id.bytes, commitment.owner.rawValue)
        $0.bind(sealed, commitment.active.hash.bytes, commitment.created, commitment.expires)
      }
      memory.lastChain = max(memory.lastChain, commitment.chain)
    }
    for commitment in group.changes.usedCommitments {
      guard let use = commitment.use else { throw StoreFailure("commitment \(commitment.id) is used for nothing") }
      try useCommitment.run { $0.bind(use.outcome, use.clientSeed.bytes, use.revealed, commitment.chain) }
      guard sqlite3_changes64(connection) == 1 else {
        throw StoreFailure("commitment \(commitment.id) cannot be used twice")
      }
    }
  }

  private func expectOneChange(of chain: SeedChain) throws(StoreFailure) {
    guard sqlite3_changes64(connection) == 1 else {
      throw StoreFailure("chain \(chain.id) is not where the group was decided from")
    }
  }
}
