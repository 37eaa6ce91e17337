/// Thrown for bytes that are not a SHA-256 digest.
public struct InvalidHash: Error, Equatable, Sendable, CustomStringConvertible {
  public init() {}
  public var description: String { "a hash is 32 bytes, or 64 hexadecimal characters" }
}

/// The public half of a seed chain: the SHA-256 of a ``ServerSeed``'s characters.
public struct ServerHash: Hashable, Sendable, CustomStringConvertible {
  /// The digest's 32 bytes.
  public let bytes: [UInt8]

  init(_ digest: LogDigest) { bytes = digest.bytes }

  /// - Throws: ``InvalidHash`` unless there are 32 bytes.
  public init(bytes: some Collection<UInt8>) throws(InvalidHash) {
    let bytes = Array(bytes.prefix(33))
    guard bytes.count == 32 else { throw InvalidHash() }
    self.bytes = bytes
  }

  /// - Throws: ``InvalidHash`` unless `hex` is 64 hexadecimal characters; either case will do.
  public init(hex: String) throws(InvalidHash) {
    guard hex.utf8.count == 64, let bytes = Hex.decode(hex.utf8) else { throw InvalidHash() }
    self.bytes = bytes
  }

  /// 64 lowercase hexadecimal characters, in ASCII.
  public var hex: [UInt8] { Hex.encode(bytes) }

  /// 64 lowercase hexadecimal characters.
  public var description: String { String(decoding: hex, as: UTF8.self) }
}
