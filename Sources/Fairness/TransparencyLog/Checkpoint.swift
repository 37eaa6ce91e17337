/// What a log signs of itself: its name, how many entries it has, and the root of their tree
/// (<https://c2sp.org/tlog-checkpoint>).
public struct Checkpoint: Hashable, Sendable {
  /// Which log it is: the name that all its checkpoints begin with.
  public let origin: String
  /// How many entries the log has.
  public let size: Int
  public let root: MerkleHash
  /// Further lines, of which this says nothing. Fairdraw's own logs have none.
  public let extensions: [String]

  public enum Failure: Error, Equatable, Sendable, CustomStringConvertible {
    /// Three lines at least, none of them empty, each with its line break.
    case malformed
    case invalidSize
    case invalidRoot

    public var description: String {
      switch self {
      case .malformed: "a checkpoint has three lines or more, none is empty, and each ends"
      case .invalidSize: "the second line of a checkpoint is a number of entries, from 0 to 2^63 - 1"
      case .invalidRoot: "the third line of a checkpoint is the base64 of 32 bytes"
      }
    }
  }

  /// - Precondition: the size is 0 or more; origin and extensions are lines: not empty, without a line break.
  public init(origin: String, size: Int, root: MerkleHash, extensions: [String] = []) {
    precondition(
      size >= 0 && ([origin] + extensions).allSatisfy { !$0.isEmpty && !$0.utf8.contains(UInt8(ascii: "\n")) })
    self.origin = origin
    self.size = size
    self.root = root
    self.extensions = extensions
  }

  /// - Parameter text: a note's: ``SignedNote/text``.
  /// - Throws: ``Failure`` unless it is written as ``text`` writes it.
  public init(text: String) throws(Failure) {
    var lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    // What follows the last line break is no line.
    guard lines.popLast()?.isEmpty == true, lines.count >= 3, lines.allSatisfy({ !$0.isEmpty }) else {
      throw .malformed
    }
    guard let size = Int(decimal: lines[1]) else { throw .invalidSize }
    guard let bytes = Base64.decode(lines[2]), let root = try? MerkleHash(bytes: bytes) else { throw .invalidRoot }
    self.init(
      origin: String(decoding: lines[0], as: UTF8.self), size: size, root: root,
      extensions: lines.dropFirst(3).map { String(decoding: $0, as: UTF8.self) })
  }

  /// The root in base64, as it is signed.
  public var rootText: String { Base64.encode(root.bytes) }

  /// The lines, as they are signed.
  public var text: String {
    "\(origin)\n\(size)\n\(rootText)\n" + extensions.map { "\($0)\n" }.joined()
  }

  public static func == (a: Checkpoint, b: Checkpoint) -> Bool { a.text.utf8.elementsEqual(b.text.utf8) }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(size)
    hasher.combine(root)
  }
}
