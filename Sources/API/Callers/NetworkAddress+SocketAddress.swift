import Ledger
import NIOCore

extension NetworkAddress {
  /// The address of a connection's other end; nil if it has none, as over a Unix socket.
  init?(_ address: SocketAddress?) {
    switch address {
    case .v4(let v4): self.init(bytes: withUnsafeBytes(of: v4.address.sin_addr) { Array($0) })
    case .v6(let v6): self.init(bytes: withUnsafeBytes(of: v6.address.sin6_addr) { Array($0) })
    default: return nil
    }
  }
}
