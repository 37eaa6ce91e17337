import HTTPClient
import Ledger
import NIOCore
import NIOPosix

/// Sends one event to one receiver, once.
///
/// The host is resolved anew for each attempt, every address it has is checked, and the connection goes to an address
/// that was checked: whoever owns the name cannot answer the check with one address and the connection with another.
/// The certificate is still verified for the name.
public final class DeliveryClient: Sendable {
  /// How long a receiver has to answer.
  public static let timeout = Duration.seconds(15)
  /// How long it takes at most to connect.
  private static let connectTime = Duration.seconds(5)

  private let timeout: Duration
  private let addressGuard: AddressGuard
  private let resolve: Resolve
  private let systemResolver: SystemResolver?

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
  }

  /// Ends what resolves names. Nothing may be sent afterwards.
  public func shutDown() { systemResolver?.shutDown() }

  /// Posts `body`; an answer of any status is an answer, and redirects are not followed.
  ///
  /// - Parameter attempt: counts up from 0; tells which of several addresses to take.
  /// - Throws: ``DeliveryFailure``.
  public func post(
    _ body: [UInt8], to url: WebhookURL, headers: [(name: String, value: String)], attempt: Int
  ) async throws -> Answer {
    let deadline = ContinuousClock.now + timeout
    do {
      let address = try await checkedAddress(of: url.host, attempt: attempt)
      var request = HTTPSender.Request(
        url: url.description, connectTime: Self.connectTime, timeLimit: .whole(deadline - .now),
        longestBody: DeliveryAttempt.longestAnswer)
      request.headers = headers
      request.body = body
      request.address = address
      // The status is the answer; a body that is long, stops half-way or never ends does not change it.
      let response = try await HTTPSender.shared.send(request)
      return Answer(status: response.status, body: response.body, retryAfter: response.headers["retry-after"])
    } catch {
      throw DeliveryFailure(error)
    }
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
    let loop = MultiThreadedEventLoopGroup.singleton.next()
    // Has what comes first, of the answer and the end of the time.
    let found = loop.makePromise(of: [NetworkAddress].self)
    let resolving = found.completeWithTask { [resolve] in try await resolve(host) }
    let alarm = loop.scheduleTask(in: TimeAmount(timeout)) {
      found.fail(DeliveryFailure("the host name \(host) was not resolved in time"))
      resolving.cancel()
    }
    defer { alarm.cancel() }
    return try await found.futureResult.get()
  }
}
