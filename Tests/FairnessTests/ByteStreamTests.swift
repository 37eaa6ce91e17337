import Fairness
import Testing

@Suite struct ByteStreamTests {
  @Test("A stream at a cursor is the stream at 0 less that many bytes")
  func cursor() {
    var whole = fixedStream()
    let bytes = whole.bytes(count: 1200)
    for cursor in [0, 1, 3, 4, 28, 29, 30, 31, 32, 33, 63, 64, 65, 1000] {
      var stream = fixedStream(cursor: UInt64(cursor))
      let rest = stream.bytes(count: 100)
      #expect(rest == Array(bytes[cursor..<cursor + 100]), "cursor \(cursor)")
    }
  }

  @Test("Words are big-endian, also across blocks and off the block's own words")
  func words() {
    for cursor in UInt64(0)..<40 {
      var asBytes = fixedStream(cursor: cursor)
      var asWords = fixedStream(cursor: cursor)
      for _ in 0..<20 {
        let bytes = asBytes.bytes(count: 4)
        let word = asWords.word()
        #expect(word == bytes.reduce(0) { $0 << 8 | UInt32($1) })
      }
    }
  }

  @Test("Units may be mixed: each takes up where the last left off")
  func mixed() {
    var expected = fixedStream(cursor: 5)
    var stream = fixedStream(cursor: 5)
    let bytes = expected.bytes(count: 45).map(UInt64.init)
    func bigEndian(_ range: Range<Int>) -> UInt64 { bytes[range].reduce(0) { $0 << 8 | $1 } }

    let byte = stream.nextByte()
    let float32 = stream.float32()
    let float53 = stream.float53()
    let all = stream.below(1 << 32)
    let few = stream.bytes(count: 20)
    let last = stream.float53()
    #expect(UInt64(byte) == bytes[0])
    #expect(float32 == Double(bigEndian(1..<5)) / 0x1p32)
    #expect(float53 == Double(bigEndian(5..<13) >> 11) / 0x1p53)
    #expect(UInt64(all) == bigEndian(13..<17))
    #expect(few.map(UInt64.init) == Array(bytes[17..<37]))
    #expect(last == Double(bigEndian(37..<45) >> 11) / 0x1p53)
  }

  @Test("Every coordinate changes every stream; where the colons fall matters")
  func independence() throws {
    var seen: Set<[UInt8]> = []
    func take(_ seed: String, _ cursor: UInt64, _ nonce: UInt64) throws {
      var stream = ByteStream(
        key: fixedKey, clientSeed: try ClientSeed(seed), cursor: cursor, nonce: nonce)
      seen.insert(stream.bytes(count: 32))
    }
    for (seed, cursor, nonce) in [
      ("a", 0, 0), ("a", 0, 1), ("a", 0, 10), ("a", 0, UInt64.max), ("a", 32, 0),
      ("a", UInt64.max, 0), ("a", UInt64.max, UInt64.max), ("a:1", 0, 0), ("a:1:0", 0, 0),
      (String(repeating: "a", count: 255), 0, 0), (String(repeating: "a", count: 256), 0, 0),
    ] as [(String, UInt64, UInt64)] {
      try take(seed, cursor, nonce)
    }
    #expect(seen.count == 11)
  }

  @Test("A key may be used by many streams at once")
  func sharedKey() async {
    let expected = (0..<64).map { nonce in
      var stream = fixedStream(nonce: UInt64(nonce))
      return stream.bytes(count: 300)
    }
    await withTaskGroup(of: (Int, [UInt8]).self) { group in
      for nonce in 0..<64 {
        group.addTask {
          var stream = fixedStream(nonce: UInt64(nonce))
          return (nonce, stream.bytes(count: 300))
        }
      }
      for await (nonce, bytes) in group { #expect(bytes == expected[nonce]) }
    }
  }

  /// The definition, word for word.
  private func defined(_ n: UInt64, _ stream: inout ByteStream) -> UInt32 {
    if n == 1 << 32 { return stream.word() }
    while true {
      let word = UInt64(stream.word())
      if (word * n) % (1 << 32) >= (1 << 32) % n { return UInt32((word * n) / (1 << 32)) }
    }
  }

  @Test(
    "below(n) is what its definition says, and takes as many words",
    arguments: [
      1, 2, 3, 6, 7, 100, 1 << 16, (1 << 31) - 1, 1 << 31, (1 << 31) + 1, 3 << 30, (1 << 32) - 1,
      1 << 32,
    ] as [UInt64])
  func below(n: UInt64) {
    var a = fixedStream(cursor: 2, nonce: n)
    var b = fixedStream(cursor: 2, nonce: n)
    for _ in 0..<2000 {
      let value = a.below(n)
      let definition = defined(n, &b)
      #expect(value == definition)
      #expect(UInt64(value) < n)
    }
    let (next, expected) = (a.word(), b.word())
    #expect(next == expected)
  }

  @Test func belowOfRandomRanges() {
    var random = SplitMix64(state: announcedSeed())
    var a = fixedStream(nonce: 1)
    var b = fixedStream(nonce: 1)
    for _ in 0..<100_000 {
      let n = UInt64.random(in: 1...(1 << UInt64.random(in: 0...32)), using: &random)
      let value = a.below(n)
      let definition = defined(n, &b)
      if value != definition { Issue.record("below(\(n)) is \(value), not \(definition)") }
    }
  }

  /// The words that give k are those from ⌈k·2^32 ÷ n⌉ up; the rejected ones are the first of them, as
  /// many as it takes to leave ⌊2^32 ÷ n⌋ to each k.
  @Test("The definition gives every value the same number of words", arguments: [3, 5, 6, 7, 100, 641])
  func uniform(n: UInt64) {
    let threshold = (1 << 32) % n
    for k in 0..<n {
      let first = ((k << 32) + threshold + n - 1) / n
      let end = (((k + 1) << 32) + n - 1) / n
      #expect(end - first == (1 << 32) / n)
    }
  }
}
