import Fairness
import Foundation
import JSON
import Ledger

/// What somebody says a day's root is. Nothing of it is believed; that is what an audit is for.
public struct DayClaim: Sendable, Equatable {
  public let date: String
  public let root: String
  public let leafCount: Int
  public let treeHeight: Int
  public let previousRoot: String
  /// Base64.
  public let signature: String

  public init(_ day: PublishedDay) {
    date = day.day.description
    root = day.root?.description ?? ""
    leafCount = day.leafCount
    treeHeight = day.shape.height
    previousRoot = day.previousRoot?.description ?? ""
    signature = Data(day.signature).base64EncodedString()
  }

  /// Reads one root object, or the one of `day` among `{"roots": […]}`.
  ///
  /// - Returns: nil if there is none of that day.
  /// - Throws: ``UnreadableClaim``.
  public static func find(_ day: Day, in json: [UInt8]) throws(UnreadableClaim) -> DayClaim? {
    let root: JSONValue
    do { root = try JSONText(json).root } catch { throw UnreadableClaim("it is not JSON: \(error.reason)") }
    guard let members = root.members else { throw UnreadableClaim("it is not a JSON object") }
    let named = members.first { $0.name.elementsEqual("roots".utf8) }
    for candidate in named?.value.elements() ?? [root] {
      let claim = try DayClaim(candidate)
      if claim.date == day.description { return claim }
    }
    return nil
  }

  private init(_ json: JSONValue) throws(UnreadableClaim) {
    let members = json.members ?? []
    func text(_ name: String) throws(UnreadableClaim) -> String {
      guard let bytes = members.first(where: { $0.name.elementsEqual(name.utf8) })?.value.string else {
        throw UnreadableClaim("it has no text called \(name)")
      }
      return String(decoding: bytes, as: UTF8.self)
    }
    func number(_ name: String) throws(UnreadableClaim) -> Int {
      guard let number = members.first(where: { $0.name.elementsEqual(name.utf8) })?.value.number.flatMap({ Int($0) }),
        number >= 0
      else { throw UnreadableClaim("it has no whole number called \(name)") }
      return number
    }
    date = try text("date")
    root = try text("root")
    leafCount = try number("leafCount")
    treeHeight = try number("treeHeight")
    previousRoot = try text("previousRoot")
    signature = try text("signature")
  }

  public var statement: RootStatement {
    RootStatement(date: date, root: root, leafCount: leafCount, previousRoot: previousRoot)
  }
}

public struct UnreadableClaim: Error, Sendable, Equatable, CustomStringConvertible {
  public let description: String
  init(_ description: String) { self.description = description }
}

/// Recomputes a day from its leaf hashes, one after the other, in memory of the order of the tree's height and of the
/// auditor's own outcomes.
public struct DayAudit {
  /// One thing that was checked.
  public struct Finding: Sendable, Equatable {
    /// What: `root`, `signature`, …
    public let name: String
    /// nil if it holds; else what was claimed and what was computed.
    public let fault: String?
    /// What there is to say if it holds.
    public let note: String

    public init(_ name: String, note: String = "", fault: String? = nil) {
      self.name = name
      self.note = note
      self.fault = fault
    }
  }

  /// What is known of the day before.
  public enum Previous: Sendable {
    /// Its root as it was published.
    case root(String)
    /// The log has no such day: the one audited is the first.
    case none
    /// Nobody was asked.
    case unknown
  }

  private let claim: DayClaim
  private var tree = MerkleTree()
  /// The auditor's own leaves that were not met yet, by their hashes, with what to call them.
  private var wanted: [MerkleHash: String]
  private let own: Int?

  /// - Parameter own: the auditor's own outcomes of the day; nil if there are none to check.
  public init(_ claim: DayClaim, own: OwnOutcomes? = nil) {
    self.claim = claim
    wanted = own?.leaves ?? [:]
    self.own = own?.leaves.count
  }

  public var leafCount: Int { tree.leafCount }

  public mutating func add(_ leaf: MerkleHash) {
    tree.append(leaf)
    wanted[leaf] = nil
  }

  /// What came of it, once all leaves have been added.
  public func findings(previous: Previous, publicKey: [UInt8]) -> [Finding] {
    let root = tree.root()?.description ?? ""
    var findings = [
      compare("leafCount", claimed: claim.leafCount, computed: tree.leafCount, "leaf hashes"),
      compare("treeHeight", claimed: claim.treeHeight, computed: tree.shape.height),
      compare("root", claimed: quoted(claim.root), computed: quoted(root)),
      signature(publicKey),
      chain(previous),
    ]
    if let own {
      let missing = wanted.values.sorted()
      let shown = missing.prefix(10).joined(separator: ", ") + (missing.count > 10 ? ", …" : "")
      // Nothing to look for is not something found.
      let fault: String? =
        own == 0
        ? "none of the outcomes is a live one of this day"
        : missing.isEmpty ? nil : "\(missing.count) of \(own) are not in the log: \(shown)"
      findings.append(
        Finding("outcomes", note: own == 1 ? "it is in the log" : "all \(own) are in the log", fault: fault))
    }
    return findings
  }

  private func compare<Value: Equatable>(_ name: String, claimed: Value, computed: Value, _ unit: String = "")
    -> Finding
  {
    Finding(
      name, note: unit.isEmpty ? "\(computed)" : "\(computed) \(unit)",
      fault: claimed == computed ? nil : "the day claims \(claimed), but its leaves give \(computed)")
  }

  private func signature(_ publicKey: [UInt8]) -> Finding {
    let key = Data(publicKey).base64EncodedString()
    let statement = claim.statement
    guard let signature = Data(base64Encoded: claim.signature), signature.count == 64 else {
      return Finding("signature", fault: "\"\(claim.signature)\" is not an Ed25519 signature in base64")
    }
    return Finding(
      "signature", note: "by \(key)",
      fault: statement.isSigned(Array(signature), by: publicKey)
        ? nil : "\(claim.signature) is not the signature of \"\(statement.text)\" by the key \(key)")
  }

  private func chain(_ previous: Previous) -> Finding {
    switch previous {
    case .root(let root):
      Finding(
        "previousRoot", note: "the day before has it",
        fault: root == claim.previousRoot
          ? nil : "the day claims \(quoted(claim.previousRoot)), but the day before has \(quoted(root))")
    case .none:
      Finding(
        "previousRoot", note: "this is the first day",
        fault: claim.previousRoot.isEmpty
          ? nil : "the day claims \(quoted(claim.previousRoot)), but the log has no day before it")
    case .unknown:
      Finding("previousRoot", note: "signed; the day before is not available to compare")
    }
  }

  private func quoted(_ text: String) -> String { text.isEmpty ? "\"\" (no outcomes)" : text }
}
