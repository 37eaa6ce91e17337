/// The caller's half of a seed chain: 1 to 256 bytes of UTF-8 without NUL.
///
/// Its identity is its bytes. `String` compares by canonical equivalence, so that `é` equals `e` with
/// a combining accent; the HMAC and every database tell the two apart, and so does this type in `==`,
/// `hash(into:)` and `<`.
public struct ClientSeed: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The UTF-8.
  public let bytes: [UInt8]

  /// - Throws: ``InvalidParameter`` named `clientSeed` for no bytes, more than 256, a NUL among them,
  ///   or bytes that are not UTF-8.
  public init(_ utf8: some Collection<UInt8>) throws(InvalidParameter) {
    // One more than the limit is enough to know, however long the input.
    try self.init(Array(utf8.prefix(Self.maximumByteCount + 1))[...])
  }

  /// The same without a generic function's cost.
  ///
  /// - Throws: the same.
  public init(_ utf8: ArraySlice<UInt8>) throws(InvalidParameter) {
    let bytes = Array(utf8.prefix(Self.maximumByteCount + 1))
    guard (1...Self.maximumByteCount).contains(bytes.count) else { throw Self.wrongLength }
    var smallest = UInt8.max
    var largest = UInt8.min
    for byte in bytes {
      smallest = min(smallest, byte)
      largest = max(largest, byte)
    }
    guard smallest > 0 else { throw Self.invalid("must not contain a NUL character") }
    guard largest < 0x80 || String(validating: bytes, as: UTF8.self) != nil else {
      throw Self.invalid("must be valid UTF-8")
    }
    self.bytes = bytes
  }

  /// - Throws: ``InvalidParameter`` named `clientSeed` for an empty string, one of more than 256 bytes
  ///   of UTF-8, or one that contains NUL.
  public init(_ string: String) throws(InvalidParameter) {
    try self.init(string.utf8)
  }

  /// Hashes the bytes in one go; an array would feed them to the hasher one by one.
  public func hash(into hasher: inout Hasher) {
    bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
  }

  /// Lexicographic order of the bytes.
  public static func < (a: ClientSeed, b: ClientSeed) -> Bool {
    a.bytes.lexicographicallyPrecedes(b.bytes)
  }

  /// The seed as text.
  public var description: String { String(decoding: bytes, as: UTF8.self) }

  private static let maximumByteCount = 256

  private static var wrongLength: InvalidParameter {
    invalid("must be 1 to \(maximumByteCount) bytes of UTF-8")
  }

  private static func invalid(_ reason: String) -> InvalidParameter {
    InvalidParameter(name: "clientSeed", reason: reason)
  }
}
