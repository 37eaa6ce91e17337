import Ledger
import Testing

extension StoreConformance {
  static let quotaChecks = [
    StoreCheck("usage is of a UTC day") { test in
      func used(_ caller: Caller) throws -> Int? {
        try test.snapshot(draw(caller)).accounts[caller.account]?.usedToday
      }
      test.now = newYear + day - 1
      try test.settle(draw(test.bob), draw(test.bob, "other"))
      #expect(try test.settle(draw(test.bob), draw(test.bob)).replies.map(\.status) == [200, 429])
      #expect(try used(test.bob) == 3)
      #expect(try used(test.alice) == 0)
      test.now += 1
      #expect(try used(test.bob) == 0)
      try await test.reopen()
      #expect(try used(test.bob) == 0)
      let tomorrow = try test.settle((0..<4).map { _ in draw(test.bob) })
      #expect(tomorrow.replies.map(\.status) == [200, 200, 200, 429])
      #expect(try used(test.bob) == 3)
      try await test.reopen()
      #expect(try used(test.bob) == 3)
      test.now += 3 * day
      #expect(try used(test.bob) == 0)
      #expect(try await test.store.totals().liveOutcomes == 6)
    },

    StoreCheck("usage is the account's, over its keys, chains and endpoints") { test in
      let kinds = try DrawRequest.each("test")
      for request in kinds {
        try test.settle(Submission(caller: test.alice, operation: .draw(request)))
        try test.settle(
          Submission(caller: test.aliceToo, operation: .batch([.draw(request), .draw(request)])))
      }
      try test.settle(
        draw(test.aliceTest), commitment(test.alice, "new"), move(test.alice), draw(.anonymous))
      let used = try test.snapshot(draw(test.aliceToo)).accounts
      #expect(
        used == [test.alice.account: AccountStanding(dailyQuota: nil, usedToday: kinds.count * 3)])
      #expect(try await test.store.totals().liveOutcomes == kinds.count * 3 + 1)
    },

    StoreCheck("a replay and a refusal cost nothing") { test in
      for _ in 0..<5 {
        try test.settle(
          draw(test.bob, claim: "a"),
          Submission(
            caller: test.bob, claim: test.bob.claim("b"), operation: .refuse(.badRequest("no"))),
          Submission(caller: test.bob, operation: .batch([.refused("no"), .refused("no")])),
          commitment(test.bob),
          move(test.bob))
      }
      #expect(try test.snapshot(draw(test.bob)).accounts[test.bob.account]?.usedToday == 1)
    },

    StoreCheck("anonymous callers are counted under no account") { test in
      try test.settle(draw(.anonymous), draw(.anonymous))
      let snapshot = try test.snapshot(draw(.anonymous))
      #expect(snapshot.accounts.isEmpty && snapshot.keys.isEmpty)
      #expect(try await test.store.totals() == (accounts: 2, liveOutcomes: 2))
    },
  ]
}
