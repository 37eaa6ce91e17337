import Fairness
import JSON
import Ledger

/// The outcomes an auditor holds, to be looked for in a day's log: a JSON array or lines of JSON objects, each an outcome as
/// it was answered, or one with a `canonical` text as `/api/merkle/{date}/mine` gives them.
public struct OwnOutcomes: Sendable {
  /// The leaves of the audited day, with what to call them.
  public private(set) var leaves: [MerkleHash: String] = [:]
  /// How many outcomes are of other days.
  public private(set) var ofOtherDays = 0
  /// How many are of test mode, which is not in the log.
  public private(set) var ofTestMode = 0
  /// How many another service drew, which are not in the log.
  public private(set) var imported = 0

  public struct Unreadable: Error, Sendable, CustomStringConvertible {
    public let description: String
  }

  /// - Throws: ``Unreadable`` for what is neither.
  public init(_ file: [UInt8], day: Day) throws(Unreadable) {
    if file.first(where: { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }) == UInt8(ascii: "[") {
      let elements = try Self.json(file, "it").elements() ?? []
      for (index, element) in elements.enumerated() { try add(element, "element \(index)", day) }
    } else {
      for (index, line) in file.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
        guard line.contains(where: { ![0x20, 0x09, 0x0D].contains($0) }) else { continue }
        let place = "line \(index + 1)"
        try add(try Self.json(Array(line), place), place, day)
      }
    }
  }

  private static func json(_ text: [UInt8], _ place: String) throws(Unreadable) -> JSONValue {
    do { return try JSONText(text).root } catch {
      throw Unreadable(description: "\(place) is not JSON: \(error.reason)")
    }
  }

  private mutating func add(_ json: JSONValue, _ place: String, _ day: Day) throws(Unreadable) {
    guard let members = json.members else { throw Unreadable(description: "\(place) is not a JSON object") }
    func member(_ name: String) -> JSONValue? { members.first { $0.name.elementsEqual(name.utf8) }?.value }
    func number(_ name: String) throws(Unreadable) -> Int64 {
      guard let number = member(name)?.number.flatMap({ Int64($0) }) else {
        throw Unreadable(description: "\(place) has no whole number called \(name)")
      }
      return number
    }
    if let canonical = member("canonical")?.string {
      let created = canonical.split(separator: UInt8(ascii: "|"), omittingEmptySubsequences: false).last ?? []
      guard let moment = Milliseconds(String(decoding: created, as: UTF8.self)) else {
        throw Unreadable(description: "\(place) has a canonical text that does not end in a time")
      }
      add(.leaf(canonical), at: moment, String(decoding: canonical, as: UTF8.self), day)
      return
    }
    if member("imported")?.isTrue == true {
      imported += 1
      return
    }
    if member("mode")?.string == Array("test".utf8) {
      ofTestMode += 1
      return
    }
    guard let seed = member("clientSeed")?.string, let clientSeed = try? ClientSeed(seed) else {
      throw Unreadable(description: "\(place) has no clientSeed")
    }
    guard let hex = member("serverHash")?.string,
      let serverHash = try? ServerHash(hex: String(decoding: hex, as: UTF8.self))
    else {
      throw Unreadable(description: "\(place) has no serverHash")
    }
    let leaf = LogLeaf(
      clientSeed: clientSeed, cursor: try number("cursor"), nonce: try number("nonce"), serverHash: serverHash,
      created: try number("created"))
    add(leaf.hash, at: leaf.created, String(decoding: leaf.canonical, as: UTF8.self), day)
  }

  private mutating func add(_ hash: MerkleHash, at moment: Milliseconds, _ name: String, _ day: Day) {
    if Day(of: moment) == day { leaves[hash] = name } else { ofOtherDays += 1 }
  }
}
