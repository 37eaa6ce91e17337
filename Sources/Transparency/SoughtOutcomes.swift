import Fairness
import JSON
import Ledger

/// Outcomes that must be in the continuous log, by the digests of their texts: see ``LogText``.
///
/// A file of them is read line by line. It is an export of an account, or has in each line, or in all of it, an outcome as
/// it was answered, one with its `items` beside it, a list of those, or an answer of `/api/batch`.
public struct SoughtOutcomes: Sendable {
  /// The digests that were not found yet, with the shortIds.
  public private(set) var missing: [LogDigest: String] = [:]
  /// The number of different outcomes.
  public private(set) var count = 0
  /// Shuffles and picks without their items, whose texts cannot be written.
  public private(set) var withoutItems = 0
  /// Outcomes of test keys, which are not in the log.
  public private(set) var ofTestMode = 0
  /// Outcomes that another service drew, which are not in the log.
  public private(set) var imported = 0
  private var line = 0
  private var isExport: Bool?
  private var isInOutcomes = false

  private let most: Int

  public struct Unreadable: Error, Sendable, Equatable, CustomStringConvertible {
    public let description: String
  }

  /// - Parameter most: the most outcomes there can be, some 100 bytes each.
  public init(most: Int = 4_000_000) { self.most = most }

  /// Reads the next line, without its line break.
  ///
  /// - Throws: ``Unreadable``.
  public mutating func read(_ text: [UInt8]) throws(Unreadable) {
    line += 1
    var text = text[...]
    while let last = text.last, [0x20, 0x09, 0x0D].contains(last) { text.removeLast() }
    guard !text.isEmpty else { return }
    if isExport == nil {
      isExport = text.starts(with: "{\"account\":".utf8) && text.last == UInt8(ascii: ",")
    }
    if isExport == true {
      guard isInOutcomes else {
        isInOutcomes = text.elementsEqual("\"outcomes\":[".utf8)
        return
      }
      if text.elementsEqual("]}".utf8) || text.elementsEqual("]".utf8) {
        isInOutcomes = false
        return
      }
      if text.last == UInt8(ascii: ",") { text.removeLast() }
    }
    do {
      try add(try JSONText(Array(text)).root)
    } catch let error as JSONSyntaxError {
      throw Unreadable(description: "line \(line) is not JSON: \(error.reason)")
    } catch {
      throw Unreadable(description: "line \(line): \(error)")
    }
  }

  private mutating func add(_ value: JSONValue) throws {
    if let elements = value.elements() ?? value["results"]?.elements() ?? value["outcomes"]?.elements() {
      for element in elements { try add(element) }
      return
    }
    if value["ok"]?.kind == .bool, value["outcome"] == nil { return }  // a draw of a batch that failed
    let inner = value["outcome"]
    let isEntry = value["endpoint"] == nil && inner?["endpoint"] != nil
    let outcome = isEntry ? inner ?? value : value
    if outcome["imported"]?.isTrue == true {
      imported += 1
      return
    }
    guard outcome["mode"]?.string != Array("test".utf8) else {
      ofTestMode += 1
      return
    }
    let shortID = outcome["shortId"]?.string.map { String(decoding: $0, as: UTF8.self) } ?? "?"
    guard let digest = try LogDigest(ofOutcome: outcome, items: value["items"] ?? outcome["items"]) else {
      withoutItems += 1
      return
    }
    guard missing.updateValue(shortID, forKey: digest) == nil else { return }
    count += 1
    guard count <= most else { throw Unreadable(description: "there are more than \(most) outcomes") }
  }

  /// Notes that an entry is in the log.
  public mutating func met(_ line: [UInt8]) {
    guard !missing.isEmpty, case .draw(let digest)? = LogEntry(line) else { return }
    missing[digest] = nil
  }
}
