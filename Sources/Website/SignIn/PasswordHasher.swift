import Accounts
import Ledger
import NIOPosix
import Synchronization

/// Makes and checks password hashes on two threads of its own: each takes a tenth of a second of a core, and anyone may ask
/// for one. So only so many may wait.
final class PasswordHasher: Sendable {
  private let pool = NIOThreadPool(numberOfThreads: 2)
  private let inHand = Mutex(0)
  private let most: Int

  /// - Parameter most: how many may be in hand at once, waiting or at work.
  init(most: Int = 32) {
    self.most = most
    pool.start()
  }

  deinit { pool.shutdownGracefully { _ in } }

  /// Whether `hash` was made of this password; never of one that is longer than a password may be.
  ///
  /// - Throws: a 503 when too many are waiting, and what ``PasswordHash/matches(_:)`` throws.
  func check(_ password: String, against hash: PasswordHash) async throws -> Bool {
    guard password.utf8.count <= PasswordHash.lengths.upperBound else { return false }
    return try await run { try hash.matches(password) }
  }

  /// - Throws: a 503 when too many are waiting, and what ``PasswordHash/init(of:)`` throws.
  func hash(of password: String) async throws -> PasswordHash {
    try await run { try PasswordHash(of: password) }
  }

  private func run<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
    let isTaken = inHand.withLock { count in
      guard count < most else { return false }
      count += 1
      return true
    }
    guard isTaken else {
      throw Refusal.overloaded("Too many people are signing in; try again in a moment.", retryAfter: 2)
    }
    defer { inHand.withLock { $0 -= 1 } }
    return try await pool.runIfActive(body)
  }
}
