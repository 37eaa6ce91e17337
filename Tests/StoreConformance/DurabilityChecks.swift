import Accounts
import Ledger
import Testing

extension StoreConformance {
  static let durabilityChecks = [
    StoreCheck("everything outlives the store") { test in
      let group =
        try DrawRequest.each("test").map { Submission(caller: test.alice, operation: .draw($0)) }
        + [
          draw(test.alice, claim: "a"), draw(test.bob, claim: "a"),
          draw(test.aliceTest, claim: "a"), draw(.anonymous),
          commitment(test.alice, "asked for"), move(test.aliceToo), draw(test.alice),
        ]
      try test.settle(group)
      func everything() async throws -> (LedgerState, [[Outcome]], [Account], [KeyReport]) {
        var outcomes: [[Outcome]] = []
        for caller in [test.alice, test.aliceToo, test.aliceTest, test.bob, .anonymous] {
          outcomes.append(try await test.outcomes(caller))
        }
        return (
          LedgerState(try test.snapshot(group)), outcomes, try await test.accounts.accounts(),
          try await test.accounts.keys(of: nil)
        )
      }
      let before = try await everything()
      try await test.reopen()
      let after = try await everything()
      #expect(after.0 == before.0)
      #expect(after.1 == before.1 && after.1.map(\.count) == [15, 15, 1, 1, 1])
      #expect(after.2 == before.2 && after.2.map(\.name) == ["alice", "bob"])
      #expect(after.3 == before.3 && after.3.count == 4)
      #expect(try await test.store.totals() == (accounts: 2, liveOutcomes: 17))
    },

    StoreCheck("nonces and numbers go on where the last store stopped") { test in
      var ids: [Int64] = []
      for round in 0..<5 {
        let changes = try test.settle(
          draw(test.alice), draw(test.alice), draw(.anonymous, "chain-\(round)"),
          draw(test.aliceTest, "chain-\(round)")
        ).changes
        #expect(changes.outcomes.map(\.nonce) == [Int64(round) * 2, Int64(round) * 2 + 1, 0])
        let new = changes.outcomes.map(\.id) + changes.testOutcomes.map(\.outcome.id)
        #expect(new.min()! > ids.max() ?? 0)
        ids += new
        try await test.reopen()
      }
      #expect(Set(ids).count == ids.count)
    },
  ]
}
