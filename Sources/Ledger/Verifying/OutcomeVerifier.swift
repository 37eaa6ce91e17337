import Fairness
import JSON

/// Says what can be said of recorded outcomes.
public struct OutcomeVerifier: Sendable {
  private let testSeeds: TestSeeds
  private let seeds: ChainSeeds

  /// - Parameter seeds: where the proofs of revealed seeds come from.
  public init(masterKey: MasterKey, seeds: ChainSeeds) {
    testSeeds = TestSeeds(masterKey: masterKey)
    self.seeds = seeds
  }

  /// Checks an outcome against its server seed, as far as that is known, by making the draw again.
  public func verdict(on record: RecordedOutcome) -> Verdict {
    let outcome = record.outcome
    switch record.state {
    case .inUse(let hash):
      return Verdict(hash == outcome.serverHash ? .notRevealed : .hashMismatch, next: record.next)
    case .revealed(let revealed):
      return Verdict(
        check(outcome, against: revealed.seed) ?? .revealed, serverSeed: revealed.seed,
        seedProof: seeds.proof(of: revealed, clientSeed: outcome.clientSeed), next: record.next)
    case .rehearsal(let id):
      let seed = testSeed(id, outcome.clientSeed)
      // The seed of a commitment was revealed with its outcome; the others never are.
      return id.commitment == nil
        ? Verdict(check(outcome, against: seed) ?? .rehearsal)
        : Verdict(check(outcome, against: seed) ?? .revealed, serverSeed: seed)
    case .imported(let seed):
      return Verdict(seed.map { check(outcome, against: $0) ?? .revealed } ?? .seedUnknown, serverSeed: seed)
    }
  }

  /// The server seed that an outcome can be checked with here: a revealed one, or one of test mode, which is nobody
  /// else's to know. Nil while it is secret.
  public func seed(of record: RecordedOutcome) -> ServerSeed? {
    switch record.state {
    case .inUse: nil
    case .revealed(let revealed): revealed.seed
    case .rehearsal(let id): testSeed(id, record.outcome.clientSeed)
    case .imported(let seed): seed
    }
  }

  private func testSeed(_ id: TestDrawID, _ clientSeed: ClientSeed) -> ServerSeed {
    let seed =
      if let commitment = id.commitment {
        testSeeds.seed(account: id.account, commitment: commitment)
      } else {
        testSeeds.seed(account: id.account, clientSeed: clientSeed)
      }
    return seed.seed
  }

  /// What is wrong with `outcome` if it was drawn from `seed`; nil for nothing.
  private func check(_ outcome: Outcome, against seed: ServerSeed) -> Verdict.Code? {
    guard seed.hash == outcome.serverHash else { return .hashMismatch }
    guard !outcome.isIncomplete else { return .notRecomputable }
    guard let request = try? DrawRequest(recorded: outcome) else { return .badParameters }
    let again = request.run(key: StreamKey(seed), cursor: outcome.cursor, nonce: outcome.nonce)
    return again.value == outcome.value && again.fields == outcome.fields ? nil : .outcomeMismatch
  }
}

/// Whether an outcome is what its server seed gives, and why that can or cannot be said.
public struct Verdict: Sendable, Equatable {
  public enum Code: String, Sendable, CaseIterable {
    case notRevealed = "not_revealed"
    case revealed = "revealed"
    case rehearsal = "rehearsal"
    case hashMismatch = "hash_mismatch"
    case outcomeMismatch = "outcome_mismatch"
    case badParameters = "bad_parameters"
    /// Imported, without the server seed.
    case seedUnknown = "seed_unknown"
    /// Imported, without the items or the values.
    case notRecomputable = "not_recomputable"
  }

  public let code: Code
  /// The seed the draw was made from, if it has been revealed.
  public let serverSeed: ServerSeed?
  /// The proof that the chain could have had no other; nil if there is none.
  public let seedProof: SeedProof?
  /// What the chain draws next, if it goes on.
  public let next: NextDraw?

  public init(
    _ code: Code, serverSeed: ServerSeed? = nil, seedProof: SeedProof? = nil, next: NextDraw? = nil
  ) {
    self.code = code
    self.serverSeed = serverSeed
    self.seedProof = seedProof
    self.next = next
  }

  /// True if nothing speaks against the outcome.
  public var isVerified: Bool {
    switch code {
    case .notRevealed, .revealed, .rehearsal: true
    case .hashMismatch, .outcomeMismatch, .badParameters, .seedUnknown, .notRecomputable: false
    }
  }

  /// A sentence or two for a person.
  public var reason: String {
    switch code {
    case .notRevealed:
      "The server seed is not revealed yet: the chain still draws from it, with this serverHash. Anyone can recompute "
        + "the values once the chain is rotated."
    case .revealed:
      "The server seed is revealed. It hashes to serverHash, and recomputing the draw gives this outcome."
    case .rehearsal:
      "The outcome was drawn in test mode, from a fixed server seed that is never revealed. The server recomputed it "
        + "and got the same outcome; nobody else can."
    case .hashMismatch: "The server seed does not hash to serverHash."
    case .outcomeMismatch:
      "The server seed hashes to serverHash, but recomputing the draw gives another outcome."
    case .badParameters: "No draw can have the recorded parameters, so nothing can be recomputed."
    case .seedUnknown:
      "The outcome was imported without its server seed, so nothing can be recomputed. The service that drew it reveals "
        + "the seed when its chain is rotated."
    case .notRecomputable:
      "The server seed hashes to serverHash. The record that was imported does not have all that the outcome was drawn "
        + "from, so nothing can be recomputed."
    }
  }
}

extension OutcomeRenderer {
  /// Appends what is said of an outcome: the verdict, the outcome as it was answered, and whatever else it takes to
  /// derive it again.
  public func append(_ outcome: Outcome, with verdict: Verdict, to body: inout [UInt8]) {
    body.append(json: verdict.isVerified ? "{\"verified\":true" : "{\"verified\":false")
    body.append(json: ",\"reason\":")
    body.append(jsonString: verdict.reason)
    body.append(json: ",\"reasonCode\":")
    body.append(jsonString: verdict.code.rawValue)
    let start = body.count
    append(outcome, to: &body)
    body[start] = UInt8(ascii: ",")  // in the place of the brace that opens the outcome
    body.removeLast()
    if outcome.endpoint.kind.shape == .rolls, let notation = Self.notation(of: outcome) {
      body.append(json: ",\"notation\":")
      body.append(contentsOf: notation)
    }
    if let items = outcome.items {
      body.append(json: ",\"items\":[")
      body.append(contentsOf: items)
      body.append(json: "]")
    }
    if let seed = verdict.serverSeed {
      body.append(json: ",\"serverSeed\":\"")
      body.append(contentsOf: seed.ascii)
      body.append(json: "\"")
    }
    if let proof = verdict.seedProof {
      body.append(json: ",\"seedProof\":")
      body.append(proof)
    }
    if let next = verdict.next {
      body.append(json: ",\"next\":{")
      body.append(position: next.serverHash, cursor: next.cursor, nonce: next.nonce)
      body.append(json: "}")
    }
    body.append(json: "}")
  }

  /// What dice were rolled, as JSON.
  private static func notation(of outcome: Outcome) -> ArraySlice<UInt8>? {
    guard let value = try? JSONText(outcome.value).root else { return nil }
    return try? RecordedParameters(value).value("notation")?.raw
  }
}
