/// A log's entries as they are served: 1 to 256 of them, each after its length in two bytes, the higher first
/// (<https://c2sp.org/tlog-tiles>).
public enum LogEntryBundle {
  /// How many entries a bundle can have.
  public static let counts = 1...MerkleTile.width
  /// The most bytes an entry has.
  public static let longestEntry = Int(UInt16.max)

  public enum Failure: Error, Equatable, Sendable, CustomStringConvertible {
    /// A bundle has 1 to 256 entries.
    case wrongCount
    /// An entry has at most 65 535 bytes.
    case entryTooLong(index: Int)
    /// The bytes end within an entry or its length.
    case truncated(index: Int)

    public var description: String {
      switch self {
      case .wrongCount: "a bundle has \(counts.lowerBound) to \(counts.upperBound) entries"
      case .entryTooLong(let index): "entry \(index) of the bundle has more than \(longestEntry) bytes"
      case .truncated(let index): "the bundle ends within entry \(index)"
      }
    }
  }

  /// The bundle's bytes.
  ///
  /// - Throws: ``Failure/wrongCount`` and ``Failure/entryTooLong(index:)``.
  public static func encode(_ entries: [[UInt8]]) throws(Failure) -> [UInt8] {
    guard counts.contains(entries.count) else { throw .wrongCount }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(entries.reduce(0) { $0 + 2 + $1.count })
    for (index, entry) in entries.enumerated() {
      guard entry.count <= longestEntry else { throw .entryTooLong(index: index) }
      bytes.append(UInt8(entry.count >> 8))
      bytes.append(UInt8(entry.count & 255))
      bytes.append(contentsOf: entry)
    }
    return bytes
  }

  /// The entries, in their order.
  ///
  /// - Throws: ``Failure/wrongCount`` and ``Failure/truncated(index:)``.
  public static func decode(_ bytes: [UInt8]) throws(Failure) -> [[UInt8]] {
    var entries: [[UInt8]] = []
    var rest = bytes[...]
    while let high = rest.popFirst() {
      guard entries.count < MerkleTile.width else { throw .wrongCount }
      guard let low = rest.popFirst() else { throw .truncated(index: entries.count) }
      let count = Int(high) << 8 | Int(low)
      guard rest.count >= count else { throw .truncated(index: entries.count) }
      entries.append(Array(rest.prefix(count)))
      rest = rest.dropFirst(count)
    }
    guard !entries.isEmpty else { throw .wrongCount }
    return entries
  }
}
