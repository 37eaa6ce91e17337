import Crypto
import Fairness
import Foundation
import Testing

/// `seed-vectors.jsonl`: a case a line, made independently of this code.
@Suite struct SeedVectorTests {
  struct Vector: Decodable {
    let secretKey: String
    let publicKey: String
    let scope: String
    let era: UInt64
    let epoch: UInt64
    let clientSeed: String
    let proof: String
    let output: String
    let serverSeed: String
    let serverHash: String
  }

  static let vectors: [Vector] = {
    let url = Bundle.module.url(forResource: "seed-vectors", withExtension: "jsonl")!
    let lines = try! Data(contentsOf: url).split(separator: UInt8(ascii: "\n"))
    return lines.map { try! JSONDecoder().decode(Vector.self, from: $0) }
  }()

  @Test func thereAreAll() { #expect(Self.vectors.count == 24) }

  @Test(arguments: vectors.indices)
  func line(index: Int) throws {
    let vector = Self.vectors[index]
    let clientSeed = try ClientSeed(vector.clientSeed)
    let key = try SeedKey(SymmetricKey(data: bytes(vector.secretKey)))
    let input = SeedInput(
      scope: try SeedScope(vector.scope), era: vector.era, epoch: vector.epoch, clientSeed: clientSeed)
    let (seed, proof) = key.prove(input)

    #expect(key.publicKey.description == vector.publicKey)
    #expect(hex(proof.proof.bytes) == vector.proof)
    #expect(String(decoding: proof.hex, as: UTF8.self) == vector.proof)
    #expect(hex(proof.proof.output) == vector.output)
    #expect(seed.description == vector.serverSeed)
    #expect(seed.hash.description == vector.serverHash)
    #expect(key.serverSeed(for: input) == seed)

    let told = try SeedProof(
      suite: "vrf-r255", publicKey: vector.publicKey, scope: vector.scope, era: vector.era, epoch: vector.epoch,
      proof: vector.proof)
    #expect(told == proof)
    try told.check(serverSeed: seed, clientSeed: clientSeed)
    try told.check(serverSeed: seed, clientSeed: clientSeed, publicKey: key.publicKey)
  }

  /// The vector of c2sp.org/vrf-r255 itself.
  @Test func published() throws {
    let key = try SeedKey(
      SymmetricKey(data: bytes("3431c2b03533e280b23232e280b34e2c3132c2b03238e280b23131e280b34500")))
    let proof = key.prove(Array("c2sp.org/vrf-r255".utf8))
    #expect(key.publicKey.description == "54136cd90d99fbd1d4e855d9556efea87ba0337f2a6ce22028d0f5726fcb854e")
    #expect(
      hex(proof.bytes)
        == "0a97d961262fb549b4175c5117860f42ae44a123f93c476c439eddd1c0cff9265c805525233e2284dbed45e593b8eea3"
        + "1d5ca9734d72bcbba9738d5237f955f3b2422351149d1312503b6441a47c940c")
    #expect(
      hex(proof.output)
        == "dd653f0879b48c3ef69e13551239bec4cbcc1c18fe8894de2e9e1c790e18273603bf1c6c25d7a797aeff3c43fd32b974"
        + "d3fcbd4bcce916007097922a3ea3a794")
    #expect(key.publicKey.accepts(proof, of: Array("c2sp.org/vrf-r255".utf8)))
  }
}

@Suite struct SeedProofTests {
  /// A key of the test's own, and what it proved.
  struct Proven {
    var input: SeedInput
    let key: SeedKey
    let seed: ServerSeed
    let proof: SeedProof

    init(using random: inout SplitMix64) throws {
      let secret = (0..<64).map { _ in UInt8.random(in: .min ... .max, using: &random) }
      let account = UInt64.random(in: 0...3, using: &random)
      let length = Int.random(in: 1...64, using: &random)
      let text = String((0..<length).map { _ in "aé日🎲\n:".randomElement(using: &random)! })
      input = SeedInput(
        scope: account == 0 ? .anonymous : .account(account << UInt64.random(in: 0...50, using: &random)),
        era: .random(in: 0...(1 << 53 - 1), using: &random), epoch: .random(in: 0...3, using: &random),
        clientSeed: try ClientSeed(text))
      key = try SeedKey(SymmetricKey(data: secret))
      (seed, proof) = key.prove(input)
    }
  }

  @Test func whatWasProvenIsAcceptedAndEveryFlippedBitIsNot() throws {
    var random = SplitMix64(state: announcedSeed())
    for _ in 0..<5 {
      let proven = try Proven(using: &random)
      let (key, alpha) = (proven.key.publicKey, proven.input.alpha)
      try proven.proof.check(serverSeed: proven.seed, clientSeed: proven.input.clientSeed, publicKey: key)
      #expect(key.accepts(proven.proof.proof, of: alpha))

      for bit in 0..<8 * VRFProof.byteCount {
        guard let proof = try? VRFProof(bytes: flipped(bit, in: proven.proof.proof.bytes)) else { continue }
        #expect(!key.accepts(proof, of: alpha), "bit \(bit) of the proof")
      }
      for bit in 0..<256 {
        guard let other = try? SeedPublicKey(bytes: flipped(bit, in: key.bytes)) else { continue }
        #expect(!other.accepts(proven.proof.proof, of: alpha), "bit \(bit) of the key")
      }
      for bit in 0..<8 * alpha.count {
        #expect(!key.accepts(proven.proof.proof, of: flipped(bit, in: alpha)), "bit \(bit) of the input")
      }
      for bit in 0..<256 {
        let other = ServerSeed(bytes: flipped(bit, in: Array(proven.proof.proof.output.prefix(32))))
        #expect(throws: SeedProof.Refusal.otherSeed(proven.seed)) {
          try proven.proof.check(serverSeed: other, clientSeed: proven.input.clientSeed)
        }
      }
    }
  }

  /// Different inputs are never the same bytes, whatever the client seed has in it.
  @Test func inputsAreTold() throws {
    let input = SeedInput(scope: .account(17), era: 3, epoch: 14, clientSeed: try ClientSeed("é\n1"))
    #expect(input.alpha == Array("fairdraw/seed/v1\naccount:17\n3\n14\né\n1".utf8))
    #expect(SeedScope.anonymous.description == "anonymous")
  }

  @Test(arguments: ["anonymous", "account:1", "account:9007199254740991"])
  func scopes(text: String) throws { #expect(try SeedScope(text).description == text) }

  @Test(arguments: [
    "", "Anonymous", "account:", "account:0", "account:01", "account:+1", "account:-1", "account: 1", "account:1 ",
    "account:9007199254740992", "account:18446744073709551616", "account:١", "anonymous\n", "account:1x",
  ])
  func noScopes(text: String) {
    #expect(
      refusal { _ = try SeedScope(text) } == "scope must be anonymous, or account: and the account's number")
  }

  // MARK: Wrong inputs are named

  private func refused(
    _ change: (inout SeedProof, inout ClientSeed, inout ServerSeed) throws -> Void,
    scope: SeedScope = .account(40), by trusted: SeedPublicKey? = nil
  ) throws -> SeedProof.Refusal? {
    let key = try SeedKey(SymmetricKey(data: [UInt8](repeating: 7, count: 64)))
    var clientSeed = fixedClientSeed
    var (seed, proof) = key.prove(SeedInput(scope: scope, era: 20, epoch: 10, clientSeed: clientSeed))
    try change(&proof, &clientSeed, &seed)
    do throws(SeedProof.Refusal) {
      try proof.check(serverSeed: seed, clientSeed: clientSeed, publicKey: trusted)
      return nil
    } catch {
      return error
    }
  }

  private func input(_ scope: SeedScope) -> SeedInput {
    SeedInput(scope: scope, era: 20, epoch: 10, clientSeed: fixedClientSeed)
  }

  @Test(arguments: [2, 9, 11, 18] as [UInt64]) func aWrongEpochOrEraOrAccountIsNamed(number: UInt64) throws {
    let named = SeedProof.Refusal.otherInput(input(.account(40)))
    #expect(try refused { proof, _, _ in proof.epoch = number } == named)
    #expect(try refused { proof, _, _ in proof.era = number + 10 } == named)
    #expect(try refused { proof, _, _ in proof.scope = .account(number + 30) } == named)
    #expect(try refused { proof, _, _ in proof.scope = .anonymous } == .invalid(givesSeed: true))
    #expect(
      try refused({ proof, _, _ in proof.scope = .account(number) }, scope: .anonymous)
        == .otherInput(input(.anonymous)))
    #expect(
      try refused({ proof, _, _ in proof.scope = .anonymous }, scope: .account(3)) == .otherInput(input(.account(3))))
  }

  @Test func whatIsFarOffIsNotLookedFor() throws {
    for number in [0, 100, .max] as [UInt64] {
      #expect(try refused { proof, _, _ in proof.epoch = number } == .invalid(givesSeed: true))
      #expect(try refused { proof, _, _ in proof.era = number } == .invalid(givesSeed: true))
    }
    #expect(try refused { _, clientSeed, _ in clientSeed = try ClientSeed("statistic") } == .invalid(givesSeed: true))
  }

  @Test func anotherKeyIsNamed() throws {
    let other = try SeedKey(SymmetricKey(data: [UInt8](repeating: 8, count: 32))).publicKey
    #expect(try refused({ _, _, _ in }, by: other) == .otherKey(trusted: other))
    #expect(try refused { proof, _, _ in proof.publicKey = other } == .invalid(givesSeed: true))
    #expect(try refused({ proof, _, _ in proof.publicKey = other }, by: other) == .invalid(givesSeed: true))
  }

  @Test func anotherSeedOrProofIsNamed() throws {
    var proven: ServerSeed?
    let swapped = try refused { _, _, seed in
      proven = seed
      seed = fixedSeed
    }
    #expect(swapped == .otherSeed(try #require(proven)))
    let other = try SeedKey(SymmetricKey(data: [UInt8](repeating: 8, count: 32))).prove(input(.account(40))).proof
    #expect(try refused { proof, _, _ in proof.proof = other.proof } == .invalid(givesSeed: false))
  }

  @Test func aClaimIsCheckedWithItsProof() throws {
    let key = try SeedKey(SymmetricKey(data: [UInt8](repeating: 7, count: 64)))
    var (seed, proof) = key.prove(input(.anonymous))
    func claim(_ proof: SeedProof?, _ trusted: SeedPublicKey?) -> Verification {
      Verification(
        serverSeed: seed, serverHash: seed.hash, clientSeed: fixedClientSeed, cursor: 0, nonce: 0,
        generator: .floats(count: 1), seedProof: proof, seedKey: trusted)
    }
    let values = try claim(nil, nil).values()
    #expect(try claim(proof, nil).values() == values)
    #expect(try claim(proof, key.publicKey).values() == values)
    #expect(throws: Verification.Failure.noSeedProof) { try claim(nil, key.publicKey).values() }
    proof.epoch += 1
    #expect(throws: Verification.Failure.seedProof(.otherInput(input(.anonymous)))) {
      try claim(proof, nil).values()
    }
  }

  // MARK: What is no proof

  private static let order = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010"
  private static let element = "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76"
  private static let identity = String(repeating: "0", count: 64)
  /// Of RFC 9496, A.3: not canonical, negative, no square, negative xy, and y = 0.
  private static let noElements = [
    "00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "f3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371",
    "3eb858e78f5a7254d8c9731174a94f76755fd3941c0ac93735c07ba14579630e",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  ]

  private func told(
    suite: String = "vrf-r255", publicKey: String = Self.element, scope: String = "anonymous",
    gamma: String = Self.element, rest: String = String(repeating: "0", count: 96)
  ) -> String? {
    refusal {
      _ = try SeedProof(suite: suite, publicKey: publicKey, scope: scope, era: 0, epoch: 0, proof: gamma + rest)
    }
  }

  @Test func otherSuites() {
    #expect(told() == nil)
    for suite in ["", "vrf-r256", "ECVRF-EDWARDS25519-SHA512-TAI", "VRF-R255"] {
      #expect(told(suite: suite) == "suite must be vrf-r255")
    }
    #expect(told(scope: "account:x")?.hasPrefix("scope must be") == true)
  }

  @Test func keysThatAreNone() {
    for text in ["zz", "0", " " + Self.element] {
      #expect(told(publicKey: text) == "publicKey must be 64 hexadecimal digits")
    }
    for (text, size) in [("", 0), (String(Self.element.dropLast(2)), 31), (Self.element + "00", 33)] {
      #expect(told(publicKey: text) == "publicKey must be 32 bytes, and has \(size)")
    }
    for text in Self.noElements {
      #expect(told(publicKey: text) == "publicKey must be the canonical encoding of a ristretto255 element")
    }
    #expect(told(publicKey: Self.identity) == "publicKey must not be the identity element")
    #expect(told(publicKey: Self.element.uppercased()) == nil)
  }

  @Test func proofsThatAreNone() {
    #expect(told(rest: "xy") == "proof must be 160 hexadecimal digits")
    #expect(told(rest: "") == "proof must be 80 bytes, and has 32")
    #expect(told(rest: String(repeating: "0", count: 94)) == "proof must be 80 bytes, and has 79")
    #expect(told(rest: String(repeating: "0", count: 98)) == "proof must be 80 bytes, and has 81")
    for text in Self.noElements {
      #expect(told(gamma: text) == "proof must begin with the canonical encoding of a ristretto255 element")
    }
    #expect(told(gamma: Self.identity) == "proof must not begin with the identity element")
    let challenge = String(repeating: "0", count: 32)
    for scalar in [Self.order, String(repeating: "f", count: 64)] {
      #expect(
        told(rest: challenge + scalar) == "proof must end with a canonical scalar, one below the group's order")
    }
    #expect(told(rest: challenge + "ec" + Self.order.dropFirst(2)) == nil)
  }

  /// The same scalar written larger would be another proof of the same thing.
  @Test func aProofHasOneEncoding() throws {
    let vector = SeedVectorTests.vectors[0]
    var proof = bytes(vector.proof)
    var carry = 0
    for (index, byte) in bytes(Self.order).enumerated() {
      carry += Int(proof[48 + index]) + Int(byte)
      proof[48 + index] = UInt8(carry & 255)
      carry >>= 8
    }
    #expect(carry == 0)
    #expect(
      refusal { _ = try VRFProof(bytes: proof) }
        == "proof must end with a canonical scalar, one below the group's order")
  }

  /// Challenge and response of nothing: the sums are of identities, which no arithmetic may stumble over.
  @Test func zerosProveNothing() throws {
    for (challenge, response) in [(0, 0), (0, 1), (1, 0)] as [(UInt8, UInt8)] {
      let zeros = [UInt8](repeating: 0, count: 15)
      let proof = try VRFProof(
        bytes: bytes(Self.element) + [challenge] + zeros + [response] + zeros + [UInt8](repeating: 0, count: 16))
      #expect(try !SeedPublicKey(hex: Self.element).accepts(proof, of: [1]))
    }
  }
}

@Suite struct SeedKeyTests {
  @Test(arguments: [0, 1, 31, 33, 63, 65, 1000]) func otherSizes(count: Int) {
    #expect(throws: InvalidSeedKey()) { try SeedKey(SymmetricKey(data: [UInt8](repeating: 1, count: count))) }
  }

  @Test func theScalarIsReduced() throws {
    let order = bytes("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
    for none in [order, order + [UInt8](repeating: 0, count: 32), [UInt8](repeating: 0, count: 64)] {
      #expect(throws: InvalidSeedKey()) { try SeedKey(SymmetricKey(data: none)) }
    }
    let one = [1] + [UInt8](repeating: 0, count: 31)
    for same in [one, one + [UInt8](repeating: 0, count: 32), [order[0] + 1] + order.dropFirst()] {
      #expect(
        try SeedKey(SymmetricKey(data: same)).publicKey.description
          == "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76")
    }
  }

  @Test func nothingShowsTheSecret() throws {
    let secret = (1...32).map { UInt8($0) }.dropLast() + [0]
    let key = try SeedKey(SymmetricKey(data: secret))
    var dumped = ""
    dump(key, to: &dumped)
    for text in ["\(key)", String(describing: key), String(reflecting: key), "\([key])", dumped] {
      #expect(text.contains(key.publicKey.description))
      for spelled in ["01020304", "1, 2, 3", "0x", "scalar"] { #expect(!text.contains(spelled), "\(text)") }
    }
    for child in Mirror(reflecting: key).children { #expect(child.label == "publicKey") }
  }

  /// Whoever comes first sets libsodium up; a key is read by all at once.
  @Test func manyThreadsAtOnce() async throws {
    let vector = SeedVectorTests.vectors[0]
    let input = SeedInput(
      scope: try SeedScope(vector.scope), era: vector.era, epoch: vector.epoch,
      clientSeed: try ClientSeed(vector.clientSeed))
    let shared = try SeedKey(SymmetricKey(data: bytes(vector.secretKey)))
    try await withThrowingTaskGroup(of: [String].self) { group in
      for _ in 0..<32 {
        group.addTask {
          let own = try SeedKey(SymmetricKey(data: bytes(vector.secretKey)))
          return [shared.serverSeed(for: input), own.prove(input).serverSeed].map(\.description)
        }
      }
      for try await seeds in group { #expect(seeds == [vector.serverSeed, vector.serverSeed]) }
    }
  }
}

private func hex(_ bytes: [UInt8]) -> String {
  bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
}

private func bytes(_ hex: String) -> [UInt8] {
  let digits = hex.map { UInt8($0.hexDigitValue!) }
  return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}

private func flipped(_ bit: Int, in bytes: [UInt8]) -> [UInt8] {
  var bytes = bytes
  bytes[bit / 8] ^= 1 << (bit % 8)
  return bytes
}
