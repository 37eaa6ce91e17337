/// `dice`: a roll of dice.
public struct Dice: GeneratorKind {
  public static var name: String { "dice" }
  public static var number: UInt8 { 6 }
  public static var title: String { "Dice" }
  public static var outcomeTitle: String { "A roll of dice" }
  public static var shape: Values.Shape { .rolls }
  public static var parameters: [Parameter] {
    [Parameter("notation", "Notation", hint: "such as 2d6+1", .text, example: "2d6")]
  }

  public let notation: DiceNotation

  public init<Source: ParameterSource>(from source: inout Source) throws(Source.Failure) {
    let text = String(decoding: try source.notation("notation"), as: UTF8.self)
    do throws(InvalidParameter) {
      notation = try DiceNotation(text)
    } catch {
      throw Source.failure(error)
    }
  }

  init(_ notation: DiceNotation) { self.notation = notation }

  /// A ``DiceNotation`` cannot be out of its range.
  public var invalidParameter: InvalidParameter? { nil }

  public func draw(from stream: inout ByteStream) -> Values {
    let rolls = Array(notation.dice) { Int(stream.below(UInt64(notation.sides))) + 1 }
    return .rolls(rolls, of: notation, total: Int64(rolls.reduce(0, +)) + notation.modifier)
  }

  public func describe(_ field: (StaticString, FieldValue) -> Void) {
    field("count", .integer(Int64(notation.dice)))
    field("sides", .integer(Int64(notation.sides)))
    field("modifier", .integer(notation.modifier))
  }

  public var valueLength: Int { 8 * notation.dice }
}

extension Generator {
  /// A roll of dice.
  public static func dice(_ notation: DiceNotation) -> Generator { Generator(Dice(notation)) }
}

extension Endpoint {
  public static var dice: Endpoint { Endpoint(Dice.self) }
}
