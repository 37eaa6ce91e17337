import Crypto
import JSON
import Ledger

/// Signs events, by both schemes a receiver may check.
public enum WebhookSignature {
  /// The value of `X-Provable-Signature`: HMAC-SHA256 of the body, keyed with the whole text of the secret.
  public static func provable(_ body: [UInt8], secret: WebhookSecret) -> String {
    let code = HMAC<SHA256>.authenticationCode(for: body, using: SymmetricKey(data: Array(secret.text.utf8)))
    var text: [UInt8] = Array("sha256=".utf8)
    text.append(hex: Array(code))
    return String(decoding: text, as: UTF8.self)
  }

  /// The value of `webhook-signature`, over id, timestamp and body with points between them: for each secret an
  /// HMAC-SHA256 keyed with its bytes, and for each signing key an Ed25519 signature, with spaces between them (Standard
  /// Webhooks 1.0.0).
  ///
  /// - Parameter timestamp: seconds since 1970-01-01 UTC, as in `webhook-timestamp`.
  public static func standard(
    id: String, timestamp: Int64, body: [UInt8], secrets: [WebhookSecret], keys: [WebhookSigningKey]
  )
    throws -> String
  {
    var message = Array("\(id).\(timestamp).".utf8)
    message.append(contentsOf: body)
    func written(_ version: String, _ signature: [UInt8]) -> String {
      var text = Array("\(version),".utf8)
      text.append(base64: signature)
      return String(decoding: text, as: UTF8.self)
    }
    let symmetric = secrets.map { secret in
      let key = SymmetricKey(data: secret.bytes)
      return written("v1", Array(HMAC<SHA256>.authenticationCode(for: message, using: key)))
    }
    let asymmetric = try keys.map { written("v1a", try $0.signature(of: message)) }
    return (symmetric + asymmetric).joined(separator: " ")
  }
}
