/// A line of signature under a note: who says to have signed, and the signature.
public struct NoteSignature: Hashable, Sendable, CustomStringConvertible {
  /// The key's name.
  public let name: String
  public let keyID: UInt32
  /// What the key made: 64 bytes for Ed25519, 72 for a cosignature, which begins with its time.
  public let bytes: [UInt8]

  public init(name: String, keyID: UInt32, bytes: [UInt8]) {
    self.name = name
    self.keyID = keyID
    self.bytes = bytes
  }

  /// The line, without its line break: an em dash, the name, and the base64 of the key's ID and the signature.
  public var description: String { "— \(name) \(Base64.encode(keyID.bigEndianBytes + bytes))" }

  /// - Parameter line: without its line break.
  /// - Returns: nil for a line that ``description`` does not write.
  public init?(_ line: some StringProtocol) {
    let line = line.utf8
    let mark = "— ".utf8
    guard line.starts(with: mark) else { return nil }
    let words = line.dropFirst(mark.count).split(
      separator: UInt8(ascii: " "), maxSplits: 1, omittingEmptySubsequences: false)
    guard words.count == 2, let bytes = Base64.decode(words[1]), bytes.count > 4 else { return nil }
    let name = String(decoding: words[0], as: UTF8.self)
    guard LogVerifierKey.isName(name) else { return nil }
    self.init(name: name, keyID: UInt32(bigEndian: bytes.prefix(4)), bytes: Array(bytes.dropFirst(4)))
  }

  /// The time that a cosignature begins with; nil if it is above 2⁶³ − 1, which no cosignature's is.
  var time: Int? { Int(exactly: UInt64(bigEndian: bytes.prefix(8))) }

  public static func == (a: NoteSignature, b: NoteSignature) -> Bool {
    a.keyID == b.keyID && a.bytes == b.bytes && a.name.utf8.elementsEqual(b.name.utf8)
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(keyID)
    hasher.combine(bytes)
  }
}
