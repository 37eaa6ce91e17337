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

  /// The value of `webhook-signature`: HMAC-SHA256 of id, timestamp and body with points between them, keyed with the
  /// secret's bytes; one signature for each secret, with spaces between them (Standard Webhooks 1.0.0).
  ///
  /// - Parameter timestamp: seconds since 1970-01-01 UTC, as in `webhook-timestamp`.
  public static func standard(id: String, timestamp: Int64, body: [UInt8], secrets: [WebhookSecret]) -> String {
    var message = Array("\(id).\(timestamp).".utf8)
    message.append(contentsOf: body)
    return secrets.map { secret in
      let code = HMAC<SHA256>.authenticationCode(for: message, using: SymmetricKey(data: secret.bytes))
      var text: [UInt8] = Array("v1,".utf8)
      text.append(base64: Array(code))
      return String(decoding: text, as: UTF8.self)
    }.joined(separator: " ")
  }
}
