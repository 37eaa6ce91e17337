/// A draw to be made: one of the generators, with its parameters.
///
/// A generator is a pure function of the stream it draws from. The same server seed, client seed,
/// cursor, nonce and generator give the same values on every machine, to the last bit.
///
/// ```swift
/// import Fairness
///
/// // Before the game: commit to a secret seed by publishing its hash.
/// var system = SystemRandomNumberGenerator()
/// let serverSeed = ServerSeed(using: &system)
/// print(serverSeed.hash)
///
/// // A draw: the player chooses the client seed, the nonce counts the draws.
/// let generator = try Generator.ints(count: 3, min: 1, max: 100).validated()
/// let key = StreamKey(serverSeed)  // worth keeping for the next draws
/// var stream = ByteStream(
///   key: key, clientSeed: try ClientSeed("round-1"), cursor: 0, nonce: 0)
/// let values = generator.draw(from: &stream)  // .ints([…])
///
/// // After the game: reveal the seed. Anyone can check it against the hash and draw again.
/// let again = try Verification(
///   serverSeed: serverSeed, serverHash: serverSeed.hash, clientSeed: try ClientSeed("round-1"),
///   cursor: 0, nonce: 0, generator: generator
/// ).values()
/// assert(again == values)
/// ```
public struct Generator: Sendable, Equatable {
  /// The generator itself, such as ``Ints``.
  public let kind: any GeneratorKind

  public init(_ kind: any GeneratorKind) { self.kind = kind }

  /// Reads an endpoint's parameters and checks them.
  public init<Source: ParameterSource>(_ endpoint: Endpoint, from source: inout Source) throws(Source.Failure) {
    kind = try endpoint.kind.init(from: &source)
    if let invalid = kind.invalidParameter { throw Source.failure(invalid) }
  }

  /// The endpoint that makes such draws.
  public var endpoint: Endpoint { Endpoint(type(of: kind)) }

  /// The generator itself, if every parameter is in its range.
  ///
  /// - Throws: ``InvalidParameter`` naming the first that is not, such as `count`.
  public func validated() throws(InvalidParameter) -> Generator {
    if let invalid = kind.invalidParameter { throw invalid }
    return self
  }

  /// Makes the draw.
  ///
  /// - Precondition: The parameters are in their ranges; see ``validated()``.
  /// - Parameter stream: A stream from which nothing has been taken yet, if the draw is to be verifiable.
  public func draw(from stream: inout ByteStream) -> Values {
    precondition(kind.invalidParameter == nil, "draw(from:) needs a validated generator")
    return kind.draw(from: &stream)
  }

  public static func == (a: Generator, b: Generator) -> Bool {
    func isSame<Kind: GeneratorKind>(_ kind: Kind) -> Bool { b.kind as? Kind == kind }
    return isSame(a.kind)
  }
}
