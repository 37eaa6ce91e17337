import Fairness
import Foundation
import Hummingbird
import JSON
import Ledger
import NIOCore

/// What the daily log is read from.
public struct MerkleParts: Sendable {
  public let store: any TransparencyStore
  public let shortIDs: ShortIDs
  /// Of the Ed25519 key that signs roots, 32 bytes.
  public let publicKey: [UInt8]

  public init(store: any TransparencyStore, shortIDs: ShortIDs, publicKey: [UInt8]) {
    self.store = store
    self.shortIDs = shortIDs
    self.publicKey = publicKey
  }
}

/// The daily log: signed roots, proofs, and the hashes to check them by.
struct MerkleRoutes: Routes {
  let parts: MerkleParts

  private var store: any TransparencyStore { parts.store }

  /// So many tiles of leaf hashes are read and sent at once: 130 KB of text.
  private static let tilesAtOnce = 8
  private static let listNames = ParameterNames(of: "/api/merkle", "limit", "before")

  var routes: [Route] {
    [
      Route("/api/merkle", .get, handler: list),
      .withoutParameters("/api/merkle/key", .get, handler: key),
      .withoutParameters("/api/merkle/{date}", .get, handler: one),
      .withoutParameters("/api/merkle/{date}/leaves", .get, handler: leaves),
      .withoutParameters("/api/merkle/{date}/mine", .get, needs: .read, handler: mine),
      .withoutParameters("/api/merkle/{date}/proof/{outcomeId}", .get, handler: proof),
    ]
  }

  @Sendable private func key(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    var body: [UInt8] = []
    body.append(json: "{\"algorithm\":\"Ed25519\",\"publicKey\":\"")
    body.append(base64: parts.publicKey)
    body.append(json: "\"}")
    return .json(body)
  }

  // MARK: Roots

  @Sendable private func list(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    let parameters = try await Incoming(request, context).parameters(Self.listNames)
    let limit = try parameters.integer("limit", default: 30, in: 1...90)
    let before = try parameters.text("before").map { (text) throws(Refusal) in
      guard let day = Day(String(decoding: text, as: UTF8.self)) else { throw Self.noDay("before") }
      return day
    }
    let days = try await context.reading { () throws(StoreFailure) in
      try await store.publishedDays(before: before, limit: Int(limit))
    }
    var body: [UInt8] = []
    body.append(json: "{\"roots\":[")
    for (index, day) in days.enumerated() {
      body.append(json: index == 0 ? "{" : ",{")
      day.append(to: &body)
      body.append(json: "}")
    }
    body.append(json: "]}")
    return .json(body)
  }

  @Sendable private func one(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    let day = try await published(context)
    var body: [UInt8] = []
    body.append(json: "{")
    day.append(to: &body)
    body.append(json: "}")
    return .json(body)
  }

  // MARK: A proof

  @Sendable private func proof(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    let day = try Self.day(context)
    let reference = try reference(context)
    let found = try await context.reading { () throws(StoreFailure) -> FoundOutcome? in
      if let own = try await store.find(reference) { return own }
      guard case .coordinates(let chain, let cursor, let nonce) = reference else { return nil }
      return try await store.first(of: chain.clientSeed, cursor: cursor, nonce: nonce, on: day)
    }
    guard let found else {
      throw Refusal(
        404,
        "There is no such outcome of this day. Outcomes of test keys are not in the log, and an outcome that is not yours is found by clientSeed:cursor:nonce once its day is published.",
        code: .notFound)
    }
    guard found.day == day else {
      throw Refusal(
        404, "This outcome is of \(found.day), not of \(day): request its proof for that day.", code: .notFound)
    }
    guard let place = found.place else { throw try await notPublished(day, context) }
    guard let proof = InclusionProof(index: place.index, leafCount: place.day.leafCount, tiles: place.tiles) else {
      throw context.record.refusal(for: .damaged("the tiles of \(day) do not fit its tree"))
    }
    let leaf = found.leaf
    var body: [UInt8] = []
    body.append(json: "{\"outcomeId\":")
    body.append(jsonString: leaf.outcomeID)
    body.append(json: ",\"leaf\":{\"outcomeId\":")
    body.append(jsonString: leaf.outcomeID)
    body.append(json: ",\"serverHash\":\"")
    body.append(hex: leaf.serverHash.bytes)
    body.append(json: "\",\"clientSeed\":")
    body.append(jsonString: leaf.clientSeed.bytes)
    body.append(json: ",\"timestamp\":")
    body.append(integer: leaf.created)
    body.append(json: ",\"canonical\":")
    body.append(jsonString: leaf.canonical)
    body.append(json: ",\"hash\":\"")
    body.append(hex: leaf.hash.bytes)
    body.append(json: "\"},\"index\":")
    body.append(integer: proof.index)
    body.append(json: ",")
    place.day.append(to: &body)
    body.append(json: ",\"siblings\":[")
    for (level, sibling) in proof.siblings.enumerated() {
      if level > 0 { body.append(json: ",") }
      body.append(json: "{\"position\":\"")
      body.append(json: proof.isLeft(atLevel: level) ? "left" : "right")
      body.append(json: "\",\"hash\":\"")
      body.append(hex: sibling.bytes)
      body.append(json: "\"}")
    }
    body.append(json: "]}")
    return .json(body)
  }

  /// The outcome that the path names: by its short id, or by coordinates on a chain of the caller's.
  private func reference(_ context: FairdrawContext) throws(Refusal) -> OutcomeReference {
    let text = try QueryString.segment(context.captures["outcomeId"] ?? "", called: "outcomeId")
    if let id = parts.shortIDs.decode(text) { return .id(id) }
    // A client seed may itself have colons: the last two are the ones that count.
    func number(_ digits: ArraySlice<UInt8>) -> Int64? {
      guard (1...16).contains(digits.count), digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
      else { return nil }
      return digits.reduce(0) { $0 * 10 + Int64($1 - UInt8(ascii: "0")) }
    }
    guard let second = text.lastIndex(of: UInt8(ascii: ":")),
      let first = text[..<second].lastIndex(of: UInt8(ascii: ":")),
      let cursor = number(text[(first + 1)..<second]), let nonce = number(text[(second + 1)...])
    else {
      throw .invalid("outcomeId", "must be a shortId, or clientSeed:cursor:nonce")
    }
    do throws(InvalidParameter) {
      let clientSeed = try ClientSeed(text[..<first])
      return .coordinates(
        ChainKey(owner: context.caller.chainOwner, clientSeed: clientSeed), cursor: cursor, nonce: nonce)
    } catch {
      throw .invalid(error.name, error.reason)
    }
  }

  // MARK: Leaves

  @Sendable private func leaves(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    let day = try await published(context)
    let length = day.leafCount * (2 * MerkleHash.size + 1)
    return .stream("text/plain; charset=utf-8", length: length, context) { [store] writer in
      var first = 0
      var count = 0
      while first < day.shape.leafTiles {
        let tiles = try await store.leafTiles(of: day.day, first: first, limit: Self.tilesAtOnce)
        count += tiles.reduce(0) { $0 + $1.hashes.count }
        // What is sent must have the length that was announced, or the client would take the next answer for its end.
        let isLast = first + Self.tilesAtOnce >= day.shape.leafTiles
        guard count == day.leafCount || count < day.leafCount && !isLast else {
          throw StoreFailure.damaged("the leaf hashes of \(day.day) are not complete")
        }
        var text: [UInt8] = []
        text.reserveCapacity(tiles.count * MerkleTile.width * (2 * MerkleHash.size + 1))
        for hash in tiles.flatMap(\.hashes) {
          text.append(contentsOf: hash.hex)
          text.append(UInt8(ascii: "\n"))
        }
        try await writer.write(ByteBuffer(bytes: text))
        first += Self.tilesAtOnce
      }
    }
  }

  @Sendable private func mine(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    guard case .key(_, let account, let mode) = context.caller else {
      throw Refusal(401, "This address needs an API key: it lists the account's own outcomes.", code: .invalidAPIKey)
    }
    guard mode == .live else {
      throw Refusal(403, "Outcomes of test keys are not in the log; use a live key.", code: .testModeForbidden)
    }
    let day = try await published(context).day
    return .stream("application/x-ndjson", context) { [store] writer in
      var after: Int64?
      repeat {
        let page = try await store.leaves(of: account, on: day, after: after)
        var text: [UInt8] = []
        for placed in page.leaves {
          text.append(json: "{\"index\":")
          text.append(integer: placed.index)
          text.append(json: ",\"canonical\":")
          text.append(jsonString: placed.leaf.canonical)
          text.append(json: ",\"hash\":\"")
          text.append(hex: placed.leaf.hash.bytes)
          text.append(json: "\"}\n")
        }
        if !text.isEmpty { try await writer.write(ByteBuffer(bytes: text)) }
        after = page.next
      } while after != nil
    }
  }

  // MARK: Days

  private static func noDay(_ name: String) -> Refusal {
    .invalid(name, "must be a calendar date, such as 2026-02-28")
  }

  private static func day(_ context: FairdrawContext) throws(Refusal) -> Day {
    guard let day = context.captures["date"].flatMap({ Day($0) }) else { throw noDay("date") }
    return day
  }

  /// The published day that the path names.
  private func published(_ context: FairdrawContext) async throws -> PublishedDay {
    let day = try Self.day(context)
    let found = try await context.reading { () throws(StoreFailure) in try await store.publishedDay(day) }
    guard let found else { throw try await notPublished(day, context) }
    return found
  }

  /// Why there is nothing published of a day.
  private func notPublished(_ day: Day, _ context: FairdrawContext) async throws -> Refusal {
    guard day.end <= Milliseconds(Date().timeIntervalSince1970 * 1000) else {
      return Refusal(
        404, "\(day) is not over yet. Its root is published within a minute after midnight UTC.", code: .notPublished)
    }
    let latest = try await context.reading { () throws(StoreFailure) in
      try await store.publishedDays(before: nil, limit: 1).first
    }
    if let latest, day < latest.day {
      return Refusal(
        404, "There is no root for \(day): the log begins later, on the day of the first outcome.", code: .notPublished)
    }
    return Refusal(404, "The root for \(day) is not published yet.", code: .notPublished)
  }
}
