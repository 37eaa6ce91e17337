import Hummingbird
import JSON
import Ledger

/// What the operator asks through the proxies in front of the server: from where a request seems to come. For everybody
/// else there is nothing at this address, since it would tell them where those proxies are.
public struct OperatorRoutes: Routes {
  public static let path = "/operator/address"

  private let proof: OperatorProof

  public init(masterKey: MasterKey) { proof = OperatorProof(masterKey: masterKey) }

  public var routes: [Route] { [.withoutParameters(Self.path, .get, readsKey: false, handler: address)] }

  @Sendable private func address(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    guard let text = request.headers[.operatorProof], proof.isValid(text, at: LedgerWriter.wallClock()) else {
      throw Refusal.nothingHere
    }
    var body: [UInt8] = []
    body.append(json: "{\"peer\":")
    body.append(jsonString: context.peer?.description ?? "")
    body.append(json: ",\"forwardedFor\":")
    body.append(jsonString: context.headers.forwardedFor.joined(separator: ","))
    body.append(json: ",\"client\":")
    body.append(jsonString: context.clientAddress()?.description ?? "")
    body.append(json: "}")
    return .json(body)
  }
}
