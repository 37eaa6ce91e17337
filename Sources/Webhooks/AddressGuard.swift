import Ledger

/// Which addresses events may go to: those of the public internet, unless the operator allows all.
///
/// A receiver's URL is somebody else's choice, and this server may stand where it can reach what they cannot: itself, its
/// network, its cloud's metadata service.
public struct AddressGuard: Sendable {
  public let allowsPrivate: Bool

  public init(allowsPrivate: Bool) { self.allowsPrivate = allowsPrivate }

  public func allows(_ address: NetworkAddress) -> Bool { allowsPrivate || Self.isPublic(address) }

  /// Whether an address is of the public internet, by IANA's registries of special-purpose addresses. An IPv6 address
  /// that carries an IPv4 address is what it carries.
  public static func isPublic(_ address: NetworkAddress) -> Bool {
    let bytes = address.bytes
    if bytes.count == 4 { return !specialIPv4.contains { $0.contains(address) } }
    if nat64.contains(address) { return isPublic(NetworkAddress(bytes: Array(bytes[12...]))) }
    if sixToFour.contains(address) { return isPublic(NetworkAddress(bytes: Array(bytes[2..<6]))) }
    // Everything that is not global unicast is special: loopback, unspecified, IPv4-compatible, unique-local, link-local,
    // site-local, multicast, the local-use NAT64 prefix.
    return globalUnicast.contains(address) && !specialIPv6.contains { $0.contains(address) }
  }

  private static let nat64 = network("64:ff9b::/96")
  private static let sixToFour = network("2002::/16")
  private static let globalUnicast = network("2000::/3")

  private static let specialIPv4 = [
    "0.0.0.0/8",  // this network; 0.0.0.0 reaches this machine
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",  // private
    "100.64.0.0/10",  // carrier-grade NAT; also some clouds' metadata
    "127.0.0.0/8",  // loopback
    "169.254.0.0/16",  // link-local, with most clouds' metadata
    "192.0.0.0/24", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24",  // protocols, documentation
    "192.88.99.0/24",  // 6to4 relays, withdrawn
    "198.18.0.0/15",  // benchmarks
    "168.63.129.16/32",  // Azure's own services, on an address that looks public
    "224.0.0.0/4", "240.0.0.0/4",  // multicast, reserved, broadcast
  ].map(network)

  private static let specialIPv6 = [
    "2001::/23",  // protocols: Teredo, benchmarks, ORCHID
    "2001:db8::/32", "3fff::/20",  // documentation
  ].map(network)

  private static func network(_ text: String) -> Network {
    guard let network = Network(text) else { preconditionFailure("\(text) is no network") }
    return network
  }
}
