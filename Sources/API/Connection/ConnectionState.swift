import Ledger
import NIOCore

/// What one connection is doing, and how long it may go on doing it. Pure: time comes in as a value, so that tests need
/// neither a socket nor a clock.
///
/// A deadline costs a request nothing but a timestamp: the connection looks at its state every ``Limits/tick`` at the
/// latest, and ``check(at:unsent:sent:)`` says what has to happen.
package struct ConnectionState {
  package enum Phase: Equatable {
    /// No byte of a next request has come.
    case idle
    /// Part of a request's head has come.
    case head
    /// The head is complete, and the body is coming in.
    case body
    /// The request is whole; its answer is being made or written.
    case answering
    /// The request was answered before its body had come; the rest of that is thrown away.
    case discarding
    /// There will be no further answer; what was written is on its way out.
    case closing
    /// Everything is written and said to be all; the client has not yet closed its side.
    case lingering
  }

  package struct Limits: Sendable {
    /// From the connection's beginning to its first whole head.
    package var firstRequest = TimeAmount.seconds(10)
    /// Between an answer and the next request.
    package var idle = TimeAmount.seconds(75)
    /// From the first byte of a head to its end.
    package var head = TimeAmount.seconds(10)
    /// From the first byte of a request to its end.
    package var request = TimeAmount.seconds(30)
    /// How long a client may take nothing of an answer that waits for it.
    package var stall = TimeAmount.seconds(30)
    /// How long an answer may wait for its client in all.
    package var delivery = TimeAmount.minutes(15)
    /// How long a client is listened to after the last answer, so that it can read that in peace.
    package var linger = TimeAmount.seconds(2)
    /// When the server stops: for requests that are coming in, for answers that are being made, and for clients to take
    /// what was answered.
    package var lastRequests = TimeAmount.seconds(3)
    package var lastWork = TimeAmount.seconds(12)
    package var lastAnswers = TimeAmount.seconds(8)
    /// How often the state is looked at. No deadline that begins unobserved may be shorter.
    package var tick = TimeAmount.seconds(10)

    package init() {}
  }

  /// What to do now.
  package enum Action: Equatable {
    case wait(until: NIODeadline)
    /// Answer with a refusal, and close.
    case refuse(Refusal)
    /// Close, without a word.
    case close
  }

  private let limits: Limits
  package private(set) var phase = Phase.idle
  /// When the phase began; for a head and a body, when their request did.
  private var since: NIODeadline
  private var hadRequest = false
  /// When the answer to the last whole request began.
  private var answerBegan: NIODeadline?
  private var stoppingSince: NIODeadline?
  /// Whether the connection stays open after the answer that is under way.
  package private(set) var isPersistent = true
  /// Bytes that the client had taken when last looked at, when it took some, and since when there have been more.
  private var delivery: (sent: Int, moved: NIODeadline, began: NIODeadline)?

  package init(limits: Limits, now: NIODeadline) {
    self.limits = limits
    since = now
  }

  // MARK: What happens

  /// There are bytes of a next request.
  package mutating func requestBegan(at now: NIODeadline) {
    guard phase == .idle else { return }
    phase = .head
    since = now
  }

  /// A head is complete, and its body, if it has any, follows.
  package mutating func headEnded(isPersistent: Bool) {
    phase = .body
    hadRequest = true
    self.isPersistent = isPersistent && stoppingSince == nil
  }

  /// A request is whole.
  package mutating func requestEnded(at now: NIODeadline) {
    phase = .answering
    since = now
    answerBegan = nil
  }

  /// The head of an answer is being written.
  package mutating func answerStarted(at now: NIODeadline) { answerBegan = now }

  /// The connection closes after the answer that is under way.
  package mutating func closeAfterAnswer() { isPersistent = false }

  /// An answer has been written to its end.
  package mutating func answerEnded(at now: NIODeadline) {
    if !isPersistent {
      phase = .closing
    } else if phase == .body {
      phase = .discarding
      return  // the request's time goes on
    } else {
      phase = .idle
    }
    since = now
  }

  /// The body of a request that was answered before has come to its end.
  package mutating func discardingEnded(at now: NIODeadline) {
    phase = isPersistent ? .idle : .closing
    since = now
  }

  /// Nothing more will be answered.
  package mutating func closingBegan(at now: NIODeadline) {
    guard phase != .lingering else { return }
    phase = .closing
    since = now
  }

  /// All is written, and the client has been told that it is all.
  package mutating func lingeringBegan(at now: NIODeadline) {
    phase = .lingering
    since = now
  }

  /// The server is about to stop. True if the connection has nothing under way and can close at once.
  package mutating func stop(at now: NIODeadline) -> Bool {
    if stoppingSince == nil { stoppingSince = now }
    isPersistent = false
    return phase == .idle
  }

  // MARK: Deadlines

  /// What has to happen at a moment.
  ///
  /// - Parameters:
  ///   - unsent: how many bytes wait for the client to take them.
  ///   - sent: how many it has taken since the connection began.
  package mutating func check(at now: NIODeadline, unsent: Int, sent: Int) -> Action {
    watchDelivery(at: now, unsent: unsent, sent: sent)
    let deadlines = [phaseDeadline, deliveryDeadline, stopDeadline].compactMap { $0 }
    guard let (deadline, action) = deadlines.min(by: { $0.0 < $1.0 }) else { return .wait(until: now + limits.tick) }
    return now >= deadline ? action : .wait(until: min(deadline, now + limits.tick))
  }

  private mutating func watchDelivery(at now: NIODeadline, unsent: Int, sent: Int) {
    guard unsent > 0 else {
      delivery = nil
      return
    }
    guard let before = delivery else {
      delivery = (sent, now, now)
      return
    }
    if sent > before.sent { delivery = (sent, now, before.began) }
  }

  private var phaseDeadline: (NIODeadline, Action)? {
    switch phase {
    case .idle: delivery == nil ? (since + (hadRequest ? limits.idle : limits.firstRequest), .close) : nil
    case .head: (since + limits.head, .refuse(.requestTimeout))
    case .body: (since + limits.request, .refuse(.requestTimeout))
    case .discarding: (since + limits.request, .close)
    case .answering: nil
    case .closing: delivery == nil ? (since + limits.stall, .close) : nil
    case .lingering: (since + limits.linger, .close)
    }
  }

  private var deliveryDeadline: (NIODeadline, Action)? {
    delivery.map { (min($0.moved + limits.stall, $0.began + limits.delivery), .close) }
  }

  private var stopDeadline: (NIODeadline, Action)? {
    guard let stoppingSince else { return nil }
    switch phase {
    case .head, .discarding: return (stoppingSince + limits.lastRequests, .close)
    case .body: return (stoppingSince + limits.lastRequests, .refuse(.stopping))
    case .answering where answerBegan == nil: return (stoppingSince + limits.lastWork, .close)
    case .idle, .answering, .closing, .lingering:
      return (max(stoppingSince, answerBegan ?? stoppingSince) + limits.lastAnswers, .close)
    }
  }
}

extension Refusal {
  package static let requestTimeout = Refusal(
    408, "The whole request did not arrive in time; nothing was done.", code: .requestTimeout)
  package static let stopping = Refusal(
    503, "The server is shutting down; nothing was drawn.", code: .shuttingDown, retryAfter: 1)
}
