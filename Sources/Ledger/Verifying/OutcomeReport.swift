import Fairness
import JSON

/// What came of checking an outcome, given as JSON, against its server seed: by mathematics alone, without a ledger.
///
/// What it cannot check is whether the hash was published before the draw, and `shortId` and `created`, which do not
/// follow from any seed.
public struct OutcomeReport: Sendable {
  public struct Check: Sendable, Equatable {
    /// The field that was checked, such as `serverHash`, `outcome` or `outcome.rolls`.
    public let name: String
    public let passed: Bool
    /// What it has to be: JSON, or in words where no single value is right.
    public let expected: Expectation
    /// What the outcome says, as JSON; nil if it says nothing.
    public let actual: [UInt8]?
    /// Whether it did not pass because there was nothing to check with: the items were not given.
    public var isMissing = false
    /// What was found, where that says more than the name.
    public var detail: String?
  }

  public enum Expectation: Sendable, Equatable {
    case json([UInt8])
    case words(String)
  }

  public internal(set) var checks: [Check] = []
  /// Where the values were found instead, if they are a neighbour's.
  public private(set) var hint: String?
  /// The key for which the record's proof shows that there was no other server seed to choose; nil if nothing does.
  public internal(set) var provenBy: SeedPublicKey?

  public var isVerified: Bool { checks.allSatisfy(\.passed) }
  /// Whether something is wrong. A report may be neither verified nor failed: then something is missing.
  public var hasFailed: Bool { checks.contains { !$0.passed && !$0.isMissing } }

  /// - Parameters:
  ///   - outcome: an outcome as the API answered it; white space, the order of members and the spelling of numbers are
  ///     free. Or a revealed seed with its proof, also as a rotation answered it.
  ///   - serverSeed: the revealed seed; nil for the outcome's own `serverSeed`.
  ///   - items: the items of a shuffle or a pick; nil for the outcome's own `items`.
  ///   - seedKey: the key that the record's `seedProof` has to be of, known from elsewhere; nil for the proof's own.
  ///   - looksAround: whether to try other nonces and cursors when the values are wrong.
  public init(
    checking outcome: JSONValue, serverSeed: String? = nil, items: JSONValue? = nil, seedKey: SeedPublicKey? = nil,
    looksAround: Bool = true
  ) {
    do throws(InvalidParameter) {
      let claim = try RecordedParameters(outcome)
      let seed = try Self.seed(claim, given: serverSeed)
      compare("serverHash", seed.hash.hex.quoted, try claim.value("serverHash"))
      try checkSeedProof(claim, of: seed, trusted: seedKey)
      if try !claim.isSeedAlone { try check(claim, seed: seed, items: items, looksAround: looksAround) }
    } catch {
      var actual = outcome.members?.first { $0.name.elementsEqual(error.name.utf8) }.map { Array($0.value.raw) }
      if error.name == "items", let items { actual = Array(items.raw) }
      if error.name == "serverSeed", serverSeed != nil { actual = nil }
      let isMissing = error.name == "items" && (actual == nil || actual == Array("null".utf8))
      checks.append(
        Check(name: error.name, passed: false, expected: .words(error.reason), actual: actual, isMissing: isMissing))
    }
  }

  private mutating func check(
    _ claim: RecordedParameters, seed: ServerSeed, items: JSONValue?, looksAround: Bool
  ) throws(InvalidParameter) {
    let endpoint = try Endpoint(parameter: try claim.string("endpoint"))
    let coordinates = 0...Limits.safeIntegers.upperBound
    let clientSeed = try ClientSeed(try claim.string("clientSeed"))
    let cursor = try claim.integer("cursor", in: coordinates)
    let nonce = try claim.integer("nonce", in: coordinates)
    guard let value = try claim.value("outcome") else {
      throw InvalidParameter(name: "outcome", reason: "must be there")
    }
    let items = if let items { items as JSONValue? } else { try claim.value("items") }
    let request = try DrawRequest(
      endpoint: endpoint, clientSeed: clientSeed, recorded: RecordedDraw(fields: claim, value: value, items: items))
    let key = StreamKey(seed)
    let derived = request.run(key: key, cursor: cursor, nonce: nonce)

    let isRight = compare(outcome: value, with: derived.value, of: endpoint)
    try compareFields(claim, with: derived.fields)
    if !isRight, looksAround, checks[0].passed {
      hint = Self.place(of: value, request, key, cursor: cursor, nonce: nonce)
    }
  }

  private static func seed(_ claim: RecordedParameters, given: String?) throws(InvalidParameter) -> ServerSeed {
    var ascii = given.map { Array($0.utf8) }
    if ascii == nil, try claim.value("serverSeed") != nil { ascii = try claim.string("serverSeed") }
    guard let ascii else {
      throw InvalidParameter(name: "serverSeed", reason: "must be known: the chain is rotated to reveal it")
    }
    do {
      return try ServerSeed(hex: ascii)
    } catch {
      throw InvalidParameter(name: "serverSeed", reason: "must be 64 lowercase hexadecimal digits")
    }
  }

  // MARK: Comparing

  @discardableResult
  private mutating func compare(_ name: String, _ expected: [UInt8], _ actual: JSONValue?) -> Bool {
    let passed = actual.map { actual in (try? JSONText(expected).root)?.isSame(as: actual) == true } ?? false
    checks.append(
      Check(name: name, passed: passed, expected: .json(expected), actual: actual.map { Array($0.raw) }))
    return passed
  }

  /// The outcome as a whole; where it is wrong and has parts, part by part.
  private mutating func compare(outcome: JSONValue, with derived: [UInt8], of endpoint: Endpoint) -> Bool {
    if compare("outcome", derived, outcome) { return true }
    guard endpoint.kind.shape == .rolls, let parts = (try? JSONText(derived).root)?.members,
      let claimed = try? RecordedParameters(outcome)
    else { return false }
    let whole = checks.removeLast()
    var isNamed = false
    for part in parts {
      let name = String(decoding: part.name, as: UTF8.self)
      isNamed = !compare("outcome." + name, Array(part.value.raw), (try? claimed.value(name)) ?? nil) || isNamed
    }
    if !isNamed { checks.append(whole) }  // it has more parts than it should
    return false
  }

  /// The endpoint's own fields. Those that were used to derive the values cannot be wrong by themselves, and are not listed.
  private mutating func compareFields(_ claim: RecordedParameters, with derived: [UInt8]) throws(InvalidParameter) {
    guard let fields = (try? JSONText([UInt8(ascii: "{")] + derived + [UInt8(ascii: "}")]).root)?.members else {
      return
    }
    for field in fields {
      let name = String(decoding: field.name, as: UTF8.self)
      let isRight = compare(name, Array(field.value.raw), try claim.value(name))
      if isRight && name != "index" { checks.removeLast() }
    }
  }

  // MARK: Looking around

  /// Says where the values do stand, if that is at one neighbouring nonce or cursor only.
  private static func place(
    of value: JSONValue, _ request: DrawRequest, _ key: StreamKey, cursor: Int64, nonce: Int64
  ) -> String? {
    func isThere(_ cursor: Int64, _ nonce: Int64) -> Bool {
      let derived = request.run(key: key, cursor: cursor, nonce: nonce).value
      return (try? JSONText(derived).root)?.isSame(as: value) == true
    }
    func neighbours(_ place: Int64, _ reach: Int64) -> ClosedRange<Int64> {
      max(0, place - reach)...min(Limits.safeIntegers.upperBound, place + reach)
    }
    // A draw of few possible values is found at many places; that says nothing.
    var found: [String] = []
    for other in neighbours(nonce, 500) where other != nonce && isThere(cursor, other) {
      found.append("nonce \(other)")
      if found.count > 1 { return nil }
    }
    for other in neighbours(cursor, 100) where other != cursor && isThere(other, nonce) {
      found.append("cursor \(other)")
      if found.count > 1 { return nil }
    }
    return found.first.map { "This seed gives the outcome at \($0)." }
  }
}

extension [UInt8] {
  fileprivate var quoted: [UInt8] {
    var text: [UInt8] = []
    text.append(jsonString: self)
    return text
  }
}
