import ArgumentParser
import Fairness
import Foundation
import Ledger
import Synchronization
import Transparency

struct AuditCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "audit",
    abstract: "Recompute a published day from its leaf hashes, and check its root, signature and chain.",
    discussion: """
      The day comes from a server (--url), from saved files (--leaves and --root-file), or else from the database. A root \
      file is a response of GET /api/merkle/DATE, or of GET /api/merkle with the day and the day before it. A leaves file \
      is a response of GET /api/merkle/DATE/leaves.

      With --outcomes it also checks that your own outcomes are in the log. The file is a JSON array of outcomes as they \
      were returned, one outcome per line, or a response of GET /api/merkle/DATE/mine.

      Each line of the report is one check. The exit status is 0 if all checks pass, else 1.
      """)

  @Option(help: ArgumentHelp("The day to check, such as 2026-02-28.", valueName: "date"))
  var day: String

  @Option(help: ArgumentHelp("The server to ask, such as https://draws.example.com.", valueName: "url"))
  var url: String?

  @Option(help: ArgumentHelp("A file with the day's leaf hashes, one per line.", valueName: "file"))
  var leaves: String?

  @Option(help: ArgumentHelp("A file with the day's root, as JSON.", valueName: "file"))
  var rootFile: String?

  @Option(help: ArgumentHelp("A file with outcomes that must be in the log.", valueName: "file"))
  var outcomes: String?

  @Option(
    help: ArgumentHelp(
      "The key that must have signed the root, in base64.",
      discussion: "Default: the key that the server or the database names, which is then shown.", valueName: "key"))
  var publicKey: String?

  @OptionGroup var storage: StorageOptions

  func validate() throws {
    _ = try parseDay(day, "--day")
    if let publicKey, Data(base64Encoded: publicKey)?.count != 32 {
      throw ValidationError("--public-key must be 32 bytes in base64, not \"\(publicKey)\".")
    }
    guard (leaves == nil) == (rootFile == nil) else { throw ValidationError("--leaves and --root-file go together.") }
    if leaves != nil {
      guard url == nil else { throw ValidationError("Give --url, or --leaves and --root-file, not both.") }
      guard publicKey != nil else {
        throw ValidationError("--leaves needs --public-key, since there is no server to ask for the key.")
      }
    }
    if let url {
      guard let parts = URLComponents(string: url), ["http", "https"].contains(parts.scheme),
        parts.host?.isEmpty == false
      else { throw ValidationError("--url must be like https://draws.example.com, not \"\(url)\".") }
    }
  }

  func run() async throws {
    let day = try parseDay(day, "--day")
    let source: any AuditSource =
      if let url {
        ServerSource(base: url)
      } else if let leaves, let rootFile {
        FileSource(leaves: leaves, rootFile: rootFile)
      } else {
        try DatabaseSource(storage)
      }
    guard let claim = try await source.claim(of: day) else {
      throw CommandFailure("\(source.name) has no root of \(day)")
    }
    let previous = try await source.root(before: day)
    let pinned = publicKey.flatMap { Data(base64Encoded: $0) }.map(Array.init)
    let key = if let pinned { pinned } else { try await source.publicKey() }
    let own = try outcomes.map { try ownOutcomes($0, day) }

    let audit = Mutex(DayAudit(claim, own: own))
    let progress = ProgressBar(total: claim.leafCount)
    try await source.readLeaves(of: day) { leaf in
      let count = audit.withLock { audit in
        audit.add(leaf)
        return audit.leafCount
      }
      progress.show(count)
    }
    progress.clear()

    let findings = audit.withLock { $0.findings(previous: previous, publicKey: key) }
    for finding in findings {
      let name = finding.name.padding(toLength: 12, withPad: " ", startingAt: 0)
      try StandardOutput.print("\(finding.fault == nil ? "ok   " : "FAIL ") \(name)  \(finding.fault ?? finding.note)")
    }
    if let own {
      if own.ofOtherDays > 0 { try StandardOutput.print("note: \(own.ofOtherDays) of the outcomes are of other days.") }
      if own.ofTestMode > 0 {
        try StandardOutput.print("note: \(own.ofTestMode) of the outcomes are of test keys, which are not in the log.")
      }
    }
    if pinned == nil {
      try StandardOutput.print("note: \(source.name) named the key itself; pin it with --public-key.")
    }
    guard findings.allSatisfy({ $0.fault == nil }) else {
      try StandardOutput.print("NOT verified: \(day)")
      throw ExitCode.failure
    }
    try StandardOutput.print("verified: \(day)")
  }

  private func ownOutcomes(_ path: String, _ day: Day) throws -> OwnOutcomes {
    let bytes = try InputFile.read(path)
    do {
      return try OwnOutcomes(bytes, day: day)
    } catch {
      throw CommandFailure("the outcomes in \(path) cannot be read: \(error)")
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
      try await http.stream("/api/merkle/\(day)/leaves") { piece in
        try lines.withLock { try $0.read(piece, body) }
      }
      try lines.withLock { try $0.finish(body) }
    } catch let error as LeafLines.Unreadable {
      throw CommandFailure("\(name): \(error)")
    }
  }
}
