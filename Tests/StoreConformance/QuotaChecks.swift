import Accounts
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

    StoreCheck("an account's quota can be changed, and counts at once") { test in
      func statuses(_ count: Int) throws -> [Int] {
        try (0..<count).map { _ in try test.settle(draw(test.bob)).reply.status }
      }
      #expect(try statuses(4) == [200, 200, 200, 429])
      let raised = try await test.accounts.setDailyQuota(5, of: test.bob.account)
      #expect(raised.dailyQuota == 5 && raised.name == "bob")
      #expect(try statuses(3) == [200, 200, 429])
      _ = try await test.accounts.setDailyQuota(2, of: test.bob.account)
      #expect(try statuses(1) == [429])
      #expect(
        try test.snapshot(draw(test.bob)).accounts == [test.bob.account: AccountQuota(dailyQuota: 2, usedToday: 5)])
      test.now += day
      #expect(try statuses(3) == [200, 200, 429])
      #expect(try await test.accounts.setDailyQuota(nil, of: test.bob.account).dailyQuota == nil)
      #expect(try statuses(10) == Array(repeating: 200, count: 10))
      try await test.reopen()
      #expect(try await test.accounts.account(test.bob.account)?.dailyQuota == nil)
      #expect(try statuses(1) == [200])
      await #expect(throws: AdministrationError.noAccount(AccountID(999))) {
        _ = try await test.accounts.setDailyQuota(1, of: AccountID(999))
      }
      try await test.accounts.deleteAccount(test.bob.account)
      await #expect(throws: AdministrationError.noAccount(test.bob.account)) {
        _ = try await test.accounts.setDailyQuota(1, of: test.bob.account)
      }
    },

    StoreCheck("a key's quota bounds the key within its account's") { test in
      func new(_ quota: Int?) async throws -> Caller {
        var key = try NewAPIKey(mode: .live)
        key.dailyQuota = quota
        let made = try await test.accounts.createKey(key, of: test.bob.account)
        #expect(made.dailyQuota == quota)
        return Caller.key(made.id, made.account, made.mode)
      }
      let (two, none) = (try await new(2), try await new(0))
      func own(_ caller: Caller) throws -> KeyQuota? { try test.snapshot(draw(caller)).keyQuotas[caller.keyID] }
      func report(_ caller: Caller) async throws -> KeyReport? {
        try await test.accounts.keys(of: test.bob.account).first { $0.key.id == caller.keyID }
      }
      #expect(try own(two) == KeyQuota(dailyQuota: 2, usedToday: 0))
      #expect(try own(test.bob) == nil)
      #expect(try test.settle(draw(none)).reply.refusal?.policy == .key(quota: 0))
      let first = try test.settle(
        draw(two, claim: "a"), draw(two, claim: "a"), draw(two, "other"), draw(two), draw(test.bob))
      #expect(first.replies.map(\.status) == [200, 200, 200, 429, 200])
      #expect(
        first.replies.map(\.quotaLeft) == [
          QuotaLeft(daily: 2, key: 1), nil, QuotaLeft(daily: 1, key: 0), nil, QuotaLeft(daily: 0, key: nil),
        ])
      #expect(first.replies[3].refusal?.policy == .key(quota: 2))
      #expect(try test.settle(draw(two)).reply.refusal?.policy == .daily(quota: 3), "the account's comes first")
      try await test.reopen()
      #expect(try own(two) == KeyQuota(dailyQuota: 2, usedToday: 2))
      let reported = try await report(two)
      #expect(reported?.usedToday == 2 && reported?.key.dailyQuota == 2)
      // Batches end where the quota does, and an atomic one changes nothing.
      _ = try await test.accounts.setDailyQuota(100, of: test.bob.account)
      #expect(try await test.accounts.setKeyQuota(4, of: two.keyID, account: test.bob.account).dailyQuota == 4)
      let entries = Array(repeating: BatchEntry.draw(.ints("batch")), count: 3)
      #expect(try test.settle(Submission(caller: two, operation: .batch(entries, isAtomic: true))).changes.isEmpty)
      let batch = try test.settle(Submission(caller: two, operation: .batch(entries)), draw(two))
      #expect(batch.changes.outcomes.count == 2 && batch.replies.map(\.status) == [200, 429])
      // Without a quota nothing is counted; what was counted stays so.
      _ = try await test.accounts.setKeyQuota(nil, of: two.keyID, account: test.bob.account)
      #expect(try test.settle(draw(two), draw(two)).replies.map(\.status) == [200, 200])
      #expect(try own(two) == nil)
      _ = try await test.accounts.setKeyQuota(5, of: two.keyID, account: test.bob.account)
      #expect(try own(two) == KeyQuota(dailyQuota: 5, usedToday: 4))
      test.now += day
      #expect(try own(two) == KeyQuota(dailyQuota: 5, usedToday: 0))
      #expect(try await report(two)?.usedToday == 0)
      #expect(try test.settle(draw(two)).reply.quotaLeft?.key == 4)
      await #expect(throws: AdministrationError.unknownKey("\(two.keyID.rawValue)")) {
        _ = try await test.accounts.setKeyQuota(5, of: two.keyID, account: test.alice.account)
      }
      try await test.accounts.deleteAccount(test.bob.account)
      #expect(try test.snapshot(draw(two)).keyQuotas.isEmpty)
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
        used == [test.alice.account: AccountQuota(dailyQuota: nil, usedToday: kinds.count * 3)])
      #expect(try await test.store.totals().liveOutcomes == kinds.count * 3 + 1)
    },

    StoreCheck("a replay and a refusal cost nothing") { test in
      for _ in 0..<5 {
        try test.settle(
          draw(test.bob, claim: "a"),
          Submission(
            caller: test.bob, claim: test.bob.claim("b"), operation: .refuse(.badRequest("no"))),
          Submission(caller: test.bob, operation: .batch([.refused(.badRequest("no")), .refused(.badRequest("no"))])),
          commitment(test.bob),
          move(test.bob))
      }
      #expect(try test.snapshot(draw(test.bob)).accounts[test.bob.account]?.usedToday == 1)
    },

    StoreCheck("anonymous usage is known where it is asked for") { test in
      func used() throws -> Int? {
        var seen: Snapshot?
        let needs = Needs(of: [draw(.anonymous), draw(test.bob)], countsAnonymous: true)
        _ = try test.store.commit(needs) { snapshot in
          seen = snapshot
          return Decision(replies: [], changes: Changes())
        }
        #expect(seen?.accounts[test.bob.account] == AccountQuota(dailyQuota: 3, usedToday: 0))
        return seen?.accounts[.anonymous]?.usedToday
      }
      #expect(try used() == 0)
      for number in 0..<20 { try test.settle(draw(.anonymous, "seed \(number)"), draw(.anonymous), draw(test.alice)) }
      #expect(try used() == 40)
      // A group that did not ask for it counts as well.
      try test.settle(draw(.anonymous))
      #expect(try used() == 41)
      try await test.reopen()
      #expect(try used() == 41)
      test.now += day
      #expect(try used() == 0)
      try test.settle(draw(.anonymous))
      #expect(try used() == 1)
    },

    StoreCheck("its size is known") { test in
      let before = try await test.store.size()
      #expect(before > 0)
      let items = ItemList(0..<1000) { $1 += Array("\"\(String(repeating: "x", count: 2000))\($0)\"".utf8) }
      try test.settle(
        Submission(
          caller: test.alice,
          operation: .draw(
            DrawRequest(clientSeed: seed("large"), generator: .shuffle(items: 1000), items: items))))
      #expect(try await test.store.size() > before)
    },

    StoreCheck("anonymous callers are counted under no account") { test in
      try test.settle(draw(.anonymous), draw(.anonymous))
      let snapshot = try test.snapshot(draw(.anonymous))
      #expect(snapshot.accounts.isEmpty && snapshot.keys.isEmpty)
      #expect(try await test.store.totals() == (accounts: 2, liveOutcomes: 2))
    },
  ]
}
