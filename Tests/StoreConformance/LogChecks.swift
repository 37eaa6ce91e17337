import Fairness
import Foundation
import Ledger
import Logging
import Testing
import Transparency

extension StoreConformance {
  /// What every ``LogStore`` has to do.
  static let logChecks = [
    StoreCheck("what groups do is in the log, in the order in which it was done") { test in
      var expected = [test.firstEntry.bytes]
      for request in try DrawRequest.each("test") {
        let settled = try test.settle(Submission(caller: test.alice, operation: .draw(request)))
        expected += settled.draws(test)
        test.now += 1
      }
      let batch = Submission(
        caller: test.alice,
        operation: .batch(try DrawRequest.each("test").map { .draw($0) } + [.refused(.badRequest("no"))]))
      expected += try test.settle(draw(.anonymous), batch, move(test.alice), draw(test.bob, "new")).draws(test)
      let committed = try test.settle(commit(test.bob), commit(test.aliceTest))
      let commitments = committed.changes.newCommitments
      expected += [LogEntry.commit(commitments[0].expectedDigest).bytes]
      let revealed = try test.settle(reveal(test.bob, commitments[0].id), reveal(test.aliceTest, commitments[1].id))
      expected += revealed.draws(test)
      expected += revealed.changes.revealedSeeds.map { LogEntry.reveal($0.expectedDigest(of: "test")).bytes }
      let rotated = try test.settle(rotate(test.alice), draw(test.alice))
      expected += rotated.changes.revealedSeeds.map { LogEntry.reveal($0.expectedDigest(of: "test")).bytes }
      expected += rotated.draws(test)
      // What changes nothing that the log tells, or was refused, or is a test key's, is not in it.
      try test.settle(draw(test.aliceTest), commitment(test.alice, "other"), reveal(test.bob, commitments[0].id))

      try test.keepLog()
      #expect(try await test.logged() == expected)
      try await test.expectLog(holds: expected)
    },

    StoreCheck("every outcome is proven, as soon as it is in a checkpoint and for ever") { test in
      var outcomes = try test.settle(draw(test.alice), draw(.anonymous)).changes.outcomes
      guard case .missing = try await test.place(of: outcomes[0]) else {
        Issue.record("there is no checkpoint yet")
        return
      }
      for round in 0..<6 {
        try test.keepLog()
        let more = try test.settle((0..<(40 * round)).map { draw(test.alice, "seed \($0)") }).changes.outcomes
        for outcome in outcomes.filter({ $0.id % 7 == 0 }) + [outcomes[0], outcomes[outcomes.count - 1]] {
          try await test.expectProven(outcome)
        }
        if let first = more.first, case .proven = try await test.place(of: first) {
          Issue.record("not in a checkpoint")
        }
        outcomes += more
      }
    },

    StoreCheck("a log grows by whoever keeps it, from where it is") { test in
      var expected = [test.firstEntry.bytes]
      var keeper = try test.keeper
      var work: LogKeeper.Work?
      var checkpoints: [LogCheckpoint] = []
      for (round, count) in [3, 250, 1, 600, 257, 255, 1, 0, 1030].enumerated() {
        if count > 0 {
          expected += try test.settle((0..<count).map { draw(test.alice, "\(round) \($0 % 50)") }).draws(test)
        }
        if round % 3 == 2 {
          // As after a kill: nothing of what it knew is left, and it holds the log until its time is over.
          work = nil
          keeper = try test.keeper
          test.now += 3_000
        }
        while try keeper.step(&work) {}
        checkpoints.append(try #require(try await test.logStore.checkpoint(of: 0)))
        #expect(checkpoints.last?.size == expected.count)
      }
      try await test.reopen()
      try await test.expectLog(holds: expected)
      for checkpoint in checkpoints {
        #expect(try test.root(in: checkpoint) == naiveRoot(expected[..<checkpoint.size].map { .leaf($0) }[...]))
      }
    },

    StoreCheck("what waits is read in parts, each of which says whether there is more") { test in
      for number in 0..<2_001 { try test.settle(draw(.anonymous, "seed \(number % 7)")) }
      let part = try test.logStore.queuedEntries()
      #expect(part.groups.count == 2_000 && part.hasMore)
      var work: LogKeeper.Work?
      let keeper = try test.keeper
      #expect(try keeper.step(&work))
      #expect(try keeper.step(&work) == false)
      #expect(try test.logStore.log(of: 0)?.size == 2_002)
      #expect(try test.logStore.queuedEntries().hasMore == false)
    },

    StoreCheck("an audit begins only if few entries wait for the log") { test in
      try test.settle(draw(.anonymous))
      let store = try #require(test.store as? any AuditStore)
      #expect(try store.auditScope().waiting().isEmpty == false)
      // 33 bytes, doubled until they are more than 8 MiB.
      for _ in 0..<18 {
        try test.sql("INSERT INTO log_queue (drawn, entries) SELECT drawn, entries FROM log_queue")
      }
      let scope = try store.auditScope()
      #expect(scope.queued == nil && scope.lastOutcome == 1)
      #expect { try scope.waiting() } throws: { ($0 as? StoreFailure)?.kind == .passing }
    },

    StoreCheck("the log's history is read as it was") { test in
      let store = test.logStore
      let installation = try store.installation()
      #expect(installation.count == 16)
      var roots: [Int: MerkleHash] = [:]
      for count in [0, 5, 300, 255, 600] {
        if count > 0 { try test.settle((0..<count).map { draw(test.alice, "\($0 % 20)") }) }
        try test.keepLog()
        let checkpoint = try #require(try store.history(of: 0, rootAt: 0).checkpoint)
        roots[checkpoint.size] = try test.root(in: checkpoint)
        for (size, root) in roots { #expect(try store.history(of: 0, rootAt: size).root == root) }
        #expect(try store.history(of: 0, rootAt: checkpoint.size + 1).root == nil)
      }
      #expect(try store.history(of: 0, rootAt: 0).newestEra == 0 && store.history(of: 7, rootAt: 0).checkpoint == nil)
      _ = try await test.accounts.beginEra(reason: "again", after: 0)
      #expect(try store.history(of: 0, rootAt: 0).newestEra == 1)
      try await test.reopen()
      #expect(try test.logStore.installation() == installation)
    },

    StoreCheck("what an earlier era's log has beyond its last checkpoint is signed") { test in
      try test.settle(draw(test.alice), draw(test.alice))
      let identity = try test.identity
      let queued = try test.logStore.queuedEntries().groups
      var tiler = try LogTiler(try #require(try test.logStore.log(of: 0)))
      for group in queued { try tiler.append(group.entries, drawn: group.drawn) }
      let (tiles, bundles) = tiler.take(at: test.now)
      #expect(try test.logStore.holdLog(of: 0, by: [1], for: 1_000))
      #expect(
        try test.logStore.grow(
          LogGrowth(
            era: 0, keeper: [1], time: test.now, from: 0, to: tiler.size, tiles: tiles, bundles: bundles,
            queued: queued.map(\.id))))
      #expect(try await test.logStore.checkpoint(of: 0) == nil)
      for _ in 0..<2 {
        try LogKeeper.finish(identity, in: test.logStore)
        let checkpoint = try #require(try await test.logStore.checkpoint(of: 0))
        #expect(try checkpoint.size == 2 && test.root(in: checkpoint) == tiler.root())
      }
    },

    StoreCheck("one keeper holds the log at a time") { test in
      let store = test.logStore
      #expect(try store.beginLog(of: 0, origin: "first") == "first")
      #expect(try store.beginLog(of: 0, origin: "second") == "first")
      #expect(try store.log(of: 0)?.size == 0)
      #expect(try store.log(of: 1) == nil && store.holdLog(of: 1, by: [1], for: 1_000) == false)
      #expect(try store.holdLog(of: 0, by: [1], for: 1_000))
      #expect(try store.holdLog(of: 0, by: [2], for: 1_000) == false)
      test.now += 999
      #expect(try store.holdLog(of: 0, by: [2], for: 1_000) == false)
      #expect(try store.holdLog(of: 0, by: [1], for: 1_000))
      test.now += 1_000
      #expect(try store.holdLog(of: 0, by: [2], for: 1_000))

      // Who lost it does not go on with it.
      try test.settle(draw(test.alice))
      let queued = try store.queuedEntries().groups
      let growth = test.growth(by: [1], from: 0, queued)
      #expect(try store.grow(growth) == false)
      #expect(try store.grow(test.growth(by: [2], from: 1, queued)) == false)
      #expect(try store.log(of: 0)?.size == 0 && store.queuedEntries().groups.count == 1)
      #expect(try store.grow(test.growth(by: [2], from: 0, queued)))
      #expect(try store.log(of: 0)?.size == 1 && store.queuedEntries().groups.isEmpty)
      // What is gone from the queue cannot be added again.
      #expect(throws: StoreFailure.self) { try store.grow(test.growth(by: [2], from: 1, queued)) }
      #expect(try store.log(of: 0)?.size == 1)
    },

    StoreCheck("how a log grew is kept by the minute, for an hour") { test in
      let store = test.logStore
      _ = try store.beginLog(of: 0, origin: "first")
      #expect(try store.holdLog(of: 0, by: [1], for: 1_000_000_000))
      var size = 0
      func grow(atSecond second: Int64) throws {
        try test.settle(draw(test.alice))
        #expect(try store.grow(test.growth(by: [1], from: size, store.queuedEntries().groups, at: 1_000 * second)))
        size += 1
      }
      #expect(try await store.growth(of: 0).isEmpty)
      for second: Int64 in [60, 119, 120, 3_659] { try grow(atSecond: second) }
      let first = LogMinute(minute: 1, firstSize: 0, size: 2, last: 119_000)
      let others = [
        LogMinute(minute: 2, firstSize: 2, size: 3, last: 120_000),
        LogMinute(minute: 60, firstSize: 3, size: 4, last: 3_659_000),
      ]
      #expect(try await store.growth(of: 0) == [first] + others)
      try grow(atSecond: 3_660)
      #expect(try await store.growth(of: 0) == others + [LogMinute(minute: 61, firstSize: 4, size: 5, last: 3_660_000)])
      #expect(try await store.growth(of: 1).isEmpty)
      try grow(atSecond: 100_000)
      #expect(try await store.growth(of: 0) == [LogMinute(minute: 1666, firstSize: 5, size: 6, last: 100_000_000)])
    },

    StoreCheck("a checkpoint is of what is there, and does not go back") { test in
      let store = test.logStore
      try test.settle(draw(test.alice))
      try test.keepLog()
      let newest = try #require(try await store.checkpoint(of: 0))
      #expect(newest.size == 2)
      for size in [0, 1, 2, 3] { try store.keep(checkpoint: "other", ofSize: size, era: 0) }
      #expect(try await store.checkpoint(of: 0) == newest)
      #expect(try await store.checkpoint(of: 1) == nil)
    },

    StoreCheck("cosignatures are below the checkpoint that they are of") { test in
      let store = test.logStore
      #expect(try await store.cosignedCheckpoint(of: 0) == nil)
      var plain: [LogCheckpoint] = []
      for round in 0..<4 {
        try test.settle((0..<100).map { draw(test.alice, "\(round) \($0)") })
        try test.keepLog()
        plain.append(try #require(try await store.checkpoint(of: 0)))
        for to in plain {
          #expect(
            LogTree.verifyConsistency(
              from: to.size, to: plain[round].size, oldRoot: try test.root(in: to),
              newRoot: try test.root(in: plain[round]),
              path: try await store.consistencyProof(of: 0, from: to.size, to: plain[round].size)))
        }
      }
      #expect(try await store.consistencyProof(of: 0, from: 0, to: plain[3].size).isEmpty)
      func keep(_ number: Int, _ witness: String, line: String? = nil) async throws {
        try await store.keep(
          LogCosignature(
            era: 0, size: plain[number].size, witness: witness, checkpoint: plain[number].text, line: line ?? witness))
      }
      func expect(_ number: Int, _ lines: String...) async throws {
        let expected = LogCheckpoint(
          era: 0, size: plain[number].size, text: plain[number].text + lines.map { "\($0)\n" }.joined())
        #expect(try await store.cosignedCheckpoint(of: 0) == expected)
      }
      try await keep(1, "b")
      try await expect(1, "b")
      try await keep(1, "a", line: "first")
      try await keep(1, "a", line: "second")
      try await expect(1, "second", "b")
      try await keep(2, "b")
      try await expect(1, "second", "b")  // more of them
      try await keep(2, "c")
      try await expect(2, "b", "c")  // newer
      #expect(try await store.checkpoint(of: 0) == plain[3])
      try await keep(3, "c")
      #expect(try await store.checkpoint(of: 0)?.text == plain[3].text + "c\n")
      #expect(try await store.cosignedCheckpoint(of: 1) == nil)
    },

    StoreCheck("a proof is under the checkpoint that most witnesses cosigned, of those that have the entry") { test in
      var outcomes: [Outcome] = []
      var plain: [LogCheckpoint] = []
      for round in 0..<3 {
        outcomes += try test.settle(draw(test.alice, "\(round)")).changes.outcomes
        try test.keepLog()
        plain.append(try #require(try await test.logStore.checkpoint(of: 0)))
      }
      func expect(_ checkpoints: Int...) async throws {
        for (outcome, number) in zip(outcomes, checkpoints) {
          try await test.expectProven(outcome, under: plain[number])
        }
      }
      try await expect(2, 2, 2)
      for (number, witness) in [(0, "a"), (0, "b"), (1, "a"), (0, "c"), (1, "b")] {
        try await test.logStore.keep(
          LogCosignature(
            era: 0, size: plain[number].size, witness: witness, checkpoint: plain[number].text, line: witness))
      }
      try await expect(0, 1, 2)
    },

    StoreCheck("a round of asking witnesses is claimed by one, and old cosignatures go") { test in
      let store = test.logStore
      try test.settle(draw(test.alice))
      try test.keepLog()
      #expect(try await store.claimCosigning(of: 1, for: 5_000) == false)
      #expect(try await store.claimCosigning(of: 0, for: 5_000))
      test.now += 4_999
      #expect(try await store.claimCosigning(of: 0, for: 5_000) == false)
      test.now += 1
      #expect(try await store.claimCosigning(of: 0, for: 5_000))
      // A clock that was set back by days does not keep anybody waiting.
      test.now -= 3 * day
      #expect(try await store.claimCosigning(of: 0, for: 5_000))
      #expect(try await store.claimCosigning(of: 0, for: 5_000) == false)

      func keep(_ size: Int) async throws {
        try await store.keep(LogCosignature(era: 0, size: size, witness: "w", checkpoint: "\(size)", line: "w"))
      }
      try await keep(1)
      try await keep(2)
      test.now += LogCosignature.keeping
      try await keep(3)
      #expect(try await store.claimCosigning(of: 0, for: 1))
      #expect(try await store.cosignedCheckpoint(of: 0)?.size == 3)
      test.now += 1
      #expect(try await store.claimCosigning(of: 0, for: 1))
      test.now += 2 * LogCosignature.keeping
      #expect(try await store.claimCosigning(of: 0, for: 1))
      #expect(try await store.cosignedCheckpoint(of: 0)?.size == 3, "the newest stays")
      for _ in 0..<2 { try await store.keep(LogCosignature(era: 0, size: 2, witness: "w", checkpoint: "2", line: "w")) }
      try await store.keep(LogCosignature(era: 0, size: 2, witness: "v", checkpoint: "2", line: "v"))
      #expect(try await store.cosignedCheckpoint(of: 0)?.text == "2v\nw\n")
    },

    StoreCheck("a published day is an entry") { test in
      let outcomes = try test.settle(draw(test.alice), draw(test.bob)).changes.outcomes
      test.now = newYear + day
      let published = try test.publish(newYearsDay)
      test.now += day
      let empty = try test.publish(newYearsDay.next)
      try test.keepLog()
      let root = LogEntry.root(date: "\(newYearsDay)", root: published.root, leafCount: 2)
      let none = LogEntry.root(date: "\(empty.day)", root: nil, leafCount: 0)
      #expect(
        try await test.logged()
          == [test.firstEntry.bytes] + outcomes.map { LogEntry.draw($0.expectedDigest(test)).bytes }
          + [root, none].map(\.bytes))
    },

    StoreCheck("a failed group leaves nothing in the queue") { test in
      do {
        _ = try test.store.commit(Needs(of: [draw(test.alice)])) { snapshot in
          var entropy = SystemRandomNumberGenerator()
          var decision = test.decider.decide([draw(test.alice)], snapshot: snapshot, entropy: &entropy)
          decision.changes.outcomes += decision.changes.outcomes
          return decision
        }
        Issue.record("an outcome was stored twice")
      } catch {}
      let queued = try test.logStore.queuedEntries().groups
      #expect(queued.isEmpty)
    },
  ]
}

/// The root of RFC 6962, section 2.1, word for word.
private func naiveRoot(_ leaves: ArraySlice<MerkleHash>) -> MerkleHash {
  guard leaves.count > 1 else { return leaves.first ?? LogTree.emptyRoot }
  var half = 1
  while 2 * half < leaves.count { half *= 2 }
  let middle = leaves.startIndex + half
  return .node(naiveRoot(leaves[..<middle]), naiveRoot(leaves[middle...]))
}

extension Settled {
  /// The entries of its draws.
  fileprivate func draws(_ test: StoreUnderTest) -> [[UInt8]] {
    changes.outcomes.map { LogEntry.draw($0.expectedDigest(test)).bytes }
  }
}

extension Outcome {
  /// From what was answered, not from what is stored.
  fileprivate func expectedDigest(_ test: StoreUnderTest) -> LogDigest {
    let common: Set<String> = [
      "outcome", "shortId", "permalink", "serverHash", "clientSeed", "cursor", "nonce", "endpoint", "count", "created",
      "mode",
    ]
    var body: [UInt8] = []
    let shortID = test.decider.renderer.append(self, to: &body)
    // Every member of the answer is "name":value, and no value here has a comma or a colon but in brackets.
    let members = String(decoding: fields, as: UTF8.self).replacing(/"count":[0-9]+,?/, with: "")
    let parameters = members.hasSuffix(",") ? String(members.dropLast()) : members
    #expect(common.allSatisfy { String(decoding: body, as: UTF8.self).contains("\"\($0)\":") })
    let lines =
      [
        "fairdraw/outcome/v1", String(decoding: shortID, as: UTF8.self), "\(created)", endpoint.name,
        serverHash.description, "\(cursor)", "\(nonce)", hexDigest(clientSeed.bytes),
        items.map { hexDigest(Array("[".utf8) + $0 + Array("]".utf8)) } ?? "", "{\(parameters)}",
        String(decoding: value, as: UTF8.self),
      ]
    return LogDigest(of: Array(lines.map { $0 + "\n" }.joined().utf8))
  }
}

extension Commitment {
  fileprivate var expectedDigest: LogDigest {
    LogDigest(of: Array("fairdraw/commitment/v1\n\(id)\n\(active.hash)\n\(created)\n\(expires)\n".utf8))
  }
}

extension RevealedSeed {
  fileprivate func expectedDigest(of clientSeed: String) -> LogDigest {
    let seed = String(decoding: self.seed.ascii, as: UTF8.self)
    let client = hexDigest(Array(clientSeed.utf8))
    return LogDigest(
      of: Array("fairdraw/reveal/v1\n\(hash)\n\(seed)\n\(client)\n\(cursor)\n\(nonce)\n\(revealed)\n".utf8))
  }
}

private func hexDigest(_ bytes: [UInt8]) -> String { LogDigest(of: bytes).description }

extension StoreUnderTest {
  var logStore: any LogStore {
    guard let store = store as? any LogStore else { preconditionFailure("the store is no log's") }
    return store
  }

  fileprivate var firstEntry: LogEntry {
    .keys(era: 0, vrf: Self.seeds.publicKey.bytes, daily: Array(repeating: 7, count: 32))
  }

  fileprivate var identity: LogIdentity {
    get throws {
      try LogIdentity(masterKey: Self.masterKey, store: logStore, era: 0, publicURL: "https://draw.example")
    }
  }

  fileprivate var keeper: LogKeeper {
    get throws { LogKeeper(store: logStore, identity: try identity, first: firstEntry, logger: Logger(label: "test")) }
  }

  /// Brings all that is queued into the log, and signs it.
  func keepLog() throws {
    let keeper = try keeper
    var work: LogKeeper.Work?
    while try keeper.step(&work) {}
    now += 3_000  // it lets go
  }

  /// The lines of the log's entries.
  fileprivate func logged() async throws -> [[UInt8]] {
    let size = try logStore.log(of: 0)?.size ?? 0
    var lines: [[UInt8]] = []
    for number in 0..<((size + 255) / 256) {
      try await logStore.logEntries(number, of: 0).forEachEntry { lines.append($0.bytes) }
    }
    return lines
  }

  /// The root that a checkpoint states; checks that it is the log's, signed.
  fileprivate func root(in checkpoint: LogCheckpoint) throws -> MerkleHash {
    let note = try SignedNote(checkpoint.text)
    let stated = try Checkpoint(text: note.text)
    let key = try identity.verifierKey
    #expect(stated.origin == "draw.example/log/0" && stated.size == checkpoint.size)
    #expect(note.signatures.count == 1 && note.signatures.allSatisfy { key.accepts($0, of: note.text) })
    return stated.root
  }

  fileprivate func expectLog(holds lines: [[UInt8]]) async throws {
    let checkpoint = try #require(try await logStore.checkpoint(of: 0))
    #expect(checkpoint.size == lines.count)
    let leaves = lines.map { MerkleHash.leaf($0) }
    #expect(try root(in: checkpoint) == naiveRoot(leaves[...]))
    #expect(try await logged() == lines)
    var nodes = leaves
    for level in stride(from: 0, to: 24, by: 8) where !nodes.isEmpty {
      for number in 0..<((nodes.count + 255) / 256) {
        let tile = try await logStore.logTile(at: .init(level: level, number: number), of: 0)
        #expect(tile == nodes[(256 * number)..<min(256 * (number + 1), nodes.count)].flatMap(\.bytes))
      }
      nodes = (0..<(nodes.count / 256)).map { naiveRoot(nodes[(256 * $0)..<(256 * ($0 + 1))]) }
    }
  }

  fileprivate func place(of outcome: Outcome) async throws -> LogPlace {
    try await logStore.place(of: outcome.expectedDigest(self), drawn: outcome.created)
  }

  /// - Parameter wanted: the checkpoint that it is proven under, without cosignatures; any if there is none.
  fileprivate func expectProven(_ outcome: Outcome, under wanted: LogCheckpoint? = nil) async throws {
    guard case .proven(let index, let logged, let path, let found) = try await place(of: outcome) else {
      Issue.record("outcome \(outcome.id) is not in the log")
      return
    }
    let checkpoint = wanted ?? found
    #expect(logged.map { $0 >= outcome.created } == true)
    #expect(found.size == checkpoint.size && found.text.hasPrefix(checkpoint.text))
    let entry = LogEntry.draw(outcome.expectedDigest(self)).bytes
    #expect(
      LogTree.verifyInclusion(
        leaf: .leaf(entry), index: index, size: checkpoint.size, path: path, root: try root(in: checkpoint)))
  }

  /// A growth of as many entries as are queued; its tiles do not matter.
  fileprivate func growth(
    by keeper: [UInt8], from: Int, _ queued: [QueuedEntries], at time: Milliseconds = 0
  ) -> LogGrowth {
    LogGrowth(
      era: 0, keeper: keeper, time: time, from: from, to: from + queued.reduce(0) { $0 + $1.entries.count },
      tiles: [MerkleTile(place: .init(level: 0, number: 0), bytes: Array(repeating: 1, count: 32))],
      bundles: [LogBundle(number: 0, entries: queued[0].entries, drawn: queued[0].drawn.map { $0...$0 })],
      queued: queued.map(\.id))
  }
}
