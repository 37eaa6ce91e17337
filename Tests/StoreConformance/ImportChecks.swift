import Accounts
import Fairness
import JSON
import Ledger
import Testing

/// Outcomes that another service drew.
extension StoreConformance {
  static let importChecks = [
    StoreCheck("imported outcomes are looked up like others, are marked, and are part of nothing else") { test in
      let account = test.alice.account
      let all = try (0..<3).map { try foreign($0, created: newYear + Milliseconds($0)) }
      #expect(
        try await test.accounts.importOutcomes(all, for: account, isDryRun: false) == [.imported, .imported, .imported])
      try await test.reopen()
      for imported in all {
        let expected = imported.outcome
        let record = try #require(
          try await test.store.recordedOutcome(shortID: expected.origin?.shortID ?? []))
        #expect(record.state == .imported(imported.serverSeed) && record.next == nil && record.owner == nil)
        #expect(record.outcome.isSame(as: expected))
        let verdict = OutcomeVerifier(masterKey: StoreUnderTest.masterKey, seeds: StoreUnderTest.seeds).verdict(
          on: record)
        #expect(verdict.code == .revealed && verdict.serverSeed == imported.serverSeed && verdict.seedProof == nil)
        let found = try await test.store.outcome(
          of: test.aliceToo, clientSeed: seed("old"), cursor: 0, nonce: expected.nonce)
        #expect(found?.isSame(as: expected) == true)
        for caller in [test.bob, .anonymous, test.aliceTest] {
          #expect(
            try await test.store.outcome(of: caller, clientSeed: seed("old"), cursor: 0, nonce: expected.nonce) == nil)
        }
      }
      #expect(try await test.store.isKnown(all[0].outcome.serverHash, clientSeed: seed("old")))
      #expect(try await !test.store.isKnown(all[0].outcome.serverHash, clientSeed: seed("other")))
      for caller in [test.bob, .anonymous] { #expect(try await test.outcomes(caller, "old").isEmpty) }
      #expect(try await test.store.totals().liveOutcomes == 0)
      #expect(try test.snapshot(draw(test.alice, "old")).chains.isEmpty)
      let drawn = try test.settle(draw(test.alice, "old")).changes.outcomes[0]
      #expect(drawn.nonce == 0 && drawn.serverHash != all[0].outcome.serverHash)
      // What was drawn here comes first.
      let first = try await test.store.outcome(of: test.alice, clientSeed: seed("old"), cursor: 0, nonce: 0)
      #expect(first?.id == drawn.id && first?.origin == nil)
    },

    StoreCheck("imported outcomes are listed among others by their time, a page at a time") { test in
      let account = test.alice.account
      let start = test.now
      test.now = start + 10
      try test.settle(draw(test.alice, "old"))
      test.now = start + 20
      try test.settle(draw(test.alice, "old"), draw(test.alice, "old"))
      test.now = start + 30
      let commitment = try test.settle(commit(test.alice)).changes.newCommitments[0]
      try test.settle(
        Submission(caller: test.alice, claim: nil, operation: .reveal(commitment.id, .ints("old"))))
      let times: [Milliseconds] = [5, 10, 15, 20, 20, 25, 30, 35]
      let imported = try times.enumerated().map { try foreign($0, created: start + $1) }
      _ = try await test.accounts.importOutcomes(imported, for: account, isDryRun: false)
      let all = try await test.outcomes(test.alice, "old")
      #expect(all.count == 12 && Set(all.map(\.id)).count == 12)
      // Of those of one time, the ones that were drawn here come first.
      let expected: [(Milliseconds, Bool)] = [
        (35, true), (30, false), (30, true), (25, true), (20, false), (20, false), (20, true), (20, true), (15, true),
        (10, false), (10, true), (5, true),
      ]
      #expect(all.map { $0.created - start } == expected.map(\.0))
      #expect(all.map { $0.origin != nil } == expected.map(\.1))
      let renderer = test.decider.renderer
      for limit in [1, 2, 3, 5, 11, 12, 100] {
        var (byNumber, byName): ([Outcome], [Outcome]) = ([], [])
        for isNamed in [true, false] {
          var found: [Outcome] = []
          while true {
            let place =
              found.last.map { isNamed ? OutcomeListStart.afterShortID(renderer.shortID(of: $0)) : .after($0.id) }
            let page = try await test.store.outcomes(
              of: test.alice, clientSeed: seed("old"), from: place ?? .newest, limit: limit, withReveals: true)
            found += page.outcomes
            if !page.hasMore { break }
            try #require(!page.outcomes.isEmpty && found.count < 20)
          }
          if isNamed { byName = found } else { byNumber = found }
        }
        #expect(byNumber.map(\.id) == all.map(\.id) && byName.map(\.id) == all.map(\.id), "\(limit)")
      }
      // By coordinates, a client that does not know better comes to an end too.
      let before = try await test.store.outcomes(of: test.alice, clientSeed: seed("old"), before: (0, 2), limit: 100)
      #expect(before.allSatisfy { $0.nonce < 2 || $0.commitment != nil })
      #expect(
        try await test.store.outcomes(of: test.alice, clientSeed: seed("old"), before: (0, 0), limit: 100)
          .allSatisfy { $0.origin == nil })
      let own = try await test.store.outcomes(
        of: test.alice, clientSeed: seed("old"), from: .newest, limit: 100, withReveals: false)
      #expect(own.outcomes.count == 3)
      #expect(
        try await test.store.outcomes(
          of: test.bob, clientSeed: seed("old"), from: .after(all[0].id), limit: 10, withReveals: true
        ).outcomes.isEmpty)
      for limit in [1, 3, 8, 100] {
        var pages: [Outcome] = []
        while true {
          let page = try await test.accounts.importedOutcomes(of: account, after: pages.last?.id, limit: limit)
          if page.isEmpty { break }
          pages += page
        }
        #expect(pages.map(\.nonce) == imported.map(\.outcome.nonce))
      }
    },

    StoreCheck("an import can be repeated, completed and tried out, and changes nothing that is there") { test in
      let account = test.alice.account
      func bring(_ outcomes: [ImportedOutcome], _ account: AccountID, dry: Bool = false) async throws -> [ImportResult]
      {
        try await test.accounts.importOutcomes(outcomes, for: account, isDryRun: dry)
      }
      let (hidden, told) = (try foreign(0, hasSeed: false), try foreign(0))
      let other = try foreign(1)
      #expect(try await bring([hidden, other, other], account, dry: true) == [.imported, .imported, .known])
      #expect(try await test.outcomes(test.alice, "old").isEmpty)
      #expect(try await bring([hidden, other, other], account) == [.imported, .imported, .known])
      #expect(try await bring([hidden, other], account) == [.known, .known])
      #expect(try await bring([told], account, dry: true) == [.completed])
      #expect(try await bring([told, hidden], account) == [.completed, .known])
      let record = try await test.store.recordedOutcome(shortID: Array("foreign0".utf8))
      #expect(record?.state == .imported(told.serverSeed) && told.serverSeed != nil)

      #expect(try await bring([try foreign(1, created: newYear + 9)], account) == [.differs("created")])
      #expect(try await bring([try foreign(2, name: "foreign1")], account) == [.differs("nonce")])
      #expect(try await bring([other], test.bob.account) == [.taken])
      // The names of this server's outcomes are not given to others, whatever their mode.
      let group = [draw(test.alice), draw(test.aliceTest)]
      let changes = try test.settle(group).changes
      for drawn in changes.outcomes + changes.testOutcomes.map({ $0.1 }) {
        let name = String(decoding: test.decider.renderer.shortID(of: drawn), as: UTF8.self)
        #expect(try await bring([try foreign(3, name: name)], account) == [.taken])
        #expect(try await test.store.recordedOutcome(shortID: Array(name.utf8))?.outcome.id == drawn.id)
      }
      #expect(try await test.outcomes(test.alice, "old").count == 2)
      for name in ["", "foreign", "foreign99", "foreign0 ", "ä"] {
        #expect(try await test.store.recordedOutcome(shortID: Array(name.utf8)) == nil)
      }
    },
  ]
}

/// An outcome of a service whose client seed `old` has one server seed.
private func foreign(
  _ nonce: Int, name: String? = nil, created: Milliseconds = newYear, hasSeed: Bool = true
) throws -> ImportedOutcome {
  let serverSeed = try ServerSeed(hex: Array(String(repeating: "5e", count: 32).utf8))
  let drawn = DrawRequest.ints("old").run(key: StreamKey(serverSeed), cursor: 0, nonce: Int64(nonce))
  let seedMember = hasSeed ? ",\"serverSeed\":\"\(serverSeed.description)\"" : ""
  let text = """
    {"outcome":\(String(decoding: drawn.value, as: UTF8.self)),"shortId":"\(name ?? "foreign\(nonce)")",
     "serverHash":"\(serverSeed.hash.description)","clientSeed":"old","cursor":0,"nonce":\(nonce),"endpoint":"ints",
     \(String(decoding: drawn.fields, as: UTF8.self)),"created":\(created)\(seedMember)}
    """
  return try #require(try ImportedOutcome(try JSONText(Array(text.utf8)).root, now: newYear))
}

extension Outcome {
  /// Apart from its number.
  fileprivate func isSame(as other: Outcome) -> Bool {
    clientSeed == other.clientSeed && serverHash == other.serverHash && cursor == other.cursor && nonce == other.nonce
      && endpoint == other.endpoint && value == other.value && fields == other.fields && items == other.items
      && created == other.created && origin == other.origin
  }
}
