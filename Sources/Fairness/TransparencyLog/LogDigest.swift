/// A SHA-256, such as that of a text that an entry of the log stands for. It lies where it is used, without memory of its
/// own.
public struct LogDigest: Hashable, Sendable, Codable, CustomStringConvertible {
  private let words: (UInt64, UInt64, UInt64, UInt64)

  /// - Parameter words: the digest's bytes as they lie in memory.
  init(_ words: (UInt64, UInt64, UInt64, UInt64)) { self.words = words }

  /// The digest of a text.
  public init(of text: [UInt8]) { self = text.withUnsafeBytes { LogDigest(of: $0) } }

  /// The digest of some bytes.
  public init(of bytes: UnsafeRawBufferPointer) {
    var hash = SHA256State()
    hash.update(bytes)
    self = hash.digest()
  }

  /// - Throws: ``InvalidHash`` unless there are 32 bytes.
  public init(bytes: [UInt8]) throws(InvalidHash) { try self.init(bytes: bytes[...]) }

  /// - Throws: ``InvalidHash`` unless there are 32 bytes.
  public init(bytes: ArraySlice<UInt8>) throws(InvalidHash) {
    guard bytes.count == 32 else { throw InvalidHash() }
    words = bytes.withUnsafeBytes(Self.words)
  }

  /// - Throws: ``InvalidHash`` unless `hex` is 64 lowercase hexadecimal digits.
  public init(hex: some Collection<UInt8>) throws(InvalidHash) {
    guard hex.count == 64, let bytes = Hex.decodeLowercase(hex) else { throw InvalidHash() }
    try self.init(bytes: bytes)
  }

  /// Reads what ``encode(to:)`` writes.
  ///
  /// - Throws: what the decoder throws, and ``InvalidHash``.
  public init(from decoder: any Decoder) throws {
    try self.init(hex: decoder.singleValueContainer().decode(String.self).utf8)
  }

  /// Encodes the digest as ``description``.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }

  private static func words(_ bytes: UnsafeRawBufferPointer) -> (UInt64, UInt64, UInt64, UInt64) {
    (
      bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self), bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self),
      bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self), bytes.loadUnaligned(fromByteOffset: 24, as: UInt64.self)
    )
  }

  /// The first 24 of the digest's bytes, as three numbers.
  package var firstWords: (UInt64, UInt64, UInt64) { (words.0, words.1, words.2) }

  /// The digest's 32 bytes.
  public var bytes: [UInt8] { withUnsafeBytes(of: words) { Array($0) } }

  /// The first so many of the digest's bytes, 32 at the most.
  public func prefix(_ count: Int) -> [UInt8] { withUnsafeBytes(of: words) { Array($0.prefix(count)) } }

  func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result { withUnsafeBytes(of: words, body) }

  /// Appends the digest's 32 bytes.
  public func append(to bytes: inout [UInt8]) {
    withUnsafeBytes(of: words) { bytes.append(contentsOf: $0) }
  }

  /// Writes the digest's 32 bytes over others.
  func store(to bytes: UnsafeMutableRawBufferPointer, at place: Int) {
    withUnsafeBytes(of: words) {
      UnsafeMutableRawBufferPointer(rebasing: bytes[place..<(place + 32)]).copyMemory(from: $0)
    }
  }

  /// Appends 64 lowercase hexadecimal digits.
  func appendHex(to text: inout [UInt8]) {
    withUnsafeBytes(of: words) { text.append(hex: $0) }
  }

  /// 64 lowercase hexadecimal digits.
  public var description: String {
    var text: [UInt8] = []
    appendHex(to: &text)
    return String(decoding: text, as: UTF8.self)
  }

  public static func == (a: LogDigest, b: LogDigest) -> Bool { a.words == b.words }

  public func hash(into hasher: inout Hasher) { withUnsafeBytes(of: words) { hasher.combine(bytes: $0) } }
}

extension [UInt8] {
  /// Appends two lowercase digits for each byte.
  mutating func append(hex bytes: UnsafeRawBufferPointer) {
    let place = count
    append(contentsOf: repeatElement(0, count: 2 * bytes.count))
    withUnsafeMutableBytes { Hex.write(bytes, to: UnsafeMutableRawBufferPointer(rebasing: $0[place...])) }
  }
}
