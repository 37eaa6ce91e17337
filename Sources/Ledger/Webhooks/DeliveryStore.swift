/// Where webhook endpoints and deliveries live: in the ledger's database, since a delivery is made in the transaction of
/// its draw (``Changes/deliveries``).
///
/// A claim is a lease: whoever claims a delivery has it to itself until the lease ends, and then it is due again. So
/// several servers share the work, and what a server had in hand when it died is attempted by the next.
public protocol DeliveryStore: Sendable {
  /// Records `results`, and then claims deliveries that are due: one transaction.
  ///
  /// A success counts whoever reports it. Any other result counts only from the claim that the delivery is under, so that
  /// a server that was slow does not undo what another did.
  ///
  /// An endpoint whose receiver is gone is disabled, and so is one that has failed for ``DeliveryRetention/failing``.
  ///
  /// - Returns: what was claimed, in no order. Deliveries of endpoints that are disabled or deleted are not.
  func exchange(_ results: [DeliveryResult], for claim: DeliveryClaim?) async throws(StoreFailure) -> [ClaimedDelivery]

  /// How many deliveries are pending.
  func pendingDeliveries() async throws(StoreFailure) -> Int

  /// Deletes, a bounded number at a time, delivered deliveries after ``DeliveryRetention/delivered``, dead ones after
  /// ``DeliveryRetention/dead``, and all of deleted endpoints.
  ///
  /// - Returns: whether there may be more.
  func sweepDeliveries() async throws(StoreFailure) -> Bool
}

/// The most endpoints an account may have: each of its draws makes a delivery for each of them.
public let maximumWebhooks = 10

/// How much to claim, and for how long.
public struct DeliveryClaim: Sendable {
  /// The most deliveries in all.
  public var limit: Int
  /// The most for one endpoint, unless it is in ``allowances``.
  public var perEndpoint: Int
  public var allowances: [WebhookEndpointID: Int]
  /// The most memory they may take, in bytes; a single one may take more.
  public var bytes: Int
  /// How long the claim holds.
  public var lease: Milliseconds

  public init(
    limit: Int, perEndpoint: Int, allowances: [WebhookEndpointID: Int] = [:], bytes: Int = 8 << 20, lease: Milliseconds
  ) {
    self.limit = limit
    self.perEndpoint = perEndpoint
    self.allowances = allowances
    self.bytes = bytes
    self.lease = lease
  }
}

/// How long deliveries are kept once they are finished, and endpoints that fail.
public enum DeliveryRetention {
  public static let delivered: Milliseconds = 7 * 24 * 3_600_000
  public static let dead: Milliseconds = 30 * 24 * 3_600_000
  /// How long an endpoint may fail, without a success, until it is disabled.
  public static let failing: Milliseconds = 5 * 24 * 3_600_000
}
