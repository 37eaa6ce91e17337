import CSodium
import Crypto

/// The secret that all server seeds of an installation follow from, each by a verifiable random function.
///
/// ```swift
/// let key = try SeedKey(secret)  // 64 random bytes, or what a key derivation gives
/// let input = SeedInput(scope: .account(17), era: 0, epoch: 0, clientSeed: try ClientSeed("round-1"))
/// let seed = key.serverSeed(for: input)    // to draw from
/// let (_, proof) = key.prove(input)        // to reveal together with the seed
/// ```
///
/// The secret scalar is never revealed. Its memory is kept out of swap and core dumps where the system can do
/// that, and is overwritten when the key is released. Printing, interpolating or dumping a key shows its public
/// half.
public final class SeedKey: Sendable {
  /// The key that checks proofs made with this key.
  public let publicKey: SeedPublicKey

  /// 32 bytes. They are written before `init` returns and only read from then on, by any number of threads:
  /// the pointer leads to nothing mutable, and nobody else has it.
  private nonisolated(unsafe) let scalar: UnsafePointer<UInt8>

  /// The key of a secret that is as good as random, such as 64 bytes from HKDF.
  ///
  /// - Parameter secret: 64 bytes, or the 32 of a scalar; little-endian, reduced modulo the group's order.
  /// - Throws: ``InvalidSeedKey`` for any other size, and for a multiple of the order.
  public convenience init(_ secret: SymmetricKey) throws(InvalidSeedKey) {
    // `withUnsafeBytes` rethrows no typed errors.
    let made = secret.withUnsafeBytes { bytes in Result { () throws(InvalidSeedKey) in try Self.scalar(of: bytes) } }
    self.init(scalar: try made.get())
  }

  private init(scalar: UnsafePointer<UInt8>) {
    self.scalar = scalar
    publicKey = SeedPublicKey(of: scalar)
  }

  private static func scalar(of secret: UnsafeRawBufferPointer) throws(InvalidSeedKey) -> UnsafePointer<UInt8> {
    guard secret.count == 32 || secret.count == 64 else { throw InvalidSeedKey() }
    Ristretto.prepare()
    guard let memory = sodium_malloc(32) else { fatalError("there is no memory left for a key") }
    let scalar = memory.bindMemory(to: UInt8.self, capacity: 32)
    Self.withWiped(64) { wide in
      for (index, byte) in secret.enumerated() { wide[index] = byte }
      crypto_core_ristretto255_scalar_reduce(scalar, wide)
    }
    guard sodium_is_zero(scalar, 32) == 0 else {
      sodium_free(memory)
      throw InvalidSeedKey()
    }
    sodium_mprotect_readonly(memory)
    return UnsafePointer(scalar)
  }

  deinit { sodium_free(UnsafeMutablePointer(mutating: scalar)) }  // which overwrites it with zeros

  /// The one server seed of an input: the first half of the function's output. Takes about half the time
  /// that ``prove(_:)`` does.
  public func serverSeed(for input: SeedInput) -> ServerSeed {
    ServerSeed(vrfOutput: VRFProof.output(of: Ristretto.multiply(element(of: input.alpha), by: scalar)))
  }

  /// The one server seed of an input, and the proof that it is that. A proof tells the seed: keep it as secret.
  public func prove(_ input: SeedInput) -> (serverSeed: ServerSeed, proof: SeedProof) {
    let proof = prove(input.alpha)
    return (ServerSeed(vrfOutput: proof.output), SeedProof(publicKey: publicKey, of: input, proof: proof))
  }

  /// The function itself, for any input.
  public func prove(_ alpha: [UInt8]) -> VRFProof {
    let element = element(of: alpha)
    let gamma = Ristretto.multiply(element, by: scalar)
    // The nonce gives the scalar away, so neither it nor what it is made of is left in memory.
    return Self.withWiped(128) { secrets in
      let (wide, nonce, product) = (secrets, secrets + 64, secrets + 96)
      hashNonce(of: element, to: wide)
      crypto_core_ristretto255_scalar_reduce(nonce, wide)
      let challenge = VRFProof.challenge(
        publicKey.bytes, element, gamma, Ristretto.multiplyGenerator(by: nonce), Ristretto.multiply(element, by: nonce))
      crypto_core_ristretto255_scalar_mul(product, challenge + [UInt8](repeating: 0, count: 16), scalar)
      var response = Ristretto.identity
      crypto_core_ristretto255_scalar_add(&response, nonce, product)
      return VRFProof(gamma: gamma, challenge: challenge, response: response)
    }
  }

  private func element(of alpha: [UInt8]) -> [UInt8] { VRFProof.element(of: alpha, publicKey: publicKey.bytes) }

  private func hashNonce(of element: [UInt8], to digest: UnsafeMutablePointer<UInt8>) {
    let prefix = VRFProof.suiteString + [0x81]
    var state = crypto_hash_sha512_state()
    crypto_hash_sha512_init(&state)
    crypto_hash_sha512_update(&state, prefix, UInt64(prefix.count))
    crypto_hash_sha512_update(&state, scalar, 32)
    crypto_hash_sha512_update(&state, element, UInt64(element.count))
    crypto_hash_sha512_final(&state, digest)  // which overwrites the state with zeros
  }

  /// Lends memory that begins as zeros and is overwritten with zeros afterwards.
  private static func withWiped<R>(_ byteCount: Int, _ body: (UnsafeMutablePointer<UInt8>) -> R) -> R {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: byteCount) { buffer in
      buffer.initialize(repeating: 0)
      defer { sodium_memzero(buffer.baseAddress, byteCount) }
      guard let address = buffer.baseAddress else { fatalError("an allocation that is not empty has an address") }
      return body(address)
    }
  }
}

extension SeedKey: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  public var description: String { "SeedKey(publicKey: \(publicKey))" }
  public var debugDescription: String { description }
  public var customMirror: Mirror { Mirror(self, children: ["publicKey": publicKey.description]) }
}

/// Thrown for what no ``SeedKey`` can be made of.
public struct InvalidSeedKey: Error, Equatable, Sendable, CustomStringConvertible {
  public init() {}
  public var description: String { "a seed key is 32 or 64 bytes, and no multiple of the group's order" }
}
