import Fairness
import Ledger
import Testing

@Suite struct LogEntriesTests {
  private static let digest = LogDigest(of: [1, 2, 3])
  private static let entries: [LogEntry] = [
    .keys(era: 7, vrf: Array(repeating: 1, count: 32), daily: Array(repeating: 255, count: 32)), .commit(digest),
    .draw(LogDigest(of: [])), .reveal(digest), .root(date: "2026-01-01", root: .leaf([1]), leafCount: 17),
    .root(date: "2026-01-02", root: nil, leafCount: 0), .draw(digest),
  ]

  private var entries: LogEntries {
    var entries = LogEntries()
    for entry in Self.entries { entries.append(entry) }
    return entries
  }

  private func read(_ entries: LogEntries) throws -> [LogEntry] {
    var read: [LogEntry] = []
    try entries.forEachEntry { read.append($0) }
    return read
  }

  @Test func comeBackAsTheyWere() throws {
    #expect(entries.count == 7 && !entries.isEmpty && LogEntries().isEmpty)
    #expect(try read(entries) == Self.entries)
    #expect(try LogEntries(bytes: entries.bytes) == entries)
    #expect(try LogEntries(bytes: []).isEmpty)
  }

  @Test func aDigestTakes33Bytes() {
    var entries = LogEntries()
    entries.append(.draw(Self.digest))
    #expect(entries.bytes == [2] + Self.digest.bytes)
  }

  @Test func areTakenInParts() throws {
    for size in 1...8 {
      var place = 0
      var joined = LogEntries()
      var leaves: [UInt8] = []
      while place < entries.bytes.count {
        let part = entries.next(size, from: &place)
        #expect(part.count == min(size, 7 - joined.count))
        #expect(try LogEntries(bytes: part.bytes) == part)
        joined.append(part)
        try part.appendLeaves(to: &leaves)
      }
      #expect(joined == entries && entries.next(size, from: &place).isEmpty)
      #expect(leaves == Self.entries.flatMap { MerkleHash.leaf($0.bytes).bytes })
    }
  }

  @Test func aDrawIsFoundByItsDigest() {
    #expect(entries.firstIndex(ofDraw: LogDigest(of: [])) == 2)
    #expect(entries.firstIndex(ofDraw: Self.digest) == 6, "not the commitment or reveal of that digest")
    #expect(entries.firstIndex(ofDraw: LogDigest(of: [9])) == nil)
  }

  @Test func damageIsAFailure() throws {
    let bytes = entries.bytes
    let ends = try (1...Self.entries.count).map { count in
      var some = LogEntries()
      for entry in Self.entries.prefix(count) { some.append(entry) }
      return some.bytes.count
    }
    for length in 1..<bytes.count where !ends.contains(length) {
      #expect(throws: StoreFailure.self) { try LogEntries(bytes: Array(bytes[..<length])) }
    }
    #expect(throws: StoreFailure.self) { try LogEntries(bytes: [4] + Self.digest.bytes) }
    #expect(throws: StoreFailure.self) { try LogEntries(bytes: [0, 0]) }
    // Whole, but no entry.
    let text = try LogEntries(bytes: [0, 2, 0x68, 0x69])
    #expect(throws: StoreFailure.self) { try read(text) }
    var leaves: [UInt8] = []
    #expect(throws: StoreFailure.self) { try text.appendLeaves(to: &leaves) }
  }
}
