import Crypto

/// The public key of a log or a witness, in the text that <https://c2sp.org/signed-note> defines:
/// `<name>+<key ID in hexadecimal>+<base64 of the algorithm's byte and the key>`.
///
/// ```swift
/// let key = try LogVerifierKey("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
/// let note = try SignedNote(text)
/// note.signatures.contains { key.accepts($0, of: note.text) }
/// ```
public struct LogVerifierKey: Hashable, Sendable, CustomStringConvertible {
  public enum Algorithm: UInt8, Hashable, Sendable {
    /// An Ed25519 signature of the note's text.
    case ed25519 = 0x01
    /// A witness's: a time, and an Ed25519 signature of that and the text (<https://c2sp.org/tlog-cosignature>).
    case cosignature = 0x04
  }

  public enum Failure: Error, Equatable, Sendable, CustomStringConvertible {
    case malformed
    case invalidName
    /// Neither of the algorithms that are supported.
    case unknownAlgorithm(UInt8)
    /// The ID is not the one that follows from the name, the algorithm and the key.
    case wrongKeyID(expected: UInt32)

    public var description: String {
      switch self {
      case .malformed: "a verifier key is written <name>+<8 hexadecimal digits>+<base64 of 33 bytes>"
      case .invalidName: "the name of a key has 1 to \(longestName) bytes, and neither spaces, control characters nor +"
      case .unknownAlgorithm(let byte):
        "the key is of algorithm \(byte); 1 (Ed25519) and 4 (Ed25519 cosignatures) are supported"
      case .wrongKeyID(let expected):
        "the key's ID is not the one that follows from its name and bytes, \(hex(expected))"
      }
    }
  }

  public let name: String
  /// The first four bytes of the SHA-256 of the name, a line break, the algorithm's byte and the key.
  public let keyID: UInt32
  public let algorithm: Algorithm
  /// 32 bytes.
  public let publicKey: [UInt8]

  /// The most bytes that a name may have here.
  public static let longestName = 1024

  /// - Throws: ``Failure`` unless `text` is written as ``description`` writes it.
  public init(_ text: String) throws(Failure) {
    let parts = text.utf8.split(separator: UInt8(ascii: "+"), maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 3, parts[1].count == 8, let id = Hex.decodeLowercase(parts[1]),
      let bytes = Base64.decode(parts[2]), let type = bytes.first
    else { throw .malformed }
    guard let algorithm = Algorithm(rawValue: type) else { throw .unknownAlgorithm(type) }
    guard bytes.count == 33 else { throw .malformed }
    try self.init(
      name: String(decoding: parts[0], as: UTF8.self), algorithm: algorithm, publicKey: Array(bytes.dropFirst()))
    guard keyID == UInt32(bigEndian: id[...]) else { throw .wrongKeyID(expected: keyID) }
  }

  /// - Parameter publicKey: 32 bytes.
  /// - Throws: ``Failure/invalidName``, and ``Failure/malformed`` for a key of another size.
  public init(name: String, algorithm: Algorithm, publicKey: [UInt8]) throws(Failure) {
    guard Self.isName(name) else { throw .invalidName }
    guard publicKey.count == 32 else { throw .malformed }
    self.name = name
    self.algorithm = algorithm
    self.publicKey = publicKey
    let digest = LogDigest(of: Array(name.utf8) + [UInt8(ascii: "\n"), algorithm.rawValue] + publicKey)
    keyID = UInt32(bigEndian: digest.prefix(4))
  }

  /// Whether a signature names this key. If it does and the key does not accept it, the note was tampered with.
  public func isNamed(by signature: NoteSignature) -> Bool {
    signature.keyID == keyID && signature.name.utf8.elementsEqual(name.utf8)
  }

  /// Whether `signature` is this key's, of the text.
  ///
  /// - Parameter text: with its last line break.
  public func accepts(_ signature: NoteSignature, of text: String) -> Bool {
    guard isNamed(by: signature), let key = try? Curve25519.Signing.PublicKey(rawRepresentation: publicKey) else {
      return false
    }
    switch algorithm {
    case .ed25519: return key.isValidSignature(signature.bytes, for: Array(text.utf8))
    case .cosignature:
      guard signature.bytes.count == 72, let time = signature.time else { return false }
      return key.isValidSignature(signature.bytes.dropFirst(8), for: Self.cosigned(text, at: time))
    }
  }

  /// When a witness saw the checkpoint, in seconds since 1970 UTC.
  ///
  /// - Returns: nil unless this key is a witness's and accepts the signature.
  public func time(of signature: NoteSignature, of text: String) -> Int? {
    algorithm == .cosignature && accepts(signature, of: text) ? signature.time : nil
  }

  /// What a witness signs.
  static func cosigned(_ text: String, at seconds: Int) -> [UInt8] {
    Array("cosignature/v1\ntime \(seconds)\n".utf8) + Array(text.utf8)
  }

  /// Whether a key can have that name: no Unicode space, no control character and no plus.
  public static func isName(_ name: String) -> Bool {
    (1...longestName).contains(name.utf8.count)
      && name.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0 != "+" && !$0.properties.isWhitespace }
  }

  public var description: String {
    "\(name)+\(Self.hex(keyID))+\(Base64.encode([algorithm.rawValue] + publicKey))"
  }

  private static func hex(_ id: UInt32) -> String {
    String(decoding: Hex.encode(id.bigEndianBytes), as: UTF8.self)
  }

  public static func == (a: LogVerifierKey, b: LogVerifierKey) -> Bool {
    a.keyID == b.keyID && a.algorithm == b.algorithm && a.publicKey == b.publicKey
      && a.name.utf8.elementsEqual(b.name.utf8)
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(keyID)
    hasher.combine(publicKey)
  }
}

extension FixedWidthInteger {
  /// The number whose bytes are given, the highest first. There are as many as it has.
  init(bigEndian bytes: some Collection<UInt8>) { self = bytes.reduce(0) { $0 << 8 | Self($1) } }

  /// The number's bytes, the highest first.
  var bigEndianBytes: [UInt8] { withUnsafeBytes(of: bigEndian) { Array($0) } }
}
