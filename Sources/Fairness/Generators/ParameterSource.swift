/// What a generator reads its parameters from: a request, or the record of an outcome.
///
/// A source knows how a value is written; the generator knows the parameters, their ranges and their defaults.
public protocol ParameterSource {
  associatedtype Failure: Error

  /// Whether this is an outcome's record. It spells out all that was used and nothing else, so that nothing has a default.
  static var isRecord: Bool { get }

  /// The failure for a parameter that is out of its range.
  static func failure(_ invalid: InvalidParameter) -> Failure

  /// A whole number in `range`.
  func integer(_ name: StaticString, default: Int64, in range: ClosedRange<Int64>) throws(Failure) -> Int64

  /// A finite number.
  func number(_ name: StaticString, default: Double) throws(Failure) -> Double

  /// Text; `nil` if there is none and it has a default.
  func text(_ name: StaticString) throws(Failure) -> [UInt8]?

  /// Dice notation, which has no default.
  func notation(_ name: StaticString) throws(Failure) -> [UInt8]

  /// Finite numbers, one for each item; `nil` for none.
  func weights(_ name: StaticString) throws(Failure) -> [Double]?

  /// Reads the items and keeps them, whatever they are; returns how many there are. They have no default.
  mutating func items(_ name: StaticString) throws(Failure) -> Int
}

extension ParameterSource {
  /// How many values are to be drawn.
  func count(default: Int64 = 1, in range: ClosedRange<Int64> = Limits.count) throws(Failure) -> Int {
    Int(try integer("count", default: `default`, in: range))
  }

  /// One of a few words.
  func choice<Choice: RawRepresentable & CaseIterable>(
    _ name: StaticString, default: Choice
  ) throws(Failure) -> Choice where Choice.RawValue == String {
    guard let text = try text(name) else { return `default` }
    guard let choice = Choice(rawValue: String(decoding: text, as: UTF8.self)) else {
      let words = Choice.allCases.map(\.rawValue)
      let list = words.dropLast().joined(separator: ", ")
      throw Self.failure(
        InvalidParameter(name: String(describing: name), reason: "must be \(list) or \(words.last ?? "")"))
    }
    return choice
  }
}
