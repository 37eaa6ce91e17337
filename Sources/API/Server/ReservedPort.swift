import Foundation
import NIOCore

/// A TCP port that was free, and that the system gives nobody else until it is released.
///
/// A socket is bound to it that does not listen. The system then chooses the port neither for an outgoing connection nor for
/// a server that takes any; a server that asks for this very port, and sets `SO_REUSEADDR`, can listen on it.
public struct ReservedPort: ~Copyable {
  /// 1 to 65535.
  public let number: Int
  private let descriptor: CInt

  /// Takes any free port of `host`, an address or a name of this machine.
  ///
  /// Throws a `SocketAddressError` if there is no such address, and an `IOError` if the system gives none of its ports.
  public init(on host: String) throws {
    (descriptor, number) = try Self.bind(to: SocketAddress.makeAddressResolvingHost(host, port: 0))
  }

  deinit { close(descriptor) }

  /// Lets others have the port; whoever listens on it keeps it.
  public consuming func release() {}

  /// A socket that is bound to `address`, and its port.
  private static func bind(to address: SocketAddress) throws -> (CInt, Int) {
    let descriptor = socket(address.protocol.rawValue, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw IOError(errnoCode: errno, reason: "socket") }
    var yes: CInt = 1
    // The port stands at the same place in an address of either family.
    var bound = sockaddr_in6()
    var size = socklen_t(MemoryLayout.size(ofValue: bound))
    guard setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout.size(ofValue: yes))) == 0,
      address.withSockAddr({ Foundation.bind(descriptor, $0, socklen_t($1)) }) == 0,
      withUnsafeMutableBytes(
        of: &bound,
        {
          $0.withMemoryRebound(to: sockaddr.self) { getsockname(descriptor, $0.baseAddress, &size) }
        }) == 0
    else {
      let error = IOError(errnoCode: errno, reason: "bind")
      close(descriptor)
      throw error
    }
    return (descriptor, Int(UInt16(bigEndian: bound.sin6_port)))
  }
}
