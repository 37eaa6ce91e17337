import Fairness
import JSON
import Ledger
import LedgerSimulation
import Testing

/// Records whose seed comes with a proof: checked, and named where they are wrong.
@Suite struct SeedProofReportTests {
  private static let key = try! masterKey.seedKey()
  private static let clientSeed = seed("round-1")

  /// What a rotation reveals; `change` is made to the proof's members.
  private func record(_ change: [String: String] = [:], seed changed: String? = nil) -> String {
    let (seed, proof) = Self.key.prove(
      SeedInput(scope: .account(17), era: 0, epoch: 2, clientSeed: Self.clientSeed))
    var members = [
      "suite": "\"vrf-r255\"", "publicKey": "\"\(proof.publicKey)\"", "scope": "\"account:17\"", "era": "0",
      "epoch": "2", "proof": "\"\(text(proof.hex))\"",
    ]
    members.merge(change) { $1 }
    let object = members.filter { !$0.value.isEmpty }.map { "\"\($0.key)\":\($0.value)" }.joined(separator: ",")
    let told = changed ?? seed.description
    let hash = try! ServerSeed(hex: told.utf8).hash
    return "\"serverSeed\":\"\(told)\",\"serverHash\":\"\(hash)\",\"seedProof\":{\(object)}"
  }

  private func report(_ json: String, by trusted: SeedPublicKey? = nil) throws -> OutcomeReport {
    OutcomeReport(checking: try JSONText(bytes(json)).root, seedKey: trusted)
  }

  private func alone(_ record: String) -> String { "{\"clientSeed\":\"round-1\",\(record)}" }

  private func failed(_ report: OutcomeReport) -> [String] { report.checks.filter { !$0.passed }.map(\.name) }

  @Test func aSeedAloneAndARotationsAnswer() throws {
    let rotation =
      "{\"clientSeed\":\"round-1\",\"revealed\":{\(record()),\"cursor\":0,\"nonce\":3},\"next\":{\"nonce\":3}}"
    for json in [alone(record()), rotation] {
      for trusted in [nil, Self.key.publicKey] {
        let report = try report(json, by: trusted)
        #expect(report.isVerified && report.checks.map(\.name) == ["serverHash", "seedProof"], "\(report)")
        #expect(report.provenBy == Self.key.publicKey)
      }
    }
  }

  @Test func aDrawIsCheckedToo() throws {
    let seed = Self.key.serverSeed(
      for: SeedInput(scope: .account(17), era: 0, epoch: 2, clientSeed: Self.clientSeed))
    var stream = ByteStream(key: StreamKey(seed), clientSeed: Self.clientSeed, cursor: 0, nonce: 0)
    let drawn = Generator.ints(count: 1, min: 1, max: 1000).draw(from: &stream)
    guard case .ints(let values) = drawn else { throw InvalidSeed() }
    func outcome(_ record: String) -> String {
      "{\"outcome\":\(values),\"endpoint\":\"ints\",\"count\":1,\"min\":1,\"max\":1000,\"cursor\":0,\"nonce\":0,"
        + "\"clientSeed\":\"round-1\",\(record)}"
    }
    let good = try report(outcome(record()))
    #expect(good.isVerified && good.checks.map(\.name) == ["serverHash", "seedProof", "outcome"], "\(good)")
    // A wrong proof hides nothing of the draw.
    let bad = try report(outcome(record(["epoch": "3"])))
    #expect(bad.checks.map(\.name) == ["serverHash", "seedProof.epoch", "outcome"] && bad.provenBy == nil)
    #expect(failed(bad) == ["seedProof.epoch"])
  }

  @Test func whoeverGivesAKeyWantsAProof() throws {
    let none = try report(
      "{\"clientSeed\":\"a\",\"serverSeed\":\"\(String(repeating: "a", count: 64))\"}", by: Self.key.publicKey)
    #expect(failed(none).contains("seedProof") && none.provenBy == nil)
    let other = try MasterKey(bytes: Array(2...33)).seedKey().publicKey
    let wrong = try report(alone(record()), by: other)
    #expect(failed(wrong) == ["seedProof.publicKey"] && wrong.provenBy == nil)
    #expect(wrong.checks.last?.expected == .json(bytes("\"\(other)\"")))
  }

  @Test(arguments: [
    ("suite", "\"vrf-p256\"", "suite"), ("suite", "", "suite"), ("publicKey", "\"00\"", "publicKey"),
    ("publicKey", "\"\(String(repeating: "0", count: 64))\"", "publicKey"), ("scope", "\"account:0\"", "scope"),
    ("scope", "17", "scope"), ("scope", "\"account:18\"", "scope"), ("scope", "\"account:99\"", "proof"),
    ("era", "-1", "era"), ("era", "\"0\"", "era"), ("era", "1", "era"), ("epoch", "1.5", "epoch"),
    ("epoch", "", "epoch"), ("epoch", "9007199254740992", "epoch"), ("epoch", "3", "epoch"),
    ("epoch", "100", "proof"), ("proof", "\"\(String(repeating: "0", count: 160))\"", "proof"),
    ("proof", "null", "proof"), ("proof", "\"ab\"", "proof"),
  ]) func whatIsWrongIsNamed(member: String, json: String, named: String) throws {
    let report = try report(alone(record([member: json])))
    #expect(failed(report) == ["seedProof." + named] && report.provenBy == nil, "\(report)")
  }

  @Test func theProofOfAnotherSeed() throws {
    let other = ServerSeed(bytes: Array(0..<32)).description
    let report = try report(alone(record(seed: other)))
    #expect(failed(report) == ["seedProof"])
    #expect(report.checks.last?.actual == bytes("\"\(other)\""))
  }

  @Test func whatIsNoObject() throws {
    for proof in ["null", "[]", "\"\"", "1"] {
      let seed = String(repeating: "a", count: 64)
      let hash = try ServerSeed(hex: seed.utf8).hash
      let json = "\"serverSeed\":\"\(seed)\",\"serverHash\":\"\(hash)\",\"seedProof\":\(proof)"
      #expect(failed(try report(alone(json))) == ["seedProof"])
    }
  }
}
