import Fairness
import JSON

/// An outcome that another service drew, with its server seed as far as that is known.
public struct ImportedOutcome: Sendable, Equatable {
  /// It has an ``Outcome/origin``.
  public let outcome: Outcome
  public let serverSeed: ServerSeed?

  public init(_ outcome: Outcome, serverSeed: ServerSeed?) {
    self.outcome = outcome
    self.serverSeed = serverSeed
  }

  /// Reads what another service answered or exports: an outcome with the members that `/api/listOutcomes` gives it, and
  /// `serverSeed` and `items` where they are known. What follows from a server seed is recomputed.
  ///
  /// - Parameter now: when it is imported.
  /// - Returns: nil for an outcome of test mode, whose seed nobody ever sees.
  /// - Throws: ``InvalidParameter`` naming the member that is missing, is none or does not follow.
  public init?(_ record: JSONValue, now: Milliseconds) throws(InvalidParameter) {
    // An entry of an export has the items beside the outcome.
    let inner = record["outcome"]
    let isEntry = record["endpoint"] == nil && inner?["endpoint"] != nil
    let claim = try RecordedParameters(isEntry ? inner ?? record : record)
    if try claim.value("mode") != nil {
      let mode = try claim.text("mode")
      if mode == Mode.test.name { return nil }
      guard mode == Mode.live.name else { throw InvalidParameter(name: "mode", reason: "must be live or test") }
    }
    let clientSeed = try ClientSeed(try claim.string("clientSeed"))
    let coordinates = 0...SeedChain.largestCoordinate
    let (cursor, nonce) = (try claim.integer("cursor", in: coordinates), try claim.integer("nonce", in: coordinates))
    let (hash, seed) = try Self.seed(claim)
    guard let value = try claim.value("outcome") else {
      throw InvalidParameter(name: "outcome", reason: "must be there")
    }
    let items = try isEntry ? record["items"] : claim.value("items")
    let drawn = try Drawn(
      claim, value, items: items?.kind == .null ? nil : items, clientSeed, cursor: cursor, nonce: nonce, seed)
    var outcome = Outcome(
      id: 0, chain: 0, mode: .live, clientSeed: clientSeed, serverHash: hash, epoch: 0, cursor: cursor, nonce: nonce,
      endpoint: drawn.endpoint, value: drawn.value, fields: drawn.fields, items: drawn.items,
      created: try claim.integer("created", in: Milliseconds.plausible))
    outcome.origin = try Self.origin(claim, now)
    self.init(outcome, serverSeed: seed)
  }

  private static func seed(_ claim: RecordedParameters) throws(InvalidParameter) -> (ServerHash, ServerSeed?) {
    guard let hash = try? ServerHash(hex: try claim.text("serverHash")) else {
      throw InvalidParameter(name: "serverHash", reason: "must be 64 hexadecimal digits")
    }
    guard let given = try claim.value("serverSeed"), given.kind != .null else { return (hash, nil) }
    guard let seed = try? ServerSeed(hex: try claim.string("serverSeed")) else {
      throw InvalidParameter(name: "serverSeed", reason: "must be 64 lowercase hexadecimal digits")
    }
    guard seed.hash == hash else { throw InvalidParameter(name: "serverSeed", reason: "does not hash to serverHash") }
    return (hash, seed)
  }

  private static func origin(_ claim: RecordedParameters, _ now: Milliseconds) throws(InvalidParameter) -> OutcomeOrigin
  {
    let shortID = try claim.string("shortId")
    guard OutcomeOrigin.isShortID(shortID) else {
      throw InvalidParameter(name: "shortId", reason: "must be 4 to 32 letters and digits")
    }
    var permalink: String?
    if let given = try claim.value("permalink"), given.kind != .null {
      permalink = try claim.text("permalink")
      guard permalink?.utf8.count ?? 0 <= OutcomeOrigin.longestPermalink else {
        throw InvalidParameter(
          name: "permalink", reason: "must have at most \(OutcomeOrigin.longestPermalink) characters")
      }
    }
    return OutcomeOrigin(shortID: shortID, permalink: permalink, imported: now)
  }
}

extension Outcome {
  /// Whether it was imported without its items or its values.
  var isIncomplete: Bool {
    guard origin != nil else { return false }
    let shape = endpoint.kind.shape
    return shape == .permutation || shape == .index ? items == nil : value.elementsEqual("null".utf8)
  }
}

/// What was drawn, as far as a record says.
private struct Drawn {
  let endpoint: Endpoint
  let value, fields: [UInt8]
  let items: [UInt8]?

  init(
    _ claim: RecordedParameters, _ value: JSONValue, items: JSONValue?, _ clientSeed: ClientSeed, cursor: Int64,
    nonce: Int64, _ seed: ServerSeed?
  ) throws(InvalidParameter) {
    endpoint = try Endpoint(parameter: try claim.string("endpoint"))
    var compact: [UInt8] = []
    value.appendCompact(to: &compact)
    if try claim.value("redacted")?.isTrue == true {
      guard value.kind == .null else { throw InvalidParameter(name: "outcome", reason: "must be null: it is redacted") }
      let count = try claim.value("count") == nil ? 1 : claim.integer("count", in: 1...1024)
      (self.value, fields, self.items) = (compact, Array("\"count\":\(count),\"redacted\":true".utf8), nil)
      return
    }
    let shape = endpoint.kind.shape
    let takesItems = shape == .permutation || shape == .index
    var list = takesItems ? items : nil
    if takesItems, list == nil { list = try Self.placeholders(for: value, shape, claim) }
    let request = try DrawRequest(
      endpoint: endpoint, clientSeed: clientSeed,
      recorded: RecordedDraw(fields: claim, value: value, items: list))
    self.items = takesItems && items != nil ? request.items?.text : nil
    if let seed, !takesItems || items != nil {
      let derived = request.run(key: StreamKey(seed), cursor: cursor, nonce: nonce)
      guard (try? JSONText(derived.value).root)?.isSame(as: value) == true else {
        throw InvalidParameter(name: "outcome", reason: "does not follow from the seeds, the cursor and the nonce")
      }
      (self.value, fields) = (derived.value, derived.fields)
    } else {
      self.value = compact
      var fields = request.fields
      if shape == .index {
        let index = try claim.integer("index", in: 0...Int64((request.items?.count ?? 1) - 1))
        fields = Array("\"index\":\(index),".utf8) + fields
      }
      self.fields = fields
      try Self.check(value, shape, claim)
    }
    try Self.compare(fields, with: claim)
  }

  /// In the place of items that are not told: as many, so that all else can be read.
  private static func placeholders(
    for value: JSONValue, _ shape: Values.Shape, _ claim: RecordedParameters
  ) throws(InvalidParameter) -> JSONValue? {
    if shape == .permutation { return value }
    let weights = try claim.value("weights")?.elements()?.count ?? 0
    let index = try claim.integer("index", in: 0...Limits.items.upperBound - 1)
    let nulls = Array(repeating: "null", count: max(weights, Int(index) + 1)).joined(separator: ",")
    return try? JSONText(Array("[\(nulls)]".utf8)).root
  }

  /// Checks a value that cannot be recomputed for what every value of its kind is.
  private static func check(
    _ value: JSONValue, _ shape: Values.Shape, _ claim: RecordedParameters
  ) throws(InvalidParameter) {
    let count = Int(try claim.integer("count", in: 1...1024))
    let isPossible =
      switch shape {
      case .numbers: value.elements()?.filter { $0.kind == .number }.count == count && value.elements()?.count == count
      case .permutation: value.elements()?.count == count
      case .index: true
      case .bytes: value.kind == .string
      case .rolls: value["rolls"]?.elements()?.count == count && value["total"]?.kind == .number
      }
    guard isPossible else { throw InvalidParameter(name: "outcome", reason: "is none of \(count) drawn values") }
  }

  /// - Parameter fields: as they follow from the parameters or the draw.
  private static func compare(_ fields: [UInt8], with claim: RecordedParameters) throws(InvalidParameter) {
    let text = [UInt8(ascii: "{")] + fields + [UInt8(ascii: "}")]
    for field in (try? JSONText(text).root)?.members ?? [] {
      let name = String(decoding: field.name, as: UTF8.self)
      guard try claim.value(name)?.isSame(as: field.value) == true else {
        throw InvalidParameter(
          name: name, reason: "does not fit the draw: \(String(decoding: field.value.raw, as: UTF8.self)) would")
      }
    }
  }
}

extension ImportedOutcome {
  /// Whether its values were found to follow from its seeds.
  public var isRecomputed: Bool { serverSeed != nil && !outcome.isIncomplete }
}

/// What became of an outcome that was to be imported.
public enum ImportResult: Sendable, Equatable {
  case imported
  /// It was there; its server seed or its items were not.
  case completed
  /// It was there, and is the same.
  case known
  /// There is another one of its name, in which this member differs.
  case differs(String)
  /// Its name is that of an outcome that this server drew, or of another account's.
  case taken
}

extension ImportedOutcome {
  /// The member in which the outcome of the same name that is there differs from this one; nil for none. What is not known
  /// of the one there differs from nothing.
  package func difference(from there: ImportedOutcome) -> String? {
    let (own, other) = (outcome, there.outcome)
    func isSame(_ a: [UInt8], _ b: [UInt8]) -> Bool {
      if a == b { return true }
      guard let a = try? JSONText(a).root, let b = try? JSONText(b).root else { return false }
      return a.isSame(as: b)
    }
    func braced(_ fields: [UInt8]) -> [UInt8] { [UInt8(ascii: "{")] + fields + [UInt8(ascii: "}")] }
    let members: [(String, Bool)] = [
      ("clientSeed", own.clientSeed == other.clientSeed), ("serverHash", own.serverHash == other.serverHash),
      ("cursor", own.cursor == other.cursor), ("nonce", own.nonce == other.nonce),
      ("endpoint", own.endpoint == other.endpoint), ("created", own.created == other.created),
      ("outcome", isSame(own.value, other.value)), ("parameters", isSame(braced(own.fields), braced(other.fields))),
      ("items", own.items == nil || other.items == nil || own.items == other.items),
    ]
    return members.first { !$0.1 }?.0
  }

  /// Whether this one says what the one that is there does not.
  package func completes(_ there: ImportedOutcome) -> Bool {
    serverSeed != nil && there.serverSeed == nil || outcome.items != nil && there.outcome.items == nil
  }
}
