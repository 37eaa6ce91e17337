import AsyncHTTPClient
import Ledger
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// Sends one event to one receiver, once.
///
/// The host is resolved anew for each attempt, every address it has is checked, and the connection goes to an address
/// that was checked: whoever owns the name cannot answer the check with one address and the connection with another.
/// The certificate is still verified for the name.
public final class DeliveryClient: Sendable {
  /// How long a receiver has to answer.
  public static let timeout = Duration.seconds(15)
  private let timeout: Duration
  /// How many receivers' connections are kept open for the next event.
  private static let keptClients = 128

  private let addressGuard: AddressGuard
  private let resolve: Resolve
  private let systemResolver: SystemResolver?
  private let clients: Mutex<Clients>

  public struct Answer: Sendable {
    public let status: Int
    /// The beginning of the body.
    public let body: [UInt8]
    /// `Retry-After`, if there is one.
    public let retryAfter: String?
  }

  /// - Parameter resolve: how to find a host's addresses; the system's way unless a test has another.
  public init(addressGuard: AddressGuard, timeout: Duration = DeliveryClient.timeout, resolve: Resolve? = nil) {
    self.addressGuard = addressGuard
    self.timeout = timeout
    if let resolve {
      self.resolve = resolve
      systemResolver = nil
    } else {
      let system = SystemResolver()
      systemResolver = system
      self.resolve = { try await system.addresses(of: $0) }
    }
    clients = Mutex(Clients(capacity: Self.keptClients))
  }

  /// Closes all connections. Nothing may be sent afterwards.
  public func shutDown() async {
    for client in clients.withLock({ $0.removeAll() }) { try? await client.shutdown() }
    systemResolver?.shutDown()
  }

  /// Posts `body`; an answer of any status is an answer, and redirects are not followed.
  ///
  /// - Parameter attempt: counts up from 0; tells which of several addresses to take.
  /// - Throws: ``DeliveryFailure``.
  public func post(
    _ body: [UInt8], to url: WebhookURL, headers: [(String, String)], attempt: Int
  ) async throws -> Answer {
    let deadline = NIODeadline.now() + TimeAmount(timeout)
    let address = try await checkedAddress(of: url.host, attempt: attempt)
    let destination = Destination(host: url.host, address: address)
    let client = clients.withLock { $0.take(destination) }
    let result: Result<Answer, any Error>
    do {
      result = .success(try await send(body, to: url, headers: headers, client: client, deadline: deadline))
    } catch {
      result = .failure(DeliveryFailure(error, host: url.host))
    }
    // A client that lost its place while it was in use goes now.
    if let idle = clients.withLock({ $0.give(back: client, of: destination) }) { try? await idle.shutdown() }
    return try result.get()
  }

  private func checkedAddress(of host: String, attempt: Int) async throws -> NetworkAddress {
    let addresses = if let literal = NetworkAddress(host) { [literal] } else { try await lookUp(host) }
    for address in addresses where !addressGuard.allows(address) {
      throw DeliveryFailure("the address \(address) is not a public one; the operator of this server has to allow it")
    }
    // IPv4 first: many machines have an IPv6 address and no way to use it. A retry takes the next.
    let ordered = addresses.filter { $0.bytes.count == 4 } + addresses.filter { $0.bytes.count == 16 }
    guard !ordered.isEmpty else { throw DeliveryFailure("the host name \(host) has no address") }
    return ordered[attempt % ordered.count]
  }

  /// Gives up waiting when name servers do not answer in time; the thread that asked them waits on.
  private func lookUp(_ host: String) async throws -> [NetworkAddress] {
    let lookUp = LookUp()
    let resolving = Task { [resolve] in
      do { lookUp.settle(.success(try await resolve(host))) } catch { lookUp.settle(.failure(error)) }
    }
    let alarm = MultiThreadedEventLoopGroup.singleton.next().scheduleTask(in: TimeAmount(timeout)) {
      lookUp.settle(.failure(DeliveryFailure("the host name \(host) was not resolved in time")))
      resolving.cancel()
    }
    defer { alarm.cancel() }
    return try await lookUp.result()
  }

  private func send(
    _ body: [UInt8], to url: WebhookURL, headers: [(String, String)], client: HTTPClient, deadline: NIODeadline
  ) async throws -> Answer {
    var request = HTTPClientRequest(url: url.description)
    request.method = .POST
    request.headers = HTTPHeaders(headers)
    request.body = .bytes(ByteBuffer(bytes: body))
    let response: HTTPClientResponse
    do {
      response = try await client.execute(request, deadline: deadline)
    } catch let error as HTTPClientError where error == .remoteConnectionClosed {
      // Most likely a kept connection that the receiver was just closing. Once more, on another.
      response = try await client.execute(request, deadline: deadline)
    }
    var answer: [UInt8] = []
    // The status is the answer; a body that stops half-way, or never ends, does not change it.
    do {
      for try await chunk in response.body {
        answer.append(contentsOf: chunk.readableBytesView.prefix(DeliveryAttempt.longestAnswer - answer.count))
        if answer.count == DeliveryAttempt.longestAnswer || NIODeadline.now() > deadline { break }
      }
    } catch {}
    return Answer(
      status: Int(response.status.code), body: answer, retryAfter: response.headers.first(name: "Retry-After"))
  }
}

/// What a name resolves to, or that time is up: whichever comes first.
private final class LookUp: Sendable {
  private enum State {
    case open
    case awaited(CheckedContinuation<[NetworkAddress], any Error>)
    case settled(Result<[NetworkAddress], any Error>)
  }

  private let state = Mutex(State.open)

  func settle(_ result: Result<[NetworkAddress], any Error>) {
    let waiting: CheckedContinuation<[NetworkAddress], any Error>? = state.withLock { state in
      switch state {
      case .settled: return nil
      case .open:
        state = .settled(result)
        return nil
      case .awaited(let continuation):
        state = .settled(result)
        return continuation
      }
    }
    waiting?.resume(with: result)
  }

  /// Asked for once.
  func result() async throws -> [NetworkAddress] {
    try await withCheckedThrowingContinuation { continuation in
      let settled: Result<[NetworkAddress], any Error>? = state.withLock { state in
        if case .settled(let result) = state { return result }
        state = .awaited(continuation)
        return nil
      }
      if let settled { continuation.resume(with: settled) }
    }
  }
}

/// A host at one of its addresses.
private struct Destination: Hashable {
  let host: String
  let address: NetworkAddress
}

/// A bounded number of HTTP clients, each for one host at one address: that is how the client library is told where a
/// name leads.
private struct Clients: ~Copyable {
  private struct Entry {
    let client: HTTPClient
    var users = 0
    var lastUse = 0
  }

  private let capacity: Int
  private var entries: [Destination: Entry] = [:]
  /// Clients that lost their place while they were in use, by how many still use them.
  private var evicted: [ObjectIdentifier: (client: HTTPClient, users: Int)] = [:]
  private var uses = 0

  init(capacity: Int) { self.capacity = capacity }

  mutating func take(_ destination: Destination) -> HTTPClient {
    uses += 1
    if entries[destination] == nil { makeRoom() }
    var entry = entries[destination] ?? Entry(client: Self.client(for: destination))
    entry.users += 1
    entry.lastUse = uses
    entries[destination] = entry
    return entry.client
  }

  /// - Returns: a client that nobody will use any more, for the caller to shut down.
  mutating func give(back client: HTTPClient, of destination: Destination) -> HTTPClient? {
    if var entry = entries[destination], entry.client === client {
      entry.users -= 1
      entries[destination] = entry
      return nil
    }
    guard var gone = evicted[ObjectIdentifier(client)] else { return nil }
    gone.users -= 1
    evicted[ObjectIdentifier(client)] = gone.users > 0 ? gone : nil
    return gone.users > 0 ? nil : gone.client
  }

  private mutating func makeRoom() {
    guard entries.count >= capacity, let oldest = entries.min(by: { $0.value.lastUse < $1.value.lastUse }) else {
      return
    }
    entries[oldest.key] = nil
    if oldest.value.users > 0 {
      evicted[ObjectIdentifier(oldest.value.client)] = (oldest.value.client, oldest.value.users)
    } else {
      let client = oldest.value.client
      Task { try? await client.shutdown() }
    }
  }

  mutating func removeAll() -> [HTTPClient] {
    defer {
      entries = [:]
      evicted = [:]
    }
    return entries.values.map(\.client) + evicted.values.map(\.client)
  }

  private static func client(for destination: Destination) -> HTTPClient {
    var configuration = HTTPClient.Configuration(
      redirectConfiguration: .disallow,
      timeout: .init(connect: .seconds(5)),
      connectionPool: .init(idleTimeout: .seconds(15)))
    configuration.httpVersion = .http1Only
    configuration.connectionPool.retryConnectionEstablishment = false
    // Several webhooks may be of one host, and one of them may hang; the queue bounds what is under way, not the pool.
    configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 1024
    if NetworkAddress(destination.host) == nil {
      configuration.dnsOverride = [destination.host: destination.address.description]
    }
    return HTTPClient(
      eventLoopGroupProvider: .shared(MultiThreadedEventLoopGroup.singleton), configuration: configuration)
  }
}
