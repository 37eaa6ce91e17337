import Fairness
import Ledger
import LedgerSimulation
import Testing

/// Batches that draw all of their entries or none.
struct AtomicBatchTests {
  private let live = Caller.live(1, account: 1)
  private var server = Server()

  private func batch(_ caller: Caller, _ entries: [BatchEntry], claim: String? = nil) -> Submission {
    Submission(caller: caller, claim: claim.map { caller.claim($0) }, operation: .batch(entries, isAtomic: true))
  }

  private func draw(_ caller: Caller) -> Submission { Submission(caller: caller, operation: .draw(.ints("test"))) }

  private func results(_ reply: Reply) throws -> [String] {
    let results = try #require(object(reply.body)["results"]?.elements())
    return try results.map { result in
      let members = try object(Array(result.raw))
      return ["ok", "id", "code", "parameter"].compactMap { members[$0].map { text($0.raw) } }.joined(separator: " ")
    }
  }

  private static let bad = Refusal.invalid("items", "required")

  @Test mutating func allAreDrawnAsWithoutIt() throws {
    let entries: [BatchEntry] = [.draw(.ints("a"), id: bytes("é\"")), .draw(.ints("b")), .draw(.ints("a"), id: [])]
    var other = Server()
    let (replies, changes) = server.decide(batch(live, entries))
    let (others, otherChanges) = other.decide(Submission(caller: live, operation: .batch(entries)))
    #expect(replies == others)
    #expect(changes.outcomes == otherChanges.outcomes && changes.log.entries == otherChanges.log.entries)
    #expect(try results(replies[0]) == [#"true "é\"""#, "true", #"true """#])
  }

  @Test(arguments: [Caller.live(1, account: 1), .test(3, account: 1), .anonymous])
  mutating func oneThatFailsStopsAll(_ caller: Caller) throws {
    // The chain of what stands before it in its group goes on as if it had not been there.
    let (replies, changes) = server.decide(
      draw(caller),
      batch(caller, [.draw(.ints("test"), id: bytes("1")), .refused(Self.bad, id: bytes("2")), .draw(.ints("new"))]),
      draw(caller))
    #expect(
      try results(replies[1]) == [
        #"false "1" "aborted""#, #"false "2" "invalid_parameter" "items""#, #"false "aborted""#,
      ])
    #expect(replies[1].status == 200 && !replies[1].wroteWithoutCost)
    #expect(changes.outcomes.map(\.nonce) == (caller.mode == .live ? [0, 1] : []))
    #expect(changes.outcomes.map(\.id) == (caller.mode == .live ? [1, 2] : []))
    #expect(changes.testOutcomes.count == (caller.mode == .live ? 0 : 1))
    #expect(changes.newChains.count == (caller.mode == .live ? 1 : 0))
    #expect(changes.usage.values.reduce(0, +) == (caller.mode == .live ? 2 : 0))
    #expect(changes.log.entries.count == (caller.mode == .live ? 2 : 0))
  }

  @Test mutating func theQuotaStopsAllToo() throws {
    server.ledger.addAccount(1, dailyQuota: 3)
    _ = server.answer(draw(live))
    let three = batch(live, (0..<3).map { _ in .draw(.ints("test")) }, claim: "a")
    let (replies, changes) = server.decide(three)
    #expect(try results(replies[0]) == [#"false "aborted""#, #"false "aborted""#, #"false "quota_exceeded""#])
    #expect(
      changes.outcomes.isEmpty && changes.movedChains.isEmpty && changes.usage.isEmpty && changes.deliveries.isEmpty)
    // The answer is kept, and two still fit.
    #expect(changes.records.count == 1 && replies[0].wroteWithoutCost)
    #expect(server.answer(three).body == replies[0].body)
    #expect(try results(server.answer(batch(live, [.draw(.ints("test")), .draw(.ints("test"))]))) == ["true", "true"])
  }

  /// A fault may pass, so it is not kept: the same batch may run later.
  @Test mutating func aFaultIsTheAnswer() throws {
    let group = [batch(live, [.draw(.ints("well")), .draw(.ints("ill"))], claim: "a")]
    var snapshot = server.ledger.snapshot(Needs(of: group), now: server.now)
    snapshot.failures[.chain(ChainKey(owner: live.chainOwner, clientSeed: seed("ill")))] = .damaged("chain 17")
    let decision = decider.decide(group, snapshot: snapshot, entropy: &server.entropy)
    #expect(decision.replies[0].status == 500 && decision.replies[0].fault != nil && decision.changes.isEmpty)
    #expect(try results(server.answer(group[0])) == ["true", "true"])
  }
}
