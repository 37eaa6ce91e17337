import Accounts
import Foundation
import Ledger
import Synchronization

/// What has been noticed of keys since the store was told last: when each was used, and what it was refused for.
///
/// Every request with a key comes by here, so noticing takes one short lock and, for a key that is known, no memory.
public final class KeyActivityLog: Sendable {
  private let noticed = Mutex<[KeyID: KeyActivity]>([:])
  /// Keys that are remembered at once. Of further ones nothing is noticed until the store has been told.
  private let capacity: Int
  private let clock: @Sendable () -> Milliseconds

  public convenience init() {
    self.init(capacity: 10_000) {
      var time = timespec()
      clock_gettime(CLOCK_REALTIME, &time)
      return Milliseconds(time.tv_sec) * 1000 + Milliseconds(time.tv_nsec) / 1_000_000
    }
  }

  package init(capacity: Int, clock: @escaping @Sendable () -> Milliseconds) {
    self.capacity = capacity
    self.clock = clock
  }

  /// A request was let in with the key.
  package func noteUse(of key: KeyID) {
    let now = clock()
    note(key) { $0.lastUsed = now }
  }

  /// The key was recognised, and refused.
  package func noteDenial(of key: KeyID) {
    let now = clock()
    note(key) {
      $0.denied += 1
      $0.lastDenied = now
    }
  }

  private func note(_ key: KeyID, _ change: (inout KeyActivity) -> Void) {
    noticed.withLock { noticed in
      guard noticed.count < capacity || noticed[key] != nil else { return }
      change(&noticed[key, default: KeyActivity()])
    }
  }

  /// What there is to tell; it is then forgotten here.
  public func take() -> [KeyID: KeyActivity] {
    noticed.withLock { noticed in
      defer { noticed = [:] }
      return noticed
    }
  }

  /// Takes back what could not be told.
  public func putBack(_ untold: [KeyID: KeyActivity]) {
    noticed.withLock { noticed in
      for (key, earlier) in untold {
        guard noticed.count < capacity || noticed[key] != nil else { continue }
        var activity = noticed[key] ?? KeyActivity()
        activity.denied += earlier.denied
        activity.lastUsed = activity.lastUsed ?? earlier.lastUsed
        activity.lastDenied = activity.lastDenied ?? earlier.lastDenied
        noticed[key] = activity
      }
    }
  }
}
