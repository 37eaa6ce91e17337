import Crypto
import Foundation
import Ledger
import Testing
import Webhooks

@Suite struct SignatureTests {
  /// The example of the Standard Webhooks specification's reference libraries.
  @Test func standardSignatureOfThePublishedExample() throws {
    let secret = try #require(WebhookSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
    let signature = try WebhookSignature.standard(
      id: "msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp: 1_614_265_330, body: Array(#"{"test": 2432232314}"#.utf8),
      secrets: [secret], keys: [])
    #expect(signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
  }

  @Test func twoSecretsGiveTwoSignatures() throws {
    let body = Array("{}".utf8)
    let (new, old) = (WebhookSecret(bytes: Array(1...32)), WebhookSecret(bytes: Array(33...64)))
    func sign(_ secrets: WebhookSecret...) throws -> String {
      try WebhookSignature.standard(id: "msg_1", timestamp: 1, body: body, secrets: secrets, keys: [])
    }
    #expect(try sign(new, old) == sign(new) + " " + sign(old))
    #expect(try sign(new) != sign(old))
  }

  @Test func signingKeysFollowFromSecretEndpointAndMasterKey() throws {
    let vault = try MasterKey(bytes: Array(1...32)).vault
    let (secret, one) = (WebhookSecret(bytes: Array(1...32)), WebhookEndpointID(1))
    let key = try WebhookSigningKey(secret: secret, of: one, vault)
    #expect(try key.publicKey == WebhookSigningKey(secret: secret, of: one, vault).publicKey)
    let others = try [
      WebhookSigningKey(secret: WebhookSecret(bytes: Array(2...33)), of: one, vault),
      WebhookSigningKey(secret: secret, of: WebhookEndpointID(2), vault),
      WebhookSigningKey(secret: secret, of: one, try MasterKey(bytes: Array(2...33)).vault),
    ]
    #expect(Set([key.publicKey] + others.map(\.publicKey)).count == 4)
    let body = Array("{}".utf8)
    let text = try WebhookSignature.standard(id: "msg_1", timestamp: 7, body: body, secrets: [secret], keys: [key])
    let parts = text.split(separator: " ")
    #expect(parts.count == 2 && parts[0].hasPrefix("v1,") && parts[1].hasPrefix("v1a,"))
    let publicKey = try #require(Data(base64Encoded: String(key.publicKey.dropFirst(5))))
    let signature = try #require(Data(base64Encoded: String(parts[1].dropFirst(4))))
    let known = try Curve25519.Signing.PublicKey(rawRepresentation: publicKey)
    #expect(known.isValidSignature(signature, for: Data("msg_1.7.{}".utf8)))
    #expect(!known.isValidSignature(signature, for: Data("msg_1.8.{}".utf8)))
  }

  /// Worked out with `printf '%s' BODY | openssl dgst -sha256 -hmac SECRET`.
  @Test func provableSignatureIsKeyedWithTheWholeText() throws {
    let secret = try #require(WebhookSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
    #expect(
      WebhookSignature.provable(Array(#"{"test": 2432232314}"#.utf8), secret: secret)
        == "sha256=80ec8a89ce3cd22133a1066caecb4d04fea7467657c8514d717ec42c38a5c94c")
  }

  @Test func aSecretIs32RandomBytesInBase64() throws {
    let secret = try WebhookSecret()
    #expect(secret.bytes.count == 32 && secret.text.hasPrefix("whsec_") && secret.text.utf8.count == 6 + 44)
    #expect(WebhookSecret(secret.text) == secret)
    #expect(try WebhookSecret() != secret)
    for text in ["", "whsec_", "whsec_?", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] { #expect(WebhookSecret(text) == nil) }
  }
}
