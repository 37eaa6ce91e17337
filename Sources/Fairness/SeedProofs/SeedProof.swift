/// The proof that a server seed is the only one that its chain could have had. It is revealed with the seed.
/// Anyone who knows the public key can check it.
///
/// ```swift
/// let proof = try SeedProof(
///   suite: "vrf-r255", publicKey: record.publicKey, scope: "account:17", era: 0, epoch: 0, proof: record.proof)
/// try proof.check(serverSeed: revealed, clientSeed: try ClientSeed("round-1"), publicKey: published)
/// ```
public struct SeedProof: Hashable, Sendable {
  /// The one suite there is.
  public static let suite = "vrf-r255"

  public var publicKey: SeedPublicKey
  public var scope: SeedScope
  public var era: UInt64
  public var epoch: UInt64
  public var proof: VRFProof

  init(publicKey: SeedPublicKey, of input: SeedInput, proof: VRFProof) {
    self.publicKey = publicKey
    (scope, era, epoch) = (input.scope, input.era, input.epoch)
    self.proof = proof
  }

  /// A proof from the members of its JSON object.
  ///
  /// - Throws: ``InvalidParameter`` named after the member that is not what it has to be.
  public init(
    suite: String, publicKey: String, scope: String, era: UInt64, epoch: UInt64, proof: String
  ) throws(InvalidParameter) {
    guard suite == Self.suite else { throw InvalidParameter(name: "suite", reason: "must be \(Self.suite)") }
    self.publicKey = try SeedPublicKey(hex: publicKey)
    self.scope = try SeedScope(scope)
    (self.era, self.epoch) = (era, epoch)
    guard let bytes = Hex.decode(proof.utf8) else {
      throw VRFProof.invalid("must be \(2 * VRFProof.byteCount) hexadecimal digits")
    }
    self.proof = try VRFProof(bytes: bytes)
  }

  /// The proof's text: 160 lowercase hexadecimal characters.
  public var hex: [UInt8] { Hex.encode(proof.bytes) }

  /// Why a proof does not show that a seed is the only possible one.
  public enum Refusal: Error, Equatable, Sendable {
    /// It was made with another key than the one that is trusted.
    case otherKey(trusted: SeedPublicKey)
    /// It is for another chain, or another of the chain's seeds, which was found near the one it names.
    case otherInput(SeedInput)
    /// It is no proof for this key, scope, era, epoch and client seed. If `givesSeed`, its output is the seed
    /// all the same, so that one of those five is wrong; else the proof itself may be.
    case invalid(givesSeed: Bool)
    /// It is valid, and proves another seed.
    case otherSeed(ServerSeed)
  }

  /// Checks that `serverSeed` is the only seed that the chain could have had in this era and epoch.
  ///
  /// - Parameters:
  ///   - clientSeed: the chain's.
  ///   - publicKey: the key that was published before the client seed was known; `nil` trusts the proof's own,
  ///     which shows something only once somebody compares that with the published one.
  /// - Throws: ``Refusal``.
  public func check(
    serverSeed: ServerSeed, clientSeed: ClientSeed, publicKey trusted: SeedPublicKey? = nil
  ) throws(Refusal) {
    if let trusted, trusted != publicKey { throw .otherKey(trusted: trusted) }
    let proven = ServerSeed(vrfOutput: proof.output)
    let input = SeedInput(scope: scope, era: era, epoch: epoch, clientSeed: clientSeed)
    guard isValid(for: input) else {
      if let other = Self.inputs(near: input).first(where: isValid) { throw .otherInput(other) }
      throw .invalid(givesSeed: proven == serverSeed)
    }
    guard proven == serverSeed else { throw .otherSeed(proven) }
  }

  private func isValid(for input: SeedInput) -> Bool { publicKey.accepts(proof, of: input.alpha) }

  /// What a proof may be for that names a wrong epoch, era or scope.
  private static func inputs(near input: SeedInput) -> [SeedInput] {
    func neighbours(_ number: UInt64) -> [UInt64] {
      (1...8).flatMap { [number.subtractingReportingOverflow($0), number.addingReportingOverflow($0)] }
        .filter { !$0.overflow }.map(\.partialValue)
    }
    var near: [SeedInput] = []
    func add(_ change: (inout SeedInput) -> Void) {
      var other = input
      change(&other)
      near.append(other)
    }
    for epoch in neighbours(input.epoch) { add { $0.epoch = epoch } }
    for era in neighbours(input.era) { add { $0.era = era } }
    switch input.scope {
    case .anonymous: for account in 1...8 { add { $0.scope = .account(UInt64(account)) } }
    case .account(let number):
      add { $0.scope = .anonymous }
      for account in neighbours(number) where account > 0 { add { $0.scope = .account(account) } }
    }
    return near
  }
}

extension ServerSeed {
  /// The seed that an output of the function stands for: its first half, in hexadecimal.
  init(vrfOutput: [UInt8]) { self.init(bytes: Array(vrfOutput.prefix(32))) }
}
