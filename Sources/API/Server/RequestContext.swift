import Hummingbird
import Ledger
import NIOCore
import Synchronization

/// What a request carries on its way to its route.
public struct FairdrawContext: InitializableFromSource {
  let record: RequestRecord
  /// The event loop of the request's connection.
  let eventLoop: any EventLoop
  let peer: NetworkAddress?
  /// Settled by ``RootResponder`` before anything else sees the request.
  package internal(set) var target = Target.root
  /// What the braces of the route's path stand for, as it was sent: not percent-decoded.
  public internal(set) var captures: [String: Substring] = [:]
  /// The headers that say who is calling and whether this is a retry; read by ``RootResponder``.
  var headers = RequestHeaders()
  var proxies = TrustedProxies(networks: [])
  var admission: Admission?
  var completion: Completion?
  /// What readers of outcomes reserve memory from.
  var memory = MemoryBudget.none
  /// The form of errors, if the client asks for another than the usual.
  var problems: ProblemDetails?
  /// Who is calling; settled by ``Admission``, and anonymous where no key is read.
  var caller = Caller.anonymous

  public init(source: ApplicationRequestContextSource) {
    record = RequestRecord()
    eventLoop = source.channel.eventLoop
    peer = NetworkAddress(source.channel.remoteAddress)
  }
}

extension FairdrawContext {
  /// Reads from a store; when it fails, the log is told why, and the client whether to come back.
  public func reading<Result>(_ body: () async throws(StoreFailure) -> Result) async throws(Refusal) -> Result {
    do throws(StoreFailure) {
      return try await body()
    } catch {
      throw record.refusal(for: error)
    }
  }

  /// Reserves memory for reading outcomes, to be held until what is read has been sent.
  ///
  /// - Parameters:
  ///   - holder: who it is for; by default who calls.
  ///   - isUnderWay: whether a part of the answer has been sent. Then the wait has no end, and there is no refusal.
  /// - Throws: a 503 if too many wait.
  package func reserveMemory(
    for holder: ResourceHolder? = nil, isUnderWay: Bool = false
  ) async throws(Refusal) -> MemoryBudget.Reservation {
    guard let reservation = await memory.reserve(for: holder ?? self.holder, isUnderWay: isUnderWay) else {
      throw Refusal.overloaded("The server is busy with other large responses; retry in a moment.", retryAfter: 1)
    }
    return reservation
  }

  /// Who the request's share of something limited is held for: the account of a live key, else the address.
  var holder: ResourceHolder {
    if case .key(_, let account, .live) = caller { return .account(account) }
    return record.notes.address.map { .subscriber($0.subscriber) } ?? .nobody
  }

  /// Says in the log how the store failed.
  ///
  /// - Returns: what the client is told.
  package func refusal(for failure: StoreFailure) -> Refusal { record.refusal(for: failure) }

  /// Says in the log why a request met a fault.
  package func note(fault: String) { record.note { $0.fault = fault } }

  /// Says in the log and counts that an answer was cut off because of `error`, unless its client went away.
  func noteCutOff(by error: any Error) {
    switch error {
    case is ChannelError, is IOError, is NIOAsyncWriterError, is CancellationError: break
    default: completion?.noteCutOff(by: (error as? StoreFailure)?.logged ?? "\(error)", record)
    }
  }

  /// The client's address, by way of trusted proxies, which the log line then has too: for routes that read no key.
  package func clientAddress() -> NetworkAddress? {
    let address = proxies.client(headers, peer: peer)
    record.note { $0.address = address }
    return address
  }

  /// The `Origin` header, if there is one.
  package var origin: String? { headers.origin }
}

/// What one request's log line will say.
final class RequestRecord: Sendable {
  let started = ContinuousClock.now
  let id: String
  private let state = Mutex(Notes())

  /// Who calls without a key.
  static let anonymous = "anonymous"

  struct Notes: Sendable {
    /// The key's public prefix, or ``anonymous``; nil if neither is known.
    var caller: String?
    /// The path of the request's route, as the route has it; one word for all requests without one.
    var route = "none"
    var address: NetworkAddress?
    /// Why a request met a fault; for the log alone.
    var fault: String?
    /// Whether the caller is told how long it took. Test keys are not, since their answers are the same byte for byte.
    var showsTiming = false
    var isReplay = false
    /// Whether it was refused because its idempotency key was used for another request.
    var isConflict = false
  }

  /// A random part for the process and a counter: unique, and cheap.
  private static let processID = String(UInt32.random(in: .min ... .max), radix: 36) + "-"
  private static let counter = Atomic<Int>(0)

  init() {
    id = Self.processID + String(Self.counter.wrappingAdd(1, ordering: .relaxed).newValue)
  }

  func note(_ change: (inout Notes) -> Void) { state.withLock { change(&$0) } }

  /// Says in the log how the store failed.
  ///
  /// - Returns: what the client is told.
  func refusal(for failure: StoreFailure) -> Refusal {
    note { $0.fault = failure.logged }
    return Refusal(failure)
  }

  var notes: Notes { state.withLock { $0 } }
  /// Whom the request's address stands for.
  var subscriber: [UInt8]? { state.withLock { $0.address?.subscriber } }
  var elapsed: Duration { ContinuousClock.now - started }
}
