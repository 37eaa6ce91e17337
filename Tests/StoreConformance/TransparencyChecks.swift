import Accounts
import Fairness
import Foundation
import Ledger
import Logging
import Synchronization
import Testing
import Transparency

extension StoreConformance {
  /// What every ``TransparencyStore`` has to do; the stores that the openers make must be both.
  static let transparencyChecks = [
    StoreCheck("a day's tree holds its live outcomes, sorted") { test in
      let carol = try await test.carol()
      // Client seeds whose bytes sort otherwise than their letters, and coordinates that many outcomes share.
      let seeds = ["é", "e\u{301}", "z", "Z", "a:1:1", "a", "\u{ffff}", "🎲", "1", "10", "9"]
      var outcomes: [Outcome] = []
      for round in 0..<12 {
        let callers = [test.alice, carol, test.aliceTest, .anonymous]
        var group = callers.flatMap { caller in seeds.map { draw(caller, $0) } }
        if round % 5 == 4 { group += [move(test.alice, "z"), move(.anonymous, "é")] }
        outcomes += try test.settle(group).changes.outcomes
        test.now += 61_000
      }
      test.now = newYear + day
      let published = try test.publish(newYearsDay)
      try await test.expect(published, holds: outcomes)
    },

    StoreCheck("what a deleted account drew stays in the log, published before or after") { test in
      let first = try test.settle(draw(test.alice), draw(test.bob)).changes.outcomes
      test.now += day
      let before = try test.publish(newYearsDay)
      let second = try test.settle(draw(test.alice), draw(test.aliceToo)).changes.outcomes
      try await test.accounts.deleteAccount(test.alice.account)
      test.now += day
      let after = try test.publish(newYearsDay.next)
      try await test.expect(before, holds: first)
      try await test.expect(after, holds: second)
    },

    StoreCheck("a day ends at midnight UTC, to the millisecond") { test in
      var outcomes: [Outcome] = []
      for moment in [newYear + 1, newYear + day - 1, newYear + day, newYear + 2 * day - 1, newYear + 2 * day] {
        test.now = moment
        outcomes += try test.settle(draw(test.alice)).changes.outcomes
      }
      test.now = newYear + 3 * day
      for number in 0..<3 as Range<Int64> {
        let published = try test.publish(Day(number: newYearsDay.number + number))
        try await test.expect(published, holds: outcomes.filter { Day(of: $0.created) == published.day })
      }
    },

    StoreCheck("days follow one another, those without outcomes too") { test in
      #expect(try test.log.nextDay() == nil)
      try test.settle(draw(test.aliceTest))
      #expect(try test.log.nextDay() == nil)
      let first = try test.settle(draw(test.alice)).changes.outcomes
      #expect(try test.log.nextDay() == newYearsDay)
      test.now += 3 * day
      let second = try test.settle(draw(test.alice), draw(.anonymous)).changes.outcomes
      test.now += day
      var told: [PublishedDay] = []
      try test.publisher.publish(through: Day(of: test.now).previous) { told.append($0) }
      #expect(told.map(\.day) == (0..<4).map { Day(number: newYearsDay.number + $0) })
      #expect(told.map(\.leafCount) == [1, 0, 0, 2])
      #expect(told.map { $0.root == nil } == [false, true, true, false])
      #expect(told.map(\.previousRoot) == [nil, told[0].root, nil, nil])
      try await test.expect(told[0], holds: first)
      try await test.expect(told[1], holds: [])
      try await test.expect(told[3], holds: second)
      #expect(try test.log.nextDay() == Day(of: test.now))
      #expect(try await test.log.publishedDays(before: nil, limit: 90) == told.reversed())
      #expect(try await test.log.publishedDays(before: nil, limit: 2) == [told[3], told[2]])
      #expect(try await test.log.publishedDays(before: told[2].day, limit: 90) == [told[1], told[0]])
      #expect(try await test.log.publishedDays(before: told[0].day, limit: 90).isEmpty)
      let signer = try test.signer
      for day in told { #expect(day.statement.isSigned(day.signature, by: signer.publicKey)) }
      try await test.reopen()
      #expect(try await test.log.publishedDays(before: nil, limit: 90) == told.reversed())
    },

    StoreCheck("a day is not published before it is over") { test in
      try test.settle(draw(test.alice))
      test.now = newYear + day - 1
      #expect(throws: DayNotOver(newYearsDay)) { try test.publisher.publish(through: newYearsDay) }
      #expect(throws: DayNotOver(newYearsDay)) { try test.log.openDay(newYearsDay) }
      // Being refused changes nothing: the day goes on.
      let last = try test.settle(draw(test.alice)).changes.outcomes
      #expect(last[0].created == newYear + day - 1)
      test.now += 1
      #expect(try test.publish(newYearsDay).leafCount == 2)
    },

    StoreCheck("nothing is recorded in a day that is sealed, whatever the clock says") { test in
      try test.settle(draw(test.alice))
      test.now = newYear + day
      _ = try test.log.openDay(newYearsDay)
      let times = [newYear + day - 1, newYear + 12 * hour, newYear - 300 * day, 0]
      for reopens in [false, true] {
        for time in times {
          test.now = time
          if reopens { try await test.reopen() }
          let drawn = try test.settle(draw(test.alice), draw(test.bob, "new"), draw(.anonymous)).changes.outcomes
          for outcome in drawn { #expect(outcome.created >= newYear + day) }
        }
      }
      test.now = newYear + 2 * day
      #expect(try test.publish(newYearsDay).leafCount == 1)
    },

    StoreCheck("time does not go back over a restart") { test in
      let then = test.now
      try test.settle(draw(test.alice))
      test.now = then - 2 * hour
      try await test.reopen()
      #expect(try test.settle(draw(test.alice)).changes.outcomes[0].created == then)
    },

    StoreCheck("nothing of a day is seen before it is published") { test in
      let outcomes = try test.settle((0..<600).map { draw(test.alice, "seed \($0)") }).changes.outcomes
      test.now = newYear + day
      // As far as it goes without being published; then from the start again.
      for _ in 0..<2 {
        let draft = try test.log.openDay(newYearsDay)
        var tiler = MerkleTiler()
        while true {
          let leaves = try draft.nextLeaves(limit: 100)
          if leaves.isEmpty { break }
          for leaf in leaves { tiler.append(leaf.hash) }
        }
        _ = tiler.finish()
        try draft.keep(tiler.takeTiles())
        while try draft.keepPlaces() {}
        #expect(tiler.tree.leafCount == 600)

        #expect(try await test.log.publishedDay(newYearsDay) == nil)
        #expect(try await test.log.publishedDays(before: nil, limit: 90).isEmpty)
        #expect(try await test.log.leafTiles(of: newYearsDay, first: 0, limit: 10).isEmpty)
        #expect(try await test.log.leaves(of: test.alice.account, on: newYearsDay, after: nil).leaves.isEmpty)
        let found = try #require(try await test.log.find(.id(outcomes[7].id)))
        #expect(found.place == nil && found.day == newYearsDay)
        #expect(try test.log.nextDay() == newYearsDay)
        try await test.reopen()
      }
      try await test.expect(try test.publish(newYearsDay), holds: outcomes)
    },

    StoreCheck("what a cut-short publication left does not show in the next") { test in
      let outcomes = try test.settle((0..<300).map { draw(.anonymous, "seed \($0)") }).changes.outcomes
      test.now = newYear + day
      let draft = try test.log.openDay(newYearsDay)
      while try !draft.nextLeaves(limit: 100).isEmpty {}
      // Not what belongs there: say, of a program with a fault that was mended since.
      let wrong = [UInt8](repeating: 7, count: 32)
      try draft.keep([
        MerkleTile(place: MerkleTile.Place(level: 0, number: 0), bytes: wrong),
        MerkleTile(place: MerkleTile.Place(level: 8, number: 0), bytes: wrong),
      ])
      _ = try draft.keepPlaces()
      try await test.expect(try test.publish(newYearsDay), holds: outcomes)
    },

    StoreCheck("a published day never changes") { test in
      let outcomes = try test.settle((0..<300).map { draw(.anonymous, "seed \($0)") }).changes.outcomes
      test.now = newYear + day
      let late = try test.log.openDay(newYearsDay)
      while try !late.nextLeaves(limit: 100).isEmpty {}
      let published = try test.publish(newYearsDay)

      // Somebody who began before it was published, and comes to other conclusions.
      let wrong = [UInt8](repeating: 7, count: 32)
      try late.keep([MerkleTile(place: MerkleTile.Place(level: 0, number: 0), bytes: wrong)])
      while try late.keepPlaces() {}
      test.now += hour
      let answered = try late.publish { _ in
        PublishedDay(
          day: newYearsDay, root: try! MerkleHash(bytes: wrong), leafCount: 1, previousRoot: nil,
          signature: wrong + wrong,
          publishedAt: 0)
      }
      #expect(answered == published)
      // And somebody who comes after.
      let again = try test.log.openDay(newYearsDay)
      try again.keep([MerkleTile(place: MerkleTile.Place(level: 8, number: 0), bytes: wrong)])
      #expect(try again.publish { _ in answered } == published)
      #expect(try test.publish(newYearsDay) == published)
      try await test.expect(published, holds: outcomes)
      try await test.reopen()
      try await test.expect(published, holds: outcomes)
    },

    StoreCheck("several may publish the same days at the same time") { test in
      let first = try test.settle((0..<300).map { draw(.anonymous, "seed \($0)") }).changes.outcomes
      test.now += day
      let second = try test.settle((0..<300).map { draw(.anonymous, "seed \($0)") }).changes.outcomes
      test.now += day
      let last = Day(of: test.now).previous
      try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<4 {
          let publisher = test.publisher
          group.addTask { try publisher.publish(through: last) }
        }
        try await group.waitForAll()
      }
      let days = try await test.log.publishedDays(before: nil, limit: 90)
      #expect(days.map(\.day) == [last, newYearsDay])
      try await test.expect(days[1], holds: first)
      try await test.expect(days[0], holds: second)
    },

    StoreCheck("a day needs the day before it") { test in
      try test.settle(draw(test.alice))
      test.now += day
      try test.settle(draw(test.alice))
      test.now += 2 * day
      try test.publish(newYearsDay)
      let draft = try test.log.openDay(newYearsDay.next.next)
      #expect(throws: StoreFailure.self) {
        try draft.publish { previous in
          PublishedDay(
            day: newYearsDay.next.next, root: nil, leafCount: 0, previousRoot: previous, signature: [], publishedAt: 0)
        }
      }
      #expect(try await test.log.publishedDays(before: nil, limit: 90).map(\.day) == [newYearsDay])
      try test.publish(newYearsDay.next.next)
      #expect(try await test.log.publishedDays(before: nil, limit: 90).count == 3)
    },

    StoreCheck("a failure on the way to the last step leaves the day unpublished") { test in
      struct Fault: Error {}
      let outcomes = try test.settle(draw(test.alice)).changes.outcomes
      test.now += day
      let draft = try test.log.openDay(newYearsDay)
      #expect(throws: (any Error).self) { try draft.publish { _ in throw Fault() } }
      #expect(try await test.log.publishedDay(newYearsDay) == nil)
      #expect(try test.settle(draw(test.alice)).reply.status == 200)
      try await test.expect(try test.publish(newYearsDay), holds: outcomes)
    },

    StoreCheck("the first outcome at some coordinates is found whoever drew it, once its day is published") { test in
      let carol = try await test.carol()
      let callers = [carol, test.alice, .anonymous, test.aliceTest]
      let drawn = try test.settle(callers.flatMap { [draw($0), draw($0), draw($0, "é")] }).changes.outcomes
      let revealed = try (0..<3).map { _ in
        let id = try test.settle(commit(test.alice)).changes.newCommitments[0].id
        return try test.settle(reveal(test.alice, id, "r")).changes.outcomes[0]
      }
      func first(_ clientSeed: String, _ nonce: Int64, on day: Day = newYearsDay) async throws -> FoundOutcome? {
        try await test.log.first(of: seed(clientSeed), cursor: 0, nonce: nonce, on: day)
      }
      #expect(try await first("test", 0) == nil)
      test.now = newYear + day
      _ = try test.publish(newYearsDay)
      for (clientSeed, nonce) in [("test", 0), ("test", 1), ("é", 0), ("r", 0)] as [(String, Int64)] {
        let found = try #require(try await first(clientSeed, nonce))
        var places: [Int] = []
        for outcome in drawn + revealed where outcome.clientSeed == seed(clientSeed) && outcome.nonce == nonce {
          places.append(try #require(try await test.log.find(.id(outcome.id))?.place?.index))
        }
        #expect(places.count == 3 && found.place?.index == places.min())
      }
      #expect(try await first("test", 2) == nil)
      #expect(try await first("nobody's", 0) == nil)
      #expect(try await first("test", 0, on: newYearsDay.next) == nil)
    },

    StoreCheck("outcomes are found by id, and by coordinates on their owner's chain") { test in
      let drawn = try test.settle(draw(test.alice), draw(.anonymous), draw(test.alice), draw(test.aliceTest)).changes
      func find(_ caller: Caller, _ clientSeed: String, _ cursor: Int64, _ nonce: Int64) async throws -> LogLeaf? {
        let key = ChainKey(owner: caller.chainOwner, clientSeed: seed(clientSeed))
        return try await test.log.find(.coordinates(key, cursor: cursor, nonce: nonce))?.leaf
      }
      for round in 0..<2 {
        for outcome in drawn.outcomes {
          let found = try #require(try await test.log.find(.id(outcome.id)))
          #expect(found.leaf == outcome.leaf)
          #expect((found.place == nil) == (round == 0))
        }
        #expect(try await find(test.alice, "test", 0, 0) == drawn.outcomes[0].leaf)
        #expect(try await find(.anonymous, "test", 0, 0) == drawn.outcomes[1].leaf)
        #expect(try await find(test.alice, "test", 0, 1) == drawn.outcomes[2].leaf)
        #expect(try await find(.anonymous, "test", 0, 1) == nil)
        #expect(try await find(test.alice, "test", 1, 0) == nil)
        #expect(try await find(test.bob, "test", 0, 0) == nil)
        #expect(try await find(test.alice, "Test", 0, 0) == nil)
        #expect(try await test.log.find(.id(drawn.testOutcomes[0].outcome.id)) == nil)
        for id in [0, -1, 99, .max] as [Int64] { #expect(try await test.log.find(.id(id)) == nil) }
        test.now = newYear + day
        try test.publish(newYearsDay)
      }
    },

    StoreCheck("an account reads its own leaves, with all of its live keys") { test in
      let gone = try await test.accounts.createKey(NewAPIKey(mode: .live), forAccountNamed: "alice")
      let revoked = Caller.key(gone.id, gone.account, .live)
      var outcomes = try test.settle(
        draw(test.alice), draw(test.aliceToo), draw(.anonymous), draw(revoked), draw(test.bob), draw(test.aliceTest),
        draw(test.alice, "other")
      ).changes.outcomes
      _ = try await test.accounts.revokeKey(prefix: gone.prefix)
      test.now = newYear + day
      try test.settle(draw(test.alice))  // of the next day
      let published = try test.publish(newYearsDay)
      outcomes.removeAll { [test.bob, .anonymous].map(\.chainOwner.rawValue).contains(test.owner(of: $0)) }
      #expect(outcomes.count == 4)
      let mine = try await test.leaves(of: test.alice, on: newYearsDay)
      #expect(mine.map(\.leaf) == outcomes.map(\.leaf))
      for placed in mine {
        let outcome = try #require(outcomes.first { $0.leaf == placed.leaf })
        let found = try #require(try await test.log.find(.id(outcome.id)))
        #expect(found.place?.index == placed.index)
      }
      #expect(Set(mine.map(\.index)).count == 4 && mine.allSatisfy { $0.index < published.leafCount })
      #expect(try await test.leaves(of: test.bob, on: newYearsDay).count == 1)
      #expect(try await test.leaves(of: test.alice, on: newYearsDay.next).isEmpty)
    },

    StoreCheck("a day that ends under load is complete") { test in
      let carol = try await test.carol()
      let writer = LedgerWriter(store: test.store, decider: test.decider)
      let callers: [Caller] = [test.alice, carol, .anonymous]
      test.now = newYear + day - 40
      let isOver = Flag()
      try await withThrowingTaskGroup(of: Void.self) { group in
        for (index, caller) in callers.enumerated() {
          group.addTask {
            var count = 0
            while !isOver.isSet {
              let reply = try await writer.submit(draw(caller, "seed \(count % (7 + index))"))
              #expect(reply.status == 200)
              count += 1
              test.now += 1
            }
          }
        }
        group.addTask {
          defer { isOver.set() }
          while Day(of: test.now) == newYearsDay { try await Task.sleep(for: .milliseconds(1)) }
          try test.publish(newYearsDay)
        }
        try await group.waitForAll()
      }
      await writer.drain()
      var outcomes: [Outcome] = []
      for caller in callers {
        for number in 0..<10 { outcomes += try await test.outcomes(caller, "seed \(number)") }
      }
      let published = try #require(try await test.log.publishedDay(newYearsDay))
      try await test.expect(published, holds: outcomes.filter { $0.created < newYear + day })
      #expect(published.leafCount > 0 && published.leafCount < outcomes.count)
    },

    StoreCheck("a draft that is interrupted can be done again") { test in
      let outcomes = try test.settle((0..<50).map { draw(.anonymous, "seed \($0)") }).changes.outcomes
      test.now += day
      let draft = try test.log.openDay(newYearsDay)
      draft.interrupt()
      _ = try? draft.nextLeaves(limit: 10)
      draft.interrupt()
      try await test.expect(try test.publish(newYearsDay), holds: outcomes)
    },
  ]
}

/// Set once, by one task for others.
private final class Flag: Sendable {
  private let state = Mutex(false)

  var isSet: Bool { state.withLock { $0 } }
  func set() { state.withLock { $0 = true } }
}

let newYearsDay = Day(of: newYear)

extension Outcome {
  fileprivate var leaf: LogLeaf {
    LogLeaf(clientSeed: clientSeed, cursor: cursor, nonce: nonce, serverHash: serverHash, created: created)
  }
}

extension StoreUnderTest {
  fileprivate var log: any TransparencyStore { store as! any TransparencyStore }
  fileprivate var signer: RootSigner { get throws { try RootSigner(masterKey: Self.masterKey) } }

  fileprivate var publisher: MerklePublisher {
    MerklePublisher(
      store: log, signer: try! signer, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
      clock: { self.now })
  }

  /// Publishes up to a day; the day as it can then be read.
  @discardableResult
  func publish(_ day: Day) throws -> PublishedDay {
    var last: PublishedDay?
    try publisher.publish(through: day) { last = $0 }
    if let last, last.day == day { return last }
    // It was published before: its draft says as what.
    return try log.openDay(day).publish { _ in throw StoreFailure("\(day) was not published") }
  }

  fileprivate func owner(of outcome: Outcome) -> Int64? {
    for caller in [alice, aliceToo, bob, .anonymous] where owns(caller, outcome) { return caller.chainOwner.rawValue }
    return nil
  }

  private func owns(_ caller: Caller, _ outcome: Outcome) -> Bool {
    let needs = Submission(caller: caller, operation: .seed(outcome.clientSeed))
    return (try? snapshot(needs))?.chains.values.contains { $0.id == outcome.chain } ?? false
  }

  fileprivate func leaves(of caller: Caller, on day: Day) async throws -> [PlacedLeaf] {
    var all: [PlacedLeaf] = []
    var after: Int64?
    repeat {
      let page = try await log.leaves(of: caller.account, on: day, after: after)
      all += page.leaves
      after = page.next
    } while after != nil
    return all
  }

  /// Holds a day against the outcomes that must be in it: its leaves, its root, its signature, and a proof of each.
  fileprivate func expect(_ published: PublishedDay, holds outcomes: [Outcome]) async throws {
    let shortIDs = ShortIDs(masterKey: Self.masterKey)
    let sorted = outcomes.sorted {
      if $0.clientSeed != $1.clientSeed { return $0.clientSeed < $1.clientSeed }
      if ($0.cursor, $0.nonce) != ($1.cursor, $1.nonce) { return ($0.cursor, $0.nonce) < ($1.cursor, $1.nonce) }
      return shortIDs.encode($0.id).lexicographicallyPrecedes(shortIDs.encode($1.id))
    }
    var tree = MerkleTree()
    for outcome in sorted { tree.append(outcome.leaf.hash) }
    #expect(published.leafCount == outcomes.count)
    #expect(published.root == tree.root())
    #expect(published.statement.isSigned(published.signature, by: try signer.publicKey))
    #expect(try await log.publishedDay(published.day) == published)

    var leaves: [MerkleHash] = []
    while true {
      let tiles = try await log.leafTiles(of: published.day, first: (leaves.count + 255) / 256, limit: 2)
      if tiles.isEmpty { break }
      leaves += tiles.flatMap(\.hashes)
    }
    #expect(leaves == sorted.map(\.leaf.hash))
    for (index, outcome) in sorted.enumerated() {
      let place = try #require(try await log.find(.id(outcome.id))?.place)
      #expect(place.index == index && place.day == published)
      let proof = try #require(InclusionProof(index: place.index, leafCount: published.leafCount, tiles: place.tiles))
      try proof.verify(outcome.leaf.hash, root: try #require(published.root))
    }
  }
}
