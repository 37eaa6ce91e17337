import Accounts
import Fairness
import Ledger
import Testing

extension StoreConformance {
  static let queryChecks = [
    StoreCheck("outcomes come newest first, a page at a time") { test in
      let carol = try await test.carol()
      for round in 0..<60 {
        var group = [
          draw(test.alice), draw(test.alice, "other"), draw(carol), draw(.anonymous),
        ]
        if round % 7 == 3 { group.append(move(test.alice)) }
        if round % 20 == 9 { group += Array(repeating: move(test.alice), count: 3) }
        try test.settle(group)
        test.now += 1
      }
      let all = try await test.outcomes(test.alice)
      #expect(all.map(\.nonce) == (0..<60).reversed())
      #expect(
        zip(all, all.dropFirst()).allSatisfy { $0.cursor >= $1.cursor && $0.created > $1.created })
      #expect(all.first?.cursor == 17)

      func page(_ before: (cursor: Int64, nonce: Int64)?, _ limit: Int) async throws -> [Outcome] {
        try await test.store.outcomes(
          of: test.alice, clientSeed: seed("test"), before: before, limit: limit)
      }
      for limit in [1, 2, 59, 60, 61, 1000] {
        #expect(try await page(nil, limit) == Array(all.prefix(limit)))
        // To the end, from page to page.
        var pages: [Outcome] = []
        var before: (cursor: Int64, nonce: Int64)?
        while true {
          let next = try await page(before, limit)
          guard let last = next.last else { break }
          pages += next
          before = (last.cursor, last.nonce)
        }
        #expect(pages == all)
      }
      // From anywhere, recorded or not.
      let cursors: [Int64] = [-1, 0, 1, 2, 3, 4, 5, 16, 17, 18, .max]
      for cursor in cursors {
        for nonce in [-1, 0, 3, 4, 10, 30, 59, 60, .max] as [Int64] {
          let older = all.filter { ($0.cursor, $0.nonce) < (cursor, nonce) }
          #expect(try await page((cursor, nonce), 1000) == older, "before \(cursor):\(nonce)")
          #expect(
            try await page((cursor, nonce), 3) == Array(older.prefix(3)),
            "before \(cursor):\(nonce)")
        }
      }
    },

    StoreCheck("one outcome is found by its coordinates") { test in
      try test.settle(
        draw(test.alice), draw(test.alice), move(test.alice), draw(test.alice), draw(.anonymous))
      let all = try await test.outcomes(test.alice)
      for cursor in [-1, 0, 1, 2, .max] as [Int64] {
        for nonce in [-1, 0, 1, 2, 3, .max - 1, .max] as [Int64] {
          let found = try await test.store.outcome(
            of: test.alice, clientSeed: seed("test"), cursor: cursor, nonce: nonce)
          #expect(
            found == all.first { $0.cursor == cursor && $0.nonce == nonce }, "\(cursor):\(nonce)")
        }
      }
      let test0 = try test.settle(draw(test.aliceTest)).changes.testOutcomes[0].outcome
      func rehearsed(_ cursor: Int64, _ nonce: Int64) async throws -> Outcome? {
        try await test.store.outcome(
          of: test.aliceTest, clientSeed: seed("test"), cursor: cursor, nonce: nonce)
      }
      #expect(try await rehearsed(0, 0) == test0)
      #expect(try await rehearsed(0, 1) == nil)
      #expect(try await rehearsed(1, 0) == nil)
    },

    StoreCheck("pages lead on across rotations and cursors, without a gap or a repeat") { test in
      let carol = try await test.carol()
      let batch = Submission(
        caller: test.alice, operation: .batch((0..<maximumBatchSize).map { _ in .draw(.ints("test")) }))
      for round in 0..<12 {
        try test.settle([batch, draw(carol)])
        if round % 3 == 1 { try test.settle(rotate(test.alice)) }
        if round % 4 == 2 { try test.settle(move(test.alice), rotate(test.alice), draw(test.alice)) }
        test.now += 1
      }
      let count = 12 * maximumBatchSize + 3
      var seen: [Outcome] = []
      var before: (cursor: Int64, nonce: Int64)?
      while true {
        let page = try await test.store.outcomes(
          of: test.alice, clientSeed: seed("test"), before: before, limit: 77)
        guard let last = page.last else { break }
        #expect(page.count == min(77, count - seen.count))
        seen += page
        before = (last.cursor, last.nonce)
      }
      #expect(seen.map(\.nonce) == (0..<Int64(count)).reversed())
      #expect(zip(seen, seen.dropFirst()).allSatisfy { $0.cursor >= $1.cursor && $0.epoch >= $1.epoch })
      #expect(seen.first?.cursor == 3 && seen.first?.epoch == 7)
      // Each epoch has a hash of its own.
      #expect(Set(seen.map(\.serverHash)).count == Set(seen.map(\.epoch)).count)
    },

    StoreCheck("a page says whether there is more, and ends early where outcomes are large") { test in
      for caller in [test.alice, test.aliceTest] {
        for (mark, size) in [400_000, 400_000, 10, 10, 1_500_000, 400_000, 400_000].enumerated() {
          try test.settle(Submission(caller: caller, operation: .draw(.large("large", bytes: size, mark: mark))))
        }
        var pages: [OutcomePage] = []
        var start = OutcomeListStart.newest
        repeat {
          let page = try await test.store.outcomes(
            of: caller, clientSeed: seed("large"), from: start, limit: 1000, withReveals: true)
          let last = try #require(page.outcomes.last)
          #expect(page.bytes - last.bytes < OutcomePage.maximumBytes)
          start = .after(last.id)
          pages.append(page)
        } while pages.last?.hasMore == true
        let all = pages.flatMap(\.outcomes)
        #expect(all.count == 7 && pages.count > 2)
        #expect(pages.dropLast().allSatisfy { $0.bytes >= OutcomePage.maximumBytes })
        #expect(try await test.outcomes(caller, "large") == all)
        #expect(zip(all, all.dropFirst()).allSatisfy { $0.id > $1.id })
        // To the end or not, by count.
        for limit in 1...2 {
          let page = try await test.store.outcomes(
            of: caller, clientSeed: seed("large"), from: .after(all[3].id), limit: limit, withReveals: true)
          #expect(page.outcomes.map(\.id) == all.dropFirst(4).prefix(limit).map(\.id))
          #expect(page.hasMore == (all.count - 4 > page.outcomes.count))
        }
        let last = try await test.store.outcomes(
          of: caller, clientSeed: seed("large"), from: .after(all[5].id), limit: 1, withReveals: true)
        #expect(last.outcomes == [all[6]] && !last.hasMore)
        let end = try await test.store.outcomes(
          of: caller, clientSeed: seed("large"), from: .after(all[6].id), limit: 9, withReveals: true)
        #expect(end.outcomes.isEmpty && !end.hasMore)
      }
      // The pages of an export are bounded in the same way.
      var exported: [Outcome] = []
      while true {
        let page = try await test.accounts.testOutcomes(
          of: test.aliceTest.account, after: exported.last.map { ($0.clientSeed, $0.id) }, limit: 100)
        guard let last = page.last else { break }
        #expect(page.reduce(0) { $0 + $1.bytes } - last.bytes < OutcomePage.maximumBytes)
        exported += page
      }
      #expect(exported.count == 7)
    },

    StoreCheck("what is newer than some coordinates is found, the oldest first") { test in
      for round in 0..<30 {
        try test.settle(draw(test.alice), draw(test.bob))
        if round % 10 == 5 { try test.settle(move(test.alice)) }
      }
      let all = try await test.outcomes(test.alice)
      for last in [(-1, -1), (0, 0), (0, 4), (0, 5), (1, 5), (1, 6), (3, 29), (9, 0)] as [(cursor: Int64, nonce: Int64)]
      {
        for limit in [1, 7, 1000] {
          let found = try await test.store.outcomeNumbers(
            of: test.alice, clientSeed: seed("test"), newerThan: last, limit: limit)
          let expected = all.prefix { ($0.cursor, $0.nonce) > last }.prefix(limit).reversed().map(\.id)
          #expect(found == expected, "\(last) \(limit)")
        }
      }
      try test.settle(draw(test.aliceTest))
      for caller in [test.aliceTest, try await test.carol()] {
        let found = try await test.store.outcomeNumbers(
          of: caller, clientSeed: seed("test"), newerThan: (-1, -1), limit: 9)
        #expect(found.isEmpty)
      }
    },

    StoreCheck("any outcome is found by its number, with what has become of its seed") { test in
      var recorded: [RecordedOutcome] = []
      let requests = try DrawRequest.each("test")
      let drawn = try test.settle(requests.map { Submission(caller: test.alice, operation: .draw($0)) }).changes
      let rotated = try test.settle(rotate(test.alice)).changes.revealedSeeds[0]
      for caller in [test.alice, test.bob, .anonymous] {
        let outcome = try test.settle(draw(caller)).changes.outcomes[0]
        let next = NextDraw(serverHash: outcome.serverHash, cursor: outcome.cursor, nonce: outcome.nonce + 1)
        recorded.append(
          RecordedOutcome(
            outcome: outcome, state: .inUse(outcome.serverHash), next: next, owner: caller.chainOwner))
      }
      let next = recorded[0].next
      recorded += drawn.outcomes.map {
        RecordedOutcome(outcome: $0, state: .revealed(rotated), next: next, owner: test.alice.chainOwner)
      }
      let test0 = try test.settle(requests.map { Submission(caller: test.aliceTest, operation: .draw($0)) }).changes
      recorded += test0.testOutcomes.map { RecordedOutcome(outcome: $0.outcome, state: .rehearsal($0.id)) }
      for reopens in [false, true] {
        if reopens { try await test.reopen() }
        for record in recorded {
          #expect(try await test.store.recordedOutcome(id: record.outcome.id) == record)
        }
      }
      let last = recorded.map(\.outcome.id).max()!
      for id in [.min, -1, 0, last + 1, last + 1_000_000, 839_299_365_868_340_223, .max] as [Int64] {
        #expect(try await test.store.recordedOutcome(id: id) == nil)
      }
      // All of them are what their seeds give.
      let verifier = OutcomeVerifier(masterKey: StoreUnderTest.masterKey, seeds: StoreUnderTest.seeds)
      #expect(recorded.map { verifier.verdict(on: $0).isVerified } == recorded.map { _ in true })
      #expect(Set(recorded.map { verifier.verdict(on: $0).code }) == [.revealed, .notRevealed, .rehearsal])
    },

    StoreCheck("a server hash is known for its own client seed, before and after its seed is told") { test in
      func isKnown(_ hash: ServerHash, _ clientSeed: String = "test") async throws -> Bool {
        try await test.store.isKnown(hash, clientSeed: seed(clientSeed))
      }
      let chain = try test.settle(commitment(test.alice)).changes.newChains[0]
      #expect(try await isKnown(chain.active.hash))
      try test.settle(draw(test.alice))
      let next = try test.settle(rotate(test.alice)).changes.rotatedChains[0]
      let promise = try test.settle(commit(test.alice)).changes.newCommitments[0]
      #expect(try await isKnown(promise.active.hash) == false)  // it has no client seed yet
      try test.settle(reveal(test.alice, promise.id))
      let rehearsed = try test.settle(draw(test.aliceTest)).changes.testOutcomes[0].outcome
      let hashes = [chain.active.hash, next.active.hash, promise.active.hash, rehearsed.serverHash]
      #expect(Set(hashes).count == 4)
      for reopens in [false, true] {
        if reopens { try await test.reopen() }
        for hash in hashes {
          #expect(try await isKnown(hash))
          #expect(try await isKnown(hash, "other") == false)
        }
      }
      #expect(try await isKnown(ServerSeed(bytes: Array(0..<32)).hash) == false)
    },

    StoreCheck("callers see their own outcomes only, whichever of their keys drew them") { test in
      try test.settle(
        draw(test.alice), draw(test.aliceToo), draw(test.aliceToo), draw(test.bob),
        draw(.anonymous), draw(.anonymous),
        draw(.anonymous), draw(test.aliceTest))
      for caller in [test.alice, test.aliceToo, .holder(test.alice.account)] {
        #expect(try await test.outcomes(caller).count == 3)
      }
      #expect(try await test.outcomes(test.bob).count == 1)
      #expect(try await test.outcomes(.anonymous).count == 3)
      #expect(try await test.outcomes(test.aliceTest).count == 1)
      for caller in [test.alice, test.aliceTest, .anonymous] {
        #expect(try await test.outcomes(caller, "Test").isEmpty)
        #expect(try await test.outcomes(caller, "tes").isEmpty)
      }
      let stranger = try await test.accounts.createKey(NewAPIKey(mode: .test), forAccountNamed: "bob")
      #expect(try await test.outcomes(.key(stranger.id, stranger.account, .test)).isEmpty)
      #expect(
        try await test.store.outcome(of: test.bob, clientSeed: seed("test"), cursor: 0, nonce: 1)
          == nil)
    },

    StoreCheck("test outcomes are listed too, newest first") { test in
      var drawn: [Outcome] = []
      for count in 1...5 {
        let submission = Submission(
          caller: test.aliceTest, operation: .draw(.ints("test", count: count)))
        drawn += try test.settle(submission).changes.testOutcomes.map(\.outcome)
        test.now += 1
      }
      #expect(try await test.outcomes(test.aliceTest) == drawn.reversed())
      func page(_ before: (cursor: Int64, nonce: Int64)?, _ limit: Int) async throws -> [Outcome] {
        try await test.store.outcomes(
          of: test.aliceTest, clientSeed: seed("test"), before: before, limit: limit)
      }
      #expect(try await page(nil, 2) == Array(drawn.suffix(2).reversed()))
      #expect(try await page((0, 0), 10).isEmpty)
      #expect(try await page((0, 1), 10).count == 5)
    },
  ]
}
