import Crypto
import Fairness

/// The one secret an installation keeps outside its database. Everything that must be hidden or unguessable hangs
/// from it, each by a key of its own (HKDF-SHA256, RFC 5869), so that no two uses can meet.
public struct MasterKey: Sendable {
  private let key: SymmetricKey

  /// The size of a master key, in bytes.
  public static let size = 32

  /// - Parameter bytes: exactly ``size`` bytes.
  /// - Throws: ``InvalidMasterKey`` for any other number.
  public init(bytes: [UInt8]) throws(InvalidMasterKey) {
    guard bytes.count == Self.size else { throw InvalidMasterKey() }
    key = SymmetricKey(data: bytes)
  }

  func subkey(_ purpose: String, size: Int = 32) -> SymmetricKey {
    HKDF<SHA256>.deriveKey(inputKeyMaterial: key, info: Array("fairdraw/v1/\(purpose)".utf8), outputByteCount: size)
  }

  /// A value that tells two master keys apart and gives neither away. Kept in the database, so that a server started
  /// with the wrong key is refused instead of writing seeds that nobody can open.
  public var fingerprint: [UInt8] {
    Array(HMAC<SHA256>.authenticationCode(for: Array("fingerprint".utf8), using: subkey("fingerprint")))
  }

  /// The secret half of the Ed25519 key that signs daily roots, 32 bytes: the same on every server of an installation.
  public var rootSigningSecret: SymmetricKey { subkey("root-signing") }

  /// The secret half of the Ed25519 key that signs the continuous log, 32 bytes: the same on every server of an
  /// installation, and another than the daily roots'.
  public var logSigningSecret: SymmetricKey { subkey("log-signing") }

  /// The secret half of the Ed25519 key that signs responses, 32 bytes: the same on every server of an installation, and
  /// used for nothing else.
  public var responseSigningSecret: SymmetricKey { subkey("response-signing") }

  /// The key that the server seeds of chains follow from, the same on every server of an installation.
  ///
  /// - Throws: ``InvalidSeedKey`` with a probability of 2^-252.
  public func seedKey() throws(InvalidSeedKey) -> SeedKey { try SeedKey(subkey("seeds", size: 64)) }

  /// What secrets that are made once for each form of the dashboard follow from, the same on every server of an
  /// installation.
  public var formSecret: SymmetricKey { subkey("forms") }

  /// What seals secrets before they are written down.
  public var vault: Vault {
    Vault(key: subkey("sealing"), webhookSigning: subkey("webhook-signing"))
  }
}

public struct InvalidMasterKey: Error, Sendable {}

/// Encrypts secrets at rest: AES-256-GCM with a random nonce, bound to the place they are stored in.
public struct Vault: Sendable {
  let key: SymmetricKey
  /// What the signing keys of webhooks follow from, with their secrets.
  let webhookSigning: SymmetricKey

  /// Seals `secret` so that it opens only with the same `context` (say, `chain:17:0`): a row moved elsewhere does not open.
  ///
  /// - Returns: the nonce, the ciphertext and the tag, 28 bytes more than the secret.
  /// - Throws: what the cipher throws; it does not for the sizes used here.
  public func seal(_ secret: [UInt8], context: String) throws -> [UInt8] {
    let box = try AES.GCM.seal(secret, using: key, authenticating: Array(context.utf8))
    return Array(box.nonce) + Array(box.ciphertext) + Array(box.tag)
  }

  /// - Throws: an error if the bytes were changed, moved, or sealed under another key.
  public func open(_ sealed: [UInt8], context: String) throws -> [UInt8] {
    Array(try AES.GCM.open(AES.GCM.SealedBox(combined: sealed), using: key, authenticating: Array(context.utf8)))
  }
}
