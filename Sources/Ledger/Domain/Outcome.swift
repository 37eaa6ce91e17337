import Fairness
import JSON

/// A recorded draw: what was answered, never rewritten. A copy shares what it holds, so that to hand it on costs little.
public struct Outcome: Sendable, Equatable {
  private let draw: Draw
  /// What it was revealed from; nil for a draw from a chain, and where nobody asked.
  public var commitment: RevealedCommitment?
  /// Where it was drawn; nil for here. ``id`` is below zero then, and counts only in lists.
  public var origin: OutcomeOrigin?

  private final class Draw: Sendable, Equatable {
    let place: Place
    let serverHash: ServerHash
    let clientSeed: ClientSeed
    let value, stored, fields: [UInt8]
    let items: [UInt8]?

    init(
      _ place: Place, _ serverHash: ServerHash, _ clientSeed: ClientSeed, _ value: [UInt8], _ stored: [UInt8],
      _ fields: [UInt8], _ items: [UInt8]?
    ) {
      (self.place, self.serverHash, self.clientSeed) = (place, serverHash, clientSeed)
      (self.value, self.stored, self.fields, self.items) = (value, stored, fields, items)
    }

    static func == (a: Draw, b: Draw) -> Bool {
      a.place == b.place && a.serverHash == b.serverHash && a.clientSeed == b.clientSeed && a.value == b.value
        && a.stored == b.stored && a.fields == b.fields && a.items == b.items
    }
  }

  private struct Place: Equatable {
    let id, chain: Int64
    let mode: Mode
    let epoch: Int
    let cursor, nonce: Int64
    let endpoint: Endpoint
    let created: Milliseconds
  }

  /// The row number its short id is made from; live and test outcomes share one numbering.
  public var id: Int64 { draw.place.id }
  /// The chain it was drawn from; 0 for a test outcome, which has none.
  public var chain: Int64 { draw.place.chain }
  public var mode: Mode { draw.place.mode }
  public var clientSeed: ClientSeed { draw.clientSeed }
  public var serverHash: ServerHash { draw.serverHash }
  /// Which of its chain's server seeds was used: see ``SeedChain/epoch``.
  public var epoch: Int { draw.place.epoch }
  public var cursor: Int64 { draw.place.cursor }
  public var nonce: Int64 { draw.place.nonce }
  public var endpoint: Endpoint { draw.place.endpoint }
  /// The outcome itself, as JSON.
  public var value: [UInt8] { draw.value }
  /// What a store keeps of ``value``, beside the items: see ``StoredValue``.
  public var stored: [UInt8] { draw.stored }
  /// The endpoint's own response fields (its parameters, its count), as JSON members without braces.
  public var fields: [UInt8] { draw.fields }
  /// What a shuffle or pick was made of, as the members of a JSON array without brackets; nil for other generators.
  public var items: [UInt8]? { draw.items }
  public var created: Milliseconds { draw.place.created }

  /// - Parameter stored: nil where a store keeps ``value`` itself.
  public init(
    id: Int64, chain: Int64, mode: Mode, clientSeed: ClientSeed, serverHash: ServerHash, epoch: Int, cursor: Int64,
    nonce: Int64, endpoint: Endpoint, value: [UInt8], stored: [UInt8]? = nil, fields: [UInt8], items: [UInt8]?,
    created: Milliseconds
  ) {
    let place = Place(
      id: id, chain: chain, mode: mode, epoch: epoch, cursor: cursor, nonce: nonce, endpoint: endpoint, created: created
    )
    draw = Draw(place, serverHash, clientSeed, value, stored ?? value, fields, items)
  }

  /// What it takes in memory beside what every outcome takes, in bytes.
  public var bytes: Int { value.count + fields.count + (items?.count ?? 0) }

  /// An outcome as a store's columns hold it.
  ///
  /// A value that cannot be told from its columns is `null`, so that a damaged row does not hide its neighbours in a list;
  /// it never verifies.
  ///
  /// - Parameters:
  ///   - stored: what ``stored`` was.
  ///   - serverHash: nil when neither the chain nor the revealed seeds have it.
  /// - Throws: a ``StoreFailure`` if the row is none that this program wrote.
  public init(
    id: Int64, chain: Int64, epoch: Int64, cursor: Int64, nonce: Int64, endpoint: Int64, stored: [UInt8],
    fields: [UInt8], items: [UInt8]?, created: Milliseconds, clientSeed: [UInt8], serverHash: [UInt8]?, mode: Mode
  ) throws(StoreFailure) {
    guard let endpoint = UInt8(exactly: endpoint).flatMap(Endpoint.init(rawValue:)) else {
      throw .damaged("outcome \(id) is of an unknown endpoint, \(endpoint)")
    }
    guard let serverHash else { throw .damaged("the server seed of outcome \(id), epoch \(epoch), is missing") }
    let coordinates = 0...SeedChain.largestCoordinate
    guard ShortIDs.numbers.contains(id), coordinates.contains(epoch), coordinates.contains(cursor),
      coordinates.contains(nonce), created.isPlausible
    else { throw .damaged("the row of outcome \(id) is damaged") }
    do {
      self.init(
        id: id, chain: chain, mode: mode, clientSeed: try ClientSeed(clientSeed),
        serverHash: try ServerHash(bytes: serverHash), epoch: Int(epoch), cursor: cursor, nonce: nonce,
        endpoint: endpoint,
        value: StoredValue.value(of: endpoint, stored, fields: fields, items: items) ?? Array("null".utf8),
        stored: stored, fields: fields, items: items, created: created)
    } catch {
      throw .damaged("the row of outcome \(id) is damaged: \(error)")
    }
  }

  /// The same without what it was shuffled or picked from.
  public var withoutItems: Outcome {
    guard items != nil else { return self }
    var copy = Outcome(
      id: id, chain: chain, mode: mode, clientSeed: clientSeed, serverHash: serverHash, epoch: epoch, cursor: cursor,
      nonce: nonce, endpoint: endpoint, value: value, stored: stored, fields: fields, items: nil, created: created)
    copy.commitment = commitment
    copy.origin = origin
    return copy
  }
}

/// A commitment whose server seed was told, with the outcome that it was good for.
public struct RevealedCommitment: Sendable, Equatable {
  public let id: CommitID
  public let seed: ServerSeed

  public init(id: CommitID, seed: ServerSeed) {
    self.id = id
    self.seed = seed
  }
}

/// Writes outcomes the one way they are ever written: when drawn, when looked up, when replayed.
public final class OutcomeRenderer: Sendable {
  public let shortIDs: ShortIDs
  /// Where clients reach the server, without a slash at its end.
  public let publicURL: String
  private let permalinkPrefix: [UInt8]

  /// - Parameter publicURL: where clients reach the server, without a slash at its end.
  public init(shortIDs: ShortIDs, publicURL: String) {
    self.shortIDs = shortIDs
    self.publicURL = publicURL
    var prefix: [UInt8] = []
    prefix.append(jsonString: publicURL + "/o/")
    prefix.removeLast()  // the closing quote comes after the short id
    permalinkPrefix = prefix
  }

  /// The outcome's public name.
  public func shortID(of outcome: Outcome) -> [UInt8] { outcome.origin?.shortID ?? shortIDs.encode(outcome.id) }

  /// Appends the address of an outcome's page, as a JSON string.
  package func append(permalink shortID: [UInt8], to body: inout [UInt8]) {
    body.append(contentsOf: permalinkPrefix)
    body.append(contentsOf: shortID)
    body.append(UInt8(ascii: "\""))
  }

  /// Changes with whatever of an outcome is written in another way. Answers that are stored for retries were written in the
  /// format of their time, so each that ever was must still be known: see ``StoredAnswer``.
  static let format: Int64 = 1

  /// How it writes outcomes.
  var rendering: Rendering { Rendering(format: Self.format, publicURL: publicURL) }

  /// Appends the outcome's JSON object and returns its short id.
  @discardableResult
  public func append(_ outcome: Outcome, to body: inout [UInt8]) -> [UInt8] {
    let shortID = shortID(of: outcome)
    appendOpen(outcome, shortID, to: &body)
    Self.close(outcome, &body)
    return shortID
  }

  /// Appends the outcome's JSON object, but for the commitment that it was revealed from and the closing brace.
  func appendOpen(_ outcome: Outcome, _ shortID: [UInt8], to body: inout [UInt8]) {
    body.append(json: "{\"outcome\":")
    body.append(contentsOf: outcome.value)
    body.append(json: ",\"shortId\":\"")
    body.append(contentsOf: shortID)
    body.append(json: "\",\"permalink\":")
    append(permalink: shortID, to: &body)
    body.append(json: ",\"serverHash\":\"")
    body.append(hex: outcome.serverHash.bytes)
    body.append(json: "\",\"clientSeed\":")
    body.append(jsonString: outcome.clientSeed.bytes)
    body.append(json: ",\"cursor\":")
    body.append(integer: outcome.cursor)
    body.append(json: ",\"nonce\":")
    body.append(integer: outcome.nonce)
    body.append(json: ",\"endpoint\":\"")
    body.append(text: outcome.endpoint.name)
    body.append(json: "\",")
    body.append(contentsOf: outcome.fields)
    body.append(json: ",\"created\":")
    body.append(integer: outcome.created)
    body.append(json: ",\"mode\":\"")
    body.append(text: outcome.mode.name)
    body.append(UInt8(ascii: "\""))
  }

  /// Appends what ``appendOpen(_:_:to:)`` leaves out.
  static func close(_ outcome: Outcome, _ body: inout [UInt8]) {
    if let commitment = outcome.commitment {
      body.append(json: ",\"serverSeed\":\"")
      body.append(contentsOf: commitment.seed.ascii)
      body.append(json: "\",\"commitId\":\"")
      body.append(text: commitment.id.description)
      body.append(UInt8(ascii: "\""))
    }
    if outcome.origin != nil { body.append(json: ",\"imported\":true") }
    body.append(UInt8(ascii: "}"))
  }
}
