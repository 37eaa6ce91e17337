/// The number of a delivery, from 1. No number is given out twice.
public struct DeliveryID: Hashable, Comparable, Sendable {
  public let rawValue: Int64
  public init(_ rawValue: Int64) { self.rawValue = rawValue }
  public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// One event for one endpoint, as a draw's transaction makes it. What the event says follows from the outcome and is
/// written only when it is sent.
public struct NewDelivery: Sendable, Equatable {
  public let endpoint: WebhookEndpointID
  /// ``Outcome/id``.
  public let outcome: Int64
  public let created: Milliseconds

  public init(endpoint: WebhookEndpointID, outcome: Int64, created: Milliseconds) {
    self.endpoint = endpoint
    self.outcome = outcome
    self.created = created
  }
}

/// An event that is no outcome's, for one endpoint, as the transaction of what it tells makes it.
public struct NewAccountEvent: Sendable, Equatable {
  public let endpoint: WebhookEndpointID
  /// One type.
  public let type: WebhookEvents
  /// What the event says, as a JSON object.
  public let data: [UInt8]
  public let created: Milliseconds

  public init(endpoint: WebhookEndpointID, type: WebhookEvents, data: [UInt8], created: Milliseconds) {
    self.endpoint = endpoint
    self.type = type
    self.data = data
    self.created = created
  }
}

public enum DeliveryState: Int64, Sendable, CaseIterable {
  /// To be tried, at once or later.
  case pending = 1
  /// Answered with a 2xx.
  case delivered = 2
  /// Given up. It can be sent again.
  case dead = 3

  public var name: String {
    switch self {
    case .pending: "pending"
    case .delivered: "delivered"
    case .dead: "dead"
    }
  }

  public init?(name: String) {
    guard let state = DeliveryState.allCases.first(where: { $0.name == name }) else { return nil }
    self = state
  }
}

/// What a delivery tells.
public enum DeliveryEvent: Sendable, Equatable {
  /// `isReveal`: whether it came of a commitment.
  case outcome(Outcome, isReveal: Bool)
  /// Something else that happened to the account, with what the event says, as a JSON object.
  case account(WebhookEvents, data: [UInt8])
  /// Its rows are damaged, as the log or the delivery's operator may read.
  case damaged(String)
  /// Made by hand, to see whether the receiver works.
  case test
}

/// A delivery that is this server's to attempt, until its lease ends.
public struct ClaimedDelivery: Sendable {
  public let id: DeliveryID
  public let target: WebhookTarget
  public let event: DeliveryEvent
  public let created: Milliseconds
  /// When its 72 hours began: when it was made, or sent again.
  public let since: Milliseconds
  /// How many attempts have failed since then.
  public let attempts: Int
  /// What tells this claim from any other of the same delivery.
  public let claim: Int64

  public init(
    id: DeliveryID, target: WebhookTarget, event: DeliveryEvent, created: Milliseconds, since: Milliseconds,
    attempts: Int, claim: Int64
  ) {
    self.id = id
    self.target = target
    self.event = event
    self.created = created
    self.since = since
    self.attempts = attempts
    self.claim = claim
  }

  /// A delivery as a store's columns hold it.
  ///
  /// - Parameter read: throws what keeps its event from being read.
  public init(
    id: Int64, target: WebhookTarget, created: Milliseconds, resent: Milliseconds?, attempts: Int64, claim: Int64,
    event read: () throws -> DeliveryEvent
  ) {
    let since = resent ?? created
    var event: DeliveryEvent
    do {
      event = try read()
    } catch {
      event = .damaged("\(error)")
    }
    let isSound = ShortIDs.numbers.contains(id) && created.isPlausible && since.isPlausible && attempts >= 0
    if !isSound { event = .damaged("the row of delivery \(id) is damaged") }
    self.init(
      id: DeliveryID(id), target: target, event: event, created: isSound ? created : 0, since: isSound ? since : 0,
      attempts: Int(min(max(attempts, 0), 1_000_000)), claim: claim)
  }

  /// Why it cannot be attempted, if something is damaged.
  public var fault: String? {
    if case .damaged(let reason) = event { reason } else { target.fault }
  }

  /// What it takes in memory, about.
  public var size: Int {
    switch event {
    case .outcome(let outcome, _): 512 + outcome.value.count + outcome.fields.count
    case .account(_, let data): 512 + data.count
    case .damaged, .test: 512
    }
  }
}

/// Where a delivery goes and what signs it.
public final class WebhookTarget: Sendable {
  public let endpoint: WebhookEndpointID
  public let account: AccountID
  /// Nil exactly if there is a ``fault``.
  public let url: WebhookURL?
  /// The present one first, then, for a day after it was replaced, the one before.
  public let secrets: [WebhookSecret]
  /// One for each secret.
  public let signingKeys: [WebhookSigningKey]
  /// Why nothing can be delivered to it.
  public let fault: String?

  public init(
    endpoint: WebhookEndpointID, account: AccountID, url: WebhookURL, secrets: [WebhookSecret],
    signingKeys: [WebhookSigningKey] = []
  ) {
    precondition(!secrets.isEmpty)
    self.signingKeys = signingKeys
    self.endpoint = endpoint
    self.account = account
    self.url = url
    self.secrets = secrets
    fault = nil
  }

  /// A target as a store's columns hold it.
  ///
  /// - Parameter oldSecret: the one before, sealed, and when it ends.
  public init(
    endpoint: WebhookEndpointID, account: AccountID, url: String, secret: [UInt8],
    oldSecret: (sealed: [UInt8], expires: Milliseconds)?, at now: Milliseconds, vault: Vault
  ) {
    self.endpoint = endpoint
    self.account = account
    do {
      guard let url = WebhookURL(url) else {
        throw StoreFailure.damaged("the URL of webhook \(endpoint.rawValue) is damaged")
      }
      var sealed = [secret]
      if let oldSecret, now < oldSecret.expires { sealed.append(oldSecret.sealed) }
      let opened = try sealed.map { try WebhookSecret(sealed: $0, of: endpoint, vault) }
      signingKeys = try opened.map { try WebhookSigningKey(secret: $0, of: endpoint, vault) }
      secrets = opened
      self.url = url
      fault = nil
    } catch {
      self.url = nil
      secrets = []
      signingKeys = []
      fault = "\(error); replace the webhook's secret or the webhook"
    }
  }
}

/// One try at a delivery, as it is recorded.
public struct DeliveryAttempt: Sendable, Equatable {
  public let at: Milliseconds
  /// The HTTP status; nil if there was no answer.
  public let status: Int?
  public let latency: Milliseconds
  /// Why it failed; nil if it did not.
  public let error: String?
  /// The beginning of the answer's body, ``longestAnswer`` bytes at the most.
  public let answer: [UInt8]

  public static let longestAnswer = 1024
  /// How many of a delivery's attempts are kept, the latest.
  public static let kept = 20

  public init(at: Milliseconds, status: Int?, latency: Milliseconds, error: String?, answer: [UInt8]) {
    self.at = at
    self.status = status
    self.latency = latency
    self.error = error
    self.answer = answer
  }
}

/// What became of a claimed delivery.
public struct DeliveryResult: Sendable {
  public enum Verdict: Sendable, Equatable {
    case delivered
    case retry(at: Milliseconds)
    case dead
    /// It was not attempted, or the attempt was broken off: it is due again at once.
    case released
  }

  public let delivery: DeliveryID
  public let endpoint: WebhookEndpointID
  public let claim: Int64
  public let verdict: Verdict
  /// Nil exactly for what was released.
  public let attempt: DeliveryAttempt?
  /// Whether the receiver said that it is gone, for which the endpoint is disabled.
  public let isGone: Bool
  /// Whether the endpoint is disabled if no attempt has succeeded for ``DeliveryRetention/failing``. A first attempt may
  /// fail after a long time without events; that is no reason.
  public let isRepeatedFailure: Bool

  public init(of delivery: ClaimedDelivery, _ verdict: Verdict, attempt: DeliveryAttempt?, isGone: Bool = false) {
    precondition((attempt == nil) == (verdict == .released))
    self.isGone = isGone
    isRepeatedFailure = attempt?.error != nil && delivery.attempts > 0
    self.delivery = delivery.id
    endpoint = delivery.target.endpoint
    claim = delivery.claim
    self.verdict = verdict
    self.attempt = attempt
  }
}

/// How deliveries stand.
public struct DeliveryCounts: Sendable, Equatable {
  /// To be made, in the whole database; nil if that could not be found out.
  public var pending: Int?
  /// What this server's attempts came to, since its start.
  public var delivered = 0
  public var failed = 0
  /// Deliveries that this server gave up, since its start.
  public var dead = 0
  /// Sweeps of finished deliveries that failed, since its start.
  public var failedSweeps = 0

  public init() {}
}

/// A delivery as its operator sees it.
public struct DeliveryReport: Sendable {
  public let id: DeliveryID
  public let endpoint: WebhookEndpointID
  public let account: String
  public let url: String
  /// The row number of the outcome it tells of, if it tells of one.
  public let outcome: Int64?
  public let state: DeliveryState
  /// The type of its event.
  public let event: String
  public let created: Milliseconds
  /// When it is tried next, if it is.
  public let due: Milliseconds?
  /// The latest attempts, oldest first.
  public let attempts: [DeliveryAttempt]

  public init(
    id: DeliveryID, endpoint: WebhookEndpointID, account: String, url: String, outcome: Int64?, event: WebhookEvents?,
    state: DeliveryState, created: Milliseconds, due: Milliseconds?, attempts: [DeliveryAttempt]
  ) {
    self.id = id
    self.endpoint = endpoint
    self.account = account
    self.url = url
    self.outcome = outcome
    self.event = event?.names.first ?? (outcome == nil ? "test" : "outcome.created")
    self.state = state
    self.created = created
    self.due = due
    self.attempts = attempts
  }
}
