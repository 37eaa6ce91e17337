import Ledger
import Testing

extension StoreConformance {
  static let idempotencyChecks = [
    StoreCheck("answers are kept byte for byte") { test in
      let submissions = [
        draw(test.alice, claim: "single"),
        Submission(
          caller: test.alice, claim: test.alice.claim("batch"),
          operation: .batch([.draw(.ints("test")), .refused(.badRequest("é \"quoted\"\n"))])),
        Submission(
          caller: test.alice, claim: test.alice.claim("bad"),
          operation: .refuse(.badRequest("items required"))),
        draw(test.aliceTest, claim: "test"),
        commitmentUnderKey(test.alice),
      ]
      let first = try test.settle(submissions).replies
      #expect(first.map(\.status) == [200, 200, 400, 200, 200])
      try await test.reopen()
      let again = try test.settle(submissions)
      #expect(again.changes.isEmpty)
      for (reply, original) in zip(again.replies, first) {
        #expect(reply == original.again)
      }
    },

    StoreCheck("answers are rendered again from their outcomes, byte for byte") { test in
      let large = DrawRequest.large("large", bytes: 100_000)
      let entries: [BatchEntry] = [
        .draw(.ints("test")), .draw(large), .refused(.badRequest("é \"quoted\"\n")),
        .draw(.large("other", bytes: 5000)),
        .draw(.ints("test")), .draw(large),
      ]
      let commitments = try [test.alice, test.aliceTest].map { try test.settle(commit($0)).changes.newCommitments[0] }
      var group: [Submission] = []
      for (caller, commitment) in zip([test.alice, test.aliceTest], commitments) {
        for (name, operation) in [
          ("single", .draw(large)), ("batch", .batch(entries)), ("reveal", .reveal(commitment.id, large)),
        ] as [(String, Operation)] {
          group.append(Submission(caller: caller, claim: caller.claim(name), operation: operation))
        }
        group += try DrawRequest.each("each").enumerated().map { number, request in
          Submission(caller: caller, claim: caller.claim("each-\(number)"), operation: .draw(request))
        }
      }
      let first = try test.settle(group).replies
      #expect(first.allSatisfy { $0.status == 200 })
      // What has become of the chains since does not matter.
      try test.settle(rotate(test.alice, "large"), rotate(test.alice, "each"), move(test.alice, "other"))
      try test.settle(draw(test.alice, "large"), draw(test.alice, "each"), rotate(test.alice, "large"))
      try await test.reopen()
      let other = Decider(
        masterKey: StoreUnderTest.masterKey, seeds: StoreUnderTest.seeds, publicURL: "https://elsewhere.example/below",
        defaultDailyQuota: 1000)
      var entropy = SystemRandomNumberGenerator()
      let again = try test.store.commit(Needs(of: group)) { other.decide(group, snapshot: $0, entropy: &entropy) }
      #expect(again.changes.isEmpty && again.replies.allSatisfy(\.isReplay))
      #expect(again.replies.map(\.body) == first.map(\.body))
      #expect(again.replies.map(\.shortID) == first.map(\.shortID))
      for (submission, reply) in zip(group, first) {
        let record = try await test.store.idempotencyRecord(try #require(submission.claim).scope)
        #expect(record?.reply.body == reply.body && record?.reply.shortID == reply.shortID)
      }
      // New answers have the new address, old ones keep theirs, in one group too.
      let fresh = draw(test.alice, claim: "fresh")
      let mixed = [group[0], fresh, group[1]]
      let replies = try test.store.commit(Needs(of: mixed)) {
        other.decide(mixed, snapshot: $0, entropy: &entropy)
      }.replies
      #expect(replies[0].body == first[0].body && replies[2].body == first[1].body)
      #expect(String(decoding: replies[1].body, as: UTF8.self).contains("https://elsewhere.example/below/o/"))
      try await test.reopen()
      #expect(try test.settle(fresh).reply == replies[1].again)
      #expect(try test.settle(group).replies == first.map(\.again))
      // Whoever uses a key for something else does not need its answer; beside the one who does, both are answered.
      let conflict = Submission(
        caller: test.alice, claim: test.alice.claim("single", fingerprint: [1]), operation: .draw(.ints("test")))
      #expect(try test.snapshot(conflict).records.values.map(\.reply.body) == [[]])
      for pair in [[conflict, group[0]], [group[0], conflict]] {
        let replies = try test.settle(pair).replies.sorted { $0.status < $1.status }
        #expect(replies.map(\.status) == [200, 409] && replies[0].body == first[0].body)
      }
    },

    StoreCheck("a key means something in one account and mode, by its bytes") { test in
      let claims = [
        test.alice.claim("k"), test.alice.claim("K"), test.alice.claim("k "),
        test.aliceTest.claim("k"),
        test.bob.claim("k"), test.alice.claim(String(repeating: "k", count: 255)),
      ]
      let callers = [test.alice, test.alice, test.alice, test.aliceTest, test.bob, test.alice]
      let group = zip(callers, claims).enumerated().map { index, pair in
        Submission(caller: pair.0, claim: pair.1, operation: .draw(.ints("chain-\(index)")))
      }
      let first = try test.settle(group)
      #expect(first.changes.records.count == claims.count)
      let again = try test.settle(group)
      #expect(again.replies.map(\.body) == first.replies.map(\.body) && again.changes.isEmpty)
      // The account's other key is the same client.
      #expect(
        try test.settle(
          Submission(caller: test.aliceToo, claim: claims[0], operation: .draw(.ints("x")))
        ).reply.isReplay)
      let conflict = Submission(
        caller: test.alice, claim: test.alice.claim("k", fingerprint: [1]),
        operation: .draw(.ints("test")))
      #expect(try test.settle(conflict).reply.status == 409)
    },

    StoreCheck("an answer is kept for seven days, and then another may take its place") { test in
      let submission = draw(test.alice, claim: "a")
      let first = try test.settle(submission).reply
      test.now += 69 * day / 10
      #expect(try test.settle(submission).reply == first.again)
      test.now += day / 10 - 1
      try await test.reopen()
      #expect(try test.settle(submission).reply == first.again)
      test.now += 1
      let second = try test.settle(submission)
      #expect(!second.reply.isReplay && second.reply.body != first.body)
      #expect(try test.snapshot(submission).records.values.map(\.created) == [test.now])
      test.now += 7 * day - 1
      try await test.reopen()
      #expect(try test.settle(submission).reply.body == second.reply.body)
      #expect(try await test.outcomes(test.alice).count == 2)
    },

    StoreCheck("an answer can be kept for ever") { test in
      let decider = Decider(
        masterKey: StoreUnderTest.masterKey, seeds: StoreUnderTest.seeds, publicURL: "https://draw.example",
        defaultDailyQuota: 1000, retention: .forever)
      let submission = draw(test.alice, claim: "a")
      let first = try test.settle(submission).reply
      test.now += 400 * day
      try await test.reopen()
      #expect(try test.store.sweepExpiredRecords(keeping: .forever) == false)
      var entropy = SystemRandomNumberGenerator()
      let again = try test.store.commit(Needs(of: [submission])) {
        decider.decide([submission], snapshot: $0, entropy: &entropy)
      }
      #expect(again.changes.isEmpty && again.replies == [first.again])
      // With another retention it has expired.
      #expect(try test.store.sweepExpiredRecords(keeping: .week) == false)
      #expect(try test.settle(submission).reply.isReplay == false)
    },

    StoreCheck("a key can be looked up") { test in
      let claims = [test.alice.claim("a", request: 3), test.alice.claim("b", request: 202)]
      let replies = try test.settle([
        Submission(caller: test.alice, claim: claims[0], operation: .draw(.ints("test"))),
        Submission(caller: test.alice, claim: claims[1], operation: .refuse(.badRequest("items required"))),
      ]).replies
      for (claim, reply) in zip(claims, replies) {
        let record = try #require(try await test.store.idempotencyRecord(claim.scope))
        #expect(record.scope == claim.scope && record.fingerprint == claim.fingerprint)
        #expect(record.request == claim.request && record.created == test.now)
        #expect(record.reply.status == reply.status && record.reply.body == reply.body)
      }
      for other in [test.alice.claim("c"), test.aliceTest.claim("a"), test.bob.claim("a")] {
        #expect(try await test.store.idempotencyRecord(other.scope) == nil)
      }
    },

    StoreCheck("a sweep takes the expired and leaves the rest") { test in
      let all = 1700
      func claim(_ number: Int) -> Submission {
        Submission(
          caller: test.alice, claim: test.alice.claim("k\(number)"),
          operation: .refuse(.badRequest("items required")))
      }
      try test.settle((0..<all).map(claim))
      #expect(try test.store.sweepExpiredRecords(keeping: .week) == false)
      test.now += aWhile
      try test.settle(claim(all))
      test.now += 7 * day - 1
      try test.settle(claim(0), claim(1))  // in the place of expired ones
      var sweeps = 1
      while try test.store.sweepExpiredRecords(keeping: .week) { sweeps += 1 }
      #expect(sweeps > 1, "\(all) records at once are not a bounded number")
      let left = try test.snapshot((0...all).map(claim)).records
      #expect(Set(left.keys.map(\.key)) == Set(["k0", "k1", "k\(all)"].map { Array($0.utf8) }))
      #expect(try test.settle(claim(all)).reply.isReplay == true)
      test.now += aWhile
      #expect(try test.store.sweepExpiredRecords(keeping: .week) == false)
      #expect(try test.snapshot(claim(all)).records.isEmpty)
      test.now += 8 * day
      #expect(try test.store.sweepExpiredRecords(keeping: .week) == false)
      #expect(try test.snapshot((0...all).map(claim)).records.isEmpty)
      // Swept or not, it runs again.
      #expect(try test.settle(claim(5)).reply.isReplay == false)
    },
  ]

  /// Within a minute, what has expired may be left for the next sweep.
  private static let aWhile: Milliseconds = 2 * 60_000

  private static func commitmentUnderKey(_ caller: Caller) -> Submission {
    Submission(caller: caller, claim: caller.claim("seed"), operation: .seed(seed("test")))
  }
}

extension Reply {
  /// What a retry is answered.
  fileprivate var again: Reply { Reply(status: status, body: body, shortID: shortID, isReplay: true) }
}
