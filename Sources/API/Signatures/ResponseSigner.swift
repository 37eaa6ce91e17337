import Crypto
import HTTPTypes
import JSON
import Ledger

/// Signs responses for clients that ask for it (RFC 9421), with an Ed25519 key that all servers of an installation share.
public struct ResponseSigner: Sendable {
  static let algorithm = "ed25519"
  /// The label of the signature where a client asks for none that can be made.
  private static let label = "fairdraw"

  private let key: Curve25519.Signing.PrivateKey
  /// 32 bytes.
  let publicKey: [UInt8]
  /// The key's thumbprint (RFC 7638): it changes with the key.
  let keyID: String

  /// - Throws: what the cipher throws; it does not for a master key's secret.
  public init(masterKey: MasterKey) throws {
    key = try masterKey.responseSigningSecret.withUnsafeBytes {
      try Curve25519.Signing.PrivateKey(rawRepresentation: $0)
    }
    publicKey = Array(key.publicKey.rawRepresentation)
    let description = #"{"crv":"Ed25519","kty":"OKP","x":"\#(Self.base64URL(publicKey))"}"#
    keyID = Self.base64URL(Array(SHA256.hash(data: Array(description.utf8))))
  }

  private static func base64URL(_ bytes: [UInt8]) -> String {
    String(base64(bytes).compactMap { $0 == "=" ? nil : $0 == "+" ? "-" : $0 == "/" ? "_" : $0 })
  }

  private static func base64(_ bytes: [UInt8]) -> String {
    var text: [UInt8] = []
    text.append(base64: bytes)
    return String(decoding: text, as: UTF8.self)
  }

  /// Adds the digest of the body and the signatures to a response.
  ///
  /// - Parameter created: Unix time in seconds.
  /// - Throws: what the cipher throws; it does not for any message.
  func sign(
    _ headers: inout some HeaderList, of exchange: SignedExchange, digest: SHA256Digest, created: Int64
  ) throws {
    headers.append(.contentDigest, "sha-256=:\(Self.base64(Array(digest))):")
    let usual = exchange.usualComponents(headers)
    var requests = SignatureRequest.read(exchange.accepted.signatures, keyID: keyID)
      .filter { $0.components.allSatisfy { exchange.value(of: $0, headers) != nil } }
      .map { $0.covering(usual) }
    if requests.isEmpty { requests = [SignatureRequest(label: Self.label, components: usual)] }
    var inputs: [String] = []
    var signatures: [String] = []
    for request in requests {
      var input = "(" + request.components.map(\.identifier).joined(separator: " ") + ")"
      input += ";created=\(created);keyid=\"\(keyID)\";alg=\"\(Self.algorithm)\""
      for (name, value) in request.echoed { input += ";\(name)=\(Self.quoted(value))" }
      let lines =
        request.components.map { "\($0.identifier): \(exchange.value(of: $0, headers) ?? "")\n" }.joined()
        + "\"@signature-params\": \(input)"
      inputs.append("\(request.label)=\(input)")
      signatures.append("\(request.label)=:\(Self.base64(Array(try key.signature(for: Array(lines.utf8))))):")
    }
    headers.append(.signatureInput, inputs.joined(separator: ", "))
    headers.append(.signature, signatures.joined(separator: ", "))
  }

  private static func quoted(_ text: String) -> String {
    "\"" + text.flatMap { $0 == "\"" || $0 == "\\" ? ["\\", $0] : [$0] } + "\""
  }
}
