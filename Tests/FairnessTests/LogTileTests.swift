import Fairness
import Testing

@Suite struct LogTilePathTests {
  @Test(arguments: [
    ("tile/0/000", LogTilePath(.hashes(level: 0), number: 0)),
    ("tile/0/067", LogTilePath(.hashes(level: 0), number: 67)),
    ("tile/1/x001/x234/067", LogTilePath(.hashes(level: 1), number: 1_234_067)),
    ("tile/63/x001/000.p/1", LogTilePath(.hashes(level: 63), number: 1000, width: 1)),
    ("tile/2/999.p/255", LogTilePath(.hashes(level: 2), number: 999, width: 255)),
    ("tile/entries/x001/x234/067", LogTilePath(.entries, number: 1_234_067)),
    ("tile/entries/000.p/17", LogTilePath(.entries, number: 0, width: 17)),
    ("tile/63/x009/x223/x372/x036/x854/x775/807.p/255", LogTilePath(.hashes(level: 63), number: .max, width: 255)),
  ])
  func areWrittenAndRead(text: String, path: LogTilePath) {
    #expect(path.description == text)
    #expect(LogTilePath(text) == path)
    #expect(LogTilePath(text[...]) == path)
  }

  @Test(arguments: [
    "", "/", "tile", "tile/", "tile/0", "tile/0/", "/tile/0/000", "tile/0/000/", "tile//000", "tiles/0/000",
    "tile/64/000", "tile/00/000", "tile/01/000", "tile/-1/000", "tile/+1/000", "tile/ 1/000", "tile/a/000",
    "tile/0/0", "tile/0/00", "tile/0/0000", "tile/0/x000", "tile/0/x000/001", "tile/0/x001/x000", "tile/0/001/001",
    "tile/0/x1/001", "tile/0/x0001/001", "tile/0/X001/001", "tile/0/-01", "tile/0/+01", "tile/0/0a0", "tile/0/٠٠٠",
    "tile/0/000.p", "tile/0/000.p/", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01", "tile/0/000.p/-1",
    "tile/0/000.p/1/", "tile/0/000.p/1/1", "tile/0/000.P/1", "tile/0/x001.p/1", "tile/0/.p/1", "tile/.p/1",
    "tile/data/000", "tile/Entries/000", "tile/entries", "tile/entries/000.p/256", "tile/0/000?", "tile/0/%30%30%30",
    "tile/0/x009/x223/x372/x036/x854/x775/808", "tile/0/x999/x999/x999/x999/x999/x999/999",
    "tile/0/x001/x000/x000/x000/x000/x000/x000/x000/000", "tile/0/../000", "tile/0/000\n",
  ])
  func anythingElseIsRefused(text: String) { #expect(LogTilePath(text) == nil) }

  @Test func everyWidthAndManyNumbers() {
    var random = SplitMix64(state: announcedSeed())
    for width in LogTilePath.widths {
      let number = Int.random(in: 0...(Int.max >> Int.random(in: 0..<63, using: &random)), using: &random)
      let kind = width % 2 == 0 ? LogTilePath.Kind.entries : .hashes(level: width % 64)
      let path = LogTilePath(kind, number: number, width: width)
      #expect(LogTilePath(path.description) == path)
    }
  }
}

@Suite struct LogEntryBundleTests {
  @Test func isWrittenAndRead() throws {
    let entries: [[UInt8]] = [Array("draw".utf8), [], Array(repeating: 7, count: 300)]
    let bytes = try LogEntryBundle.encode(entries)
    #expect(bytes == [0, 4] + Array("draw".utf8) + [0, 0] + [1, 44] + entries[2])
    #expect(try LogEntryBundle.decode(bytes) == entries)
    let full = Array(repeating: Array(repeating: UInt8(1), count: 65_535), count: 256)
    #expect(try LogEntryBundle.decode(LogEntryBundle.encode(full)) == full)
  }

  @Test func boundsAreHeld() throws {
    #expect(throws: LogEntryBundle.Failure.wrongCount) { try LogEntryBundle.encode([]) }
    #expect(throws: LogEntryBundle.Failure.wrongCount) {
      try LogEntryBundle.encode(Array(repeating: [], count: 257))
    }
    #expect(throws: LogEntryBundle.Failure.entryTooLong(index: 1)) {
      try LogEntryBundle.encode([[], Array(repeating: 0, count: 65_536)])
    }
    #expect(throws: LogEntryBundle.Failure.wrongCount) { try LogEntryBundle.decode([]) }
    #expect(throws: LogEntryBundle.Failure.wrongCount) {
      try LogEntryBundle.decode(Array(repeating: 0, count: 2 * 257))
    }
    for cut: [UInt8] in [[0, 1, 9, 0], [0, 1, 9, 0, 2], [0, 1, 9, 0, 2, 1], [0, 1, 9, 255, 255, 1]] {
      #expect(throws: LogEntryBundle.Failure.truncated(index: 1)) { try LogEntryBundle.decode(cut) }
    }
  }
}
