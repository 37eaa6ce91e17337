import ArgumentParser
import Fairness
import Foundation
import JSON
import Ledger

struct VerifyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify", abstract: "Derive outcomes again from their server seed, and compare.",
    discussion: """
      Give it an outcome as a draw, a reveal, /api/listOutcomes or /api/verifyShortId answered it, an array of them, or \
      one a line. It needs no server and no network; only a shortId is looked up, in the local database.

      A seed that comes with its proof, as a rotation's answer tells it, may stand in place of an outcome. A seedProof is \
      checked wherever there is one: it shows that the chain could have had no other seed.

      With --proof and --key it checks that the outcome stands in a server's log: that the text in the proof says what the \
      outcome says, line by line, that its digest is an entry of the log's tree, and who signed that. The server seed \
      need not be revealed then.

      It says for each outcome what was checked, and, where that is wrong, what it should be. The exit status is 0 if \
      every outcome is verified, 1 if any is wrong, and 2 if none is wrong but the items of a shuffle or a pick are missing.

      What it cannot tell is whether you knew the serverHash before the draw. Compare it with the one you noted down.
      """)

  @Argument(help: ArgumentHelp("A file, - for standard input, or a shortId.", valueName: "file|shortId|-"))
  var source: String

  @Option(
    name: .customLong("server-seed"), parsing: .singleValue,
    help: ArgumentHelp(
      "The revealed server seed; may be given again, for outcomes of several. (default: the outcome's own serverSeed)",
      valueName: "hex"))
  var serverSeeds: [String] = []

  @Option(
    help: ArgumentHelp(
      "What a shuffle or a pick was made of: a JSON array, or a file that holds one. (default: the outcome's own items)",
      valueName: "json"))
  var items: String?

  @Option(
    help: ArgumentHelp(
      """
      The server's public key for seeds, as you noted it before the draw: each outcome must have a seedProof of it. \
      (default: the key that the seedProof names)
      """, valueName: "hex"),
    transform: Self.readSeedKey)
  var seedKey: SeedPublicKey?

  @Option(
    help: ArgumentHelp("The outcome's proof, as /api/proof answered it, or - for standard input.", valueName: "file"))
  var proof: String?

  @Option(
    help: ArgumentHelp("The log's key, as you noted it: name+hash+base64.", valueName: "vkey"),
    transform: Self.readLogKey)
  var key: LogVerifierKey?

  @Option(
    help: ArgumentHelp(
      "A tlog-policy: which logs to believe, unless --key names one, and which witnesses must have cosigned.",
      valueName: "file"))
  var policy: String?

  @Flag(help: "Print one JSON object for each outcome instead of text.")
  var json = false

  @OptionGroup var storage: StorageOptions

  func validate() throws {
    guard proof != nil || (key == nil && policy == nil) else {
      throw ValidationError("--key and --policy go with the --proof of an outcome")
    }
    guard proof == nil || key != nil || policy != nil else {
      throw ValidationError("--proof needs the log's --key, or a --policy that names the log")
    }
  }

  func run() async throws {
    let items = try items.map(Self.readItems)
    let logProof = try readLogProof()
    var failures = 0
    var unknowns = 0
    let outcomes = try await read()
    guard logProof == nil || outcomes.count == 1 else {
      throw CommandFailure("a proof is one outcome's, and \(source) holds \(outcomes.count)")
    }
    for outcome in outcomes {
      // Looking for where wrong values may come from takes a while; somebody with that many has another problem.
      let seed = seed(of: outcome)
      let derives = logProof == nil || seed != nil || seedKey != nil || outcome.field("serverSeed") != nil
      var report =
        derives
        ? OutcomeReport(
          checking: outcome.json, serverSeed: seed, items: items ?? outcome.items, seedKey: seedKey,
          looksAround: failures < 20) : OutcomeReport()
      if let logProof {
        report.checkLogProof(
          logProof.file, of: outcome.json, items: items ?? outcome.items, policy: logProof.policy)
      }
      if report.hasFailed || (outcome.isKept && !report.isVerified) {
        failures += 1
      } else if !report.isVerified {
        unknowns += 1
      }
      if json {
        try Self.printJSON(report, of: outcome)
      } else {
        if outcomes.count > 1 { try StandardOutput.print(Self.title(outcome)) }
        try Self.printText(report, trustsRecord: seedKey == nil)
      }
    }
    if !json {
      let verdict = failures > 0 ? "NOT verified" : unknowns > 0 ? "cannot check" : "verified"
      try StandardOutput.print(
        outcomes.count == 1 ? verdict : "\(outcomes.count - failures - unknowns) of \(outcomes.count) verified")
    }
    if failures > 0 { throw ExitCode(1) }
    if unknowns > 0 { throw ExitCode(2) }
  }

  // MARK: Reading

  /// An outcome, and its seed if that is not part of it.
  private struct Claim {
    let json: JSONValue
    var seed: String?
    /// The items that stand beside it.
    var items: JSONValue?
    /// Whether it was read from the database, where nothing may be missing.
    var isKept = false

    init(json: JSONValue, seed: String?) {
      self.json = json
      self.seed = seed
      isKept = true
    }

    /// What somebody kept: an outcome as it was answered, or an entry of a batch's results or of an account's export.
    init(record: JSONValue) {
      let inner = record["outcome"]
      let isEntry = record["endpoint"] == nil && inner?["endpoint"] != nil
      json = isEntry ? inner ?? record : record
      items = isEntry ? record["items"] : nil
    }

    /// What a field of the outcome says.
    func field(_ name: String) -> JSONValue? { json[name] }
  }

  /// The seed to check an outcome with: of those that were given the one that has its hash, if there is one.
  private func seed(of claim: Claim) -> String? {
    let hash = claim.field("serverHash")?.string
    // A seed is its 64 lowercase digits, however somebody wrote it down.
    let serverSeeds = serverSeeds.map { $0.lowercased() }
    return serverSeeds.first { (try? ServerSeed(hex: $0.utf8))?.hash.hex == hash } ?? serverSeeds.first ?? claim.seed
  }

  private func read() async throws -> [Claim] {
    if source != "-", !FileManager.default.fileExists(atPath: source) { return [try await lookUp()] }
    let found = try Self.values(in: try InputFile.read(source), of: source)
    guard !found.isEmpty else { throw CommandFailure("\(source) holds no outcome") }
    return found.map { Claim(record: $0) }
  }

  /// One value, the elements of one array, or one value a line.
  private static func values(in bytes: [UInt8], of source: String) throws -> [JSONValue] {
    do throws(JSONSyntaxError) {
      let root = try JSONText(bytes).root
      return root.elements() ?? [root]
    } catch {
      let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map(Array.init)
      guard lines.count > 1, (try? JSONText(lines[0])) != nil else {
        throw CommandFailure("\(source) is not JSON: \(error.reason), at byte \(error.offset)")
      }
      return try lines.enumerated().compactMap { number, line in
        if line.allSatisfy({ [0x20, 0x09, 0x0D].contains($0) }) { return nil }
        do throws(JSONSyntaxError) {
          return try JSONText(line).root
        } catch {
          throw CommandFailure("line \(number + 1) of \(source) is not JSON: \(error.reason)")
        }
      }
    }
  }

  private func lookUp() async throws -> Claim {
    guard OutcomeOrigin.isShortID(source.utf8) else {
      throw CommandFailure("there is no file \(source), and it is no shortId either")
    }
    let (store, masterKey, place) = try storage.open()
    let renderer = OutcomeRenderer(shortIDs: ShortIDs(masterKey: masterKey), publicURL: "")
    let record: RecordedOutcome?
    do {
      record = try await store.recordedOutcome(shortID: Array(source.utf8))
    } catch {
      throw CommandFailure("the database could not be read: \(error)")
    }
    guard let record else { throw CommandFailure("there is no outcome \(source) in \(place)") }
    let verifier = OutcomeVerifier(masterKey: masterKey, seeds: store.seeds)
    var body: [UInt8] = []
    renderer.append(record.outcome, with: verifier.verdict(on: record), to: &body)
    return Claim(json: try JSONText(body).root, seed: verifier.seed(of: record)?.description)
  }

  private static func readItems(_ text: String) throws -> JSONValue {
    let isArray = text.drop { $0.isWhitespace }.hasPrefix("[")
    let bytes = isArray ? Array(text.utf8) : try InputFile.read(text)
    do throws(JSONSyntaxError) {
      return try JSONText(bytes).root
    } catch {
      throw CommandFailure("--items is not JSON: \(error.reason), at byte \(error.offset)")
    }
  }

  private static func readSeedKey(_ text: String) throws -> SeedPublicKey {
    do throws(InvalidParameter) {
      return try SeedPublicKey(hex: text)
    } catch {
      throw ValidationError("the key \(error.reason)")
    }
  }

  /// A key that is given on the command line.
  static func readLogKey(_ text: String) throws -> LogVerifierKey {
    do throws(LogVerifierKey.Failure) {
      return try LogVerifierKey(text)
    } catch {
      throw ValidationError(error.description)
    }
  }

  /// The proof's file, and whom to believe.
  private func readLogProof() throws -> (file: [UInt8], policy: LogPolicy)? {
    guard let proof else { return nil }
    return (try InputFile.read(proof), try Self.policy(key: key, file: policy))
  }

  /// Whom to believe: the log of a key, or those of a policy's file.
  ///
  /// - Parameter key: the one log that is believed; nil for the policy's.
  static func policy(key: LogVerifierKey?, file: String?) throws -> LogPolicy {
    var rules = key.map { LogPolicy(log: $0) }
    if let file {
      let bytes = try InputFile.read(file)
      let read: LogPolicy
      do throws(LogPolicy.Failure) {
        read = try LogPolicy(bytes: bytes)
      } catch {
        throw CommandFailure("\(file) is no policy: \(error)")
      }
      rules = key.map { read.trusting($0) } ?? read
    }
    guard let rules, !rules.logs.isEmpty else {
      throw CommandFailure("\(file ?? "the policy") names no log, so give its --key")
    }
    return rules
  }

  // MARK: Writing

  /// What an outcome is told from others by.
  private static func title(_ claim: Claim) -> String {
    func text(_ name: String) -> String {
      claim.field(name).map { String(decoding: $0.string ?? Array($0.raw), as: UTF8.self) } ?? "?"
    }
    return Terminal.printable(
      "\(text("shortId"))  \(text("endpoint"))  \(text("clientSeed")):\(text("cursor")):\(text("nonce"))")
  }

  private static func printText(_ report: OutcomeReport, trustsRecord: Bool) throws {
    func short(_ bytes: [UInt8]) -> String {
      let text = Terminal.printable(String(decoding: bytes, as: UTF8.self))
      return text.count > 500 ? text.prefix(500) + "…" : text
    }
    func explain(_ check: OutcomeReport.Check, _ words: String) throws {
      try StandardOutput.print(Terminal.printable("      \(check.name) \(words)"))
    }
    for check in report.checks {
      let mark = check.passed ? "ok   " : check.isMissing ? "?    " : "FAIL "
      let detail = check.detail.map { ": \($0)" } ?? ""
      try StandardOutput.print(Terminal.printable("\(mark) \(check.name)\(detail)"))
      if check.passed { continue }
      if check.isMissing {
        if case .words(let words) = check.expected { try explain(check, words) }
        continue
      }
      switch check.expected {
      case .json(let json): try StandardOutput.print("      computed: \(short(json))")
      case .words(let words): try explain(check, words)
      }
      if let actual = check.actual { try StandardOutput.print("      claimed:  \(short(actual))") }
    }
    if let hint = report.hint { try StandardOutput.print("      \(hint)") }
    guard let key = report.provenBy else { return }
    try StandardOutput.print("      This is the only server seed that the chain could have had, for the key")
    try StandardOutput.print("      \(key)" + (trustsRecord ? "," : "."))
    if trustsRecord {
      try StandardOutput.print(
        "      which the record itself names. Compare it with the one you noted, or give --seed-key.")
    }
  }

  private static func printJSON(_ report: OutcomeReport, of claim: Claim) throws {
    var line: [UInt8] = []
    line.append(json: report.isVerified ? "{\"ok\":true" : "{\"ok\":false")
    if let shortID = claim.field("shortId") {
      line.append(json: ",\"shortId\":")
      shortID.appendCompact(to: &line)
    }
    line.append(json: ",\"checks\":[")
    for (index, check) in report.checks.enumerated() {
      line.append(json: index > 0 ? ",{\"name\":" : "{\"name\":")
      line.append(jsonString: check.name)
      line.append(json: check.passed ? ",\"ok\":true" : check.isMissing ? ",\"ok\":null" : ",\"ok\":false")
      line.append(json: ",\"expected\":")
      switch check.expected {
      case .json(let json): line.append(contentsOf: json)
      case .words(let words): line.append(jsonString: words)
      }
      line.append(json: ",\"actual\":")
      if let actual = check.actual, let value = try? JSONText(actual).root {
        value.appendCompact(to: &line)
      } else {
        line.append(json: "null")
      }
      line.append(json: "}")
    }
    line.append(json: "]")
    if let key = report.provenBy {
      line.append(json: ",\"provenBy\":")
      line.append(jsonString: key.description)
    }
    if let hint = report.hint {
      line.append(json: ",\"hint\":")
      line.append(jsonString: hint)
    }
    line.append(json: "}")
    try StandardOutput.print(String(decoding: line, as: UTF8.self))
  }
}
