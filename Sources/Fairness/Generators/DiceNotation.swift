/// A roll of dice as players write it: `2d20+5` is two dice of 20 sides, and 5 added to their sum.
///
/// `NdM`, `NdM+K` or `NdM-K`: N dice (1 to 100, 1 if left out) of M sides (2 to 1 000 000). `D` will do
/// for `d`, and there may be spaces on either side of the sign. The modifier K may be as large as
/// leaves every possible total within ±(2^53 − 1).
public struct DiceNotation: Sendable, Hashable, CustomStringConvertible {
  /// How many dice, 1 to 100.
  public let dice: Int
  /// How many sides each has, 2 to 1 000 000.
  public let sides: Int
  /// What is added to the sum; 0 for none.
  public let modifier: Int64

  /// - Throws: ``InvalidParameter`` named `notation` if a number is out of its range.
  public init(dice: Int, sides: Int, modifier: Int64 = 0) throws(InvalidParameter) {
    guard Limits.dice.contains(Int64(dice)) else {
      throw Self.invalid(
        "must ask for \(Limits.dice.lowerBound) to \(Limits.dice.upperBound) dice")
    }
    guard Limits.sides.contains(Int64(sides)) else {
      throw Self.invalid(
        "must ask for dice of \(Limits.sides.lowerBound) to \(Limits.sides.upperBound) sides")
    }
    // The least and the greatest total; dice × sides is at most 10^8, so neither bound overflows.
    let safe = Limits.safeIntegers
    guard
      modifier >= safe.lowerBound - Int64(dice),
      modifier <= safe.upperBound - Int64(dice * sides)
    else {
      throw Self.invalid(
        "must have a modifier that keeps the total from \(safe.lowerBound) to \(safe.upperBound)")
    }
    self.dice = dice
    self.sides = sides
    self.modifier = modifier
  }

  /// - Throws: ``InvalidParameter`` named `notation` for text that is no dice notation or whose numbers
  ///   are out of their ranges.
  public init(_ text: String) throws(InvalidParameter) {
    var rest = text.utf8[...]
    let dice = try Self.digits(from: &rest)
    guard let letter = rest.popFirst(), letter | 0x20 == UInt8(ascii: "d") else {
      throw Self.malformed
    }
    guard let sides = try Self.digits(from: &rest) else { throw Self.malformed }
    var modifier: Int64 = 0
    if !rest.isEmpty {
      Self.skipSpaces(in: &rest)
      let sign = rest.popFirst()
      guard sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") else { throw Self.malformed }
      Self.skipSpaces(in: &rest)
      guard let magnitude = try Self.digits(from: &rest), rest.isEmpty else { throw Self.malformed }
      modifier = sign == UInt8(ascii: "-") ? -magnitude : magnitude
    }
    try self.init(dice: Int(dice ?? 1), sides: Int(sides), modifier: modifier)
  }

  /// The shortest way to write it: `1d6`, `2d20+5`, `2d20-1`.
  public var description: String {
    let roll = "\(dice)d\(sides)"
    return modifier == 0 ? roll : modifier > 0 ? "\(roll)+\(modifier)" : "\(roll)\(modifier)"
  }

  /// Takes the ASCII digits that `text` begins with; `nil` if there are none.
  private static func digits(from text: inout Substring.UTF8View) throws(InvalidParameter) -> Int64? {
    var value: Int64?
    while let character = text.first,
      (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(character)
    {
      text.removeFirst()
      // Every number allowed is below 10^16, so the product cannot overflow before this refuses it.
      let next = (value ?? 0) * 10 + Int64(character - UInt8(ascii: "0"))
      guard next < 10_000_000_000_000_000 else { throw invalid("has a number that is too large") }
      value = next
    }
    return value
  }

  private static func skipSpaces(in text: inout Substring.UTF8View) {
    while text.first == UInt8(ascii: " ") { text.removeFirst() }
  }

  private static var malformed: InvalidParameter {
    invalid("must be dice notation: NdM, NdM+K or NdM-K, such as 2d20+5")
  }

  private static func invalid(_ reason: String) -> InvalidParameter {
    InvalidParameter(name: "notation", reason: reason)
  }
}
