import Accounts
import Fairness
import Foundation
import Ledger
import Logging
import SQLStore
import SQLiteStore
import StoreConformance
import Synchronization
import Testing
import Transparency

import enum LedgerSimulation.Disk
import func LedgerSimulation.until

@Suite(.serialized, .timeLimit(.minutes(1))) struct SQLiteStoreTests {
  private let folder = try! TemporaryFolder()

  private var file: String { folder.path("fairdraw.db") }

  /// Opens the file, as often as asked.
  private func open(_ clock: @escaping @Sendable () -> Milliseconds) throws -> SQLiteStore {
    try SQLiteStore(path: file, masterKey: StoreUnderTest.masterKey, clock: clock)
  }

  private func open() throws -> SQLiteStore { try open { newYear } }

  private func storeUnderTest() async throws -> StoreUnderTest {
    let file = file
    return try await StoreUnderTest {
      try SQLiteStore(path: file, masterKey: StoreUnderTest.masterKey, clock: $0)
    }
  }

  @Test(arguments: StoreConformance.checks) func conforms(_ check: StoreCheck) async throws {
    let file = file
    try await check.run {
      try SQLiteStore(path: file, masterKey: StoreUnderTest.masterKey, clock: $0)
    } sql: {
      try sqlite3(file, $0)
    }
  }

  // MARK: Durability

  @Test func aGroupIsOnTheDiskBeforeItIsAnswered() async throws {
    Disk.watch()
    let test = try await storeUnderTest()
    let log = file + "-wal"
    for _ in 0..<20 {
      let before = Disk.syncs(of: log)
      try test.settle(draw(test.alice))
      #expect(Disk.syncs(of: log) > before)
    }
    let before = Disk.syncs(of: log)
    _ = try await test.accounts.createKey(NewAPIKey(mode: .live), forAccountNamed: "alice")
    #expect(Disk.syncs(of: log) > before)
  }

  @Test func groupsAreAppliedOnTopOfEachOtherAndSyncedOnce() async throws {
    Disk.watch()
    let test = try await storeUnderTest()
    try test.settle(draw(test.alice))
    let log = file + "-wal"
    let before = Disk.syncs(of: log)
    let groups = try (1...3).map { _ in try test.apply([draw(test.alice)]).decision }
    #expect(groups.flatMap(\.changes.outcomes).map(\.nonce) == [1, 2, 3])
    #expect(Disk.syncs(of: log) == before)
    try test.store.flush(groups[2])
    #expect(Disk.syncs(of: log) == before + 1)
    for group in groups { try test.store.flush(group) }
    #expect(Disk.syncs(of: log) == before + 1, "there was nothing to sync")
  }

  @Test func whatAReaderIsShownIsOnTheDisk() async throws {
    Disk.watch()
    let test = try await storeUnderTest()
    try test.settle(draw(test.alice))
    let log = file + "-wal"
    try test.apply([draw(test.alice)])
    let before = Disk.syncs(of: log)
    #expect(try await test.outcomes(test.alice).count == 2)
    #expect(Disk.syncs(of: log) == before + 1)
    // Another process, which draws nothing, reads what this one has not synced.
    let other = try open { [test] in test.now }
    try test.apply([draw(test.alice)])
    let earlier = Disk.syncs(of: log)
    #expect(try await other.totals().liveOutcomes == 3)
    #expect(Disk.syncs(of: log) > earlier)
  }

  @Test func aDiskThatDoesNotTakeAGroupEndsAllWork() async throws {
    Disk.watch()
    let (file, log) = (file, file + "-wal")
    let losses = Mutex<[StoreFailure]>([])
    let onLoss: @Sendable (StoreFailure) -> Void = { failure in losses.withLock { $0.append(failure) } }
    let test = try await StoreUnderTest {
      try SQLiteStore(path: file, masterKey: StoreUnderTest.masterKey, clock: $0, onLoss: onLoss)
    }
    let group = [draw(test.alice, claim: "a"), draw(test.alice, "new"), draw(test.aliceTest), draw(test.bob)]
    try test.settle(draw(test.alice))
    Disk.refuseSyncs(of: log, true)
    #expect {
      try test.settle(group)
    } throws: { error in
      (error as? StoreFailure)?.mayBeStored == true
    }
    #expect(losses.withLock { $0.map(\.kind) } == [.permanent])
    // What the disk would do now is of no use: what it has is not known.
    Disk.refuseSyncs(of: log, false)
    #expect(throws: StoreFailure.self) { try test.settle(group) }
    #expect(throws: StoreFailure.self) { try test.store.probe() }
    await #expect(throws: StoreFailure.self) { try await test.store.totals() }
    try await test.reopen()
    // Both groups were in the log, as they may be.
    #expect(try test.settle(draw(test.alice)).changes.outcomes.map(\.nonce) == [2])
  }

  @Test func theFileIsAWriteAheadLog() async throws {
    let test = try await storeUnderTest()
    try test.settle(draw(test.alice))
    #expect(try sqlite3(file, "PRAGMA journal_mode") == "wal")
    #expect(FileManager.default.fileExists(atPath: file + "-wal"))
  }

  // MARK: The master key

  @Test func anotherMasterKeyIsRefused() async throws {
    let test = try await storeUnderTest()
    try test.settle(draw(test.alice))
    let other = try MasterKey(bytes: Array(2...33))
    #expect(throws: WrongMasterKey.self) { try SQLiteStore(path: file, masterKey: other) }
    try await test.reopen()
    #expect(try test.settle(draw(test.alice)).changes.outcomes.map(\.nonce) == [1])
  }

  @Test func secretsAreNotInTheFile() async throws {
    let test = try await storeUnderTest()
    let key = try NewAPIKey(mode: .live)
    _ = try await test.accounts.createKey(key, forAccountNamed: "alice")
    let chains = try test.settle(
      (0..<20).map { commitment(test.alice, "a rare client seed \($0)") }
    ).changes.newChains
    let content = try ["", "-wal"].reduce(Data()) {
      $0 + (try Data(contentsOf: URL(fileURLWithPath: file + $1)))
    }
    // What is looked for could be found.
    #expect(content.range(of: Data("a rare client seed 7".utf8)) != nil)
    #expect(content.range(of: Data(chains[7].active.hash.bytes)) != nil)
    #expect(content.range(of: Data(key.prefix.utf8)) != nil)
    for chain in chains {
      let hex = chain.active.seed.ascii
      #expect(content.range(of: Data(hex)) == nil)
      #expect(content.range(of: Data(hex[16..<48])) == nil)
      #expect(content.range(of: Data(chain.active.seed.description.uppercased().utf8)) == nil)
      let raw = stride(from: 0, to: 64, by: 2).map {
        UInt8(String(decoding: hex[$0..<($0 + 2)], as: UTF8.self), radix: 16)!
      }
      #expect(content.range(of: Data(raw)) == nil)
    }
    #expect(content.range(of: Data(key.secret.utf8)) == nil)
    #expect(content.range(of: Data(key.secret.utf8.dropFirst(16))) == nil)
  }

  // MARK: Company

  @Test func aSweepAfterARestartGoesByTheRecordedTime() async throws {
    let test = try await storeUnderTest()
    let commitment = try test.settle(commit(test.alice)).changes.newCommitments[0]
    test.now = commitment.expires + Commitment.afterlife
    try test.settle(draw(test.alice))
    test.now -= 2 * hour
    try await test.reopen()
    #expect(try test.store.sweepExpiredRecords(keeping: .week) == false)
    #expect(try test.settle(reveal(test.alice, commitment.id)).reply.status == 404)
  }

  /// As the command line is to the server: what it does holds for the next group.
  @Test func anotherConnectionIsHeeded() async throws {
    let test = try await storeUnderTest()
    try test.settle(draw(test.alice), draw(test.aliceToo), draw(test.bob))
    let other = try open { [test] in test.now }

    let prefix = try #require(try await other.keys(of: test.alice.account).first { $0.key.id == test.alice.keyID }).key
      .prefix
    _ = try await other.revokeKey(prefix: prefix)
    #expect(
      try test.settle(draw(test.alice), draw(test.aliceToo)).replies.map(\.status) == [401, 200])

    let key = try await other.createKey(NewAPIKey(mode: .live), forAccountNamed: "bob")
    #expect(try test.settle(draw(.key(key.id, key.account, .live))).reply.status == 200)

    _ = try await other.createAccount(name: "carol", dailyQuota: 1, signIn: nil)
    let carols = try await other.createKey(NewAPIKey(mode: .live), forAccountNamed: "carol")
    let carol = Caller.key(carols.id, carols.account, .live)
    #expect(try test.settle(draw(carol), draw(carol)).replies.map(\.status) == [200, 429])
  }

  @Test func twoWritersShareNoCoordinates() async throws {
    let test = try await storeUnderTest()
    let other = try open { [test] in test.now }
    var entropy = SystemRandomNumberGenerator()
    var hashes: Set<ServerHash> = []
    for round in 0..<30 {
      let group = [
        draw(test.alice), draw(.anonymous, "chain-\(round / 2)"),
        draw(test.aliceTest, "chain-\(round / 2)"),
      ]
      let changes =
        round % 2 == 0
        ? try test.settle(group).changes
        : try other.commit(Needs(of: group)) {
          test.decider.decide(group, snapshot: $0, entropy: &entropy)
        }.changes
      #expect(changes.outcomes.map(\.nonce) == [Int64(round), Int64(round % 2)])
      #expect(changes.testOutcomes.count == 1 - round % 2)
      hashes.insert(changes.outcomes[0].serverHash)
    }
    #expect(hashes.count == 1)
    #expect(try test.snapshot(draw(test.alice)).accounts[test.alice.account]?.usedToday == 30)
    // An answer of the one is the other's to repeat.
    let claimed = draw(test.alice, claim: "a")
    let first = try test.settle(claimed).reply
    let again = try other.commit(Needs(of: [claimed])) {
      test.decider.decide([claimed], snapshot: $0, entropy: &entropy)
    }
    #expect(again.replies[0].isReplay && again.replies[0].body == first.body)
  }

  /// The lock is free for some microseconds every five milliseconds.
  @Test func whoWaitsGetsItsTurnBesideAWriterThatHardlyRests() async throws {
    let test = try await storeUnderTest()
    let other = try open()
    let isOver = Mutex(false)
    let rounds = Mutex(0)
    let busy = Task.detached {
      while !isOver.withLock({ $0 }) {
        try other.transactBlocking { _ in _ = usleep(5000) }
        rounds.withLock { $0 += 1 }
      }
    }
    await until { rounds.withLock { $0 } > 0 }
    for round in 0..<3 {
      _ = try await test.accounts.createAccount(name: "account \(round)", dailyQuota: nil, signIn: nil)
    }
    isOver.withLock { $0 = true }
    try await busy.value
  }

  /// An operator with `sqlite3` at the file of a server that is busy.
  @Test func anotherProcessMayReadAndWriteMeanwhile() async throws {
    let test = try await storeUnderTest()
    let writer = LedgerWriter(store: test.store, decider: test.decider)
    let tasks = 8
    let draws = 100
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<tasks {
        group.addTask {
          for _ in 0..<draws {
            let reply = try await writer.submit(draw(test.alice))
            #expect(reply.status == 200)
          }
        }
      }
      for round in 0..<5 {
        let answer = try sqlite3(
          file,
          """
          PRAGMA integrity_check;
          SELECT count(*) = max(nonce) + 1 OR count(*) = 0 FROM outcomes;
          INSERT INTO accounts (name, created) VALUES ('account \(round)', 0);
          SELECT changes();
          """)
        #expect(answer == "ok\n1\n1")
      }
      try await group.waitForAll()
    }
    await writer.drain()
    #expect(
      try await test.outcomes(test.alice).map(\.nonce) == (0..<Int64(tasks * draws)).reversed())
    #expect(try await test.accounts.accounts().count == 7)

    // A quota is lowered by hand.
    try sqlite3(file, "UPDATE accounts SET daily_quota = 1 WHERE name = 'alice'")
    #expect(try test.settle(draw(test.alice)).reply.status == 429)
  }

  @Test func aLockThatIsNeverLetGoIsAFailure() async throws {
    let test = try await storeUnderTest()
    try test.settle(draw(test.alice))
    let process = try SQLiteProcess(file)
    process.send("BEGIN IMMEDIATE; SELECT 'locked';")
    #expect(process.receive() == "locked\n")
    #expect(throws: StoreFailure.self) { try test.settle(draw(test.alice)) }
    #expect(try await test.outcomes(test.alice).count == 1)  // readers do not mind
    process.send("COMMIT;")
    _ = try process.finish()
    #expect(try test.settle(draw(test.alice)).changes.outcomes.map(\.nonce) == [1])
  }

  // MARK: Time

  @Test func aClockThatIsSetBackStandsStill() async throws {
    let test = try await storeUnderTest()
    try test.settle(draw(test.alice))
    let then = test.now
    test.now -= 2 * hour
    #expect(try test.settle(draw(test.alice)).snapshot.now == then)
    test.now += 2 * hour + 1
    #expect(try test.settle(draw(test.alice)).snapshot.now == then + 1)
    let times = try await test.outcomes(test.alice).map(\.created)
    #expect(times == [then + 1, then, then])
  }

  // MARK: Long chains

  @Test func aHundredThousandOutcomesAreReadPageByPage() async throws {
    let test = try await storeUnderTest()
    let count = 100_000
    for group in 0..<100 {
      if group == 30 { try test.settle(rotate(.anonymous)) }
      if group == 60 { try test.settle(move(.anonymous)) }
      try test.settle((0..<1000).map { _ in draw(.anonymous) } + [draw(.anonymous, "other")])
    }
    var nonce = Int64(count)
    var before: (cursor: Int64, nonce: Int64)?
    var hashes: [ServerHash] = []
    var pages = 0
    while true {
      let page = try await test.store.outcomes(of: .anonymous, clientSeed: seed("test"), before: before, limit: 1000)
      guard let last = page.last else { break }
      for outcome in page {
        nonce -= 1
        #expect(outcome.nonce == nonce && outcome.cursor == (nonce >= 60000 ? 1 : 0))
        if hashes.last != outcome.serverHash { hashes.append(outcome.serverHash) }
      }
      before = (last.cursor, last.nonce)
      pages += 1
    }
    #expect(nonce == 0 && pages == 100)
    #expect(hashes.count == 2 && hashes[0] != hashes[1])
  }

  // MARK: The daily log

  private func publish(_ test: StoreUnderTest, through day: Day) throws -> SQLiteStore {
    let store = try #require(test.store as? SQLiteStore)
    let publisher = MerklePublisher(
      store: store, signer: try RootSigner(masterKey: StoreUnderTest.masterKey),
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, clock: { test.now })
    try publisher.publish(through: day)
    return store
  }

  /// A chain carries the hash of its last seed only; an outcome keeps the one it was drawn under.
  @Test func anOutcomeIsLoggedUnderTheSeedItWasDrawnWith() async throws {
    let test = try await storeUnderTest()
    let drawn = try test.settle(draw(test.alice), draw(test.alice, "other")).changes.outcomes
    try sqlite3(
      file,
      """
      INSERT INTO revealed_seeds (chain_id, era, epoch, server_seed, server_hash, cursor, nonce, revealed)
        SELECT id, era, epoch, x'', server_hash, cursor, nonce, 0 FROM chains WHERE client_seed = CAST('test' AS BLOB);
      UPDATE chains SET epoch = 1, server_hash = zeroblob(32) WHERE client_seed = CAST('test' AS BLOB);
      """)
    test.now += day
    let store = try publish(test, through: Day(of: newYear))
    for outcome in drawn {
      let found = try #require(try await store.find(.id(outcome.id)))
      #expect(found.leaf.serverHash == outcome.serverHash && found.place != nil)
    }
  }

  @Test func anOutcomeWhoseHashIsLostKeepsItsDayFromBeingPublished() async throws {
    let test = try await storeUnderTest()
    try test.settle(draw(test.alice), draw(test.alice, "other"))
    test.now += day
    try sqlite3(file, "UPDATE chains SET epoch = 1 WHERE client_seed = CAST('test' AS BLOB)")
    #expect(throws: StoreFailure.self) { try publish(test, through: Day(of: newYear)) }
    try sqlite3(file, "UPDATE chains SET epoch = 0; CREATE TABLE kept AS SELECT * FROM chains; DELETE FROM chains")
    #expect(throws: StoreFailure.self) { try publish(test, through: Day(of: newYear)) }
    try sqlite3(file, "INSERT INTO chains SELECT * FROM kept")
    let store = try publish(test, through: Day(of: newYear))
    #expect(try await store.publishedDay(Day(of: newYear))?.leafCount == 2)
  }

  /// Outcomes need not be numbered without gaps: test outcomes take numbers too, and an operator may skip some.
  @Test func aDayIsFoundAmongIdsWithGaps() async throws {
    let test = try await storeUnderTest()
    for round in 0..<6 {
      try test.settle((0..<3).map { draw(test.alice, "seed \($0)") })
      if round % 2 == 0 {
        try test.settle(draw(test.aliceTest, "gap \(round)"))
        try sqlite3(
          file, "UPDATE test_outcomes SET id = id + 1000000000 WHERE id = (SELECT max(id) FROM test_outcomes)")
      }
      test.now += day / 2
    }
    let store = try publish(test, through: Day(of: test.now).previous)
    #expect(try await store.publishedDays(before: nil, limit: 9).map(\.leafCount) == [6, 6, 3])
  }

  /// As the command line does beside a server: the server's writer heeds what another process has sealed.
  @Test func anotherProcessMaySealADay() async throws {
    let test = try await storeUnderTest()
    try test.settle(draw(test.alice))
    let ahead = try SQLiteStore(path: file, masterKey: StoreUnderTest.masterKey) { newYear + day }
    _ = try ahead.openDay(Day(of: newYear))
    #expect(try test.settle(draw(test.alice)).changes.outcomes[0].created == newYear + day)
  }

  // MARK: Opening

  @Test func whatIsNoDatabaseIsNotOpened() throws {
    let garbage = Data("this is no database, however long one looks at it".utf8)
    try garbage.write(to: URL(fileURLWithPath: file))
    #expect(throws: (any Error).self) { try open() }
    #expect(try Data(contentsOf: URL(fileURLWithPath: file)) == garbage)
    #expect(throws: (any Error).self) {
      try SQLiteStore(
        path: folder.path("not there/fairdraw.db"), masterKey: StoreUnderTest.masterKey)
    }
  }

  @Test func openingTwiceChangesNothing() async throws {
    let test = try await storeUnderTest()
    try test.settle(draw(test.alice))
    let before = try sqlite3(file, ".dump")
    _ = try open()
    #expect(try sqlite3(file, ".dump") == before)
  }
}
