import Fairness
import Foundation
import JSON
import Transparency

/// Audits a log from outside: over HTTP, with its key.
struct ServedLogAudit {
  let policy: LogPolicy
  let key: LogVerifierKey
  private let log: ServedLog
  private let server: HTTPFetch
  private let era: UInt64
  var state: StateFile<FollowedLog>?
  var outcomes: SoughtOutcomes?
  private var report = AuditReport()

  /// - Parameter url: the server's address, or the log's, which ends with the last two parts of its name.
  /// - Throws: ``CommandFailure`` if the key is not one of a log of Fairdraw's.
  init(url: String, key: LogVerifierKey, policy: LogPolicy) throws(CommandFailure) {
    let parts = key.name.split(separator: "/", omittingEmptySubsequences: false).suffix(2)
    guard parts.count == 2, parts.first == "log", let era = parts.last.flatMap({ UInt64($0) }) else {
      throw CommandFailure("the key's name, \(key.name), is not the name of a log like draws.example.com/log/0")
    }
    self.key = key
    self.policy = policy
    self.era = era
    let base = url.hasSuffix("/") ? String(url.dropLast()) : url
    let tail = "/log/\(era)"
    let root = base.hasSuffix(tail) ? String(base.dropLast(tail.count)) : base
    log = ServedLog(prefix: root + tail)
    server = HTTPFetch(base: root, failureStatus: 2)
  }

  mutating func run() async throws {
    let known = try state?.load() ?? FollowedLog(key: key.description)
    guard known.key == key.description else {
      throw CommandFailure("\(state?.path ?? "") is about another log, with the key \(known.key)")
    }
    if let follower = try await begin(known) { try await follow(follower) }
    if report.hasFailed, let path = state?.path, FileManager.default.fileExists(atPath: path) {
      try report.note("keep \(path): it has what the log signed before.")
    }
    try report.finish(log.prefix)
  }

  /// Checks the newest checkpoint, and the one that the policy's witnesses cosigned, which may be older.
  private mutating func begin(_ known: FollowedLog) async throws -> LogFollower? {
    // The newest one is asked for last, so that it has at least as many entries.
    let cosigned = policy.quorumName == "none" ? nil : try await log.cosigned()
    let bytes = try await log.checkpoint()
    let note: SignedNote
    let checkpoint: Checkpoint
    do {
      note = try SignedNote(utf8: bytes)
      checkpoint = try LogPolicy(log: key).verify(note).checkpoint
    } catch {
      try report.fail("checkpoint", "\(error)")
      return nil
    }
    try report.pass("checkpoint", "\(checkpoint.size) entries, signed by \(checkpoint.origin)")
    guard try await checkQuorum(cosigned, note, checkpoint) else { return nil }
    do {
      return try LogFollower(known, note: note, checkpoint: checkpoint, fromTheBeginning: outcomes != nil)
    } catch let fault as LogFault {
      try report.fail("growth", "\(fault). It signed now:\n\(note.text)")
      return nil
    } catch is LogFollower.UnreadableState {
      throw CommandFailure(
        "\(state?.path ?? "the state") is damaged; name another file to read the log from its beginning")
    }
  }

  /// Whether the policy's quorum cosigned the newest checkpoint, or one that the newest continues.
  private mutating func checkQuorum(
    _ cosigned: [UInt8]?, _ newest: SignedNote, _ checkpoint: Checkpoint
  ) async throws -> Bool {
    guard policy.quorumName != "none" else { return true }
    do {
      let verified: LogProof.Verified
      if let found = try? policy.verify(newest) {
        verified = found
      } else {
        verified = try policy.verify(cosigned.map { try SignedNote(utf8: $0) } ?? newest)
      }
      let (size, names) = (verified.checkpoint.size, verified.cosignatures.map(\.name).joined(separator: ", "))
      // Either may be the older one, for answers may be cached for a second.
      let (old, new) = size <= checkpoint.size ? (verified.checkpoint, checkpoint) : (checkpoint, verified.checkpoint)
      guard try await log.isConsistent(old, new) else {
        try report.fail(
          "quorum",
          "the newest checkpoint is of another history than the \(size) entries that were cosigned by \(names)")
        return false
      }
      try report.pass("quorum", "\(size) entries, cosigned by \(names)")
      return true
    } catch let failure as CommandFailure {
      throw failure
    } catch {
      try report.fail("quorum", "\(error)")
      return false
    }
  }

  private mutating func follow(_ start: LogFollower) async throws {
    var follower = start
    let size = follower.checkpoint.size
    let from = follower.size
    let bar = ProgressBar(total: size - from)
    // What was read before a server or a person broke off need not be read again.
    defer { bar.clear() }
    do {
      try await log.read(from..<size) { _, entries in
        for entry in entries {
          try follower.append(entry)
          outcomes?.met(entry)
        }
        if outcomes == nil { try state?.saveSometimes(follower.state) }
        bar.show(follower.size - from, "\(follower.size) entries")
      }
    } catch let fault as LogFault {
      bar.clear()
      try await explain(fault, follower)
      try state?.save(start.stateWithoutEntries)
      return
    } catch {
      if outcomes == nil { try state?.save(follower.state) }
      throw error
    }
    bar.clear()
    try state?.save(follower.state)
    for seen in start.earlier.suffix(1) where seen.size > 0 {
      try report.pass("growth", "it continues the \(seen.size) entries that were signed before")
    }
    try report.pass("entries", "\(size - from) were read, and all \(size) give the root that was signed")
    try await checkKeys(follower)
    try reportOutcomes()
  }

  /// Finds out whose fault it is that a root is another than what was signed.
  private mutating func explain(_ fault: LogFault, _ follower: LogFollower) async throws {
    guard case .entriesGiveAnotherRoot = fault else { return try report.fail("entries", "\(fault)") }
    let checkpoint = follower.checkpoint
    for seen in follower.earlier where seen.size > 0 && seen.size < checkpoint.size {
      guard try await log.isConsistent(seen, checkpoint) else {
        return try report.fail("growth", "\(LogFault.forked(size: seen.size)). It signed now:\n\(checkpoint.text)")
      }
    }
    let from = follower.stateWithoutEntries.size
    var found: Int?
    try await log.read(from..<checkpoint.size) { first, entries in
      guard found == nil else { return }
      let number = first / MerkleTile.width
      let hashes = try await log.tile(at: .init(level: 0, number: number), size: checkpoint.size)
      for (index, entry) in entries.enumerated() where found == nil {
        let place = first + index
        if hashes[place - number * MerkleTile.width] != .leaf(entry) { found = place }
      }
    }
    let which = found.map { ": entry \($0) is not the one whose hash is in the log's tile" }
    try report.fail(
      "entries", "\(fault)\(which ?? "; each has the hash that is in the log's tiles, but those give another root too")"
    )
  }

  /// Compares the log's first entry with what the server says its keys are.
  private mutating func checkKeys(_ follower: LogFollower) async throws {
    let answer = try await server.get("/api/keys")
    guard answer.status == 200, let keys = try? JSONText(answer.body).root,
      let vrf = keys["vrf"]?["publicKey"]?.string.flatMap({
        try? SeedPublicKey(hex: String(decoding: $0, as: UTF8.self))
      }),
      let daily = keys["daily"]?["publicKey"]?.string.flatMap({
        Data(base64Encoded: String(decoding: $0, as: UTF8.self))
      })
    else {
      throw CommandFailure("the server did not return its keys: status \(answer.status)", status: 2)
    }
    if follower.names(era: era, vrf: vrf.bytes, daily: Array(daily)) {
      try report.pass("keys", "the first entry names the keys that the server names")
    } else {
      try report.fail("keys", "\(LogFault.otherKeys): \(follower.state.first ?? "")")
    }
  }

  private mutating func reportOutcomes() throws {
    guard let outcomes else { return }
    let missing = outcomes.missing.values.sorted()
    let shown = missing.prefix(10).joined(separator: ", ") + (missing.count > 10 ? ", …" : "")
    if !missing.isEmpty {
      try report.fail(
        "outcomes", "\(missing.count) of \(outcomes.count) are not in the log as they are in the file: \(shown)")
    } else if outcomes.count > 0 {
      try report.pass("outcomes", outcomes.count == 1 ? "it is in the log" : "all \(outcomes.count) are in the log")
    } else if outcomes.withoutItems == 0 {
      try report.cannotCheck("outcomes", "the file has no outcomes of live keys")
    }
    if outcomes.withoutItems > 0 {
      try report.cannotCheck(
        "items", "\(outcomes.withoutItems) shuffles or picks have no items in the file, so they cannot be looked for")
    }
    if outcomes.imported > 0 {
      try report.note("\(outcomes.imported) of the outcomes were imported, and are not in the log.")
    }
    if outcomes.ofTestMode > 0 {
      try report.note("\(outcomes.ofTestMode) of the outcomes are of test keys, which are not in the log.")
    }
  }
}
