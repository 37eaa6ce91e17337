import Fairness

/// Reads leaf hashes, one in hexadecimal a line, from text that comes in pieces.
public struct LeafLines: Sendable {
  /// The line that is being read, from 1.
  private var line = 1
  private var rest: [UInt8] = []

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
      } else if rest.count <= 2 * MerkleHash.size {  // what is longer is no hash, however it goes on
        rest.append(byte)
      }
    }
  }

  /// Reads the last line, if it has no end.
  public mutating func finish(_ body: (MerkleHash) -> Void) throws(Unreadable) {
    if !rest.isEmpty { try endLine(body) }
  }

  private mutating func endLine(_ body: (MerkleHash) -> Void) throws(Unreadable) {
    guard let hash = try? MerkleHash(hex: rest) else { throw Unreadable(line: line) }
    body(hash)
    rest.removeAll(keepingCapacity: true)
    line += 1
  }
}
