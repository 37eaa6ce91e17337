import Ledger

/// The proxies whose word is taken for where a request came from.
struct TrustedProxies: Sendable {
  let networks: [Network]

  /// Who is really calling. A proxy's word is taken only if the proxy is trusted; the header is read from its end, where
  /// the nearest proxy wrote, back to the first address that is no trusted proxy.
  func client(_ headers: RequestHeaders, peer: NetworkAddress?) -> NetworkAddress? {
    guard let peer, !networks.isEmpty, isTrusted(peer) else { return peer }
    var client = peer
    let hops = headers.forwardedFor.joined(separator: ",").split(separator: ",")
    for hop in hops.reversed() {
      guard let address = NetworkAddress(hop.trimmingPrefix { $0 == " " }.prefix { $0 != " " }) else { break }
      client = address
      if !isTrusted(address) { break }
    }
    return client
  }

  private func isTrusted(_ address: NetworkAddress) -> Bool {
    networks.contains { $0.contains(address) }
  }
}
