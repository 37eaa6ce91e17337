import Fairness
import Hummingbird
import JSON
import Ledger
import NIOCore
import Synchronization

/// What the continuous log is read from.
public struct LogParts: Sendable {
  public let store: any LogStore
  /// The era whose log goes on.
  public let era: Int64
  /// What that log is signed with; it has the log's name.
  public let key: LogVerifierKey
  /// The keys of the witnesses that are asked to cosign it.
  public let witnesses: [LogVerifierKey]
  /// How many entries the last checkpoint had that this server signed.
  public let size: @Sendable () -> Int
  /// For how many seconds the oldest entry has waited to be in a signed checkpoint, as far as this server has seen.
  public let lag: @Sendable () -> Int
  /// How many entries the log had when each witness last cosigned it for this server, by the names of their keys.
  public let cosignedSizes: @Sendable () -> [(name: String, size: Int)]

  public init(
    store: any LogStore, era: Int64, key: LogVerifierKey, witnesses: [LogVerifierKey],
    size: @escaping @Sendable () -> Int, lag: @escaping @Sendable () -> Int,
    cosignedSizes: @escaping @Sendable () -> [(name: String, size: Int)]
  ) {
    self.witnesses = witnesses
    self.size = size
    self.lag = lag
    self.cosignedSizes = cosignedSizes
    self.store = store
    self.era = era
    self.key = key
  }
}

extension LogParts {
  func show(in metrics: Metrics) {
    metrics.show(
      "fairdraw_log_size", "Entries of the continuous log in the last checkpoint that this server signed.", value: size)
    metrics.show(
      "fairdraw_log_lag_seconds", "How long the oldest entry has waited to be in a signed checkpoint.", value: lag)
    metrics.show(
      "fairdraw_log_cosigned_size",
      "Entries of the continuous log in the last checkpoint that each witness cosigned for this server.", by: "witness",
      values: cosignedSizes)
  }
}

/// The continuous log, as tiled logs are read (<https://c2sp.org/tlog-tiles>), and the proof of an outcome in it
/// (<https://c2sp.org/tlog-proof>).
struct LogRoutes: Routes {
  let parts: LogParts
  let outcomes: any LedgerStore
  private let signed = SignedSizes()

  /// How many entries of each era's log were signed when somebody last looked.
  private final class SignedSizes: Sendable {
    let ofEras = Mutex<[Int64: Int]>([:])
  }

  private var store: any LogStore { parts.store }

  var routes: [Route] {
    // A tile's path has a part more for each thousand times as many tiles, and one for a tile that is not full.
    let tiles = (2...9).map { parts in
      let path = "/log/{era}/tile" + (1...parts).map { "/{\($0)}" }.joined()
      return Route.withoutParameters(path, .get, readsKey: false) { request, context in
        try await tile(context, (1...parts).compactMap { context.captures[String($0)] })
      }
    }
    return tiles + [
      .withoutParameters("/log/{era}/checkpoint", .get, readsKey: false) { _, context in
        try await checkpoint(context) { era throws(StoreFailure) in try await store.checkpoint(of: era) }
      },
      .withoutParameters("/log/{era}/cosigned", .get, readsKey: false) { _, context in
        try await checkpoint(context) { era throws(StoreFailure) in try await store.cosignedCheckpoint(of: era) }
      },
      .withoutParameters("/api/proof/{shortId}", .get, handler: proof),
    ]
  }

  private func era(_ context: FairdrawContext) throws(Refusal) -> Int64 {
    let text = context.captures["era"] ?? ""
    guard let era = Int64(text), era >= 0, String(era) == text else { throw Refusal.nothingHere }
    return era
  }

  // MARK: The log

  private func checkpoint(
    _ context: FairdrawContext, _ find: (Int64) async throws(StoreFailure) -> LogCheckpoint?
  ) async throws -> Response {
    let era = try era(context)
    let found = try await context.reading { () throws(StoreFailure) in try await find(era) }
    guard let found else { throw Refusal.nothingHere }
    return Response(
      status: .ok, headers: [.contentType: "text/plain; charset=utf-8", .cacheControl: "public, max-age=1"],
      body: ResponseBody(byteBuffer: ByteBuffer(string: found.text)))
  }

  private func tile(_ context: FairdrawContext, _ segments: [Substring]) async throws -> Response {
    let era = try era(context)
    guard let path = LogTilePath("tile/" + segments.joined(separator: "/")) else { throw Refusal.nothingHere }
    try await requireSigned(path, of: era, context)
    let body: [UInt8]
    switch path.kind {
    case .entries:
      let entries = try await context.reading { () throws(StoreFailure) in
        try await store.logEntries(path.number, of: era)
      }
      var lines: [[UInt8]] = []
      try entries.forEachEntry { lines.append($0.bytes) }
      guard lines.count >= path.width else { throw lacking(path, context) }
      body = try LogEntryBundle.encode(Array(lines.prefix(path.width)))
    case .hashes(let level):
      let place = MerkleTile.Place(level: level * MerkleTile.depth, number: path.number)
      let hashes = try await context.reading { () throws(StoreFailure) in try await store.logTile(at: place, of: era) }
      guard hashes.count >= path.width * MerkleHash.size else { throw lacking(path, context) }
      body = Array(hashes.prefix(path.width * MerkleHash.size))
    }
    return Response(
      status: .ok,
      headers: [
        .contentType: "application/octet-stream", .cacheControl: "public, max-age=31536000, immutable",
      ], body: ResponseBody(byteBuffer: ByteBuffer(bytes: body)))
  }

  /// Only what a checkpoint covers is shown: the rest might yet be signed by nobody. What was covered once stays so, and is
  /// not looked up again.
  private func requireSigned(_ path: LogTilePath, of era: Int64, _ context: FairdrawContext) async throws {
    if path.isCovered(by: signed.ofEras.withLock { $0[era, default: 0] }) { return }
    let checkpoint = try await context.reading { () throws(StoreFailure) in try await store.checkpoint(of: era) }
    guard let checkpoint else { throw Refusal.nothingHere }
    signed.ofEras.withLock { $0[era] = max($0[era, default: 0], checkpoint.size) }
    guard path.isCovered(by: checkpoint.size) else { throw Refusal.nothingHere }
  }

  private func lacking(_ path: LogTilePath, _ context: FairdrawContext) -> Refusal {
    context.record.refusal(for: .damaged("\(path) of the log is not whole"))
  }

  // MARK: A proof

  @Sendable private func proof(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    let shortID = Array(try QueryString.segment(context.captures["shortId"] ?? "", called: "shortId"))
    guard OutcomeOrigin.isShortID(shortID) else {
      throw Refusal.invalid("shortId", "must be 4 to 32 letters and digits of ASCII; this server's own have ten")
    }
    let reservation = try await context.reserveMemory()
    let record = try await context.reading { () throws(StoreFailure) in
      try await outcomes.recordedOutcome(shortID: shortID)
    }
    guard let outcome = record?.outcome else {
      throw Refusal(404, "There is no outcome of this shortId.", code: .notFound)
    }
    guard outcome.mode == .live else {
      throw Refusal(404, "Outcomes of test keys are not in the log.", code: .testModeForbidden)
    }
    guard outcome.origin == nil else {
      throw Refusal(
        404, "This outcome was imported. Another service drew it, so it is not in this server's log.", code: .notFound)
    }
    let text = outcome.logText(shortID)
    let place = try await context.reading { () throws(StoreFailure) in
      try await store.place(of: LogDigest(of: text), drawn: outcome.created)
    }
    guard case .proven(let index, _, let path, let checkpoint) = place else {
      guard outcome.created > LedgerWriter.wallClock() - LogPlace.longestDelay else {
        throw context.record.refusal(for: .damaged("outcome \(outcome.id) is not in the log as it is recorded"))
      }
      throw Refusal(
        404, "This outcome is not in the log yet; it takes a second or two.", code: .notLoggedYet, retryAfter: 1)
    }
    let proof = LogProof(extra: text, index: index, path: path, checkpoint: try SignedNote(checkpoint.text))
    return .held(Array(proof.description.utf8), "text/plain; charset=utf-8", by: reservation, context)
  }
}

extension LogTilePath {
  /// Whether a log of so many entries has these hashes or entries.
  fileprivate func isCovered(by size: Int) -> Bool {
    let level = if case .hashes(let level) = kind { level } else { 0 }
    let nodes = level * MerkleTile.depth < Int.bitWidth ? size >> (level * MerkleTile.depth) : 0
    return number <= nodes / MerkleTile.width && number * MerkleTile.width + width <= nodes
  }
}
