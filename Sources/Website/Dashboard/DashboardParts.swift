import API
import Accounts
import Crypto
import Ledger

/// What the pages behind the sign-in work with.
public struct DashboardParts: Sendable {
  public var accounts: any LedgerStore & AccountStore & WebhookStore
  /// The way into the ledger, for rotations.
  public var gate: LedgerGate
  /// ``MasterKey/formSecret``.
  public var formSecret: SymmetricKey
  /// How long responses under idempotency keys are kept.
  public var retention: IdempotencyRetention
  /// Live outcomes a day for an account without a quota of its own.
  public var dailyQuota: Int
  /// Whether visitors may make accounts for themselves.
  public var isSignUpOpen: Bool
  /// Whether webhooks may go to private addresses.
  public var allowsPrivateWebhooks: Bool
  /// Called when a delivery has become due.
  public var deliveryIsDue: @Sendable () -> Void

  public init(
    accounts: any LedgerStore & AccountStore & WebhookStore, gate: LedgerGate, formSecret: SymmetricKey,
    retention: IdempotencyRetention, dailyQuota: Int, isSignUpOpen: Bool = false,
    allowsPrivateWebhooks: Bool = false, deliveryIsDue: @escaping @Sendable () -> Void = {}
  ) {
    self.accounts = accounts
    self.gate = gate
    self.formSecret = formSecret
    self.retention = retention
    self.dailyQuota = dailyQuota
    self.isSignUpOpen = isSignUpOpen
    self.allowsPrivateWebhooks = allowsPrivateWebhooks
    self.deliveryIsDue = deliveryIsDue
  }
}
