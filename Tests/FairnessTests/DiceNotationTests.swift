import Fairness
import Testing

@Suite struct DiceNotationTests {
  @Test(
    arguments: [
      ("d6", "1d6", 1, 6, 0), ("1d6", "1d6", 1, 6, 0), ("D6", "1d6", 1, 6, 0),
      ("2d20+5", "2d20+5", 2, 20, 5), ("2D20-1", "2d20-1", 2, 20, -1),
      ("2d20 + 5", "2d20+5", 2, 20, 5), ("2d20   -   1", "2d20-1", 2, 20, -1),
      ("2d20 +5", "2d20+5", 2, 20, 5), ("2d20+ 5", "2d20+5", 2, 20, 5),
      ("2d20+0", "2d20", 2, 20, 0), ("2d20-0", "2d20", 2, 20, 0),
      ("02d020+05", "2d20+5", 2, 20, 5), ("100d1000000", "100d1000000", 100, 1_000_000, 0),
      ("1d2", "1d2", 1, 2, 0), ("d1000000-1000000", "1d1000000-1000000", 1, 1_000_000, -1_000_000),
      ("1d2+9007199254740989", "1d2+9007199254740989", 1, 2, 9_007_199_254_740_989),
      ("1d2-9007199254740992", "1d2-9007199254740992", 1, 2, -9_007_199_254_740_992),
    ] as [(String, String, Int, Int, Int64)])
  func accepted(text: String, canonical: String, dice: Int, sides: Int, modifier: Int64) throws {
    let notation = try DiceNotation(text)
    #expect(notation.description == canonical)
    #expect(notation.dice == dice)
    #expect(notation.sides == sides)
    #expect(notation.modifier == modifier)
    #expect(try DiceNotation(canonical) == notation)
    #expect(try DiceNotation(dice: dice, sides: sides, modifier: modifier) == notation)
  }

  @Test(arguments: [
    "", " ", "d", "D", "6", "2d", "2d+5", "2x6", "2d6+", "2d6-", "2d6 ", " 2d6", "2 d6", "2d 6",
    "2d6+ ", "2d6 5", "2d6++5", "2d6+-5", "2d6--5", "2d6+5 ", "2d6+5+5", "2d6*2", "2d6.0", "2.0d6",
    "-2d6", "+2d6", "2d-6", "2d6\t+5", "2d6\n", "2d6\0", "2d6+0x5", "1e2d6", "2d%", "2dd6", "d6d6",
    "２d6", "2d٦", "2ｄ6", "2d6＋5", "2d6−5", "2\u{2028}d6", "d\u{301}6", "2d6\u{a0}+5",
  ])
  func malformed(text: String) {
    #expect(
      refusal { _ = try DiceNotation(text) }
        == "notation must be dice notation: NdM, NdM+K or NdM-K, such as 2d20+5")
  }

  @Test(arguments: [
    ("0d6", "notation must ask for 1 to 100 dice"),
    ("101d6", "notation must ask for 1 to 100 dice"),
    ("2d0", "notation must ask for dice of 2 to 1000000 sides"),
    ("2d1", "notation must ask for dice of 2 to 1000000 sides"),
    ("2d1000001", "notation must ask for dice of 2 to 1000000 sides"),
    (
      "1d2+9007199254740990",
      "notation must have a modifier that keeps the total from -9007199254740991 to 9007199254740991"
    ),
    (
      "1d2-9007199254740993",
      "notation must have a modifier that keeps the total from -9007199254740991 to 9007199254740991"
    ),
    ("1d6+10000000000000000", "notation has a number that is too large"),
    ("9223372036854775808d6", "notation has a number that is too large"),
    ("1d18446744073709551617", "notation has a number that is too large"),
    ("1d6-9223372036854775809", "notation has a number that is too large"),
  ])
  func outOfRange(text: String, message: String) {
    #expect(refusal { _ = try DiceNotation(text) } == message)
  }

  @Test func hostileLengths() {
    let nines = String(repeating: "9", count: 10_000)
    for text in [nines, nines + "d6", "d" + nines, "d6+" + nines, "d6-" + nines] {
      #expect(refusal { _ = try DiceNotation(text) } != nil)
    }
    let zeros = String(repeating: "0", count: 10_000)
    #expect((try? DiceNotation("\(zeros)2d\(zeros)6+\(zeros)"))?.description == "2d6")
    let spaces = String(repeating: " ", count: 10_000)
    #expect((try? DiceNotation("2d6\(spaces)+\(spaces)1"))?.description == "2d6+1")
  }

  @Test func extremesByNumber() {
    for (dice, sides, modifier) in [
      (Int.min, 6, 0), (Int.max, 6, 0), (1, Int.min, 0), (1, Int.max, 0), (1, 6, Int64.min),
      (1, 6, Int64.max),
    ] as [(Int, Int, Int64)] {
      #expect(
        refusal { _ = try DiceNotation(dice: dice, sides: sides, modifier: modifier) } != nil)
    }
  }

  @Test func totalsStaySafeAtTheExtremes() throws {
    for text in ["100d1000000+9007199154740991", "100d2-9007199254741091"] {
      var stream = fixedStream()
      guard
        case .rolls(let rolls, _, let total) =
          Generator.dice(try DiceNotation(text)).draw(from: &stream)
      else {
        Issue.record("not rolls")
        continue
      }
      #expect(rolls.count == 100)
      #expect(Limits.safeIntegers.contains(total))
    }
  }
}
