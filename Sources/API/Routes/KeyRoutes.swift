import Fairness
import Hummingbird
import JSON
import Ledger

/// The public keys that proofs are checked against, in one place.
struct KeyRoutes: Routes {
  let seedKey: SeedPublicKey
  /// Of the Ed25519 key that signs daily roots, 32 bytes.
  let rootKey: [UInt8]
  let log: LogParts
  let publicURL: String
  let responses: ResponseSigner

  var routes: [Route] { [.withoutParameters("/api/keys", .get, handler: keys)] }

  @Sendable private func keys(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    var body: [UInt8] = []
    body.append(json: "{\"vrf\":{\"suite\":")
    body.append(jsonString: SeedProof.suite)
    body.append(json: ",\"publicKey\":\"")
    body.append(hex: seedKey.bytes)
    body.append(json: "\"},\"daily\":{\"algorithm\":\"Ed25519\",\"publicKey\":\"")
    body.append(base64: rootKey)
    body.append(json: "\"},\"log\":{\"origin\":")
    body.append(jsonString: log.key.name)
    body.append(json: ",\"prefix\":")
    body.append(jsonString: "\(publicURL)/log/\(log.era)")
    body.append(json: ",\"vkey\":")
    body.append(jsonString: log.key.description)
    body.append(json: "},\"responses\":{\"algorithm\":\"Ed25519\",\"keyId\":")
    body.append(jsonString: responses.keyID)
    body.append(json: ",\"publicKey\":\"")
    body.append(base64: responses.publicKey)
    body.append(json: "\"},\"witnesses\":[")
    for (place, witness) in log.witnesses.enumerated() {
      if place > 0 { body.append(json: ",") }
      body.append(jsonString: witness.description)
    }
    body.append(json: "]}")
    return .json(body)
  }
}
