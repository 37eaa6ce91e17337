import Fairness
import Ledger
import Testing

/// One group after another: what was decided is what is stored, and what is stored is what the next group sees.
extension StoreConformance {
  static let groupChecks = [
    StoreCheck("a new store is empty") { test in
      let snapshot = try test.snapshot(
        draw(.anonymous), draw(test.alice, claim: "a"), draw(test.aliceTest), commitment(test.bob))
      #expect(snapshot.chains.isEmpty && snapshot.records.isEmpty && snapshot.testOutcomes.isEmpty)
      #expect(snapshot.nextOutcome > 0 && snapshot.nextChain > 0)
      #expect(snapshot.now == test.now)
      #expect(try await test.outcomes(.anonymous).isEmpty)
      #expect(try await test.store.totals() == (accounts: 2, liveOutcomes: 0))
      try await test.store.ping()
    },

    StoreCheck("every operation is stored as it was decided") { test in
      var drawn: [Outcome] = []
      for request in try DrawRequest.each("test") {
        let settled = try test.settle(Submission(caller: test.alice, operation: .draw(request)))
        #expect(settled.reply.status == 200)
        drawn += settled.changes.outcomes
        test.now += 1
      }
      let batch = Submission(
        caller: test.alice,
        operation: .batch(try DrawRequest.each("test").map { .draw($0) } + [.refused(.badRequest("no"))]))
      drawn += try test.settle(batch).changes.outcomes
      #expect(try await test.outcomes(test.alice) == drawn.reversed())
      #expect(drawn.map(\.nonce) == Array(0..<Int64(drawn.count)))

      for request in try DrawRequest.each("test") {
        let settled = try test.settle(Submission(caller: test.aliceTest, operation: .draw(request)))
        let id = try #require(settled.changes.testOutcomes.first?.id)
        let again = try test.snapshot(Submission(caller: test.aliceTest, operation: .draw(request)))
        #expect(again.testOutcomes == [id: settled.changes.testOutcomes[0].outcome])
      }

      let committed = try test.settle(commitment(test.alice, "new")).changes.newChains.map(
        ChainState.init)
      #expect(
        try test.snapshot(commitment(test.alice, "new")).chains.values.map(ChainState.init)
          == committed)
      let moved = try test.settle(move(test.alice, "new")).changes.movedChains.map(ChainState.init)
      #expect(moved.map(\.cursor) == [1] && moved.map(\.nonce) == [0])
      #expect(
        try test.snapshot(commitment(test.alice, "new")).chains.values.map(ChainState.init) == moved
      )

      let refused = Submission(
        caller: test.alice, claim: test.alice.claim("bad"),
        operation: .refuse(.badRequest("items required")))
      let record = try test.settle(refused).changes.records
      #expect(record.map(\.reply.status) == [400])
      #expect(Array(try test.snapshot(refused).records.values) == record)
    },

    StoreCheck("a group's needs are all met") { test in
      let group = [
        draw(.anonymous, "a"), draw(test.alice, "a", claim: "1"),
        draw(test.aliceToo, "a", claim: "2"),
        draw(test.alice, "b"), draw(test.bob, "a", claim: "1"),
        draw(test.aliceTest, "a", claim: "1"),
      ]
      let first = try test.settle(group)
      // Known and unknown side by side.
      let more = [
        draw(.anonymous, "c"), draw(test.bob, "b", claim: "3"), draw(test.aliceTest, "b"),
        draw(.key(KeyID(987_654), test.alice.account, .live), "a"),
        draw(.key(KeyID(987_655), AccountID(987_654), .live), "a"),
      ]
      let snapshot = try test.settle(group + more).snapshot
      #expect(
        snapshot.keys == Set([test.alice, test.aliceToo, test.aliceTest, test.bob].map(\.keyID)))
      #expect(
        snapshot.accounts == [
          test.alice.account: AccountQuota(dailyQuota: nil, usedToday: 3),
          test.bob.account: AccountQuota(dailyQuota: 3, usedToday: 1),
        ])
      #expect(
        snapshot.chains.mapValues(ChainState.init)
          == Dictionary(
            uniqueKeysWithValues: first.changes.newChains.map { ($0.key, ChainState($0)) }))
      #expect(first.changes.newChains.count == 4)
      #expect(
        snapshot.records
          == Dictionary(uniqueKeysWithValues: first.changes.records.map { ($0.scope, $0) }))
      #expect(first.changes.records.count == 4)
      #expect(Array(snapshot.testOutcomes.values) == first.changes.testOutcomes.map(\.outcome))
      // Numbers set aside are fresh ones.
      #expect(
        snapshot.nextOutcome
          > (first.changes.outcomes.map(\.id) + first.changes.testOutcomes.map(\.outcome.id)).max()!
      )
      #expect(snapshot.nextChain > first.changes.newChains.map(\.id).max()!)
    },

    StoreCheck("chains are found by their bytes and their owner") { test in
      let carol = try await test.carol()
      let spellings = [
        "é", "e\u{301}", "É", "e", " e", "e ", String(repeating: "é", count: 128), "\u{1}%_'\"",
      ]
      let callers = [.anonymous, test.alice, carol]
      var hashes: Set<ServerHash> = []
      for caller in callers {
        for spelling in spellings {
          let settled = try test.settle(draw(caller, spelling))
          #expect(settled.snapshot.chains.isEmpty)
          #expect(settled.changes.outcomes.map(\.nonce) == [0])
          hashes.formUnion(settled.changes.newChains.map(\.active.hash))
        }
      }
      #expect(hashes.count == callers.count * spellings.count)
      for caller in callers {
        for spelling in spellings {
          #expect(try test.settle(draw(caller, spelling)).changes.outcomes.map(\.nonce) == [1])
          #expect(
            try await test.outcomes(caller, spelling).map(\.clientSeed) == [
              seed(spelling), seed(spelling),
            ])
        }
      }
    },

    StoreCheck("a cursor moves and the nonce goes on") { test in
      for _ in 0..<2 { try test.settle(draw(test.alice)) }
      try test.settle(move(test.alice))
      try test.settle(draw(test.alice), move(test.alice), move(test.alice), draw(test.alice))
      let outcomes = try await test.outcomes(test.alice)
      #expect(outcomes.map { [$0.cursor, $0.nonce] } == [[3, 3], [1, 2], [0, 1], [0, 0]])
      let chain = try #require(test.snapshot(draw(test.alice)).chains.values.first)
      #expect(chain.cursor == 3 && chain.nonce == 4)
      #expect(Set(outcomes.map(\.serverHash)) == [chain.active.hash])
    },

    StoreCheck("test outcomes are recorded once and apart") { test in
      let first = try test.settle(draw(test.aliceTest), draw(test.aliceTest))
      #expect(
        first.changes.testOutcomes.count == 1 && first.replies[0].body == first.replies[1].body)
      test.now += 40 * day
      let again = try test.settle(draw(test.aliceTest))
      #expect(again.changes.isEmpty && again.reply.body == first.reply.body)
      // Live and test outcomes share one numbering.
      let live = try test.settle(draw(test.alice)).changes.outcomes.map(\.id)
      let other = try test.settle(draw(test.aliceTest, "other")).changes.testOutcomes.map(
        \.outcome.id)
      #expect(Set(first.changes.testOutcomes.map(\.outcome.id) + live + other).count == 3)
      #expect(try await test.outcomes(test.alice).map(\.id) == live)
      #expect(try await test.outcomes(test.aliceTest) == first.changes.testOutcomes.map(\.outcome))
      #expect(try await test.store.totals().liveOutcomes == 1)
      #expect(try test.snapshot(draw(test.alice)).accounts[test.alice.account]?.usedToday == 1)
    },

    StoreCheck("a group that changes nothing leaves nothing") { test in
      let known = [draw(test.alice, claim: "a"), draw(.anonymous)]
      try test.settle(known)
      let before = LedgerState(try test.snapshot(known))
      let settled = try test.settle(
        draw(test.alice, claim: "a"), move(.anonymous, "nothing here"), move(test.aliceTest),
        draw(.key(KeyID(987_654), test.alice.account, .live)))
      #expect(settled.replies.map(\.status) == [200, 400, 403, 401] && settled.changes.isEmpty)
      #expect(LedgerState(try test.snapshot(known)) == before)
    },

    StoreCheck("a probe leaves nothing") { test in
      let known = [draw(test.alice, claim: "a"), draw(.anonymous), draw(test.aliceTest)]
      try test.settle(known)
      let before = LedgerState(try test.snapshot(known))
      for _ in 0..<3 { try test.store.probe() }
      #expect(LedgerState(try test.snapshot(known)) == before)
      #expect(try await test.store.totals() == (accounts: 2, liveOutcomes: 2))
    },

    StoreCheck("a group that cannot be stored leaves nothing") { test in
      try test.settle(draw(test.alice), draw(.anonymous))
      let group = [
        draw(test.alice, claim: "a"), draw(test.alice, "new"), draw(.anonymous),
        draw(test.aliceTest),
      ]
      let before = LedgerState(try test.snapshot(group))
      for _ in 0..<2 {
        var entropy = SystemRandomNumberGenerator()
        #expect(throws: StoreFailure.self) {
          try test.store.commit(Needs(of: group)) { snapshot in
            // All of it is well but for the last outcome, whose coordinates have been used.
            var decision = test.decider.decide(group, snapshot: snapshot, entropy: &entropy)
            let last = decision.changes.outcomes.removeLast()
            decision.changes.outcomes.append(
              Outcome(
                id: last.id, chain: last.chain, mode: .live, clientSeed: last.clientSeed,
                serverHash: last.serverHash,
                epoch: 0, cursor: 0, nonce: 0, endpoint: last.endpoint, value: last.value,
                fields: last.fields,
                items: nil, created: last.created))
            return decision
          }
        }
        #expect(LedgerState(try test.snapshot(group)) == before)
        #expect(try await test.outcomes(test.alice).count == 1)
        #expect(try await test.outcomes(test.alice, "new").isEmpty)
        #expect(try await test.outcomes(test.aliceTest).isEmpty)
        #expect(try await test.store.totals().liveOutcomes == 2)
        try await test.reopen()
      }
      // The same group, decided well, goes in.
      #expect(try test.settle(group).changes.outcomes.map(\.nonce) == [1, 0, 1])
    },
  ]
}
