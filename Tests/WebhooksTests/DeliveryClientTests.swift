import Ledger
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import Testing
import Webhooks

@Suite(.timeLimit(.minutes(1))) struct DeliveryClientTests {
  /// Posts an empty object to `url`, names being resolved by `addresses`.
  private func post(
    _ url: String, allowsPrivate: Bool, addresses: @escaping @Sendable (String) throws -> [String] = { _ in [] },
    attempt: Int = 0
  ) async throws -> DeliveryClient.Answer {
    let client = DeliveryClient(addressGuard: AddressGuard(allowsPrivate: allowsPrivate), timeout: .seconds(300)) {
      host in
      try addresses(host).compactMap { NetworkAddress($0) }
    }
    do {
      let answer = try await client.post(
        Array("{}".utf8), to: try #require(WebhookURL(url)), headers: [("X-Test", "1")], attempt: attempt)
      client.shutDown()
      return answer
    } catch {
      client.shutDown()
      throw error
    }
  }

  @Test func aPublicNameThatLeadsHomeIsRefused() async throws {
    let receiver = try await Receiver()
    for addresses in [["127.0.0.1"], ["::ffff:127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["169.254.169.254"]] {
      await #expect(throws: DeliveryFailure.self) {
        try await post("http://hooks.example:\(receiver.port)/", allowsPrivate: false) { _ in addresses }
      }
    }
    for literal in ["127.0.0.1", "[::1]", "[::ffff:7f00:1]"] {
      await #expect(throws: DeliveryFailure.self) {
        try await post("http://\(literal):\(receiver.port)/", allowsPrivate: false)
      }
    }
    #expect(receiver.received.isEmpty)
    try await receiver.stop()
  }

  /// Ways to write 127.0.0.1 that only the system's resolver understands.
  @Test(arguments: ["2130706433", "0x7f000001", "127.1", "0177.0.0.1", "localhost"])
  func anAddressInDisguiseIsRefused(_ host: String) async throws {
    let receiver = try await Receiver()
    let client = DeliveryClient(addressGuard: AddressGuard(allowsPrivate: false))
    let url = try #require(WebhookURL("http://\(host):\(receiver.port)/"))
    await #expect(throws: DeliveryFailure.self) { try await client.post([], to: url, headers: [], attempt: 0) }
    client.shutDown()
    #expect(receiver.received.isEmpty)
    try await receiver.stop()
  }

  /// The name does not exist: only who connects to the address that was checked gets an answer.
  @Test func theConnectionGoesToTheAddressThatWasChecked() async throws {
    let receiver = try await Receiver(status: .accepted, body: "thanks")
    let asked = Mutex(0)
    let answer = try await post("http://hooks.example:\(receiver.port)/path?q=1", allowsPrivate: true) { host in
      #expect(host == "hooks.example")
      asked.withLock { $0 += 1 }
      return ["127.0.0.1"]
    }
    #expect(answer.status == 202 && answer.body == Array("thanks".utf8))
    #expect(asked.withLock { $0 } == 1)
    let request = try #require(receiver.received.first)
    #expect(request.head.method == .POST && request.head.uri == "/path?q=1")
    #expect(request.head.headers["Host"] == ["hooks.example:\(receiver.port)"])
    #expect(request.head.headers["X-Test"] == ["1"] && request.body == Array("{}".utf8))
    try await receiver.stop()
  }

  @Test func retriesGoThroughTheAddresses() async throws {
    let receiver = try await Receiver()
    let url = "http://hooks.example:\(receiver.port)/"
    let addresses = ["::1", "127.0.0.1", "127.255.255.1"]
    // The receiver listens on the first IPv4 address alone; at the IPv6 address nobody answers.
    #expect(try await post(url, allowsPrivate: true, addresses: { _ in addresses }).status == 200)
    await #expect(throws: (any Error).self) {
      try await post(url, allowsPrivate: true, addresses: { _ in addresses }, attempt: 2)
    }
    #expect(try await post(url, allowsPrivate: true, addresses: { _ in addresses }, attempt: 3).status == 200)
    try await receiver.stop()
  }

  @Test(arguments: [HTTPResponseStatus.movedPermanently, .found, .temporaryRedirect, .permanentRedirect])
  func redirectsAreNotFollowed(_ status: HTTPResponseStatus) async throws {
    let elsewhere = try await Receiver()
    let receiver = try await Receiver(status: status, headers: ["Location": "http://127.0.0.1:\(elsewhere.port)/"])
    let answer = try await post("http://127.0.0.1:\(receiver.port)/", allowsPrivate: true)
    #expect(answer.status == Int(status.code))
    #expect(elsewhere.received.isEmpty)
    try await receiver.stop()
    try await elsewhere.stop()
  }

  @Test func onlyTheBeginningOfALongAnswerIsKept() async throws {
    let receiver = try await Receiver(body: String(repeating: "x", count: 100_000))
    let answer = try await post("http://127.0.0.1:\(receiver.port)/", allowsPrivate: true)
    #expect(answer.body == Array(repeating: UInt8(ascii: "x"), count: 1024))
    try await receiver.stop()
  }

  @Test func aNameWithoutAnAddressFails() async throws {
    await #expect(throws: DeliveryFailure.self) { try await post("http://hooks.example/", allowsPrivate: true) }
    await #expect(throws: DeliveryFailure.self) {
      try await post("http://hooks.example/", allowsPrivate: true) { _ in throw DeliveryFailure("no such name") }
    }
  }

  /// A receiver that never answers, or never ends its answer, holds an attempt for so long and no longer.
  @Test(arguments: ["", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", "HTTP/1.1 200 O"])
  func anAttemptHasItsTime(_ beginning: String) async throws {
    #expect(DeliveryClient.timeout == .seconds(15))
    let receiver = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .childChannelInitializer { channel in
        // A byte every few milliseconds, so that no pause is long.
        channel.eventLoop.scheduleRepeatedTask(initialDelay: .zero, delay: .milliseconds(5)) { task in
          if !channel.isActive { task.cancel() }
          if beginning.hasSuffix("\n") { channel.writeAndFlush(ByteBuffer(string: "x"), promise: nil) }
        }
        return channel.writeAndFlush(ByteBuffer(string: beginning))
      }
      .bind(host: "127.0.0.1", port: 0).get()
    let client = DeliveryClient(addressGuard: AddressGuard(allowsPrivate: true), timeout: .milliseconds(200))
    let url = try #require(WebhookURL("http://127.0.0.1:\(receiver.localAddress?.port ?? 0)/"))
    do {
      let answer = try await client.post([], to: url, headers: [], attempt: 0)
      #expect(beginning.hasSuffix("\n") && answer.status == 200 && answer.body.count < 1000)
    } catch {
      #expect(!beginning.hasSuffix("\n") && error is DeliveryFailure)
    }
    client.shutDown()
    try await receiver.close()
  }

  /// More hosts than clients are kept for, several at once: each gets its event, and nothing is shut down under way.
  @Test func manyHostsShareABoundedNumberOfClients() async throws {
    let receiver = try await Receiver()
    let client = DeliveryClient(addressGuard: AddressGuard(allowsPrivate: true)) { _ in [NetworkAddress("127.0.0.1")!] }
    let port = receiver.port
    try await withThrowingTaskGroup(of: Int.self) { group in
      for number in 0..<300 {
        let url = try #require(WebhookURL("http://host\(number).example:\(port)/"))
        group.addTask { try await client.post([], to: url, headers: [], attempt: 0).status }
        if number >= 20 { #expect(try await group.next() == 200) }
      }
      for try await status in group { #expect(status == 200) }
    }
    client.shutDown()
    #expect(receiver.received.count == 300)
    try await receiver.stop()
  }
}
