import Ledger
import LedgerSimulation
import Testing

@Suite struct ShortIDTests {
  private let half: Int64 = 916_132_832  // 62⁵

  /// What is stored is named by these, so they may never change. Worked out by an independent implementation of
  /// HKDF-SHA256, SipHash-2-4 (checked on its authors' vectors) and the network.
  @Test(
    arguments: [
      (0, "Nk6F9vyLZh"), (1, "771D9oe5NE"), (2, "oGZG6xEttO"), (1_000_000, "FMHU3ZRa1K"), (916_132_831, "tQPmqfaXdK"),
      (916_132_832, "PCwzAbp87B"), (839_299_365_868_340_223, "6KZJXr35dz"),
    ] as [(Int64, String)])
  func areTheSameForEver(_ number: Int64, _ shortID: String) {
    #expect(text(shortIDs.encode(number)) == shortID)
    #expect(shortIDs.decode(shortID.utf8) == number)
    #expect(text(ShortIDs(masterKey: masterKey).encode(number)) == shortID)
  }

  @Test func numbersAndNamesAreOneToOne() {
    var random = SplitMix64(state: announcedSeed())
    let last = Int64(ShortIDs.capacity) - 1
    let edges = [0, 1, half - 1, half, half + 1, half * 2, last - half, last - 1, last]
    var wrong: [Int64] = []
    for number in edges + (0..<100_000).map({ _ in Int64.random(in: 0...last, using: &random) }) {
      let shortID = shortIDs.encode(number)
      if shortID.count != 10 || !shortID.allSatisfy(isAlphanumeric) || shortIDs.decode(shortID) != number {
        wrong.append(number)
      }
    }
    #expect(wrong == [])

    // Every ten characters name a number, and it names them.
    let alphabet = (UInt8.min ... .max).filter(isAlphanumeric)
    #expect(alphabet.count == 62)
    for _ in 0..<100_000 {
      let shortID = (0..<10).map { _ in random.pick(alphabet) }
      if shortIDs.decode(shortID).map(shortIDs.encode) != shortID {
        Issue.record("\(text(shortID)) does not come back")
      }
    }
  }

  @Test func neighboursShareNothing() {
    let some = (0..<100_000).map { shortIDs.encode($0) }
    #expect(Set(some).count == some.count)
    // Ten characters of two neighbours agree in one place of 62, as any two random texts do.
    let agreements = zip(some, some.dropFirst()).reduce(0) { $0 + zip($1.0, $1.1).count { $0 == $1 } }
    let expected = 10.0 * 99_999 / 62
    #expect(abs(Double(agreements) - expected) < 6 * expected.squareRoot())
  }

  @Test(arguments: [
    "", "1", "Nk6F9vyLZ", "Nk6F9vyLZhh", "Nk6F9vyLZ!", "Nk6F9vyLZ-", "Nk6F9vyLZ_", " k6F9vyLZh", "Nk6F9vyLé",
    "Nk6F9vyLZ\u{0}",
    "Nk6F9/yLZh", "Nk6F9:yLZh", "Nk6F9@yLZh", "Nk6F9[yLZh", "Nk6F9`yLZh", "Nk6F9{yLZh",
  ])
  func whatIsNoShortIDHasNoNumber(_ wrong: String) {
    #expect(shortIDs.decode(wrong.utf8) == nil)
  }

  @Test func anotherMasterKeyNamesOtherwise() throws {
    let other = ShortIDs(masterKey: try MasterKey(bytes: Array(2...33)))
    #expect((0..<1000).allSatisfy { other.encode($0) != shortIDs.encode($0) })
  }

  private func isAlphanumeric(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "a")...UInt8(ascii: "z"):
      true
    default: false
    }
  }
}
