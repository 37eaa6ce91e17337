/// Where a caller waits to be resumed: an event loop, say. A group's callers on the same queue are resumed
/// together.
public protocol ReplyQueue: AnyObject, Sendable {
  /// Runs `body` on the queue, soon, after whatever was given to it before.
  func run(_ body: @escaping @Sendable () -> Void)
}

/// Why a submission was not answered.
public enum LedgerUnavailable: Error, Sendable {
  /// Too much was waiting already, in all or of this account. Nothing happened.
  case overloaded
  /// The server is about to stop. Nothing happened.
  case shuttingDown
  /// The store could not make it durable, or cannot tell whether it did: a connection may break after a commit was sent.
  /// Or something that it needs could not be loaded, and nothing happened.
  case storeFailed(StoreFailure)
  /// The answer did not come in time; the submission may yet take effect.
  case timedOut

  /// What the log says.
  public var logged: String { if case .storeFailed(let failure) = self { failure.logged } else { "\(self)" } }
}
