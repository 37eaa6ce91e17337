import Fairness
import JSON

extension OutcomeReport {
  /// A report of nothing yet.
  public init() {}

  /// Checks that an outcome stands in a log: that the text in the proof says what the outcome says, that its digest is an
  /// entry of the log's tree, and that the tree is signed and cosigned as the policy asks.
  ///
  /// Values are compared as they are spelled: `1.0` is not `1`. White space between the tokens of the JSON is free.
  ///
  /// - Parameters:
  ///   - file: the proof's bytes, as <https://c2sp.org/tlog-proof> has them.
  ///   - items: what a shuffle or a pick was made of; nil for the outcome's own `items`.
  public mutating func checkLogProof(_ file: [UInt8], of outcome: JSONValue, items: JSONValue?, policy: LogPolicy) {
    let proof: LogProof
    do throws(LogProof.Failure) {
      proof = try LogProof(utf8: file)
    } catch {
      return fail(error.step, error.description)
    }
    do throws(InvalidParameter) {
      guard let text = proof.extra else {
        throw InvalidParameter(name: "extra", reason: "must be there, with the text that is logged")
      }
      let spelled = try SpelledOutcome(outcome)
      checkText(text, says: spelled, items: items ?? spelled["items"])
      let count = spelled.valueCount.map { Array(String($0).utf8) } ?? []
      compare(spelling: "count", count, spelled["count"]?.compact)
      compare(spelling: "mode", Array("\"live\"".utf8), spelled["mode"]?.compact)
      let entry = LogEntry.draw(LogDigest(of: text)).bytes
      pass("entry", String(decoding: entry, as: UTF8.self))
      checkTree(proof, entry: entry)
    } catch {
      return fail(error.name, error.reason)
    }
    checkSignatures(of: proof.checkpoint, policy)
  }

  // MARK: The text

  private mutating func checkText(_ text: [UInt8], says outcome: SpelledOutcome, items: JSONValue?) {
    let lines = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    let expected = outcome.lines(items: items)
    guard lines.count == expected.count + 2, lines[0].elementsEqual("fairdraw/outcome/v1".utf8),
      lines[lines.count - 1].isEmpty, String(validating: text, as: UTF8.self) != nil
    else {
      return fail("text", "must be fairdraw/outcome/v1 and \(expected.count) lines, each with a line break")
    }
    for ((name, said), logged) in zip(expected, lines.dropFirst()) {
      let isDigest = logged.count == 64 && logged.allSatisfy { Character(Unicode.Scalar($0)).isHexDigit }
      if name == "items", said == nil, isDigest {
        pass("text.items", "by their hash only, for they were not given")
      } else {
        compare(spelling: "text." + name, Array(logged), said, quoted: true)
      }
    }
  }

  // MARK: The tree

  private mutating func checkTree(_ proof: LogProof, entry: [UInt8]) {
    guard let checkpoint = try? Checkpoint(text: proof.checkpoint.text) else { return }  // which is reported below
    guard proof.index < checkpoint.size else {
      return fail("index", "must be below the number of the log's entries, \(checkpoint.size)", String(proof.index))
    }
    guard proof.leads(from: entry, to: checkpoint) else {
      return fail("root", "must be what the entry and the path lead to, and it is another")
    }
    pass("root", "entry \(proof.index) of \(checkpoint.size)")
  }

  // MARK: The signatures

  private mutating func checkSignatures(of note: SignedNote, _ policy: LogPolicy) {
    do throws(LogProof.Refusal) {
      let verified = try policy.verify(note)
      pass("origin", verified.log)
      pass("signature", verified.log)
      for cosignature in verified.cosignatures {
        pass("witness \(cosignature.name)", "cosigned \(cosignature.time) s after 1970 began")
      }
      if policy.quorumName != "none" { pass("quorum", policy.quorumName) }
    } catch {
      switch error {
      case .malformedCheckpoint: fail("checkpoint", "must be one: \(error)")
      case .wrongOrigin: fail("origin", "must be a trusted log's: \(error)")
      case .notSignedByLog: fail("signature", "must be the log's: \(error)")
      case .invalidSignature(let name):
        let isLog = policy.logs.contains { $0.key.name == name }
        fail(isLog ? "signature" : "witness \(name)", "must be that key's: \(error)")
      case .quorumMissing: fail("quorum", "must be reached: \(error)")
      case .entryNotInTree: fail("root", "must be what the entry and the path lead to")
      }
    }
  }

  // MARK: Checks

  private mutating func pass(_ name: String, _ detail: String? = nil) {
    let text = (detail ?? name).quoted
    checks.append(Check(name: name, passed: true, expected: .json(text), actual: text, detail: detail))
  }

  private mutating func fail(_ name: String, _ reason: String, _ actual: String? = nil) {
    checks.append(Check(name: name, passed: false, expected: .words(reason), actual: actual?.quoted))
  }

  private mutating func compare(spelling name: String, _ expected: [UInt8], _ said: [UInt8]?, quoted: Bool = false) {
    // What stands in a log's text may be anything, JSON or not.
    func shown(_ text: [UInt8]) -> [UInt8] { quoted ? String(decoding: text, as: UTF8.self).quoted : text }
    let expectation: Expectation = expected.isEmpty && !quoted ? .words("cannot be told") : .json(shown(expected))
    checks.append(Check(name: name, passed: said == expected, expected: expectation, actual: said.map(shown)))
  }
}

extension LogDigest {
  /// The digest of an outcome's text: see ``LogText``.
  ///
  /// - Parameter items: what a shuffle or a pick was made of.
  /// - Returns: nil if those are missing.
  /// - Throws: ``InvalidParameter`` for what is no outcome.
  public init?(ofOutcome outcome: JSONValue, items: JSONValue?) throws(InvalidParameter) {
    var text = Array("fairdraw/outcome/v1\n".utf8)
    for (name, line) in try SpelledOutcome(outcome).lines(items: items) {
      guard let line else {
        guard name == "items" else { throw InvalidParameter(name: name, reason: "must be there") }
        return nil
      }
      text.append(contentsOf: line)
      text.append(UInt8(ascii: "\n"))
    }
    self.init(of: text)
  }
}

/// An outcome's members as they are spelled.
private struct SpelledOutcome {
  private let members: [(name: String, value: JSONValue)]

  /// The members that are no parameters of a draw: those that every outcome has, a reveal's, and what a look-up adds.
  private static let common: Set<String> = [
    "outcome", "endpoint", "clientSeed", "serverHash", "nonce", "cursor", "count", "created", "shortId", "permalink",
    "mode", "serverSeed", "commitId", "verified", "reason", "reasonCode", "items", "notation", "seedProof", "next",
  ]

  init(_ outcome: JSONValue) throws(InvalidParameter) {
    let refusal = InvalidParameter(
      name: "outcome", reason: "must be a JSON object that names each member once, without escapes")
    guard let members = outcome.members else { throw refusal }
    self.members = members.map { (String(decoding: $0.name, as: UTF8.self), $0.value) }
    var again: [UInt8] = []
    for (name, value) in self.members {
      again.append(json: again.isEmpty ? "{\"" : ",\"")
      again.append(contentsOf: name.utf8)
      again.append(json: "\":")
      value.appendCompact(to: &again)
    }
    again.append(json: again.isEmpty ? "{}" : "}")
    guard again == outcome.compact, Set(self.members.map(\.name)).count == members.count else { throw refusal }
    if let seed = self["clientSeed"], seed.kind == .string, seed.string == nil {
      throw InvalidParameter(name: "clientSeed", reason: "must be Unicode text")
    }
  }

  subscript(name: String) -> JSONValue? { members.first { $0.name == name }?.value }

  /// The lines that a text has for this outcome, by their names; nil where the outcome does not say it.
  func lines(items: JSONValue?) -> [(name: String, text: [UInt8]?)] {
    func digest(_ bytes: [UInt8]) -> [UInt8] { Array(LogDigest(of: bytes).description.utf8) }
    func number(_ name: String) -> (String, [UInt8]?) { (name, self[name]?.compact) }
    func text(_ name: String) -> (String, [UInt8]?) { (name, self[name]?.string) }
    var parameters: [UInt8] = []
    for (name, value) in members where !Self.common.contains(name) {
      parameters.append(json: parameters.isEmpty ? "\"" : ",\"")
      parameters.append(contentsOf: name.utf8)
      parameters.append(json: "\":")
      value.appendCompact(to: &parameters)
    }
    let given = items.flatMap { $0.kind == .null ? nil : $0 }
    return [
      text("shortId"), number("created"), text("endpoint"), text("serverHash"), number("cursor"), number("nonce"),
      ("clientSeed", self["clientSeed"]?.string.map(digest)),
      ("items", hasItems ? given.map { digest($0.compact) } : []),
      ("parameters", [UInt8(ascii: "{")] + parameters + [UInt8(ascii: "}")]), number("outcome"),
    ]
  }

  /// The shape of its values; nil for a generator that this program does not know.
  private var shape: Values.Shape? {
    self["endpoint"]?.string.flatMap { Endpoint(name: String(decoding: $0, as: UTF8.self)) }?.kind.shape
  }

  private var hasItems: Bool { shape == .permutation || shape == .index }

  /// How many values there are.
  var valueCount: Int? {
    let value = self["outcome"]
    switch shape {
    case .index: return 1
    case .bytes:
      guard let text = value?.string else { return nil }
      if self["encoding"]?.string == Array("hex".utf8) { return text.count / 2 }
      return text.count / 4 * 3 - text.suffix(2).count { $0 == UInt8(ascii: "=") }
    case .rolls: return value?["rolls"]?.elements()?.count
    case .numbers, .permutation, nil: return value?.elements()?.count
    }
  }
}

extension LogProof.Failure {
  /// What the step is called that fails.
  fileprivate var step: String {
    switch self {
    case .tooLong, .unknownFormat, .noCheckpoint: "proof"
    case .invalidExtra: "extra"
    case .invalidIndex: "index"
    case .invalidHash(let line): "path[\(line - 1)]"
    case .pathTooLong: "path"
    case .note: "checkpoint"
    }
  }
}

extension JSONValue {
  /// The value without the white space between its tokens.
  fileprivate var compact: [UInt8] {
    var text: [UInt8] = []
    appendCompact(to: &text)
    return text
  }
}

extension String {
  /// As a JSON string.
  fileprivate var quoted: [UInt8] {
    var text: [UInt8] = []
    text.append(jsonString: self)
    return text
  }
}
