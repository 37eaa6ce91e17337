import Fairness
import JSON

/// Holds recorded outcomes against their server seeds, and finds out what of an outcome is not what was logged.
public struct OutcomeAudit: Sendable {
  private let seeds: ChainSeeds
  private let shortIDs: ShortIDs

  public init(seeds: ChainSeeds, shortIDs: ShortIDs) {
    self.seeds = seeds
    self.shortIDs = shortIDs
  }

  public func name(_ id: Int64) -> String {
    ShortIDs.numbers.contains(id) ? String(decoding: shortIDs.encode(id), as: UTF8.self) : "in row \(id)"
  }

  /// The digest of the outcome's entry in the log.
  public func digest(_ outcome: Outcome) -> LogDigest {
    LogDigest(of: outcome.logText(shortIDs.encode(outcome.id)))
  }

  /// What is wrong with an outcome as it is recorded; nil for nothing. If its server seed is revealed, the draw is made
  /// again. Else its parameters are read, and its values counted.
  public func fault(of record: RecordedOutcome) -> String? {
    let outcome = record.outcome
    guard let request = try? DrawRequest(recorded: outcome) else { return "no draw can have its parameters" }
    guard case .revealed(let revealed) = record.state else {
      let isPick = outcome.endpoint.kind.shape == .index
      let matches =
        isPick ? outcome.fields.suffix(request.fields.count) == request.fields[...] : outcome.fields == request.fields
      return matches && Self.count(outcome, request) ? nil : "its number of values is not the one that it says"
    }
    // A seed that has another hash is found where seeds are checked, once for all its draws.
    guard revealed.seed.hash == outcome.serverHash else { return nil }
    let again = request.run(key: StreamKey(revealed.seed), cursor: outcome.cursor, nonce: outcome.nonce)
    return again.value == outcome.value && again.fields == outcome.fields
      ? nil : "its values do not follow from its seeds"
  }

  /// Whether there are as many values as the outcome says. Where its parameters were read from the values there are.
  private static func count(_ outcome: Outcome, _ request: DrawRequest) -> Bool {
    let shape = outcome.endpoint.kind.shape
    guard shape == .numbers || shape == .bytes else { return true }
    // Any seed gives as many.
    let drawn = request.run(key: anyKey, cursor: 0, nonce: 0).value
    guard let value = try? JSONText(outcome.value).root, let expected = try? JSONText(drawn).root else { return false }
    return value.elements()?.count == expected.elements()?.count && value.string?.count == expected.string?.count
  }

  // MARK: What was changed

  /// What is known around an outcome that is not in the log as it is recorded.
  public struct Surroundings {
    /// When its neighbours were drawn.
    public let times: ClosedRange<Milliseconds>
    /// Whether the log has an entry for a digest that no recorded outcome has.
    public let isLogged: (LogDigest) -> Bool

    public init(times: ClosedRange<Milliseconds>, isLogged: @escaping (LogDigest) -> Bool) {
      self.times = times
      self.isLogged = isLogged
    }
  }

  /// An explanation, and the digest that the log has of the outcome as it was drawn, if that is known.
  public typealias Explanation = (text: String, logged: LogDigest?)

  /// So many moments, nonces and cursors are tried.
  private static let mostMoments: Milliseconds = 100_000
  private static let reach: Int64 = 500

  /// Finds out which single change leads from what the log has to what is recorded.
  public func explain(_ record: RecordedOutcome, _ around: Surroundings) -> Explanation {
    let outcome = record.outcome
    func logged(_ candidate: Outcome) -> LogDigest? {
      let digest = digest(candidate)
      return around.isLogged(digest) ? digest : nil
    }
    let expected = expectedSeeds(record)
    for seed in expected where seed.hash != outcome.serverHash {
      if let found = logged(outcome.changed(serverHash: seed.hash)) {
        return ("its server seed was changed: its hash was \(seed.hash.hex)", found)
      }
    }
    if let found = time(outcome, around) { return found }
    let request = try? DrawRequest(recorded: outcome)
    var follows = false
    for seed in expected {
      guard let drawn = request?.run(key: StreamKey(seed), cursor: outcome.cursor, nonce: outcome.nonce) else {
        continue
      }
      let original = outcome.changed(serverHash: seed.hash, value: drawn.value, fields: drawn.fields)
      if let found = logged(original) {
        let (was, now) = (Self.short(drawn.value), Self.short(outcome.value))
        return drawn.value != outcome.value
          ? ("its value was changed from \(was) to \(now)", found)
          : ("its parameters were changed: they were {\(Self.short(drawn.fields))}", found)
      }
      follows = follows || drawn.value == outcome.value && drawn.fields == outcome.fields
    }
    for nonce in Self.near(outcome.nonce) {
      if let found = logged(outcome.changed(nonce: nonce)) { return ("its nonce was changed: it was \(nonce)", found) }
    }
    for cursor in Self.near(outcome.cursor) {
      if let found = logged(outcome.changed(cursor: cursor)) {
        return ("its cursor was changed: it was \(cursor)", found)
      }
    }
    guard request != nil else { return ("its parameters were changed: no draw can have them", nil) }
    guard !expected.isEmpty else { return ("it was changed, or its server seed, which cannot be told", nil) }
    if follows {
      return outcome.items != nil
        ? ("its items were changed: its values follow from its seeds, and no other change explains it", nil)
        : ("its time, a parameter or its client seed was changed; its values follow from its seeds", nil)
    }
    return (
      "its values do not follow from its seeds with these parameters"
        + (outcome.items == nil ? "" : " and items") + ": a parameter was changed"
        + (outcome.items == nil ? "" : ", or an item,") + " or more than one thing", nil
    )
  }

  /// The seeds that the outcome's chain can have had in its epoch: one for each era, or the one that was revealed of a
  /// commitment.
  private func expectedSeeds(_ record: RecordedOutcome) -> [ServerSeed] {
    let outcome = record.outcome
    guard let owner = record.owner, !owner.isNobody else {
      if case .revealed(let revealed) = record.state { return [revealed.seed] }
      return []
    }
    let chain = ChainKey(owner: owner, clientSeed: outcome.clientSeed)
    let eras = max(0, seeds.era - 100)...seeds.era
    let candidates = eras.reversed().flatMap { era in
      [outcome.epoch, outcome.epoch - 1, outcome.epoch + 1].filter { $0 >= 0 }.map {
        seeds.seed(of: chain, era: era, epoch: $0).seed
      }
    }
    return candidates
  }

  /// Tries all moments around that at which the outcome is said to have been drawn, and between its neighbours.
  private func time(_ outcome: Outcome, _ around: Surroundings) -> Explanation? {
    let first = max(around.times.lowerBound, around.times.upperBound - Self.mostMoments)
    for moment in first...around.times.upperBound where moment != outcome.created {
      let digest = digest(outcome.changed(created: moment))
      guard around.isLogged(digest) else { continue }
      return (
        "its time was changed: it was drawn at \(moment.iso8601) (\(moment)), and is recorded at \(outcome.created)",
        digest
      )
    }
    return nil
  }

  private static func near(_ place: Int64) -> [Int64] {
    (max(0, place - reach)...min(place, SeedChain.largestCoordinate - reach) + reach).filter { $0 != place }
  }

  private static func short(_ text: [UInt8]) -> String {
    String(decoding: text.prefix(120), as: UTF8.self) + (text.count > 120 ? "…" : "")
  }

  /// For draws whose values do not matter.
  private static let anyKey = StreamKey(ServerSeed(bytes: [UInt8](repeating: 0, count: 32)))
}

extension Outcome {
  /// The same with something changed.
  fileprivate func changed(
    serverHash: ServerHash? = nil, cursor: Int64? = nil, nonce: Int64? = nil, value: [UInt8]? = nil,
    fields: [UInt8]? = nil, created: Milliseconds? = nil
  ) -> Outcome {
    Outcome(
      id: id, chain: chain, mode: mode, clientSeed: clientSeed, serverHash: serverHash ?? self.serverHash, epoch: epoch,
      cursor: cursor ?? self.cursor, nonce: nonce ?? self.nonce, endpoint: endpoint, value: value ?? self.value,
      stored: stored, fields: fields ?? self.fields, items: items, created: created ?? self.created)
  }
}
