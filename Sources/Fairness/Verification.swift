/// Everything that fixes a draw, and its commitment: what a player has once the server seed is revealed.
///
/// ```swift
/// let claim = Verification(
///   serverSeed: try ServerSeed(hex: revealed.utf8), serverHash: try ServerHash(hex: pinned),
///   clientSeed: try ClientSeed("round-1"), cursor: 0, nonce: 7,
///   generator: .ints(count: 3, min: 1, max: 100))
/// let honest = try claim.values() == .ints([42, 7, 93])
/// ```
public struct Verification: Sendable, Equatable {
  /// The revealed seed.
  public var serverSeed: ServerSeed
  /// The hash that was published before the draw.
  public var serverHash: ServerHash
  public var clientSeed: ClientSeed
  public var cursor: UInt64
  public var nonce: UInt64
  public var generator: Generator
  /// The proof that the chain could have had no other seed; `nil` if none was revealed.
  public var seedProof: SeedProof?
  /// The key that was published before the draw and must have made `seedProof`; `nil` takes the key that the proof
  /// names.
  public var seedKey: SeedPublicKey?

  public init(
    serverSeed: ServerSeed, serverHash: ServerHash, clientSeed: ClientSeed, cursor: UInt64,
    nonce: UInt64, generator: Generator, seedProof: SeedProof? = nil, seedKey: SeedPublicKey? = nil
  ) {
    self.serverSeed = serverSeed
    self.serverHash = serverHash
    self.clientSeed = clientSeed
    self.cursor = cursor
    self.nonce = nonce
    self.generator = generator
    self.seedProof = seedProof
    self.seedKey = seedKey
  }

  /// Why a claim cannot be checked any further.
  public enum Failure: Error, Equatable, Sendable {
    /// The seed is not the one that was committed to; it hashes to `computed`.
    case seedDoesNotMatchHash(computed: ServerHash)
    /// The proof does not show that the chain could have had no other seed.
    case seedProof(SeedProof.Refusal)
    /// There is a key to check a proof with, and no proof.
    case noSeedProof
    /// No draw with such parameters can have happened.
    case invalidParameter(InvalidParameter)
  }

  /// Checks the seed against its commitment and its proof, if there is one, and derives the draw again.
  ///
  /// - Returns: The values the draw must have had. The caller compares them with the recorded ones.
  /// - Throws: ``Failure``.
  public func values() throws(Failure) -> Values {
    let computed = serverSeed.hash
    guard computed == serverHash else { throw .seedDoesNotMatchHash(computed: computed) }
    if let seedProof {
      do {
        try seedProof.check(serverSeed: serverSeed, clientSeed: clientSeed, publicKey: seedKey)
      } catch {
        throw .seedProof(error)
      }
    } else if seedKey != nil {
      throw .noSeedProof
    }
    let valid: Generator
    do { valid = try generator.validated() } catch { throw .invalidParameter(error) }
    var stream = ByteStream(
      key: StreamKey(serverSeed), clientSeed: clientSeed, cursor: cursor, nonce: nonce)
    return valid.draw(from: &stream)
  }
}
