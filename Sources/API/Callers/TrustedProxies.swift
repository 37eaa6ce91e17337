import Foundation
import Ledger

/// The proxies whose word is taken for where a request came from.
package struct TrustedProxies: Sendable {
  let networks: [Network]

  package init(networks: [Network]) { self.networks = networks }

  func client(_ headers: RequestHeaders, peer: NetworkAddress?) -> NetworkAddress? {
    client(forwardedFor: headers.forwardedFor, peer: peer)
  }

  /// Who is really calling. A proxy's word is taken only if the proxy is trusted; the header is read from its end, where
  /// the nearest proxy wrote, back to the first address that is no trusted proxy.
  ///
  /// - Parameter forwardedFor: the `X-Forwarded-For` headers, in order.
  package func client(forwardedFor: [String], peer: NetworkAddress?) -> NetworkAddress? {
    guard let peer, !networks.isEmpty, isTrusted(peer) else { return peer }
    var client = peer
    for hop in forwardedFor.joined(separator: ",").split(separator: ",").reversed() {
      guard let address = NetworkAddress(forwarded: hop) else { break }
      client = address
      if !isTrusted(address) { break }
    }
    return client
  }

  private func isTrusted(_ address: NetworkAddress) -> Bool {
    networks.contains { $0.contains(address) }
  }
}

extension NetworkAddress {
  /// Reads one entry of `X-Forwarded-For` as the proxies of this world write it: `192.0.2.1`, `192.0.2.1:4711`,
  /// `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:4711`, `fe80::1%eth0`, with blanks or quotation marks around it.
  package init?(forwarded entry: some StringProtocol) {
    let text = entry.trimmingCharacters(in: CharacterSet(charactersIn: " \t\""))
    var host = text[...]
    var port: Substring?
    if host.hasPrefix("[") {
      guard let end = host.firstIndex(of: "]") else { return nil }
      let rest = host[end...].dropFirst()
      guard rest.isEmpty || rest.hasPrefix(":") else { return nil }
      port = rest.isEmpty ? nil : rest.dropFirst()
      host = host[..<end].dropFirst()
      guard host.contains(":") else { return nil }
    } else if let colon = host.firstIndex(of: ":"), colon == host.lastIndex(of: ":") {
      port = host[colon...].dropFirst()
      host = host[..<colon]
    }
    if let port { guard UInt16(port) != nil, !port.hasPrefix("+") else { return nil } }
    if host.contains(":"), let zone = host.firstIndex(of: "%") { host = host[..<zone] }
    self.init(host)
  }
}
