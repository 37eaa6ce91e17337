import Fairness
import Ledger
import Testing

/// Server seeds over their lives: rotated chains, and commitments from being made to being swept.
extension StoreConformance {
  static let seedChecks = [
    StoreCheck("in a new era nothing is used that lost time may have used") { test in
      let carol = try await test.carol()
      let old = try test.settle(
        draw(test.alice), draw(test.alice, "kept"), commitment(test.alice, "told"), commit(test.alice))
      let open = old.changes.newCommitments[0]
      // What an earlier copy of the database would not have.
      let lost = try test.settle(
        rotate(test.alice), draw(test.alice, "new"), draw(test.alice, "kept"), draw(test.alice, "told")
      ).changes
      #expect(try await test.accounts.eras().isEmpty)
      for (known, number) in [(0, 1), (3, 4)] as [(Int64, Int64)] {
        let era = try await test.accounts.beginEra(reason: "restored \(number)", after: known)
        #expect(era == Era(number: number, begun: test.now, reason: "restored \(number)"))
      }
      try await test.reopen()
      #expect(try await test.accounts.eras().map(\.number) == [1, 4] && test.store.seeds.era == 4)
      let decider = Decider(
        masterKey: StoreUnderTest.masterKey, seeds: test.store.seeds, publicURL: "", defaultDailyQuota: 1000)
      func settle(_ group: Submission...) throws -> Decision {
        var entropy = SystemRandomNumberGenerator()
        return try test.store.commit(Needs(of: group)) { decider.decide(group, snapshot: $0, entropy: &entropy) }
      }
      let used = Set((old.changes.newChains + lost.newChains + lost.rotatedChains).map(\.active.hash))

      // Beforehand it is told what is going to be drawn from.
      let told = try #require(
        try await test.accounts.chains(of: test.alice.account, prefix: [], after: nil, limit: 10).first {
          $0.clientSeed == seed("kept")
        })
      let next = try #require(try await test.store.recordedOutcome(id: old.changes.outcomes[1].id)?.next)
      #expect(next == NextDraw(serverHash: told.serverHash, cursor: told.cursor, nonce: told.nonce))

      let drawn = try settle(draw(test.alice, "kept"), draw(test.alice, "kept"), move(test.alice, "told")).changes
      let kept = try #require(drawn.rotatedChains.first { $0.key.clientSeed == seed("kept") })
      #expect((kept.era, kept.epoch, kept.active.hash) == (4, 1, told.serverHash) && !used.contains(kept.active.hash))
      #expect(drawn.outcomes.map(\.nonce) == [2, 3] && drawn.outcomes.map(\.cursor) == [4_000_000, 4_000_000])
      #expect(told.cursor == 4_000_000 && told.nonce == 2)
      // The seed before is revealed, so what was drawn from it can be checked, and proven for the era it is of.
      #expect(drawn.revealedSeeds.map(\.hash).contains(old.changes.newChains[1].active.hash))
      #expect(drawn.revealedSeeds.map(\.era) == [0, 0])
      #expect(drawn.rotatedChains.first { $0.key.clientSeed == seed("told") }?.cursor == 4_000_001)

      let made = try #require(try settle(draw(carol, "new")).changes.newChains.first)
      let rotated = try settle(rotate(test.alice)).changes
      #expect((made.era, made.epoch, made.cursor) == (4, 0, 4_000_000) && !used.contains(made.active.hash))
      #expect(rotated.rotatedChains.map(\.epoch) == [2] && rotated.revealedSeeds.map(\.epoch) == [1])
      #expect(rotated.rotatedChains.allSatisfy { !used.contains($0.active.hash) && $0.era == 4 })
      let revealed = try #require(try settle(rotate(test.alice)).changes.revealedSeeds.first)
      #expect(revealed.era == 4 && test.store.seeds.proof(of: revealed, clientSeed: seed("test"))?.era == 4)

      // Numbers, and with them short ids, are others.
      let committed = try #require(try settle(commit(test.alice)).changes.newCommitments.first)
      for number in [drawn.outcomes[0].id, made.id, committed.chain, try await test.carol("dave").account.rawValue] {
        #expect(number > 4_000_000_000_000)
      }
      #expect(try settle(reveal(test.alice, open.id)).replies[0].status == 410)
      #expect(try settle(reveal(test.alice, committed.id)).replies[0].status == 200)

      try await test.reopen()
      #expect(try settle(draw(test.alice, "kept")).changes.outcomes.map(\.epoch) == [1])
    },

    StoreCheck("a rotated chain goes on with a new seed, and its outcomes keep their hashes") { test in
      let first = try test.settle(draw(test.alice), draw(test.alice), move(test.alice), draw(test.alice)).changes
      let old = try #require(first.newChains.first)
      test.now += 1
      let rotated = try test.settle(rotate(test.alice)).changes
      let new = try #require(rotated.rotatedChains.first)
      #expect(
        rotated.revealedSeeds == [
          RevealedSeed(
            chain: old.id, owner: test.alice.chainOwner, era: 0, epoch: 0, seed: old.active.seed, hash: old.active.hash,
            cursor: 1, nonce: 3,
            revealed: test.now)
        ])
      #expect(new.epoch == 1 && (new.cursor, new.nonce) == (1, 3) && new.active.seed != old.active.seed)
      for reopens in [false, true] {
        if reopens { try await test.reopen() }
        #expect(try test.snapshot(draw(test.alice)).chains.values.map(ChainState.init) == [ChainState(new)])
      }
      try test.settle(draw(test.alice), draw(test.alice))
      try test.settle(move(test.alice))
      try test.settle(rotate(test.alice), draw(test.alice), rotate(test.alice), draw(test.alice))
      try await test.reopen()
      try test.settle(draw(test.alice))
      let outcomes = try await test.outcomes(test.alice)
      #expect(outcomes.map(\.nonce) == (0..<8).reversed())
      #expect(outcomes.map(\.cursor) == [2, 2, 2, 1, 1, 1, 0, 0])
      #expect(outcomes.map(\.epoch) == [3, 3, 2, 1, 1, 0, 0, 0])
      #expect(Set(outcomes.map(\.serverHash)).count == 4)
      for outcome in outcomes {
        #expect((outcome.serverHash == old.active.hash) == (outcome.epoch == 0))
        #expect((outcome.serverHash == new.active.hash) == (outcome.epoch == 1))
        let one = try await test.store.outcome(
          of: test.alice, clientSeed: seed("test"), cursor: outcome.cursor, nonce: outcome.nonce)
        #expect(one == outcome)
      }
      #expect(try await test.store.totals().liveOutcomes == 8)
    },

    StoreCheck("a chain may be made and rotated in one group") { test in
      let changes = try test.settle(
        draw(.anonymous), rotate(.anonymous), draw(.anonymous), rotate(.anonymous), move(.anonymous)
      ).changes
      #expect(changes.newChains.map(\.epoch) == [2] && changes.rotatedChains.isEmpty)
      #expect(changes.revealedSeeds.map(\.epoch) == [0, 1])
      let outcomes = try await test.outcomes(.anonymous)
      #expect(outcomes.map(\.serverHash) == changes.revealedSeeds.map(\.hash).reversed())
      #expect(
        try test.snapshot(draw(.anonymous)).chains.values.map(ChainState.init)
          == changes.newChains.map(ChainState.init))
    },

    StoreCheck("a rotation is the chain's own") { test in
      let carol = try await test.carol()
      try test.settle(draw(test.alice), draw(carol), draw(.anonymous), draw(test.alice, "other"))
      let before = try test.snapshot(draw(carol), draw(.anonymous), draw(test.alice, "other"))
      try test.settle(rotate(test.alice))
      let after = try test.snapshot(draw(carol), draw(.anonymous), draw(test.alice, "other"))
      #expect(LedgerState(after) == LedgerState(before) && after.chains.count == 3)
      #expect(try await test.outcomes(test.alice, "other").map(\.epoch) == [0])
    },

    StoreCheck("a rotation under an idempotency key happens once") { test in
      try test.settle(draw(test.alice))
      let submission = Submission(
        caller: test.alice, claim: test.alice.claim("rotate"), operation: .rotate(seed("test")))
      let first = try test.settle(submission).reply
      try await test.reopen()
      let again = try test.settle(submission)
      #expect(again.reply.body == first.body && again.reply.isReplay && again.changes.isEmpty)
      #expect(try test.snapshot(draw(test.alice)).chains.values.map(\.epoch) == [1])
    },

    StoreCheck("a commitment is kept as it was made") { test in
      var made: [Commitment] = []
      for caller in [test.alice, .anonymous, test.aliceTest, test.bob] {
        made += try test.settle(commit(caller)).changes.newCommitments
        test.now += 1
      }
      let group = made.map { reveal(test.alice, $0.id) }
      for reopens in [false, true] {
        if reopens { try await test.reopen() }
        let found = try test.snapshot(group).commitments
        #expect(
          found.mapValues(CommitmentState.init)
            == Dictionary(
              uniqueKeysWithValues: made.map { ($0.id, CommitmentState($0)) }))
      }
      let unknown = CommitID(bytes: Array(repeating: 7, count: 16))
      #expect(try test.snapshot(reveal(test.alice, unknown)).commitments.isEmpty)
      #expect(try await test.store.totals() == (accounts: 2, liveOutcomes: 0))
    },

    StoreCheck("a commitment becomes one outcome, apart from the chain of its client seed") { test in
      try test.settle(draw(test.alice), draw(test.alice))
      let made = try test.settle(commit(test.alice)).changes.newCommitments[0]
      try await test.reopen()
      let settled = try test.settle(reveal(test.alice, made.id))
      #expect(settled.reply.status == 200)
      let outcome = try #require(settled.changes.outcomes.first)
      #expect(outcome.chain == made.chain && (outcome.cursor, outcome.nonce) == (0, 0))
      #expect(outcome.serverHash == made.active.hash)
      for reopens in [false, true] {
        if reopens { try await test.reopen() }
        var revealed = outcome
        revealed.commitment = RevealedCommitment(id: made.id, seed: made.active.seed)
        #expect(try await test.outcomes(test.alice).last == revealed)
        #expect(try await test.outcomes(test.alice).map(\.nonce) == [1, 0, 0])
        let record = try #require(await test.store.recordedOutcome(id: outcome.id))
        #expect(record.outcome == outcome)
        #expect(record.state == .revealed(settled.changes.revealedSeeds[0]))
        #expect(try test.snapshot(reveal(test.alice, made.id)).commitments[made.id]?.use?.revealed == test.now)
        #expect(try test.settle(reveal(test.alice, made.id)).reply.status == 409)
      }
      // The client seed's own chain goes on as if nothing had been.
      #expect(try test.settle(draw(test.alice)).changes.outcomes.map(\.nonce) == [2])
      #expect(try test.snapshot(draw(test.alice)).accounts[test.alice.account]?.usedToday == 4)
      #expect(try await test.store.totals().liveOutcomes == 4)
    },

    StoreCheck("commitments of one client seed do not meet") { test in
      let made = try test.settle((0..<20).map { _ in commit(.anonymous) }).changes.newCommitments
      let replies = try test.settle(made.map { reveal(.anonymous, $0.id) }).replies
      #expect(replies.map(\.status) == Array(repeating: 200, count: 20))
      #expect(Set(replies.map(\.shortID)).count == 20)
      #expect(try await test.outcomes(.anonymous).map(\.chain) == made.map(\.chain).reversed())
    },

    StoreCheck("what was revealed is listed among what was drawn, newest first, a page at a time") { test in
      let carol = try await test.carol()
      for round in 0..<40 {
        var group = [draw(carol), draw(test.aliceTest)]
        if round % 3 != 1 { group.append(draw(test.alice)) }
        let made = try test.settle(commit(test.alice), commit(test.aliceToo), commit(carol)).changes.newCommitments
        if round % 2 == 0 { group += [reveal(test.aliceToo, made[0].id), reveal(test.alice, made[1].id)] }
        group += [reveal(carol, made[2].id), draw(test.alice, "other")]
        try test.settle(group)
        if round % 4 != 3 { test.now += 1 }
      }
      let drawn = try await test.store.outcomes(
        of: test.alice, clientSeed: seed("test"), from: .newest, limit: 1000, withReveals: false
      ).outcomes
      let all = try await test.outcomes(test.alice)
      #expect(all.filter { $0.commitment == nil } == drawn && drawn.count == 27 && all.count == 27 + 40)
      #expect(zip(all, all.dropFirst()).allSatisfy { $0.created >= $1.created })
      for limit in [1, 2, 7, 66, 67, 68, 1000] {
        var pages: [Outcome] = []
        var start = OutcomeListStart.newest
        while true {
          let page = try await test.store.outcomes(
            of: test.aliceToo, clientSeed: seed("test"), from: start, limit: limit, withReveals: true)
          #expect(page.outcomes.count == min(limit, all.count - pages.count))
          pages += page.outcomes
          guard page.hasMore, let last = page.outcomes.last else { break }
          start = .after(last.id)
        }
        #expect(pages == all, "\(limit)")
      }
      // From coordinates: the chain's outcomes that are older, and what was revealed before the one that stands there.
      for outcome in drawn {
        let page = try await test.store.outcomes(
          of: test.alice, clientSeed: seed("test"), before: (outcome.cursor, outcome.nonce), limit: 1000)
        #expect(page.filter { $0.commitment == nil } == drawn.filter { $0.nonce < outcome.nonce })
        let revealed = all.filter { $0.commitment != nil && $0.created <= outcome.created }
        #expect(page.filter { $0.commitment != nil } == revealed)
      }
      // An outcome of somebody else's leads nowhere.
      let theirs = try #require(await test.outcomes(carol).first)
      for id in [theirs.id, 0, .max] {
        let page = try await test.store.outcomes(
          of: test.alice, clientSeed: seed("test"), from: .after(id), limit: 10, withReveals: true)
        #expect(page.outcomes.isEmpty && !page.hasMore)
      }
    },

    StoreCheck("a commitment cannot be stored as used twice") { test in
      let made = try test.settle(commit(test.alice), commit(test.alice)).changes.newCommitments
      let used = try test.settle(reveal(test.alice, made[0].id)).changes.usedCommitments
      let group = [reveal(test.alice, made[1].id), draw(test.alice)]
      let before = LedgerState(try test.snapshot(group))
      var entropy = SystemRandomNumberGenerator()
      #expect(throws: StoreFailure.self) {
        try test.store.commit(Needs(of: group)) { snapshot in
          var decision = test.decider.decide(group, snapshot: snapshot, entropy: &entropy)
          decision.changes.usedCommitments += used
          return decision
        }
      }
      #expect(LedgerState(try test.snapshot(group)) == before)
      #expect(try await test.outcomes(test.alice).map(\.chain) == used.map(\.chain))
      #expect(try test.settle(group).replies.map(\.status) == [200, 200])
    },

    StoreCheck("chains and commitments share one numbering") { test in
      var numbers: [Int64] = []
      for round in 0..<4 {
        let changes = try test.settle(
          commit(test.alice), draw(test.alice, "chain-\(round)"), commit(.anonymous), commit(test.aliceTest)
        ).changes
        numbers += changes.newChains.map(\.id) + changes.newCommitments.map(\.chain)
        if round % 2 == 1 { try await test.reopen() }
      }
      #expect(Set(numbers).count == 16)
    },

    StoreCheck("test commitments become test outcomes") { test in
      let made = try test.settle(commit(test.aliceTest)).changes.newCommitments[0]
      let settled = try test.settle(reveal(test.aliceTest, made.id), draw(test.aliceTest))
      #expect(settled.replies.map(\.status) == [200, 200] && settled.changes.outcomes.isEmpty)
      let revealed = settled.changes.testOutcomes[0]
      try await test.reopen()
      #expect(
        try await test.store.recordedOutcome(id: revealed.outcome.id)
          == RecordedOutcome(outcome: revealed.outcome, state: .rehearsal(revealed.id)))
      // It is not listed beside the draws of its client seed.
      #expect(try await test.outcomes(test.aliceTest) == [settled.changes.testOutcomes[1].outcome])
      #expect(try test.settle(reveal(test.aliceTest, made.id)).reply.status == 409)
      #expect(try await test.store.totals().liveOutcomes == 0)
      #expect(try test.snapshot(draw(test.alice)).accounts[test.alice.account]?.usedToday == 0)
    },

    StoreCheck("commitments that were never revealed are swept a day after they expired") { test in
      let all = 1200
      let made = try test.settle((0..<all).map { _ in commit(test.alice) }).changes.newCommitments
      try test.settle(reveal(test.alice, made[0].id))
      test.now += 1
      let last = try test.settle(commit(test.alice)).changes.newCommitments[0]
      func left() throws -> Set<CommitID> {
        Set(try test.snapshot((made + [last]).map { reveal(test.alice, $0.id) }).commitments.keys)
      }
      func sweep() throws -> Int {
        var sweeps = 1
        while try test.store.sweepExpiredRecords(keeping: .week) { sweeps += 1 }
        return sweeps
      }
      test.now = made[0].expires + Commitment.afterlife - 1
      #expect(try sweep() == 1)
      #expect(try left().count == all + 1)
      #expect(try test.settle(reveal(test.alice, made[1].id)).reply.status == 410)
      test.now += 1
      #expect(try sweep() > 1, "\(all) commitments at once are not a bounded number")
      #expect(try left() == [made[0].id, last.id])
      test.now += 30 * day
      _ = try sweep()
      #expect(try left() == [made[0].id])
      #expect(try test.settle(reveal(test.alice, last.id)).reply.status == 404)
      #expect(try test.settle(reveal(test.alice, made[0].id)).reply.status == 409)
      // Their numbers are not missed.
      #expect(try test.settle(draw(test.alice)).reply.status == 200)
    },

    StoreCheck("of a hundred who reveal at once, one does") { test in
      let writer = LedgerWriter(store: test.store, decider: test.decider)
      let made = try test.settle(commit(test.alice)).changes.newCommitments[0]
      let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
        for number in 0..<100 {
          group.addTask {
            try await writer.submit(reveal(test.alice, made.id, "client-\(number)")).status
          }
        }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      await writer.drain()
      #expect(statuses.filter { $0 == 200 }.count == 1)
      #expect(statuses.filter { $0 == 409 }.count == 99)
      #expect(try await test.store.totals().liveOutcomes == 1)
    },
  ]
}

/// A commitment as it can be compared.
struct CommitmentState: Equatable {
  let id: CommitID
  let chain: Int64
  let owner: ChainOwner
  let seed: ServerSeed
  let hash: ServerHash
  let created, expires: Milliseconds
  let use: Commitment.Use?

  init(_ commitment: Commitment) {
    id = commitment.id
    chain = commitment.chain
    owner = commitment.owner
    seed = commitment.active.seed
    hash = commitment.active.hash
    created = commitment.created
    expires = commitment.expires
    use = commitment.use
  }
}
