import Ledger
import Testing

extension StoreConformance {
  static let queryChecks = [
    StoreCheck("outcomes come newest first, a page at a time") { test in
      for round in 0..<60 {
        var group = [
          draw(test.alice), draw(test.alice, "other"), draw(test.aliceToo), draw(.anonymous),
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

    StoreCheck("callers see their own outcomes only") { test in
      try test.settle(
        draw(test.alice), draw(test.aliceToo), draw(test.aliceToo), draw(test.bob),
        draw(.anonymous), draw(.anonymous),
        draw(.anonymous), draw(test.aliceTest))
      #expect(try await test.outcomes(test.alice).count == 1)
      #expect(try await test.outcomes(test.aliceToo).count == 2)
      #expect(try await test.outcomes(test.bob).count == 1)
      #expect(try await test.outcomes(.anonymous).count == 3)
      #expect(try await test.outcomes(test.aliceTest).count == 1)
      for caller in [test.alice, test.aliceTest, .anonymous] {
        #expect(try await test.outcomes(caller, "Test").isEmpty)
        #expect(try await test.outcomes(caller, "tes").isEmpty)
      }
      let stranger = try test.store.createKey(NewAPIKey(mode: .test), forAccountNamed: "bob")
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
