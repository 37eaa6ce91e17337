import Fairness
import Foundation
import Ledger
import SQLStore
import Synchronization
import Testing

extension StoreConformance {
  static let accountOutcomeChecks = [
    StoreCheck("all outcomes of an account are listed in the order in which they were recorded") { test in
      let carol = try await test.carol()
      var live: [Outcome] = []
      var rehearsed: [Outcome] = []
      for round in 0..<12 {
        // Others draw in the same groups, between the account's own.
        let batch = Submission(
          caller: test.alice, operation: .batch([.draw(.ints("alice b")), .draw(.ints("alice a"))]))
        let changes = try test.settle(
          draw(carol, "carol"), draw(test.alice, "alice a"), draw(.anonymous, "nobody"), batch,
          Submission(caller: test.aliceTest, operation: .draw(.ints("alice a", count: round + 1))),
          draw(carol, "carol"),
          Submission(caller: test.aliceToo, operation: .draw(try .each("alice c")[round]))
        ).changes
        live += changes.outcomes.filter { $0.clientSeed.description.hasPrefix("alice") }
        rehearsed += changes.testOutcomes.map(\.outcome)
        for (caller, clientSeed) in [(test.alice, "alice r"), (test.aliceTest, "alice r"), (carol, "carol")] {
          let made = try #require(try test.settle(commit(caller)).changes.newCommitments.first)
          let changes = try test.settle(reveal(caller, made.id, clientSeed)).changes
          let drawn = changes.outcomes + changes.testOutcomes.map(\.outcome)
          if caller == test.alice { live += drawn.map { revealed($0, made) } }
          if caller == test.aliceTest { rehearsed += drawn.map { revealed($0, made) } }
        }
        if round % 3 == 1 { try test.settle(rotate(test.alice, "alice a"), move(test.alice, "alice b")) }
        if round % 4 != 2 { test.now += 1 }
      }
      for (caller, all) in [(test.alice, live), (test.aliceToo, live), (test.aliceTest, rehearsed)] {
        for limit in [1, 3, all.count - 1, all.count, 1000] {
          let forward = try await pages(of: caller, .after(.start), limit: limit, in: test)
          #expect(forward.flatMap(\.page.outcomes) == all)
          let backward = try await pages(of: caller, .before(.end), limit: limit, in: test)
          #expect(backward.flatMap(\.page.outcomes) == all.reversed())
          // Each end of a page leads on where the page is.
          for page in forward {
            let back = try await test.store.outcomes(of: caller, .before(page.newer), endpoint: nil, limit: limit)
            #expect(back.page.outcomes.starts(with: page.page.outcomes.reversed()) && back.newer == page.newer)
            #expect(OutcomePlace(page.newer.description) == page.newer)
          }
        }
        let dice = try await pages(of: caller, .after(.start), endpoint: Endpoint(name: "dice"), limit: 2, in: test)
        #expect(dice.flatMap(\.page.outcomes) == all.filter { $0.endpoint.name == "dice" })
        // From a time on, and before it.
        let moment = all[all.count / 2].created
        let place = OutcomePlace(time: moment)
        let later = try await pages(of: caller, .after(place), limit: 1000, in: test).flatMap(\.page.outcomes)
        let earlier = try await pages(of: caller, .before(place), limit: 1000, in: test).flatMap(\.page.outcomes)
        #expect(later == all.filter { $0.created >= moment } && earlier.reversed() + later == all)
      }
      let nothing = try await test.store.outcomes(of: test.bob, .before(.end), endpoint: nil, limit: 10)
      #expect(nothing.page.outcomes.isEmpty && !nothing.page.hasMore && nothing.newer == .start)
    },

    StoreCheck("outcomes that were recorded before there were lists are listed") { test in
      let carol = try await test.carol()
      for round in 0..<20 {
        try test.settle(draw(test.alice), draw(carol), draw(test.alice, "\(round % 3)"), draw(.anonymous))
        try test.settle(
          draw(test.alice), Submission(caller: test.aliceTest, operation: .draw(.ints("test", count: round + 1))))
        for caller in [test.alice, test.aliceTest] {
          let made = try #require(try test.settle(commit(caller)).changes.newCommitments.first)
          try test.settle(reveal(caller, made.id))
        }
        if round % 3 == 0 { test.now += 1 }
      }
      func lists() async throws -> [[Outcome]] {
        var lists: [[Outcome]] = []
        for caller in [test.alice, test.aliceTest, carol] {
          lists.append(try await pages(of: caller, .after(.start), limit: 7, in: test).flatMap(\.page.outcomes))
        }
        return lists
      }
      let before = try await lists()
      #expect(before.map(\.count) == [80, 40, 20])
      let database = try #require(test.store as? any SQLDatabase)
      try await database.transact(concernsGroups: false) { connection in
        try connection.execute("DELETE FROM account_runs")
        try connection.execute(connection.dialect.listRecordedOutcomes)
      }
      #expect(try await lists() == before)
      let last = try test.settle(draw(test.alice)).changes.outcomes
      #expect(try await lists()[0] == before[0] + last)
    },

    StoreCheck("a reader of an account's outcomes skips nothing, whatever the clock does and however many draw") {
      test in
      let isDone = Mutex(false)
      let store = test.store
      let rounds = 40
      async let drawn: Void = withThrowingTaskGroup(of: Void.self) { group in
        for thread in 0..<3 {
          group.addTask {
            try await onThread {
              for round in 0..<rounds {
                // A clock that is set back, again and again.
                test.now += round % 5 == 4 ? -20 : 3
                try test.settle(draw(test.alice, "\(thread)"), draw(.anonymous), draw(test.aliceToo, "\(round)"))
              }
            }
          }
        }
        try await group.waitForAll()
        isDone.withLock { $0 = true }
      }
      var seen: [Int64] = []
      var place = OutcomePlace.start
      while true {
        let wasDone = isDone.withLock { $0 }
        let found = try await store.outcomes(of: test.alice, .after(place), endpoint: nil, limit: 7)
        seen += found.page.outcomes.map(\.id)
        #expect(found.newer >= place)
        place = found.newer
        if wasDone, !found.page.hasMore, found.page.outcomes.isEmpty { break }
      }
      try await drawn
      #expect(seen.count == 3 * rounds * 2 && Set(seen).count == seen.count)
      // A server that is started anew goes on behind it.
      try await test.reopen()
      test.now -= hour
      let last = try test.settle(draw(test.alice)).changes.outcomes
      let found = try await test.store.outcomes(of: test.alice, .after(place), endpoint: nil, limit: 7)
      #expect(found.page.outcomes == last)
    },

    StoreCheck("a page of an account's outcomes is bounded, in what is looked at and in bytes") { test in
      var drawn: [Int64] = []
      for mark in 0..<6 {
        let large = DrawRequest.large("large", bytes: mark % 2 == 0 ? 400_000 : 10, mark: mark)
        drawn += try test.settle(Submission(caller: test.alice, operation: .draw(large))).changes.outcomes.map(\.id)
      }
      let sized = try await pages(of: test.alice, .after(.start), limit: 1000, in: test)
      #expect(sized.count > 2 && sized.flatMap(\.page.outcomes).map(\.id) == drawn)
      for page in sized {
        #expect(page.page.bytes - (page.page.outcomes.last?.bytes ?? 0) < OutcomePage.maximumBytes)
      }
      // One run of others' outcomes, with the account's own at its beginning.
      let last = (drawn.max() ?? 0) + 2 * AccountOutcomePage.maximumNumbers
      try test.sql(
        """
        DELETE FROM account_runs;
        INSERT INTO account_runs (owner_id, number, first, last) VALUES (\(test.alice.account.rawValue), 5, 1, \(last));
        """)
      for side in [OutcomeSide.after(.start), .before(.end)] {
        let wide = try await pages(of: test.alice, side, limit: 1000, in: test)
        #expect(wide.contains { $0.page.outcomes.isEmpty && $0.page.hasMore })
        #expect(wide.flatMap(\.page.outcomes).map(\.id).sorted() == drawn.sorted())
        for page in wide {
          #expect(page.newer.passed - page.older.passed <= AccountOutcomePage.maximumNumbers)
        }
      }
    },
  ]
}

/// All pages to the end of the list.
private func pages(
  of caller: Caller, _ side: OutcomeSide, endpoint: Endpoint? = nil, limit: Int, in test: StoreUnderTest
) async throws -> [AccountOutcomePage] {
  var pages: [AccountOutcomePage] = []
  var side = side
  repeat {
    let page = try await test.store.outcomes(of: caller, side, endpoint: endpoint, limit: limit)
    #expect(page.page.outcomes.count <= limit && page.older <= page.newer)
    pages.append(page)
    switch side {
    case .after: side = .after(page.newer)
    case .before: side = .before(page.older)
    }
  } while pages.last?.page.hasMore == true
  return pages
}

/// The outcome as it is listed after its commitment was revealed.
private func revealed(_ outcome: Outcome, _ commitment: Commitment) -> Outcome {
  var outcome = outcome
  outcome.commitment = RevealedCommitment(id: commitment.id, seed: commitment.active.seed)
  return outcome
}
