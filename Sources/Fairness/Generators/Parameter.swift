/// A generator's parameter: its name, and how a form asks for it.
public struct Parameter: Sendable {
  /// What a form offers to write it in.
  public enum Input: Sendable {
    case number
    case text
    case choice([String])
    /// Items, one a line.
    case items
    /// Numbers, one a line.
    case numbers
  }

  public let name: StaticString
  /// The parameter's label.
  public let title: String
  /// What the label adds in small print; empty for nothing.
  public let hint: String
  public let input: Input
  /// The value that the form begins with.
  public let example: String
  /// The choices of ``Input/choice(_:)`` with which alone the parameter is used; empty for all.
  public let choices: [String]

  init(
    _ name: StaticString, _ title: String, hint: String = "", _ input: Input = .number, example: String = "",
    choices: [String] = []
  ) {
    self.name = name
    self.title = title
    self.hint = hint
    self.input = input
    self.example = example
    self.choices = choices
  }

  /// How many values are to be drawn.
  static func count(_ range: ClosedRange<Int64> = Limits.count, example: Int) -> Parameter {
    Parameter("count", "Count", hint: "\(range.lowerBound)–\(range.upperBound)", example: "\(example)")
  }

  static func items(example: [String]) -> Parameter {
    Parameter(
      "items", "Items", hint: "one a line, or a JSON array", .items, example: example.joined(separator: "\n"))
  }
}
