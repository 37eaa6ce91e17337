/// A proof of ECVRF-RISTRETTO255-SHA512, the verifiable random function that
/// [c2sp.org/vrf-r255](https://c2sp.org/vrf-r255) defines after RFC 9381.
///
/// For a public key and an input there is exactly one ``output`` that has a proof. The holder of the key
/// cannot choose it. Nobody else can compute it before the proof is revealed.
public struct VRFProof: Hashable, Sendable {
  /// The proof's size: an element of the group, a challenge of 16 bytes and a scalar.
  public static let byteCount = 80

  /// Gamma, the input's element times the secret scalar.
  let gamma: [UInt8]
  let challenge: [UInt8]
  let response: [UInt8]

  init(gamma: [UInt8], challenge: [UInt8], response: [UInt8]) {
    (self.gamma, self.challenge, self.response) = (gamma, challenge, response)
  }

  /// - Throws: ``InvalidParameter`` named `proof` unless there are 80 bytes that are a proof's one encoding.
  ///   Whether it proves anything is for ``SeedPublicKey/accepts(_:of:)`` to say.
  public init(bytes: [UInt8]) throws(InvalidParameter) {
    guard bytes.count == Self.byteCount else {
      throw Self.invalid("must be \(Self.byteCount) bytes, and has \(bytes.count)")
    }
    self.init(gamma: Array(bytes[..<32]), challenge: Array(bytes[32..<48]), response: Array(bytes[48...]))
    guard Ristretto.isElement(gamma) else {
      throw Self.invalid("must begin with the canonical encoding of a ristretto255 element")
    }
    guard gamma != Ristretto.identity else { throw Self.invalid("must not begin with the identity element") }
    guard Ristretto.isScalar(response) else {
      throw Self.invalid("must end with a canonical scalar, one below the group's order")
    }
  }

  /// The 80 bytes.
  public var bytes: [UInt8] { gamma + challenge + response }

  /// The function's output, 64 bytes; the value of an input only if the proof is accepted.
  public var output: [UInt8] { Self.output(of: gamma) }

  static func invalid(_ reason: String) -> InvalidParameter { InvalidParameter(name: "proof", reason: reason) }
}

/// The hashes of the suite. Each has a prefix of its own, so that none can be taken for another.
extension VRFProof {
  static let suiteString: [UInt8] = [0xFF] + "c2sp.org/vrf-r255".utf8

  /// H: the element that an input is mapped to, for one key.
  static func element(of alpha: [UInt8], publicKey: [UInt8]) -> [UInt8] {
    Ristretto.element(mapping: Ristretto.hash(suiteString + [0x82], publicKey, alpha))
  }

  static func challenge(_ elements: [UInt8]...) -> [UInt8] {
    Array(Ristretto.hash(suiteString + [0x02], Array(elements.joined()), [0x00]).prefix(16))
  }

  static func output(of gamma: [UInt8]) -> [UInt8] { Ristretto.hash(suiteString + [0x03], gamma, [0x00]) }
}
