import Ledger

/// Why an operator's command could not be carried out.
public enum AdministrationError: Error, Sendable, Equatable, CustomStringConvertible {
  case nameTaken(String)
  case unknownAccount(String)
  /// An account, by its number, that was deleted or never was.
  case noAccount(AccountID)
  case unknownKey(String)
  case ambiguousPrefix(String)
  case unknownWebhook(WebhookEndpointID)
  case webhookDisabled(WebhookEndpointID)
  case tooManyWebhooks(String)
  case webhookExists
  /// An idempotency key was used for another request.
  case idempotencyConflict
  case unknownDelivery(DeliveryID)
  case emailTaken
  case keyExists
  case tooManyKeys
  /// The database is this cell, and keys carry its name.
  case anotherCell(CellName)

  public var description: String {
    switch self {
    case .nameTaken(let name): "an account called \"\(name)\" exists already"
    case .unknownAccount(let name): "no account is called \"\(name)\"; `fairdraw account list` lists them"
    case .noAccount(let id): "there is no account \(id.rawValue)"
    case .unknownKey(let prefix): "no key begins with \"\(prefix)\"; `fairdraw key list` lists them"
    case .ambiguousPrefix(let prefix): "more than one key begins with \"\(prefix)\": give more of it"
    case .unknownWebhook(let id): "there is no webhook \(id.rawValue); `fairdraw webhook list` lists them"
    case .webhookDisabled(let id): "webhook \(id.rawValue) is disabled: `fairdraw webhook enable \(id.rawValue)`"
    case .tooManyWebhooks(let name): "account \"\(name)\" has \(maximumWebhooks) webhooks, the most there can be"
    case .webhookExists: "the account has a webhook for this URL already"
    case .idempotencyConflict: "this idempotency key was used for a different request"
    case .unknownDelivery(let id): "there is no delivery \(id.rawValue); `fairdraw webhook deliveries` lists them"
    case .emailTaken: "another account has this email address"
    case .keyExists: "this key is accepted already, or was and is revoked"
    case .tooManyKeys: "the account has \(maximumKeys) keys that are not revoked, the most there can be"
    case .anotherCell(let cell):
      "the database is cell \(cell), and API keys carry this name: set cell = \(cell), or leave it out"
    }
  }
}
