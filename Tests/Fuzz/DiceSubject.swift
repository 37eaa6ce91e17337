import Fairness

/// Dice notation: the canonical form is a fixed point, and no total leaves the safe integers.
struct DiceSubject: Subject {
  let name = "dice"
  let tokens = ["d", "D", "+", "-", " ", "100", "1000000", "9007199254740991", "0", "1d2"]

  func check(_ input: [UInt8]) throws -> Bool {
    guard let notation = try? DiceNotation(String(decoding: input, as: UTF8.self)) else { return false }
    let text = notation.description
    let again = try? DiceNotation(text)
    try expect(again == notation, "\(text) is not the same dice")
    try expect(again?.description == text, "\(text) is not canonical")
    try expect(
      (1...100).contains(notation.dice) && (2...1_000_000).contains(notation.sides), "\(text) is out of bounds")
    let least = Int64(notation.dice) + notation.modifier
    let greatest = Int64(notation.dice * notation.sides) + notation.modifier
    let safe = Int64(1) << 53
    try expect(-safe < least && greatest < safe, "a total of \(text) is not safe")
    return true
  }
}
