import Fairness
import JSON
import Ledger
import LedgerSimulation
import Testing

/// What cannot be loaded fails those who need it, and nobody else.
@Suite struct DamageTests {
  private let live = Caller.live(1, account: 1)
  private let bob = Caller.live(2, account: 2)
  private let test = Caller.test(3, account: 1)

  private func submission(_ caller: Caller, _ operation: Operation, _ claim: String? = nil) -> Submission {
    Submission(caller: caller, claim: claim.map { caller.claim($0) }, operation: operation)
  }

  /// Decides a group of which `need` could not be loaded.
  private func decide(
    without need: Need, because failure: StoreFailure = .damaged("chain 17"), _ group: [Submission]
  ) throws -> (statuses: [Int], changes: Changes, replies: [Reply]) {
    var ledger = MemoryLedger()
    ledger.addAccount(1, dailyQuota: 100)
    ledger.addAccount(2, dailyQuota: 100)
    ledger.addKey(1, account: 1)
    ledger.addKey(2, account: 2)
    ledger.addKey(3, account: 1)
    var needs = Needs(of: group)
    needs.leaveOut(need)
    var snapshot = ledger.snapshot(needs, now: newYear)
    snapshot.failures[need] = failure
    var entropy = SplitMix64(state: 1)
    let decision = decider.decide(group, snapshot: snapshot, entropy: &entropy)
    #expect(decision.replies.allSatisfy { ($0.fault == nil) == ($0.status < 500) || $0.status == 200 })
    return (decision.replies.map(\.status), decision.changes, decision.replies)
  }

  private func code(_ reply: Reply) throws -> String { try object(reply.body)["code"]?.string.map { text($0) } ?? "-" }

  @Test func aChainFailsWhoeverNeedsIt() throws {
    let chain = ChainKey(owner: live.chainOwner, clientSeed: seed("test"))
    let (statuses, changes, replies) = try decide(
      without: .chain(chain),
      [
        submission(live, .draw(.ints("test")), "a"), submission(live, .seed(seed("test"))),
        submission(live, .incrementCursor(seed("test"))), submission(live, .rotate(seed("test"))),
        submission(live, .draw(.ints("other")), "b"), submission(bob, .draw(.ints("test"))),
        submission(.anonymous, .draw(.ints("test"))), submission(test, .draw(.ints("test"))),
        submission(live, .batch([.draw(.ints("other")), .draw(.ints("test")), .draw(.ints("other"))])),
      ])
    #expect(statuses == [500, 500, 500, 500, 200, 200, 200, 200, 200])
    #expect(try code(replies[0]) == "damaged")
    #expect(!text(replies[0].body).contains("17") && !text(replies[0].body).contains("retry"))
    #expect(changes.outcomes.map(\.nonce) == [0, 0, 0, 1, 2])
    // A retry after the repair may run; the others' answers are kept.
    #expect(changes.records.map { text($0.scope.key) } == ["b"])
    let results = try #require(try object(replies[8].body)["results"]?.elements())
    let codes = try results.map { try object(Array($0.raw))["code"]?.string.map { text($0) } }
    #expect(codes == [nil, "damaged", nil])
    #expect(replies[8].fault?.description == "chain 17")
  }

  @Test func anAccountFailsAllOfIts() throws {
    let (statuses, changes, replies) = try decide(
      without: .account(AccountID(1)), because: StoreFailure("account 1 is locked"),
      [
        submission(live, .draw(.ints("test"))), submission(test, .draw(.ints("test"))), submission(live, .commit),
        submission(bob, .draw(.ints("test"))), submission(.anonymous, .draw(.ints("test"))),
      ])
    #expect(statuses == [503, 503, 503, 200, 200])
    #expect(replies[0].retryAfter == 1 && changes.outcomes.count == 2)
    #expect(try code(replies[0]) == "unavailable")
  }

  @Test func aRecordACommitmentAndATestDrawFailTheirOwn() throws {
    let record = try decide(
      without: .record(live.claim("a").scope),
      [submission(live, .draw(.ints("test")), "a"), submission(live, .draw(.ints("test")), "b")])
    #expect(record.statuses == [500, 200] && record.changes.records.count == 1)
    var entropy = SplitMix64(state: 2)
    let id = CommitID(bytes: entropy.bytes(16))
    let commitment = try decide(
      without: .commitment(id), [submission(live, .reveal(id, .ints("test"))), submission(live, .draw(.ints("test")))])
    #expect(commitment.statuses == [500, 200])
    let draws = Needs(of: [submission(test, .draw(.ints("test")))]).testDraws
    let testDraw = try decide(
      without: .testDraw(#require(draws.first)),
      [submission(test, .draw(.ints("test"))), submission(test, .draw(.ints("other")))])
    #expect(testDraw.statuses == [500, 200] && testDraw.changes.testOutcomes.count == 1)
  }

  @Test func aPermanentFailureIsNotCalledPassing() {
    let refusals = StoreFailure.Kind.allCases.map { Refusal(StoreFailure("secret reason", kind: $0)) }
    #expect(refusals.map(\.status) == [503, 503, 503, 503, 500])
    #expect(refusals.map(\.code) == [.unavailable, .storageFailed, .logRolledBack, .entropyFailed, .damaged])
    #expect(refusals.map { $0.error.contains("retry") } == [true, false, false, false, false])
    #expect(refusals.map(\.retryAfter) == [1, nil, nil, nil, nil])
    #expect(refusals.allSatisfy { !text($0.body()).contains("secret reason") })
  }

  // MARK: The evidence

  @Test func aChainIsHeldAgainstItsNewestOutcomeAndItsRevealedSeeds() throws {
    var trail = OutcomeTrail()
    for id in 10..<15 as Range<Int64> { trail.append(id) }
    #expect(trail.count == 5 && OutcomeTrail(trail.bytes)?.count == 5)
    func check(
      era: Int64 = 0, epoch: Int64 = 1, cursor: Int64 = 2, nonce: Int64 = 5, trail: OutcomeTrail = trail,
      newest: ChainRow.Newest? = .init(chain: 7, epoch: 1, cursor: 2, nonce: 4, created: newYear),
      revealed: ChainRow.Revealed? = .init(epoch: 0, cursor: 1, nonce: 3)
    ) throws(StoreFailure) {
      try ChainRow(
        id: 7, era: era, epoch: epoch, serverHash: [], cursor: cursor, nonce: nonce, created: newYear,
        trail: trail.bytes
      ).check(newest: newest, revealed: revealed)
    }
    try check()
    try check(cursor: 3)
    // An operator may skip nonces.
    try check(nonce: 50)
    try check(trail: OutcomeTrail(), newest: nil)
    try check(epoch: 0, cursor: 0, nonce: 0, trail: OutcomeTrail(), newest: nil, revealed: nil)
    let damages: [() throws -> Void] = [
      { try check(nonce: 4) }, { try check(nonce: 0) }, { try check(cursor: 1) }, { try check(epoch: 0) },
      { try check(newest: nil) },
      { try check(newest: .init(chain: 8, epoch: 1, cursor: 2, nonce: 4, created: newYear)) },
      { try check(newest: .init(chain: 7, epoch: 2, cursor: 2, nonce: 4, created: newYear)) },
      { try check(newest: .init(chain: 7, epoch: 1, cursor: 2, nonce: 5, created: newYear)) },
      { try check(newest: .init(chain: 7, epoch: 1, cursor: 2, nonce: 4, created: .max)) },
      { try check(revealed: .init(epoch: 1, cursor: 2, nonce: 5)) },
      { try check(revealed: .init(epoch: 0, cursor: 3, nonce: 3)) },
      { try check(revealed: .init(epoch: 0, cursor: 1, nonce: 6)) },
      { try check(nonce: .max) }, { try check(cursor: .max) }, { try check(epoch: .max) }, { try check(nonce: -1) },
      { try check(cursor: .min) }, { try check(epoch: .min) }, { try check(era: -1) }, { try check(era: .max) },
    ]
    for (index, damage) in damages.enumerated() {
      let failure = #expect(throws: StoreFailure.self, "\(index)") { try damage() }
      #expect(failure?.kind == .damaged && failure?.description.contains("chain 7") == true, "\(index)")
    }
  }

  @Test func noBytesMakeATrailThatOverflows() {
    var random = SplitMix64(state: announcedSeed())
    for _ in 0..<20_000 {
      let bytes = random.bytes(random.int(0...40)).map { random.chance(50) ? $0 | 0x80 : $0 & 0x7F }
      guard var trail = OutcomeTrail(bytes) else { continue }
      for id in 1...3 as ClosedRange<Int64> { trail.append(id) }
      #expect(OutcomeTrail(trail.bytes) == trail)
    }
  }

  /// Of trees' sizes, each with a root of its own.
  @Test(
    arguments: [
      ([1], true), ([1, 1], true), ([1, 3], true), ([3, 3, 7], true), ([], true), ([0], false), ([2], false),
      ([1, 1, 1], false), ([3, 1], false), ([1, 3, 3], false), ([7, 15, 7], false),
    ] as [([UInt8], Bool)])
  func aTrailIsWhatAppendingMakes(sizes: [UInt8], isTrail: Bool) {
    let bytes = sizes.enumerated().flatMap { (place, size) -> [UInt8] in [size, place == 0 ? 100 : 1] }
    #expect((OutcomeTrail(bytes) != nil) == isTrail)
  }

  // MARK: Times

  @Test(arguments: [Int64.min, -1, 0, 1, newYear, 253_402_300_799_999, 253_402_300_800_000, .max])
  func everyMomentAndDayCanBeWritten(_ number: Int64) {
    #expect(number.isPlausible == (0...253_402_300_799_999).contains(number))
    var written: [UInt8] = []
    written.append(iso8601: number)
    #expect(text(written).hasSuffix("Z"))
    for day in [Day(of: number), Day(number: number)] {
      #expect(day.start < day.end && day.previous < day.next && !day.description.isEmpty)
    }
    #expect((1...86_400).contains(Day.secondsLeft(at: number)))
  }

  // MARK: Groups

  private func store() -> FaultyStore {
    var ledger = MemoryLedger()
    for number in 1...2 as ClosedRange<Int64> {
      ledger.addAccount(number, dailyQuota: 1000)
      ledger.addKey(number, account: number)
    }
    return FaultyStore(ledger: ledger)
  }

  /// Four draws in one group whose first try fails.
  private func answers(_ store: FaultyStore, _ failure: StoreFailure) async -> [Int] {
    let writer = LedgerWriter(store: store, decider: decider, limits: .unhurried)
    store.setMood { _ in .hanging }
    async let first = writer.submit(submission(live, .draw(.ints("test"))))
    await until { store.begun > 0 }
    store.refuse { needs in needs.chains.contains { $0.clientSeed == seed("bad") } ? failure : nil }
    let names = ["a", "bad", "b", "bad"]
    let statuses = await withTaskGroup(of: (Int, Int).self) { group in
      for (index, name) in names.enumerated() {
        group.addTask {
          let status = try? await writer.submit(submission(index == 2 ? bob : live, .draw(.ints(name)))).status
          return (index, status ?? 0)
        }
        await until { writer.queued.draws == index + 1 }
      }
      store.setMood { _ in .well }
      store.release()
      return await group.reduce(into: [0, 0, 0, 0]) { $0[$1.0] = $1.1 }
    }
    _ = try? await first
    await writer.drain()
    return statuses
  }

  @Test func aGroupThatFailsIsTriedOnceMoreOneByOne() async {
    let store = store()
    #expect(await answers(store, .damaged("chain 1")) == [200, 0, 200, 0])
    #expect(store.begun == 1 + 1 + 4 && store.ledger.outcomes.count == 3)
    #expect(store.ledger.audit() == [])
  }

  /// Whoever needs what has been waited for in vain is not waited for again. (It may be the account or the chain.)
  @Test func nobodyWaitsTwiceForTheSame() async {
    let store = store()
    #expect(await answers(store, StoreFailure("a lock")) == [200, 0, 200, 0])
    #expect(store.begun == 1 + 1 + 3)
  }

  @Test(arguments: [
    StoreFailure("the disk is full", kind: .permanent), StoreFailure("locked", isOfWholeStore: true),
    StoreFailure("the connection broke", mayBeStored: true),
  ]) func whatIsTheStoresOrUnknownIsNotTriedAgain(_ failure: StoreFailure) async {
    let store = store()
    #expect(await answers(store, failure) == [0, 0, 0, 0])
    #expect(store.begun == 2)
  }

  @Test func recordedTimeAheadOfTheClockIsSeen() async throws {
    let store = store()
    let said = Said()
    store.content.withLock { $0.now = LedgerWriter.wallClock() + 3_600_000 }
    let writer = LedgerWriter(store: store, decider: decider, limits: .unhurried, onTrouble: { said.add($0) })
    _ = try await writer.submit(submission(live, .draw(.ints("test"))))
    #expect((3_500_000...3_600_000).contains(writer.report.store.timeAhead))
    await until { !said.all.isEmpty }
    #expect(said.all[0].contains("ahead of this machine's clock"))
    await writer.drain()
  }

  @Test func aSweepThatFailsIsSaidAndCounted() async {
    let store = store()
    let said = Said()
    store.setMood { _ in .failing }
    let writer = LedgerWriter(store: store, decider: decider, limits: .unhurried, onTrouble: { said.add($0) })
    await until { !said.all.isEmpty }
    #expect(writer.report.store.failedSweeps > 0)
    #expect(said.all == ["expired records could not be swept: passing failure: the disk is full"])
    await writer.drain()
  }

  /// One group that failed is no sign that the store does; a probe is. What begins and what is over is said once.
  @Test func healthFollowsTheStore() async throws {
    let store = store()
    let said = Said()
    let writer = LedgerWriter(store: store, decider: decider, limits: .unhurried, onTrouble: { said.add($0) })
    store.refuse { _ in .damaged("chain 1") }
    await #expect(throws: LedgerUnavailable.self) { try await writer.submit(submission(live, .draw(.ints("test")))) }
    #expect(!writer.report.store.isFailing && writer.report.faults == [.damaged: 1])
    store.refuse { _ in nil }
    store.setMood { _ in .failing }
    await #expect(throws: LedgerUnavailable.self) { try await writer.submit(submission(live, .draw(.ints("test")))) }
    await until { writer.report.store.isFailing }
    store.setMood { _ in .well }
    await until { !writer.report.store.isFailing }
    // The first sweep may have come in between.
    func ofStore() -> [String] { said.all.filter { !$0.contains("swept") } }
    await until { ofStore().count >= 2 }
    await writer.drain()
    #expect(ofStore() == ["nothing can be stored: passing failure: the disk is full"].flatMap { [$0, "over: \($0)"] })
  }
}
