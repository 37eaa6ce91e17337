import CCurl
import Foundation
import Ledger
import Synchronization

/// Sends HTTP requests, with libcurl.
///
/// One thread has all that is under way, and nobody else uses libcurl's handles. It begins with a request, and ends some
/// time after the last one, which closes the connections that it kept.
package final class HTTPSender: Sendable {
  /// The program's. It ends before the process does: on exit OpenSSL frees what a thread that is still in it needs.
  package static let shared: HTTPSender = {
    let sender = HTTPSender()
    atexit { HTTPSender.shared.shutDown() }
    return sender
  }()

  /// How long connections are kept for the next request.
  static let idleTime = Duration.seconds(15)

  private struct State {
    /// What the thread has to do.
    var jobs: [@Sendable (Transfers) -> Void] = []
    /// Requests that it has.
    var underWay = 0
    var isRunning = false
    var isShutDown = false
    /// The bits of libcurl's multi handle, which may be woken from anywhere, and is freed under the lock of this.
    var multi: UInt?

    mutating func add(_ job: @escaping @Sendable (Transfers) -> Void) {
      jobs.append(job)
      wake()
    }

    func wake() {
      if let multi { curl_multi_wakeup(UnsafeMutableRawPointer(bitPattern: multi)) }
    }
  }

  private let state = Mutex(State())
  private let lastID = Atomic(0)
  private let mostRequests: Int
  private let ended = DispatchSemaphore(value: 0)

  /// Once in a process. It also sets up OpenSSL, which notes then what it does on exit.
  private static let isReady = curl_global_init(Int(CURL_GLOBAL_SSL)) == CURLE_OK

  /// - Parameter mostRequests: how many may be under way.
  package init(mostRequests: Int = 1024) {
    precondition(Self.isReady, "libcurl cannot be used")
    self.mostRequests = mostRequests
  }

  /// - Throws: ``HTTPFailure`` if there was no head of a response; what ``Request/receive`` throws; `CancellationError`.
  package func send(_ request: Request) async throws -> Response {
    let id = lastID.add(1, ordering: .relaxed).newValue
    let cancel: @Sendable () -> Void = { [self] in
      state.withLock { state in if state.isRunning { state.add { $0.cancel(id) } } }
    }
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        if let refusal = begin({ $0.begin(id, request, continuation) }) {
          return continuation.resume(throwing: refusal)
        }
        // Whoever cancelled before that found nothing to cancel.
        if Task.isCancelled { cancel() }
      }
    } onCancel: {
      cancel()
    }
  }

  private func begin(_ job: @escaping @Sendable (Transfers) -> Void) -> HTTPFailure? {
    state.withLock { state in
      guard !state.isShutDown else { return .shutDown }
      guard state.underWay + state.jobs.count < mostRequests else { return .tooMany }
      state.add(job)
      if !state.isRunning { Thread.start("http-client") { self.run() } }
      state.isRunning = true
      return nil
    }
  }

  /// Fails what is under way and all that is sent afterwards, and waits until the thread has ended.
  package func shutDown() {
    let isRunning = state.withLock { state in
      state.isShutDown = true
      state.wake()
      return state.isRunning
    }
    if isRunning { _ = ended.wait(timeout: .now() + 5) }
  }

  private func run() {
    let transfers = Transfers()
    var lastUse = ContinuousClock.now
    while takeJobs(for: transfers, isIdle: transfers.count == 0 && .now - lastUse >= Self.idleTime) {
      transfers.proceed()
      if transfers.count > 0 { lastUse = .now }
      transfers.wait(Self.idleTime)
    }
  }

  /// - Returns: false if that was the end.
  private func takeJobs(for transfers: Transfers, isIdle: Bool) -> Bool {
    state.withLock { state in
      let ends = state.isShutDown || (isIdle && state.jobs.isEmpty)
      for job in state.jobs { job(transfers) }
      state.jobs = []
      if ends { transfers.close() }
      if state.isShutDown { ended.signal() }
      (state.isRunning, state.underWay) = (!ends, transfers.count)
      state.multi = ends ? nil : UInt(bitPattern: transfers.multi)
      return !ends
    }
  }
}

/// The requests that are under way. Of one thread.
final class Transfers {
  let multi: UnsafeMutableRawPointer
  private var transfers: [UnsafeMutableRawPointer: Transfer] = [:]

  /// How many connections are kept at most.
  private static let keptConnections = 128

  init() {
    guard let multi = curl_multi_init() else { preconditionFailure("no memory for libcurl") }
    self.multi = multi
    ccurl_multi_set_number(multi, CURLMOPT_MAXCONNECTS, Self.keptConnections)
  }

  var count: Int { transfers.count }

  func begin(_ id: Int, _ request: HTTPSender.Request, _ continuation: Transfer.Continuation) {
    guard let transfer = Transfer(id, request, continuation), curl_multi_add_handle(multi, transfer.easy) == CURLM_OK
    else { return continuation.resume(throwing: HTTPFailure.notSent) }
    transfers[transfer.easy] = transfer
  }

  /// Does what can be done without waiting.
  func proceed() {
    var count: CInt = 0
    curl_multi_perform(multi, &count)
    while let message = curl_multi_info_read(multi, &count) {
      if let transfer = transfers[message.pointee.easy_handle] {
        end(transfer, with: transfer.result(message.pointee.data.result))
      }
    }
  }

  /// Waits until there is something to do, but no longer than that.
  func wait(_ time: Duration) { curl_multi_poll(multi, nil, 0, CInt(time / .milliseconds(1)), nil) }

  func cancel(_ id: Int) {
    if let transfer = transfers.values.first(where: { $0.id == id }) {
      end(transfer, with: .failure(CancellationError()))
    }
  }

  /// Ends all, and frees the handle.
  func close() {
    for transfer in transfers.values { end(transfer, with: .failure(HTTPFailure.shutDown)) }
    curl_multi_cleanup(multi)
  }

  private func end(_ transfer: Transfer, with result: Result<HTTPSender.Response, any Error>) {
    curl_multi_remove_handle(multi, transfer.easy)
    transfers[transfer.easy] = nil
    transfer.continuation.resume(with: result)
  }
}
