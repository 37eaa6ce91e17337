/// Thrown for bytes that are not a server seed.
public struct InvalidSeed: Error, Equatable, Sendable, CustomStringConvertible {
  public init() {}
  public var description: String { "a server seed is 64 lowercase hexadecimal characters" }
}

/// The secret half of a seed chain: 64 lowercase hexadecimal characters.
///
/// The characters themselves are hashed and are the key of the stream, not the 32 bytes that they encode. The
/// server publishes ``hash`` before the first draw and reveals the seed when it moves on to a new one.
///
/// Printing, interpolating or dumping a seed shows its hash only; ``description`` is the one way to
/// its text.
public struct ServerSeed: Sendable, Equatable {
  /// The 64 characters, in ASCII.
  public let ascii: [UInt8]

  /// A new seed of 256 random bits.
  ///
  /// - Parameter generator: `SystemRandomNumberGenerator` for a seed that has to be unguessable; a
  ///   seeded one where a simulation has to be repeatable.
  public init<G: RandomNumberGenerator>(using generator: inout G) {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(32)
    for _ in 0..<4 {
      let word: UInt64 = generator.next()
      withUnsafeBytes(of: word.bigEndian) { bytes.append(contentsOf: $0) }
    }
    self.init(bytes: bytes)
  }

  /// The seed that spells 32 bytes out in hexadecimal, for a seed that is derived and not drawn.
  ///
  /// - Precondition: There are 32 bytes.
  public init(bytes: [UInt8]) {
    precondition(bytes.count == 32)
    ascii = Hex.encode(bytes)
  }

  /// - Throws: ``InvalidSeed`` unless `hex` is 64 of `0`–`9`, `a`–`f`.
  public init(hex: some Collection<UInt8>) throws(InvalidSeed) {
    let ascii = Array(hex.prefix(65))
    guard
      ascii.count == 64,
      ascii.allSatisfy({
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
          || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
      })
    else { throw InvalidSeed() }
    self.ascii = ascii
  }

  /// The commitment to this seed: SHA-256 of the 64 characters.
  public var hash: ServerHash { ServerHash(LogDigest(of: ascii)) }

  /// The 64 characters: the secret itself, for the response that reveals it.
  public var description: String { String(decoding: ascii, as: UTF8.self) }
}

// Without `CustomStringConvertible`, string interpolation falls back on `debugDescription`.
extension ServerSeed: CustomDebugStringConvertible, CustomReflectable {
  public var debugDescription: String { "ServerSeed(hash: \(hash))" }
  public var customMirror: Mirror { Mirror(self, children: ["hash": hash.description]) }
}
