/// One of the generators: its name, its parameters, its draw.
///
/// Each generator is a type of its own, in a file of its own, and one entry in ``Endpoint/kinds``. What reads parameters,
/// writes outcomes, stores them or shows them asks the generator; it does not know which generators there are.
public protocol GeneratorKind: Sendable, Equatable {
  /// The name in a request and in an outcome: `ints`.
  static var name: String { get }
  /// The number in storage. It never changes.
  static var number: UInt8 { get }
  /// The generator's name in a form: `Integers`.
  static var title: String { get }
  /// The name of one of its outcomes on a page: `A roll of dice`.
  static var outcomeTitle: String { get }
  /// The shape of its values: whatever writes or shows values knows the shapes, not the generators.
  static var shape: Values.Shape { get }
  /// Its parameters beside the client seed.
  static var parameters: [Parameter] { get }

  /// Reads the parameters. They may still be out of their ranges: see ``invalidParameter``.
  init<Source: ParameterSource>(from source: inout Source) throws(Source.Failure)

  /// The first parameter that is out of its range. Asking costs nothing that matters, so that `draw` can ask once more.
  var invalidParameter: InvalidParameter? { get }

  /// Makes the draw: version 1 of the derivation, which never changes.
  ///
  /// Doubles are combined in the order written; Swift does not fuse a multiplication and an addition.
  ///
  /// - Precondition: ``invalidParameter`` is `nil`.
  func draw(from stream: inout ByteStream) -> Values

  /// Passes on the outcome's own fields, the parameters and the count, in the order in which an outcome has them.
  func describe(_ field: (_ name: StaticString, _ value: FieldValue) -> Void)

  /// About how many bytes the values take as text, without items.
  var valueLength: Int { get }

  /// What the numbers are, for a page: `3 integers from 1 to 6`. Only for values of the shape `numbers`.
  var caption: String { get }
  /// Where the numbers lie, for a page. Only for values of the shape `numbers`.
  var scale: Scale? { get }
}

extension GeneratorKind {
  public static var outcomeTitle: String { title }
  public var caption: String { "" }
  public var scale: Scale? { nil }
}

/// The value of one of an outcome's fields.
public enum FieldValue: Sendable {
  case integer(Int64)
  case number(Double)
  case text(String)
  /// A list of numbers, or null.
  case numbers([Double]?)
}

/// Where a generator's numbers lie.
public enum Scale: Sendable, Equatable {
  /// Spread evenly from the first to the second.
  case range(Double, Double)
  case distribution(Distribution)
}

extension Array {
  /// Makes `count` elements, one after another.
  init(_ count: Int, _ next: () -> Element) {
    self.init(unsafeUninitializedCapacity: count) { buffer, initialized in
      while initialized < count {
        buffer.initializeElement(at: initialized, to: next())
        initialized += 1
      }
    }
  }
}
