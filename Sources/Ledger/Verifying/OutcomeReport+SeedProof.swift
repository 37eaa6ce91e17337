import Fairness
import JSON

extension OutcomeReport {
  /// Checks whether the record's `seedProof` shows that its server seed is the only one its chain could have had.
  ///
  /// - Parameter trusted: the key that it has to be shown for; nil for the one that the record names.
  mutating func checkSeedProof(
    _ claim: RecordedParameters, of seed: ServerSeed, trusted: SeedPublicKey?
  ) throws(InvalidParameter) {
    let told = try claim.value("seedProof")
    guard told != nil || trusted != nil else { return }
    let clientSeed = try ClientSeed(try claim.string("clientSeed"))
    // What is wrong with a proof keeps nothing else from being checked.
    guard let fields = told.flatMap({ try? RecordedParameters($0) }) else {
      checks.append(
        Check(
          name: "seedProof", passed: false, expected: .words("must be there, as a JSON object"),
          actual: told.map { Array($0.raw) }))
      return
    }
    do throws(InvalidParameter) {
      let proof = try SeedProof(fields)
      do throws(SeedProof.Refusal) {
        try proof.check(serverSeed: seed, clientSeed: clientSeed, publicKey: trusted)
        checks.append(Check(name: "seedProof", passed: true, expected: .json(seed.quoted), actual: seed.quoted))
        provenBy = proof.publicKey
      } catch {
        let (member, expected) = Self.fault(error, in: proof)
        let actual = try member.isEmpty ? seed.quoted : fields.value(member).map { Array($0.raw) }
        checks.append(Check(name: Self.name(member), passed: false, expected: expected, actual: actual))
      }
    } catch {
      let actual = try fields.value(error.name).map { Array($0.raw) }
      checks.append(Check(name: Self.name(error.name), passed: false, expected: .words(error.reason), actual: actual))
    }
  }

  /// The member that is wrong, none if it is the seed, and what it should be.
  private static func fault(_ refusal: SeedProof.Refusal, in proof: SeedProof) -> (member: String, Expectation) {
    switch refusal {
    case .otherKey(let trusted): return ("publicKey", .json(Array("\"\(trusted)\"".utf8)))
    case .otherInput(let input):
      if input.epoch != proof.epoch { return ("epoch", .json(Array("\(input.epoch)".utf8))) }
      if input.era != proof.era { return ("era", .json(Array("\(input.era)".utf8))) }
      return ("scope", .json(Array("\"\(input.scope)\"".utf8)))
    case .invalid(let givesSeed):
      let words = "must be a proof for this publicKey, scope, era, epoch and clientSeed"
      return ("proof", .words(words + (givesSeed ? "; its output is the server seed, so one of those is wrong" : "")))
    case .otherSeed(let seed): return ("", .json(seed.quoted))
    }
  }

  private static func name(_ member: String) -> String { member.isEmpty ? "seedProof" : "seedProof." + member }
}

extension SeedProof {
  /// - Throws: ``InvalidParameter`` named after the member that is not what it has to be.
  fileprivate init(_ fields: RecordedParameters) throws(InvalidParameter) {
    func number(_ name: String) throws(InvalidParameter) -> UInt64 {
      UInt64(try fields.integer(name, in: 0...Limits.safeIntegers.upperBound))
    }
    try self.init(
      suite: fields.text("suite"), publicKey: fields.text("publicKey"), scope: fields.text("scope"),
      era: number("era"), epoch: number("epoch"), proof: fields.text("proof"))
  }
}

extension ServerSeed {
  fileprivate var quoted: [UInt8] { Array("\"\(description)\"".utf8) }
}
