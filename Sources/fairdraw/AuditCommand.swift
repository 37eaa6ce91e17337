import ArgumentParser
import Fairness
import Foundation
import Ledger
import Synchronization
import Transparency

struct AuditCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "audit", abstract: "Recompute what the logs published, and check it.",
    subcommands: [Days.self, AuditLogCommand.self], defaultSubcommand: Days.self)

  /// - Throws: a usage error unless `url` is the address of a server.
  static func checkURL(_ url: String) throws {
    guard let parts = URLComponents(string: url), ["http", "https"].contains(parts.scheme), parts.host?.isEmpty == false
    else { throw ValidationError("--url must be like https://draws.example.com, not \"\(url)\".") }
  }

  struct Days: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "days",
      abstract: "Recompute published days from their leaf hashes, and check roots, signatures and chain.",
      discussion: """
        The days come from a server (--url), from saved files (--leaves and --root-file), or else from the database. A \
        root file is a response of GET /api/merkle/DATE, or of GET /api/merkle with the day and the day before it. A \
        leaves file is a response of GET /api/merkle/DATE/leaves.

        With --roots it compares the days with roots that you kept: each line of the file is a response of GET \
        /api/merkle/DATE or GET /api/merkle, or a date and a root. With --outcomes it also checks that your own outcomes \
        are in the log. The file is a JSON array of outcomes as they were returned, one outcome per line, or a response of \
        GET /api/merkle/DATE/mine.

        Each line of the report is one check. The exit status is 0 if all checks pass, else 1.
        """)

    @Option(help: ArgumentHelp("The day to check, such as 2026-02-28.", valueName: "date"))
    var day: String?

    @Option(help: ArgumentHelp("The first of several days to check; goes with --to.", valueName: "date"))
    var from: String?

    @Option(help: ArgumentHelp("The last of several days to check, up to 3660.", valueName: "date"))
    var to: String?

    @Option(help: ArgumentHelp("The server to ask, such as https://draws.example.com.", valueName: "url"))
    var url: String?

    @Option(help: ArgumentHelp("A file with the day's leaf hashes, one per line.", valueName: "file"))
    var leaves: String?

    @Option(help: ArgumentHelp("A file with the day's root, as JSON.", valueName: "file"))
    var rootFile: String?

    @Option(help: ArgumentHelp("A file with roots that you kept.", valueName: "file"))
    var roots: String?

    @Option(help: ArgumentHelp("A file with outcomes that must be in the log.", valueName: "file"))
    var outcomes: String?

    @Option(
      help: ArgumentHelp(
        "The key that must have signed the roots, in base64.",
        discussion: "Default: the key that the server or the database names, which is then shown.", valueName: "key"))
    var publicKey: String?

    @OptionGroup var storage: StorageOptions

    /// The most days of one audit.
    private static let mostDays = 3660

    func validate() throws {
      let days = try days()
      if let publicKey, Data(base64Encoded: publicKey)?.count != 32 {
        throw ValidationError("--public-key must be 32 bytes in base64, not \"\(publicKey)\".")
      }
      guard (leaves == nil) == (rootFile == nil) else {
        throw ValidationError("--leaves and --root-file go together.")
      }
      if leaves != nil {
        guard url == nil else { throw ValidationError("Give --url, or --leaves and --root-file, not both.") }
        guard publicKey != nil else {
          throw ValidationError("--leaves needs --public-key, since there is no server to ask for the key.")
        }
      }
      if day == nil, leaves != nil || outcomes != nil {
        throw ValidationError("--leaves and --outcomes are of one --day.")
      }
      if days.count > Self.mostDays {
        throw ValidationError("--from and --to may be \(Self.mostDays) days apart at most.")
      }
      if let url { try AuditCommand.checkURL(url) }
    }

    private func days() throws -> [Day] {
      switch (day, from, to) {
      case (let day?, nil, nil): return [try parseDay(day, "--day")]
      case (nil, let from?, let to?):
        let (first, last) = (try parseDay(from, "--from"), try parseDay(to, "--to"))
        guard first <= last else { throw ValidationError("--from must not be after --to.") }
        let count = min(last.number - first.number, Int64(Self.mostDays))
        return (0...count).map { Day(number: first.number + $0) }
      default: throw ValidationError("Give the day to check with --day, or several with --from and --to.")
      }
    }

    func run() async throws {
      let source: any AuditSource =
        if let url {
          ServerSource(base: url)
        } else if let leaves, let rootFile {
          FileSource(leaves: leaves, rootFile: rootFile)
        } else {
          try DatabaseSource(storage)
        }
      let kept = try roots.map(Self.keptRoots)
      let days = try days()
      let pinned = publicKey.flatMap { Data(base64Encoded: $0) }.map(Array.init)
      let key = if let pinned { pinned } else { try await source.publicKey() }
      var failed = 0
      var previous: DayAudit.Previous?
      for day in days {
        if days.count > 1 { try StandardOutput.print("\(day)") }
        let (claim, findings, own) = try await audit(day, source, previous, key, kept)
        previous = claim.map { .root($0.root) }
        for finding in findings {
          let name = finding.name.padding(toLength: 12, withPad: " ", startingAt: 0)
          try StandardOutput.print(
            "\(finding.fault == nil ? "ok   " : "FAIL ") \(name)  \(finding.fault ?? finding.note)")
        }
        if let own { try Self.printNotes(own) }
        if kept?.has(day) == false { try StandardOutput.print("note: no root of \(day) is among those you kept.") }
        if !findings.allSatisfy({ $0.fault == nil }) { failed += 1 }
      }
      if pinned == nil {
        try StandardOutput.print("note: \(source.name) named the key itself; pin it with --public-key.")
      }
      let what = days.count == 1 ? "\(days[0])" : "\(days[0]) to \(days[days.count - 1]), \(days.count) days"
      guard failed == 0 else {
        try StandardOutput.print("NOT verified: " + (days.count == 1 ? what : "\(failed) of \(what)"))
        throw ExitCode.failure
      }
      try StandardOutput.print("verified: \(what)")
    }

    /// - Parameter known: the root of the day before, if it was audited too.
    private func audit(
      _ day: Day, _ source: any AuditSource, _ known: DayAudit.Previous?, _ key: [UInt8], _ kept: KeptRoots?
    ) async throws -> (claim: DayClaim?, findings: [DayAudit.Finding], own: OwnOutcomes?) {
      var reason = "\(source.name) has no root of \(day)"
      let found: DayClaim?
      do {
        found = try await source.claim(of: day)
      } catch let none as NoRoot {
        found = nil
        reason = none.reason
      }
      guard let claim = found else {
        // Of several days the others are still looked at, and so is what was kept.
        guard self.day == nil || kept?.has(day) == true else { throw CommandFailure(reason) }
        return (nil, [DayAudit.Finding("root", fault: reason)] + [kept?.finding(day, nil)].compactMap { $0 }, nil)
      }
      let previous = if let known { known } else { try await source.root(before: day) }
      let own = try outcomes.map { try Self.ownOutcomes($0, day) }
      let audit = Mutex(DayAudit(claim, own: own))
      let progress = ProgressBar(total: claim.leafCount)
      defer { progress.clear() }
      try await source.readLeaves(of: day) { leaf in
        let count = audit.withLock { audit in
          audit.add(leaf)
          return audit.leafCount
        }
        progress.show(count, "\(day)")
      }
      let findings = audit.withLock { $0.findings(previous: previous, publicKey: key) }
      return (claim, findings + [kept?.finding(day, claim)].compactMap { $0 }, own)
    }

    private static func printNotes(_ own: OwnOutcomes) throws {
      if own.ofOtherDays > 0 { try StandardOutput.print("note: \(own.ofOtherDays) of the outcomes are of other days.") }
      if own.imported > 0 {
        try StandardOutput.print("note: \(own.imported) of the outcomes were imported, and are not in the log.")
      }
      if own.ofTestMode > 0 {
        try StandardOutput.print("note: \(own.ofTestMode) of the outcomes are of test keys, which are not in the log.")
      }
    }

    private static func keptRoots(_ path: String) throws -> KeptRoots {
      let bytes = try InputFile.read(path)
      do {
        return try KeptRoots(bytes)
      } catch {
        throw CommandFailure("the roots in \(path) cannot be read: \(error)")
      }
    }

    private static func ownOutcomes(_ path: String, _ day: Day) throws -> OwnOutcomes {
      let bytes = try InputFile.read(path)
      do {
        return try OwnOutcomes(bytes, day: day)
      } catch {
        throw CommandFailure("the outcomes in \(path) cannot be read: \(error)")
      }
    }
  }
}

private func claim(of day: Day, in json: [UInt8], from place: String) throws -> DayClaim? {
  do {
    return try DayClaim.find(day, in: json)
  } catch {
    throw CommandFailure("the root from \(place) cannot be read: \(error)")
  }
}

/// Where an audited day comes from.
private protocol AuditSource: Sendable {
  /// What to call it.
  var name: String { get }
  func claim(of day: Day) async throws -> DayClaim?
  func root(before day: Day) async throws -> DayAudit.Previous
  func publicKey() async throws -> [UInt8]
  func readLeaves(of day: Day, _ body: @escaping @Sendable (MerkleHash) -> Void) async throws
}

/// A server says that a day has no root.
private struct NoRoot: Error { let reason: String }

/// The database of this machine.
private struct DatabaseSource: AuditSource {
  private let store: any TransparencyStore
  private let signer: RootSigner
  let name = "the database"

  init(_ storage: StorageOptions) throws {
    let opened = try storage.open()
    store = opened.store
    signer = try RootSigner(masterKey: opened.masterKey)
  }

  func claim(of day: Day) async throws -> DayClaim? { try await store.publishedDay(day).map(DayClaim.init) }

  func root(before day: Day) async throws -> DayAudit.Previous {
    guard let previous = try await claim(of: day.previous) else { return .none }
    return .root(previous.root)
  }

  func publicKey() -> [UInt8] { signer.publicKey }

  func readLeaves(of day: Day, _ body: @escaping @Sendable (MerkleHash) -> Void) async throws {
    var first = 0
    while true {
      let tiles: [MerkleTile]
      do {
        tiles = try await store.leafTiles(of: day, first: first, limit: 64)
      } catch {
        throw CommandFailure("the database could not be read: \(error)")
      }
      if tiles.isEmpty { return }
      for hash in tiles.flatMap(\.hashes) { body(hash) }
      first += tiles.count
    }
  }
}

/// Files that were kept.
private struct FileSource: AuditSource {
  let leaves: String
  let rootFile: String
  var name: String { rootFile }

  func claim(of day: Day) throws -> DayClaim? {
    try fairdraw.claim(of: day, in: try InputFile.read(rootFile), from: rootFile)
  }

  func root(before day: Day) throws -> DayAudit.Previous {
    guard let previous = try claim(of: day.previous) else { return .unknown }
    return .root(previous.root)
  }

  func publicKey() throws -> [UInt8] { throw CommandFailure("--public-key is missing") }

  func readLeaves(of day: Day, _ body: @escaping @Sendable (MerkleHash) -> Void) throws {
    do {
      let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: leaves))
      defer { try? file.close() }
      var lines = LeafLines()
      while let piece = try file.read(upToCount: 1 << 18), !piece.isEmpty { try lines.read(piece, body) }
      try lines.finish(body)
    } catch let error as LeafLines.Unreadable {
      throw CommandFailure("\(leaves): \(error)")
    } catch {
      throw CommandFailure("\(leaves) cannot be read: \(reason(for: error))")
    }
  }
}

/// A server, asked over HTTP.
private struct ServerSource: AuditSource {
  private let http: HTTPFetch
  let name: String

  init(base: String) {
    name = base
    http = HTTPFetch(base: base)
  }

  func claim(of day: Day) async throws -> DayClaim? {
    let answer = try await http.get("/api/merkle/\(day)")
    if answer.status == 404, answer.text("error") != nil {
      throw NoRoot(reason: "\(name) answered 404: \(answer.error)")
    }
    guard answer.status == 200 else { throw CommandFailure("\(name) answered \(answer.status): \(answer.error)") }
    return try fairdraw.claim(of: day, in: answer.body, from: name)
  }

  func root(before day: Day) async throws -> DayAudit.Previous {
    let answer = try await http.get("/api/merkle/\(day.previous)")
    if answer.status == 404 { return .none }
    guard answer.status == 200, let claim = try fairdraw.claim(of: day.previous, in: answer.body, from: name) else {
      throw CommandFailure("\(name) answered \(answer.status) for \(day.previous): \(answer.error)")
    }
    return .root(claim.root)
  }

  func publicKey() async throws -> [UInt8] {
    let answer = try await http.get("/api/merkle/key")
    guard answer.status == 200, let text = answer.text("publicKey"), let key = Data(base64Encoded: text),
      key.count == 32
    else {
      throw CommandFailure("\(name) did not return its key: status \(answer.status)")
    }
    return Array(key)
  }

  func readLeaves(of day: Day, _ body: @escaping @Sendable (MerkleHash) -> Void) async throws {
    let lines = Mutex(LeafLines())
    do {
      try await http.stream("/api/merkle/\(day)/leaves") { piece in try lines.withLock { try $0.read(piece, body) } }
      try lines.withLock { try $0.finish(body) }
    } catch let error as LeafLines.Unreadable {
      throw CommandFailure("\(name): \(error)")
    }
  }
}
