import API
import Accounts
import Foundation
import Ledger
import Logging
import ServiceLifecycle
import Synchronization

/// Tells the store every few seconds, and once more at the end, how keys were used, and sweeps expired sessions.
final class AccountHousekeeping: Service {
  private let store: any AccountStore
  private let activity: KeyActivityLog
  private let logger: Logger
  private let failures = Atomic<Int>(0)

  private static let interval = Duration.seconds(5)

  init(store: any AccountStore, activity: KeyActivityLog, logger: Logger) {
    self.store = store
    self.activity = activity
    self.logger = logger
  }

  /// How often the store failed, since the start.
  var failureCount: Int { failures.load(ordering: .relaxed) }

  func run() async throws {
    await cancelWhenGracefulShutdown {
      var isFailing = false
      while (try? await Task.sleep(for: Self.interval)) != nil {
        // In a task of its own, since one that is cancelled halfway could not say whether the store was told.
        let failure: (any Error)? = await Task { () -> (any Error)? in
          if let failure = await self.tell() { return failure }
          return await self.sweep()
        }.value
        // A store that stays away is worth one line, not one every few seconds.
        if let failure, !isFailing {
          self.logger.warning(
            "the use of keys could not be recorded, or sessions not swept", metadata: ["error": "\(failure)"])
        }
        isFailing = failure != nil
        if isFailing { self.failures.add(1, ordering: .relaxed) }
      }
    }
    _ = await Task { await self.tell() }.value
  }

  /// - Returns: what went wrong; what was to be told is then kept for the next time.
  private func tell() async -> (any Error)? {
    let noticed = activity.take()
    do {
      try await store.record(noticed)
      return nil
    } catch {
      activity.putBack(noticed)
      return error
    }
  }

  private func sweep() async -> (any Error)? {
    do {
      while try await store.sweepSessions(at: Milliseconds(Date().timeIntervalSince1970 * 1000)) {}
      return nil
    } catch {
      return error
    }
  }
}
