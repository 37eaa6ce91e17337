/// The path under which a log serves a tile of hashes or a bundle of entries: `tile/<L>/<N>[.p/<W>]` or
/// `tile/entries/<N>[.p/<W>]`, as <https://c2sp.org/tlog-tiles> has it.
///
/// Only what ``description`` writes is read: a tile has one path.
///
/// ```swift
/// LogTilePath("tile/1/x001/x234/067.p/17")   // level 1, number 1234067, the first 17 hashes
/// ```
public struct LogTilePath: Hashable, Sendable, CustomStringConvertible {
  public enum Kind: Hashable, Sendable {
    /// Hashes of a level from 0 to 63. A hash of level 1 stands for a whole tile of level 0: in the tree it is level 8.
    case hashes(level: Int)
    /// The entries whose hashes are the tile of level 0 and the same number.
    case entries
  }

  public let kind: Kind
  /// The tile's number among its level's, from 0 on the left.
  public let number: Int
  /// How many hashes or entries it has, from 1 to 256; 256 if it is full.
  public let width: Int

  /// The widths that a tile can have.
  public static let widths = 1...MerkleTile.width
  /// The levels that a path can name.
  public static let levels = 0...63

  /// - Precondition: the level is from 0 to 63, the number 0 or more, the width from 1 to 256.
  public init(_ kind: Kind, number: Int, width: Int = MerkleTile.width) {
    if case .hashes(let level) = kind { precondition(Self.levels.contains(level)) }
    precondition(number >= 0 && Self.widths.contains(width))
    self.kind = kind
    self.number = number
    self.width = width
  }

  /// - Parameter path: without a slash at its beginning.
  /// - Returns: nil if the path is not written as ``description`` writes it.
  public init?(_ path: some StringProtocol) {
    guard path.utf8.count <= Self.longest else { return nil }
    var parts = path.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)[...]
    guard parts.count >= 3, parts.removeFirst().elementsEqual("tile".utf8) else { return nil }
    let level = parts.removeFirst()
    if level.elementsEqual("entries".utf8) {
      kind = .entries
    } else {
      guard let level = Int(decimal: level), Self.levels.contains(level) else { return nil }
      kind = .hashes(level: level)
    }
    var width = MerkleTile.width
    if parts.count >= 2, parts[parts.endIndex - 2].suffix(2).elementsEqual(".p".utf8) {
      guard let partial = Int(decimal: parts.removeLast()), partial < width, partial > 0 else { return nil }
      width = partial
      parts.append(parts.removeLast().dropLast(2))
    }
    self.width = width
    var number = 0
    for (index, part) in parts.enumerated() {
      let isLast = index == parts.count - 1
      guard isLast || part.first == UInt8(ascii: "x") else { return nil }
      let digits = isLast ? part : part.dropFirst()
      guard digits.count == 3, digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
        return nil
      }
      let group = digits.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
      // No number begins with a group of zeros, save zero.
      guard index > 0 || isLast || group > 0 else { return nil }
      let (thousands, tooMany) = number.multipliedReportingOverflow(by: 1000)
      let (sum, tooLarge) = thousands.addingReportingOverflow(group)
      guard !tooMany, !tooLarge else { return nil }
      number = sum
    }
    self.number = number
  }

  /// The longest path: level 63 and the largest number.
  private static let longest = 64

  public var description: String {
    var groups = Self.padded(number % 1000)
    var rest = number / 1000
    while rest > 0 {
      groups = "x\(Self.padded(rest % 1000))/\(groups)"
      rest /= 1000
    }
    let level =
      switch kind {
      case .hashes(let level): String(level)
      case .entries: "entries"
      }
    return "tile/\(level)/\(groups)" + (width < MerkleTile.width ? ".p/\(width)" : "")
  }

  private static func padded(_ group: Int) -> String {
    let digits = String(group)
    return String(repeating: "0", count: 3 - digits.count) + digits
  }
}

extension Int {
  /// The number that decimal digits stand for, without a sign and without zeros before it; nil for any other text.
  init?(decimal digits: some Collection<UInt8>) {
    guard !digits.isEmpty, digits.first != UInt8(ascii: "0") || digits.count == 1 else { return nil }
    var number = 0
    for digit in digits {
      guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
      let (tens, tooMany) = number.multipliedReportingOverflow(by: 10)
      let (sum, tooLarge) = tens.addingReportingOverflow(Int(digit - UInt8(ascii: "0")))
      guard !tooMany, !tooLarge else { return nil }
      number = sum
    }
    self = number
  }
}
