import Foundation
import JSON
import Ledger
import LedgerSimulation
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(1))) struct LedgerWriterTests {
  private let caller = Caller.live(1, account: 1)

  private func store(concurrentGroups: Int = 1) -> FaultyStore {
    var ledger = MemoryLedger()
    ledger.addAccount(1, dailyQuota: 1_000_000)
    ledger.addKey(1, account: 1)
    return FaultyStore(ledger: ledger, concurrentGroups: concurrentGroups)
  }

  private func draw(_ clientSeed: String = "test", claim: String? = nil, fingerprint: [UInt8] = [1]) -> Submission {
    Submission(
      caller: caller, claim: claim.map { caller.claim($0, fingerprint: fingerprint) },
      operation: .draw(.ints(clientSeed)))
  }

  private func batch(_ count: Int) -> Submission {
    Submission(caller: caller, operation: .batch((0..<count).map { .draw(.ints("batch-\($0 % 3)")) }))
  }

  private func result(_ body: () async throws(LedgerUnavailable) -> Reply) async -> Result<Reply, LedgerUnavailable> {
    do { return .success(try await body()) } catch { return .failure(error) }
  }

  // MARK: Everything at once

  /// Clients that retry until they are answered, some of them in pairs under one key, on a store that is seldom well.
  @Test(arguments: [1, 3]) func everyKeyIsDrawnForOnceHoweverTheStoreFails(concurrentGroups: Int) async throws {
    let seed = announcedSeed()
    let store = store(concurrentGroups: concurrentGroups)
    store.content.withLock { $0.random = SplitMix64(state: seed) }
    store.setMood { random in
      switch random.int(1...100) {
      case ...10: .failing
      case ...20: .failingAfterCommit
      case ...50: .slow
      default: .well
      }
    }
    var limits = LedgerWriter.Limits.unhurried
    limits.queuedDraws = 60
    limits.groupDraws = 20
    let writer = LedgerWriter(store: store, decider: decider, limits: limits)

    let clients = 48
    let requests = 60
    let answers = await withTaskGroup(of: [String: [UInt8]].self) { group in
      for client in 0..<clients {
        group.addTask {
          var answers: [String: [UInt8]] = [:]
          for request in 0..<requests {
            // Each key has two clients.
            let claim = "\(client / 2)-\(request)"
            let submission = draw("chain-\(client / 2 % 5)", claim: claim)
            while answers[claim] == nil {
              guard let reply = try? await writer.submit(submission) else {
                await Task.yield()
                continue
              }
              // Nobody is answered before what he is told is durable.
              let durable = store.content.withLock { $0.ledger.records[submission.claim!.scope] }
              #expect(reply.status == 200 && reply.body == durable?.reply.body)
              answers[claim] = reply.body
            }
          }
          return answers
        }
      }
      return await group.reduce(into: [String: Set<[UInt8]>]()) { all, answers in
        for (claim, body) in answers { all[claim, default: []].insert(body) }
      }
    }
    await writer.drain()

    let content = store.content.withLock { $0 }
    #expect(content.ledger.audit() == [])
    let keys = clients / 2 * requests
    #expect(content.ledger.outcomes.count == keys)
    #expect(answers.count == keys && answers.values.allSatisfy { $0.count == 1 })
    #expect(content.groups.allSatisfy { $0.draws <= limits.groupDraws })
    let report = writer.report
    #expect(report.groups + report.failedGroups == content.begun && report.failedGroups > 0)
    #expect(writer.queued.draws == 0)
  }

  // MARK: Groups

  @Test func groupsKeepToTheirWeight() async throws {
    let store = store()
    store.setMood { _ in .hanging }
    var limits = LedgerWriter.Limits.unhurried
    limits.groupDraws = 10
    let writer = LedgerWriter(store: store, decider: decider, limits: limits)
    // One in hand; behind it gather 4 + 6, 1 + 9, and 50, which is more than its share and goes alone, then 7, 7.
    let weights = [1, 4, 6, 1, 9, 50, 7, 7]
    let replies = try await withThrowingTaskGroup(of: Reply.self) { group in
      var waiting = 0
      for (index, weight) in weights.enumerated() {
        group.addTask { try await writer.submit(batch(weight)) }
        if index == 0 {
          await until { store.begun == 1 }
        } else {
          waiting += weight
          await until { writer.queued.draws == waiting }
        }
      }
      for _ in weights { store.release() }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(replies.count == weights.count)
    #expect(store.content.withLock { $0.groups.map(\.draws) } == [1, 10, 10, 50, 7, 7])
    #expect(store.content.withLock { $0.groups.map(\.submissions) } == [1, 2, 2, 1, 1, 1])
    #expect(writer.report.submissions == weights.count)
    await writer.drain()
    #expect(store.ledger.audit() == [])
  }

  @Test func whoComesToAFullQueueIsTurnedAway() async throws {
    let store = store()
    store.setMood { _ in .hanging }
    var limits = LedgerWriter.Limits.unhurried
    limits.queuedDraws = 20  // of which an account may hold half
    let writer = LedgerWriter(store: store, decider: decider, limits: limits)
    try await withThrowingTaskGroup(of: Reply.self) { group in
      group.addTask { try await writer.submit(draw()) }
      await until { store.begun == 1 }
      for count in 1...10 {
        group.addTask { try await writer.submit(draw(claim: "accepted-\(count)")) }
        await until { writer.queued.draws == count }
      }
      let late = await result { () throws(LedgerUnavailable) in try await writer.submit(draw(claim: "late")) }
      guard case .failure(.overloaded) = late else {
        Issue.record("an eleventh draw was let in: \(late)")
        return
      }
      #expect(writer.queued.draws == 10)
      store.setMood { _ in .well }
      store.release()
      let accepted = try await group.reduce(into: [Reply]()) { $0.append($1) }
      #expect(accepted.count == 11 && accepted.allSatisfy { $0.status == 200 })
    }
    #expect(store.ledger.outcomes.count == 11)
    // There is room again, for the one who was turned away too.
    #expect(try await writer.submit(draw(claim: "late")).status == 200)
    await writer.drain()
    #expect(store.ledger.audit() == [])
  }

  @Test func aFloodOfBytesIsTurnedAwayAndHoldsUpNobodyElse() async throws {
    let store = store()
    store.content.withLock { content in
      content.ledger.addAccount(2, dailyQuota: 1000)
      content.ledger.addKey(2, account: 2)
    }
    store.setMood { _ in .hanging }
    var limits = LedgerWriter.Limits.unhurried
    limits.queuedBytes = 20 << 20
    let writer = LedgerWriter(store: store, decider: decider, limits: limits)
    let items = ItemList([String](repeating: "", count: 1000)) {
      $1 += Array(repeating: UInt8(ascii: "7"), count: 1000)
    }
    let large = Submission(
      caller: caller,
      operation: .draw(DrawRequest(clientSeed: seed("large"), generator: .shuffle(items: 1000), items: items)))
    #expect((2_000_000...4_000_000).contains(large.bytes))
    try await withThrowingTaskGroup(of: Reply.self) { group in
      func come(_ submission: Submission) async {
        let waiting = writer.queued.draws
        group.addTask { try await writer.submit(submission) }
        await until { writer.queued.draws > waiting }
      }
      group.addTask { try await writer.submit(large) }
      await until { store.begun == 1 }
      // Half of the bytes are three of them.
      for _ in 0..<3 { await come(large) }
      let refused = await result { () throws(LedgerUnavailable) in try await writer.submit(large) }
      guard case .failure(.overloaded) = refused else {
        Issue.record("one account took more than its half: \(refused)")
        return
      }
      await come(Submission(caller: .live(2, account: 2), operation: .draw(.ints("small"))))
      store.release()
      await until { store.begun == 2 }
      #expect(writer.queued.draws == 1, "two large ones and the small one fit into a group")
      store.setMood { _ in .well }
      store.release()
      let replies = try await group.reduce(into: [Reply]()) { $0.append($1) }
      #expect(replies.count == 5 && replies.allSatisfy { $0.status == 200 })
    }
    #expect(writer.queued == (0, 0))
    await writer.drain()
    #expect(store.ledger.audit() == [])
  }

  @Test func aGroupThatIsNotStoredIsNotAnswered() async throws {
    let store = store()
    let writer = LedgerWriter(store: store, decider: decider, limits: .unhurried)
    store.setMood { _ in .failing }
    let failed = await result { () throws(LedgerUnavailable) in try await writer.submit(draw(claim: "a")) }
    guard case .failure(.storeFailed(let failure)) = failed else {
      Issue.record("answered without being stored: \(failed)")
      return
    }
    #expect(failure.description == "the disk is full")
    #expect(store.ledger.outcomes.isEmpty)
    #expect(writer.report.failedGroups == 1 && writer.report.faults == [.passing: 1])
    await until { writer.report.store.isFailing }

    // Stored, but nobody knows: the retry finds it.
    store.setMood { _ in .failingAfterCommit }
    await #expect(throws: LedgerUnavailable.self) { try await writer.submit(draw(claim: "a")) }
    #expect(store.ledger.outcomes.count == 1)
    store.setMood { _ in .well }
    let reply = try await writer.submit(draw(claim: "a"))
    #expect(reply.status == 200 && reply.isReplay)
    #expect(store.ledger.outcomes.count == 1)
    await writer.drain()
  }

  /// A group that had nothing to store proves nothing; what does is one that had, or a write of the writer's own.
  @Test func soundnessIsProvedByWriting() async throws {
    let store = store()
    let writer = LedgerWriter(store: store, decider: decider, limits: .unhurried)
    _ = try await writer.submit(draw(claim: "a"))
    store.setMood { _ in .failing }
    await #expect(throws: LedgerUnavailable.self) { try await writer.submit(draw(claim: "b")) }
    await until { writer.report.store.isFailing }
    #expect(writer.report.store.failedProbes > 0)
    store.setMood { _ in .well }
    await until { !writer.report.store.isFailing }
    await writer.drain()
  }

  // MARK: The end

  private final class Flag: Sendable {
    private let state = Mutex(false)
    var isUp: Bool { state.withLock { $0 } }
    func raise() { state.withLock { $0 = true } }
  }

  @Test func drainingFinishesWhatWasAccepted() async throws {
    let store = store()
    store.setMood { _ in .hanging }
    var limits = LedgerWriter.Limits.unhurried
    limits.groupDraws = 3
    let writer = LedgerWriter(store: store, decider: decider, limits: limits)
    let isClosed = Flag()
    await withTaskGroup(of: Result<Reply, LedgerUnavailable>.self) { group in
      func come() {
        group.addTask {
          let result = await result { () throws(LedgerUnavailable) in try await writer.submit(draw()) }
          if case .failure(.shuttingDown) = result { isClosed.raise() }
          return result
        }
      }
      come()
      await until { store.begun == 1 }
      for waiting in 1...20 {
        come()
        await until { writer.queued.draws == waiting }
      }
      async let drained: Void = writer.drain()
      // More come until one is turned away; who is let in before counts among the accepted.
      while !isClosed.isUp {
        let waiting = writer.queued.draws
        come()
        await until { writer.queued.draws > waiting || isClosed.isUp }
      }
      let accepted = 1 + writer.queued.draws
      store.setMood { _ in .slow }
      store.release()
      await drained
      #expect(store.ledger.outcomes.count == accepted)
      var answered = 0
      for await result in group {
        if case .success(let reply) = result, reply.status == 200 { answered += 1 }
      }
      #expect(answered == accepted)
    }
    let outcomes = store.ledger.outcomes.count
    let late = await result { () throws(LedgerUnavailable) in try await writer.submit(draw()) }
    guard case .failure(.shuttingDown) = late else {
      Issue.record("accepted after the end: \(late)")
      return
    }
    #expect(store.ledger.outcomes.count == outcomes)
    await writer.drain()  // a second time does no harm
  }

  @Test(arguments: [1, 4]) func drainingWithNothingToDoReturns(concurrentGroups: Int) async {
    await LedgerWriter(store: store(concurrentGroups: concurrentGroups), decider: decider, limits: .unhurried).drain()
  }

  // MARK: Patience

  @Test func whoWaitsTooLongIsTold() async throws {
    let store = store()
    store.setMood { _ in .hanging }
    var limits = LedgerWriter.Limits.unhurried
    limits.timeout = .seconds(1)  // in which a thread has taken the first up
    let writer = LedgerWriter(store: store, decider: decider, limits: limits)

    async let inHand = result { () throws(LedgerUnavailable) in try await writer.submit(draw(claim: "in hand")) }
    await until { store.begun == 1 }
    async let waiting = result { () throws(LedgerUnavailable) in try await writer.submit(draw(claim: "waiting")) }

    // The one may yet take effect, the other never got as far.
    guard case .failure(.timedOut) = await inHand else {
      Issue.record("\(await inHand)")
      return
    }
    guard case .failure(.overloaded) = await waiting else {
      Issue.record("\(await waiting)")
      return
    }
    #expect(writer.queued.draws == 0)
    #expect(store.ledger.outcomes.isEmpty)

    store.setMood { _ in .well }
    store.release()
    await until { store.committed == 1 }
    let retried = try await writer.submit(draw(claim: "in hand"))
    #expect(retried.status == 200 && retried.isReplay)
    #expect(try await writer.submit(draw(claim: "waiting")).isReplay == false)
    #expect(store.ledger.outcomes.count == 2)
    await writer.drain()
  }

  // MARK: Replays

  @Test func replaysDoNotAskTheStore() async throws {
    let store = store()
    let writer = LedgerWriter(store: store, decider: decider, limits: .unhurried)
    #expect(writer.recall(caller.claim("a")) == nil)
    let first = try await writer.submit(draw(claim: "a"))
    #expect(!first.isReplay)
    let begun = store.begun
    for _ in 0..<10 {
      let again = writer.recall(caller.claim("a"))
      #expect(again == Reply(status: 200, body: first.body, shortID: first.shortID, isReplay: true))
    }
    let conflict = writer.recall(caller.claim("a", fingerprint: [2]))
    #expect(conflict == Reply(.idempotencyConflict))
    #expect(writer.recall(caller.claim("A")) == nil)
    #expect(store.begun == begun)
    // Who asks the writer all the same is told the same.
    #expect(try await writer.submit(draw(claim: "a")) == writer.recall(caller.claim("a")))
    #expect(store.ledger.outcomes.count == 1)
    await writer.drain()
  }

  @Test func whatFailedToBeStoredIsNotRecalled() async throws {
    let store = store()
    let writer = LedgerWriter(store: store, decider: decider, limits: .unhurried)
    store.setMood { _ in .failing }
    await #expect(throws: LedgerUnavailable.self) { try await writer.submit(draw(claim: "a")) }
    store.setMood { _ in .failingAfterCommit }
    await #expect(throws: LedgerUnavailable.self) { try await writer.submit(draw(claim: "b")) }
    #expect(writer.recall(caller.claim("a")) == nil && writer.recall(caller.claim("b")) == nil)
    await writer.drain()
  }

  @Test func expiredAnswersAreNotRecalled() async throws {
    let store = store()
    // Answered a week ago, by the clock of the wall.
    store.content.withLock { $0.now = Milliseconds(Date().timeIntervalSince1970 * 1000) - 7 * day }
    let writer = LedgerWriter(store: store, decider: decider, limits: .unhurried)
    let first = try await writer.submit(draw(claim: "a"))
    #expect(writer.recall(caller.claim("a")) == nil)
    store.content.withLock { $0.now = nil }
    let second = try await writer.submit(draw(claim: "a"))
    #expect(!second.isReplay && second.body != first.body)
    #expect(writer.recall(caller.claim("a"))?.body == second.body)
    #expect(store.ledger.outcomes.count == 2)
    await writer.drain()
  }

  @Test func whatIsRememberedIsBounded() async throws {
    let store = store()
    var limits = LedgerWriter.Limits.unhurried
    limits.replayCacheBytes = 100_000
    let writer = LedgerWriter(store: store, decider: decider, limits: limits)
    for number in 0..<1000 { _ = try await writer.submit(draw(claim: "\(number)")) }
    let remembered = (0..<1000).compactMap { writer.recall(caller.claim("\($0)")) }
    #expect((50..<400).contains(remembered.count))
    #expect(writer.recall(caller.claim("999")) != nil)
    await writer.drain()
  }

  @Test func whatWasForgottenIsRememberedWhenItIsAskedForAgain() async throws {
    let store = store()
    let before = LedgerWriter(store: store, decider: decider, limits: .unhurried)
    let first = try await before.submit(draw(claim: "a"))
    await before.drain()
    let writer = LedgerWriter(store: store, decider: decider, limits: .unhurried)
    #expect(writer.recall(caller.claim("a")) == nil)
    // Another request under its key does not show what was answered.
    let other = Submission(caller: caller, claim: caller.claim("a", fingerprint: [2]), operation: .commit)
    #expect(try await writer.submit(other) == Reply(.idempotencyConflict))
    #expect(writer.recall(caller.claim("a")) == nil)
    let again = try await writer.submit(draw(claim: "a"))
    #expect(again.isReplay && again.body == first.body)
    #expect(writer.recall(caller.claim("a")) == again)
    await writer.drain()
  }

  // MARK: Lanes

  /// Runs what it is given at once, and counts.
  private final class CountingQueue: ReplyQueue {
    let runs = Mutex(0)

    func run(_ body: @escaping @Sendable () -> Void) {
      runs.withLock { $0 += 1 }
      body()
    }
  }

  @Test func aGroupWakesEachLaneOnce() async throws {
    let store = store()
    store.setMood { _ in .hanging }
    let writer = LedgerWriter(store: store, decider: decider, limits: .unhurried)
    let replyQueues = [CountingQueue(), CountingQueue()]
    try await withThrowingTaskGroup(of: Reply.self) { group in
      group.addTask { try await writer.submit(draw()) }
      await until { store.begun == 1 }
      for index in 0..<10 { group.addTask { try await writer.submit(draw(), replyQueue: replyQueues[index % 2]) } }
      await until { writer.queued.draws == 10 }
      store.setMood { _ in .well }
      store.release()
      let replies = try await group.reduce(into: [Reply]()) { $0.append($1) }
      #expect(replies.count == 11)
    }
    #expect(replyQueues.map { $0.runs.withLock { $0 } } == [1, 1])
    await writer.drain()
  }
}
