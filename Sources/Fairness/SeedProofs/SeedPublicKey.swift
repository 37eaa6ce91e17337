/// The public half of a ``SeedKey``, which checks proofs. Once it is published, every future server seed is fixed, for
/// every account and client seed.
public struct SeedPublicKey: Hashable, Sendable, CustomStringConvertible {
  /// The element's 32 bytes.
  public let bytes: [UInt8]

  /// - Throws: ``InvalidParameter`` named `publicKey` unless there are 32 bytes that are the one encoding of
  ///   an element of ristretto255 other than the identity.
  public init(bytes: [UInt8]) throws(InvalidParameter) {
    guard bytes.count == 32 else { throw Self.invalid("must be 32 bytes, and has \(bytes.count)") }
    guard Ristretto.isElement(bytes) else {
      throw Self.invalid("must be the canonical encoding of a ristretto255 element")
    }
    guard bytes != Ristretto.identity else { throw Self.invalid("must not be the identity element") }
    self.bytes = bytes
  }

  /// - Throws: ``InvalidParameter`` named `publicKey`, as for bytes, also if `hex` is no hexadecimal text.
  public init(hex: String) throws(InvalidParameter) {
    guard let bytes = Hex.decode(hex.utf8) else { throw Self.invalid("must be 64 hexadecimal digits") }
    try self.init(bytes: bytes)
  }

  init(of scalar: UnsafePointer<UInt8>) { bytes = Ristretto.multiplyGenerator(by: scalar) }

  /// 64 lowercase hexadecimal characters.
  public var description: String { String(decoding: Hex.encode(bytes), as: UTF8.self) }

  /// Whether a proof shows that its output is the one that this key gives for an input.
  public func accepts(_ proof: VRFProof, of alpha: [UInt8]) -> Bool {
    let challenge = proof.challenge + [UInt8](repeating: 0, count: 16)
    let element = VRFProof.element(of: alpha, publicKey: bytes)
    let u = Ristretto.subtract(
      Ristretto.multiply(bytes, by: challenge), from: Ristretto.multiplyGenerator(by: proof.response))
    let v = Ristretto.subtract(
      Ristretto.multiply(proof.gamma, by: challenge), from: Ristretto.multiply(element, by: proof.response))
    return VRFProof.challenge(bytes, element, proof.gamma, u, v) == proof.challenge
  }

  private static func invalid(_ reason: String) -> InvalidParameter {
    InvalidParameter(name: "publicKey", reason: reason)
  }
}
