import API
import Ledger

/// What `fairdraw doctor` asks through the public URL: whose address the server takes for the client's.
///
/// The request claims to come from an address that no client has. Whatever believes that believes every client.
struct ProxyCheck {
  /// An address for documentation (RFC 5737).
  private static let claimed = "192.0.2.1"

  let url: String
  let masterKey: MasterKey

  func run(_ diagnosis: inout Diagnosis) async throws {
    let proof = OperatorProof(masterKey: masterKey).text(at: LedgerWriter.wallClock())
    let answer = try await HTTPFetch(base: url).get(
      OperatorRoutes.path, headers: [(OperatorProof.header, proof), ("X-Forwarded-For", Self.claimed)])
    guard answer.status == 200, let peer = answer.text("peer"), let forwarded = answer.text("forwardedFor"),
      let client = answer.text("client")
    else {
      return try diagnosis.add(
        .warning, "addresses",
        "the server at \(url) does not say where requests seem to come from: it has another master key or version, or a "
          + "clock that differs by minutes")
    }
    let (verdict, finding) = finding(peer: peer, forwarded: forwarded, client: client)
    try diagnosis.add(verdict, "addresses", finding)
  }

  /// - Parameters:
  ///   - peer: who was connected to the server.
  ///   - forwarded: the `X-Forwarded-For` that it sent.
  ///   - client: whom the server takes for the client.
  private func finding(peer: String, forwarded: String, client: String) -> (Diagnosis.Verdict, String) {
    let last = forwarded.split(separator: ",").last.flatMap { NetworkAddress(forwarded: $0) }?.description
    let shared = "so all callers have its address and share one rate limit"
    switch last {
    case Self.claimed where client == Self.claimed:
      return (
        .wrong,
        "\(peer) is in trusted-proxies, but passes on the X-Forwarded-For that clients send, so they can claim any address: "
          + "have it add the client's address"
      )
    case Self.claimed, nil:
      guard url.hasPrefix("https:") || last == nil else {
        return (.ok, "callers connect directly, this command as \(peer)")
      }
      return (.warning, "the proxy at \(peer) adds no X-Forwarded-For, \(shared): have it add the client's address")
    case let last? where client == peer && last != peer:
      return (
        .warning,
        "the proxy at \(peer) says that this command is at \(last), but is not in trusted-proxies, \(shared): add it there"
      )
    case let last? where client == Self.claimed:
      return (
        .ok,
        "the proxy at \(peer) says that this command is at \(last), which is in trusted-proxies itself: run the command "
          + "elsewhere to see what other callers can claim"
      )
    case let last?:
      return (
        .ok, "the proxy at \(peer) says that this command is at \(last), and the server takes it to be at \(client)"
      )
    }
  }
}
