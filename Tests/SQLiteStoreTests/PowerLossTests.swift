import Fairness
import Foundation
import Ledger
import SQLiteStore
import StoreConformance
import Synchronization
import Testing

import enum LedgerSimulation.Disk

/// The power fails: a file has what was synced, and of what was written since then any part.
@Suite(.serialized, .timeLimit(.minutes(5))) struct PowerLossTests {
  private let folder = try! TemporaryFolder()

  /// What stands on the disk for one file.
  private struct Image {
    var durable: [UInt8] = []
    /// What was done since, with its place in the record.
    var pending: [(place: Int, action: Disk.Event.Action)] = []

    static func apply(_ action: Disk.Event.Action, to bytes: inout [UInt8]) {
      switch action {
      case .write(let offset, let new):
        if bytes.count < offset + new.count {
          bytes.append(contentsOf: repeatElement(0, count: offset + new.count - bytes.count))
        }
        bytes.replaceSubrange(offset..<(offset + new.count), with: new)
      case .truncate(let size): bytes.removeLast(max(0, bytes.count - size))
      case .sync: break
      }
    }

    mutating func add(_ action: Disk.Event.Action, at place: Int) {
      guard case .sync(let covered) = action else { return pending.append((place, action)) }
      while let first = pending.first, first.place < covered {
        Self.apply(first.action, to: &durable)
        pending.removeFirst()
      }
    }

    /// What may be found: of what was not synced, the disk has each part or not, and of the last maybe half.
    func found(_ random: inout SystemRandomNumberGenerator) -> [UInt8] {
      var bytes = durable
      let share = Int.random(in: 0...4, using: &random)
      for (_, action) in pending where Int.random(in: 1...4, using: &random) <= share {
        if case .write(let offset, let new) = action, Bool.random(using: &random) {
          Self.apply(.write(offset: offset, bytes: Array(new.prefix(new.count / 2))), to: &bytes)
        } else {
          Self.apply(action, to: &bytes)
        }
      }
      return bytes
    }
  }

  /// An answer, and how much had been written when it came.
  private struct Answered {
    let shortID: [UInt8]
    let place: Int
  }

  /// Draws from several places at once. Each draw is noted with how much had been written when it was answered.
  private func answered(_ rounds: Range<Int>, of test: StoreUnderTest) async throws -> [Answered] {
    let writer = LedgerWriter(store: test.store, decider: test.decider)
    let all = try await withThrowingTaskGroup(of: [Answered].self) { group in
      for task in 0..<8 {
        group.addTask {
          var answered: [Answered] = []
          for round in rounds {
            let submission = draw(test.alice, "seed \(task % 3)", claim: "\(task) \(round)")
            let reply = try await writer.submit(submission)
            try #require(reply.status == 200 && !reply.isReplay)
            answered.append(Answered(shortID: try #require(reply.shortID), place: Disk.recordedCount))
          }
          return answered
        }
      }
      return try await group.reduce(into: []) { $0 += $1 }
    }
    await writer.drain()
    return all
  }

  /// - Parameter pages: how often the log is merged into the file.
  @Test(arguments: [8_000, 20]) func everyDrawThatWasAnsweredIsThere(pages: Int) async throws {
    Disk.watch()
    let file = folder.path("fairdraw.db")
    Disk.record(file)
    let test = try await StoreUnderTest {
      try SQLiteStore(path: file, masterKey: StoreUnderTest.masterKey, checkpointPages: pages, clock: $0)
    }
    let start = Disk.recordedCount
    var answered = try await self.answered(0..<20, of: test)
    // The log begins anew, which is where older parts of it could be taken for new ones.
    try (test.store as? SQLiteStore)?.finish()
    answered += try await self.answered(20..<40, of: test)
    let events = Disk.endRecord()
    let shortIDs = ShortIDs(masterKey: StoreUnderTest.masterKey)
    let numbers = try answered.map { (try #require(shortIDs.decode($0.shortID)), $0.place) }

    var random = SystemRandomNumberGenerator()
    var images: [String: Image] = [:]
    let step = max(1, (events.count - start) / 300)
    for (place, event) in events.enumerated() {
      images[event.path, default: Image()].add(event.action, at: place)
      guard place >= start, place % step == 0 || place == events.count - 1 else { continue }
      let found = folder.path("found-\(place).db")
      // The journal of the moment in which the file was made is long gone.
      for (path, image) in images where !path.hasSuffix("-journal") {
        try Data(image.found(&random)).write(to: URL(fileURLWithPath: found + path.dropFirst(file.count)))
      }
      let due = numbers.filter { $0.1 <= place }.map(\.0)
      try check(found, has: due, place: place)
      for suffix in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: found + suffix) }
    }
  }

  private func check(_ file: String, has numbers: [Int64], place: Int) throws {
    let answer = try sqlite3(
      file,
      """
      PRAGMA integrity_check;
      SELECT count(*) FROM outcomes WHERE id IN (\(numbers.map(String.init).joined(separator: ",")));
      SELECT count(*) FROM (SELECT chain_id FROM outcomes GROUP BY chain_id HAVING count(*) <> max(nonce) + 1);
      SELECT count(*) FROM chains WHERE nonce <>
        (SELECT count(*) FROM outcomes WHERE chain_id = chains.id);
      SELECT count(*) <> (SELECT count(*) FROM idempotency) FROM outcomes;
      """)
    #expect(answer == "ok\n\(numbers.count)\n0\n0\n0", "after \(place) of the record's events")
  }
}
