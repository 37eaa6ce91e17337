import Ledger
import Testing
import Webhooks

@Suite struct SignatureTests {
  /// The example of the Standard Webhooks specification's reference libraries.
  @Test func standardSignatureOfThePublishedExample() throws {
    let secret = try #require(WebhookSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
    let signature = WebhookSignature.standard(
      id: "msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp: 1_614_265_330, body: Array(#"{"test": 2432232314}"#.utf8),
      secrets: [secret])
    #expect(signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
  }

  @Test func twoSecretsGiveTwoSignatures() throws {
    let body = Array("{}".utf8)
    let (new, old) = (WebhookSecret(bytes: Array(1...32)), WebhookSecret(bytes: Array(33...64)))
    func sign(_ secrets: WebhookSecret...) -> String {
      WebhookSignature.standard(id: "msg_1", timestamp: 1, body: body, secrets: secrets)
    }
    #expect(sign(new, old) == sign(new) + " " + sign(old))
    #expect(sign(new) != sign(old))
  }

  /// Worked out with `printf '%s' BODY | openssl dgst -sha256 -hmac SECRET`.
  @Test func provableSignatureIsKeyedWithTheWholeText() throws {
    let secret = try #require(WebhookSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
    #expect(
      WebhookSignature.provable(Array(#"{"test": 2432232314}"#.utf8), secret: secret)
        == "sha256=80ec8a89ce3cd22133a1066caecb4d04fea7467657c8514d717ec42c38a5c94c")
  }

  @Test func aSecretIs32RandomBytesInBase64() throws {
    let secret = WebhookSecret()
    #expect(secret.bytes.count == 32 && secret.text.hasPrefix("whsec_") && secret.text.utf8.count == 6 + 44)
    #expect(WebhookSecret(secret.text) == secret)
    #expect(WebhookSecret() != secret)
    for text in ["", "whsec_", "whsec_?", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] { #expect(WebhookSecret(text) == nil) }
  }
}
