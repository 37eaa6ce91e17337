import Fairness
import Testing

@Suite struct ServerSeedTests {
  @Test func hashesItsCharacters() throws {
    let seed = try ServerSeed(
      hex: "35d8840ab74668619e4bfcdf0d642431846a16a15461a5e41c8c02b2f626abfd".utf8)
    #expect(
      seed.hash.description == "b336eab7ed53f2296376e351b49b7673619ac0544ea50c1568e1f759a47dc27d")
    #expect(seed.description.utf8.elementsEqual(seed.ascii))
  }

  @Test func newSeedsAreWellFormedAndFollowTheGenerator() throws {
    var a = SplitMix64(state: 7)
    var b = SplitMix64(state: 7)
    let first = ServerSeed(using: &a)
    #expect(first == ServerSeed(using: &b))
    #expect(first != ServerSeed(using: &a))
    #expect(try ServerSeed(hex: first.ascii) == first)

    var system = SystemRandomNumberGenerator()
    #expect(ServerSeed(using: &system) != ServerSeed(using: &system))
  }

  @Test(arguments: [
    "", String(repeating: "a", count: 63), String(repeating: "a", count: 65),
    String(repeating: "A", count: 64), String(repeating: "g", count: 64),
    String(repeating: "a", count: 63) + " ", String(repeating: "é", count: 32),
    String(repeating: "0", count: 100_000),
  ])
  func refused(hex: String) {
    #expect(throws: InvalidSeed()) { try ServerSeed(hex: hex.utf8) }
  }

  @Test("Only `description` tells the secret")
  func keepsItsSecret() {
    let seed = fixedSeed
    var dumped = ""
    dump(seed, to: &dumped)
    for text in ["\(seed)", String(describing: seed), String(reflecting: seed), "\([seed])", dumped] {
      #expect(!text.contains(seed.description.prefix(16)))
      #expect(!text.contains("\(seed.ascii[0]), \(seed.ascii[1])"))
      #expect(text.contains(seed.hash.description))
    }
  }
}

@Suite struct ServerHashTests {
  /// Every byte in every place.
  @Test func everyByteIsTwoDigits() throws {
    for first in 0..<256 {
      let bytes = (0..<32).map { UInt8(truncatingIfNeeded: first + 37 * $0) }
      let digits = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
      #expect(try ServerHash(bytes: bytes).description == digits && LogDigest(bytes: bytes).description == digits)
      #expect(try ServerHash(hex: digits).bytes == bytes && LogDigest(hex: digits.utf8).bytes == bytes)
    }
  }

  @Test func hexAndBytes() throws {
    let text = "00ff" + String(repeating: "5a", count: 30)
    let hash = try ServerHash(hex: text)
    #expect(hash.bytes == [0, 255] + [UInt8](repeating: 0x5a, count: 30))
    #expect(hash.description == text)
    #expect(hash.hex == Array(text.utf8))
    #expect(try ServerHash(bytes: hash.bytes) == hash)
    #expect(try ServerHash(hex: text.uppercased()) == hash)
  }

  @Test func refused() {
    for text in ["", "00", String(repeating: "0", count: 63), String(repeating: "0", count: 66)] {
      #expect(throws: InvalidHash()) { try ServerHash(hex: text) }
    }
    #expect(throws: InvalidHash()) { try ServerHash(hex: String(repeating: "x0", count: 32)) }
    for count in [0, 31, 33, 1000] {
      #expect(throws: InvalidHash()) { try ServerHash(bytes: [UInt8](repeating: 0, count: count)) }
    }
  }
}

@Suite struct ClientSeedTests {
  @Test("Identity is bytes, not canonical equivalence")
  func identity() throws {
    let composed = "caf\u{e9}"
    let decomposed = "cafe\u{301}"
    #expect(composed == decomposed)
    let (a, b) = (try ClientSeed(composed), try ClientSeed(decomposed))
    #expect(a != b)
    #expect(Set([a, b, a]).count == 2)
    #expect(b < a)  // "e" (65) before "é" (c3 a9)
    #expect(a.description.utf8.elementsEqual(composed.utf8))
    #expect(try ClientSeed(Array(composed.utf8)) == a)
  }

  @Test("The order is that of the bytes")
  func order() throws {
    let seeds = try ["", "a", "b", "aa", "ab", "z", "é", "日本", "🎲", "\u{ffff}"].dropFirst()
      .map { try ClientSeed($0) }
    let expected = seeds.map(\.bytes).sorted { $0.lexicographicallyPrecedes($1) }
    #expect(seeds.sorted().map(\.bytes) == expected)
    // UTF-16 would put U+FFFF after U+1F3B2; UTF-8 does not.
    #expect(try ClientSeed("\u{ffff}") < ClientSeed("🎲"))
  }

  @Test(arguments: [
    "a", " ", "a:b:c", "\u{1}", String(repeating: "x", count: 256),
    String(repeating: "é", count: 128), String(repeating: "🎲", count: 64), "\u{feff}", "\u{7f}",
  ])
  func accepted(text: String) throws {
    #expect(try ClientSeed(text).bytes == Array(text.utf8))
  }

  @Test(arguments: [
    "", String(repeating: "x", count: 257), String(repeating: "é", count: 129),
    String(repeating: "x", count: 1_000_000),
  ])
  func wrongLength(text: String) {
    #expect(refusal { _ = try ClientSeed(text) } == "clientSeed must be 1 to 256 bytes of UTF-8")
  }

  @Test(arguments: ["\0", "a\0", "\0a", "é\0"])
  func nul(text: String) {
    #expect(refusal { _ = try ClientSeed(text) } == "clientSeed must not contain a NUL character")
  }

  /// A lone continuation, a cut sequence, an overlong NUL, a surrogate, beyond U+10FFFF, no UTF-8 at all.
  @Test(
    arguments: [
      [0x80], [0x61, 0xc3], [0xe6, 0x97], [0xc0, 0x80], [0xed, 0xa0, 0x80],
      [0xf4, 0x90, 0x80, 0x80], [0xff], [0xfe, 0xff],
    ] as [[UInt8]])
  func notUTF8(bytes: [UInt8]) {
    #expect(refusal { _ = try ClientSeed(bytes) } == "clientSeed must be valid UTF-8")
  }
}
