import Fairness
import Ledger

/// What account holders and the operator see and change of webhooks and their deliveries. As with ``AccountStore``,
/// everything is asked for by account, and what belongs to another is unknown; nil stands for all accounts.
public protocol WebhookStore: Sendable {
  /// In the order they were made.
  func webhooks(of account: AccountID?) async throws -> [WebhookEndpoint]
  /// Makes an endpoint: all that is checked of the account's others holds until the new one is there.
  ///
  /// - Throws: ``AdministrationError/tooManyWebhooks(_:)``; ``AdministrationError/webhookExists`` and
  ///   ``AdministrationError/idempotencyConflict``, as ``NewWebhook`` asks for;
  ///   ``AdministrationError/unknownWebhook(_:)`` if the one that was made under the same idempotency key was deleted.
  func createWebhook(_ new: NewWebhook, of account: AccountID) async throws -> CreatedWebhook
  /// Deletes the endpoint with its deliveries. The other methods then report it as unknown.
  ///
  /// - Throws: ``AdministrationError/unknownWebhook(_:)``, as all that follow.
  func deleteWebhook(_ id: WebhookEndpointID, of account: AccountID?) async throws
  func changeWebhook(
    _ id: WebhookEndpointID, _ change: WebhookChange, of account: AccountID?
  ) async throws -> WebhookEndpoint
  /// Replaces the secret. The old one signs too for ``WebhookSecret/overlap``. The same secret again changes nothing.
  func setWebhookSecret(_ id: WebhookEndpointID, to secret: WebhookSecret, of account: AccountID?) async throws
  /// Makes a test event for the endpoint.
  ///
  /// - Throws: ``AdministrationError/webhookDisabled(_:)``.
  func createTestDelivery(for id: WebhookEndpointID, of account: AccountID?) async throws -> DeliveryID
  /// The newest first; `before` leaves out what is not older.
  func deliveries(
    of account: AccountID?, endpoint: WebhookEndpointID?, state: DeliveryState?, before: DeliveryID?, limit: Int
  ) async throws -> [DeliveryReport]
  /// Makes a delivery due at once, whatever became of it before, under the same id.
  ///
  /// - Throws: ``AdministrationError/unknownDelivery(_:)``, ``AdministrationError/webhookDisabled(_:)``.
  func resendDelivery(_ id: DeliveryID, of account: AccountID?) async throws
  /// The same for all deliveries of an endpoint that were made at a time in `range`, the oldest first, ``resentAtOnce`` of
  /// them at the most.
  ///
  /// - Parameters:
  ///   - state: only those in this state; not pending.
  ///   - after: leaves out what does not come after this one.
  /// - Returns: how many, and the last one if there may be more.
  func resendDeliveries(
    of endpoint: WebhookEndpointID, made range: ClosedRange<Milliseconds>, state: DeliveryState, after: DeliveryID?,
    of account: AccountID?
  ) async throws -> (count: Int, last: DeliveryID?)
}

/// How many deliveries are sent again in one transaction.
public let resentAtOnce = 1000

/// A webhook that is to be made.
public struct NewWebhook: Sendable {
  public let url: WebhookURL
  public let secret: WebhookSecret
  public let events: WebhookEvents
  /// Whether the account must have no other for the URL. So it is for account holders, whose requests may be sent twice;
  /// the operator may give a receiver several. Changing an endpoint's URL names the endpoint, so it is not restricted.
  public let isOnlyOfURL: Bool
  public let claim: Claim?

  /// What makes it harmless to send the request again: the first one's endpoint is answered.
  public struct Claim: Sendable {
    package let claim: IdempotencyClaim
    package let retention: IdempotencyRetention
    package let body: @Sendable (WebhookEndpoint) -> [UInt8]

    /// - Parameter body: what whoever looks up the key is shown: the response without the secret, and with the member
    ///   `id`. A retry is answered from the endpoint's row, where the secret is sealed.
    public init(
      _ claim: IdempotencyClaim, retention: IdempotencyRetention, body: @escaping @Sendable (WebhookEndpoint) -> [UInt8]
    ) {
      self.claim = claim
      self.retention = retention
      self.body = body
    }
  }

  public init(
    url: WebhookURL, secret: WebhookSecret, events: WebhookEvents = .all, isOnlyOfURL: Bool = false,
    claim: Claim? = nil
  ) {
    self.url = url
    self.secret = secret
    self.events = events
    self.isOnlyOfURL = isOnlyOfURL
    self.claim = claim
  }
}

/// An endpoint with the secret that events to it are signed with.
public struct CreatedWebhook: Sendable {
  public let webhook: WebhookEndpoint
  public let secret: WebhookSecret
  /// Whether an earlier request under the same idempotency key has made it.
  public let isReplay: Bool

  public init(_ webhook: WebhookEndpoint, _ secret: WebhookSecret, isReplay: Bool = false) {
    self.webhook = webhook
    self.secret = secret
    self.isReplay = isReplay
  }
}

extension WebhookStore {
  public func createWebhook(
    url: WebhookURL, secret: WebhookSecret, events: WebhookEvents = .all, of account: AccountID
  ) async throws -> WebhookEndpoint {
    try await createWebhook(NewWebhook(url: url, secret: secret, events: events), of: account).webhook
  }

  /// Sends again all deliveries as ``resendDeliveries(of:made:state:after:of:)`` does, in one transaction after another.
  ///
  /// - Parameter rounds: the most transactions.
  /// - Returns: how many deliveries.
  @discardableResult
  public func resendAllDeliveries(
    of endpoint: WebhookEndpointID, made range: ClosedRange<Milliseconds>, state: DeliveryState, of account: AccountID?,
    rounds: Int = .max
  ) async throws -> Int {
    var total = 0
    var last: DeliveryID?
    for _ in 0..<rounds {
      let sent = try await resendDeliveries(of: endpoint, made: range, state: state, after: last, of: account)
      total += sent.count
      last = sent.last
      if last == nil { break }
    }
    return total
  }

  public func setWebhook(
    _ id: WebhookEndpointID, enabled: Bool, of account: AccountID?
  ) async throws -> WebhookEndpoint {
    try await changeWebhook(id, WebhookChange(isEnabled: enabled), of: account)
  }
}
