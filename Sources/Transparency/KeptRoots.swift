import Fairness
import JSON
import Ledger

/// Daily roots that an auditor kept, to be compared with what is published now.
///
/// Each line of their file is a response of `/api/merkle/{date}` or `/api/merkle`, or a date, a space and a root, of which
/// `-` is that of a day without outcomes.
public struct KeptRoots: Sendable {
  private struct Kept: Sendable, Equatable {
    let root: String
    /// nil if it was not kept.
    let leafCount: Int?
    let line: Int
  }

  private var roots: [Day: Kept] = [:]

  public struct Unreadable: Error, Sendable, Equatable, CustomStringConvertible {
    public let description: String
  }

  public init(_ file: [UInt8]) throws(Unreadable) {
    let lines = file.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    for (index, line) in lines.enumerated() {
      var line = line
      while let last = line.last, [0x20, 0x09, 0x0D].contains(last) { line.removeLast() }
      guard !line.isEmpty else { continue }
      if line.first == UInt8(ascii: "{") {
        try addJSON(Array(line), index + 1)
      } else {
        let words = String(decoding: line, as: UTF8.self).split(separator: " ")
        guard words.count == 2, let day = Day(words[0]) else {
          throw Unreadable(description: "line \(index + 1) is neither JSON nor a date and a root")
        }
        try add(day, words[1] == "-" ? "" : String(words[1]), nil, index + 1)
      }
    }
  }

  private mutating func addJSON(_ text: [UInt8], _ line: Int) throws(Unreadable) {
    let value: JSONValue
    do { value = try JSONText(text).root } catch {
      throw Unreadable(description: "line \(line) is not JSON: \(error.reason)")
    }
    for root in value["roots"]?.elements() ?? [value] {
      guard let date = root["date"]?.string, let day = Day(String(decoding: date, as: UTF8.self)),
        let hex = root["root"]?.string, let count = root["leafCount"]?.number.flatMap({ Int($0) })
      else { throw Unreadable(description: "line \(line) has no date, root and leafCount of a day") }
      try add(day, String(decoding: hex, as: UTF8.self), count, line)
    }
  }

  private mutating func add(_ day: Day, _ root: String, _ leafCount: Int?, _ line: Int) throws(Unreadable) {
    guard root.isEmpty || (try? MerkleHash(hex: root.utf8)) != nil else {
      throw Unreadable(description: "line \(line) has no root of 64 hexadecimal characters")
    }
    let kept = Kept(root: root.lowercased(), leafCount: leafCount, line: line)
    if let other = roots[day],
      other.root != kept.root || (leafCount ?? other.leafCount) != (other.leafCount ?? leafCount)
    {
      throw Unreadable(
        description: "line \(line) has another root of \(day) than line \(other.line): keep both, and ask why")
    }
    roots[day] = kept
  }

  /// Whether a root of the day was kept.
  public func has(_ day: Day) -> Bool { roots[day] != nil }

  /// Holds a day against the root that was kept of it.
  ///
  /// - Parameter claim: what is published now; nil for nothing.
  /// - Returns: nil if none was kept.
  public func finding(_ day: Day, _ claim: DayClaim?) -> DayAudit.Finding? {
    guard let kept = roots[day] else { return nil }
    func shown(_ root: String) -> String { root.isEmpty ? "\"\" (no outcomes)" : root }
    guard let claim else {
      return DayAudit.Finding("kept", fault: "you kept the root \(shown(kept.root)), and none is published now")
    }
    guard claim.root == kept.root, claim.leafCount == kept.leafCount ?? claim.leafCount else {
      let counts = kept.leafCount.map { " of \($0) leaves" } ?? ""
      return DayAudit.Finding(
        "kept",
        fault:
          "you kept the root \(shown(kept.root))\(counts), and \(shown(claim.root)) of \(claim.leafCount) is published now"
      )
    }
    return DayAudit.Finding("kept", note: "it is the root that you kept")
  }
}
