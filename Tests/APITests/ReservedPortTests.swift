import API
import NIOCore
import NIOPosix
import Testing

@Suite("A reserved port")
struct ReservedPortTests {
  @Test("is given to a server that asks for it by its number", arguments: ["127.0.0.1", "::1", "0.0.0.0"])
  func isThereForItsServer(host: String) async throws {
    let port = try ReservedPort(on: host)
    let server = try await Self.listen(host, port.number)
    #expect(server.localAddress?.port == port.number)
    port.release()
    try await server.close()
  }

  @Test("is given to nobody who does not reuse addresses, until it is released")
  func isTaken() async throws {
    let port = try ReservedPort(on: "127.0.0.1")
    let number = port.number
    let error = await #expect(throws: IOError.self) {
      try await Self.listen("127.0.0.1", number, reusesAddresses: false)
    }
    #expect(error?.errnoCode == EADDRINUSE)
    port.release()
    try await Self.listen("127.0.0.1", number, reusesAddresses: false).close()
  }

  @Test("is refused where there is no such address", arguments: ["192.0.2.1", "no-such-host.invalid"])
  func needsAnAddress(host: String) {
    #expect(throws: (any Error).self) { _ = try ReservedPort(on: host) }
  }

  private static func listen(_ host: String, _ port: Int, reusesAddresses: Bool = true) async throws -> any Channel {
    try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: reusesAddresses ? 1 : 0)
      .bind(host: host, port: port).get()
  }
}
