/// A node of a Merkle tree: a SHA-256, of a leaf's text or of two nodes.
///
/// Leaves and inner nodes are hashed with different first bytes, so that neither can be passed off as the other
/// (RFC 6962, section 2.1).
public struct MerkleHash: Hashable, Sendable, CustomStringConvertible {
  /// The digest's 32 bytes.
  public let bytes: [UInt8]

  /// The size of a hash, in bytes.
  public static let size = 32

  /// The hash that some bytes begin with.
  init(first bytes: [UInt8]) { self.bytes = Array(bytes[..<Self.size]) }

  private init(_ digest: LogDigest) { bytes = digest.bytes }

  /// - Throws: ``InvalidHash`` unless there are 32 bytes.
  public init(bytes: some Collection<UInt8>) throws(InvalidHash) {
    guard bytes.count == Self.size else { throw InvalidHash() }
    self.bytes = Array(bytes)
  }

  /// - Throws: ``InvalidHash`` unless `hex` is 64 hexadecimal characters; either case will do.
  public init(hex: some Collection<UInt8>) throws(InvalidHash) {
    guard hex.count == 2 * Self.size, let bytes = Hex.decode(hex) else { throw InvalidHash() }
    self.bytes = bytes
  }

  /// The leaf of a text: SHA-256 of a zero byte and the text.
  public static func leaf(_ text: [UInt8]) -> MerkleHash { MerkleHash(prefix: 0, text, []) }

  /// The parent of two nodes: SHA-256 of a byte that is 1, the left one and the right one.
  public static func node(_ left: MerkleHash, _ right: MerkleHash) -> MerkleHash {
    MerkleHash(prefix: 1, left.bytes, right.bytes)
  }

  /// SHA-256 of no bytes.
  static let ofNothing = MerkleHash(LogDigest(of: []))

  private init(prefix: UInt8, _ first: [UInt8], _ second: [UInt8]) {
    var hash = Self.beginning(with: prefix)
    first.withUnsafeBytes { hash.update($0) }
    second.withUnsafeBytes { hash.update($0) }
    self.init(hash.digest())
  }

  /// A hash that was given one byte.
  static func beginning(with prefix: UInt8) -> SHA256State {
    var hash = SHA256State()
    withUnsafeBytes(of: prefix) { hash.update($0) }
    return hash
  }

  public func hash(into hasher: inout Hasher) {
    bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
  }

  /// 64 lowercase hexadecimal characters, in ASCII.
  public var hex: [UInt8] { Hex.encode(bytes) }

  /// 64 lowercase hexadecimal characters.
  public var description: String { String(decoding: hex, as: UTF8.self) }
}
