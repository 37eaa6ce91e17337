import Crypto

/// The secret key of a log or of a witness.
///
/// Printing, interpolating or dumping it shows its public half.
public struct LogSigner: Sendable {
  private let key: Curve25519.Signing.PrivateKey
  public let verifierKey: LogVerifierKey

  /// - Parameters:
  ///   - name: what signatures name: a log's origin, a witness's name.
  ///   - seed: the 32 secret bytes of the Ed25519 key (RFC 8032, section 5.1.5).
  ///   - algorithm: what its signatures are.
  /// - Throws: ``LogVerifierKey/Failure`` for a name that no key can have, and what the cipher throws for a seed of
  ///   another size.
  public init(name: String, seed: [UInt8], algorithm: LogVerifierKey.Algorithm) throws {
    key = try Curve25519.Signing.PrivateKey(rawRepresentation: seed)
    verifierKey = try LogVerifierKey(
      name: name, algorithm: algorithm, publicKey: key.publicKey.rawRepresentation.map { $0 })
  }

  /// Signs a log's checkpoint, or any text.
  ///
  /// - Precondition: the key is one of ``LogVerifierKey/Algorithm/ed25519``.
  /// - Parameter text: with its last line break.
  public func sign(_ text: String) -> NoteSignature {
    precondition(verifierKey.algorithm == .ed25519)
    return note(signature(of: Array(text.utf8)))
  }

  /// Signs, for a witness, that this was the log's largest tree at that time.
  ///
  /// - Precondition: the key is one of ``LogVerifierKey/Algorithm/cosignature``, and the time is not before 1970.
  /// - Parameter text: a checkpoint's, with its last line break.
  public func cosign(_ text: String, at unixSeconds: Int) -> NoteSignature {
    precondition(verifierKey.algorithm == .cosignature && unixSeconds >= 0)
    let signature = signature(of: LogVerifierKey.cosigned(text, at: unixSeconds))
    return note(UInt64(unixSeconds).bigEndianBytes + signature)
  }

  private func note(_ bytes: [UInt8]) -> NoteSignature {
    NoteSignature(name: verifierKey.name, keyID: verifierKey.keyID, bytes: bytes)
  }

  private func signature(of message: [UInt8]) -> [UInt8] {
    do {
      return try key.signature(for: message).map { $0 }
    } catch {
      fatalError("an Ed25519 key signs every message, and this one did not: \(error)")
    }
  }
}

extension LogSigner: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  public var description: String { "LogSigner(verifierKey: \(verifierKey))" }
  public var debugDescription: String { description }
  public var customMirror: Mirror { Mirror(self, children: ["verifierKey": verifierKey.description]) }
}
