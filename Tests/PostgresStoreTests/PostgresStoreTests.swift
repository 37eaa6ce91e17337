import Accounts
import Fairness
import Foundation
import Ledger
import PostgresStore
import StoreConformance
import Synchronization
import Testing

// One after the other: all at once would have some 1500 files open, and beyond 1300 Foundation's Process dies of it.
@Suite(.serialized, .timeLimit(.minutes(2))) struct PostgresStoreTests {
  private let cluster = Cluster.shared
  private let database = try! Cluster.shared.makeDatabase()

  private func open(_ clock: @escaping @Sendable () -> Milliseconds) throws -> PostgresStore {
    try PostgresStore(cluster.target(database), masterKey: StoreUnderTest.masterKey, clock: clock)
  }

  private func storeUnderTest() async throws -> StoreUnderTest {
    try await StoreUnderTest { try open($0) }
  }

  @Test(arguments: StoreConformance.checks) func conforms(_ check: StoreCheck) async throws {
    try await check.run {
      try open($0)
    } sql: {
      try cluster.psql($0, in: database)
    }
  }

  // MARK: The master key

  @Test func anotherMasterKeyIsRefused() async throws {
    let test = try await storeUnderTest()
    try test.settle(draw(test.alice))
    let other = try MasterKey(bytes: Array(2...33))
    #expect(throws: MasterKeyMismatch.self) { try PostgresStore(cluster.target(database), masterKey: other) }
    try await test.reopen()
    #expect(try test.settle(draw(test.alice)).changes.outcomes.map(\.nonce) == [1])
    #expect(
      try PostgresStore.masterKeyFingerprint(of: cluster.target(database)) == StoreUnderTest.masterKey.fingerprint)
    #expect(try PostgresStore.masterKeyFingerprint(of: cluster.target(cluster.makeDatabase())) == nil)
  }

  // MARK: Company

  @Test func whatAnotherServerDoesHoldsForTheNextGroup() async throws {
    let test = try await storeUnderTest()
    try test.settle(draw(test.alice), draw(test.aliceToo), draw(test.bob))
    let other = try open { [test] in test.now }
    let prefix = try #require(try await other.keys(of: test.alice.account).first { $0.key.id == test.alice.keyID }).key
      .prefix
    _ = try await other.revokeKey(prefix: prefix)
    #expect(try test.settle(draw(test.alice), draw(test.aliceToo)).replies.map(\.status) == [401, 200])
    let key = try await other.createKey(NewAPIKey(mode: .live), forAccountNamed: "bob")
    #expect(try test.settle(draw(.key(key.id, key.account, .live))).reply.status == 200)
  }

  @Test func serversAtOnceLeaveNoGap() async throws {
    let test = try await storeUnderTest()
    let stores = [test.store, try open { [test] in test.now }, try open { [test] in test.now }]
    let writers = stores.map { LedgerWriter(store: $0, decider: test.decider) }
    let carol = try await test.carol()
    let callers = [.anonymous, test.alice, carol]
    let answers = try await withThrowingTaskGroup(of: (String, [UInt8]).self) { group in
      for task in 0..<24 {
        group.addTask {
          var last: [UInt8] = []
          for round in 0..<20 {
            let caller = callers[task % 3]
            let seeds = (0..<3).map { "chain-\(($0 + task + round) % 5)" }
            let claim =
              caller == .anonymous
              ? nil
              : IdempotencyClaim(
                scope: IdempotencyScope(account: caller.account, mode: .live, key: Array("\(task % 3)-\(round)".utf8)),
                fingerprint: [UInt8(task % 3)])
            // Keyed tasks share their keys, whatever server they ask; what they ask for is the same.
            let draws = (caller == .anonymous ? seeds : ["chain-\(round % 5)", "chain-0"]).map { seed in
              BatchEntry.draw(
                DrawRequest(clientSeed: try! ClientSeed(seed), generator: .ints(count: 1, min: 1, max: 100)))
            }
            last = try await writers[(task / 3) % 3].submit(
              Submission(caller: caller, claim: claim, operation: .batch(draws))
            ).body
          }
          return ("\(task % 3)", last)
        }
      }
      return try await group.reduce(into: [(String, [UInt8])]()) { $0.append($1) }
    }
    for writer in writers { await writer.drain() }
    for caller in ["1", "2"] { #expect(Set(answers.filter { $0.0 == caller }.map(\.1)).count == 1) }
    var total = 0
    for caller in callers {
      for number in 0..<5 {
        let drawn = try await test.outcomes(caller, "chain-\(number)")
        #expect(drawn.map(\.nonce) == (0..<Int64(drawn.count)).reversed())
        total += drawn.count
      }
    }
    #expect(total == 8 * 20 * 3 + 2 * 20 * 2)
    #expect(try await test.store.totals().liveOutcomes == total)
    let used = try test.snapshot(draw(test.alice), draw(carol)).accounts.values.map(\.usedToday)
    #expect(used == [20 * 2, 20 * 2])
    #expect(
      try cluster.psql("SELECT deadlocks FROM pg_stat_database WHERE datname = '\(database)'", in: database) == "0")
  }

  /// A standby's clock that is behind, or one that was set back.
  @Test func timeDoesNotGoBack() async throws {
    let test = try await storeUnderTest()
    test.now += 5_000
    try test.settle(draw(test.alice))
    let then = test.now
    test.now -= 4_000
    try await test.reopen()
    #expect(try test.settle(draw(test.alice)).changes.outcomes.map(\.created) == [then])
  }

  @Test func sealingADayWaitsForGroupsThatBeganInIt() async throws {
    let test = try await storeUnderTest()
    let store = try #require(test.store as? PostgresStore)
    let today = Day(of: test.now)
    #expect(throws: DayNotOver.self) { try store.openDay(today) }
    let isSealed = Mutex(false)
    let group = [draw(test.alice)]
    let done = DispatchSemaphore(value: 0)
    var entropy = SystemRandomNumberGenerator()
    let decision = try store.commit(Needs(of: group)) { snapshot in
      test.now = today.end + 1
      Thread.start("test") {
        _ = try? store.openDay(today)
        isSealed.withLock { $0 = true }
        done.signal()
      }
      // It stands in line for the lock.
      for _ in 0..<500 {
        if let waiting = try? cluster.psql(
          "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted", in: database), waiting != "0"
        {
          break
        }
        usleep(10_000)
      }
      #expect(isSealed.withLock { !$0 })
      return test.decider.decide(group, snapshot: snapshot, entropy: &entropy)
    }
    done.wait()
    #expect(decision.changes.outcomes.map { Day(of: $0.created) } == [today])
    // And what comes later is of a later day, whatever the clock says.
    test.now = today.start
    try await test.reopen()
    #expect(try test.settle(draw(test.alice)).changes.outcomes.map(\.created) == [today.end])
  }

  // MARK: Durability

  /// Where the database's log ends.
  private func end() throws -> String { try cluster.psql("SELECT pg_current_wal_insert_lsn()") }

  private func isDurable(_ position: String) throws -> Bool {
    try cluster.psql("SELECT pg_current_wal_flush_lsn() >= '\(position)'") == "t"
  }

  /// Applies groups until one is not durable afterwards: one of the cluster's own processes may happen to write just then.
  ///
  /// - Returns: what was applied, and where the database's log then ended.
  private func undurable(_ apply: (Int) throws -> Settled) throws -> (groups: [Settled], end: String) {
    var groups: [Settled] = []
    for number in 0..<100 {
      groups.append(try apply(number))
      let end = try end()
      if try !isDurable(end) { return (groups, end) }
    }
    throw Failed()
  }

  private struct Failed: Error {}

  @Test func groupsAreAppliedOnTopOfEachOtherAndFlushedTogether() async throws {
    let test = try await storeUnderTest()
    let first = try test.apply([draw(test.alice)])
    let (groups, end) = try undurable { _ in try test.apply([draw(test.alice)]) }
    #expect(groups.flatMap(\.changes.outcomes).map(\.nonce) == (1...Int64(groups.count)).map { $0 })
    try test.store.flush(groups[groups.count - 1].decision)
    #expect(try isDurable(end))
    for group in [first] + groups { try test.store.flush(group.decision) }
  }

  @Test func whatAReaderIsShownIsDurable() async throws {
    let test = try await storeUnderTest()
    try test.settle(draw(test.alice))
    let other = try open { [test] in test.now }
    var drawn = 1
    // Whoever asks, here or at another server, whether for the first time or not.
    for reader in [test.store, test.store, other] {
      let (groups, end) = try undurable { _ in try test.apply([draw(test.alice)]) }
      drawn += groups.count
      #expect(try await reader.totals().liveOutcomes == drawn)
      #expect(try isDurable(end))
    }
  }

  /// What is told of a draw that was recorded before is as good as a new one.
  @Test func aRetryIsDurableToo() async throws {
    let test = try await storeUnderTest()
    let other = try open { [test] in test.now }
    for overlapping in [true, false] {
      func group(_ number: Int) -> [Submission] { [draw(test.alice, claim: "\(overlapping) \(number)")] }
      let (groups, end) = try undurable { try test.apply(group($0)) }
      let last = group(groups.count - 1)
      let retried = try other.apply(Needs(of: last), overlapping: overlapping) { snapshot in
        var entropy = SystemRandomNumberGenerator()
        return test.decider.decide(last, snapshot: snapshot, entropy: &entropy)
      }
      #expect(retried.replies[0].body == groups[groups.count - 1].reply.body)
      try other.flush(retried)
      #expect(try isDurable(end))
    }
  }

  /// A crash breaks it, and takes with it what nobody has waited for.
  @Test func whatBecameOfGroupsIsNotKnownWhenTheConnectionThatWaitsForThemBreaks() async throws {
    let test = try await storeUnderTest()
    let before = try test.apply([draw(test.alice)]).decision
    terminateConnections()
    for _ in 0..<2 {
      let failure = #expect(throws: StoreFailure.self) { try test.store.flush(before) }
      #expect(failure?.mayBeStored == true && failure?.isOfWholeStore == true)
    }
    #expect(try test.settle(draw(test.alice)).changes.outcomes.map(\.nonce) == [1])
    #expect(throws: StoreFailure.self) { try test.store.flush(before) }
  }

  // MARK: Trouble

  @Test func aConnectionThatBreaksInMidGroupLeavesNothing() async throws {
    let test = try await storeUnderTest()
    try test.settle(draw(test.alice))
    let group = [draw(test.alice, claim: "a"), draw(test.alice, "new")]
    var entropy = SystemRandomNumberGenerator()
    #expect(throws: StoreFailure.self) {
      try test.store.commit(Needs(of: group)) { snapshot in
        terminateConnections()
        return test.decider.decide(group, snapshot: snapshot, entropy: &entropy)
      }
    }
    #expect(try await test.outcomes(test.alice).count == 1)
    #expect(try test.settle(group).changes.outcomes.map(\.nonce) == [1, 0])
    // One that broke while nobody used it is replaced without anyone noticing.
    terminateConnections()
    #expect(try test.settle(draw(test.alice)).changes.outcomes.map(\.nonce) == [2])
    terminateConnections()
    try await test.store.ping()
  }

  private func terminateConnections() {
    _ = try? cluster.psql(
      """
      SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
      WHERE datname = '\(database)' AND application_name = 'fairdraw'
      """)
  }
}
