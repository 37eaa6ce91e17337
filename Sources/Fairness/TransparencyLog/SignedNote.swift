/// A text with the signatures of those who vouch for it (<https://c2sp.org/signed-note>).
///
/// That a note was read says nothing about its signatures: ``LogVerifierKey/accepts(_:of:)`` checks one, and
/// ``LogPolicy/verify(_:)`` all that count.
public struct SignedNote: Hashable, Sendable, CustomStringConvertible {
  /// What is signed. It ends in a line break.
  public let text: String
  /// In their order, at least one.
  public var signatures: [NoteSignature]

  /// The most bytes of a note.
  public static let longest = 1_000_000
  /// The most signatures of a note.
  public static let mostSignatures = 100

  public enum Failure: Error, Equatable, Sendable, CustomStringConvertible {
    case tooLong
    case notUTF8
    /// A control character other than a line break.
    case controlCharacter
    /// There is no empty line between a text and its signatures, or the last line does not end.
    case noSignatures
    case tooManySignatures
    /// A line below the text that is no signature; the first of them is 1.
    case malformedSignature(line: Int)

    public var description: String {
      switch self {
      case .tooLong: "a note has at most \(longest) bytes"
      case .notUTF8: "a note is written in UTF-8"
      case .controlCharacter: "a note has no control characters but line breaks"
      case .noSignatures: "a note is a text, an empty line and signatures, and each line ends"
      case .tooManySignatures: "a note has at most \(mostSignatures) signatures"
      case .malformedSignature(let line): "signature line \(line) of the note is malformed"
      }
    }
  }

  /// - Precondition: the text ends in a line break, and there is a signature.
  public init(text: String, signatures: [NoteSignature]) {
    precondition(text.utf8.last == UInt8(ascii: "\n") && !signatures.isEmpty)
    self.text = text
    self.signatures = signatures
  }

  /// - Throws: ``Failure`` unless `text` is what ``description`` writes.
  public init(_ text: String) throws(Failure) { try self.init(utf8: text.utf8) }

  /// - Throws: ``Failure`` unless the bytes are what ``description`` writes.
  public init(utf8: some BidirectionalCollection<UInt8>) throws(Failure) {
    let bytes = Array(utf8.prefix(Self.longest + 1))
    let lineBreak = UInt8(ascii: "\n")
    guard bytes.count <= Self.longest else { throw .tooLong }
    guard bytes.allSatisfy({ $0 >= 0x20 || $0 == lineBreak }) else { throw .controlCharacter }
    guard String(validating: bytes, as: UTF8.self) != nil else { throw .notUTF8 }
    // The last empty line that has something below it divides the note.
    guard bytes.last == lineBreak,
      let end = bytes.indices.dropLast(2).last(where: { bytes[$0] == lineBreak && bytes[$0 + 1] == lineBreak })
    else { throw .noSignatures }
    text = String(decoding: bytes[...end], as: UTF8.self)
    var rest = bytes[(end + 2)...]
    signatures = []
    while let lineEnd = rest.firstIndex(of: lineBreak) {
      guard signatures.count < Self.mostSignatures else { throw .tooManySignatures }
      guard let signature = NoteSignature(String(decoding: rest[..<lineEnd], as: UTF8.self)) else {
        throw .malformedSignature(line: signatures.count + 1)
      }
      signatures.append(signature)
      rest = rest[(lineEnd + 1)...]
    }
  }

  /// The note as it is served.
  public var description: String { text + "\n" + signatures.map { "\($0)\n" }.joined() }

  public static func == (a: SignedNote, b: SignedNote) -> Bool {
    a.signatures == b.signatures && a.text.utf8.elementsEqual(b.text.utf8)
  }

  public func hash(into hasher: inout Hasher) { hasher.combine(signatures) }
}
