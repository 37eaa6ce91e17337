import Foundation
import HTTPClient
import Ledger
import NIOPosix

/// Finds the addresses of a host name. A closure, so that a test can answer what it likes.
public typealias Resolve = @Sendable (_ host: String) async throws -> [NetworkAddress]

/// Resolves names as the rest of the machine does, on threads of its own: a name server that does not answer holds its
/// thread for as long as the system waits.
final class SystemResolver: Sendable {
  private let threads = NIOThreadPool(numberOfThreads: 32)

  init() { threads.start() }

  /// Lets the threads end by themselves: a name server that does not answer is no reason to stay.
  func shutDown() { threads.shutdownGracefully { _ in } }

  /// - Throws: ``DeliveryFailure`` if there are none.
  func addresses(of host: String) async throws -> [NetworkAddress] {
    try await threads.runIfActive { try Self.lookUp(host) }
  }

  private static func lookUp(_ host: String) throws -> [NetworkAddress] {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(host, nil, &hints, &list)
    guard code == 0 else {
      throw DeliveryFailure(
        code == EAI_NONAME
          ? "there is no host \(host)"
          : "the host name \(host) could not be resolved: \(String(cString: gai_strerror(code)))")
    }
    defer { freeaddrinfo(list) }
    var addresses: [NetworkAddress] = []
    var next = list
    while let entry = next {
      defer { next = entry.pointee.ai_next }
      guard let socket = entry.pointee.ai_addr else { continue }
      if let address = NetworkAddress(socket), !addresses.contains(address) { addresses.append(address) }
    }
    guard !addresses.isEmpty else { throw DeliveryFailure("the host name \(host) has no address") }
    return addresses
  }
}
