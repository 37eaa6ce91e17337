import Foundation
import Ledger

extension NetworkAddress {
  /// The address of a socket; nil if it is of neither version of IP.
  package init?(_ socket: UnsafePointer<sockaddr>) {
    switch CInt(socket.pointee.sa_family) {
    case AF_INET:
      self = UnsafeRawPointer(socket).withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
        NetworkAddress(bytes: withUnsafeBytes(of: $0.pointee.sin_addr) { Array($0) })
      }
    case AF_INET6:
      self = UnsafeRawPointer(socket).withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
        NetworkAddress(bytes: withUnsafeBytes(of: $0.pointee.sin6_addr) { Array($0) })
      }
    default: return nil
    }
  }
}
