import Crypto
import JSON

/// What signs events so that whoever has its public half can check them, and nobody can make them (Ed25519).
///
/// It follows from the endpoint's secret and the master key: it changes with the secret, and the secret does not give it
/// away.
public struct WebhookSigningKey: Sendable {
  private let key: Curve25519.Signing.PrivateKey

  /// - Throws: what the cipher throws; it does not for secrets of any length.
  package init(secret: WebhookSecret, of endpoint: WebhookEndpointID, _ vault: Vault) throws {
    let seed = HKDF<SHA256>.deriveKey(
      inputKeyMaterial: vault.webhookSigning, salt: secret.bytes, info: Array("webhook:\(endpoint.rawValue)".utf8),
      outputByteCount: 32)
    key = try seed.withUnsafeBytes { try Curve25519.Signing.PrivateKey(rawRepresentation: $0) }
  }

  /// The public half, as Standard Webhooks writes it: `whpk_` and base64.
  public var publicKey: String {
    var text: [UInt8] = Array("whpk_".utf8)
    text.append(base64: Array(key.publicKey.rawRepresentation))
    return String(decoding: text, as: UTF8.self)
  }

  /// 64 bytes.
  package func signature(of message: [UInt8]) throws -> [UInt8] { Array(try key.signature(for: message)) }
}
