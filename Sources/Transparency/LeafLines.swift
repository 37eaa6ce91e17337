import Fairness

/// Reads leaf hashes, one in hexadecimal a line, from text that comes in pieces. A byte order mark at the beginning and
/// carriage returns before the ends of lines, which some editors add, do not matter.
public struct LeafLines: Sendable {
  /// The line that is being read, from 1.
  private var line = 1
  private var rest: [UInt8] = []
  /// Whether a byte order mark may come.
  private var isAtStart = true
  private static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

  public struct Unreadable: Error, Sendable, Equatable, CustomStringConvertible {
    public let line: Int
    public init(line: Int) { self.line = line }
    public var description: String { "line \(line) of the leaf hashes is not 64 hexadecimal characters" }
  }

  public init() {}

  /// - Throws: ``Unreadable`` for a line that is no hash.
  public mutating func read(_ piece: some Sequence<UInt8>, _ body: (MerkleHash) -> Void) throws(Unreadable) {
    for byte in piece {
      if byte == UInt8(ascii: "\n") {
        try endLine(body)
      } else if rest.count <= 2 * MerkleHash.size + 1 {  // what is longer is no hash, however it goes on
        rest.append(byte)
        if isAtStart, rest.count == Self.byteOrderMark.count {
          isAtStart = false
          if rest == Self.byteOrderMark { rest.removeAll(keepingCapacity: true) }
        }
      }
    }
  }

  /// Reads the last line, if it has no end.
  public mutating func finish(_ body: (MerkleHash) -> Void) throws(Unreadable) {
    if !rest.isEmpty { try endLine(body) }
  }

  private mutating func endLine(_ body: (MerkleHash) -> Void) throws(Unreadable) {
    if rest.last == UInt8(ascii: "\r") { rest.removeLast() }
    guard let hash = try? MerkleHash(hex: rest) else { throw Unreadable(line: line) }
    body(hash)
    isAtStart = false
    rest.removeAll(keepingCapacity: true)
    line += 1
  }
}
