import Fairness
import JSON
import Ledger
import LedgerSimulation
import Testing

/// A reply says what happened, and its bytes say the same.
@Suite struct ReplyContentTests {
  private let live = Caller.live(1, account: 1)

  /// The replies to a group, of an account that may make two draws a day.
  private func replies(_ group: [Submission]) -> [Reply] {
    var ledger = MemoryLedger()
    ledger.addAccount(1, dailyQuota: 2)
    ledger.addKey(1, account: 1)
    var entropy = SplitMix64(state: 1)
    let snapshot = ledger.snapshot(Needs(of: group), now: newYear)
    return decider.decide(group, snapshot: snapshot, entropy: &entropy).replies
  }

  private func submission(_ operation: Ledger.Operation, _ key: String? = nil) -> Submission {
    Submission(caller: live, claim: key.map { live.claim($0) }, operation: operation)
  }

  @Test func anOutcomeHasItsCoordinates() throws {
    let draw = submission(.draw(.ints("test")))
    let answers = replies([draw, submission(.incrementCursor(seed("test"))), draw])
    for (reply, expected) in [(answers[0], (0, 0)), (answers[2], (1, 1))] as [(Reply, (Int64, Int64))] {
      guard case .outcome(let cursor, let nonce) = reply.content else {
        Issue.record("\(reply.content)")
        continue
      }
      #expect((cursor, nonce) == expected)
      let body = try object(reply.body)
      #expect(body["cursor"]?.number == "\(cursor)" && body["nonce"]?.number == "\(nonce)")
    }
    guard case .chain = answers[1].content else { throw Divergence(description: "\(answers[1].content)") }
  }

  @Test func aRefusalIsToldFromOthersByItsKind() {
    let draw = submission(.draw(.ints("test")), "a")
    let other = Submission(
      caller: live, claim: live.claim("a", fingerprint: [9]), operation: .draw(.ints("test", count: 2)))
    let answers = replies([draw, draw, other, submission(.draw(.ints("b"))), submission(.draw(.ints("c")))])
    #expect(answers.map { $0.refusal?.kind } == [nil, nil, .conflict, nil, .quota])
    guard case .outcome = answers[1].content, answers[1].isReplay else {
      Issue.record("a replay from memory still knows what it was")
      return
    }
    let kinds = [Refusal.overloaded("Too much.", retryAfter: 1), .badRequest("no"), .invalidAPIKey].map(\.kind)
    #expect(kinds == [.overload, .other, .other])
  }

  @Test func aRotationIsReadBackFromTheBytesThatAreKept() throws {
    let answers = replies([submission(.draw(.ints("test"))), submission(.rotate(seed("test"))), submission(.commit)])
    let rotation = try #require(answers[1].rotation)
    #expect(rotation.serverSeed.hash == rotation.serverHash && rotation.serverHash != rotation.nextHash)
    let recalled = try #require(Reply(status: 200, body: answers[1].body).rotation)
    #expect(recalled.serverSeed == rotation.serverSeed && recalled.serverHash == rotation.serverHash)
    #expect(recalled.nextHash == rotation.nextHash)
    for reply in [answers[0], answers[2], Reply(status: 200, body: answers[0].body), Reply(.invalidAPIKey)] {
      #expect(reply.rotation == nil)
    }
  }
}
